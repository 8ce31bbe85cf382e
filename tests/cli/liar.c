/* liar: y = 2 x for the test of measured variants (tests/cli/variants). The first variant of its table is fast and wrong, the
 * second right and fast, the plain one right and slow. */
#include <cambium/layer.h>

static enum cb_status liar_infer(struct cb_instance *in)
{
    return in->host->output(in->core, 0, CB_F32, in->x[0]->rank, in->x[0]->dims);
}

static enum cb_status scale(struct cb_instance *in, float factor, int64_t rounds)
{
    const int64_t n = cb_tensor_count(in->x[0]);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)n), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->x[0]), CB_A_I64(n), CB_A_F32(factor),
                     CB_A_I64(rounds));
}

static enum cb_status wrong_run(struct cb_instance *in)
{
    return scale(in, 3.0f, 0);
}

static enum cb_status quick_run(struct cb_instance *in)
{
    return scale(in, 2.0f, 0);
}

static enum cb_status plain_run(struct cb_instance *in)
{
    return scale(in, 2.0f, 100000);
}

static const struct cb_variant variants[] = {
    {.pass = CB_PASS_FORWARD, .name = "wrong", .run = wrong_run, .kernels = "liar_forward"},
    {.pass = CB_PASS_FORWARD, .name = "quick", .run = quick_run, .kernels = "liar_forward"},
    {.pass = CB_PASS_FORWARD, .name = "plain", .run = plain_run, .kernels = "liar_forward"},
};

CB_PLUGIN({
    .name = "liar",
    .flags = CB_LAYER_NO_GRADIENT,
    .summary = "y = 2 x, in one of its forms",
    .formula = "y = 2 x",
    .example = "- liar",
    .variants = CB_ARRAY(variants),
    .infer = liar_infer,
})
