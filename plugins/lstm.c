/* lstm: long short-term memory (Hochreiter 1997, as torch.nn.LSTM) over [N,T,C] -> [N,T,H], or [N,T,2H] bidirectional;
 * s is the logistic function, h and c are zero before the first step:
 *
 *   i, f, o = s(x_t w_ih + b_ih + h w_hh + b_hh),  g = tanh(likewise),  c' = f c + i g,  y_t = h' = o tanh(c')
 *
 * The gates stand in PyTorch's order i, f, g, o in w_ih [C,4H], w_hh [H,4H], b_ih and b_hh [4H]. */
#include "recurrent.h"

static const struct recurrent_options defaults = RECURRENT_DEFAULTS;

static const struct cb_option options[] = {RECURRENT_OPTION_TABLE};

static const struct recurrent_kind kind = {"lstm", "lstm_step", "lstm_step_back", 4, true};

RECURRENT_LAYER(kind);

CB_PLUGIN({
    .name = "lstm",
    .family = "sequences",
    .summary = "long short-term memory: reads a sequence step by step, in one or both directions",
    .formula = "i = sigmoid(x w_ii + b_ii + h w_hi + b_hi)\n"
               "f = sigmoid(x w_if + b_if + h w_hf + b_hf)\n"
               "g = tanh(x w_ig + b_ig + h w_hg + b_hg)\n"
               "o = sigmoid(x w_io + b_io + h w_ho + b_ho)\n"
               "c' = f * c + i * g\n"
               "y = h' = o * tanh(c')\n"
               "h and c are 0 at first; w_ih holds w_ii, w_if, w_ig and w_io side by side, w_hh, b_ih and b_hh likewise",
    .example = "- lstm: {units: 128, bidirectional: true}",
    CB_OPTIONS(options, defaults),
    .dx_needs = CB_NEEDS_PARAMS | CB_NEEDS_SAVED,
    .dw_needs = CB_NEEDS_X | CB_NEEDS_Y | CB_NEEDS_PARAMS | CB_NEEDS_SAVED,
    .variants = CB_ARRAY(variants),
    .infer = infer,
})
