/* crop: a window of each picture: [N,H,W,C] -> [N,h,w,C], from the middle unless `offset` says where.
 *
 *   y[n,i,j,c] = x[n,top+i,left+j,c]      dx = dy inside the window, 0 outside
 *
 * In the middle: top = (H - h) / 2, left = (W - w) / 2, rounded down (as Keras's CenterCrop). */
#include "box.h"

struct options {
    struct cb_list size, offset; /* of int64_t */
};

static const struct options defaults = {.size = CB_LIST_EMPTY, .offset = CB_LIST_EMPTY};

#define AT(field) offsetof(struct options, field)
static const struct cb_option options[] = {
    {"size", "height and width of the window, or one number for both", CB_OPT_INTS, AT(size), 1, 1 << 20, NULL,
     CB_OPTION_REQUIRED, 2},
    {"offset", "where the window begins: [top, left]; when left out: it lies in the middle", CB_OPT_INTS, AT(offset), 0,
     1 << 20, NULL, 0, 2},
};

struct window {
    int64_t top, left, height, width;
};

static struct window window_of(const struct options *o, const struct cb_tensor *x)
{
    const int64_t *size = o->size.items, *offset = o->offset.items;
    struct window w = {.height = size[0], .width = size[o->size.count - 1]};
    w.top = o->offset.count > 0 ? offset[0] : (x->dims[1] - w.height) / 2;
    w.left = o->offset.count > 0 ? offset[1] : (x->dims[2] - w.width) / 2;
    return w;
}

static enum cb_status crop_infer(struct cb_instance *in)
{
    const struct cb_host *host = in->host;
    const struct options *o = in->options;
    const struct cb_tensor *x = in->x[0];
    if (x->rank != 4) {
        return host->fail(in->core, CB_MISMATCH, NULL, "crop needs [N,H,W,C], but its input has rank %u",
                          (unsigned)x->rank);
    }
    if (o->size.count == 0) {
        return host->fail(in->core, CB_INVALID, "size", "`size` is empty");
    }
    if (o->offset.count == 1) {
        return host->fail(in->core, CB_INVALID, "offset", "`offset` takes two numbers, [top, left]");
    }
    const struct window w = window_of(o, x);
    if (w.height > x->dims[1] || w.width > x->dims[2]) {
        return host->fail(in->core, CB_MISMATCH, "size",
                          "a window of %lld x %lld is larger than the input of %lld x %lld",
                          (long long)w.height, (long long)w.width, (long long)x->dims[1], (long long)x->dims[2]);
    }
    if (w.top + w.height > x->dims[1] || w.left + w.width > x->dims[2]) {
        return host->fail(in->core, CB_MISMATCH, "offset",
                          "a window of %lld x %lld at [%lld, %lld] hangs over the edge of an input of %lld x %lld",
                          (long long)w.height, (long long)w.width, (long long)w.top, (long long)w.left,
                          (long long)x->dims[1], (long long)x->dims[2]);
    }
    return host->output(in->core, 0, x->dtype, 4, (const int64_t[]){x->dims[0], w.height, w.width, x->dims[3]});
}

/* From x to y. */
static struct box taken(const struct cb_instance *in)
{
    const struct cb_tensor *x = in->x[0];
    const struct window w = window_of(in->options, x);
    const int64_t row = x->dims[2] * x->dims[3], length = w.width * x->dims[3];
    struct box b = {.from_offset = w.top * row + w.left * x->dims[3]};
    box_add_axis(&b, x->dims[0], w.height * length, x->dims[1] * row);
    box_add_axis(&b, w.height, length, row);
    box_add_axis(&b, length, 1, 1);
    return b;
}

static enum cb_status run_forward(struct cb_instance *in, bool tile)
{
    const struct box b = taken(in);
    return box_copy(in, in->y[0], in->x[0], &b, false, tile);
}

static enum cb_status run_backward(struct cb_instance *in, bool tile)
{
    const struct box b = taken(in);
    return box_gradient(in, &b, tile);
}

BOX_VARIANTS(run_forward, run_backward);

static const char *const trials[] = {
    "[{conv2d: {filters: 35, kernel: 1}}, {crop: {size: 7}}, flatten]",
};

CB_PLUGIN({
    .name = "crop",
    .family = "shapes",
    .summary = "a window of each picture, from the middle or from a place",
    .formula = "y[n,i,j,c] = x[n,top+i,left+j,c]",
    .example = "- crop: {size: [24, 24]}",
    CB_OPTIONS(options, defaults),
    .integer_inputs = CB_BIT(0),
    .variants = CB_ARRAY(variants),
    .trials = CB_ARRAY(trials),
    .infer = crop_infer,
})
