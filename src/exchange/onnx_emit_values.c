/* onnx_emit_values.c: the params of a layer and its constants as initializers: their order of dims,
 * what is folded into them, int8. See onnx_emit.h. */
#include "exchange/onnx_emit.h"

#include <string.h>

/* "conv1.weight": what torch calls it, which importers of ONNX know layers by. */
static const char *name_of(struct cb_emit *e, const struct cb_param *param)
{
    const char *own = param->decl.foreign != NULL ? param->decl.foreign : param->decl.name;
    const char *name =
        cb_arena_printf(e->draft.arena, "%s.%s", e->net->nodes[param->node].name, own);
    return name != NULL ? name : cb__draft_no_memory(&e->draft);
}

/* "/conv1/axes": a constant of this layer. Importers tell those from trained values by the "/". */
static const char *constant_name(struct cb_emit *e, const char *name)
{
    const char *full = cb_arena_printf(e->draft.arena, "/%s/%s", e->node->name, name);
    return full != NULL ? full : cb__draft_no_memory(&e->draft);
}

const struct cb_param *cb__emit_param(const struct cb_emit *e, const char *name)
{
    for (uint32_t i = 0; i < e->node->param_count + e->node->state_count; i++) {
        bool is_state = i >= e->node->param_count;
        uint32_t index = is_state ? e->node->states[i - e->node->param_count] : e->node->params[i];
        if (strcmp(e->net->params[index].decl.name, name) == 0) {
            return &e->net->params[index];
        }
    }
    return NULL;
}

float *cb__emit_room(struct cb_emit *e, int64_t count)
{
    float *room =
        e->draft.status == CB_OK ? CB_NEW_ARRAY(e->draft.arena, float, (size_t)count + 1) : NULL;
    if (room == NULL) {
        cb__draft_no_memory(&e->draft);
    }
    return room;
}

/* ---- params as they are
 * ------------------------------------------------------------------------------------------ */

/* A shared param is written once for each order of its dims. */
static const char *known(const struct cb_emit *e, const struct cb_param *param, uint32_t order)
{
    const struct cb_emitted_param *p = &e->params[param - e->net->params];
    return p->name != NULL && p->order == order ? p->name : NULL;
}

static const char *remember(struct cb_emit *e, const struct cb_param *param, uint32_t order,
                            const char *name)
{
    e->params[param - e->net->params] = (struct cb_emitted_param){name, order};
    return name;
}

const char *cb__emit_vector(struct cb_emit *e, const struct cb_param *param, uint32_t rank,
                            const int64_t *dims)
{
    const uint32_t order = 0x1000u + rank;
    const char *name = known(e, param, order);
    if (name != NULL) {
        return name;
    }
    return remember(
        e, param, order,
        cb__draft_initializer(&e->draft, name_of(e, param), CB_DRAFT_F32, rank, dims, param->host));
}

/* ---- weights of linear maps
 * -------------------------------------------------------------------------------------- */

/* For each element of the result, in its order, which element of the param it is. */
struct walk {
    uint32_t rank;
    int64_t dims[CB_MAX_RANK], strides[CB_MAX_RANK], at[CB_MAX_RANK], count, from;
};

static struct walk walk_of(const struct cb_param *param, const uint32_t *order)
{
    struct walk w = {.rank = param->decl.rank, .count = param->count};
    int64_t strides[CB_MAX_RANK], stride = 1;
    for (uint32_t i = w.rank; i-- > 0; stride *= param->decl.dims[i]) {
        strides[i] = stride;
    }
    for (uint32_t i = 0; i < w.rank; i++) {
        w.dims[i] = param->decl.dims[order[i]];
        w.strides[i] = strides[order[i]];
    }
    return w;
}

static void step(struct walk *w)
{
    for (uint32_t i = w->rank; i-- > 0;) {
        w->from += w->strides[i];
        if (++w->at[i] < w->dims[i]) {
            return;
        }
        w->from -= w->dims[i] * w->strides[i];
        w->at[i] = 0;
    }
}

/* Values in the new order, each times its channel's factor (NULL: 1). */
static const char *float_weight(struct cb_emit *e, const struct cb_param *param,
                                const uint32_t *order, const float *factor)
{
    struct walk w = walk_of(param, order);
    int64_t channels = param->decl.dims[param->decl.rank - 1];
    float *values = cb__emit_room(e, param->count);
    for (int64_t i = 0; values != NULL && i < w.count; i++, step(&w)) {
        values[i] = param->host[w.from] * (factor != NULL ? factor[w.from % channels] : 1.0f);
    }
    return cb__draft_initializer(&e->draft, name_of(e, param), CB_DRAFT_F32, w.rank, w.dims,
                                 values);
}

/* The same as int8: the channel's factor goes into its scale, a negative one's sign into the
 * values. */
static const char *int8_weight(struct cb_emit *e, const struct cb_param *param,
                               const uint32_t *order, const float *factor,
                               const struct cb_quantised *quantised)
{
    struct walk w = walk_of(param, order);
    int64_t channels = param->decl.dims[param->decl.rank - 1], axis = 0;
    struct cb_arena *arena = e->draft.arena;
    int8_t *values = CB_NEW_ARRAY(arena, int8_t, (size_t)param->count + 1);
    int8_t *zeros = CB_NEW_ARRAY(arena, int8_t, (size_t)channels + 1);
    float *scales = cb__emit_room(e, channels);
    if (values == NULL || zeros == NULL || scales == NULL) {
        return cb__draft_no_memory(&e->draft);
    }
    for (int64_t k = 0; k < channels; k++) {
        float f = factor != NULL ? factor[k] : 1.0f;
        scales[k] = quantised->scale[k] * (f < 0.0f ? -f : f);
    }
    for (int64_t i = 0; i < w.count; i++, step(&w)) {
        bool is_turned = factor != NULL && factor[w.from % channels] < 0.0f;
        values[i] = (int8_t)(is_turned ? -quantised->q[w.from] : quantised->q[w.from]);
    }
    while (order[axis] != param->decl.rank - 1) {
        axis++;
    }
    const char *name = name_of(e, param);
    const char *inputs[3] = {
        cb__draft_initializer(&e->draft, cb_arena_printf(arena, "%s_int8", name), CB_DRAFT_I8,
                              w.rank, w.dims, values),
        cb__draft_initializer(&e->draft, cb_arena_printf(arena, "%s_scale", name), CB_DRAFT_F32, 1,
                              &channels, scales),
        cb__draft_initializer(&e->draft, cb_arena_printf(arena, "%s_zero_point", name), CB_DRAFT_I8,
                              1, &channels, zeros)};
    return cb__emit_op(e, "DequantizeLinear", inputs, 3, CB_DRAFT_WITH(CB_DRAFT_INT("axis", axis)));
}

static bool is_straight(const struct cb_param *param, const uint32_t *order)
{
    for (uint32_t i = 0; i < param->decl.rank; i++) {
        if (order[i] != i) {
            return false;
        }
    }
    return true;
}

const char *cb__emit_weight(struct cb_emit *e, const struct cb_param *param, const uint32_t *order)
{
    const float *factor = e->fold_scale[e->node - e->net->nodes];
    const struct cb_quantised *quantised =
        e->quantised != NULL ? &e->quantised[param - e->net->params] : NULL;
    uint32_t code = 1;
    for (uint32_t i = 0; i < param->decl.rank; i++) {
        code = code * CB_MAX_RANK + order[i];
    }
    const char *name = factor == NULL ? known(e, param, code) : NULL;
    if (name != NULL) {
        return name;
    }
    name = quantised != NULL && quantised->q != NULL
               ? int8_weight(e, param, order, factor, quantised)
           : factor == NULL && is_straight(param, order)
               ? cb__draft_initializer(&e->draft, name_of(e, param), CB_DRAFT_F32, param->decl.rank,
                                       param->decl.dims, param->host)
               : float_weight(e, param, order, factor);
    return factor == NULL ? remember(e, param, code, name) : name;
}

const char *cb__emit_bias(struct cb_emit *e, int64_t channels)
{
    const struct cb_param *b = cb__emit_param(e, "b");
    const float *scale = e->fold_scale[e->node - e->net->nodes],
                *shift = e->fold_shift[e->node - e->net->nodes];
    if (scale == NULL) {
        return b != NULL ? cb__emit_vector(e, b, 1, &channels) : NULL;
    }
    float *values = cb__emit_room(e, channels);
    for (int64_t k = 0; values != NULL && k < channels; k++) {
        values[k] = (b != NULL ? b->host[k] * scale[k] : 0.0f) + shift[k];
    }
    const char *name =
        b != NULL ? name_of(e, b) : cb_arena_printf(e->draft.arena, "%s.bias", e->node->name);
    return name != NULL ? cb__draft_initializer(&e->draft, name, CB_DRAFT_F32, 1, &channels, values)
                        : cb__draft_no_memory(&e->draft);
}

/* ---- constants
 * ---------------------------------------------------------------------------------------------------
 */

const char *cb__emit_floats(struct cb_emit *e, const char *name, uint32_t rank, const int64_t *dims,
                            const float *data)
{
    return cb__draft_initializer(&e->draft, constant_name(e, name), CB_DRAFT_F32, rank, dims, data);
}

const char *cb__emit_scalar(struct cb_emit *e, const char *name, double value)
{
    float *data = cb__emit_room(e, 1);
    if (data != NULL) {
        *data = (float)value;
    }
    return cb__emit_floats(e, name, 0, NULL, data);
}

const char *cb__emit_constant(struct cb_emit *e, const char *name, int64_t count, float value)
{
    float *data = cb__emit_room(e, count);
    for (int64_t i = 0; data != NULL && i < count; i++) {
        data[i] = value;
    }
    return cb__emit_floats(e, name, 1, &count, data);
}

const char *cb__emit_ints(struct cb_emit *e, const char *name, size_t count, const int64_t *items)
{
    const int64_t dims[1] = {(int64_t)count};
    int64_t *data = cb_arena_copy(e->draft.arena, items, count * sizeof(*items));
    if (data == NULL) {
        return cb__draft_no_memory(&e->draft);
    }
    return cb__draft_initializer(&e->draft, constant_name(e, name), CB_DRAFT_I64, 1, dims, data);
}

const char *cb__emit_one_int(struct cb_emit *e, const char *name, int64_t value)
{
    return cb__emit_ints(e, name, 1, &value);
}
