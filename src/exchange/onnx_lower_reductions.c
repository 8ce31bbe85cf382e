/* onnx_lower_reductions.c: sums, means and largest values over axes. */
#include <string.h>

#include "exchange/onnx_lower.h"

static enum cb_status read_axes(struct cb_lower *low, const struct cb_onnx_node *node, uint32_t rank, bool *is_reduced,
                                bool *out_nothing)
{
    int64_t axes[CB_MAX_RANK];
    uint32_t count = 0;
    const int64_t *said = cb_onnx_ints(node, "axes", &count);
    if (said != NULL && count <= CB_MAX_RANK) {
        memcpy(axes, said, count * sizeof(*said));
    } else if (cb_onnx_input(node, 1) != NULL && !cb__lower_constant_ints(node, 1, axes, CB_MAX_RANK, &count)) {
        return cb__lower_fail(low, "axes that depend on the input are not supported");
    }
    *out_nothing = count == 0 && cb_onnx_int(node, "noop_with_empty_axes", 0) != 0;
    for (uint32_t a = 0; a < rank; a++) {
        is_reduced[a] = count == 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        const int64_t axis = cb__lower_axis(axes[i], rank);
        if (axis < 0) {
            return cb__lower_fail(low, "it has no axis %lld", (long long)axes[i]);
        }
        is_reduced[axis] = true;
    }
    return CB_OK;
}

static enum cb_status reduce(struct cb_lower *low, struct cb_view *view, const struct cb_atoms *set, const char *word)
{
    bool is_in[CB_ATOMS] = {false};
    int64_t axes[CB_MAX_RANK], kept[CB_MAX_RANK];
    uint32_t count = 0, left = 0;
    CB_TRY(cb__lower_arrange_runs(low, view, set, is_in));
    for (uint32_t d = 0; d < view->wire_rank; d++) {
        if (is_in[d]) {
            axes[count++] = d + 1;
        } else {
            kept[left++] = view->wire_dims[d];
        }
    }
    const bool is_pool = strcmp(word, "mean") == 0 && view->wire_rank == 3 && count == 2 && left == 1 && !is_in[2];
    CB_TRY(cb__lower_map(low, view, is_pool ? "global_avgpool" : word));
    if (!is_pool) {
        cb__lower_list(low, "axes", axes, count);
        cb__lower_bool(low, "keep", left == 0);
    }
    if (left == 0) {
        for (; left < view->wire_rank; left++) {
            kept[left] = 1;
        }
    }
    view->wire_rank = left;
    memcpy(view->wire_dims, kept, left * sizeof(kept[0]));
    struct cb_atoms order = {0};
    for (uint32_t i = 0; i < view->order.count; i++) {
        if (!cb__atoms_have(set, view->order.items[i])) {
            cb__atoms_add(&order, view->order.items[i]);
        }
    }
    view->order = order;
    return CB_OK;
}

static const struct {
    const char *op, *before, *word, *after;
} reductions[] = {
    {"ReduceMean", NULL, "mean", NULL}, {"ReduceSum", NULL, "sum", NULL}, {"ReduceMax", NULL, "maximum", NULL},
    {"ReduceMin", "-", "maximum", "-"}, {"ReduceL2", "square", "sum", "sqrt"}, {"ReduceSumSquare", "square", "sum", NULL},
    {"ReduceL1", "abs", "sum", NULL}, {"ReduceLogSum", NULL, "sum", "log"},
};

static enum cb_status map(struct cb_lower *low, struct cb_view *view, const char *word)
{
    return word == NULL ? CB_OK : strcmp(word, "-") == 0 ? cb__lower_affine(low, view, -1.0, 0.0) : cb__lower_map(low, view, word);
}

static enum cb_status lower_reduce(struct cb_lower *low, const struct cb_onnx_node *node)
{
    struct cb_view view;
    bool is_reduced[CB_MAX_RANK], nothing = false;
    struct cb_atoms set = {0};
    CB_TRY(cb__lower_view(low, cb_onnx_input(node, 0), &view));
    CB_TRY(read_axes(low, node, view.rank, is_reduced, &nothing));
    size_t which = 0;
    while (strcmp(reductions[which].op, node->op) != 0) {
        which++;
    }
    for (uint32_t a = 0; a < view.rank && !nothing; a++) {
        if (is_reduced[a]) {
            cb__atoms_join(&set, &view.axes[a]);
        }
    }
    if (cb__atoms_have(&set, 0)) {
        return cb__lower_fail(low, "it goes over the batch, whose samples stay apart here");
    }
    CB_TRY(map(low, &view, reductions[which].before));
    if (set.count > 0) {
        CB_TRY(reduce(low, &view, &set, reductions[which].word));
    }
    CB_TRY(map(low, &view, reductions[which].after));
    const bool keep = cb_onnx_int(node, "keepdims", 1) != 0;
    uint32_t rank = 0;
    for (uint32_t a = 0; a < view.rank && !nothing; a++) {
        if (!is_reduced[a]) {
            view.axes[rank++] = view.axes[a];
        } else if (keep) {
            view.axes[rank++] = (struct cb_atoms){0};
        }
    }
    view.rank = nothing ? view.rank : rank;
    cb__lower_set(low, cb_onnx_output(node, 0), &view);
    return CB_OK;
}

const struct cb_lower_operator cb__lower_reductions[] = {
    {"ReduceMean", lower_reduce}, {"ReduceSum", lower_reduce}, {"ReduceMax", lower_reduce}, {"ReduceMin", lower_reduce},
    {"ReduceL2", lower_reduce}, {"ReduceSumSquare", lower_reduce}, {"ReduceL1", lower_reduce}, {"ReduceLogSum", lower_reduce},
    {NULL, NULL},
};
