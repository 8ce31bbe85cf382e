/* reduce.h: what sum, mean and maximum share: the axes that they take together, and the strides that follow.
 *
 * Neighbouring axes of one kind, kept or reduced, are one loop. With at most eight axes of which the first is kept there
 * are at most four of each; the kernels (cl/include/reduce.clh) take a work-item per element of the output. */
#ifndef CAMBIUM_REDUCE_H
#define CAMBIUM_REDUCE_H

#include <cambium/layer.h>

struct reduce_options {
    struct cb_list axes; /* of int64_t */
    uint32_t keep;
};

#define REDUCE_OPTION_TABLE                                                                        \
    {"axes", "axes that are taken together, counted from N as 0; negative ones from the last as -1", CB_OPT_INTS, \
     offsetof(struct reduce_options, axes), 1 - CB_MAX_RANK, CB_MAX_RANK - 1, NULL, CB_OPTION_REQUIRED,           \
     CB_MAX_RANK - 1},                                                                             \
    {                                                                                              \
        "keep", "whether the axes stay in the output with size 1", CB_OPT_BOOL, offsetof(struct reduce_options, keep) \
    }

/* Loops from the outermost to the innermost, of size 1 where there are fewer; strides in elements of x. */
struct reduce_loops {
    int64_t outputs, count; /* elements of y, and of x for each of them */
    int64_t kept[4], kept_stride[4], reduced[4], reduced_stride[4];
};

/* In the order in which reduce.clh takes them. The outermost kept size is not needed. */
#define REDUCE_ARGS(l)                                                                             \
    CB_A_I64((l).outputs), CB_A_I32((l).kept[1]), CB_A_I32((l).kept[2]), CB_A_I32((l).kept[3]),    \
        CB_A_I64((l).kept_stride[0]), CB_A_I64((l).kept_stride[1]), CB_A_I64((l).kept_stride[2]),  \
        CB_A_I64((l).kept_stride[3]), CB_A_I32((l).reduced[0]), CB_A_I32((l).reduced[1]), CB_A_I32((l).reduced[2]), \
        CB_A_I32((l).reduced[3]), CB_A_I64((l).reduced_stride[0]), CB_A_I64((l).reduced_stride[1]), \
        CB_A_I64((l).reduced_stride[2]), CB_A_I64((l).reduced_stride[3])

/* Bit i: axis i is reduced. */
static inline uint32_t reduce_mask(const struct reduce_options *o, uint32_t rank)
{
    uint32_t mask = 0;
    for (uint32_t i = 0; i < o->axes.count; i++) {
        const int64_t axis = ((const int64_t *)o->axes.items)[i];
        mask |= CB_BIT(axis < 0 ? axis + rank : axis);
    }
    return mask;
}

static inline struct reduce_loops reduce_loops(const struct cb_instance *in)
{
    const struct cb_tensor *x = in->x[0];
    const uint32_t mask = reduce_mask(in->options, x->rank);
    struct reduce_loops l = {.outputs = 1, .count = 1, .kept = {1, 1, 1, 1}, .reduced = {1, 1, 1, 1}};
    int kept = 4, reduced = 4;
    int64_t stride = 1;
    for (uint32_t i = x->rank; i-- > 0; stride *= x->dims[i]) {
        const bool is_reduced = (mask >> i) & 1u, is_new = i + 1 == x->rank || ((mask >> (i + 1)) & 1u) != is_reduced;
        int *at = is_reduced ? &reduced : &kept;
        *at -= is_new;
        (is_reduced ? l.reduced : l.kept)[*at] *= x->dims[i];
        *(is_reduced ? &l.count : &l.outputs) *= x->dims[i];
        if (is_new) {
            (is_reduced ? l.reduced_stride : l.kept_stride)[*at] = stride;
        }
    }
    return l;
}

static inline enum cb_status reduce_check_axes(struct cb_instance *in)
{
    const struct reduce_options *o = in->options;
    const struct cb_host *host = in->host;
    const int64_t rank = in->x[0]->rank;
    uint32_t seen = 0;
    for (uint32_t i = 0; i < o->axes.count; i++) {
        const int64_t given = ((const int64_t *)o->axes.items)[i], axis = given < 0 ? given + rank : given;
        if (axis < 0 || axis >= rank) {
            return host->fail(in->core, CB_MISMATCH, "axes", "there is no axis %lld in an input of rank %lld",
                              (long long)given, (long long)rank);
        }
        if (axis == 0) {
            return host->fail(in->core, CB_INVALID, "axes",
                              "axis %lld is N, the samples, which are never taken together", (long long)given);
        }
        if ((seen >> axis) & 1u) {
            return host->fail(in->core, CB_INVALID, "axes", "axis %lld stands twice in `axes`", (long long)given);
        }
        seen |= CB_BIT(axis);
    }
    return seen != 0 ? CB_OK : host->fail(in->core, CB_INVALID, "axes", "`axes` is empty");
}

static inline enum cb_status reduce_infer(struct cb_instance *in)
{
    const struct reduce_options *o = in->options;
    const struct cb_tensor *x = in->x[0];
    CB_TRY(reduce_check_axes(in));
    const uint32_t mask = reduce_mask(o, x->rank);
    int64_t dims[CB_MAX_RANK];
    uint32_t rank = 0;
    for (uint32_t i = 0; i < x->rank; i++) {
        const bool is_reduced = (mask >> i) & 1u;
        if (!is_reduced || o->keep) {
            dims[rank++] = is_reduced ? 1 : x->dims[i];
        }
    }
    return in->host->output(in->core, 0, CB_F32, rank, dims);
}

#endif
