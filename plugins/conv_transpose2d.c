/* conv_transpose2d: transposed convolution of [N,H,W,C] with filters [KH,KW,K/groups,C] (torch.nn.ConvTranspose2d).
 *
 *   y[n,oh,ow,k] = b[k] + sum of x[n,h,w,c] * w[kh,kw,k,c] over kh, kw, h, w, c
 *                  with oh = h*stride + kh*dilation - top, ow = w*stride + kw*dilation - left
 *
 * It is the gradient of a convolution from y's picture to x's, with the same filters: forward is that convolution's dx,
 * dx its forward, dw its dw with the pictures exchanged (convolution.h). */
#include "convolution.h"

struct options {
    int64_t filters, groups;
    struct cb_list kernel, stride, padding, output_padding, dilation;
    uint32_t bias;
};

static const struct options defaults = {
    .groups = 1,
    .kernel = CB_LIST_EMPTY,
    .stride = CB_LIST_OF(int64_t, 1),
    .padding = CB_LIST_OF(int64_t, 0),
    .output_padding = CB_LIST_OF(int64_t, 0),
    .dilation = CB_LIST_OF(int64_t, 1),
    .bias = 1,
};

#define AT(field) offsetof(struct options, field)
static const struct cb_option options[] = {
    {"filters", "channels out", CB_OPT_INT, AT(filters), 1, 1 << 20, NULL, CB_OPTION_REQUIRED},
    {"kernel", "height and width of the filters, or one number for both", CB_OPT_INTS, AT(kernel), 1, 1 << 12, NULL,
     CB_OPTION_REQUIRED, 2},
    {"stride", "step in the output from one input pixel to the next: [down, right], or one number", CB_OPT_INTS,
     AT(stride), 1, 1 << 12, NULL, 0, 2},
    {"padding", "rows and columns cut off the output: one number, [vertical, horizontal] or [top, bottom, left, right]",
     CB_OPT_INTS, AT(padding), 0, 1 << 12, NULL, 0, 4},
    {"output_padding",
     "rows and columns more at the output's bottom and right, below the stride: [down, right], or one number",
     CB_OPT_INTS, AT(output_padding), 0, 1 << 12, NULL, 0, 2},
    {"dilation", "step from one filter tap to the next: [down, right], or one number", CB_OPT_INTS, AT(dilation), 1,
     1 << 12, NULL, 0, 2},
    {"groups", "channels are split into this many groups that do not mix", CB_OPT_INT, AT(groups), 1, 1 << 20},
    {"bias", "whether a number per output channel is added", CB_OPT_BOOL, AT(bias)},
};

/* Number `i` of a list, or the last one that it has. */
static int64_t pick(const struct cb_list *list, uint32_t i)
{
    return ((const int64_t *)list->items)[i < list->count ? i : list->count - 1];
}

/* The convolution whose gradient this is: from y [n,h,w,c] to x [n,oh,ow,k]; h or w is below 1 when nothing is left. */
static struct convolution geometry_of(const struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t *dims = in->x[0]->dims, *p = o->padding.items;
    struct convolution g = {.n = dims[0], .oh = dims[1], .ow = dims[2], .k = dims[3], .c = o->filters,
                            .groups = o->groups, .kh = pick(&o->kernel, 0), .kw = pick(&o->kernel, 1),
                            .sh = pick(&o->stride, 0), .sw = pick(&o->stride, 1), .dh = pick(&o->dilation, 0),
                            .dw = pick(&o->dilation, 1)};
    const uint32_t last = o->padding.count - 1; /* 0, 1 or 3: check() has seen to it */
    g.pt = p[0];
    g.pb = p[last == 3 ? 1 : 0];
    g.pl = p[last == 3 ? 2 : last];
    g.pr = p[last];
    g.h = (g.oh - 1) * g.sh + (g.kh - 1) * g.dh + 1 - g.pt - g.pb + pick(&o->output_padding, 0);
    g.w = (g.ow - 1) * g.sw + (g.kw - 1) * g.dw + 1 - g.pl - g.pr + pick(&o->output_padding, 1);
    return g;
}

/* ---- check, infer ------------------------------------------------------------------------------------------------ */

static enum cb_status conv_transpose2d_check(struct cb_instance *in)
{
    const struct options *o = in->options;
    const struct {
        const char *key;
        const struct cb_list *list;
    } lists[] = {{"kernel", &o->kernel}, {"stride", &o->stride}, {"dilation", &o->dilation}, {"padding", &o->padding},
                 {"output_padding", &o->output_padding}};
    for (uint32_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        if (lists[i].list->count == 0) {
            return in->host->fail(in->core, CB_INVALID, lists[i].key, "`%s` is empty", lists[i].key);
        }
    }
    if (o->padding.count == 3) {
        return in->host->fail(in->core, CB_INVALID, "padding", "`padding` takes 1, 2 or 4 numbers, not 3");
    }
    for (uint32_t i = 0; i < 2; i++) {
        const int64_t more = pick(&o->output_padding, i), stride = pick(&o->stride, i), step = pick(&o->dilation, i);
        if (more >= stride && more >= step) {
            return in->host->fail(in->core, CB_INVALID, "output_padding",
                                  "`output_padding` %lld must be smaller than the stride %lld or the dilation %lld",
                                  (long long)more, (long long)stride, (long long)step);
        }
    }
    return CB_OK;
}

static enum cb_status conv_transpose2d_infer(struct cb_instance *in)
{
    const struct cb_host *host = in->host;
    const struct options *o = in->options;
    if (in->x[0]->rank != 4) {
        return host->fail(in->core, CB_MISMATCH, NULL,
                          "conv_transpose2d takes pictures [N,H,W,C], but its input has %u dimensions",
                          (unsigned)in->x[0]->rank);
    }
    const struct convolution g = geometry_of(in);
    CB_TRY(convolution_check_groups(in, g.k, g.c, g.groups));
    if (g.h < 1 || g.w < 1) {
        return host->fail(in->core, CB_MISMATCH, "padding", "`padding` leaves an output of %lld x %lld", (long long)g.h,
                          (long long)g.w);
    }
    CB_TRY(convolution_params(in, 4, (const int64_t[]){g.kh, g.kw, g.c / g.groups, g.k},
                              (double)(g.kh * g.kw * (g.k / g.groups)), (double)(g.kh * g.kw * (g.c / g.groups)),
                              o->bias, g.c));
    return host->output(in->core, 0, CB_F32, 4, (const int64_t[]){g.n, g.h, g.w, g.c});
}

/* ---- plain: one work-item per number, any device ----------------------------------------------------------------- */

static enum cb_status plain_forward_run(struct cb_instance *in)
{
    const struct convolution g = geometry_of(in);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)g.c, (uint64_t)(g.n * g.h * g.w)), CB_A_TENSOR(in->y[0]),
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->params[0]), CB_A_TENSOR(linear_bias(in)),
                     CONVOLUTION_ARGS(&g));
}

static enum cb_status plain_dx_run(struct cb_instance *in)
{
    const struct convolution g = geometry_of(in);
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)g.k, (uint64_t)(g.n * g.oh * g.ow)), CB_A_TENSOR(in->dx[0]),
                     CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(in->params[0]), CB_A_I32(in->dx_accumulate & 1u),
                     CONVOLUTION_ARGS(&g));
}

static enum cb_status plain_dw_prepare(struct cb_instance *in)
{
    CB_TRY(convolution_prepare(in, "conv2d_dw"));
    return convolution_prepare(in, "conv2d_db");
}

static enum cb_status plain_dw_run(struct cb_instance *in)
{
    const struct convolution g = geometry_of(in);
    struct cb_tensor *dw = linear_gradient(in, 0);
    if (dw != NULL) {
        CB_TRY(convolution_dw(in, 0, &g, dw, in->dy[0], in->x[0], in->dw_accumulate & 1u));
    }
    return convolution_db(in, 1, 1, g.n, g.h, g.w, g.c);
}

/* ---- product: as a matrix product, for groups = 1 on processors -------------------------------------------------- */

static bool product_accepts(const struct cb_instance *in)
{
    return geometry_of(in).groups == 1;
}

static enum cb_status product_prepare(struct cb_instance *in, const char *last)
{
    const struct convolution g = geometry_of(in);
    CB_TRY(convolution_product_prepare(in, &g));
    return last == NULL ? CB_OK : in->host->kernel(in->core, "conv2d_columns", last, NULL);
}

static enum cb_status product_forward_prepare(struct cb_instance *in)
{
    return product_prepare(in, "conv2d_fill_bias");
}

static enum cb_status product_forward_run(struct cb_instance *in)
{
    const struct convolution g = geometry_of(in);
    CB_TRY(convolution_fill_bias(in, 2, g.n * g.h * g.w, g.c));
    return convolution_product_dx(in, &g, in->y[0], in->x[0], linear_bias(in) != NULL);
}

static enum cb_status product_dx_prepare(struct cb_instance *in)
{
    return product_prepare(in, NULL);
}

static enum cb_status product_dx_run(struct cb_instance *in)
{
    const struct convolution g = geometry_of(in);
    return in->dx[0] == NULL ? CB_OK
                             : convolution_product_forward(in, &g, in->dx[0], in->dy[0], NULL, in->dx_accumulate & 1u);
}

static enum cb_status product_dw_prepare(struct cb_instance *in)
{
    return product_prepare(in, "conv2d_db_tile");
}

static enum cb_status product_dw_run(struct cb_instance *in)
{
    const struct convolution g = geometry_of(in);
    struct cb_tensor *dw = linear_gradient(in, 0);
    if (dw != NULL) {
        CB_TRY(convolution_product_dw(in, &g, dw, in->dy[0], in->x[0], in->dw_accumulate & 1u));
    }
    return convolution_db(in, 2, 16, g.n, g.h, g.w, g.c);
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "product", CB_CAP_TILE, product_accepts, product_forward_prepare, NULL,
     product_forward_run},
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "plain", .run = plain_forward_run, .kernels = "conv_transpose2d_forward"},
    {CB_PASS_DX, 0, "product", CB_CAP_TILE, product_accepts, product_dx_prepare, NULL, product_dx_run},
    {CB_PASS_DX, 0, "plain", .run = plain_dx_run, .kernels = "conv_transpose2d_dx"},
    {CB_PASS_DW, 0, "product", CB_CAP_TILE, product_accepts, product_dw_prepare, NULL, product_dw_run},
    {CB_PASS_DW, 0, "plain", 0, NULL, plain_dw_prepare, NULL, plain_dw_run},
};

static const char *const trials[] = {
    "[{conv_transpose2d: {filters: 20, kernel: 3, stride: 2, padding: 1, output_padding: 1}}, flatten]",
};

CB_PLUGIN({
    .name = "conv_transpose2d",
    .family = "convolutions",
    .summary = "transposed convolution: from small pictures to larger ones",
    .formula = "y[n,oh,ow,k] = b[k] + sum of x[n,h,w,c] * w[i,j,k,c] over all h, w, i, j, c with\n"
               "oh = h*stride + i*dilation - top, ow = w*stride + j*dilation - left\n"
               "H' = (H - 1)*stride - top - bottom + (kernel - 1)*dilation + 1 + output_padding, W' likewise",
    .example = "- conv_transpose2d: {filters: 64, kernel: 4, stride: 2, padding: 1}",
    CB_OPTIONS(options, defaults),
    .dx_needs = CB_NEEDS_PARAMS,
    .dw_needs = CB_NEEDS_X,
    .variants = CB_ARRAY(variants),
    .trials = CB_ARRAY(trials),
    .check = conv_transpose2d_check,
    .infer = conv_transpose2d_infer,
})
