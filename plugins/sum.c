/* sum: y = the sum of x over `axes` (torch.sum); dx = dy at each place that was summed. The places are summed in chunks,
 * in a fixed order, so that long sums round little. */
#include "reduce.h"

static const struct reduce_options defaults = {.axes = CB_LIST_EMPTY};

static const struct cb_option options[] = {REDUCE_OPTION_TABLE};

static enum cb_status run_forward(struct cb_instance *in)
{
    const struct reduce_loops l = reduce_loops(in);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)l.outputs), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->x[0]), REDUCE_ARGS(l),
                     CB_A_F32(1.0));
}

static enum cb_status run_dx(struct cb_instance *in)
{
    const struct reduce_loops l = reduce_loops(in);
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)l.outputs), CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]),
                     REDUCE_ARGS(l), CB_A_F32(1.0), CB_A_I32(in->dx_accumulate & 1u));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "sum_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_dx, .kernels = "sum_dx"},
};

CB_PLUGIN({
    .name = "sum",
    .family = "reductions",
    .summary = "the sum over axes",
    .formula = "y = sum of x over axes",
    .example = "- sum: {axes: [1, 2]}",
    CB_OPTIONS(options, defaults),
    .variants = CB_ARRAY(variants),
    .infer = reduce_infer,
})
