/* onnx_lower_recurrent.c: LSTM and GRU as lstm and gru.
 *
 * ONNX stacks the gates as i, o, f, c and z, r, h, for W [directions, gates H, C] and R [directions, gates H, H], with the
 * input's biases and then the state's in B; ours stand side by side as i, f, g, o and r, z, n. Sequences are [T,N,C] there
 * (or, with layout 1, [N,T,C]), Y is [T,directions,N,H], and Y_h, [directions,N,H], is Y where a direction ends. */
#include <string.h>

#include "exchange/onnx_lower.h"

struct kind {
    const char *word;
    uint32_t gates;
    uint32_t order[4]; /* which of our gates stands at each place of ONNX's */
    const char *activations[3];
};
static const struct kind lstm = {"lstm", 4, {0, 3, 1, 2}, {"Sigmoid", "Tanh", "Tanh"}},
                         gru = {"gru", 3, {1, 0, 2}, {"Sigmoid", "Tanh", NULL}};

struct sizes {
    int64_t steps, channels, units, directions;
    bool batch_first;
};

/* True for a value that is zero everywhere, however large it is: exporters make the first states of the batch's size. */
static bool is_zero(const struct cb_onnx_value *value, int depth)
{
    static const char *const movers[] = {"Expand", "Slice", "Gather", "Unsqueeze", "Squeeze", "Reshape", "Transpose", "Concat",
                                         "Cast", "Identity", "Tile", "Split"};
    double number;
    if (value == NULL || depth > 16) {
        return false;
    }
    if (value->constant != NULL) {
        return cb__lower_uniform(value->constant, &number) && number == 0.0;
    }
    const struct cb_onnx_node *node = value->producer;
    if (node != NULL && strcmp(node->op, "ConstantOfShape") == 0) {
        const struct cb_onnx_attribute *fill = cb_onnx_attribute(node, "value");
        return fill == NULL || fill->tensor == NULL || (cb__lower_uniform(fill->tensor, &number) && number == 0.0);
    }
    for (size_t i = 0; node != NULL && i < sizeof(movers) / sizeof(movers[0]); i++) {
        if (strcmp(node->op, movers[i]) == 0) {
            const uint32_t count = strcmp(node->op, "Concat") == 0 ? node->input_count : 1;
            bool all = count > 0;
            for (uint32_t k = 0; k < count && k < 64 && all; k++) {
                all = is_zero(cb_onnx_input(node, k), depth + 1);
            }
            return all && count <= 64;
        }
    }
    return false;
}

/* The lengths say that every sequence has all steps. */
static bool are_full(const struct cb_onnx_value *lengths, int64_t steps)
{
    double number;
    return lengths == NULL ||
           (lengths->constant != NULL && cb__lower_uniform(lengths->constant, &number) && number == (double)steps);
}

static enum cb_status check_attributes(struct cb_lower *low, const struct cb_onnx_node *node, const struct kind *kind)
{
    const struct cb_onnx_attribute *activations = cb_onnx_attribute(node, "activations");
    const char *direction = cb_onnx_string(node, "direction", "forward");
    for (uint32_t i = 0; activations != NULL && i < activations->count; i++) {
        const char *usual = kind->activations[i % (kind->gates - 1)];
        if (strcmp(activations->strings[i], usual) != 0) {
            return cb__lower_fail(low, "the activation `%s` stands where %s has %s", activations->strings[i], kind->word, usual);
        }
    }
    if (strcmp(direction, "reverse") == 0) {
        return cb__lower_fail(low, "direction `reverse` is not supported; forward and bidirectional are (%s)", kind->word);
    }
    if (cb_onnx_attribute(node, "clip") != NULL || cb_onnx_int(node, "input_forget", 0) != 0) {
        return cb__lower_fail(low, "clip and input_forget are not supported (%s)", kind->word);
    }
    return CB_OK;
}

static enum cb_status check_states(struct cb_lower *low, const struct cb_onnx_node *node, const struct kind *kind,
                                   const struct sizes *s)
{
    if (!are_full(cb_onnx_input(node, 4), s->steps)) {
        return cb__lower_fail(low, "sequences of lengths of their own (sequence_lens) are not supported");
    }
    for (uint32_t i = 5; i < (kind == &lstm ? 7u : 6u); i++) {
        const struct cb_onnx_value *state = cb_onnx_input(node, i);
        if (state != NULL && !is_zero(state, 0)) {
            return cb__lower_fail(low, "its first state `%s` is not zero: %s begins with zeros, a state from outside has no place",
                                  state->name, kind->word);
        }
    }
    if (kind == &lstm && cb_onnx_input(node, 7) != NULL && !is_zero(cb_onnx_input(node, 7), 0)) {
        return cb__lower_fail(low, "peepholes are not supported (lstm)");
    }
    if (cb_onnx_output(node, 2) != NULL && cb_onnx_output(node, 2)->consumer_count > 0) {
        return cb__lower_fail(low, "its last cell (Y_c) is read, which lstm does not give out; its outputs are");
    }
    return CB_OK;
}

/* Our [rows, gates H] of a direction of [directions, gates H, rows]. */
static enum cb_status add_weights(struct cb_lower *low, const struct kind *kind, const struct sizes *s, const char *name,
                                  const float *values, int64_t rows)
{
    const int64_t gates = kind->gates * s->units, dims[] = {rows, gates};
    float *ours = CB_NEW_ARRAY(low->arena, float, (size_t)(rows * gates));
    if (ours == NULL) {
        return cb__lower_memory(low);
    }
    for (int64_t place = 0; place < gates; place++) {
        const int64_t to = kind->order[place / s->units] * s->units + place % s->units;
        for (int64_t r = 0; r < rows; r++) {
            ours[r * gates + to] = values[place * rows + r];
        }
    }
    return cb__lower_param(low, name, 2, dims, ours);
}

static enum cb_status add_bias(struct cb_lower *low, const struct kind *kind, const struct sizes *s, const char *name,
                               const float *values)
{
    const int64_t gates = kind->gates * s->units;
    float *ours = CB_NEW_ARRAY(low->arena, float, (size_t)gates);
    if (ours == NULL) {
        return cb__lower_memory(low);
    }
    for (int64_t place = 0; place < gates; place++) {
        ours[kind->order[place / s->units] * s->units + place % s->units] = values[place];
    }
    return cb__lower_param(low, name, 1, &gates, ours);
}

static float *values_of(struct cb_lower *low, const struct cb_onnx_tensor *tensor)
{
    float *values = CB_NEW_ARRAY(low->arena, float, (size_t)tensor->count);
    if (values != NULL) {
        cb_onnx_tensor_f32(tensor, values);
    }
    return values;
}

/* With one step and the reset in front of the product, which multiplies zeros then, the state's bias is just added. */
static void move_reset_bias(const struct sizes *s, float *bias)
{
    float *input = bias + 2 * s->units, *state = bias + 5 * s->units; /* of gate h: z, r, h, z, r, h */
    for (int64_t i = 0; i < s->units; i++) {
        input[i] += state[i];
        state[i] = 0.0f;
    }
}

static enum cb_status add_params(struct cb_lower *low, const struct cb_onnx_node *node, const struct kind *kind,
                                 const struct sizes *s)
{
    static const char *const names[2][4] = {{"w_ih", "w_hh", "b_ih", "b_hh"},
                                            {"w_ih_reverse", "w_hh_reverse", "b_ih_reverse", "b_hh_reverse"}};
    const struct cb_onnx_tensor *b = cb_onnx_constant(node, 3);
    const int64_t gates = kind->gates * s->units;
    const float *w = values_of(low, cb_onnx_constant(node, 1)), *r = values_of(low, cb_onnx_constant(node, 2));
    float *bias = b != NULL ? values_of(low, b) : NULL;
    if (w == NULL || r == NULL || (b != NULL && bias == NULL)) {
        return cb__lower_memory(low);
    }
    for (int64_t d = 0; d < s->directions; d++) {
        CB_TRY(add_weights(low, kind, s, names[d][0], w + d * gates * s->channels, s->channels));
        CB_TRY(add_weights(low, kind, s, names[d][1], r + d * gates * s->units, s->units));
        if (bias != NULL) {
            if (kind == &gru && cb_onnx_int(node, "linear_before_reset", 0) == 0) {
                move_reset_bias(s, bias + d * 2 * gates);
            }
            CB_TRY(add_bias(low, kind, s, names[d][2], bias + d * 2 * gates));
            CB_TRY(add_bias(low, kind, s, names[d][3], bias + (d * 2 + 1) * gates));
        }
    }
    return CB_OK;
}

static bool has_dims(const struct cb_onnx_tensor *tensor, uint32_t rank, int64_t a, int64_t b, int64_t c)
{
    return tensor != NULL && tensor->rank == rank && tensor->dims[0] == a && tensor->dims[1] == b &&
           (rank < 3 || tensor->dims[2] == c) && tensor->count > 0;
}

/* Sizes of a node whose weights are constants that fit each other. */
static enum cb_status read_sizes(struct cb_lower *low, const struct cb_onnx_node *node, const struct kind *kind,
                                 struct sizes *s)
{
    const struct cb_onnx_value *x = cb_onnx_input(node, 0);
    const struct cb_onnx_tensor *w = cb_onnx_constant(node, 1), *r = cb_onnx_constant(node, 2);
    *s = (struct sizes){.batch_first = cb_onnx_int(node, "layout", 0) != 0};
    if (x == NULL || !x->has_shape || x->rank != 3 || w == NULL || r == NULL || r->rank != 3) {
        return cb__lower_fail(low, "it takes sequences [T,N,C] and weights that are constants of the file");
    }
    if (!cb_onnx_dim_is_batch(x, s->batch_first ? 0 : 1)) {
        char shape[512];
        return cb__lower_fail(low, "of its input %s, axis %d is not the network's batch, as its sequences must be",
                              cb_onnx_format_shape(x, shape), s->batch_first ? 0 : 1);
    }
    s->steps = x->dims[s->batch_first ? 1 : 0].fixed;
    s->channels = x->dims[2].fixed;
    s->directions = r->dims[0];
    s->units = r->dims[2];
    const int64_t gates = kind->gates * s->units;
    const bool has_bias = cb_onnx_input(node, 3) != NULL;
    const bool both = strcmp(cb_onnx_string(node, "direction", "forward"), "bidirectional") == 0;
    if (s->directions != (both ? 2 : 1) || !has_dims(w, 3, s->directions, gates, s->channels) ||
        !has_dims(r, 3, s->directions, gates, s->units) ||
        (has_bias && !has_dims(cb_onnx_constant(node, 3), 2, s->directions, 2 * gates, 0))) {
        return cb__lower_fail(low, "its weights do not fit its input and each other");
    }
    if (kind == &gru && cb_onnx_int(node, "linear_before_reset", 0) == 0 && s->steps > 1) {
        return cb__lower_fail(low, "linear_before_reset 0 is not supported; 1, as PyTorch writes it and Keras with reset_after, "
                              "is (gru)");
    }
    return CB_OK;
}

/* Y [T,directions,N,H] of the wire [N,T,directions H]. */
static enum cb_status set_outputs(struct cb_lower *low, const struct cb_onnx_node *node, const struct sizes *s,
                                  struct cb_flat_wire wire)
{
    static const uint32_t time_first[] = {2, 0, 1, 3}, batch_first[] = {0, 1, 2, 3};
    const struct cb_onnx_value *y = cb_onnx_output(node, 0);
    struct cb_view view;
    if (y == NULL || (y->consumer_count == 0 && !y->is_output)) {
        return CB_OK;
    }
    CB_TRY(cb__lower_fresh(low, y, s->batch_first ? batch_first : time_first, &view));
    view.wire = wire;
    view.wire_rank = 2;
    view.wire_dims[0] = s->steps;
    view.wire_dims[1] = s->directions * s->units;
    cb__lower_set(low, y, &view);
    return CB_OK;
}

/* Numbers from .. from+units-1 of the token that `word` takes. */
static enum cb_status end_of(struct cb_lower *low, const struct sizes *s, const char *word, int64_t from, struct cb_flat_wire y,
                             struct cb_flat_wire *out)
{
    CB_TRY(cb__lower_add(low, word, &y, 1, out));
    if (s->directions == 1) {
        return CB_OK;
    }
    const struct cb_flat_wire token = *out;
    CB_TRY(cb__lower_add(low, "slice", &token, 1, out));
    cb__lower_int(low, "axis", -1);
    cb__lower_int(low, "from", from);
    cb__lower_int(low, "to", from + s->units);
    cb__lower_int(low, "step", 1);
    return CB_OK;
}

/* Y_h [directions,N,H]: forward ends at the last step, the other way at the first. */
static enum cb_status set_last(struct cb_lower *low, const struct cb_onnx_node *node, const struct sizes *s,
                               struct cb_flat_wire y)
{
    static const uint32_t directions_first[] = {1, 0, 2}, batch_first[] = {0, 1, 2};
    const struct cb_onnx_value *last = cb_onnx_output(node, 1);
    struct cb_flat_wire ends[2], wire;
    struct cb_view view;
    if (last == NULL || (last->consumer_count == 0 && !last->is_output)) {
        return CB_OK;
    }
    CB_TRY(end_of(low, s, "last_token", 0, y, &ends[0]));
    wire = ends[0];
    if (s->directions == 2) {
        CB_TRY(end_of(low, s, "first_token", s->units, y, &ends[1]));
        CB_TRY(cb__lower_add(low, "concat", ends, 2, &wire));
    }
    CB_TRY(cb__lower_fresh(low, last, s->batch_first ? batch_first : directions_first, &view));
    view.wire = wire;
    view.wire_rank = 1;
    view.wire_dims[0] = s->directions * s->units;
    cb__lower_set(low, last, &view);
    return CB_OK;
}

static enum cb_status lower_recurrent(struct cb_lower *low, const struct cb_onnx_node *node, const struct kind *kind)
{
    static const uint32_t time_first[] = {0, 2}, batch_first[] = {1, 2};
    struct sizes s;
    struct cb_view x;
    struct cb_flat_wire y;
    CB_TRY(check_attributes(low, node, kind));
    CB_TRY(read_sizes(low, node, kind, &s));
    CB_TRY(check_states(low, node, kind, &s));
    CB_TRY(cb__lower_view(low, cb_onnx_input(node, 0), &x));
    CB_TRY(cb__lower_arrange_axes(low, &x, s.batch_first ? batch_first : time_first, 2));
    CB_TRY(cb__lower_add(low, kind->word, &x.wire, 1, &y));
    cb__lower_int(low, "units", s.units);
    cb__lower_bool(low, "bidirectional", s.directions == 2);
    cb__lower_bool(low, "bias", cb_onnx_input(node, 3) != NULL);
    CB_TRY(add_params(low, node, kind, &s));
    CB_TRY(set_outputs(low, node, &s, y));
    return set_last(low, node, &s, y);
}

static enum cb_status lower_lstm(struct cb_lower *low, const struct cb_onnx_node *node)
{
    return lower_recurrent(low, node, &lstm);
}

static enum cb_status lower_gru(struct cb_lower *low, const struct cb_onnx_node *node)
{
    return lower_recurrent(low, node, &gru);
}

bool cb__lower_is_recurrent(const struct cb_onnx_node *node)
{
    return strcmp(node->op, "LSTM") == 0 || strcmp(node->op, "GRU") == 0;
}

const struct cb_lower_operator cb__lower_recurrent[] = {
    {"LSTM", lower_lstm},
    {"GRU", lower_gru},
    {NULL, NULL},
};
