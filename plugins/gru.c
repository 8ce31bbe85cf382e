/* gru: gated recurrent units (Cho 2014, as torch.nn.GRU) over [N,T,C] -> [N,T,H], or [N,T,2H] bidirectional; s is the
 * logistic function, h is zero before the first step:
 *
 *   r, z = s(x_t w_ih + b_ih + h w_hh + b_hh),  n = tanh(x_t w_in + b_in + r (h w_hn + b_hn)),
 *   y_t = h' = (1 - z) n + z h
 *
 * The gates stand in PyTorch's order r, z, n in w_ih [C,3H], w_hh [H,3H], b_ih and b_hh [3H]. */
#include "recurrent.h"

static const struct recurrent_options defaults = RECURRENT_DEFAULTS;

static const struct cb_option options[] = {RECURRENT_OPTION_TABLE};

static const struct recurrent_kind kind = {"gru", "gru_step", "gru_step_back", 3, false};

RECURRENT_LAYER(kind);

CB_PLUGIN({
    .name = "gru",
    .family = "sequences",
    .summary = "gated recurrent units: reads a sequence step by step, in one or both directions",
    .formula = "r = sigmoid(x w_ir + b_ir + h w_hr + b_hr)\n"
               "z = sigmoid(x w_iz + b_iz + h w_hz + b_hz)\n"
               "n = tanh(x w_in + b_in + r * (h w_hn + b_hn))\n"
               "y = h' = (1 - z) * n + z * h\n"
               "h is 0 at first; w_ih holds w_ir, w_iz and w_in side by side, w_hh, b_ih and b_hh likewise",
    .example = "- gru: {units: 128, bidirectional: true}",
    CB_OPTIONS(options, defaults),
    .dx_needs = CB_NEEDS_Y | CB_NEEDS_PARAMS | CB_NEEDS_SAVED,
    .dw_needs = CB_NEEDS_X | CB_NEEDS_Y | CB_NEEDS_PARAMS | CB_NEEDS_SAVED,
    .variants = CB_ARRAY(variants),
    .infer = infer,
})
