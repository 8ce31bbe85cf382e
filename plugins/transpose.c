/* transpose: the axes behind N in another order (Keras's Permute): axis d of y is axis permutation[d-1] of x. With
 * [3, 1, 2], pictures [N,H,W,C] become [N,C,H,W].
 *
 *   y[n, i(p1), i(p2), ...] = x[n, i1, i2, ...]      dx = dy with the order undone */
#include "box.h"

struct options {
    struct cb_list permutation; /* of int64_t */
};

static const struct options defaults = {.permutation = CB_LIST_EMPTY};

static const struct cb_option options[] = {
    {"permutation", "which axis of the input stands first behind N, which second, ...; the first axis behind N is 1",
     CB_OPT_INTS, offsetof(struct options, permutation), 1, CB_MAX_RANK - 1, NULL, CB_OPTION_REQUIRED, CB_MAX_RANK - 1},
};

static enum cb_status transpose_infer(struct cb_instance *in)
{
    const struct options *o = in->options;
    const struct cb_tensor *x = in->x[0];
    const int64_t *order = o->permutation.items;
    int64_t dims[CB_MAX_RANK] = {x->dims[0]};
    uint32_t seen = 0;
    for (uint32_t i = 0; i < o->permutation.count; i++) {
        seen |= CB_BIT(order[i]);
    }
    if (o->permutation.count + 1 != x->rank || seen != CB_BIT(x->rank) - 2) {
        return in->host->fail(in->core, CB_MISMATCH, "permutation",
                              "`permutation` must name each of the axes 1 to %u behind N once", (unsigned)x->rank - 1);
    }
    for (uint32_t d = 1; d < x->rank; d++) {
        dims[d] = x->dims[order[d - 1]];
    }
    return in->host->output(in->core, 0, x->dtype, x->rank, dims);
}

/* From x to y, whose dims are those of dy too. */
static struct box permuted(const struct cb_instance *in, const struct cb_tensor *y)
{
    const struct options *o = in->options;
    const struct cb_tensor *x = in->x[0];
    const int64_t *order = o->permutation.items;
    struct box b = {.rank = 0};
    box_add_axis(&b, x->dims[0], box_stride(y->dims, y->rank, 0), box_stride(x->dims, x->rank, 0));
    for (uint32_t d = 1; d < x->rank; d++) {
        box_add_axis(&b, y->dims[d], box_stride(y->dims, y->rank, d),
                     box_stride(x->dims, x->rank, (uint32_t)order[d - 1]));
    }
    return b;
}

static enum cb_status run_forward(struct cb_instance *in, bool tile)
{
    const struct box b = permuted(in, in->y[0]);
    return box_copy(in, in->y[0], in->x[0], &b, false, tile);
}

static enum cb_status run_backward(struct cb_instance *in, bool tile)
{
    const struct box b = permuted(in, in->dy[0]);
    return box_gradient(in, &b, tile);
}

BOX_VARIANTS(run_forward, run_backward);

static const char *const trials[] = {
    "[{conv2d: {filters: 35, kernel: 1}}, {transpose: {permutation: [3, 1, 2]}}, "
    "{transpose: {permutation: [1, 3, 2]}}, flatten]",
};

CB_PLUGIN({
    .name = "transpose",
    .family = "shapes",
    .summary = "the axes behind N in another order",
    .formula = "axis d of y = axis permutation[d - 1] of x",
    .example = "- transpose: {permutation: [2, 1]}",
    CB_OPTIONS(options, defaults),
    .integer_inputs = CB_BIT(0),
    .variants = CB_ARRAY(variants),
    .trials = CB_ARRAY(trials),
    .infer = transpose_infer,
})
