/* flat_group.c: blocks for a flat network whose layers have no modules around them.
 *
 * TensorFlow's converter calls layers conv2d_7 and leaky_re_lu_7; other programs give no names at all. Then what repeats is
 * found in the layers themselves: a unit is a run of layers that reads the layer above it alone, and of which only the last
 * one is read outside. Two units are alike when their layers have the same words, the same options but for numbers, and read
 * each other alike. The units that save most lines become blocks.0, blocks.1, ...; fold.c writes them as blocks. */
#include <stdlib.h>
#include <string.h>

#include "exchange/flat.h"

enum { LEAST_UNIT = 3, MOST_UNIT = 64, MOST_LAYERS = 4096, LEAST_SAVED = 8 };

struct grouping {
    struct cb_flat *flat;
    uint64_t *tokens;      /* of each layer: what must be alike */
    uint32_t *last_reader; /* of each layer; UINT32_MAX: the network's output */
    uint32_t *reach;       /* how far above it a layer reads; UINT32_MAX: an input of the network, or a second output */
    bool *taken;
    uint32_t *unit_of;     /* of the first layer of a unit: its length, else 0 */
};

struct start {
    uint64_t hash;
    uint32_t at;
};

static bool is_number(const struct cb_value *value)
{
    if (value->kind == CB_KIND_LIST) {
        return value->as.list.count > 0 && is_number(value->as.list.items[0]);
    }
    return value->kind == CB_KIND_INT || value->kind == CB_KIND_REAL;
}

static bool make_token(struct grouping *g, uint32_t i)
{
    const struct cb_flat_layer *layer = &g->flat->layers[i];
    struct cb_text text = {0};
    cb_text_addf(&text, "%s%s{", layer->word, layer->frozen ? "!" : "");
    for (size_t k = 0; k < layer->options->as.map.count; k++) {
        const struct cb_entry *entry = &layer->options->as.map.entries[k];
        const char *value = is_number(entry->value) ? "#" : cb__flat_value_text(g->flat->arena, entry->value);
        cb_text_addf(&text, "%s:%s,", entry->key, value != NULL ? value : "");
    }
    cb_text_add(&text, "}");
    for (uint32_t k = 0; k < layer->input_count; k++) {
        const struct cb_flat_wire wire = layer->inputs[k];
        const uint32_t above = wire.layer >= 0 && wire.output == 0 ? i - (uint32_t)wire.layer : UINT32_MAX;
        g->reach[i] = above > g->reach[i] ? above : g->reach[i];
        cb_text_addf(&text, "%u,", above);
        if (wire.layer >= 0 && g->last_reader[wire.layer] < i) {
            g->last_reader[wire.layer] = i;
        }
    }
    const bool ok = !text.failed;
    g->tokens[i] = ok ? cb_hash64(text.data, text.length) : 0;
    cb_text_free(&text);
    return ok;
}

/* True where layers first .. first+length-1 may be a block. */
static bool is_unit(const struct grouping *g, uint32_t first, uint32_t length)
{
    for (uint32_t k = 0; k < length; k++) {
        const uint32_t i = first + k;
        if (g->taken[i] || g->reach[i] > k + 1 || (k + 1 < length && g->last_reader[i] >= first + length)) {
            return false;
        }
    }
    return first > 0;
}

static int by_hash(const void *a, const void *b)
{
    const struct start *x = a, *y = b;
    return x->hash != y->hash ? (x->hash > y->hash) - (x->hash < y->hash) : (x->at > y->at) - (x->at < y->at);
}

/* Of units that save as much: one that begins with params and ends where places or branches come together. */
static uint32_t shapeliness(const struct grouping *g, uint32_t first, uint32_t length)
{
    static const char *const ends[] = {"maxpool2d", "avgpool2d", "add", "concat"};
    const struct cb_flat_layer *last = &g->flat->layers[first + length - 1];
    uint32_t points = g->flat->layers[first].params != NULL ? 1 : 0;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        points += strcmp(last->word, ends[i]) == 0 ? 2 : 0;
    }
    return points;
}

/* The units of one length: sorted, alike ones together. Gives their number. */
static uint32_t find_units(const struct grouping *g, uint32_t length, struct start *starts)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i + length <= g->flat->layer_count; i++) {
        if (is_unit(g, i, length)) {
            starts[count++] = (struct start){cb_hash64(&g->tokens[i], length * sizeof(g->tokens[0])), i};
        }
    }
    qsort(starts, count, sizeof(*starts), by_hash);
    return count;
}

/* Marks the units alike to the one at starts[from] that don't overlap; with `mark` false, only counts them. */
static uint32_t alike(struct grouping *g, uint32_t length, const struct start *starts, uint32_t count, uint32_t from, bool mark)
{
    uint32_t units = 0, next = 0;
    for (uint32_t k = from; k < count && starts[k].hash == starts[from].hash; k++) {
        if (starts[k].at < next) {
            continue;
        }
        units++;
        next = starts[k].at + length;
        if (mark) {
            g->unit_of[starts[k].at] = length;
            memset(g->taken + starts[k].at, 1, length * sizeof(*g->taken));
        }
    }
    return units;
}

/* The units that save most lines of the file; false when none save enough. */
static bool take_best(struct grouping *g, struct start *starts)
{
    uint32_t best = 0, best_points = 0, best_length = 0, best_at = 0;
    for (uint32_t length = LEAST_UNIT; length <= MOST_UNIT; length++) {
        const uint32_t count = find_units(g, length, starts);
        for (uint32_t k = 0; k < count; k++) {
            if (k > 0 && starts[k].hash == starts[k - 1].hash) {
                continue;
            }
            const uint32_t units = alike(g, length, starts, count, k, false);
            const uint32_t saved = units < 2 ? 0 : units * length - units - length;
            const uint32_t points = saved >= LEAST_SAVED ? shapeliness(g, starts[k].at, length) : 0;
            if (saved > best || (saved == best && points > best_points)) {
                best = saved;
                best_points = points;
                best_length = length;
                best_at = starts[k].at;
            }
        }
    }
    if (best < LEAST_SAVED) {
        return false;
    }
    const uint32_t count = find_units(g, best_length, starts);
    for (uint32_t k = 0; k < count; k++) {
        if (starts[k].at == best_at) {
            alike(g, best_length, starts, count, k, true);
        }
    }
    return true;
}

/* Layers get the scope of their unit; the file's comment says what the file called them. */
static bool name_units(struct grouping *g)
{
    struct cb_flat *flat = g->flat;
    struct cb_text comment = {0};
    cb_text_add(&comment, flat->comment != NULL ? flat->comment : "");
    uint32_t number = 0;
    bool ok = true;
    for (uint32_t i = 0; i < flat->layer_count && ok; i++) {
        if (g->unit_of[i] == 0) {
            continue;
        }
        const char *first = flat->layers[i].scope, *last = flat->layers[i + g->unit_of[i] - 1].scope;
        if (first[0] != '\0' && last[0] != '\0') {
            cb_text_addf(&comment, "# blocks.%u: %s to %s\n", number, first, last);
        }
        char *scope = cb_arena_printf(flat->arena, "blocks.%u", number++);
        ok = scope != NULL;
        for (uint32_t k = 0; k < g->unit_of[i] && ok; k++) {
            flat->layers[i + k].scope = scope;
            flat->layers[i + k].is_leaf = false;
        }
    }
    ok = ok && !comment.failed && (comment.length == 0 || (flat->comment = cb_arena_strdup(flat->arena, comment.data)) != NULL);
    cb_text_free(&comment);
    return ok;
}

bool cb_flat_group(struct cb_flat *flat)
{
    const uint32_t count = flat->layer_count;
    for (uint32_t i = 0; i < count; i++) {
        if (strchr(flat->layers[i].scope, '.') != NULL || flat->layers[i].is_leaf) {
            return true; /* modules say what belongs together */
        }
    }
    if (count < 2 * LEAST_UNIT || count > MOST_LAYERS) {
        return true;
    }
    struct grouping g = {.flat = flat};
    g.tokens = CB_NEW_ARRAY(flat->arena, uint64_t, count);
    g.last_reader = CB_NEW_ARRAY(flat->arena, uint32_t, count);
    g.reach = CB_NEW_ARRAY(flat->arena, uint32_t, count);
    g.taken = CB_NEW_ARRAY(flat->arena, bool, count);
    g.unit_of = CB_NEW_ARRAY(flat->arena, uint32_t, count);
    struct start *starts = CB_NEW_ARRAY(flat->arena, struct start, count);
    if (g.tokens == NULL || g.last_reader == NULL || g.reach == NULL || g.taken == NULL || g.unit_of == NULL || starts == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!make_token(&g, i)) {
            return false;
        }
    }
    if (flat->output.layer >= 0) {
        g.last_reader[flat->output.layer] = UINT32_MAX;
    }
    for (int rounds = 0; rounds < 8 && take_best(&g, starts); rounds++) {
    }
    return name_units(&g);
}
