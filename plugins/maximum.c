/* maximum: y = the largest x over `axes` (torch.amax; NaN where there is one); dy is shared evenly by all places that
 * hold the largest value: dx = dy / how many. */
#include "reduce.h"

static const struct reduce_options defaults = {.axes = CB_LIST_EMPTY};

static const struct cb_option options[] = {REDUCE_OPTION_TABLE};

static enum cb_status run_forward(struct cb_instance *in)
{
    const struct reduce_loops l = reduce_loops(in);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)l.outputs), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->x[0]),
                     REDUCE_ARGS(l));
}

static enum cb_status run_dx(struct cb_instance *in)
{
    const struct reduce_loops l = reduce_loops(in);
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)l.outputs), CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]),
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->y[0]), REDUCE_ARGS(l), CB_A_I32(in->dx_accumulate & 1u));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "maximum_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_dx, .kernels = "maximum_dx"},
};

CB_PLUGIN({
    .name = "maximum",
    .family = "reductions",
    .summary = "the largest value over axes",
    .formula = "y = max of x over axes",
    .example = "- maximum: {axes: 1}",
    CB_OPTIONS(options, defaults),
    .dx_needs = CB_NEEDS_X | CB_NEEDS_Y,
    .variants = CB_ARRAY(variants),
    .infer = reduce_infer,
})
