/* network_read.c: network descriptions in YAML: `input:`, `blocks:`, `layers:` with `repeat:`, and heads.
 *
 * A list of layers is read from top to bottom. Each item is a word or a map with one word of a layer (or of a block) and
 * keys beside it: name, inputs, frozen, lr_scale, share, repeat, start, first, if, for. A block's layers are added with its name in
 * front ("layer1.0.conv1"); within it `input` is what feeds the block and names are looked up from the inside out. The
 * block's own name stands for the output of its last layer. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/expression.h"
#include "graph/arguments.h"
#include "graph/family.h"
#include "graph/library.h"
#include "graph/network_item.h"
#include "graph/network_names.h"
#include "graph/schema.h"

#define MAX_BLOCK_DEPTH 16
#define MAX_LAYERS 20000u

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
    inner.parameters = item->is_from_library ? NULL : scope->parameters;
    inner.prefix = cb_arena_printf(net->arena, "%s%s.", scope->prefix, name);
    inner.arguments = arguments;
    inner.input = input;
    inner.depth = scope->depth + 1;
    inner.frozen = scope->frozen || item->frozen;
    inner.lr_scale = scope->lr_scale * item->lr_scale;
    if (inner.prefix == NULL) {
        return cb_fail(diag, CB_MEMORY, &item->at, "out of memory");
    }
    enum cb_status status = cb__arguments_settle(net, &inner, item->options, first, diag);
    status = status == CB_OK ? read_list(net, &inner, layers, out_wire, diag) : status;
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

/* An item of a list, and what its names stand for. */
struct place {
    struct cb_network *net;
    const struct scope *scope;
    const struct cb_value *list;
    size_t index;                  /* of the item */
    struct cb_value *item;         /* as written */
    struct cb__item_names names;
};

/* The item's value of `key` with everything in it substituted; NULL where it has none. */
static enum cb_status settle_key(struct place *p, const char *key, struct cb_value **out, struct cb_diag *diag)
{
    const struct cb_names names = cb__item_names(&p->names);
    const struct cb_value *written = cb_map_get(p->item, key);
    *out = written != NULL ? cb_value_clone(p->net->arena, written) : NULL;
    if (written != NULL && *out == NULL) {
        return cb_fail(diag, CB_MEMORY, &written->at, "out of memory");
    }
    return cb_value_substitute(p->net->arena, &names, *out, diag);
}

/* The item with everything substituted, without what says how often it stands there. */
static enum cb_status settle_item(struct place *p, struct item *out, struct cb_diag *diag)
{
    const struct cb_names names = cb__item_names(&p->names);
    struct cb_value *value = cb_value_clone(p->net->arena, p->item);
    if (value == NULL) {
        return cb_fail(diag, CB_MEMORY, &p->item->at, "out of memory");
    }
    for (size_t i = 0, kept = 0; value->kind == CB_KIND_MAP && i < p->item->as.map.count; i++) {
        const char *key = value->as.map.entries[i].key;
        if (strcmp(key, "if") == 0 || strcmp(key, "for") == 0 || strcmp(key, "repeat") == 0) {
            value->as.map.count--;
        } else {
            value->as.map.entries[kept++] = value->as.map.entries[i];
        }
    }
    CB_TRY(cb_value_substitute(p->net->arena, &names, value, diag));
    CB_TRY(cb__item_read(value, out, diag));
    out->has_repeat = cb_map_get(p->item, "repeat") != NULL;
    return CB_OK;
}

static enum cb_status add_block(struct place *p, struct item *item, const struct cb_value *block, const uint32_t *inputs,
                                uint32_t input_count, uint32_t *wire, struct cb_diag *diag)
{
    const char *name = item->name != NULL ? item->name->text : free_block_name(p->net, p->scope->prefix, item->word);
    if (item->share != NULL) {
        return cb_fail(diag, CB_INVALID, &item->share->at, "`share` is for layers; `%s` is a block", item->word);
    }
    if (input_count != 1) {
        return cb_fail(diag, CB_INVALID, &item->at, "a block takes one input, not %u", input_count);
    }
    if (item->has_repeat && name != NULL) {
        name = cb_arena_printf(p->net->arena, "%s.%" PRId64, name, item->start + p->names.index);
    }
    if (name == NULL) {
        return cb_fail(diag, CB_MEMORY, &item->at, "out of memory");
    }
    const struct cb_value *first = p->names.index == 0 ? item->first : NULL;
    return read_block(p->net, p->scope, block, item, first, name, inputs[0], wire, diag);
}

static enum cb_status add_layer(struct place *p, const struct item *item, const uint32_t *inputs, uint32_t input_count,
                                uint32_t *wire, struct cb_diag *diag)
{
    struct cb_network *net = p->net;
    const struct scope *scope = p->scope;
    if (item->first != NULL) {
        return cb_fail(diag, CB_INVALID, &item->first->at, "`first` is for repeated blocks; `%s` is a layer", item->word);
    }
    const char *full = item->name == NULL ? NULL
                       : item->has_repeat ? cb_arena_printf(net->arena, "%s%s.%" PRId64, scope->prefix, item->name->text,
                                                            item->start + p->names.index)
                                          : cb_arena_printf(net->arena, "%s%s", scope->prefix, item->name->text);
    if (full == NULL && scope->prefix[0] != '\0') {
        full = cb_arena_printf(net->arena, "%s%s", scope->prefix, item->word);
        for (int k = 2; full != NULL && cb_network_find_wire(net, full) != CB_NONE; k++) {
            full = cb_arena_printf(net->arena, "%s%s_%d", scope->prefix, item->word, k);
        }
    }
    const struct cb_layer_type *type;
    CB_TRY(cb_registry_find(net->registry, item->word, &item->at, &type, diag));
    if ((type->layer.flags & CB_LAYER_LOSS) != 0) {
        return cb_fail(diag, CB_INVALID, &item->at, "`%s` is a loss, not a layer: a task names it with `train: {loss: %s}`",
                       item->word, item->word);
    }
    uint32_t node;
    CB_TRY(cb_network_add_layer(net, item->word, full, item->options, inputs, input_count, scope->in_head, &item->at, &node,
                                diag));
    CB_TRY(cb__name_share(net, scope, item->share, diag));
    net->nodes[node].frozen_in_yaml = item->frozen || scope->frozen;
    net->nodes[node].lr_scale = item->lr_scale * scope->lr_scale;
    *wire = net->nodes[node].y[0];
    return CB_OK;
}

/* One repetition: number `names.index`, fed by `*wire` unless it is the first and says otherwise. */
static enum cb_status add_once(struct place *p, uint32_t *wire, struct cb_diag *diag)
{
    uint32_t inputs[CB__MAX_INPUTS] = {*wire}, input_count = 1;
    struct item item;
    const struct cb_value *block;
    if (p->net->node_count >= MAX_LAYERS) {
        return cb_fail(diag, CB_INVALID, &p->item->at, "the network has more than %u layers", MAX_LAYERS);
    }
    if (p->names.index == 0) {
        struct cb_value *named;
        CB_TRY(settle_key(p, "inputs", &named, diag));
        CB_TRY(cb__name_inputs(p->net, p->scope, p->list, p->index, named, *wire, inputs, &input_count, diag));
    }
    p->names.feed = inputs[0];
    CB_TRY(settle_item(p, &item, diag));
    CB_TRY(find_block(p->net, p->scope, &item, &block, diag));
    return block != NULL ? add_block(p, &item, block, inputs, input_count, wire, diag)
                         : add_layer(p, &item, inputs, input_count, wire, diag);
}

/* The item `if` and as often as it says, with the names of its `for` settled. */
static enum cb_status add_repeated(struct place *p, uint32_t *wire, struct cb_diag *diag)
{
    struct cb_value *condition, *repeat;
    int64_t count;
    p->names.feed = *wire;
    p->names.index = 0;
    CB_TRY(settle_key(p, "if", &condition, diag));
    if (condition != NULL && condition->kind == CB_KIND_TEXT) { /* `if: stride == 1`, without $(...) */
        const struct cb_names names = cb__item_names(&p->names);
        CB_TRY(cb_expression_read(p->net->arena, condition->text, &condition->at, &names, &condition, diag));
    }
    if (condition != NULL && condition->kind != CB_KIND_BOOL) {
        return cb_fail(diag, CB_INVALID, &cb_map_get(p->item, "if")->at, "`if` needs true or false, not %s",
                       cb_kind_name(condition->kind));
    }
    if (condition != NULL && !condition->as.boolean) {
        return CB_OK;
    }
    CB_TRY(settle_key(p, "repeat", &repeat, diag));
    CB_TRY(cb__item_repeat(repeat, &count, diag));
    for (int64_t n = 0; n < count; n++) {
        p->names.index = n;
        p->names.feed = *wire;
        CB_TRY(add_once(p, wire, diag));
    }
    return CB_OK;
}

/* How many elements the lists of `for` have, which is one number. */
static enum cb_status count_elements(const struct cb_value *each, size_t *out, struct cb_diag *diag)
{
    const struct cb_entry *first = NULL;
    if (each->kind != CB_KIND_MAP || each->as.map.count == 0) {
        return cb_fail(diag, CB_INVALID, &each->at, "`for` must be a map of names to lists: {filters: [64, 128]}");
    }
    for (size_t i = 0; i < each->as.map.count; i++) {
        const struct cb_entry *entry = &each->as.map.entries[i];
        if (entry->value->kind != CB_KIND_LIST) {
            continue;
        }
        if (first != NULL && first->value->as.list.count != entry->value->as.list.count) {
            return cb_fail(diag, CB_INVALID, &entry->at, "`%s` has %zu elements, `%s` has %zu: the lists of `for` must be of "
                                                         "one length",
                           entry->key, entry->value->as.list.count, first->key, first->value->as.list.count);
        }
        first = entry;
    }
    if (first == NULL) {
        return cb_fail(diag, CB_INVALID, &each->at, "`for` names no list");
    }
    *out = first->value->as.list.count;
    return CB_OK;
}

static enum cb_status add_item(struct cb_network *net, const struct scope *scope, const struct cb_value *list,
                               size_t index, uint32_t *wire, struct cb_diag *diag)
{
    struct place p = {.net = net, .scope = scope, .list = list, .index = index, .item = list->as.list.items[index],
                      .names = {.net = net, .scope = scope, .feed = *wire}};
    struct cb_value *each;
    size_t count = 0;
    CB_TRY(settle_key(&p, "for", &each, diag));
    if (each == NULL) {
        return add_repeated(&p, wire, diag);
    }
    CB_TRY(count_elements(each, &count, diag));
    for (size_t k = 0; k < count; k++) {
        struct cb_value *chosen = cb_value_map(net->arena, &each->at);
        for (size_t i = 0; i < each->as.map.count; i++) {
            const struct cb_entry *entry = &each->as.map.entries[i];
            struct cb_value *value = entry->value->kind == CB_KIND_LIST ? entry->value->as.list.items[k] : entry->value;
            if (!cb_map_set(net->arena, chosen, entry->key, value)) {
                return cb_fail(diag, CB_MEMORY, &each->at, "out of memory");
            }
        }
        p.names.loop = chosen;
        CB_TRY(add_repeated(&p, wire, diag));
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
    if (contract.tokenizer != NULL) {
        contract.tokenizer = cb_value_clone(net->arena, contract.tokenizer);
    }
    if (size != NULL && contract.modality == CB_TEXT) {
        contract.shape[0] = size[0];
        contract.max_length = contract.max_length < size[0] ? contract.max_length : size[0];
    } else if (size != NULL) {
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

/* Text is of every length: one more input says how much of each sample is. */
static enum cb_status add_lengths(struct cb_network *net, struct cb_diag *diag)
{
    const uint32_t count = net->input_count;
    for (uint32_t i = 0; i < count; i++) {
        const struct cb_wire *input = &net->wires[net->inputs[i]];
        if (input->contract == NULL || input->contract->modality != CB_TEXT) {
            continue;
        }
        if (net->lengths == CB_NONE) {
            if (cb_network_find_wire(net, "lengths") != CB_NONE) {
                return CB_OK;
            }
            CB_TRY(cb_network_add_input(net, "lengths", CB_I32, 1, (const int64_t[]){1}, NULL, &net->lengths, diag));
        }
        CB_TRY(cb_network_set_lengths(net, net->inputs[i], net->lengths, diag));
    }
    return CB_OK;
}

enum cb_status cb_network_read(struct cb_network *net, const struct cb_value *file, const int64_t *size,
                               const char *folder, struct cb_diag *diag)
{
    if (!cb_expect_kind(file, CB_KIND_MAP, "a network file", diag) ||
        !cb_expect_known(file, cb_network_keys, "in a network file", diag)) {
        return CB_INVALID;
    }
    struct cb_value *settled;
    CB_TRY(cb_family_settle(net->arena, file, NULL, &settled, diag));
    file = settled;
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
    CB_TRY(add_lengths(net, diag));
    struct scope scope = {.prefix = "", .blocks = blocks, .parameters = cb_map_get(file, "parameters"),
                          .input = net->inputs[0], .lr_scale = 1.0};
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
