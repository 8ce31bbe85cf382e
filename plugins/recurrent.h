/* recurrent.h: what lstm and gru share: options, params, and the loops over time.
 *
 * The input's part of all gates of all steps is one matrix product; then a kernel a step adds the recurrent part and
 * makes the new state from the last one. Backward goes through the steps the other way, leaves the gradient of every
 * gate, and from those come dx and dw as matrix products again. The reverse direction begins at each sequence's own
 * end; behind its length y is zero. `step` counts what has been done, so that in both directions step 0 begins. */
#ifndef CAMBIUM_RECURRENT_H
#define CAMBIUM_RECURRENT_H

#include <cambium/layer.h>

struct recurrent_options {
    int64_t units;
    uint32_t bidirectional, bias;
};

#define RECURRENT_DEFAULTS                                                                                             \
    {                                                                                                                  \
        .bias = 1                                                                                                      \
    }
#define RECURRENT_AT(field) offsetof(struct recurrent_options, field)
#define RECURRENT_OPTION_TABLE                                                                                         \
    {"units", "numbers in the state, and out for each direction", CB_OPT_INT, RECURRENT_AT(units), 1, 1 << 16, NULL,   \
     CB_OPTION_REQUIRED},                                                                                              \
        {"bidirectional", "whether the sequence is also read backwards; its outputs follow the forward ones",          \
         CB_OPT_BOOL, RECURRENT_AT(bidirectional)},                                                                    \
        {"bias", "whether numbers are added to the gates", CB_OPT_BOOL, RECURRENT_AT(bias)}

/* What differs between the layers. */
struct recurrent_kind {
    const char *name, *forward, *backward; /* of the layer, of its kernels */
    int64_t gates;                         /* 4 or 3 */
    bool has_cell;                         /* a second state; else the hidden part of a gate has its own gradient */
};

struct recurrent_sizes {
    int64_t n, t, c, h, directions, gates; /* c channels in, h in the state */
};

static inline struct recurrent_sizes recurrent_sizes(const struct cb_instance *in, const struct recurrent_kind *kind)
{
    const struct recurrent_options *o = in->options;
    const int64_t *dims = in->x[0]->dims;
    return (struct recurrent_sizes){.n = dims[0], .t = dims[1], .c = dims[2], .h = o->units,
                                    .directions = o->bidirectional ? 2 : 1, .gates = kind->gates * o->units};
}

/* ---- params ------------------------------------------------------------------------------------------------------ */

enum { RECURRENT_W_IH, RECURRENT_W_HH, RECURRENT_B_IH, RECURRENT_B_HH };

/* Where a direction's param stands among in->params; -1: there is no bias. */
static inline int recurrent_param(const struct cb_instance *in, int direction, int which)
{
    const struct recurrent_options *o = in->options;
    return which >= RECURRENT_B_IH && !o->bias ? -1 : direction * (o->bias ? 4 : 2) + which;
}

static inline struct cb_tensor *recurrent_value(const struct cb_instance *in, int direction, int which)
{
    const int at = recurrent_param(in, direction, which);
    return at < 0 ? NULL : in->params[at];
}

/* NULL: not there or not wanted. */
static inline struct cb_tensor *recurrent_gradient(const struct cb_instance *in, int direction, int which)
{
    const int at = recurrent_param(in, direction, which);
    return at < 0 || in->dw == NULL ? NULL : in->dw[at];
}

static inline bool recurrent_accumulates(const struct cb_instance *in, int direction, int which)
{
    return (in->dw_accumulate >> recurrent_param(in, direction, which)) & 1u;
}

static inline enum cb_status recurrent_infer(struct cb_instance *in, const struct recurrent_kind *kind)
{
    static const char *const names[2][4] = {{"w_ih", "w_hh", "b_ih", "b_hh"},
                                            {"w_ih_reverse", "w_hh_reverse", "b_ih_reverse", "b_hh_reverse"}};
    static const char *const foreign[2][4] = {
        {"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"},
        {"weight_ih_l0_reverse", "weight_hh_l0_reverse", "bias_ih_l0_reverse", "bias_hh_l0_reverse"}};
    const struct cb_host *host = in->host;
    if (in->x[0]->rank != 3) {
        return host->fail(in->core, CB_MISMATCH, NULL, "%s needs [N,T,C], but its input has rank %u", kind->name,
                          (unsigned)in->x[0]->rank);
    }
    const struct recurrent_sizes s = recurrent_sizes(in, kind);
    for (int d = 0; d < s.directions; d++) {
        for (int i = 0; i < 4 && recurrent_param(in, d, i) >= 0; i++) {
            const bool is_bias = i >= RECURRENT_B_IH;
            const struct cb_param_decl decl = {
                .struct_size = sizeof(decl), .role = is_bias ? CB_PARAM_VECTOR : CB_PARAM_MATRIX, .name = names[d][i],
                .foreign = foreign[d][i], .rank = is_bias ? 1 : 2, .init = CB_INIT_HE_UNIFORM,
                .dims = {is_bias ? s.gates : i == RECURRENT_W_IH ? s.c : s.h, is_bias ? 0 : s.gates}, .value = 1.0,
                .fan_in = (double)s.h, .fan_out = (double)s.gates};
            CB_TRY(host->param(in->core, &decl));
        }
    }
    CB_TRY(host->saved(in->core, CB_F32, 3, (const int64_t[]){s.n, s.t, s.directions * 4 * s.h}));
    if (kind->has_cell) {
        CB_TRY(host->saved(in->core, CB_F32, 3, (const int64_t[]){s.n, s.t, s.directions * s.h}));
    }
    return host->output(in->core, 0, CB_F32, 3, (const int64_t[]){s.n, s.t, s.directions * s.h});
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

#define RECURRENT_ARGS(in, s, direction, step)                                                                         \
    CB_A_TENSOR((in)->x[0]->lengths), CB_A_I32((s).n), CB_A_I32((s).t), CB_A_I32((s).h), CB_A_I32((s).directions),     \
        CB_A_I32(direction), CB_A_I32(step)

static inline enum cb_status recurrent_prepare_forward(struct cb_instance *in, const struct recurrent_kind *kind)
{
    const struct recurrent_sizes s = recurrent_sizes(in, kind);
    CB_TRY(in->host->kernel(in->core, NULL, kind->forward, NULL));
    CB_TRY(in->host->workspace(in->core, CB_F32, s.n * s.t * s.gates)); /* the input's part of the gates */
    return in->host->workspace(in->core, CB_F32, s.n * s.h);            /* the cells */
}

static inline enum cb_status recurrent_run_forward(struct cb_instance *in, const struct recurrent_kind *kind)
{
    const struct recurrent_sizes s = recurrent_sizes(in, kind);
    for (int d = 0; d < s.directions; d++) {
        const struct cb_gemm product = {.struct_size = sizeof(product), .m = s.n * s.t, .n = s.gates, .k = s.c,
                                        .a = in->x[0], .b = recurrent_value(in, d, RECURRENT_W_IH),
                                        .y = in->workspace[0]};
        CB_TRY(in->host->gemm(in->core, &product));
        for (int64_t step = 0; step < s.t; step++) {
            CB_TRY(CB_LAUNCH(in, 0, CB_GRID((uint64_t)s.h, (uint64_t)s.n), CB_A_TENSOR(in->y[0]),
                             CB_A_TENSOR(in->saved[0]), CB_A_TENSOR(kind->has_cell ? in->saved[1] : NULL),
                             CB_A_TENSOR(in->workspace[1]), CB_A_TENSOR(in->workspace[0]),
                             CB_A_TENSOR(recurrent_value(in, d, RECURRENT_W_HH)),
                             CB_A_TENSOR(recurrent_value(in, d, RECURRENT_B_IH)),
                             CB_A_TENSOR(recurrent_value(in, d, RECURRENT_B_HH)), RECURRENT_ARGS(in, s, d, step)));
        }
    }
    return CB_OK;
}

/* ---- backward ---------------------------------------------------------------------------------------------------- */

static inline enum cb_status recurrent_prepare_backward(struct cb_instance *in, const struct recurrent_kind *kind)
{
    const struct recurrent_sizes s = recurrent_sizes(in, kind);
    CB_TRY(in->host->kernel(in->core, NULL, kind->backward, NULL));
    CB_TRY(in->host->kernel(in->core, "recurrent", "recurrent_previous", NULL));
    CB_TRY(in->host->kernel(in->core, "recurrent", "recurrent_db", NULL));
    CB_TRY(in->host->workspace(in->core, CB_F32, s.n * s.t * s.gates)); /* gradients of the gates */
    CB_TRY(in->host->workspace(in->core, CB_F32, s.n * s.h));           /* what goes from a step to the one before */
    CB_TRY(in->host->workspace(in->core, CB_F32, s.n * s.t * s.h));     /* the states before each step */
    /* gradients of the gates' hidden part, where it has its own */
    return kind->has_cell ? CB_OK : in->host->workspace(in->core, CB_F32, s.n * s.t * s.gates);
}

/* A direction's steps, the last one first: the gradients of all gates. */
static inline enum cb_status recurrent_run_steps(struct cb_instance *in, const struct recurrent_kind *kind, int d)
{
    const struct recurrent_sizes s = recurrent_sizes(in, kind);
    struct cb_tensor *inner = in->workspace[kind->has_cell ? 0 : 3];
    for (int64_t step = s.t - 1; step >= 0; step--) {
        CB_TRY(CB_LAUNCH(in, 0, CB_GRID((uint64_t)s.h, (uint64_t)s.n), CB_A_TENSOR(in->workspace[0]),
                         CB_A_TENSOR(inner), CB_A_TENSOR(in->workspace[1]), CB_A_TENSOR(in->dy[0]),
                         CB_A_TENSOR(in->saved[0]), CB_A_TENSOR(kind->has_cell ? in->saved[1] : in->y[0]),
                         CB_A_TENSOR(recurrent_value(in, d, RECURRENT_W_HH)), RECURRENT_ARGS(in, s, d, step)));
    }
    return CB_OK;
}

/* dw = a^T g of [n t, rows] and [n t, gates]. */
static inline enum cb_status recurrent_run_dw(struct cb_instance *in, const struct recurrent_sizes *s, int d, int which,
                                              const struct cb_tensor *a, int64_t rows, const struct cb_tensor *g)
{
    const struct cb_gemm product = {.struct_size = sizeof(product), .a_transposed = 1,
                                    .accumulate = recurrent_accumulates(in, d, which), .m = rows, .n = s->gates,
                                    .k = s->n * s->t, .a = a, .b = g, .y = recurrent_gradient(in, d, which)};
    return in->host->gemm(in->core, &product);
}

/* A bias's gradient: the gates' sums over n and t. */
static inline enum cb_status recurrent_run_db(struct cb_instance *in, const struct recurrent_sizes *s, int d, int which,
                                              const struct cb_tensor *g)
{
    struct cb_tensor *db = recurrent_gradient(in, d, which);
    return db == NULL ? CB_OK
                      : CB_LAUNCH(in, 2, CB_GRID((uint64_t)s->gates), CB_A_TENSOR(db), CB_A_TENSOR(g), CB_A_I32(s->n),
                                  CB_A_I32(s->t), CB_A_I32(s->gates), CB_A_I32(recurrent_accumulates(in, d, which)));
}

static inline enum cb_status recurrent_run_params(struct cb_instance *in, const struct recurrent_kind *kind, int d)
{
    const struct recurrent_sizes s = recurrent_sizes(in, kind);
    const struct cb_tensor *outer = in->workspace[0], *inner = in->workspace[kind->has_cell ? 0 : 3];
    if (recurrent_gradient(in, d, RECURRENT_W_IH) != NULL) {
        CB_TRY(recurrent_run_dw(in, &s, d, RECURRENT_W_IH, in->x[0], s.c, outer));
    }
    if (recurrent_gradient(in, d, RECURRENT_W_HH) != NULL) {
        CB_TRY(CB_LAUNCH(in, 1, CB_GRID((uint64_t)s.h, (uint64_t)s.t, (uint64_t)s.n), CB_A_TENSOR(in->workspace[2]),
                         CB_A_TENSOR(in->y[0]), RECURRENT_ARGS(in, s, d, 0)));
        CB_TRY(recurrent_run_dw(in, &s, d, RECURRENT_W_HH, in->workspace[2], s.h, inner));
    }
    CB_TRY(recurrent_run_db(in, &s, d, RECURRENT_B_IH, outer));
    return recurrent_run_db(in, &s, d, RECURRENT_B_HH, inner);
}

static inline enum cb_status recurrent_run_backward(struct cb_instance *in, const struct recurrent_kind *kind)
{
    const struct recurrent_sizes s = recurrent_sizes(in, kind);
    for (int d = 0; d < s.directions; d++) {
        CB_TRY(recurrent_run_steps(in, kind, d));
        if (in->dx[0] != NULL) {
            const struct cb_gemm product = {.struct_size = sizeof(product), .b_transposed = 1,
                                            .accumulate = d > 0 || (in->dx_accumulate & 1u) != 0, .m = s.n * s.t,
                                            .n = s.c, .k = s.gates, .a = in->workspace[0],
                                            .b = recurrent_value(in, d, RECURRENT_W_IH), .y = in->dx[0]};
            CB_TRY(in->host->gemm(in->core, &product));
        }
        CB_TRY(recurrent_run_params(in, kind, d));
    }
    return CB_OK;
}

/* A layer of this kind: the variants, and the functions that they name. */
#define RECURRENT_LAYER(kind)                                                                                          \
    static enum cb_status infer(struct cb_instance *in)                                                                \
    {                                                                                                                  \
        return recurrent_infer(in, &(kind));                                                                           \
    }                                                                                                                  \
    static enum cb_status prepare_forward(struct cb_instance *in)                                                      \
    {                                                                                                                  \
        return recurrent_prepare_forward(in, &(kind));                                                                 \
    }                                                                                                                  \
    static enum cb_status run_forward(struct cb_instance *in)                                                          \
    {                                                                                                                  \
        return recurrent_run_forward(in, &(kind));                                                                     \
    }                                                                                                                  \
    static enum cb_status prepare_backward(struct cb_instance *in)                                                     \
    {                                                                                                                  \
        return recurrent_prepare_backward(in, &(kind));                                                                \
    }                                                                                                                  \
    static enum cb_status run_backward(struct cb_instance *in)                                                         \
    {                                                                                                                  \
        return recurrent_run_backward(in, &(kind));                                                                    \
    }                                                                                                                  \
    static const struct cb_variant variants[] = {                                                                      \
        {CB_PASS_FORWARD, 0, "plain", 0, NULL, prepare_forward, NULL, run_forward},                                    \
        {CB_PASS_BACKWARD, 0, "plain", 0, NULL, prepare_backward, NULL, run_backward},                                 \
    }

#endif
