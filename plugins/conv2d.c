/* conv2d: two-dimensional convolution of [N,H,W,C] with filters [KH,KW,C/groups,K], depthwise included.
 *
 *   y[n,oh,ow,k] = b[k] + sum over kh, kw, c of x[n, oh*stride + kh*dilation - top, ow*... , c] * w[kh,kw,c,k]
 *
 * x is zero outside the picture. Each pixel's sum runs over (kh, kw, c) in this order whatever the batch, so that a
 * sample's result does not depend on the batch it is in. */
#include "conv2d_depthwise.h"
#include "conv2d_direct.h"
#include "conv2d_winograd.h"
#include "convolution.h"

struct options {
    int64_t filters; /* 0: not given */
    struct cb_list kernel, stride, padding, dilation, groups;
    uint32_t bias;
};

enum { PADDING_VALID, PADDING_SAME };
enum { GROUPS_DEPTHWISE };

static const char *const padding_words[] = {"valid", "same", NULL};
static const char *const groups_words[] = {"depthwise", NULL};

static const struct options defaults = {
    .kernel = CB_LIST_EMPTY,
    .stride = CB_LIST_OF(int64_t, 1),
    .padding = CB_LIST_CHOICE(PADDING_VALID),
    .dilation = CB_LIST_OF(int64_t, 1),
    .groups = CB_LIST_OF(int64_t, 1),
    .bias = 1,
};

#define AT(field) offsetof(struct options, field)
static const struct cb_option options[] = {
    {"filters", "channels out (torch's out_channels): required, but with `groups: depthwise` 0 means as many as come in",
     CB_OPT_INT, AT(filters), 0,
     1 << 20},
    {"kernel", "height and width of the filters, or one number for both", CB_OPT_INTS, AT(kernel), 1, 1 << 12, NULL,
     CB_OPTION_REQUIRED, 2},
    {"stride", "step from one output pixel to the next: [down, right], or one number", CB_OPT_INTS, AT(stride), 1,
     1 << 12, NULL, 0, 2},
    {"padding",
     "zeros around the picture: one number, [vertical, horizontal] or [top, bottom, left, right]; `same`: as many as "
     "make "
     "the output the input's size divided by the stride, rounded up, the odd one at the bottom and right (TensorFlow); "
     "`valid`: none",
     CB_OPT_INTS, AT(padding), 0, 1 << 12, padding_words, 0, 4},
    {"dilation", "step from one filter tap to the next: [down, right], or one number", CB_OPT_INTS, AT(dilation), 1,
     1 << 12, NULL, 0, 2},
    {"groups", "channels are split into this many groups that do not mix; `depthwise`: one group per channel",
     CB_OPT_INTS, AT(groups), 1, 1 << 20, groups_words, 0, 1},
    {"bias", "whether a number per output channel is added", CB_OPT_BOOL, AT(bias)},
};

/* ---- geometry ---------------------------------------------------------------------------------------------------- */

/* The first and second number of a list of one or two. */
static void pair(const struct cb_list *list, int64_t *out_first, int64_t *out_second)
{
    const int64_t *items = list->items;
    *out_first = items[0];
    *out_second = items[list->count - 1];
}

/* Output size and padding of one direction; `same` overwrites the padding. The output is below 1 when nothing fits. */
static int64_t extent(int64_t in, int64_t kernel, int64_t stride, int64_t dilation, bool same, int64_t *before,
                      int64_t *after)
{
    const int64_t span = (kernel - 1) * dilation + 1;
    if (same) {
        const int64_t out = (in + stride - 1) / stride;
        const int64_t missing = (out - 1) * stride + span - in;
        *before = missing > 0 ? missing / 2 : 0;
        *after = missing > 0 ? missing - missing / 2 : 0;
        return out;
    }
    const int64_t room = in + *before + *after - span;
    return room < 0 ? 0 : room / stride + 1;
}

static struct convolution conv2d_geometry(const struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t *dims = in->x[0]->dims;
    struct convolution g = {.n = dims[0], .h = dims[1], .w = dims[2], .c = dims[3]};
    pair(&o->kernel, &g.kh, &g.kw);
    pair(&o->stride, &g.sh, &g.sw);
    pair(&o->dilation, &g.dh, &g.dw);
    g.groups = o->groups.choice == GROUPS_DEPTHWISE ? g.c : *(const int64_t *)o->groups.items;
    g.k = o->filters > 0 ? o->filters : g.c;
    const int64_t *p = o->padding.items;
    if (o->padding.choice < 0) {
        const uint32_t last = o->padding.count - 1; /* 0, 1 or 3: check() has seen to it */
        g.pt = p[0];
        g.pb = p[last == 3 ? 1 : 0];
        g.pl = p[last == 3 ? 2 : last];
        g.pr = p[last];
    }
    const bool same = o->padding.choice == PADDING_SAME;
    g.oh = extent(g.h, g.kh, g.sh, g.dh, same, &g.pt, &g.pb);
    g.ow = extent(g.w, g.kw, g.sw, g.dw, same, &g.pl, &g.pr);
    return g;
}

/* ---- check, infer ------------------------------------------------------------------------------------------------ */

static enum cb_status conv2d_check(struct cb_instance *in)
{
    const struct options *o = in->options;
    if (o->filters == 0 && o->groups.choice != GROUPS_DEPTHWISE) {
        return in->host->fail(in->core, CB_INVALID, NULL, "conv2d needs `filters`, the number of channels out");
    }
    if (o->padding.choice < 0 && (o->padding.count == 0 || o->padding.count == 3)) {
        return in->host->fail(in->core, CB_INVALID, "padding",
                              "`padding` takes 1, 2 or 4 numbers, or `same` or `valid`, not %u numbers",
                              (unsigned)o->padding.count);
    }
    const struct {
        const char *key;
        const struct cb_list *list;
    } lists[] = {{"kernel", &o->kernel}, {"stride", &o->stride}, {"dilation", &o->dilation}, {"groups", &o->groups}};
    for (uint32_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        if (lists[i].list->choice < 0 && lists[i].list->count == 0) {
            return in->host->fail(in->core, CB_INVALID, lists[i].key, "`%s` is empty", lists[i].key);
        }
    }
    return CB_OK;
}

static enum cb_status conv2d_infer(struct cb_instance *in)
{
    const struct cb_host *host = in->host;
    const struct cb_tensor *x = in->x[0];
    const struct options *o = in->options;
    if (x->rank != 4) {
        return host->fail(in->core, CB_MISMATCH, NULL,
                          "conv2d takes pictures [N,H,W,C], but its input has %u dimensions", (unsigned)x->rank);
    }
    const struct convolution g = conv2d_geometry(in);
    CB_TRY(convolution_check_groups(in, g.c, g.k, g.groups));
    if (g.oh < 1 || g.ow < 1) {
        return host->fail(
            in->core, CB_MISMATCH, "kernel",
            "a kernel of %lld x %lld (dilation %lld x %lld) does not fit into a picture of %lld x %lld with "
            "its padding",
            (long long)g.kh, (long long)g.kw, (long long)g.dh, (long long)g.dw, (long long)(g.h + g.pt + g.pb),
            (long long)(g.w + g.pl + g.pr));
    }
    CB_TRY(convolution_params(in, 4, (const int64_t[]){g.kh, g.kw, g.c / g.groups, g.k},
                              (double)(g.kh * g.kw * (g.c / g.groups)), (double)(g.kh * g.kw * (g.k / g.groups)),
                              o->bias, g.k));
    const int64_t dims[] = {g.n, g.oh, g.ow, g.k};
    return host->output(in->core, 0, CB_F32, 4, dims);
}

/* ---- plain: one work-item per number, any device ----------------------------------------------------------------- */

static enum cb_status plain_forward_run(struct cb_instance *in)
{
    const struct convolution g = conv2d_geometry(in);
    return convolution_forward(in, 0, &g, in->y[0], in->x[0], linear_bias(in));
}

static enum cb_status plain_dx_run(struct cb_instance *in)
{
    const struct convolution g = conv2d_geometry(in);
    return in->dx[0] == NULL ? CB_OK : convolution_dx(in, 0, &g, in->dx[0], in->dy[0], in->dx_accumulate & 1u);
}

static enum cb_status plain_dw_run(struct cb_instance *in)
{
    const struct convolution g = conv2d_geometry(in);
    struct cb_tensor *dw = linear_gradient(in, 0);
    if (dw != NULL) {
        CB_TRY(convolution_dw(in, 0, &g, dw, in->x[0], in->dy[0], in->dw_accumulate & 1u));
    }
    return convolution_db(in, 1, 1, g.n, g.oh, g.ow, g.k);
}

/* ---- product: as a matrix product, for groups = 1 on processors -------------------------------------------------- */

static bool product_accepts(const struct cb_instance *in)
{
    return conv2d_geometry(in).groups == 1;
}

static enum cb_status product_prepare(struct cb_instance *in)
{
    const struct convolution g = conv2d_geometry(in);
    return convolution_product_prepare(in, &g);
}

static enum cb_status product_forward_run(struct cb_instance *in)
{
    const struct convolution g = conv2d_geometry(in);
    return convolution_product_forward(in, &g, in->y[0], in->x[0], linear_bias(in), false);
}

static enum cb_status product_dx_run(struct cb_instance *in)
{
    const struct convolution g = conv2d_geometry(in);
    return in->dx[0] == NULL ? CB_OK : convolution_product_dx(in, &g, in->dx[0], in->dy[0], in->dx_accumulate & 1u);
}

static enum cb_status product_dw_prepare(struct cb_instance *in)
{
    CB_TRY(product_prepare(in));
    return in->host->kernel(in->core, "conv2d_columns", "conv2d_db_tile", NULL);
}

static enum cb_status product_dw_run(struct cb_instance *in)
{
    const struct convolution g = conv2d_geometry(in);
    struct cb_tensor *dw = linear_gradient(in, 0);
    if (dw != NULL) {
        CB_TRY(convolution_product_dw(in, &g, dw, in->x[0], in->dy[0], in->dw_accumulate & 1u));
    }
    return convolution_db(in, 2, 16, g.n, g.oh, g.ow, g.k);
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "winograd", CB_CAP_TILE, winograd_accepts, winograd_forward_prepare,
     winograd_forward_derive, winograd_forward_run},
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "direct", CB_CAP_TILE, direct_accepts, direct_prepare, direct_derive,
     direct_run},
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "product", CB_CAP_TILE, product_accepts, product_prepare, NULL,
     product_forward_run},
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "depthwise", CB_CAP_TILE, depthwise_accepts, depthwise_forward_prepare, NULL,
     depthwise_forward_run},
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "depthwise_any", CB_CAP_TILE, depthwise_any_accepts,
     depthwise_any_forward_prepare, NULL, depthwise_any_forward_run},
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "plain", .run = plain_forward_run, .kernels = "conv2d_forward"},
    {CB_PASS_DX, 0, "winograd", CB_CAP_TILE, winograd_accepts, winograd_dx_prepare, winograd_dx_derive,
     winograd_dx_run},
    {CB_PASS_DX, 0, "product", CB_CAP_TILE, product_accepts, product_prepare, NULL, product_dx_run},
    {CB_PASS_DX, 0, "depthwise", CB_CAP_TILE, depthwise_accepts, depthwise_dx_prepare, NULL, depthwise_dx_run},
    {CB_PASS_DX, 0, "depthwise_any", CB_CAP_TILE, depthwise_any_accepts, depthwise_any_dx_prepare, NULL,
     depthwise_any_dx_run},
    {CB_PASS_DX, 0, "plain", .run = plain_dx_run, .kernels = "conv2d_dx"},
    {CB_PASS_DW, 0, "winograd", CB_CAP_TILE, winograd_accepts, winograd_dw_prepare, NULL, winograd_dw_run},
    {CB_PASS_DW, 0, "product", CB_CAP_TILE, product_accepts, product_dw_prepare, NULL, product_dw_run},
    {CB_PASS_DW, 0, "depthwise", CB_CAP_TILE, depthwise_accepts, depthwise_dw_prepare, NULL, depthwise_dw_run},
    {CB_PASS_DW, 0, "depthwise_any", CB_CAP_TILE, depthwise_any_accepts, depthwise_any_dw_prepare, NULL,
     depthwise_any_dw_run},
    {CB_PASS_DW, 0, "plain", .run = plain_dw_run, .kernels = "conv2d_dw conv2d_db"},
};

static const char *const trials[] = {
    "[{conv2d: {filters: 32, kernel: 3, padding: 1}}, {conv2d: {filters: 48, kernel: 3, padding: 1}}, "
    "flatten]",
    "[{conv2d: {filters: 32, kernel: 1}}, {conv2d: {kernel: 5, groups: depthwise, padding: 2}}, {conv2d: "
    "{filters: 20, kernel: 3, stride: 2, padding: same}}, flatten]",
    "[{conv2d: {filters: 20, kernel: [2, 4]}}, flatten]",
    "[{conv2d: {kernel: 3, groups: depthwise, padding: 1}}, {conv2d: {kernel: 3, groups: depthwise, stride: 2, "
    "padding: "
    "same}}, {conv2d: {kernel: [1, 2], groups: depthwise}}, flatten]",
};

CB_PLUGIN({
    .flags = CB_LAYER_LINEAR,
    .name = "conv2d",
    .family = "convolutions",
    .summary = "two-dimensional convolution, in groups or depthwise if wanted",
    .formula =
        "y[n,oh,ow,k] = b[k] + sum over i, j, c of x[n,h,w,c] * w[i,j,c,k],\n"
        "h = oh*stride + i*dilation - top, w = ow*stride + j*dilation - left, c over the channels of k's group;\n"
        "x is 0 outside the picture",
    .example = "- conv2d: {filters: 64, kernel: 3, stride: 2, padding: same}",
    CB_OPTIONS(options, defaults),
    .dx_needs = CB_NEEDS_PARAMS,
    .dw_needs = CB_NEEDS_X,
    .variants = CB_ARRAY(variants),
    .trials = CB_ARRAY(trials),
    .check = conv2d_check,
    .infer = conv2d_infer,
})
