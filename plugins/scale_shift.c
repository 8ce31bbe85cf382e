/* scale_shift: y = scale x + shift with two fixed numbers, for each element: where a network has constants of its own in
 * between (a half, a sign, a temperature). The two functions are in cl/scale_shift.cl; the core makes the kernels and fuses
 * them into the layer above. */
#include <cambium/layer.h>

struct options {
    double scale;
    double shift;
};

static const struct options defaults = {1.0, 0.0};

#define AT(field) offsetof(struct options, field)
static const struct cb_option options[] = {
    {"scale", "the factor", CB_OPT_REAL, AT(scale), 0, 0},
    {"shift", "what is added", CB_OPT_REAL, AT(shift), 0, 0},
};

CB_PLUGIN({
    .name = "scale_shift",
    .family = "arithmetic",
    .summary = "x times a fixed number, plus another",
    .formula = "y = scale * x + shift",
    .example = "- scale_shift: {scale: 2.0, shift: -1.0}",
    CB_OPTIONS(options, defaults),
    .pointwise = CB_POINTWISE(CB_NEEDS_X),
})
