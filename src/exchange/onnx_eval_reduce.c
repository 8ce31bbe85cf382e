/* onnx_eval_reduce.c: sums, products and extremes of constants along axes. */
#include <math.h>
#include <string.h>

#include "exchange/onnx_work.h"

enum kind { SUM, MEAN, PROD, MIN, MAX, SUM_SQUARE, L1, L2, LOG_SUM, LOG_SUM_EXP, NO_KIND };

static enum kind kind_of(const char *op)
{
    static const char *const names[] = {"ReduceSum", "ReduceMean", "ReduceProd", "ReduceMin", "ReduceMax",
                                        "ReduceSumSquare", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp"};
    for (int i = 0; i < NO_KIND; i++) {
        if (strcmp(op, names[i]) == 0) {
            return (enum kind)i;
        }
    }
    return NO_KIND;
}

static double start_of(enum kind kind)
{
    return kind == PROD ? 1 : kind == MIN ? INFINITY : kind == MAX ? -INFINITY : 0;
}

static double add_real(enum kind kind, double sum, double x)
{
    switch (kind) {
    case PROD: return sum * x;
    case MIN: return x < sum || isnan(x) ? x : sum;
    case MAX: return x > sum || isnan(x) ? x : sum;
    case L2:
    case SUM_SQUARE: return sum + x * x;
    case L1: return sum + fabs(x);
    case LOG_SUM_EXP: return sum + exp(x);
    default: return sum + x;
    }
}

static int64_t add_int(enum kind kind, int64_t sum, int64_t x)
{
    switch (kind) {
    case PROD: return (int64_t)((uint64_t)sum * (uint64_t)x);
    case MIN: return x < sum ? x : sum;
    case MAX: return x > sum ? x : sum;
    default: return (int64_t)((uint64_t)sum + (uint64_t)x);
    }
}

static double end_of(enum kind kind, double sum, int64_t count)
{
    switch (kind) {
    case MEAN: return sum / (double)count;
    case L2: return sqrt(sum);
    case LOG_SUM:
    case LOG_SUM_EXP: return log(sum);
    default: return sum;
    }
}

/* Where an element of `x` goes in the output, whose reduced axes are 1 or gone. */
static int64_t target_of(const struct cb_onnx_tensor *y, uint32_t rank, uint32_t reduced, bool keep,
                         const int64_t *index)
{
    int64_t at = 0;
    for (uint32_t i = 0, axis = 0; i < rank; i++) {
        bool is_reduced = reduced >> i & 1;
        if (!is_reduced) {
            at += index[i] * y->strides[axis];
        }
        axis += !is_reduced || keep;
    }
    return at;
}

/* The axes as bits; all where none is named. False: they are not known. */
static bool read_axes(const struct cb__onnx_work *w, uint32_t rank, uint32_t *out)
{
    int64_t axes[CB_MAX_RANK];
    uint32_t count;
    bool known;
    if (cb__onnx_axes(w, 1, rank, axes, &count, &known) != CB_OK || !known) {
        return false;
    }
    *out = 0;
    for (uint32_t i = 0; i < count; i++) {
        *out |= 1u << axes[i];
    }
    if (count == 0 && !cb_onnx_int(w->node, "noop_with_empty_axes", 0)) {
        *out = (1u << rank) - 1;
    }
    return true;
}

static bool reduce_reals(const struct cb_onnx_tensor *x, struct cb_onnx_tensor *y, uint32_t reduced, bool keep,
                         enum kind kind, struct cb_arena *arena)
{
    double *sums = CB_NEW_ARRAY(arena, double, (size_t)y->count);
    struct cb__onnx_walk walk;
    if (!sums) {
        return false;
    }
    for (int64_t i = 0; i < y->count; i++) {
        sums[i] = start_of(kind);
    }
    cb__onnx_walk_begin(&walk, x);
    for (int64_t i = 0; i < x->count; i++) {
        double *sum = &sums[target_of(y, x->rank, reduced, keep, walk.index)];
        *sum = add_real(kind, *sum, cb__onnx_load_real(x, walk.offset));
        cb__onnx_walk_next(&walk);
    }
    for (int64_t i = 0; i < y->count; i++) {
        cb__onnx_store_real(y, i, end_of(kind, sums[i], y->count ? x->count / y->count : 1));
    }
    return true;
}

static bool reduce_ints(const struct cb_onnx_tensor *x, struct cb_onnx_tensor *y, uint32_t reduced, bool keep,
                        enum kind kind)
{
    struct cb__onnx_walk walk;
    if (kind > MAX || kind == MEAN || x->count == 0 || x->type == CB_ONNX_UINT64) {
        return false;
    }
    for (int pass = 0; pass < 2; pass++) { /* first to the elements themselves, so that Min and Max begin with one */
        cb__onnx_walk_begin(&walk, x);
        for (int64_t i = 0; i < x->count; i++) {
            int64_t at = target_of(y, x->rank, reduced, keep, walk.index);
            int64_t value = cb__onnx_load_int(x, walk.offset);
            int64_t start = kind == PROD ? 1 : kind == SUM ? 0 : value;
            cb__onnx_store_int(y, at, pass == 0 ? start : add_int(kind, cb__onnx_load_int(y, at), value));
            cb__onnx_walk_next(&walk);
        }
    }
    return true;
}

bool cb__onnx_eval_reduce(struct cb__onnx_work *w)
{
    const struct cb_onnx_tensor *x = w->in[0].tensor;
    enum kind kind = kind_of(w->node->op);
    bool keep = cb_onnx_int(w->node, "keepdims", 1);
    uint32_t reduced;
    if (kind == NO_KIND || x->type == CB_ONNX_STRING || !read_axes(w, x->rank, &reduced)) {
        return false;
    }
    if (!cb__onnx_spend(w->graph, x->count)) {
        return false;
    }
    struct cb_onnx_tensor *y = cb__onnx_make_output(w, 0);
    if (!y) {
        return false;
    }
    return cb_onnx_type_is_real(x->type) ? reduce_reals(x, y, reduced, keep, kind, w->graph->arena)
                                         : reduce_ints(x, y, reduced, keep, kind);
}

bool cb__onnx_eval_arg(struct cb__onnx_work *w)
{
    const struct cb_onnx_tensor *x = w->in[0].tensor;
    bool is_max = strcmp(w->node->op, "ArgMax") == 0, keep = cb_onnx_int(w->node, "keepdims", 1);
    bool is_last = cb_onnx_int(w->node, "select_last_index", 0);
    uint32_t axis;
    if (!cb__onnx_spend(w->graph, x->count) || cb__onnx_axis(w, "axis", 0, x->rank, &axis) != CB_OK) {
        return false;
    }
    struct cb_onnx_tensor *y = cb__onnx_make_output(w, 0);
    double *best = y ? CB_NEW_ARRAY(w->graph->arena, double, (size_t)y->count) : NULL;
    struct cb__onnx_walk walk;
    cb__onnx_walk_begin(&walk, x);
    for (int64_t i = 0; best && i < x->count; i++) {
        int64_t at = target_of(y, x->rank, 1u << axis, keep, walk.index);
        double value = cb__onnx_load_real(x, walk.offset);
        value = is_max ? value : -value;
        if (walk.index[axis] == 0 || value > best[at] || (is_last && value == best[at])) {
            best[at] = value;
            cb__onnx_store_int(y, at, walk.index[axis]);
        }
        cb__onnx_walk_next(&walk);
    }
    return best;
}

bool cb__onnx_eval_cumsum(struct cb__onnx_work *w)
{
    const struct cb_onnx_tensor *x = w->in[0].tensor;
    int64_t axis = cb_onnx_tensor_int(w->in[1].tensor, 0);
    bool skips_own = cb_onnx_int(w->node, "exclusive", 0), is_back = cb_onnx_int(w->node, "reverse", 0);
    axis += axis < 0 ? x->rank : 0;
    if (axis < 0 || axis >= x->rank || w->in_count != 2) {
        return false;
    }
    struct cb_onnx_tensor *y = cb__onnx_make_output(w, 0);
    bool is_real = y && cb_onnx_type_is_real(y->type);
    int64_t length = x->dims[axis];
    struct cb__onnx_walk walk;
    cb__onnx_walk_begin(&walk, x);
    for (int64_t i = 0; y && i < x->count; i++, cb__onnx_walk_next(&walk)) {
        if (walk.index[axis] != 0) {
            continue;
        }
        double sum = 0;
        int64_t total = 0;
        for (int64_t k = 0; k < length; k++) {
            int64_t step = is_back ? length - 1 - k : k, to = i + step * y->strides[axis];
            int64_t from = walk.offset + step * x->strides[axis];
            double real = is_real ? cb__onnx_load_real(x, from) : 0;
            int64_t integer = is_real ? 0 : cb__onnx_load_int(x, from);
            double next = sum + real;
            int64_t next_total = (int64_t)((uint64_t)total + (uint64_t)integer);
            if (is_real) {
                cb__onnx_store_real(y, to, skips_own ? sum : next);
            } else {
                cb__onnx_store_int(y, to, skips_own ? total : next_total);
            }
            sum = next;
            total = next_total;
        }
    }
    return y;
}
