/* onnx_lower_attention.c: softmax(q k^T scale) v as the layer `attention`: found in the graph, and lowered so that queries,
 * keys and values stay [N,T,heads d], as the dense layers before them give them. */
#include <math.h>
#include <string.h>

#include "exchange/onnx_lower.h"

static bool same_dim(const struct cb_onnx_value *a, uint32_t i, const struct cb_onnx_value *b, uint32_t j)
{
    return a->dims[i].fixed == b->dims[j].fixed && a->dims[i].batch == b->dims[j].batch;
}

bool cb__lower_find_attention(const struct cb_onnx_node *node, struct cb_lower_match *match)
{
    double factors[3] = {1.0, 1.0, 1.0};
    const struct cb_onnx_node *softmax = cb__lower_made_by(cb_onnx_input(node, 0), "Softmax");
    struct cb_onnx_value *v = cb_onnx_input(node, 1);
    if (softmax == NULL || v == NULL || v->constant != NULL || !v->has_shape || v->rank < 3) {
        return false;
    }
    const uint32_t rank = v->rank;
    if (cb__lower_axis(cb_onnx_int(softmax, "axis", softmax->version < 13 ? 1 : -1), rank) != (int64_t)rank - 1) {
        return false;
    }
    const struct cb_onnx_value *scores = cb_onnx_input(softmax, 0), *scaled = cb__lower_scaled(scores, &factors[0]);
    const struct cb_onnx_node *product = cb__lower_made_by(scaled != NULL ? scaled : scores, "MatMul");
    factors[0] = scaled != NULL ? factors[0] : 1.0;
    if (product == NULL) {
        return false;
    }
    struct cb_onnx_value *q = cb_onnx_input(product, 0), *k = cb_onnx_input(product, 1);
    for (uint32_t i = 0; i < 2; i++) {
        struct cb_onnx_value **side = i == 0 ? &q : &k, *inner = cb__lower_scaled(*side, &factors[i + 1]);
        factors[i + 1] = inner != NULL ? factors[i + 1] : 1.0;
        *side = inner != NULL ? inner : *side;
        if (*side == NULL || (*side)->constant != NULL || !(*side)->has_shape || (*side)->rank != rank) {
            return false;
        }
    }
    for (uint32_t d = 0; d + 2 < rank; d++) {
        if (!same_dim(q, d, k, d) || !same_dim(q, d, v, d)) {
            return false;
        }
    }
    match->numbers[0] = factors[0] * factors[1] * factors[2];
    if (!cb_onnx_dim_is(q, rank - 1, k->dims[rank - 2].fixed) || !same_dim(q, rank - 1, v, rank - 1) || !(match->numbers[0] > 0) ||
        match->numbers[0] > 1e6 || q->dims[0].batch == 0) {
        return false;
    }
    match->inputs[0] = q;
    match->inputs[1] = k;
    match->inputs[2] = v;
    match->input_count = 3;
    match->lower = cb__lower_attention_match;
    return true;
}

/* [N, places, (heads, channels)] */
static enum cb_status as_tokens(struct cb_lower *low, struct cb_view *view, uint32_t tokens, uint32_t channels)
{
    struct cb_atoms groups[2] = {view->axes[tokens], {0}};
    for (uint32_t d = 0; d + 2 < view->rank; d++) {
        cb__atoms_join(&groups[1], &view->axes[d]);
    }
    cb__atoms_join(&groups[1], &view->axes[channels]);
    return cb__lower_arrange_groups(low, view, groups, 2);
}

enum cb_status cb__lower_attention_match(struct cb_lower *low, const struct cb_onnx_node *node, const struct cb_lower_match *match)
{
    struct cb_view q, k, v;
    CB_TRY(cb__lower_view(low, match->inputs[0], &q));
    CB_TRY(cb__lower_view(low, match->inputs[1], &k));
    CB_TRY(cb__lower_view(low, match->inputs[2], &v));
    const uint32_t last = q.rank - 1;
    for (int pass = 0; pass < 2; pass++) { /* what one splits, all split */
        for (uint32_t d = 0; d + 1 < last; d++) {
            CB_TRY(cb__lower_align(low, &q, d, &k, d));
            CB_TRY(cb__lower_align(low, &q, d, &v, d));
        }
        CB_TRY(cb__lower_align(low, &q, last, &k, last - 1));
        CB_TRY(cb__lower_align(low, &q, last, &v, last));
        CB_TRY(cb__lower_align(low, &k, last, &v, last - 1));
    }
    CB_TRY(as_tokens(low, &q, last - 1, last));
    CB_TRY(as_tokens(low, &k, last, last - 1));
    CB_TRY(as_tokens(low, &v, last - 1, last));
    const struct cb_flat_wire inputs[] = {q.wire, k.wire, v.wire};
    const int64_t channels = cb__atoms_size(&q, &q.axes[last]);
    CB_TRY(cb__lower_add(low, "attention", inputs, 3, &q.wire));
    cb__lower_int(low, "heads", q.wire_dims[1] / channels);
    if (fabs(match->numbers[0] * sqrt((double)channels) - 1.0) > 1e-5) {
        cb__lower_real(low, "scale", match->numbers[0]);
    }
    cb__lower_set(low, cb_onnx_output(node, 0), &q); /* the queries' axes, with the values' channels */
    return CB_OK;
}
