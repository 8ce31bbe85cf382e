/* conv1d: one-dimensional convolution of [N,T,C] with filters [KT,C/groups,K].
 *
 *   y[n,t,k] = b[k] + sum over j, c of x[n, t*stride + j*dilation - before, c] * w[j,c,k]
 *
 * x is zero outside the sequence. It is a picture of height T and width 1 to conv2d's kernels (convolution.h). */
#include "convolution.h"

struct options {
    int64_t filters; /* 0: not given */
    int64_t kernel, stride, dilation;
    struct cb_list padding, groups;
    uint32_t bias;
};

enum { PADDING_VALID, PADDING_SAME, PADDING_CAUSAL };
enum { GROUPS_DEPTHWISE };

static const char *const padding_words[] = {"valid", "same", "causal", NULL};
static const char *const groups_words[] = {"depthwise", NULL};

static const struct options defaults = {
    .stride = 1,
    .dilation = 1,
    .padding = CB_LIST_CHOICE(PADDING_VALID),
    .groups = CB_LIST_OF(int64_t, 1),
    .bias = 1,
};

#define AT(field) offsetof(struct options, field)
static const struct cb_option options[] = {
    {"filters", "channels out (torch's out_channels): required, but with `groups: depthwise` 0 means as many as come in",
     CB_OPT_INT, AT(filters), 0,
     1 << 20},
    {"kernel", "length of the filters", CB_OPT_INT, AT(kernel), 1, 1 << 16, NULL, CB_OPTION_REQUIRED},
    {"stride", "step from one output to the next", CB_OPT_INT, AT(stride), 1, 1 << 16},
    {"padding",
     "zeros around the sequence: one number or [before, after]; `same`: as many as make the output the input's length "
     "divided by the stride, rounded up, the odd one after; `causal`: all before, so that no output sees what comes "
     "later; `valid`: none",
     CB_OPT_INTS, AT(padding), 0, 1 << 16, padding_words, 0, 2},
    {"dilation", "step from one filter tap to the next", CB_OPT_INT, AT(dilation), 1, 1 << 16},
    {"groups", "channels are split into this many groups that do not mix; `depthwise`: one group per channel",
     CB_OPT_INTS, AT(groups), 1, 1 << 20, groups_words, 0, 1},
    {"bias", "whether a number per output channel is added", CB_OPT_BOOL, AT(bias)},
};

/* The sequence as a picture; oh is below 1 when the kernel does not fit. */
static struct convolution geometry_of(const struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t *dims = in->x[0]->dims, *p = o->padding.items;
    struct convolution g = {.n = dims[0], .h = dims[1], .w = 1, .c = dims[2], .ow = 1, .kh = o->kernel, .kw = 1,
                            .sh = o->stride, .sw = 1, .dh = o->dilation, .dw = 1};
    const int64_t span = (g.kh - 1) * g.dh + 1;
    g.groups = o->groups.choice == GROUPS_DEPTHWISE ? g.c : *(const int64_t *)o->groups.items;
    g.k = o->filters > 0 ? o->filters : g.c;
    if (o->padding.choice < 0) {
        g.pt = p[0];
        g.pb = p[o->padding.count - 1];
    } else if (o->padding.choice == PADDING_CAUSAL) {
        g.pt = span - 1;
    } else if (o->padding.choice == PADDING_SAME) {
        const int64_t missing = ((g.h + g.sh - 1) / g.sh - 1) * g.sh + span - g.h;
        g.pt = missing > 0 ? missing / 2 : 0;
        g.pb = missing > 0 ? missing - missing / 2 : 0;
    }
    const int64_t room = g.h + g.pt + g.pb - span;
    g.oh = room < 0 ? 0 : room / g.sh + 1;
    return g;
}

static enum cb_status conv1d_check(struct cb_instance *in)
{
    const struct options *o = in->options;
    if (o->filters == 0 && o->groups.choice != GROUPS_DEPTHWISE) {
        return in->host->fail(in->core, CB_INVALID, NULL, "conv1d needs `filters`, the number of channels out");
    }
    if (o->padding.choice < 0 && o->padding.count == 0) {
        return in->host->fail(in->core, CB_INVALID, "padding", "`padding` is empty");
    }
    if (o->groups.choice < 0 && o->groups.count == 0) {
        return in->host->fail(in->core, CB_INVALID, "groups", "`groups` is empty");
    }
    return CB_OK;
}

static enum cb_status conv1d_infer(struct cb_instance *in)
{
    const struct cb_host *host = in->host;
    const struct options *o = in->options;
    if (in->x[0]->rank != 3) {
        return host->fail(in->core, CB_MISMATCH, NULL,
                          "conv1d takes sequences [N,T,C], but its input has %u dimensions", (unsigned)in->x[0]->rank);
    }
    const struct convolution g = geometry_of(in);
    CB_TRY(convolution_check_groups(in, g.c, g.k, g.groups));
    if (g.oh < 1) {
        return host->fail(in->core, CB_MISMATCH, "kernel",
                          "a kernel of %lld (dilation %lld) does not fit into a sequence of %lld with its padding",
                          (long long)g.kh, (long long)g.dh, (long long)(g.h + g.pt + g.pb));
    }
    CB_TRY(convolution_params(in, 3, (const int64_t[]){g.kh, g.c / g.groups, g.k}, (double)(g.kh * (g.c / g.groups)),
                              (double)(g.kh * (g.k / g.groups)), o->bias, g.k));
    return host->output(in->core, 0, CB_F32, 3, (const int64_t[]){g.n, g.oh, g.k});
}

/* ---- plain: one work-item per number, any device ----------------------------------------------------------------- */

static enum cb_status plain_forward_prepare(struct cb_instance *in)
{
    return convolution_prepare(in, "conv2d_forward");
}

static enum cb_status plain_forward_run(struct cb_instance *in)
{
    const struct convolution g = geometry_of(in);
    return convolution_forward(in, 0, &g, in->y[0], in->x[0], linear_bias(in));
}

static enum cb_status plain_dx_prepare(struct cb_instance *in)
{
    return convolution_prepare(in, "conv2d_dx");
}

static enum cb_status plain_dx_run(struct cb_instance *in)
{
    const struct convolution g = geometry_of(in);
    return in->dx[0] == NULL ? CB_OK : convolution_dx(in, 0, &g, in->dx[0], in->dy[0], in->dx_accumulate & 1u);
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
        CB_TRY(convolution_dw(in, 0, &g, dw, in->x[0], in->dy[0], in->dw_accumulate & 1u));
    }
    return convolution_db(in, 1, 1, g.n, g.oh, 1, g.k);
}

/* ---- product: as a matrix product, for groups = 1 on processors -------------------------------------------------- */

static bool product_accepts(const struct cb_instance *in)
{
    return geometry_of(in).groups == 1;
}

static enum cb_status product_prepare(struct cb_instance *in)
{
    const struct convolution g = geometry_of(in);
    return convolution_product_prepare(in, &g);
}

static enum cb_status product_forward_run(struct cb_instance *in)
{
    const struct convolution g = geometry_of(in);
    return convolution_product_forward(in, &g, in->y[0], in->x[0], linear_bias(in), false);
}

static enum cb_status product_dx_run(struct cb_instance *in)
{
    const struct convolution g = geometry_of(in);
    return in->dx[0] == NULL ? CB_OK : convolution_product_dx(in, &g, in->dx[0], in->dy[0], in->dx_accumulate & 1u);
}

static enum cb_status product_dw_prepare(struct cb_instance *in)
{
    CB_TRY(product_prepare(in));
    return in->host->kernel(in->core, "conv2d_columns", "conv2d_db_tile", NULL);
}

static enum cb_status product_dw_run(struct cb_instance *in)
{
    const struct convolution g = geometry_of(in);
    struct cb_tensor *dw = linear_gradient(in, 0);
    if (dw != NULL) {
        CB_TRY(convolution_product_dw(in, &g, dw, in->x[0], in->dy[0], in->dw_accumulate & 1u));
    }
    return convolution_db(in, 2, 16, g.n, g.oh, 1, g.k);
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "product", CB_CAP_TILE, product_accepts, product_prepare, NULL,
     product_forward_run},
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "plain", 0, NULL, plain_forward_prepare, NULL, plain_forward_run},
    {CB_PASS_DX, 0, "product", CB_CAP_TILE, product_accepts, product_prepare, NULL, product_dx_run},
    {CB_PASS_DX, 0, "plain", 0, NULL, plain_dx_prepare, NULL, plain_dx_run},
    {CB_PASS_DW, 0, "product", CB_CAP_TILE, product_accepts, product_dw_prepare, NULL, product_dw_run},
    {CB_PASS_DW, 0, "plain", 0, NULL, plain_dw_prepare, NULL, plain_dw_run},
};

static const char *const trials[] = {
    "[{reshape: {shape: [90, 32]}}, {conv1d: {filters: 20, kernel: 3, stride: 2, padding: same}}, {conv1d: {filters: "
    "33, kernel: 1}}, flatten]",
};

CB_PLUGIN({
    .flags = CB_LAYER_LINEAR,
    .name = "conv1d",
    .family = "convolutions",
    .summary = "one-dimensional convolution of a sequence, in groups or depthwise if wanted",
    .formula = "y[n,t,k] = b[k] + sum over j, c of x[n, t*stride + j*dilation - before, c] * w[j,c,k],\n"
               "c over the channels of k's group; x is 0 outside the sequence",
    .example = "- conv1d: {filters: 64, kernel: 5, padding: same}",
    CB_OPTIONS(options, defaults),
    .dx_needs = CB_NEEDS_PARAMS,
    .dw_needs = CB_NEEDS_X,
    .variants = CB_ARRAY(variants),
    .trials = CB_ARRAY(trials),
    .check = conv1d_check,
    .infer = conv1d_infer,
})
