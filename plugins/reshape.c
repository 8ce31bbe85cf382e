/* reshape: the axes behind N as other axes of as many values: [N, A, ..., C] -> [N, shape]. Only the shape changes, no
 * memory moves; the order of the values is that of the channels-last layout. */
#include <cambium/layer.h>

struct options {
    struct cb_list shape; /* of int64_t */
};

static const struct options defaults = {.shape = CB_LIST_EMPTY};

static const struct cb_option options[] = {
    {"shape", "sizes of the axes behind N; one may be -1: as many as are left", CB_OPT_INTS,
     offsetof(struct options, shape), -1, 1 << 30, NULL, CB_OPTION_REQUIRED, CB_MAX_RANK - 1},
};

/* Values of a sample that `shape` takes up without the axis of -1, whose place goes to *out_open (or rank, if none). */
static enum cb_status read_shape(struct cb_instance *in, int64_t *out_known, uint32_t *out_open)
{
    const struct options *o = in->options;
    const int64_t *shape = o->shape.items;
    int64_t known = 1;
    uint32_t open = o->shape.count;
    if (o->shape.count == 0) {
        return in->host->fail(in->core, CB_INVALID, "shape", "`shape` is empty");
    }
    for (uint32_t i = 0; i < o->shape.count; i++) {
        if (shape[i] == 0 || known > INT32_MAX) {
            return in->host->fail(in->core, CB_INVALID, "shape", "a size in `shape` is %s",
                                  shape[i] == 0 ? "0" : "too large");
        }
        if (shape[i] < 0 && open < o->shape.count) {
            return in->host->fail(in->core, CB_INVALID, "shape", "only one size in `shape` may be -1");
        }
        open = shape[i] < 0 ? i : open;
        known *= shape[i] < 0 ? 1 : shape[i];
    }
    *out_known = known;
    *out_open = open;
    return CB_OK;
}

static enum cb_status reshape_infer(struct cb_instance *in)
{
    const struct options *o = in->options;
    const struct cb_tensor *x = in->x[0];
    const int64_t values = x->dims[0] > 0 ? cb_tensor_count(x) / x->dims[0] : 0;
    int64_t known = 1, dims[CB_MAX_RANK] = {x->dims[0]};
    uint32_t open = 0;
    CB_TRY(read_shape(in, &known, &open));
    const bool has_open = open < o->shape.count;
    if (has_open ? values % known != 0 : values != known) {
        return in->host->fail(in->core, CB_MISMATCH, "shape",
                              "a sample has %lld values, which don't make a shape of %lld%s", (long long)values,
                              (long long)known, has_open ? " times a whole number" : "");
    }
    for (uint32_t i = 0; i < o->shape.count; i++) {
        dims[i + 1] = has_open && i == open ? values / known : ((const int64_t *)o->shape.items)[i];
    }
    return in->host->output(in->core, 0, x->dtype, o->shape.count + 1, dims);
}

CB_PLUGIN({
    .flags = CB_LAYER_VIEW,
    .name = "reshape",
    .family = "shapes",
    .summary = "the axes behind N as others of as many values",
    .formula = "[N, A, ..., C] -> [N, shape]",
    .example = "- reshape: {shape: [-1, 64]}",
    CB_OPTIONS(options, defaults),
    .infer = reshape_infer,
})
