/* mean: y = the mean of x over `axes` (torch.mean); dx = dy / count at each of the count places. The kernels are those of
 * sum. Padding of sequences counts; mean_tokens leaves it out. */
#include "reduce.h"

static const struct reduce_options defaults = {.axes = CB_LIST_EMPTY};

static const struct cb_option options[] = {REDUCE_OPTION_TABLE};

static enum cb_status prepare_forward(struct cb_instance *in)
{
    return in->host->kernel(in->core, "sum", "sum_forward", NULL);
}

static enum cb_status run_forward(struct cb_instance *in)
{
    const struct reduce_loops l = reduce_loops(in);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)l.outputs), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->x[0]), REDUCE_ARGS(l),
                     CB_A_F32(1.0 / (double)l.count));
}

static enum cb_status prepare_dx(struct cb_instance *in)
{
    return in->host->kernel(in->core, "sum", "sum_dx", NULL);
}

static enum cb_status run_dx(struct cb_instance *in)
{
    const struct reduce_loops l = reduce_loops(in);
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)l.outputs), CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]),
                     REDUCE_ARGS(l), CB_A_F32(1.0 / (double)l.count), CB_A_I32(in->dx_accumulate & 1u));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", 0, NULL, prepare_forward, NULL, run_forward},
    {CB_PASS_BACKWARD, 0, "plain", 0, NULL, prepare_dx, NULL, run_dx},
};

CB_PLUGIN({
    .name = "mean",
    .family = "reductions",
    .summary = "the mean over axes",
    .formula = "y = mean of x over axes",
    .example = "- mean: {axes: [1, 2]}",
    CB_OPTIONS(options, defaults),
    .variants = CB_ARRAY(variants),
    .infer = reduce_infer,
})
