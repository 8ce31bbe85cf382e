/* swoosh: y = x / (1 + exp(-beta x)), for each element. What it computes stands in swoosh.cl; Cambium makes the kernels of
 * it and fuses them into the layer above. Try it: cambium plugin build, then cambium plugin check swoosh. */
#include <cambium/layer.h>

/* The options of the layer: what may stand in YAML, `- swoosh: {beta: 2}`. Reals are doubles, integers int64_t. */
struct options {
    double beta;
};

static const struct options defaults = {.beta = 1.0};

/* Each option: its word, a sentence, its type, where it lies, and its least and largest value. */
static const struct cb_option options[] = {
    {.key = "beta", .help = "how steep the step at zero is", .type = CB_OPT_REAL,
     .offset = offsetof(struct options, beta), .min = 0.0, .max = 100.0},
};

/* CB_NEEDS_X: the derivative swoosh_df is given x. CB_NEEDS_Y would give it y: cheaper, x need not be kept, and in
 * training too the layer is fused; for a function whose derivative can be told from its result. */
CB_PLUGIN({
    .name = "swoosh",
    .summary = "a soft step times x",
    .formula = "y = x / (1 + exp(-beta x))",
    .example = "- swoosh: {beta: 1.5}",
    CB_OPTIONS(options, defaults),
    .pointwise = CB_POINTWISE(CB_NEEDS_X),
})
