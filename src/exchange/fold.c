/* fold.c: what repeats in a flat network becomes blocks.
 *
 * A group is all layers whose names begin with the same path ("layer1.0."), when they stand together, read a single wire
 * from outside, and only the last one's output is read outside. Groups of one signature (the same layers, named and wired
 * alike; numbers may differ) are uses of one block, whose parameters are the numbers that differ. Uses that follow each
 * other with equal arguments and names that count up are one item with `repeat:`. A group that is a list of groups itself
 * ("layer1.") is no block: its parts are. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exchange/fold.h"

#define LEAST_LAYERS 3

/* ---- groups ------------------------------------------------------------------------------------------------------------ */

static int by_range(const void *a, const void *b)
{
    const struct cb_fold_group *x = a, *y = b;
    if (x->first != y->first) {
        return x->first < y->first ? -1 : 1;
    }
    return x->last != y->last ? (x->last > y->last ? -1 : 1) : (int)strlen(x->prefix) - (int)strlen(y->prefix);
}

static bool add_group(struct cb_folding *f, const char *prefix, uint32_t first, uint32_t last)
{
    if (f->count == f->capacity) {
        const uint32_t capacity = f->capacity > 0 ? 2 * f->capacity : 64;
        struct cb_fold_group *more = CB_NEW_ARRAY(f->flat->arena, struct cb_fold_group, capacity);
        if (more == NULL) {
            return false;
        }
        if (f->count > 0) {
            memcpy(more, f->groups, f->count * sizeof(*more));
        }
        f->groups = more;
        f->capacity = capacity;
    }
    f->groups[f->count++] = (struct cb_fold_group){.prefix = prefix, .first = first, .last = last, .ok = true};
    return true;
}

static bool find_groups(struct cb_folding *f)
{
    const struct cb_flat *flat = f->flat;
    for (uint32_t i = 0; i < flat->layer_count; i++) {
        for (const char *dot = strchr(flat->layers[i].name, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
            const size_t length = (size_t)(dot - flat->layers[i].name) + 1;
            if (i > 0 && strncmp(flat->layers[i - 1].name, flat->layers[i].name, length) == 0) {
                continue;
            }
            char *prefix = cb_arena_strndup(flat->arena, flat->layers[i].name, length);
            uint32_t last = i;
            while (last + 1 < flat->layer_count && strncmp(flat->layers[last + 1].name, flat->layers[i].name, length) == 0) {
                last++;
            }
            if (prefix == NULL || !add_group(f, prefix, i, last)) {
                return false;
            }
        }
    }
    return true;
}

static int by_prefix(const void *a, const void *b)
{
    return strcmp((*(struct cb_fold_group *const *)a)->prefix, (*(struct cb_fold_group *const *)b)->prefix);
}

/* Groups in two places are none. */
static bool drop_scattered(struct cb_folding *f)
{
    struct cb_fold_group **sorted = CB_NEW_ARRAY(f->flat->arena, struct cb_fold_group *, (size_t)f->count + 1);
    if (sorted == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < f->count; i++) {
        sorted[i] = &f->groups[i];
    }
    qsort(sorted, f->count, sizeof(*sorted), by_prefix);
    for (uint32_t i = 1; i < f->count; i++) {
        if (strcmp(sorted[i]->prefix, sorted[i - 1]->prefix) == 0) {
            sorted[i]->ok = sorted[i - 1]->ok = false;
        }
    }
    return true;
}

static bool inside(const struct cb_fold_group *g, struct cb_flat_wire wire)
{
    return wire.layer >= (int32_t)g->first && wire.layer <= (int32_t)g->last;
}

/* One wire in, one out. */
static void check_edges(struct cb_folding *f, struct cb_fold_group *g, const uint32_t *last_reader, const bool *is_output)
{
    const struct cb_flat *flat = f->flat;
    bool any = false;
    for (uint32_t i = g->first; i <= g->last; i++) {
        const struct cb_flat_layer *layer = &flat->layers[i];
        for (uint32_t k = 0; k < layer->input_count; k++) {
            if (inside(g, layer->inputs[k])) {
                continue;
            }
            if (any && (g->outside.layer != layer->inputs[k].layer || g->outside.output != layer->inputs[k].output)) {
                g->ok = false;
            }
            g->outside = layer->inputs[k];
            any = true;
        }
        if (i < g->last && (last_reader[i] > g->last || is_output[i])) {
            g->ok = false;
        }
    }
    /* of the last layer output 0 alone may leave */
    for (uint32_t i = g->last + 1; i < flat->layer_count && strcmp(flat->layers[g->last].word, "split") == 0; i++) {
        for (uint32_t k = 0; k < flat->layers[i].input_count; k++) {
            g->ok &= !(inside(g, flat->layers[i].inputs[k]) && flat->layers[i].inputs[k].output > 0);
        }
    }
    g->ok &= any && g->last - g->first + 1 >= LEAST_LAYERS;
}

static bool is_number(const struct cb_value *value)
{
    if (value->kind == CB_KIND_LIST) {
        return value->as.list.count > 0 && is_number(value->as.list.items[0]);
    }
    return value->kind == CB_KIND_INT || value->kind == CB_KIND_REAL;
}

static bool sign(struct cb_folding *f, struct cb_fold_group *g)
{
    struct cb_flat *flat = f->flat;
    struct cb_text text = {0};
    for (uint32_t i = g->first; i <= g->last; i++) {
        const struct cb_flat_layer *layer = &flat->layers[i];
        cb_text_addf(&text, "%s %s%s{", layer->name + strlen(g->prefix), layer->word, layer->frozen ? "!" : "");
        for (size_t k = 0; k < layer->options->as.map.count; k++) {
            const struct cb_entry *entry = &layer->options->as.map.entries[k];
            const char *value = is_number(entry->value) ? "#" : cb__flat_value_text(flat->arena, entry->value);
            const bool depthwise = strcmp(entry->key, "filters") == 0 && cb_map_get(layer->options, "groups") != NULL &&
                                   cb_map_get(layer->options, "groups")->kind == CB_KIND_TEXT;
            cb_text_addf(&text, "%s:%s,", entry->key, value == NULL || depthwise ? "" : value);
        }
        cb_text_add(&text, "}(");
        for (uint32_t k = 0; k < layer->input_count; k++) {
            cb_text_addf(&text, "%s,", cb__flat_wire_name(flat, layer->inputs[k], g->prefix, g->outside));
        }
        cb_text_add(&text, ")\n");
    }
    g->signature = text.failed ? NULL : cb_arena_strdup(flat->arena, text.data);
    cb_text_free(&text);
    return g->signature != NULL;
}

/* "12" of "layer.12."; -1 where the last part is no number. *out_base is what stands before the dot. */
static int64_t number_of(struct cb_arena *arena, const char *prefix, const char **out_base)
{
    const size_t end = strlen(prefix) - 1;
    size_t begin = end;
    while (begin > 0 && isdigit((unsigned char)prefix[begin - 1])) {
        begin--;
    }
    if (begin == end || begin == 0 || prefix[begin - 1] != '.' || end - begin > 6) {
        return -1;
    }
    *out_base = cb_arena_strndup(arena, prefix, begin - 1);
    return strtoll(prefix + begin, NULL, 10);
}

/* True for "layer1.", whose parts "layer1.0.", "layer1.1." are groups: those are the blocks. */
static bool is_list(const struct cb_folding *f, const struct cb_fold_group *g)
{
    uint32_t parts = 0;
    const size_t length = strlen(g->prefix);
    for (uint32_t i = 0; i < f->count; i++) {
        const struct cb_fold_group *p = &f->groups[i];
        const char *rest = p->prefix + length;
        if (p != g && p->ok && cb_starts_with(p->prefix, g->prefix) && isdigit((unsigned char)*rest)) {
            while (isdigit((unsigned char)*rest)) {
                rest++;
            }
            parts += rest[0] == '.' && rest[1] == '\0';
        }
    }
    return parts >= 2;
}

/* ---- choice ------------------------------------------------------------------------------------------------------------ */

static bool has_twin(const struct cb_folding *f, const struct cb_fold_group *g)
{
    for (uint32_t i = 0; i < f->count; i++) {
        const struct cb_fold_group *h = &f->groups[i];
        if (h != g && h->ok && !h->banned && strcmp(h->signature, g->signature) == 0) {
            return true;
        }
    }
    return false;
}

/* From the first layer on, always the largest group that begins there and has a twin. */
static void choose(struct cb_folding *f)
{
    bool again = true;
    while (again) {
        f->pick_count = 0;
        uint32_t next = 0;
        for (uint32_t i = 0; i < f->count; i++) {
            struct cb_fold_group *g = &f->groups[i];
            if (g->first >= next && g->ok && !g->banned && has_twin(f, g)) {
                f->picks[f->pick_count++] = i;
                next = g->last + 1;
            }
        }
        again = false;
        for (uint32_t i = 0; i < f->pick_count; i++) {
            uint32_t uses = 0;
            struct cb_fold_group *g = &f->groups[f->picks[i]];
            for (uint32_t k = 0; k < f->pick_count; k++) {
                uses += strcmp(f->groups[f->picks[k]].signature, g->signature) == 0;
            }
            if (uses < 2) {
                g->banned = again = true;
            }
        }
    }
}

/* ---- the list ----------------------------------------------------------------------------------------------------------- */

static bool add_use(struct cb_folding *f, struct cb_flat_items *list, const struct cb_fold_group *g, const char *word,
                    const struct cb_fold_parameters *p, uint32_t use, struct cb_flat_wire above)
{
    struct cb_flat *flat = f->flat;
    struct cb_value *arguments = cb_value_map(flat->arena, NULL);
    for (uint32_t i = 0; arguments != NULL && i < p->count; i++) {
        const struct cb_fold_parameter *parameter = &p->items[i];
        if ((parameter->usual == NULL || strcmp(parameter->usual, parameter->texts[use]) != 0) &&
            !cb_map_set(flat->arena, arguments, parameter->name, parameter->values[use])) {
            return false;
        }
    }
    if (arguments == NULL) {
        return false;
    }
    const bool default_input = g->outside.layer == above.layer && g->outside.output == above.output;
    const char *base = NULL;
    const int64_t number = number_of(flat->arena, g->prefix, &base);
    struct cb_flat_item *before = list->count > 0 ? &list->items[list->count - 1] : NULL;
    if (before != NULL && number >= 0 && default_input && base != NULL && strcmp(before->word, word) == 0) {
        const char *a = cb__flat_value_text(flat->arena, before->options), *b = cb__flat_value_text(flat->arena, arguments);
        const int64_t start = before->repeat > 0 ? before->start + before->repeat : -1;
        const char *before_base = NULL;
        char *before_prefix = cb_arena_printf(flat->arena, "%s.", before->name);
        const int64_t alone = before->repeat == 0 && before_prefix != NULL ? number_of(flat->arena, before_prefix, &before_base) : -1;
        if (a != NULL && b != NULL && strcmp(a, b) == 0 &&
            ((start == number && strcmp(before->name, base) == 0) ||
             (alone >= 0 && alone + 1 == number && before_base != NULL && strcmp(before_base, base) == 0))) {
            before->start = before->repeat > 0 ? before->start : alone;
            before->repeat = before->repeat > 0 ? before->repeat + 1 : 2;
            before->name = base;
            return true;
        }
    }
    struct cb_flat_item *item = cb__flat_push(flat->arena, list);
    if (item == NULL) {
        return false;
    }
    *item = (struct cb_flat_item){.word = word, .options = arguments, .space = true};
    item->name = cb_arena_strndup(flat->arena, g->prefix, strlen(g->prefix) - 1);
    if (!default_input) {
        item->inputs = CB_NEW_ARRAY(flat->arena, const char *, 1);
        if (item->inputs == NULL) {
            return false;
        }
        item->inputs[0] = cb__flat_wire_name(flat, g->outside, "", g->outside);
        item->input_count = 1;
    }
    return item->name != NULL;
}

static bool write_list(struct cb_folding *f, struct cb_flat_file *file, const struct cb_fold_parameters *all, const uint32_t *use_of)
{
    struct cb_flat *flat = f->flat;
    struct cb_flat_wire above = {-1, 0};
    uint32_t pick = 0;
    for (uint32_t i = 0; i < flat->layer_count;) {
        const struct cb_fold_group *g = pick < f->pick_count ? &f->groups[f->picks[pick]] : NULL;
        if (g != NULL && g->first == i) {
            if (!add_use(f, &file->layers, g, file->blocks[g->block].word, &all[g->block], use_of[pick], above)) {
                return false;
            }
            i = g->last + 1;
            pick++;
        } else {
            if (!cb__flat_item(flat, &flat->layers[i], "", above, above, &file->layers)) {
                return false;
            }
            const uint32_t count = file->layers.count;
            file->layers.items[count - 1].space = pick > 0 && f->groups[f->picks[pick - 1]].last + 1 == i;
            i++;
        }
        above = (struct cb_flat_wire){(int32_t)i - 1, 0};
    }
    return true;
}

bool cb__flat_fold(struct cb_flat *flat, struct cb_flat_file *file)
{
    struct cb_folding f = {.flat = flat};
    const uint32_t layers = flat->layer_count;
    uint32_t *last_reader = CB_NEW_ARRAY(flat->arena, uint32_t, (size_t)layers + 1);
    bool *is_output = CB_NEW_ARRAY(flat->arena, bool, (size_t)layers + 1);
    if (last_reader == NULL || is_output == NULL || !find_groups(&f) || !drop_scattered(&f)) {
        return false;
    }
    for (uint32_t i = 0; i < layers; i++) {
        for (uint32_t k = 0; k < flat->layers[i].input_count; k++) {
            if (flat->layers[i].inputs[k].layer >= 0) {
                last_reader[flat->layers[i].inputs[k].layer] = i;
            }
        }
    }
    if (flat->output.layer >= 0) {
        is_output[flat->output.layer] = true;
    }
    if (f.count > 0) {
        qsort(f.groups, f.count, sizeof(*f.groups), by_range);
    }
    for (uint32_t i = 0; i < f.count; i++) {
        check_edges(&f, &f.groups[i], last_reader, is_output);
        if (!sign(&f, &f.groups[i])) {
            return false;
        }
    }
    bool *lists = CB_NEW_ARRAY(flat->arena, bool, (size_t)f.count + 1);
    f.picks = CB_NEW_ARRAY(flat->arena, uint32_t, (size_t)f.count + 1);
    uint32_t *use_of = CB_NEW_ARRAY(flat->arena, uint32_t, (size_t)f.count + 1);
    uint32_t *uses = CB_NEW_ARRAY(flat->arena, uint32_t, (size_t)f.count + 1);
    struct cb_fold_parameters *all = CB_NEW_ARRAY(flat->arena, struct cb_fold_parameters, (size_t)f.count + 1);
    file->blocks = CB_NEW_ARRAY(flat->arena, struct cb_flat_block, (size_t)f.count + 1);
    if (lists == NULL || f.picks == NULL || use_of == NULL || uses == NULL || all == NULL || file->blocks == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < f.count; i++) {
        lists[i] = is_list(&f, &f.groups[i]);
    }
    for (uint32_t i = 0; i < f.count; i++) {
        f.groups[i].ok &= !lists[i];
    }
    choose(&f);
    for (uint32_t i = 0; i < f.pick_count; i++) {
        struct cb_fold_group *g = &f.groups[f.picks[i]];
        if (g->chosen) {
            continue;
        }
        uint32_t count = 0;
        for (uint32_t k = i; k < f.pick_count; k++) {
            struct cb_fold_group *h = &f.groups[f.picks[k]];
            if (strcmp(h->signature, g->signature) == 0) {
                use_of[k] = count;
                uses[count++] = f.picks[k];
                h->chosen = true;
                h->block = file->block_count;
            }
        }
        struct cb_flat_block *block = &file->blocks[file->block_count];
        block->word = cb__fold_word_of(&f, file, g);
        block->comment = cb__fold_comment_of(&f, uses, count);
        if (block->word == NULL || !cb__fold_make_block(&f, block, uses, count, &all[file->block_count])) {
            return false;
        }
        file->block_count++;
    }
    return write_list(&f, file, all, use_of);
}
