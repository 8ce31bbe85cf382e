/* onnx_emit.c: one layer as ONNX nodes: which emission it takes, and what all of them share. See
 * onnx_emit.h.
 *
 * A layer is looked up by its word. What the layer's own descriptor says already needs no word:
 * outside training a RANDOM layer is the identity, a VIEW is a Reshape, a SUM a Sum, and an affine
 * layer a product and a sum, also those of a plugin of one's own. */
#include "exchange/onnx_emit.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/option_values.h"

/* ---- which emission
 * ---------------------------------------------------------------------------------------------- */

static cb_emission *find_emission(const char *word)
{
    static const struct cb_emission_entry *const tables[] = {
        cb__emit_linear_table,    cb__emit_pool_table,      cb__emit_place_table,
        cb__emit_pointwise_table, cb__emit_norm_table,      cb__emit_shape_table,
        cb__emit_sequence_table,  cb__emit_recurrent_table, cb__emit_window_table,
    };
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        for (const struct cb_emission_entry *entry = tables[i]; entry->word != NULL; entry++) {
            if (strcmp(entry->word, word) == 0) {
                return entry->emit;
            }
        }
    }
    return NULL;
}

/* A plugin of one's own may bear the word of a built-in layer and compute something else. */
static bool is_built_in(struct cb_arena *arena, const struct cb_layer_type *type)
{
    const char *folder = cb_resource_path(arena, "plugins");
    char *own = folder != NULL ? realpath(folder, NULL) : NULL, *its = realpath(type->folder, NULL);
    bool is_own = own != NULL && its != NULL && strcmp(own, its) == 0;
    free(own);
    free(its);
    return is_own;
}

static bool is_affine(const struct cb_node *node)
{
    return node->type->layer.affine != NULL && node->x_count == 1;
}

static void emit_identity(struct cb_emit *e)
{
    enum cb_layout layout = cb__emit_native(e, 0);
    cb__emit_y(e, 0, cb__emit_x(e, 0, layout), layout);
}

static void emit_view(struct cb_emit *e)
{
    const struct cb_tensor *x = cb__emit_x_shape(e, 0), *y = cb__emit_y_shape(e, 0);
    enum cb_layout layout = CB_LAST;
    int64_t places = 1;
    for (uint32_t i = 1; i + 1 < x->rank; i++) {
        places *= x->dims[i];
    }
    if (y->rank == 2 && places == 1) {
        layout = cb__emit_native(
            e, 0); /* a single place: both layouts hold the same values in the same order */
    }
    cb__emit_y(e, 0, cb__emit_reshape(e, cb__emit_x(e, 0, layout), y->rank - 1, y->dims + 1),
               CB_LAST);
}

static void emit_sum(struct cb_emit *e)
{
    const char *values[32];
    enum cb_layout layout = CB_LAST;
    for (uint32_t i = 0; i < e->node->x_count; i++) {
        layout = cb__emit_native(e, i) == CB_FIRST ? CB_FIRST : layout;
    }
    for (uint32_t i = 0; i < e->node->x_count && i < 32; i++) {
        values[i] = cb__emit_x(e, i, layout);
    }
    cb__emit_y(e, 0,
               cb__emit_op(e, e->node->x_count == 2 ? "Add" : "Sum", values, e->node->x_count,
                           CB_DRAFT_PLAIN),
               layout);
}

/* The channels' dim among those that a vector per channel needs to meet a value of the layout: [C],
 * or [C,1,1]. */
static uint32_t channel_dims(enum cb_layout layout, uint32_t rank, int64_t channels,
                             int64_t dims[CB_MAX_RANK])
{
    uint32_t count = layout == CB_FIRST ? rank - 1 : 1;
    for (uint32_t i = 0; i < count; i++) {
        dims[i] = i == 0 ? channels : 1;
    }
    return count;
}

void cb__emit_affine(struct cb_emit *e)
{
    uint32_t node = (uint32_t)(e->node - e->net->nodes);
    const struct cb_tensor *x = cb__emit_x_shape(e, 0);
    enum cb_layout layout = cb__emit_native(e, 0);
    int64_t dims[CB_MAX_RANK];
    uint32_t count = channel_dims(layout, x->rank, x->dims[x->rank - 1], dims);
    const char *weight = cb_arena_printf(e->draft.arena, "%s.weight", e->node->name);
    const char *bias = cb_arena_printf(e->draft.arena, "%s.bias", e->node->name);
    if (weight == NULL || bias == NULL) {
        cb__draft_no_memory(&e->draft);
        return;
    }
    const char *scale = cb__draft_initializer(&e->draft, weight, CB_DRAFT_F32, count, dims, e->affine_scale[node]);
    const char *shift = cb__draft_initializer(&e->draft, bias, CB_DRAFT_F32, count, dims, e->affine_shift[node]);
    const char *scaled =
        cb__emit_op(e, "Mul", CB_DRAFT_IN(cb__emit_x(e, 0, layout), scale), CB_DRAFT_PLAIN);
    cb__emit_y(e, 0, cb__emit_op(e, "Add", CB_DRAFT_IN(scaled, shift), CB_DRAFT_PLAIN), layout);
}

/* By what the descriptor says. */
static cb_emission *by_nature(const struct cb_node *node)
{
    uint32_t flags = node->type->layer.flags;
    return (flags & CB_LAYER_RANDOM) != 0 ? emit_identity
           : (flags & CB_LAYER_VIEW) != 0 ? emit_view
           : (flags & CB_LAYER_SUM) != 0  ? emit_sum
           : is_affine(node)              ? cb__emit_affine
                                          : NULL;
}

static cb_emission *emission_of(struct cb_arena *arena, const struct cb_node *node)
{
    cb_emission *own =
        is_built_in(arena, node->type) ? find_emission(node->type->layer.name) : NULL;
    return own != NULL ? own : by_nature(node);
}

bool cb__emit_knows(const struct cb_emit *e, const struct cb_node *node, const char **out_why)
{
    *out_why = is_built_in(e->draft.arena, node->type)
                   ? "ONNX has no operators for it"
                   : "it is a plugin of your own, of which ONNX knows nothing";
    return (node->type->layer.flags & CB_LAYER_LOSS) == 0 &&
           emission_of(e->draft.arena, node) != NULL;
}

enum cb_status cb__emit_layer(struct cb_emit *e)
{
    cb_emission *emission = emission_of(e->draft.arena, e->node);
    if (emission == NULL) {
        cb__emit_fail(e, "ONNX has no operators for it");
        return e->draft.status;
    }
    emission(e);
    return e->draft.status;
}

void cb__emit_fail(struct cb_emit *e, const char *fmt, ...)
{
    if (e->draft.status != CB_OK) {
        return;
    }
    va_list args;
    va_start(args, fmt);
    char *why = cb_arena_vprintf(e->draft.arena, fmt, args);
    va_end(args);
    e->draft.status = cb_fail(e->draft.diag, CB_UNSUPPORTED, &e->node->at,
                              "layer `%s` (`%s`) cannot be exported: %s", e->node->name,
                              e->node->type->layer.name, why != NULL ? why : "");
}

/* ---- inputs and outputs
 * ------------------------------------------------------------------------------------------ */

const struct cb_tensor *cb__emit_x_shape(const struct cb_emit *e, uint32_t i)
{
    return &e->net->wires[e->node->x[i]].shape;
}

const struct cb_tensor *cb__emit_y_shape(const struct cb_emit *e, uint32_t i)
{
    return &e->net->wires[e->node->y[i]].shape;
}

enum cb_layout cb__emit_native(const struct cb_emit *e, uint32_t i)
{
    return e->wires[e->node->x[i]].native;
}

/* From one layout to the other. */
static const char *turn(struct cb_emit *e, const char *value, uint32_t rank, enum cb_layout to)
{
    int64_t order[CB_MAX_RANK] = {0};
    for (uint32_t i = 1; i < rank; i++) {
        order[i] = to == CB_FIRST ? (i == 1 ? rank - 1 : i - 1) : (i + 1 == rank ? 1 : i + 1);
    }
    return cb__emit_transpose(e, value, rank, order);
}

const char *cb__emit_x(struct cb_emit *e, uint32_t i, enum cb_layout layout)
{
    struct cb_emitted *wire = &e->wires[e->node->x[i]];
    uint32_t rank = cb__emit_x_shape(e, i)->rank;
    if (wire->value[wire->native] == NULL) {
        return cb__draft_no_memory(&e->draft);
    }
    if (wire->value[layout] == NULL) {
        wire->value[layout] =
            rank < 3 ? wire->value[wire->native] : turn(e, wire->value[wire->native], rank, layout);
    }
    return wire->value[layout];
}

void cb__emit_y(struct cb_emit *e, uint32_t i, const char *value, enum cb_layout layout)
{
    struct cb_emitted *wire = &e->wires[e->node->y[i]];
    wire->native = layout;
    wire->value[layout] = value;
}

const char *cb__emit_lengths(struct cb_emit *e, uint32_t i)
{
    uint32_t lengths = e->net->wires[e->node->x[i]].lengths;
    return lengths == 0 ? NULL : e->wires[e->net->inputs[lengths - 1]].value[CB_LAST];
}

int64_t cb__emit_axis(enum cb_layout layout, int64_t axis, uint32_t rank)
{
    axis = axis < 0 ? axis + rank : axis;
    if (layout == CB_LAST || axis == 0 || rank < 3) {
        return axis;
    }
    return axis == (int64_t)rank - 1 ? 1 : axis + 1;
}

const char *cb__emit_reshape(struct cb_emit *e, const char *x, uint32_t count, const int64_t *dims)
{
    int64_t shape[CB_MAX_RANK + 1] = {0};
    for (uint32_t i = 0; i < count; i++) {
        shape[i + 1] = dims[i];
    }
    return cb__emit_op(e, "Reshape", CB_DRAFT_IN(x, cb__emit_ints(e, "shape", count + 1, shape)),
                       CB_DRAFT_PLAIN);
}

const char *cb__emit_transpose(struct cb_emit *e, const char *x, uint32_t rank,
                               const int64_t *permutation)
{
    return cb__emit_op(e, "Transpose", CB_DRAFT_IN(x),
                       CB_DRAFT_WITH(CB_DRAFT_INTS("perm", rank, permutation)));
}

const char *cb__emit_unsqueeze(struct cb_emit *e, const char *x, uint32_t count,
                               const int64_t *axes)
{
    return cb__emit_op(e, "Unsqueeze", CB_DRAFT_IN(x, cb__emit_ints(e, "axes", count, axes)),
                       CB_DRAFT_PLAIN);
}

const char *cb__emit_slice(struct cb_emit *e, const char *x, int64_t axis, int64_t from, int64_t to,
                           int64_t step)
{
    return cb__emit_op(
        e, "Slice",
        CB_DRAFT_IN(x, cb__emit_one_int(e, "starts", from), cb__emit_one_int(e, "ends", to),
                    cb__emit_one_int(e, "axes", axis), cb__emit_one_int(e, "steps", step)),
        CB_DRAFT_PLAIN);
}

/* ---- options
 * -----------------------------------------------------------------------------------------------------
 */

/* The value of an option, and its type; NULL when the layer has no such option. */
static const union cb__option_slot *slot_of(const struct cb_emit *e, const char *key,
                                            uint32_t *out_type)
{
    const struct cb_array *table = &e->node->type->layer.options;
    int index = cb_options_find(table, key);
    if (index < 0 || e->node->options == NULL) {
        return NULL;
    }
    struct cb_option option;
    cb_options_at(table, (uint32_t)index, &option);
    *out_type = option.type;
    return (const union cb__option_slot *)((const char *)e->node->options + option.offset);
}

int64_t cb__emit_integer(const struct cb_emit *e, const char *key)
{
    uint32_t type;
    const union cb__option_slot *slot = slot_of(e, key, &type);
    return slot == NULL            ? 0
           : type == CB_OPT_INT    ? slot->integer
           : type == CB_OPT_BOOL   ? (int64_t)slot->boolean
           : type == CB_OPT_CHOICE ? (int64_t)slot->choice
                                   : 0;
}

double cb__emit_real(const struct cb_emit *e, const char *key)
{
    uint32_t type;
    const union cb__option_slot *slot = slot_of(e, key, &type);
    return slot != NULL && type == CB_OPT_REAL ? slot->real : 0.0;
}

const struct cb_list *cb__emit_list(const struct cb_emit *e, const char *key)
{
    static const struct cb_list empty = CB_LIST_EMPTY;
    uint32_t type;
    const union cb__option_slot *slot = slot_of(e, key, &type);
    return slot != NULL && (type == CB_OPT_INTS || type == CB_OPT_REALS) ? &slot->list : &empty;
}

int64_t cb__emit_pick(const struct cb_emit *e, const char *key, uint32_t i)
{
    const struct cb_list *list = cb__emit_list(e, key);
    return list->count == 0 ? 0
                            : ((const int64_t *)list->items)[i < list->count ? i : list->count - 1];
}

bool cb__emit_padding(const struct cb_emit *e, uint32_t direction, int64_t *before, int64_t *after)
{
    const struct cb_list *list = cb__emit_list(e, "padding");
    if (list->choice >= 0 || list->count == 0) {
        return false;
    }
    *before = cb__emit_pick(e, "padding", list->count == 4 ? direction * 2 : direction);
    *after = cb__emit_pick(e, "padding", list->count == 4 ? direction * 2 + 1 : direction);
    return true;
}
