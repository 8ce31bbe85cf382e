/* onnx_lower_arithmetic.c: sums, products and their like, of two activations or of one and a constant; broadcasting. */
#include <math.h>
#include <string.h>

#include "exchange/onnx_lower.h"

/* ---- two activations --------------------------------------------------------------------------------------------------- */

/* Aligns the axes of both; `shared` are a's atoms that b has too, in a's wire order, `theirs` the same of b. Fails where b
 * has an axis that a has not. */
static enum cb_status align(struct cb_lower *low, struct cb_view *a, struct cb_view *b, struct cb_atoms *shared,
                            struct cb_atoms *theirs, bool *out_b_is_larger)
{
    struct cb_atoms in_a = {0}, in_b = {0};
    bool a_only = false, b_only = false;
    const uint32_t rank = a->rank > b->rank ? a->rank : b->rank;
    for (uint32_t d = 0; d < rank; d++) { /* from the last axis */
        const bool has_a = d < a->rank && a->axes[a->rank - 1 - d].count > 0;
        const bool has_b = d < b->rank && b->axes[b->rank - 1 - d].count > 0;
        if (has_a && has_b) {
            CB_TRY(cb__lower_align(low, a, a->rank - 1 - d, b, b->rank - 1 - d));
            cb__atoms_join(&in_a, &a->axes[a->rank - 1 - d]);
            cb__atoms_join(&in_b, &b->axes[b->rank - 1 - d]);
        }
        a_only |= has_a && !has_b;
        b_only |= has_b && !has_a;
    }
    if (a_only && b_only) {
        return cb__lower_fail(low, "both inputs would have to be repeated along some axis; one of them may be");
    }
    *out_b_is_larger = b_only;
    const struct cb_view *large = b_only ? b : a;
    const struct cb_atoms *large_in = b_only ? &in_b : &in_a, *small_in = b_only ? &in_a : &in_b;
    shared->count = theirs->count = 0;
    for (uint32_t i = 0; i < large->order.count; i++) {
        for (uint32_t k = 0; k < large_in->count; k++) {
            if (large_in->items[k] == large->order.items[i]) {
                cb__atoms_add(shared, large_in->items[k]);
                cb__atoms_add(theirs, small_in->items[k]);
            }
        }
    }
    if (shared->count == 0 || shared->items[0] != 0 || theirs->items[0] != 0) {
        return cb__lower_fail(low, "one of its inputs has no batch");
    }
    return CB_OK;
}

/* b as a tensor of a's shape, or a as [N, ..., C] and b as [N, C] with all that they share in C. */
static enum cb_status bring_together(struct cb_lower *low, struct cb_view *a, struct cb_view *b, const struct cb_atoms *shared,
                                     const struct cb_atoms *theirs, bool *out_is_gate)
{
    *out_is_gate = shared->count != a->order.count;
    if (!*out_is_gate) {
        return cb__lower_arrange(low, b, theirs, a->wire_rank, a->wire_dims);
    }
    struct cb_atoms set = {0};
    for (uint32_t i = 1; i < shared->count; i++) {
        cb__atoms_add(&set, shared->items[i]);
    }
    CB_TRY(cb__lower_arrange_last(low, a, &set));
    int64_t dims[] = {cb__atoms_size(a, &set)};
    if (a->wire_rank < 2) { /* [N, X, 1] */
        int64_t two[2] = {a->wire_dims[0], 1};
        if (set.count > 0) {
            return cb__lower_fail(low, "its inputs cannot be brought together");
        }
        CB_TRY(cb__lower_arrange(low, a, &a->order, 2, two));
    } else if (a->wire_dims[a->wire_rank - 1] != dims[0]) {
        int64_t two[2] = {cb__atoms_size(a, &a->order) / dims[0], dims[0]};
        CB_TRY(cb__lower_arrange(low, a, &a->order, 2, two));
    }
    return cb__lower_arrange(low, b, theirs, 1, dims);
}

/* The result has the axes of the larger one; the ONNX rank may be that of the other. */
static void keep_axes(struct cb_view *view, uint32_t rank)
{
    if (rank > view->rank) {
        const uint32_t more = rank - view->rank;
        for (uint32_t d = rank; d-- > 0;) {
            view->axes[d] = d >= more ? view->axes[d - more] : (struct cb_atoms){0};
        }
        view->rank = rank;
    }
}

static enum cb_status two_views(struct cb_lower *low, const char *op, struct cb_view a, struct cb_view b, struct cb_view *out)
{
    struct cb_atoms shared, theirs;
    bool swapped = false, is_gate = false;
    const uint32_t rank = a.rank > b.rank ? a.rank : b.rank;
    CB_TRY(align(low, &a, &b, &shared, &theirs, &swapped));
    if (swapped) {
        const struct cb_view c = a;
        a = b;
        b = c;
    }
    CB_TRY(bring_together(low, &a, &b, &shared, &theirs, &is_gate));
    const char *word = strcmp(op, "Add") == 0   ? "add"
                       : strcmp(op, "Sub") == 0 ? "subtract"
                       : strcmp(op, "Mul") == 0 ? "multiply"
                       : strcmp(op, "Div") == 0 ? "divide"
                       : strcmp(op, "Max") == 0 ? "max"
                                                : "min";
    double factor = 1.0;
    if (strcmp(word, "add") == 0 && is_gate) { /* add takes equal shapes alone: a - (-b) */
        word = "subtract";
        CB_TRY(cb__lower_affine(low, &b, -1.0, 0.0));
    } else if (strcmp(word, "subtract") == 0 && swapped) { /* b - a = -(a - b) */
        factor = -1.0;
    } else if (strcmp(word, "divide") == 0 && swapped) {
        CB_TRY(cb__lower_map(low, &a, "pow"));
        cb__lower_real(low, "exponent", -1.0);
        word = "multiply";
    }
    const struct cb_flat_wire inputs[] = {a.wire, b.wire};
    CB_TRY(cb__lower_add(low, word, inputs, 2, &a.wire));
    CB_TRY(cb__lower_affine(low, &a, factor, 0.0));
    keep_axes(&a, rank);
    a.is_expanded = false; /* where both are, the result would not have its shape, which is checked */
    *out = a;
    return CB_OK;
}

/* ---- an activation and a constant --------------------------------------------------------------------------------------- */

/* True when all places along `axis` hold the same: an exporter that folds a table of one row leaves that. */
static bool repeats_along(const struct cb_onnx_tensor *tensor, uint32_t axis)
{
    int64_t inner = 1;
    for (uint32_t d = axis + 1; d < tensor->rank; d++) {
        inner *= tensor->dims[d];
    }
    const int64_t whole = inner * tensor->dims[axis];
    for (int64_t i = 0; i < tensor->count; i++) {
        const int64_t first = i / whole * whole + i % inner;
        if (i != first && cb_onnx_tensor_real(tensor, i) != cb_onnx_tensor_real(tensor, first)) {
            return false;
        }
    }
    return true;
}

enum cb_status cb__lower_constant(struct cb_lower *low, struct cb_view *view, const struct cb_onnx_tensor *constant,
                                  bool multiply, bool invert, double factor)
{
    double one;
    const bool trained = cb__lower_is_trained(constant);
    struct cb_onnx_tensor once = *constant;
    if (!trained && cb__lower_uniform(constant, &one) && constant->rank <= view->rank) {
        one = (invert ? 1.0 / one : one) * factor;
        return cb__lower_affine(low, view, multiply ? one : 1.0, multiply ? 0.0 : one);
    }
    for (uint32_t d = 0; d < once.rank && once.count > 0; d++) { /* one row at many places: one param */
        if (once.strides[d] == 0 || (!trained && repeats_along(&once, d))) {
            once.count /= once.dims[d];
            once.dims[d] = 1;
        }
    }
    constant = &once;
    keep_axes(view, constant->rank);
    if (constant->rank == view->rank && cb__atoms_have(&view->axes[0], 0)) {
        constant = cb__lower_one_sample(low, constant);
    }
    const int64_t axis0 = (int64_t)view->rank - constant->rank;
    struct cb_atoms set = {0}, order = {0};
    for (uint32_t d = 0; d < constant->rank; d++) {
        if (constant->dims[d] != 1) {
            if (view->axes[axis0 + d].count == 0) {
                return cb__lower_fail(low, "its constant `%s` would repeat what it meets along axis %u", constant->name,
                                      (unsigned)(axis0 + d));
            }
            cb__atoms_join(&set, &view->axes[axis0 + d]);
        }
    }
    bool is_in[CB_ATOMS] = {false};
    CB_TRY(cb__lower_arrange_runs(low, view, &set, is_in));
    for (uint32_t i = 0; i < view->order.count; i++) {
        if (cb__atoms_have(&set, view->order.items[i])) {
            cb__atoms_add(&order, view->order.items[i]);
        }
    }
    float *values;
    CB_TRY(cb__lower_values(low, view, constant, axis0, &order, &values));
    const int64_t count = cb__atoms_size(view, &order);
    for (int64_t i = 0; i < count; i++) {
        values[i] = (invert ? 1.0f / values[i] : values[i]) * (float)factor;
    }
    /* How it meets the wire's dims: the channels alone, positions and channels, or some others. */
    int64_t dims[CB_MAX_RANK];
    uint32_t ins = 0, first = view->wire_rank;
    for (uint32_t d = 0; d < view->wire_rank; d++) {
        dims[d] = is_in[d] ? view->wire_dims[d] : 1;
        ins += is_in[d];
        first = is_in[d] && first == view->wire_rank ? d : first;
    }
    const bool channels = ins == 1 && is_in[view->wire_rank - 1];
    if (channels && multiply) {
        CB_TRY(cb__lower_map(low, view, "layer_scale"));
        CB_TRY(cb__lower_param(low, "w", 1, &count, values));
    } else if (!multiply && view->wire_rank == 2 && ins == 2) {
        CB_TRY(cb__lower_map(low, view, "position_learned"));
        cb__lower_int(low, "max_length", dims[0]);
        CB_TRY(cb__lower_param(low, "w", 2, dims, values));
    } else {
        CB_TRY(cb__lower_map(low, view, "broadcast_param"));
        const uint32_t skip = channels ? view->wire_rank - 1 : ins == 0 ? view->wire_rank - 1 : first;
        cb__lower_list(low, "shape", dims + skip, view->wire_rank - skip);
        cb__lower_text(low, "as", multiply ? "factor" : "addend");
        CB_TRY(cb__lower_param(low, "w", view->wire_rank - skip, dims + skip, values));
    }
    if (!trained) {
        bool is_folded = strstr(constant->name, "mask") == NULL;
        if (!is_folded || cb_starts_with(constant->name, "/")) {
            cb__lower_freeze(low);
        }
    }
    return CB_OK;
}

static enum cb_status with_constant(struct cb_lower *low, const char *op, const struct cb_onnx_value *value,
                                    const struct cb_onnx_tensor *constant, bool constant_first, struct cb_view *view)
{
    CB_TRY(cb__lower_view(low, value, view));
    if (strcmp(op, "Add") == 0) {
        return cb__lower_constant(low, view, constant, false, false, 1.0);
    }
    if (strcmp(op, "Sub") == 0) {
        if (constant_first) {
            CB_TRY(cb__lower_affine(low, view, -1.0, 0.0));
        }
        return cb__lower_constant(low, view, constant, false, false, constant_first ? 1.0 : -1.0);
    }
    if (strcmp(op, "Mul") == 0) {
        return cb__lower_constant(low, view, constant, true, false, 1.0);
    }
    if (strcmp(op, "Div") == 0) {
        if (constant_first) {
            CB_TRY(cb__lower_map(low, view, "pow"));
            cb__lower_real(low, "exponent", -1.0);
        }
        return cb__lower_constant(low, view, constant, true, !constant_first, 1.0);
    }
    double bound;
    if (!cb__lower_uniform(constant, &bound)) {
        return cb__lower_fail(low, "a bound that is not one number is not supported");
    }
    const bool is_relu = strcmp(op, "Max") == 0 && bound == 0.0;
    CB_TRY(cb__lower_map(low, view, is_relu ? "relu" : "clip"));
    if (!is_relu) {
        cb__lower_real(low, strcmp(op, "Max") == 0 ? "min" : "max", bound);
    }
    return CB_OK;
}

static enum cb_status lower_binary(struct cb_lower *low, const struct cb_onnx_node *node)
{
    struct cb_view view = {0};
    for (uint32_t i = 1; i < node->input_count || i == 1; i++) {
        const struct cb_onnx_value *a = cb_onnx_input(node, 0), *b = cb_onnx_input(node, i);
        if (a == NULL || b == NULL) {
            if (a == NULL || node->input_count != 1) {
                return cb__lower_fail(low, "it needs two inputs");
            }
            CB_TRY(cb__lower_view(low, a, &view)); /* Max and Min of one */
            break;
        }
        if (i > 1) {
            struct cb_view other;
            if (b->constant != NULL) {
                return cb__lower_fail(low, "more than two inputs, one of them a constant, are not supported");
            }
            CB_TRY(cb__lower_any_view(low, b, &other));
            CB_TRY(two_views(low, node->op, view, other, &view));
        } else if (b->constant != NULL) {
            CB_TRY(with_constant(low, node->op, a, b->constant, false, &view));
        } else if (a->constant != NULL) {
            CB_TRY(with_constant(low, node->op, b, a->constant, true, &view));
        } else {
            struct cb_view first, second;
            CB_TRY(cb__lower_any_view(low, a, &first));
            CB_TRY(cb__lower_any_view(low, b, &second));
            CB_TRY(two_views(low, node->op, first, second, &view));
        }
    }
    cb__lower_set(low, cb_onnx_output(node, 0), &view);
    return CB_OK;
}

/* The mean of several, elementwise. */
static enum cb_status lower_sum(struct cb_lower *low, const struct cb_onnx_node *node)
{
    struct cb_view view, other;
    CB_TRY(cb__lower_view(low, cb_onnx_input(node, 0), &view));
    for (uint32_t i = 1; i < node->input_count; i++) {
        CB_TRY(cb__lower_view(low, cb_onnx_input(node, i), &other));
        CB_TRY(two_views(low, "Add", view, other, &view));
    }
    if (strcmp(node->op, "Mean") == 0) {
        CB_TRY(cb__lower_affine(low, &view, 1.0 / node->input_count, 0.0));
    }
    cb__lower_set(low, cb_onnx_output(node, 0), &view);
    return CB_OK;
}

const struct cb_lower_operator cb__lower_arithmetic[] = {
    {"Add", lower_binary}, {"Sub", lower_binary}, {"Mul", lower_binary}, {"Div", lower_binary}, {"Max", lower_binary},
    {"Min", lower_binary}, {"Sum", lower_sum}, {"Mean", lower_sum},
    {NULL, NULL},
};
