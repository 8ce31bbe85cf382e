/* gelu: y = x P(x) for each element, P(x) = erfc(-x / sqrt(2)) / 2 the share of a standard normal below x (Hendrycks
 * and Gimpel 2016); `approximate: tanh` is the formula of the same paper, which BERT and GPT-2 use: P(x) = (1 +
 * tanh(u)) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3). The derivative is P(x) + x P'(x); y does not determine x, so x
 * is kept. The two functions are in cl/gelu.cl; the core makes the kernels and fuses them into the layer above. */
#include <cambium/layer.h>

enum { GELU_NONE, GELU_TANH };
static const char *const approximations[] = {"none", "tanh", NULL};

struct options {
    int32_t approximate;
};

static const struct options defaults = {GELU_NONE};

#define AT(field) offsetof(struct options, field)
static const struct cb_option options[] = {
    {"approximate", "the exact function, or the one by tanh", CB_OPT_CHOICE, AT(approximate), 0, 0, approximations},
};

CB_PLUGIN({
    .name = "gelu",
    .family = "activations",
    .summary = "x times the share of a normal distribution below x",
    .formula = "y = x * erfc(-x / sqrt(2)) / 2\n"
               "approximate: tanh: y = x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2",
    .example = "- gelu: {approximate: tanh}",
    CB_OPTIONS(options, defaults),
    .pointwise = CB_POINTWISE(CB_NEEDS_X),
})
