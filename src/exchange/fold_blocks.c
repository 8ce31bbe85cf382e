/* fold_blocks.c: a block of the uses of one signature: its parameters, its word, its layers. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "exchange/fold.h"

/* ---- blocks ------------------------------------------------------------------------------------------------------------ */

static const char *parameter_name(struct cb_arena *arena, const struct cb_fold_parameters *p, const char *leaf, const char *word,
                                  const char *key)
{
    const char *name = strcmp(key, "units") == 0 ? "units" : key;
    for (int tries = 0; tries < 100; tries++) {
        bool taken = false;
        for (uint32_t i = 0; i < p->count; i++) {
            taken |= strcmp(p->items[i].name, name) == 0;
        }
        if (!taken) {
            return name;
        }
        struct cb_text text = {0};
        for (const char *c = leaf; *c != '\0'; c++) {
            const char letter[] = {(char)(isalnum((unsigned char)*c) ? tolower((unsigned char)*c) : '_'), '\0'};
            cb_text_add(&text, letter);
        }
        name = cb_arena_printf(arena, "%s%s%s_%s", isdigit((unsigned char)leaf[0]) ? word : "",
                               isdigit((unsigned char)leaf[0]) ? "_" : "", text.data != NULL ? text.data : "", key);
        if (tries > 0 && name != NULL) {
            name = cb_arena_printf(arena, "%s_%d", name, tries + 1);
        }
        cb_text_free(&text);
        if (name == NULL) {
            return NULL;
        }
    }
    return NULL;
}

/* The parameter of an option that differs, a new one or one that always has the same number; NULL: too many, or memory. */
static const struct cb_fold_parameter *parameter_of(struct cb_folding *f, struct cb_fold_parameters *p, const uint32_t *uses, uint32_t use_count,
                                            uint32_t offset, size_t option)
{
    struct cb_flat *flat = f->flat;
    const struct cb_fold_group *g0 = &f->groups[uses[0]];
    const struct cb_flat_layer *first = &flat->layers[g0->first + offset];
    const struct cb_entry *entry = &first->options->as.map.entries[option];
    struct cb_fold_parameter found = {.usual = cb__flat_default(first->word, entry->key)};
    found.texts = CB_NEW_ARRAY(flat->arena, const char *, use_count);
    found.values = CB_NEW_ARRAY(flat->arena, struct cb_value *, use_count);
    if (found.texts == NULL || found.values == NULL) {
        return NULL;
    }
    for (uint32_t u = 0; u < use_count; u++) {
        found.values[u] = flat->layers[f->groups[uses[u]].first + offset].options->as.map.entries[option].value;
        found.texts[u] = cb__flat_value_text(flat->arena, found.values[u]);
        if (found.texts[u] == NULL) {
            return NULL;
        }
    }
    for (uint32_t i = 0; i < p->count; i++) {
        bool equal = (p->items[i].usual == NULL) == (found.usual == NULL);
        for (uint32_t u = 0; equal && u < use_count; u++) {
            equal = strcmp(p->items[i].texts[u], found.texts[u]) == 0;
        }
        if (equal) {
            return &p->items[i];
        }
    }
    found.name = p->count < 64 ? parameter_name(flat->arena, p, first->name + strlen(g0->prefix), first->word, entry->key) : NULL;
    if (found.name == NULL) {
        return NULL;
    }
    p->items[p->count] = found;
    return &p->items[p->count++];
}

static bool differs(struct cb_folding *f, const uint32_t *uses, uint32_t use_count, uint32_t offset, size_t option)
{
    struct cb_flat *flat = f->flat;
    const char *first = NULL;
    for (uint32_t u = 0; u < use_count; u++) {
        const struct cb_flat_layer *layer = &flat->layers[f->groups[uses[u]].first + offset];
        const char *text = cb__flat_value_text(flat->arena, layer->options->as.map.entries[option].value);
        if (u > 0 && text != NULL && first != NULL && strcmp(text, first) != 0) {
            return true;
        }
        first = u == 0 ? text : first;
    }
    return false;
}

/* A layer's name is left out where the reader gives the same one: its word, or word_2, ... */
static void drop_default_names(struct cb_flat_items *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        char usual[300];
        snprintf(usual, sizeof usual, "%s", list->items[i].word);
        for (int n = 2;; n++) {
            bool taken = false;
            for (uint32_t k = 0; k < i; k++) {
                const char *other = list->items[k].name != NULL ? list->items[k].name : list->items[k].inputs == NULL ? "" : "";
                taken |= strcmp(other, usual) == 0;
            }
            if (!taken) {
                break;
            }
            snprintf(usual, sizeof usual, "%s_%d", list->items[i].word, n);
        }
        list->items[i].space = strcmp(usual, list->items[i].name) == 0; /* noted here until all are known */
    }
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->items[i].space) {
            list->items[i].name = NULL;
        }
        list->items[i].space = false;
    }
}

bool cb__fold_make_block(struct cb_folding *f, struct cb_flat_block *block, const uint32_t *uses, uint32_t use_count,
                         struct cb_fold_parameters *p)
{
    struct cb_flat *flat = f->flat;
    const struct cb_fold_group *g = &f->groups[uses[0]];
    struct cb_flat_wire above = g->outside;
    p->count = 0;
    for (uint32_t offset = 0; offset <= g->last - g->first; offset++) {
        struct cb_flat_layer layer = flat->layers[g->first + offset];
        layer.options = cb_value_map(flat->arena, NULL);
        for (size_t k = 0; layer.options != NULL && k < flat->layers[g->first + offset].options->as.map.count; k++) {
            const struct cb_entry *entry = &flat->layers[g->first + offset].options->as.map.entries[k];
            struct cb_value *value = entry->value;
            const struct cb_value *groups = cb_map_get(flat->layers[g->first + offset].options, "groups");
            const bool implied = strcmp(entry->key, "filters") == 0 && groups != NULL && groups->kind == CB_KIND_TEXT;
            if (!implied && differs(f, uses, use_count, offset, k)) {
                const struct cb_fold_parameter *parameter = parameter_of(f, p, uses, use_count, offset, k);
                char *name = parameter != NULL ? cb_arena_printf(flat->arena, "$%s", parameter->name) : NULL;
                value = name != NULL ? cb_value_text(flat->arena, name, NULL) : NULL;
            }
            if (value == NULL || !cb_map_set(flat->arena, layer.options, entry->key, value)) {
                return false;
            }
        }
        if (layer.options == NULL || !cb__flat_item(flat, &layer, g->prefix, above, g->outside, &block->list)) {
            return false;
        }
        above = (struct cb_flat_wire){(int32_t)(g->first + offset), 0};
    }
    drop_default_names(&block->list);
    block->parameters = cb_value_map(flat->arena, NULL);
    for (uint32_t i = 0; block->parameters != NULL && i < p->count; i++) {
        struct cb_value *usual = CB_NEW(flat->arena, struct cb_value); /* null */
        for (uint32_t u = 0; usual != NULL && p->items[i].usual != NULL && u < use_count; u++) {
            usual = strcmp(p->items[i].texts[u], p->items[i].usual) == 0 ? p->items[i].values[u] : usual;
        }
        if (usual == NULL || !cb_map_set(flat->arena, block->parameters, p->items[i].name, usual)) {
            return false;
        }
    }
    return block->parameters != NULL;
}

/* A word for the block: after what its uses are called. */
const char *cb__fold_word_of(struct cb_folding *f, const struct cb_flat_file *file, const struct cb_fold_group *g)
{
    struct cb_arena *arena = f->flat->arena;
    char *name = cb_arena_strndup(arena, g->prefix, strlen(g->prefix) - 1);
    char *part = NULL;
    while (name != NULL) { /* the last part that is no number */
        part = strrchr(name, '.') != NULL ? strrchr(name, '.') + 1 : name;
        size_t length = strlen(part);
        while (length > 0 && (isdigit((unsigned char)part[length - 1]) || part[length - 1] == '_' || part[length - 1] == '-')) {
            part[--length] = '\0';
        }
        if (length > 0 || part == name) {
            break;
        }
        part[-1] = '\0';
    }
    static const char *const plain[] = {"", "layer", "layers", "features", "stage", "stages", "block", "blocks", "model"};
    bool is_plain = part == NULL;
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]) && !is_plain; i++) {
        is_plain = strcmp(part, plain[i]) == 0;
    }
    struct cb_text word = {0};
    for (const char *c = is_plain ? "" : part; *c != '\0'; c++) {
        const char letter[] = {(char)(isalnum((unsigned char)*c) ? tolower((unsigned char)*c) : '_'), '\0'};
        cb_text_add(&word, letter);
    }
    if (word.length > 0 && !isalpha((unsigned char)word.data[0])) {
        cb_text_free(&word);
        word = (struct cb_text){0};
    }
    bool strides = false;
    for (uint32_t i = g->first; i <= g->last; i++) {
        const struct cb_value *stride = cb_map_get(f->flat->layers[i].options, "stride");
        strides |= stride != NULL && stride->kind == CB_KIND_INT && stride->as.integer > 1;
    }
    const bool ends = word.length > 0 && (cb_ends_with(word.data, "block") || cb_ends_with(word.data, "layer"));
    cb_text_addf(&word, "%s%s", word.length == 0 ? "block" : ends ? "" : "_block", strides ? "_down" : "");
    const char *out = word.failed ? NULL : cb_arena_strdup(arena, word.data), *base = out;
    cb_text_free(&word);
    for (int n = 2; out != NULL; n++) {
        bool taken = false;
        for (uint32_t b = 0; b < file->block_count; b++) {
            taken |= strcmp(file->blocks[b].word, out) == 0;
        }
        if (!taken) {
            break;
        }
        out = cb_arena_printf(arena, "%s_%d", base, n);
    }
    return out;
}

const char *cb__fold_comment_of(struct cb_folding *f, const uint32_t *uses, uint32_t count)
{
    struct cb_text text = {0};
    for (uint32_t i = 0; i < count && i < 4; i++) {
        const char *prefix = f->groups[uses[i]].prefix;
        cb_text_addf(&text, "%s%.*s", i > 0 ? ", " : "", (int)strlen(prefix) - 1, prefix);
    }
    if (count > 4) {
        cb_text_addf(&text, " and %u more", count - 4);
    }
    const char *out = text.failed || text.length > 100 ? NULL : cb_arena_strdup(f->flat->arena, text.data);
    cb_text_free(&text);
    return out;
}
