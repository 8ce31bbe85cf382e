/* flatten: every axis behind N in one: [N, A, B, ..., C] -> [N, A*B*...*C]. Only the shape changes, no memory moves.
 * The order is that of the channels-last layout; a dense layer from a channels-first framework gets its rows permuted
 * at import. */
#include <cambium/layer.h>

static enum cb_status flatten_infer(struct cb_instance *in)
{
    const struct cb_tensor *x = in->x[0];
    if (x->rank < 2) {
        return in->host->fail(in->core, CB_MISMATCH, NULL, "flatten needs an axis behind N, but its input has rank %u",
                              (unsigned)x->rank);
    }
    const int64_t features = x->dims[0] > 0 ? cb_tensor_count(x) / x->dims[0] : 0;
    return in->host->output(in->core, 0, x->dtype, 2, (const int64_t[]){x->dims[0], features});
}

CB_PLUGIN({
    .flags = CB_LAYER_VIEW,
    .name = "flatten",
    .family = "shapes",
    .summary = "all axes behind the batch in one",
    .formula = "[N, A, ..., C] -> [N, A * ... * C]",
    .example = "- flatten",
    .infer = flatten_infer,
})
