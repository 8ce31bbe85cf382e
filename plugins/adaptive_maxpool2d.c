/* adaptive_maxpool2d: [N,H,W,C] becomes [N,OH,OW,C], each output the largest value of its bin
 * (torch.nn.AdaptiveMaxPool2d). The place of the largest value (h W + w; the first one where several are equal, the last
 * NaN where there are NaNs, as PyTorch) is kept for backward, in which each input gathers the dy of the bins that chose
 * it. */
#include "adaptive_pool2d.h"

static const struct adaptive_pool2d_options defaults = {CB_LIST_EMPTY};

static const struct cb_option options[] = {ADAPTIVE_POOL2D_OPTION_TABLE};

static enum cb_status adaptive_maxpool2d_infer(struct cb_instance *in)
{
    struct adaptive_pool2d_sizes s = {0};
    CB_TRY(adaptive_pool2d_infer(in, &s));
    return in->host->saved(in->core, CB_I32, 4, (const int64_t[]){s.n, s.oh, s.ow, s.c});
}

static enum cb_status run_forward(struct cb_instance *in)
{
    const struct adaptive_pool2d_sizes s = adaptive_pool2d_sizes(in);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)s.c, (uint64_t)s.ow, (uint64_t)(s.n * s.oh)), CB_A_TENSOR(in->y[0]),
                     CB_A_TENSOR(in->saved[0]), CB_A_TENSOR(in->x[0]), ADAPTIVE_POOL2D_ARGS(s));
}

static enum cb_status run_dx(struct cb_instance *in)
{
    const struct adaptive_pool2d_sizes s = adaptive_pool2d_sizes(in);
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)s.c, (uint64_t)s.w, (uint64_t)(s.n * s.h)), CB_A_TENSOR(in->dx[0]),
                     CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(in->saved[0]), ADAPTIVE_POOL2D_ARGS(s), CB_A_I32(in->dx_accumulate & 1u));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "adaptive_maxpool2d_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_dx, .kernels = "adaptive_maxpool2d_dx"},
};

CB_PLUGIN({
    .name = "adaptive_maxpool2d",
    .family = "pooling",
    .summary = "the largest values of a picture at a given size",
    .formula = "y[n,i,j,c] = max of x[n,h,w,c] over floor(i*H/OH) <= h < ceil((i+1)*H/OH),\n"
               "floor(j*W/OW) <= w < ceil((j+1)*W/OW); OH, OW: output_size",
    .example = "- adaptive_maxpool2d: {output_size: 7}",
    CB_OPTIONS(options, defaults),
    .dx_needs = CB_NEEDS_SAVED,
    .variants = CB_ARRAY(variants),
    .infer = adaptive_maxpool2d_infer,
})
