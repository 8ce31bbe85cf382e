/* flat.c: adding, pruning and naming the layers of a flat network (flat.h). */
#include "exchange/flat.h"

#include <stdlib.h>
#include <string.h>

struct cb_flat_layer *cb_flat_add(struct cb_flat *flat, const char *word, const char *scope, const struct cb_flat_wire *inputs,
                                  uint32_t input_count)
{
    if (flat->layer_count == flat->layer_capacity) {
        const uint32_t capacity = flat->layer_capacity > 0 ? 2 * flat->layer_capacity : 64;
        struct cb_flat_layer *more = CB_NEW_ARRAY(flat->arena, struct cb_flat_layer, capacity);
        if (more == NULL) {
            return NULL;
        }
        if (flat->layer_count > 0) {
            memcpy(more, flat->layers, flat->layer_count * sizeof(*more));
        }
        flat->layers = more;
        flat->layer_capacity = capacity;
    }
    struct cb_flat_layer *layer = &flat->layers[flat->layer_count];
    *layer = (struct cb_flat_layer){.word = word, .scope = scope, .input_count = input_count};
    layer->options = cb_value_map(flat->arena, NULL);
    layer->inputs = CB_NEW_ARRAY(flat->arena, struct cb_flat_wire, input_count > 0 ? input_count : 1);
    if (layer->options == NULL || layer->inputs == NULL) {
        return NULL;
    }
    if (input_count > 0) {
        memcpy(layer->inputs, inputs, input_count * sizeof(*inputs));
    }
    flat->layer_count++;
    return layer;
}

bool cb_flat_prune(struct cb_flat *flat)
{
    int32_t *to = CB_NEW_ARRAY(flat->arena, int32_t, (size_t)flat->layer_count + 1);
    if (to == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < flat->layer_count; i++) {
        flat->layers[i].uses = 0;
    }
    if (flat->output.layer >= 0) {
        flat->layers[flat->output.layer].uses = 1;
    }
    for (uint32_t i = flat->layer_count; i-- > 0;) {
        for (uint32_t k = 0; flat->layers[i].uses > 0 && k < flat->layers[i].input_count; k++) {
            if (flat->layers[i].inputs[k].layer >= 0) {
                flat->layers[flat->layers[i].inputs[k].layer].uses++;
            }
        }
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < flat->layer_count; i++) {
        to[i] = (int32_t)count;
        if (flat->layers[i].uses > 0) {
            flat->layers[count] = flat->layers[i];
            for (uint32_t k = 0; k < flat->layers[count].input_count; k++) {
                struct cb_flat_wire *wire = &flat->layers[count].inputs[k];
                wire->layer = wire->layer >= 0 ? to[wire->layer] : wire->layer;
            }
            count++;
        }
    }
    flat->output.layer = flat->output.layer >= 0 ? to[flat->output.layer] : flat->output.layer;
    flat->layer_count = count;
    return true;
}

/* ---- names ----------------------------------------------------------------------------------------------------------- */

struct named {
    const char *name;
    uint32_t layer;
};

static int by_name(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    const int order = strcmp(x->name, y->name);
    return order != 0 ? order : (x->layer > y->layer) - (x->layer < y->layer);
}

/* The names that are taken, in open addressing: whole names and all their prefixes at dots. */
struct taken {
    const char **slots;
    size_t size;
};

static bool is_taken(const struct taken *taken, const char *name)
{
    for (size_t i = cb_hash64(name, strlen(name)) % taken->size;; i = (i + 1) % taken->size) {
        if (taken->slots[i] == NULL) {
            return false;
        }
        if (strcmp(taken->slots[i], name) == 0) {
            return true;
        }
    }
}

static void take(struct taken *taken, const char *name)
{
    size_t i = cb_hash64(name, strlen(name)) % taken->size;
    while (taken->slots[i] != NULL && strcmp(taken->slots[i], name) != 0) {
        i = (i + 1) % taken->size;
    }
    taken->slots[i] = name;
}

/* True where all layers of a scope are of one word and none lies deeper: the scope is that layer's own. */
static bool is_own_scope(const struct cb_flat *flat, const struct named *sorted, uint32_t count, uint32_t at)
{
    const char *scope = sorted[at].name, *word = flat->layers[sorted[at].layer].word;
    const size_t length = strlen(scope);
    for (uint32_t i = at; i < count && strncmp(sorted[i].name, scope, length) == 0; i++) {
        const char next = sorted[i].name[length];
        if (next == '.' || (next == '\0' && strcmp(flat->layers[sorted[i].layer].word, word) != 0)) {
            return false;
        }
    }
    return length > 0;
}

bool cb_flat_name(struct cb_flat *flat)
{
    struct cb_arena *arena = flat->arena;
    const uint32_t count = flat->layer_count;
    struct named *sorted = CB_NEW_ARRAY(arena, struct named, (size_t)count + 1);
    bool *own = CB_NEW_ARRAY(arena, bool, (size_t)count + 1);
    struct taken taken = {.size = 4 * ((size_t)count + flat->input_count) + 16};
    taken.slots = CB_NEW_ARRAY(arena, const char *, taken.size);
    if (sorted == NULL || own == NULL || taken.slots == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        sorted[i] = (struct named){flat->layers[i].scope, i};
    }
    qsort(sorted, count, sizeof(*sorted), by_name);
    for (uint32_t i = 0; i < count; i++) {
        const bool again = i > 0 && strcmp(sorted[i].name, sorted[i - 1].name) == 0;
        own[sorted[i].layer] = again ? own[sorted[i - 1].layer] : is_own_scope(flat, sorted, count, i);
    }
    for (uint32_t i = 0; i < flat->input_count; i++) {
        take(&taken, flat->input_names[i]);
    }
    take(&taken, "input");
    for (int leaves = 1; leaves >= 0; leaves--) { /* those with a name of their own first: they keep it */
        for (uint32_t i = 0; i < count; i++) {
            struct cb_flat_layer *layer = &flat->layers[i];
            const bool is_leaf = (layer->is_leaf && layer->scope[0] != '\0') || own[i];
            if (is_leaf != (leaves == 1)) {
                continue;
            }
            const char *dot = layer->scope[0] != '\0' && !is_leaf ? "." : "";
            const char *base = cb_arena_printf(arena, "%s%s%s", layer->scope, dot, is_leaf ? "" : layer->word);
            layer->name = base;
            for (int n = 2; layer->name != NULL && is_taken(&taken, layer->name); n++) {
                layer->name = cb_arena_printf(arena, "%s_%d", base, n);
            }
            if (layer->name == NULL) {
                return false;
            }
            take(&taken, layer->name);
        }
    }
    return true;
}
