/* pixel_unshuffle: places become channels (space to depth), what pixel_shuffle undoes: [N,H r,W r,C] -> [N,H,W,C r r].
 *
 *   y[n, h, w, c r r + i r + j] = x[n, h r + i, w r + j, c]      (torch.nn.PixelUnshuffle, channels last) */
#include "pixel_shuffle.h"

static const struct pixel_options defaults = {.factor = 2};

static const struct cb_option options[] = {
    {"downscale_factor", "by which height and width shrink; the channels grow by its square", CB_OPT_INT,
     offsetof(struct pixel_options, factor), 1, 1 << 10, NULL, 0, 0},
};

static enum cb_status pixel_unshuffle_infer(struct cb_instance *in)
{
    const struct cb_tensor *x = in->x[0];
    const int64_t r = ((const struct pixel_options *)in->options)->factor;
    if (x->rank != 4) {
        return in->host->fail(in->core, CB_MISMATCH, NULL, "pixel_unshuffle needs [N,H,W,C], but its input has rank %u",
                              (unsigned)x->rank);
    }
    if (x->dims[1] % r != 0 || x->dims[2] % r != 0) {
        return in->host->fail(in->core, CB_MISMATCH, "downscale_factor",
                              "an input of %lld x %lld can't be divided by `downscale_factor`, %lld",
                              (long long)x->dims[1], (long long)x->dims[2], (long long)r);
    }
    return in->host->output(in->core, 0, x->dtype, 4,
                            (const int64_t[]){x->dims[0], x->dims[1] / r, x->dims[2] / r, x->dims[3] * r * r});
}

/* From x, the wide one, to y. */
static struct box taken(const struct cb_instance *in, const struct cb_tensor *y)
{
    const struct box b = pixel_box(y->dims, ((const struct pixel_options *)in->options)->factor);
    return box_reversed(&b);
}

static enum cb_status run_forward(struct cb_instance *in, bool tile)
{
    const struct box b = taken(in, in->y[0]);
    return box_copy(in, in->y[0], in->x[0], &b, false, tile);
}

static enum cb_status run_backward(struct cb_instance *in, bool tile)
{
    const struct box b = taken(in, in->dy[0]);
    return box_gradient(in, &b, tile);
}

BOX_VARIANTS(run_forward, run_backward);

static const char *const trials[] = {
    "[{conv2d: {filters: 5, kernel: 1}}, {crop: {size: 9}}, "
    "{pixel_unshuffle: {downscale_factor: 3}}, flatten]",
};

CB_PLUGIN({
    .name = "pixel_unshuffle",
    .family = "shapes",
    .summary = "places become channels: height and width shrink, channels grow",
    .formula = "y[n, h, w, c r r + i r + j] = x[n, h r + i, w r + j, c]",
    .example = "- pixel_unshuffle: {downscale_factor: 2}",
    CB_OPTIONS(options, defaults),
    .integer_inputs = CB_BIT(0),
    .variants = CB_ARRAY(variants),
    .trials = CB_ARRAY(trials),
    .infer = pixel_unshuffle_infer,
})
