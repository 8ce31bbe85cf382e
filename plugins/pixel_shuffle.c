/* pixel_shuffle: channels become places (sub-pixel upsampling, Shi et al. 2016): [N,H,W,C r r] -> [N,H r,W r,C].
 *
 *   y[n, h r + i, w r + j, c] = x[n, h, w, c r r + i r + j]      (torch.nn.PixelShuffle, channels last) */
#include "pixel_shuffle.h"

static const struct pixel_options defaults = {.factor = 2};

static const struct cb_option options[] = {
    {"upscale_factor", "by which height and width grow; the channels shrink by its square", CB_OPT_INT,
     offsetof(struct pixel_options, factor), 1, 1 << 10, NULL, 0, 0},
};

static enum cb_status pixel_shuffle_infer(struct cb_instance *in)
{
    const struct cb_tensor *x = in->x[0];
    const int64_t r = ((const struct pixel_options *)in->options)->factor;
    if (x->rank != 4) {
        return in->host->fail(in->core, CB_MISMATCH, NULL, "pixel_shuffle needs [N,H,W,C], but its input has rank %u",
                              (unsigned)x->rank);
    }
    if (x->dims[3] % (r * r) != 0) {
        return in->host->fail(in->core, CB_MISMATCH, "upscale_factor",
                              "%lld channels can't be divided by the square of `upscale_factor`, %lld",
                              (long long)x->dims[3], (long long)(r * r));
    }
    return in->host->output(in->core, 0, x->dtype, 4,
                            (const int64_t[]){x->dims[0], x->dims[1] * r, x->dims[2] * r, x->dims[3] / (r * r)});
}

static enum cb_status run_forward(struct cb_instance *in, bool tile)
{
    const struct box b = pixel_box(in->x[0]->dims, ((const struct pixel_options *)in->options)->factor);
    return box_copy(in, in->y[0], in->x[0], &b, false, tile);
}

static enum cb_status run_backward(struct cb_instance *in, bool tile)
{
    const struct box b = pixel_box(in->x[0]->dims, ((const struct pixel_options *)in->options)->factor);
    return box_gradient(in, &b, tile);
}

BOX_VARIANTS(run_forward, run_backward);

static const char *const trials[] = {
    "[{conv2d: {filters: 36, kernel: 1}}, {pixel_shuffle: {upscale_factor: 3}}, flatten]",
};

CB_PLUGIN({
    .name = "pixel_shuffle",
    .family = "shapes",
    .summary = "channels become places: height and width grow, channels shrink",
    .formula = "y[n, h r + i, w r + j, c] = x[n, h, w, c r r + i r + j]",
    .example = "- pixel_shuffle: {upscale_factor: 2}",
    CB_OPTIONS(options, defaults),
    .integer_inputs = CB_BIT(0),
    .variants = CB_ARRAY(variants),
    .trials = CB_ARRAY(trials),
    .infer = pixel_shuffle_infer,
})
