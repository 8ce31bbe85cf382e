/* gather: rows of a sequence by their places: x [N,T,C] and indices [N,M] of i32 -> [N,M,C] (torch.gather over T).
 *
 *   y[n,m,c] = x[n,indices[n,m],c]      dx[n,t,c] = sum over m with indices[n,m] = t of dy[n,m,c], in order
 *
 * An index that is not among 0 to T - 1 gives NaN, reads nothing and has no gradient. */
#include <cambium/layer.h>

static enum cb_status gather_infer(struct cb_instance *in)
{
    const struct cb_host *host = in->host;
    const struct cb_tensor *x = in->x[0], *indices = in->x[1];
    if (x->rank != 3) {
        return host->fail(in->core, CB_MISMATCH, NULL, "gather takes rows of values [N,T,C], but its first input has "
                          "rank %u", (unsigned)x->rank);
    }
    if (indices->rank != 2 || indices->dtype != CB_I32) {
        return host->fail(in->core, CB_MISMATCH, NULL, "gather needs integers [N,M] as its second input, which %s",
                          indices->rank != 2 ? "has other axes" : "holds values");
    }
    return host->output(in->core, 0, CB_F32, 3, (const int64_t[]){x->dims[0], indices->dims[1], x->dims[2]});
}

static enum cb_status run_forward(struct cb_instance *in)
{
    const int64_t *x = in->x[0]->dims, m = in->x[1]->dims[1], places = x[0] * m;
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)(x[2] + 15) / 16, (uint64_t)places), CB_A_TENSOR(in->y[0]),
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->x[1]), CB_A_I64(places), CB_A_I32(m), CB_A_I32(x[1]),
                     CB_A_I32(x[2]));
}

static enum cb_status run_dx(struct cb_instance *in)
{
    const int64_t *x = in->x[0]->dims, m = in->x[1]->dims[1], rows = x[0] * x[1];
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)(x[2] + 15) / 16, (uint64_t)rows), CB_A_TENSOR(in->dx[0]),
                     CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(in->x[1]), CB_A_I64(rows), CB_A_I32(m), CB_A_I32(x[1]),
                     CB_A_I32(x[2]), CB_A_I32(in->dx_accumulate & 1u));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "gather_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_dx, .kernels = "gather_dx"},
};

CB_PLUGIN({
    .name = "gather",
    .family = "sequences",
    .summary = "rows of a sequence by their places: [N,T,C] and [N,M] of places to [N,M,C]",
    .formula = "y[n,m,c] = x[n,indices[n,m],c]",
    .example = "- gather: {}\n  inputs: [tokens, places]",
    .min_inputs = 2,
    .max_inputs = 2,
    .dx_needs = CB_NEEDS_X,
    .integer_inputs = CB_BIT(1),
    .variants = CB_ARRAY(variants),
    .infer = gather_infer,
})
