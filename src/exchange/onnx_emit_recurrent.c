/* onnx_emit_recurrent.c: lstm and gru as ONNX nodes.
 *
 * Ours hold the gates side by side in the order i, f, g, o (lstm) and r, z, n (gru), as torch; ONNX
 * stacks them as i, o, f, c and z, r, h, for W [directions, gates H, C] and R [directions, gates H,
 * H], with the input's biases and then the state's in B. A gru's reset acts on what the state's
 * part gave (linear_before_reset). Sequences are [T,N,C]. */
#include "exchange/onnx_emit.h"

#include <string.h>

struct kind {
    const char *op;
    uint32_t gates;
    uint32_t order[4]; /* which of our gates stands at each place of ONNX's */
};
static const struct kind lstm = {"LSTM", 4, {0, 3, 1, 2}}, gru = {"GRU", 3, {1, 0, 2}};

static const struct cb_param *param_of(const struct cb_emit *e, const char *name, bool is_reverse)
{
    char full[32] = {0};
    strncat(full, name, 16);
    strncat(full, is_reverse ? "_reverse" : "", 10);
    return cb__emit_param(e, full);
}

/* Our [rows, gates H] of each direction as [directions, gates H, rows]. */
static const char *weights(struct cb_emit *e, const struct kind *kind, const char *name,
                           const char *as, int64_t h, int64_t directions)
{
    const int64_t rows = param_of(e, name, false)->decl.dims[0], gates = kind->gates * h;
    const int64_t dims[3] = {directions, gates, rows};
    float *values = cb__emit_room(e, directions * gates * rows);
    for (int64_t i = 0; values != NULL && i < directions * gates; i++) {
        const struct cb_param *w = param_of(e, name, i >= gates);
        const int64_t place = i % gates, from = kind->order[place / h] * h + place % h;
        for (int64_t c = 0; c < rows; c++) {
            values[i * rows + c] = w->host[c * gates + from];
        }
    }
    return cb__emit_floats(e, as, 3, dims, values);
}

static const char *biases(struct cb_emit *e, const struct kind *kind, int64_t h, int64_t directions)
{
    const int64_t gates = kind->gates * h, dims[2] = {directions, 2 * gates};
    if (param_of(e, "b_ih", false) == NULL) {
        return NULL;
    }
    float *values = cb__emit_room(e, directions * 2 * gates);
    for (int64_t i = 0; values != NULL && i < directions * 2 * gates; i++) {
        const bool is_state = i / gates % 2 == 1;
        const int64_t place = i % gates;
        values[i] = param_of(e, is_state ? "b_hh" : "b_ih", i >= 2 * gates)
                        ->host[kind->order[place / h] * h + place % h];
    }
    return cb__emit_floats(e, "B", 2, dims, values);
}

static void emit_recurrent(struct cb_emit *e, const struct kind *kind)
{
    static const int64_t time_first[] = {1, 0, 2}, time_back[] = {2, 0, 1, 3};
    const int64_t h = cb__emit_integer(e, "units"),
                  directions = cb__emit_integer(e, "bidirectional") != 0 ? 2 : 1;
    const char *lengths = cb__emit_lengths(e, 0);
    const char *x = cb__emit_transpose(e, cb__emit_x(e, 0, CB_LAST), 3, time_first);
    lengths = lengths == NULL ? NULL
                              : cb__emit_op(e, "Cast", CB_DRAFT_IN(lengths),
                                            CB_DRAFT_WITH(CB_DRAFT_INT("to", CB_DRAFT_I32)));
    const char *inputs[] = {x, weights(e, kind, "w_ih", "W", h, directions),
                            weights(e, kind, "w_hh", "R", h, directions),
                            biases(e, kind, h, directions), lengths};
    const struct cb_draft_attribute attributes[] = {
        CB_DRAFT_INT("hidden_size", h),
        CB_DRAFT_TEXT("direction", directions == 2 ? "bidirectional" : "forward"),
        CB_DRAFT_INT("linear_before_reset", 1)};
    const char *y = cb__emit_op(e, kind->op, inputs, 5, attributes,
                                kind == &gru ? 3 : 2); /* [T, directions, N, H] */
    const char *turned = cb__emit_transpose(e, y, 4, time_back);
    cb__emit_y(e, 0, cb__emit_reshape(e, turned, 2, cb__emit_y_shape(e, 0)->dims + 1), CB_LAST);
}

static void emit_lstm(struct cb_emit *e)
{
    emit_recurrent(e, &lstm);
}

static void emit_gru(struct cb_emit *e)
{
    emit_recurrent(e, &gru);
}

const struct cb_emission_entry cb__emit_recurrent_table[] = {
    {"lstm", emit_lstm},
    {"gru", emit_gru},
    {NULL, NULL},
};
