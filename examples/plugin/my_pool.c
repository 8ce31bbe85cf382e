/* my_pool: the mean over all positions of [N,...,C], times a trained weight per channel:
 *
 *     y[n,c] = w[c] mean over p of x[n,p,c]         x (N,P,C), w (C), y (N,C)
 *     dx[n,p,c] = w[c] dy[n,c] / P,   dw[c] = sum over n of dy[n,c] mean[n,c]
 *
 * The means are kept for backward, so that x need not be. Kernels: my_pool.cl. */
#include <cambium/layer.h>

/* x (N,P,C), whatever stands between N and C. */
struct sizes {
    int64_t n, p, c;
};

static struct sizes sizes_of(const struct cb_tensor *x)
{
    struct sizes s = {.n = x->dims[0], .c = x->dims[x->rank - 1]};
    s.p = cb_tensor_count(x) / (s.n * s.c);
    return s;
}

/* Called when a network is read, before any device is open: what comes out, and what there is to train and to keep. */
static enum cb_status my_pool_infer(struct cb_instance *in)
{
    const struct cb_host *host = in->host;
    const struct cb_tensor *x = in->x[0];
    if (x->rank < 3) {
        return host->fail(in->core, CB_MISMATCH, NULL, "my_pool takes [N,...,C] with positions in between, not rank %u",
                          (unsigned)x->rank);
    }
    const int64_t y_dims[2] = {x->dims[0], x->dims[x->rank - 1]};
    const struct cb_param_decl w = {.struct_size = sizeof(w), .role = CB_PARAM_VECTOR, .name = "w", .foreign = "weight",
                                    .rank = 1, .dims = {y_dims[1]}, .init = CB_INIT_CONSTANT, .value = 1.0};
    CB_TRY(host->param(in->core, &w));
    CB_TRY(host->saved(in->core, CB_F32, 2, y_dims)); /* the means */
    return host->output(in->core, 0, CB_F32, 2, y_dims);
}

/* For every batch; only enqueues. N may differ from call to call, so sizes are taken from the tensors. */
static enum cb_status run_forward(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in->x[0]);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)s.c, (uint64_t)s.n), CB_A_TENSOR(in->y[0]),
                     CB_A_TENSOR(in->saved[0]), /* NULL where no gradient will be asked for */
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->params[0]), CB_A_I64(s.n), CB_A_I64(s.p), CB_A_I64(s.c));
}

/* A gradient that is NULL is not wanted; one whose bit is set in `accumulate` is added to what is there. */
static enum cb_status run_backward(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in->x[0]);
    if (in->dx[0] != NULL) {
        CB_TRY(CB_LAUNCH(in, 0, CB_GRID((uint64_t)s.c, (uint64_t)s.p, (uint64_t)s.n), CB_A_TENSOR(in->dx[0]),
                         CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(in->params[0]), CB_A_I64(s.n), CB_A_I64(s.p),
                         CB_A_I64(s.c), CB_A_I32(in->dx_accumulate & 1u)));
    }
    if (in->dw[0] != NULL) {
        CB_TRY(CB_LAUNCH(in, 1, CB_GRID((uint64_t)s.c), CB_A_TENSOR(in->dw[0]), CB_A_TENSOR(in->dy[0]),
                         CB_A_TENSOR(in->saved[0]), CB_A_I64(s.n), CB_A_I64(s.c), CB_A_I32(in->dw_accumulate & 1u)));
    }
    return CB_OK;
}

/* Ways to compute each pass: fast ones first, with what they need; the last one runs everywhere. The kernels are compiled
 * beforehand, and are numbers 0, 1, ... of CB_LAUNCH. Scratch memory is asked for in a function of its own, .prepare. */
static const struct cb_variant variants[] = {
    {.pass = CB_PASS_FORWARD, .name = "plain", .run = run_forward, .kernels = "my_pool_forward"},
    {.pass = CB_PASS_BACKWARD, .name = "plain", .run = run_backward, .kernels = "my_pool_dx my_pool_dw"},
};

CB_PLUGIN({
    .name = "my_pool",
    .summary = "the mean over all positions, times a trained weight per channel",
    .formula = "y[n,c] = w[c] mean_p x[n,p,c]",
    .example = "- my_pool",
    .dx_needs = CB_NEEDS_PARAMS, /* what backward reads besides dy: for dx ... */
    .dw_needs = CB_NEEDS_SAVED,  /* ... and for dw; all else may be gone by then */
    .variants = CB_ARRAY(variants),
    .infer = my_pool_infer,
})
