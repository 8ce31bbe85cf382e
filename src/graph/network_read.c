/* network_read.c: network descriptions in YAML: `input:`, `blocks:`, `layers:` with `repeat:`, and heads.
 *
 * A list of layers is read from top to bottom. Each item is a word or a map with one word of a layer (or of a block) and
 * keys beside it: name, inputs, frozen, lr_scale, share, repeat, start, first. A block's layers are added with its name in
 * front ("layer1.0.conv1"); within it `input` is what feeds the block and names are looked up from the inside out. The
 * block's own name stands for the output of its last layer. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "graph/arguments.h"
#include "graph/library.h"
#include "graph/network_names.h"
#include "graph/schema.h"

#define MAX_BLOCK_DEPTH 16
#define MAX_LAYERS 20000u

static bool is_sibling(const char *key)
{
    for (size_t i = 0; cb_item_keys[i].name != NULL; i++) {
        if (strcmp(key, cb_item_keys[i].name) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- items -------------------------------------------------------------------------------------------------------- */

struct item {
    const char *word;
    const struct cb_value *options;
    const struct cb_value *at_value;
    struct cb_place at;
    const struct cb_value *name, *inputs, *first, *share;
    bool frozen;
    double lr_scale;
    int64_t repeat, start;
    bool has_repeat;
    bool is_from_library; /* a block that knows nothing of the file's own */
};

static enum cb_status read_number(const struct cb_value *item, const char *key, int64_t least, int64_t most, int64_t *out,
                                  struct cb_diag *diag)
{
    const struct cb_value *value = cb_map_get(item, key);
    if (value == NULL) {
        return CB_OK;
    }
    if (value->kind != CB_KIND_INT || value->as.integer < least || value->as.integer > most) {
        return cb_fail(diag, CB_INVALID, &value->at, "`%s` must be an integer from %" PRId64 " to %" PRId64, key, least,
                       most);
    }
    *out = value->as.integer;
    return CB_OK;
}

static enum cb_status read_item(const struct cb_value *value, struct item *out, struct cb_diag *diag)
{
    *out = (struct item){.at = value->at, .at_value = value, .lr_scale = 1.0, .repeat = 1};
    if (value->kind == CB_KIND_TEXT) {
        out->word = value->text;
        return CB_OK;
    }
    if (value->kind != CB_KIND_MAP) {
        return cb_fail(diag, CB_INVALID, &value->at,
                       "a layer is a word (`- WORD`) or a map with one (`- WORD: {OPTION: VALUE}`), not %s",
                       cb_kind_name(value->kind));
    }
    for (size_t i = 0; i < value->as.map.count; i++) {
        const struct cb_entry *entry = &value->as.map.entries[i];
        if (is_sibling(entry->key)) {
            continue;
        }
        if (out->word != NULL) {
            const char *nearest = cb_nearest(entry->key, cb_next_key, cb_item_keys);
            return cb_fail(diag, CB_INVALID, &entry->at, "an item holds one layer, here are `%s` and `%s`%s%s%s",
                           out->word, entry->key, nearest != NULL ? "; did you mean `" : "",
                           nearest != NULL ? nearest : "", nearest != NULL ? "`?" : "");
        }
        out->word = entry->key;
        out->at = entry->at;
        out->options = entry->value;
    }
    if (out->word == NULL) {
        return cb_fail(diag, CB_INVALID, &value->at, "this item names no layer");
    }
    out->share = cb_map_get(value, "share");
    out->name = cb_map_get(value, "name");
    if (out->name != NULL && (out->name->text == NULL || out->name->text[0] == '\0' || strlen(out->name->text) > 200)) {
        return cb_fail(diag, CB_INVALID, &out->name->at, "`name` must be a text of 1 to 200 letters");
    }
    out->inputs = cb_map_get(value, "inputs");
    out->first = cb_map_get(value, "first");
    out->has_repeat = cb_map_get(value, "repeat") != NULL;
    CB_TRY(read_number(value, "repeat", 0, 1000, &out->repeat, diag));
    CB_TRY(read_number(value, "start", 0, 1000000, &out->start, diag));
    const struct cb_value *frozen = cb_map_get(value, "frozen");
    if (frozen != NULL) {
        if (frozen->kind != CB_KIND_BOOL) {
            return cb_fail(diag, CB_INVALID, &frozen->at, "`frozen` beside a layer must be true or false");
        }
        out->frozen = frozen->as.boolean;
    }
    const struct cb_value *scale = cb_map_get(value, "lr_scale");
    if (scale != NULL && (!cb_value_number(scale, &out->lr_scale) || !(out->lr_scale >= 0) || out->lr_scale > 1e6)) {
        return cb_fail(diag, CB_INVALID, &scale->at, "`lr_scale` must be a number from 0 to 1e6");
    }
    return CB_OK;
}

static enum cb_status read_list(struct cb_network *net, const struct scope *scope, const struct cb_value *list,
                                uint32_t *out_wire, struct cb_diag *diag);

static enum cb_status read_block(struct cb_network *net, const struct scope *scope, const struct cb_value *block,
                                 const struct item *item, const struct cb_value *first, const char *name, uint32_t input,
                                 uint32_t *out_wire, struct cb_diag *diag)
{
    if (!cb_expect_kind(block, CB_KIND_MAP, "a block", diag) || !cb_expect_known(block, cb_block_keys, "in a block", diag)) {
        return CB_INVALID;
    }
    if (scope->depth == MAX_BLOCK_DEPTH) {
        return cb_fail(diag, CB_INVALID, &item->at, "blocks use each other more than %d deep: does `%s` use itself?",
                       MAX_BLOCK_DEPTH, item->word);
    }
    const struct cb_value *layers = cb_map_get(block, "layers");
    if (layers == NULL || layers->kind != CB_KIND_LIST || layers->as.list.count == 0) {
        return cb_fail(diag, CB_INVALID, &block->at, "block `%s` needs a list `layers`", item->word);
    }
    struct cb_value *arguments = NULL;
    CB_TRY(cb__arguments_bind(net->arena, cb_map_get(block, "parameters"), item->word, item->options, first, &item->at,
                              &arguments, diag));
    struct scope inner = *scope;
    inner.outer = scope;
    inner.blocks = item->is_from_library ? NULL : scope->blocks;
    inner.prefix = cb_arena_printf(net->arena, "%s%s.", scope->prefix, name);
    inner.arguments = arguments;
    inner.input = input;
    inner.depth = scope->depth + 1;
    inner.frozen = scope->frozen || item->frozen;
    inner.lr_scale = scope->lr_scale * item->lr_scale;
    if (inner.prefix == NULL) {
        return cb_fail(diag, CB_MEMORY, &item->at, "out of memory");
    }
    const enum cb_status status = read_list(net, &inner, layers, out_wire, diag);
    if (status != CB_OK && item->is_from_library) {
        cb_note(diag, &item->at, "in the block `%s`, used here", item->word);
    }
    return status;
}

/* A name for a block that has none: its word with the first number under which no layer stands. */
static const char *free_block_name(struct cb_network *net, const char *prefix, const char *word)
{
    for (int n = 1;; n++) {
        char *name = n == 1 ? cb_arena_strdup(net->arena, word) : cb_arena_printf(net->arena, "%s_%d", word, n);
        char *full = name != NULL ? cb_arena_printf(net->arena, "%s%s.", prefix, name) : NULL;
        if (full == NULL) {
            return NULL;
        }
        bool taken = false;
        for (uint32_t i = 0; i < net->node_count && !taken; i++) {
            taken = cb_starts_with(net->nodes[i].name, full);
        }
        if (!taken) {
            return name;
        }
    }
}

/* `*out` is NULL where the word is a layer's. */
static enum cb_status find_block(struct cb_network *net, const struct scope *scope, struct item *item,
                                 const struct cb_value **out, struct cb_diag *diag)
{
    const struct cb_layer_type *type;
    const struct cb_library_block *block = NULL;
    *out = cb_map_get(scope->blocks, item->word);
    const enum cb_status status = *out == NULL ? cb_registry_find(net->registry, item->word, NULL, &type, NULL) : CB_OK;
    if (status == CB_OK) {
        return CB_OK;
    }
    CB_TRY(cb_library_find(net->arena, item->word, &item->at, &block, diag));
    if (block == NULL && status == CB_NOT_FOUND) {
        return cb_library_fail_unknown(net->arena, net->registry, item->word, scope->blocks, &item->at, diag);
    }
    *out = block != NULL ? block->map : NULL;
    item->is_from_library = block != NULL;
    return CB_OK;
}

static enum cb_status add_item(struct cb_network *net, const struct scope *scope, const struct cb_value *list,
                               size_t index, uint32_t *wire, struct cb_diag *diag)
{
    struct cb_value *value = cb_value_clone(net->arena, list->as.list.items[index]);
    if (value == NULL) {
        return cb_fail(diag, CB_MEMORY, &list->at, "out of memory");
    }
    CB_TRY(cb__arguments_substitute(net->arena, scope->arguments, value, diag));
    struct item item;
    CB_TRY(read_item(value, &item, diag));
    const struct cb_value *block;
    CB_TRY(find_block(net, scope, &item, &block, diag));
    if (item.first != NULL && block == NULL) {
        return cb_fail(diag, CB_INVALID, &item.first->at, "`first` is for repeated blocks; `%s` is a layer", item.word);
    }
    if (item.share != NULL && block != NULL) {
        return cb_fail(diag, CB_INVALID, &item.share->at, "`share` is for layers; `%s` is a block", item.word);
    }
    for (int64_t n = 0; n < item.repeat; n++) {
        if (net->node_count >= MAX_LAYERS) {
            return cb_fail(diag, CB_INVALID, &item.at, "the network has more than %u layers", MAX_LAYERS);
        }
        uint32_t inputs[CB__MAX_INPUTS], input_count = 1;
        inputs[0] = *wire;
        if (n == 0) {
            CB_TRY(cb__name_inputs(net, scope, list, index, item.inputs, *wire, inputs, &input_count, diag));
        }
        const char *name = item.name != NULL ? item.name->text : NULL;
        if (name == NULL && block != NULL) {
            name = free_block_name(net, scope->prefix, item.word);
        }
        if (item.has_repeat && name != NULL) {
            name = cb_arena_printf(net->arena, "%s.%" PRId64, name, item.start + n);
        }
        if (block != NULL) {
            if (input_count != 1) {
                return cb_fail(diag, CB_INVALID, &item.at, "a block takes one input, not %u", input_count);
            }
            CB_TRY(read_block(net, scope, block, &item, n == 0 ? item.first : NULL, name, inputs[0], wire, diag));
            continue;
        }
        const char *full = name != NULL ? cb_arena_printf(net->arena, "%s%s", scope->prefix, name) : NULL;
        if (full == NULL && scope->prefix[0] != '\0') {
            full = cb_arena_printf(net->arena, "%s%s", scope->prefix, item.word);
            for (int k = 2; full != NULL && cb_network_find_wire(net, full) != CB_NONE; k++) {
                full = cb_arena_printf(net->arena, "%s%s_%d", scope->prefix, item.word, k);
            }
        }
        const struct cb_layer_type *type;
        CB_TRY(cb_registry_find(net->registry, item.word, &item.at, &type, diag));
        if ((type->layer.flags & CB_LAYER_LOSS) != 0) {
            return cb_fail(diag, CB_INVALID, &item.at, "`%s` is a loss, not a layer: a task names it with `train: {loss: %s}`",
                           item.word, item.word);
        }
        uint32_t node;
        CB_TRY(cb_network_add_layer(net, item.word, full, item.options, inputs, input_count, scope->in_head, &item.at,
                                    &node, diag));
        CB_TRY(cb__name_share(net, scope, item.share, diag));
        net->nodes[node].frozen_in_yaml = item.frozen || scope->frozen;
        net->nodes[node].lr_scale = item.lr_scale * scope->lr_scale;
        *wire = net->nodes[node].y[0];
    }
    return CB_OK;
}

static enum cb_status read_list(struct cb_network *net, const struct scope *scope, const struct cb_value *list,
                                uint32_t *out_wire, struct cb_diag *diag)
{
    uint32_t wire = scope->input;
    for (size_t i = 0; i < list->as.list.count; i++) {
        CB_TRY(add_item(net, scope, list, i, &wire, diag));
    }
    *out_wire = wire;
    return CB_OK;
}

/* ---- whole files --------------------------------------------------------------------------------------------------- */

enum cb_status cb_network_read_layers(struct cb_network *net, const struct cb_value *list, const char *prefix,
                                      uint32_t from, bool in_head, uint32_t *out_wire, struct cb_diag *diag)
{
    struct scope scope = {.prefix = prefix, .input = from, .in_head = in_head, .lr_scale = 1.0};
    if (list->kind != CB_KIND_LIST) {
        return cb_fail(diag, CB_INVALID, &list->at, "a head must be a list of layers, not %s", cb_kind_name(list->kind));
    }
    return read_list(net, &scope, list, out_wire, diag);
}

static enum cb_status read_input(struct cb_network *net, const char *name, const struct cb_value *map,
                                 const int64_t *size, struct cb_diag *diag)
{
    struct cb_contract contract;
    CB_TRY(cb_contract_read(map, &contract, diag));
    contract.name = cb_arena_strdup(net->arena, name);
    if (size != NULL) {
        if (contract.modality != CB_IMAGE) {
            return cb_fail(diag, CB_MISMATCH, &map->at, "`size` is for pictures, but the network takes %s input",
                           cb_modality_name(contract.modality));
        }
        contract.shape[0] = size[0];
        contract.shape[1] = size[1];
    }
    int64_t dims[CB_MAX_RANK] = {1};
    if (contract.rank + 1 > CB_MAX_RANK) {
        return cb_fail(diag, CB_INVALID, &map->at, "the input has too many dimensions");
    }
    memcpy(dims + 1, contract.shape, contract.rank * sizeof(dims[0]));
    uint32_t wire;
    enum cb_dtype dtype = contract.modality == CB_TEXT ? CB_I32 : CB_F32;
    return cb_network_add_input(net, name, dtype, contract.rank + 1, dims, &contract, &wire, diag);
}

enum cb_status cb_network_read(struct cb_network *net, const struct cb_value *file, const int64_t *size,
                               const char *folder, struct cb_diag *diag)
{
    if (!cb_expect_kind(file, CB_KIND_MAP, "a network file", diag) ||
        !cb_expect_known(file, cb_network_keys, "in a network file", diag)) {
        return CB_INVALID;
    }
    const struct cb_value *name = cb_map_get(file, "name");
    if (name != NULL && name->text != NULL) {
        net->name = cb_arena_strdup(net->arena, name->text);
    }
    net->folder = cb_arena_strdup(net->arena, folder);
    net->weights_value = cb_map_get(file, "weights");
    net->names_value = cb_map_get(file, "names");
    CB_TRY(cb_network_avoid(net, cb_map_get(file, "avoid"), diag));
    const struct cb_value *input = cb_map_get(file, "input"), *inputs = cb_map_get(file, "inputs");
    const struct cb_value *layers = cb_map_get(file, "layers"), *blocks = cb_map_get(file, "blocks");
    if ((input == NULL) == (inputs == NULL)) {
        return cb_fail(diag, CB_INVALID, &file->at, "a network file needs either `input` (one contract) or `inputs`");
    }
    if (layers == NULL || layers->kind != CB_KIND_LIST || layers->as.list.count == 0) {
        return cb_fail(diag, CB_INVALID, layers != NULL ? &layers->at : &file->at,
                       "a network file needs a list `layers`");
    }
    if (blocks != NULL && blocks->kind != CB_KIND_MAP) {
        return cb_fail(diag, CB_INVALID, &blocks->at, "`blocks` must be a map of names to blocks");
    }
    if (input != NULL) {
        CB_TRY(read_input(net, "x", input, size, diag));
    } else if (inputs->kind != CB_KIND_MAP || inputs->as.map.count == 0) {
        return cb_fail(diag, CB_INVALID, &inputs->at, "`inputs` must be a map of names to contracts");
    } else {
        for (size_t i = 0; i < inputs->as.map.count; i++) {
            CB_TRY(read_input(net, inputs->as.map.entries[i].key, inputs->as.map.entries[i].value, size, diag));
        }
    }
    struct scope scope = {.prefix = "", .blocks = blocks, .input = net->inputs[0], .lr_scale = 1.0};
    uint32_t wire;
    CB_TRY(read_list(net, &scope, layers, &wire, diag));
    net->backbone_output = wire;
    const struct cb_value *output = cb_map_get(file, "output");
    if (output != NULL) {
        uint32_t found = output->text != NULL ? cb_network_find_wire(net, output->text) : CB_NONE;
        found = found == CB_NONE && output->text != NULL ? cb__name_block_output(net, &scope, output->text) : found;
        if (found == CB_NONE) {
            const char *nearest = output->text != NULL ? cb__name_nearest(net, &scope, output->text) : NULL;
            return cb_fail(diag, CB_NOT_FOUND, &output->at, "`output` names no layer of the network%s%s%s",
                           nearest != NULL ? "; did you mean `" : "", nearest != NULL ? nearest : "",
                           nearest != NULL ? "`?" : "");
        }
        net->backbone_output = found;
    }
    return CB_OK;
}
