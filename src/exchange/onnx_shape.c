/* onnx_shape.c: types and shapes of operators that keep or broadcast the shapes of their inputs, of products, of
 * normalizations and reductions; and what the other files of shapes share. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "exchange/onnx_work.h"

/* ---- shared ---------------------------------------------------------------------------------------------------- */

enum cb_status cb__onnx_misfit(const struct cb__onnx_work *w, const char *fmt, ...)
{
    struct cb_text text = {0};
    char reason[512], shape[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(reason, sizeof(reason), fmt, args);
    va_end(args);
    for (uint32_t i = 0; i < w->node->input_count && i < 4; i++) {
        const struct cb_onnx_value *value = w->node->inputs[i];
        if (value) {
            cb_text_addf(&text, "%s`%s` %s", text.length ? ", " : "", value->name, cb_onnx_format_shape(value, shape));
        }
    }
    enum cb_status status = cb_onnx_fail(w->graph, w->node, CB_MISMATCH, w->diag, "%s (%s)", reason,
                                         text.data ? text.data : "no inputs");
    cb_text_free(&text);
    return status;
}

bool cb__onnx_has(const struct cb__onnx_work *w, uint32_t i)
{
    return i < w->in_count && w->in[i].has_shape;
}

enum cb_status cb__onnx_give(struct cb__onnx_work *w, uint32_t i, enum cb_onnx_type type, uint32_t rank,
                             const int64_t *dims)
{
    int64_t count;
    if (i >= w->out_count) {
        return CB_OK;
    }
    if (rank > CB_MAX_RANK) {
        return cb__onnx_misfit(w, "its output has %u dimensions; at most %d are read", rank, CB_MAX_RANK);
    }
    struct cb__onnx_arg *out = &w->out[i];
    out->type = type;
    out->has_shape = true;
    out->rank = rank;
    if (rank > 0) {
        memmove(out->dims, dims, rank * sizeof(*dims));
    }
    if (!cb__onnx_count(rank, out->dims, &count)) {
        return cb__onnx_misfit(w, "its output has a negative dimension, or more than 2^48 elements");
    }
    return CB_OK;
}

bool cb__onnx_integers(const struct cb__onnx_work *w, uint32_t i, uint32_t room, int64_t *out, uint32_t *out_count)
{
    *out_count = 0;
    const struct cb_onnx_tensor *tensor = i < w->in_count ? w->in[i].tensor : NULL;
    if (!tensor || tensor->count > room || tensor->type == CB_ONNX_STRING) {
        return false;
    }
    cb_onnx_tensor_i64(tensor, out);
    *out_count = (uint32_t)tensor->count;
    return true;
}

static enum cb_status check_axes(const struct cb__onnx_work *w, uint32_t rank, int64_t *axes, uint32_t count)
{
    uint32_t seen = 0;
    for (uint32_t i = 0; i < count; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
        if (axis < 0 || axis >= rank) {
            return cb__onnx_misfit(w, "there is no axis %" PRId64 " of %u", axes[i], rank);
        }
        if (seen >> axis & 1) {
            return cb__onnx_misfit(w, "axis %" PRId64 " is named twice", axis);
        }
        seen |= 1u << axis;
        axes[i] = axis;
    }
    return CB_OK;
}

enum cb_status cb__onnx_axes(const struct cb__onnx_work *w, uint32_t i, uint32_t rank, int64_t out[CB_MAX_RANK],
                             uint32_t *out_count, bool *out_known)
{
    uint32_t count;
    const int64_t *axes = cb_onnx_ints(w->node, "axes", &count);
    *out_known = true;
    *out_count = 0;
    if (axes) {
        if (count > CB_MAX_RANK) {
            return cb__onnx_misfit(w, "it has %u axes", count);
        }
        memcpy(out, axes, count * sizeof(*axes));
    } else if (i < w->in_count && w->node->inputs[i]) {
        *out_known = cb__onnx_integers(w, i, CB_MAX_RANK, out, &count);
        if (!*out_known) {
            return CB_OK;
        }
    }
    *out_count = count;
    return check_axes(w, rank, out, count);
}

enum cb_status cb__onnx_axis(const struct cb__onnx_work *w, const char *name, int64_t fallback, uint32_t rank,
                             uint32_t *out)
{
    int64_t axis = cb_onnx_int(w->node, name, fallback);
    CB_TRY(check_axes(w, rank, &axis, 1));
    *out = (uint32_t)axis;
    return CB_OK;
}

enum cb_status cb__onnx_broadcast(const struct cb__onnx_work *w, uint32_t first, uint32_t count, uint32_t *out_rank,
                                  int64_t out[CB_MAX_RANK], bool *out_known)
{
    *out_rank = 0;
    *out_known = true;
    for (uint32_t i = first; i < first + count && i < w->in_count; i++) {
        if (w->node->inputs[i] && !w->in[i].has_shape) {
            *out_known = false;
            return CB_OK;
        }
        *out_rank = w->in[i].rank > *out_rank ? w->in[i].rank : *out_rank;
    }
    for (uint32_t axis = 0; axis < *out_rank; axis++) {
        out[axis] = 1;
    }
    for (uint32_t i = first; i < first + count && i < w->in_count; i++) {
        uint32_t shift = *out_rank - w->in[i].rank;
        for (uint32_t axis = 0; w->node->inputs[i] && axis < w->in[i].rank; axis++) {
            int64_t dim = w->in[i].dims[axis], *target = &out[axis + shift];
            if (*target == 1) {
                *target = dim;
            } else if (dim != 1 && dim != *target) {
                return cb__onnx_misfit(w, "the shapes of its inputs cannot be broadcast to each other");
            }
        }
    }
    return CB_OK;
}

/* ---- elementwise ----------------------------------------------------------------------------------------------- */

enum cb_status cb__onnx_infer_same(struct cb__onnx_work *w)
{
    if (cb__onnx_has(w, 0)) {
        return cb__onnx_give(w, 0, w->in[0].type, w->in[0].rank, w->in[0].dims);
    }
    return CB_OK;
}

static enum cb_status give_broadcast(struct cb__onnx_work *w, uint32_t first, uint32_t count, enum cb_onnx_type type)
{
    uint32_t rank;
    int64_t dims[CB_MAX_RANK];
    bool known;
    CB_TRY(cb__onnx_broadcast(w, first, count, &rank, dims, &known));
    return known ? cb__onnx_give(w, 0, type, rank, dims) : CB_OK;
}

enum cb_status cb__onnx_infer_broadcast(struct cb__onnx_work *w)
{
    return w->in_count > 0 ? give_broadcast(w, 0, w->in_count, w->in[0].type) : CB_OK;
}

enum cb_status cb__onnx_infer_compare(struct cb__onnx_work *w)
{
    return give_broadcast(w, 0, 2, CB_ONNX_BOOL);
}

/* IsNaN, IsInf. */
enum cb_status cb__onnx_infer_asked(struct cb__onnx_work *w)
{
    return cb__onnx_has(w, 0) ? cb__onnx_give(w, 0, CB_ONNX_BOOL, w->in[0].rank, w->in[0].dims) : CB_OK;
}

enum cb_status cb__onnx_infer_where(struct cb__onnx_work *w)
{
    return w->in_count == 3 ? give_broadcast(w, 0, 3, w->in[1].type) : CB_OK;
}

enum cb_status cb__onnx_infer_cast(struct cb__onnx_work *w)
{
    enum cb_onnx_type type = (enum cb_onnx_type)cb_onnx_int(w->node, "to", 0);
    if (strcmp(w->node->op, "CastLike") == 0) {
        type = w->in_count > 1 ? w->in[1].type : CB_ONNX_UNDEFINED;
    }
    if (cb_onnx_type_bytes(type) == 0) {
        return cb_onnx_fail(w->graph, w->node, CB_UNSUPPORTED, w->diag, "it casts to type number %d, which is not read",
                            (int)type);
    }
    return cb__onnx_has(w, 0) ? cb__onnx_give(w, 0, type, w->in[0].rank, w->in[0].dims) : CB_OK;
}

/* The mask is bool since opset 10, before of the input's type. */
enum cb_status cb__onnx_infer_dropout(struct cb__onnx_work *w)
{
    if (!cb__onnx_has(w, 0)) {
        return CB_OK;
    }
    CB_TRY(cb__onnx_give(w, 0, w->in[0].type, w->in[0].rank, w->in[0].dims));
    return cb__onnx_give(w, 1, w->opset >= 10 ? CB_ONNX_BOOL : w->in[0].type, w->in[0].rank, w->in[0].dims);
}

/* Output 0 as input 0; the others (means, deviations of training) are not known. */
enum cb_status cb__onnx_infer_norm(struct cb__onnx_work *w)
{
    if (strcmp(w->node->op, "BatchNormalization") == 0 && cb__onnx_has(w, 0) && cb__onnx_has(w, 1)) {
        if (w->in[0].rank < 2 || w->in[1].rank != 1 || w->in[1].dims[0] != w->in[0].dims[1]) {
            return cb__onnx_misfit(w, "the scale does not have one value for each channel");
        }
    }
    return cb__onnx_infer_same(w);
}

/* ---- products -------------------------------------------------------------------------------------------------- */

enum cb_status cb__onnx_infer_matmul(struct cb__onnx_work *w)
{
    if (!cb__onnx_has(w, 0) || !cb__onnx_has(w, 1)) {
        return CB_OK;
    }
    struct cb__onnx_arg a = w->in[0], b = w->in[1];
    if (a.rank == 0 || b.rank == 0) {
        return cb__onnx_misfit(w, "a factor has no dimension");
    }
    bool is_row = a.rank == 1, is_column = b.rank == 1;
    int64_t rows = is_row ? 1 : a.dims[a.rank - 2], inner = a.dims[a.rank - 1];
    int64_t columns = is_column ? 1 : b.dims[b.rank - 1];
    if (inner != b.dims[is_column ? 0 : b.rank - 2]) {
        return cb__onnx_misfit(w, "the factors do not fit each other");
    }
    uint32_t a_outer = is_row ? 0 : a.rank - 2, b_outer = is_column ? 0 : b.rank - 2;
    uint32_t rank = a_outer > b_outer ? a_outer : b_outer;
    int64_t dims[CB_MAX_RANK + 2];
    for (uint32_t i = 0; i < rank; i++) {
        int64_t x = i + a_outer >= rank ? a.dims[i + a_outer - rank] : 1;
        int64_t y = i + b_outer >= rank ? b.dims[i + b_outer - rank] : 1;
        if (x != y && x != 1 && y != 1) {
            return cb__onnx_misfit(w, "the factors do not fit each other");
        }
        dims[i] = x == 1 ? y : x;
    }
    if (!is_row) {
        dims[rank++] = rows;
    }
    if (!is_column) {
        dims[rank++] = columns;
    }
    return cb__onnx_give(w, 0, a.type, rank, dims);
}

enum cb_status cb__onnx_infer_gemm(struct cb__onnx_work *w)
{
    if (!cb__onnx_has(w, 0) || !cb__onnx_has(w, 1)) {
        return CB_OK;
    }
    const struct cb__onnx_arg *a = &w->in[0], *b = &w->in[1];
    bool a_turned = cb_onnx_int(w->node, "transA", 0), b_turned = cb_onnx_int(w->node, "transB", 0);
    if (a->rank != 2 || b->rank != 2 || a->dims[!a_turned] != b->dims[b_turned]) {
        return cb__onnx_misfit(w, "the factors do not fit each other");
    }
    return cb__onnx_give(w, 0, a->type, 2, (int64_t[]){a->dims[a_turned], b->dims[!b_turned]});
}

/* "bhid,bhjd->bhij", each letter one size; without an arrow the letters that stand once, in order. No ellipsis. */
enum cb_status cb__onnx_infer_einsum(struct cb__onnx_work *w)
{
    const char *at = cb_onnx_string(w->node, "equation", "");
    int64_t sizes[128] = {0};
    uint32_t seen[128] = {0}, input = 0, axis = 0, rank = 0;
    int64_t dims[CB_MAX_RANK];
    const char *arrow = strstr(at, "->");
    if (strchr(at, '.')) {
        return CB_OK;
    }
    for (; *at && at != arrow; at++) {
        unsigned char letter = (unsigned char)*at;
        if (letter == ' ') {
            continue;
        }
        if (input >= w->in_count || !cb__onnx_has(w, input)) {
            return CB_OK;
        }
        if (letter == ',') {
            input++;
            axis = 0;
            continue;
        }
        if (letter > 127 || axis >= w->in[input].rank ||
            (seen[letter] && sizes[letter] != w->in[input].dims[axis] && sizes[letter] != 1 &&
             w->in[input].dims[axis] != 1)) {
            return cb__onnx_misfit(w, "its equation does not fit");
        }
        sizes[letter] = seen[letter] && sizes[letter] != 1 ? sizes[letter] : w->in[input].dims[axis];
        seen[letter]++;
        axis++;
    }
    for (unsigned char letter = 'A'; !arrow && letter <= 'z' && rank < CB_MAX_RANK; letter++) {
        if (seen[letter] == 1) {
            dims[rank++] = sizes[letter];
        }
    }
    for (at = arrow ? arrow + 2 : ""; *at; at++) {
        if (*at != ' ') {
            if ((unsigned char)*at > 127 || !seen[(unsigned char)*at] || rank == CB_MAX_RANK) {
                return cb__onnx_misfit(w, "its equation does not fit");
            }
            dims[rank++] = sizes[(unsigned char)*at];
        }
    }
    return cb__onnx_give(w, 0, w->in[0].type, rank, dims);
}

/* ---- reductions ------------------------------------------------------------------------------------------------ */

enum cb_status cb__onnx_infer_reduce(struct cb__onnx_work *w)
{
    int64_t axes[CB_MAX_RANK], dims[CB_MAX_RANK];
    uint32_t count, rank = 0, named = 0;
    bool known, keep = cb_onnx_int(w->node, "keepdims", 1);
    if (!cb__onnx_has(w, 0)) {
        return CB_OK;
    }
    CB_TRY(cb__onnx_axes(w, 1, w->in[0].rank, axes, &count, &known));
    if (!known) {
        return CB_OK;
    }
    if (count == 0 && cb_onnx_int(w->node, "noop_with_empty_axes", 0)) {
        return cb__onnx_infer_same(w);
    }
    for (uint32_t i = 0; i < count; i++) {
        named |= 1u << axes[i];
    }
    for (uint32_t i = 0; i < w->in[0].rank; i++) {
        bool is_reduced = count == 0 || (named >> i & 1);
        if (!is_reduced || keep) {
            dims[rank++] = is_reduced ? 1 : w->in[0].dims[i];
        }
    }
    return cb__onnx_give(w, 0, w->in[0].type, rank, dims);
}

enum cb_status cb__onnx_infer_arg(struct cb__onnx_work *w)
{
    uint32_t axis, rank = 0;
    int64_t dims[CB_MAX_RANK];
    bool keep = cb_onnx_int(w->node, "keepdims", 1);
    if (!cb__onnx_has(w, 0)) {
        return CB_OK;
    }
    CB_TRY(cb__onnx_axis(w, "axis", 0, w->in[0].rank, &axis));
    for (uint32_t i = 0; i < w->in[0].rank; i++) {
        if (i != axis || keep) {
            dims[rank++] = i == axis ? 1 : w->in[0].dims[i];
        }
    }
    return cb__onnx_give(w, 0, CB_ONNX_INT64, rank, dims);
}

enum cb_status cb__onnx_infer_topk(struct cb__onnx_work *w)
{
    uint32_t axis, count;
    int64_t k = cb_onnx_int(w->node, "k", -1), dims[CB_MAX_RANK];
    if (!cb__onnx_has(w, 0)) {
        return CB_OK;
    }
    CB_TRY(cb__onnx_axis(w, "axis", -1, w->in[0].rank, &axis));
    if (w->opset >= 10 && !cb__onnx_integers(w, 1, 1, &k, &count)) {
        return CB_OK;
    }
    memcpy(dims, w->in[0].dims, sizeof(dims));
    if (k < 0 || k > dims[axis]) {
        return cb__onnx_misfit(w, "there are no %" PRId64 " elements along axis %u", k, axis);
    }
    dims[axis] = k;
    CB_TRY(cb__onnx_give(w, 0, w->in[0].type, w->in[0].rank, dims));
    return cb__onnx_give(w, 1, CB_ONNX_INT64, w->in[0].rank, dims);
}

/* ---- recurrence and attention ---------------------------------------------------------------------------------- */

/* X [T, N, C], W [directions, gates * K, C]; with layout 1 the batch is first. Y [T, directions, N, K]. */
enum cb_status cb__onnx_infer_recurrent(struct cb__onnx_work *w)
{
    if (!cb__onnx_has(w, 0) || !cb__onnx_has(w, 2)) {
        return CB_OK;
    }
    const struct cb__onnx_arg *x = &w->in[0], *r = &w->in[2];
    if (x->rank != 3 || r->rank != 3) {
        return cb__onnx_misfit(w, "its input or its weights do not have three dimensions");
    }
    bool is_batch_first = cb_onnx_int(w->node, "layout", 0);
    int64_t time = x->dims[is_batch_first], batch = x->dims[!is_batch_first];
    int64_t ways = r->dims[0], hidden = r->dims[2];
    if (is_batch_first) {
        CB_TRY(cb__onnx_give(w, 0, x->type, 4, (int64_t[]){batch, time, ways, hidden}));
        CB_TRY(cb__onnx_give(w, 1, x->type, 3, (int64_t[]){batch, ways, hidden}));
        return cb__onnx_give(w, 2, x->type, 3, (int64_t[]){batch, ways, hidden});
    }
    CB_TRY(cb__onnx_give(w, 0, x->type, 4, (int64_t[]){time, ways, batch, hidden}));
    CB_TRY(cb__onnx_give(w, 1, x->type, 3, (int64_t[]){ways, batch, hidden}));
    return cb__onnx_give(w, 2, x->type, 3, (int64_t[]){ways, batch, hidden});
}

/* Attention of opset 23: Q [N, heads, T, C] or [N, T, heads * C]; the output has V's width. */
enum cb_status cb__onnx_infer_attention(struct cb__onnx_work *w)
{
    if (!cb__onnx_has(w, 0) || !cb__onnx_has(w, 2)) {
        return CB_OK;
    }
    const struct cb__onnx_arg *q = &w->in[0], *v = &w->in[2];
    int64_t dims[CB_MAX_RANK];
    memcpy(dims, q->dims, sizeof(dims));
    if (q->rank == 4 && v->rank == 4) {
        dims[3] = v->dims[3];
    } else if (q->rank == 3 && v->rank == 3) {
        int64_t heads = cb_onnx_int(w->node, "q_num_heads", 0), kept = cb_onnx_int(w->node, "kv_num_heads", 0);
        if (heads <= 0 || kept <= 0 || v->dims[2] % kept) {
            return cb__onnx_misfit(w, "its heads do not divide its inputs");
        }
        dims[2] = cb__onnx_times(v->dims[2] / kept, heads);
    } else {
        return cb__onnx_misfit(w, "its inputs have neither three nor four dimensions");
    }
    return cb__onnx_give(w, 0, q->type, q->rank, dims);
}
