/* onnx_lower_products.c: matrix products: with a constant they are dense layers, of two activations `matmul`. */
#include <stdlib.h>
#include <string.h>

#include "exchange/onnx_lower.h"

/* x with axis `axis` (its length K) multiplied by the [K, L] matrix that `w` is, or [L, K] where it is transposed; `b` may
 * be NULL. The axis becomes one of L places. */
static enum cb_status dense(struct cb_lower *low, struct cb_view *view, uint32_t axis, const struct cb_onnx_tensor *w,
                            bool transposed, double factor, const struct cb_onnx_tensor *b, double b_factor)
{
    const int64_t k_size = w->dims[transposed ? w->rank - 1 : w->rank - 2], units = w->dims[transposed ? w->rank - 2 : w->rank - 1];
    struct cb_atoms set = view->axes[axis], order = {0};
    if (cb__atoms_have(&set, 0) || cb__atoms_size(view, &set) != k_size) {
        return cb__lower_fail(low, "the rows of its matrix do not fit its input");
    }
    bool flat = view->rank == 2 && view->order.count > 1;
    CB_TRY(flat ? CB_OK : cb__lower_arrange_last(low, view, &set));
    if (flat) {
        const int64_t one[] = {k_size};
        struct cb_atoms keep = {0}, others = {0};
        for (uint32_t i = 0; i < view->order.count; i++) {
            cb__atoms_add(cb__atoms_have(&set, view->order.items[i]) ? &keep : &others, view->order.items[i]);
        }
        CB_TRY(others.count == 1 ? cb__lower_arrange(low, view, &view->order, 1, one) : cb__lower_arrange_last(low, view, &set));
    }
    for (uint32_t i = 0; i < view->order.count; i++) {
        if (cb__atoms_have(&set, view->order.items[i])) {
            cb__atoms_add(&order, view->order.items[i]);
        }
    }
    /* The rows' own numbers, laid out as the input's channels are, tell in which order they come. */
    if (k_size >= 1 << 24) { /* floats count no further */
        return cb__lower_fail(low, "its matrix has more than 16 million rows");
    }
    float *numbers = CB_NEW_ARRAY(low->arena, float, (size_t)k_size), *rows;
    for (int64_t i = 0; numbers != NULL && i < k_size; i++) {
        numbers[i] = (float)i;
    }
    if (numbers == NULL) {
        return cb__lower_memory(low);
    }
    const struct cb_onnx_tensor index = {.name = w->name, .type = CB_ONNX_FLOAT, .rank = 1, .dims = {k_size}, .strides = {1},
                                         .count = k_size, .data = (const unsigned char *)numbers};
    CB_TRY(cb__lower_values(low, view, &index, axis, &order, &rows));
    float *plain = malloc((size_t)w->count * sizeof(*plain)), *values = CB_NEW_ARRAY(low->arena, float, (size_t)w->count);
    if (plain == NULL || values == NULL) {
        free(plain);
        return cb__lower_memory(low);
    }
    cb_onnx_tensor_f32(w, plain);
    for (int64_t k = 0; k < k_size; k++) {
        const int64_t from = (int64_t)rows[k];
        for (int64_t n = 0; n < units; n++) {
            values[k * units + n] = plain[transposed ? n * k_size + from : from * units + n] * (float)factor;
        }
    }
    free(plain);
    if (view->wire_rank == 0 || view->wire_dims[view->wire_rank - 1] != k_size) {
        return cb__lower_fail(low, "its input cannot be laid out for a dense layer");
    }
    CB_TRY(cb__lower_map(low, view, "dense"));
    cb__lower_int(low, "units", units);
    cb__lower_bool(low, "bias", b != NULL);
    cb__lower_owner(low, w);
    const int64_t dims[] = {k_size, units};
    CB_TRY(cb__lower_param(low, "w", 2, dims, values));
    if (b != NULL) {
        float *bias = CB_NEW_ARRAY(low->arena, float, (size_t)units);
        if (bias == NULL) {
            return cb__lower_memory(low);
        }
        for (int64_t n = 0; n < units; n++) {
            bias[n] = (float)(cb_onnx_tensor_real(b, b->count == 1 ? 0 : n) * b_factor);
        }
        CB_TRY(cb__lower_param(low, "b", 1, &units, bias));
    }
    struct cb_atoms left = {0};
    for (uint32_t i = 0; i < view->order.count; i++) {
        if (!cb__atoms_have(&set, view->order.items[i])) {
            cb__atoms_add(&left, view->order.items[i]);
        }
    }
    view->order = left;
    view->axes[axis] = (struct cb_atoms){0};
    if (units > 1) {
        uint8_t atom;
        CB_TRY(cb__lower_new_atom(low, view, units, &atom));
        cb__atoms_add(&view->order, atom);
        cb__atoms_add(&view->axes[axis], atom);
    }
    view->wire_dims[view->wire_rank - 1] = units;
    return CB_OK;
}

/* The product over axes `ka` of a and `kb` of b; the other axes of b, of `shared` pairs, are those of a. The result's axes:
 * the shared ones, then a's `ma`, then b's `nb`. */
static enum cb_status product(struct cb_lower *low, struct cb_view *a, uint32_t ma, uint32_t ka, struct cb_view *b, uint32_t kb,
                              uint32_t nb, uint32_t batches, struct cb_view *out)
{
    struct cb_atoms shared_a = {0}, shared_b = {0}, all_a = {0}, all_b = {0};
    for (uint32_t d = 0; d < batches; d++) {
        const bool has_a = a->axes[d].count > 0, has_b = b->axes[d].count > 0;
        if (has_a != has_b) {
            return cb__lower_fail(low, "matrices that serve several others (broadcasting along axis %u) are not supported; `matmul` "
                                  "takes equal axes", (unsigned)d);
        }
        CB_TRY(cb__lower_align(low, a, d, b, d));
    }
    CB_TRY(cb__lower_align(low, a, ka, b, kb));
    for (uint32_t d = 0; d < batches; d++) {
        cb__atoms_join(&all_a, &a->axes[d]);
        cb__atoms_join(&all_b, &b->axes[d]);
    }
    for (uint32_t i = 0; i < a->order.count; i++) { /* in a's order */
        for (uint32_t k = 0; k < all_a.count; k++) {
            if (all_a.items[k] == a->order.items[i]) {
                cb__atoms_add(&shared_a, all_a.items[k]);
                cb__atoms_add(&shared_b, all_b.items[k]);
            }
        }
    }
    if (shared_a.count == 0 || shared_a.items[0] != 0 || shared_b.items[0] != 0) {
        return cb__lower_fail(low, "it multiplies across the batch, whose samples stay apart here");
    }
    bool transposed[2];
    for (uint32_t side = 0; side < 2; side++) {
        struct cb_view *view = side == 0 ? a : b;
        const struct cb_atoms *shared = side == 0 ? &shared_a : &shared_b;
        const struct cb_atoms *row = &view->axes[side == 0 ? ma : kb], *column = &view->axes[side == 0 ? ka : nb];
        struct cb_atoms order = *shared;
        cb__atoms_join(&order, column);
        cb__atoms_join(&order, row);
        transposed[side] = cb__atoms_equal(&order, &view->order) && row->count > 0 && column->count > 0;
        if (!transposed[side]) {
            order = *shared;
            cb__atoms_join(&order, row);
            cb__atoms_join(&order, column);
        }
        int64_t dims[3] = {cb__atoms_size(view, shared)};
        uint32_t rank = shared->count > 1 ? 1 : 0;
        dims[rank++] = cb__atoms_size(view, transposed[side] ? column : row);
        dims[rank++] = cb__atoms_size(view, transposed[side] ? row : column);
        CB_TRY(cb__lower_arrange(low, view, &order, rank, dims));
    }
    const struct cb_flat_wire inputs[] = {a->wire, b->wire};
    struct cb_view y = {.is_set = true, .atom_count = 1, .size = {1}, .rank = batches + 2, .order = {1, {0}}};
    CB_TRY(cb__lower_add(low, "matmul", inputs, 2, &y.wire));
    cb__lower_bool(low, "transpose_a", transposed[0]);
    cb__lower_bool(low, "transpose_b", transposed[1]);
    uint8_t to[CB_ATOMS] = {0};
    for (uint32_t i = 1; i < shared_a.count; i++) {
        CB_TRY(cb__lower_new_atom(low, &y, a->size[shared_a.items[i]], &to[shared_a.items[i]]));
        cb__atoms_add(&y.order, to[shared_a.items[i]]);
    }
    for (uint32_t d = 0; d < batches; d++) {
        for (uint32_t i = 0; i < a->axes[d].count; i++) {
            cb__atoms_add(&y.axes[d], to[a->axes[d].items[i]]);
        }
    }
    const struct cb_atoms *ends[] = {&a->axes[ma], &b->axes[nb]};
    for (uint32_t e = 0; e < 2; e++) {
        const struct cb_view *view = e == 0 ? a : b;
        for (uint32_t i = 0; i < ends[e]->count; i++) {
            uint8_t atom;
            CB_TRY(cb__lower_new_atom(low, &y, view->size[ends[e]->items[i]], &atom));
            cb__atoms_add(&y.order, atom);
            cb__atoms_add(&y.axes[batches + e], atom);
        }
    }
    if (shared_a.count > 1) {
        y.wire_dims[y.wire_rank++] = cb__atoms_size(a, &shared_a);
    }
    y.wire_dims[y.wire_rank++] = cb__atoms_size(a, &a->axes[ma]);
    y.wire_dims[y.wire_rank++] = cb__atoms_size(b, &b->axes[nb]);
    *out = y;
    return CB_OK;
}

/* A constant of more than a matrix, repeated for each sample, as an activation with the axes of `like` but the last two. */
static enum cb_status repeated(struct cb_lower *low, const struct cb_onnx_tensor *constant, struct cb_flat_wire like,
                               struct cb_view *out)
{
    constant = cb__lower_one_sample(low, constant);
    *out = (struct cb_view){.is_set = true, .atom_count = 1, .size = {1}, .rank = constant->rank, .order = {1, {0}}};
    if (constant->dims[0] != 1) {
        return cb__lower_fail(low, "its constant `%s` is not one for every sample", constant->name);
    }
    cb__atoms_add(&out->axes[0], 0);
    for (uint32_t d = 1; d < constant->rank; d++) {
        out->wire_dims[out->wire_rank++] = constant->dims[d];
        if (constant->dims[d] > 1) {
            uint8_t atom;
            CB_TRY(cb__lower_new_atom(low, out, constant->dims[d], &atom));
            cb__atoms_add(&out->axes[d], atom);
            cb__atoms_add(&out->order, atom);
        }
    }
    float *values;
    CB_TRY(cb__lower_values(low, out, constant, 0, &out->order, &values));
    CB_TRY(cb__lower_add(low, "broadcast_param", &like, 1, &out->wire));
    cb__lower_list(low, "shape", out->wire_dims, out->wire_rank);
    cb__lower_text(low, "as", "value");
    return cb__lower_param(low, "w", out->wire_rank, out->wire_dims, values);
}

static enum cb_status lower_matmul(struct cb_lower *low, const struct cb_onnx_node *node)
{
    const struct cb_onnx_tensor *ca = cb_onnx_constant(node, 0), *cb = cb_onnx_constant(node, 1);
    struct cb_view a, b, y;
    if (cb != NULL && cb->rank == 2) {
        CB_TRY(cb__lower_view(low, cb_onnx_input(node, 0), &a));
        CB_TRY(dense(low, &a, a.rank - 1, cb, false, 1.0, NULL, 1.0));
        cb__lower_set(low, cb_onnx_output(node, 0), &a);
        return CB_OK;
    }
    if (ca != NULL && ca->rank == 2) {
        CB_TRY(cb__lower_view(low, cb_onnx_input(node, 1), &b));
        if (b.rank < 2) {
            return cb__lower_fail(low, "a matrix times a vector is not supported");
        }
        CB_TRY(dense(low, &b, b.rank - 2, ca, true, 1.0, NULL, 1.0));
        cb__lower_set(low, cb_onnx_output(node, 0), &b);
        return CB_OK;
    }
    if (ca == NULL) {
        CB_TRY(cb__lower_view(low, cb_onnx_input(node, 0), &a));
    }
    if (cb == NULL) {
        CB_TRY(cb__lower_view(low, cb_onnx_input(node, 1), &b));
    }
    if (ca != NULL || cb != NULL) {
        CB_TRY(repeated(low, ca != NULL ? ca : cb, ca != NULL ? b.wire : a.wire, ca != NULL ? &a : &b));
    }
    if (a.rank != b.rank || a.rank < 3) {
        return cb__lower_fail(low, "inputs of rank %u and %u are not supported; `matmul` takes equal ranks, 3 or more",
                              (unsigned)a.rank, (unsigned)b.rank);
    }
    CB_TRY(product(low, &a, a.rank - 2, a.rank - 1, &b, b.rank - 2, b.rank - 1, a.rank - 2, &y));
    cb__lower_set(low, cb_onnx_output(node, 0), &y);
    return CB_OK;
}

static enum cb_status lower_gemm(struct cb_lower *low, const struct cb_onnx_node *node)
{
    const struct cb_onnx_tensor *w = cb_onnx_constant(node, 1), *c = cb_onnx_constant(node, 2);
    struct cb_view view;
    CB_TRY(cb__lower_view(low, cb_onnx_input(node, 0), &view));
    if (w == NULL || w->rank != 2 || (cb_onnx_input(node, 2) != NULL && c == NULL)) {
        return cb__lower_fail(low, "a product of two inputs is not supported; `matmul` multiplies [N,M,K] and [N,K,L]");
    }
    const bool transposed = cb_onnx_int(node, "transB", 0) != 0;
    const int64_t units = w->dims[transposed ? 0 : 1];
    const bool is_bias = c != NULL && c->rank >= 1 && c->count == units && c->dims[c->rank - 1] == units;
    const double beta = cb_onnx_real(node, "beta", 1.0);
    CB_TRY(dense(low, &view, cb_onnx_int(node, "transA", 0) != 0 ? 0 : 1, w, transposed, cb_onnx_real(node, "alpha", 1.0),
                 is_bias ? c : NULL, beta));
    if (c != NULL && !is_bias) {
        CB_TRY(cb__lower_constant(low, &view, c, false, false, beta));
    }
    cb__lower_set(low, cb_onnx_output(node, 0), &view);
    return CB_OK;
}

/* ---- einsum ------------------------------------------------------------------------------------------------------------ */

/* Merges the axes of `letters` into one: the view's axis list becomes [shared..., rows, columns]. */
static void group_axes(struct cb_view *view, const char *labels, const char *const *groups, uint32_t shared)
{
    struct cb_atoms axes[CB_MAX_RANK] = {{0}};
    uint32_t rank = 0;
    for (uint32_t i = 0; i < shared; i++) {
        axes[rank++] = view->axes[strchr(labels, groups[0][i]) - labels];
    }
    for (uint32_t g = 1; g < 3; g++) {
        for (const char *c = groups[g]; *c != '\0'; c++) {
            cb__atoms_join(&axes[rank], &view->axes[strchr(labels, *c) - labels]);
        }
        rank++;
    }
    memcpy(view->axes, axes, sizeof(axes));
    view->rank = rank;
}

/* "bhqd,bhkd->bhqk" of two activations, or of an activation and a constant matrix. */
static enum cb_status lower_einsum(struct cb_lower *low, const struct cb_onnx_node *node)
{
    char text[64] = "", part[3][16] = {{0}};
    uint32_t length = 0, p = 0;
    for (const char *c = cb_onnx_string(node, "equation", ""); *c != '\0' && length < 60; c++) {
        if (*c != ' ') {
            text[length++] = *c;
        }
    }
    for (uint32_t i = 0, k = 0; i < length; i++) {
        const bool arrow = text[i] == '-' && text[i + 1] == '>';
        if (text[i] == ',' || arrow) {
            p++;
            k = 0;
            i += arrow;
            if (p > 2) {
                break;
            }
        } else if (k < 8 && ((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z')) &&
                   strchr(part[p], text[i]) == NULL) {
            part[p][k++] = text[i];
        } else {
            p = 9;
            break;
        }
    }
    struct cb_view views[2];
    if (p != 2 || node->input_count != 2) {
        return cb__lower_fail(low, "the equation `%s` is not supported; products of two inputs are (matmul)", text);
    }
    for (uint32_t i = 0; i < 2; i++) {
        if (cb_onnx_constant(node, i) != NULL) {
            return cb__lower_fail(low, "a constant in the equation `%s` is not supported; products of two activations are (matmul)",
                                  text);
        }
        CB_TRY(cb__lower_view(low, cb_onnx_input(node, i), &views[i]));
        if (views[i].rank != strlen(part[i])) {
            return cb__lower_fail(low, "the equation `%s` does not fit its inputs", text);
        }
    }
    char shared[16] = "", m[16] = "", k[16] = "", n[16] = "";
    for (const char *c = part[0]; *c != '\0'; c++) {
        const bool in_b = strchr(part[1], *c) != NULL, in_y = strchr(part[2], *c) != NULL;
        char *to = in_b && in_y ? shared : in_b ? k : in_y ? m : NULL;
        if (to == NULL) {
            return cb__lower_fail(low, "the equation `%s` sums over an axis of one input; products alone are supported", text);
        }
        to[strlen(to)] = *c;
    }
    for (const char *c = part[1]; *c != '\0'; c++) {
        if (strchr(part[0], *c) == NULL) {
            if (strchr(part[2], *c) == NULL) {
                return cb__lower_fail(low, "the equation `%s` sums over an axis of one input", text);
            }
            n[strlen(n)] = *c;
        }
    }
    const uint32_t count = (uint32_t)strlen(shared);
    if (count == 0 || count + 2 > CB_MAX_RANK) {
        return cb__lower_fail(low, "the equation `%s` mixes the samples of a batch", text);
    }
    for (uint32_t i = 0; i < strlen(k); i++) { /* equal parts, so that the merged axes are aligned */
        CB_TRY(cb__lower_align(low, &views[0], (uint32_t)(strchr(part[0], k[i]) - part[0]), &views[1],
                               (uint32_t)(strchr(part[1], k[i]) - part[1])));
    }
    const struct cb_view before[2] = {views[0], views[1]};
    group_axes(&views[0], part[0], (const char *const[]){shared, m, k}, count);
    group_axes(&views[1], part[1], (const char *const[]){shared, k, n}, count);
    struct cb_view y;
    CB_TRY(product(low, &views[0], count, count + 1, &views[1], count, count + 1, count, &y));
    /* The result's rows and columns fall apart into their letters again: their atoms come in the same order. */
    struct cb_atoms axes[CB_MAX_RANK] = {{0}};
    uint32_t at[2] = {0, 0};
    char made[40];
    strcpy(made, shared);
    strcat(made, m);
    strcat(made, n);
    if (strlen(made) > CB_MAX_RANK || strlen(made) != strlen(part[2])) {
        return cb__lower_fail(low, "the equation `%s` is not supported", text);
    }
    for (uint32_t i = 0; i < strlen(made); i++) {
        const uint32_t to = (uint32_t)(strchr(part[2], made[i]) - part[2]);
        if (i < count) {
            axes[to] = y.axes[i];
            continue;
        }
        const uint32_t side = i < count + strlen(m) ? 0 : 1;
        const uint32_t from = (uint32_t)(strchr(part[side], made[i]) - part[side]);
        int64_t size = cb__atoms_size(&before[side], &before[side].axes[from]);
        while (size > 1 && at[side] < y.axes[count + side].count) {
            const uint8_t atom = y.axes[count + side].items[at[side]++];
            cb__atoms_add(&axes[to], atom);
            size /= y.size[atom];
        }
    }
    y.rank = (uint32_t)strlen(part[2]);
    memcpy(y.axes, axes, sizeof(axes));
    cb__lower_set(low, cb_onnx_output(node, 0), &y);
    return CB_OK;
}

const struct cb_lower_operator cb__lower_products[] = {
    {"MatMul", lower_matmul}, {"Gemm", lower_gemm}, {"Einsum", lower_einsum},
    {NULL, NULL},
};
