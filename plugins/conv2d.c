/* conv2d: two-dimensional convolution of [N,H,W,C] with filters [KH,KW,C/groups,K], depthwise included.
 *
 *   y[n,oh,ow,k] = b[k] + sum over kh, kw, c of x[n, oh*stride + kh*dilation - top, ow*... , c] * w[kh,kw,c,k]
 *
 * x is zero outside the picture. Each pixel's sum runs over (kh, kw, c) in this order whatever the batch, so that a
 * sample's result does not depend on the batch it is in. */
#include <cambium/layer.h>

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
    {"filters", "channels out; with `groups: depthwise` as many as channels in unless given", CB_OPT_INT, AT(filters), 0,
     1 << 20, NULL, 0, 0},
    {"kernel", "height and width of the filters, or one number for both", CB_OPT_INTS, AT(kernel), 1, 1 << 12, NULL,
     CB_OPTION_REQUIRED, 2},
    {"stride", "step from one output pixel to the next: [down, right], or one number", CB_OPT_INTS, AT(stride), 1, 1 << 12,
     NULL, 0, 2},
    {"padding",
     "zeros around the picture: one number, [vertical, horizontal] or [top, bottom, left, right]; `same`: as many as make "
     "the output the input's size divided by the stride, rounded up, the odd one at the bottom and right (TensorFlow); "
     "`valid`: none",
     CB_OPT_INTS, AT(padding), 0, 1 << 12, padding_words, 0, 4},
    {"dilation", "step from one filter tap to the next: [down, right], or one number", CB_OPT_INTS, AT(dilation), 1,
     1 << 12, NULL, 0, 2},
    {"groups", "channels are split into this many groups that do not mix; `depthwise`: one group per channel", CB_OPT_INTS,
     AT(groups), 1, 1 << 20, groups_words, 0, 1},
    {"bias", "whether a number per output channel is added", CB_OPT_BOOL, AT(bias), 0, 0, NULL, 0, 0},
};

/* ---- geometry ----------------------------------------------------------------------------------------------------- */

/* Everything that the kernels need to know about the sizes; see cl/conv2d.cl for the letters. */
struct geometry {
    int64_t n, h, w, c, oh, ow, k, kh, kw, sh, sw, pt, pb, pl, pr, dh, dw, groups;
};

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

static struct geometry geometry_of(const struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t *dims = in->x[0]->dims;
    struct geometry g = {.n = dims[0], .h = dims[1], .w = dims[2], .c = dims[3]};
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

/* ---- check, infer -------------------------------------------------------------------------------------------------- */

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

static enum cb_status check_groups(struct cb_instance *in, const struct geometry *g)
{
    if (g->c % g->groups != 0) {
        return in->host->fail(in->core, CB_MISMATCH, "groups", "%lld channels in cannot be split into %lld groups",
                              (long long)g->c, (long long)g->groups);
    }
    if (g->k % g->groups != 0) {
        return in->host->fail(in->core, CB_MISMATCH, "filters", "%lld filters cannot be split into %lld groups",
                              (long long)g->k, (long long)g->groups);
    }
    return CB_OK;
}

static enum cb_status conv2d_infer(struct cb_instance *in)
{
    const struct cb_host *host = in->host;
    const struct cb_tensor *x = in->x[0];
    const struct options *o = in->options;
    if (x->rank != 4) {
        return host->fail(in->core, CB_MISMATCH, NULL, "conv2d takes pictures [N,H,W,C], but its input has %u dimensions",
                          (unsigned)x->rank);
    }
    const struct geometry g = geometry_of(in);
    CB_TRY(check_groups(in, &g));
    if (g.oh < 1 || g.ow < 1) {
        return host->fail(in->core, CB_MISMATCH, "kernel",
                          "a kernel of %lld x %lld (dilation %lld x %lld) does not fit into a picture of %lld x %lld with "
                          "its padding",
                          (long long)g.kh, (long long)g.kw, (long long)g.dh, (long long)g.dw,
                          (long long)(g.h + g.pt + g.pb), (long long)(g.w + g.pl + g.pr));
    }
    const double fan_in = (double)(g.kh * g.kw * (g.c / g.groups)), fan_out = (double)(g.kh * g.kw * (g.k / g.groups));
    const struct cb_param_decl w = {.struct_size = sizeof(w), .role = CB_PARAM_FILTER, .name = "w", .foreign = "weight",
                                    .rank = 4, .init = CB_INIT_HE_NORMAL, .dims = {g.kh, g.kw, g.c / g.groups, g.k},
                                    .value = 1.0, .fan_in = fan_in, .fan_out = fan_out};
    const struct cb_param_decl b = {.struct_size = sizeof(b), .role = CB_PARAM_VECTOR, .name = "b", .foreign = "bias",
                                    .rank = 1, .init = CB_INIT_CONSTANT, .dims = {g.k}, .fan_in = fan_in,
                                    .fan_out = fan_out};
    CB_TRY(host->param(in->core, &w));
    if (o->bias) {
        CB_TRY(host->param(in->core, &b));
    }
    const int64_t dims[] = {g.n, g.oh, g.ow, g.k};
    return host->output(in->core, 0, CB_F32, 4, dims);
}

static struct cb_tensor *bias_of(const struct cb_instance *in)
{
    return in->param_count > 1 ? in->params[1] : NULL;
}

/* The gradient of a param; NULL: not there or not wanted. */
static struct cb_tensor *gradient_of(const struct cb_instance *in, uint32_t param)
{
    return in->dw != NULL && param < in->param_count ? in->dw[param] : NULL;
}

/* db, where it is wanted, by kernel number `kernel`: conv2d_db (width 1) or conv2d_db_tile (width 16). */
static enum cb_status run_db(struct cb_instance *in, uint32_t kernel, int64_t width)
{
    const struct geometry g = geometry_of(in);
    struct cb_tensor *db = gradient_of(in, 1);
    if (db == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, kernel, CB_GRID((uint64_t)((g.k + width - 1) / width)), CB_A_TENSOR(db), CB_A_TENSOR(in->dy[0]),
                     CB_A_I32((in->dw_accumulate >> 1) & 1u), CB_A_I32(g.n), CB_A_I32(g.oh), CB_A_I32(g.ow), CB_A_I32(g.k));
}

/* ---- plain: one work-item per number, any device -------------------------------------------------------------------- */

#define SIZE_ARGS(g)                                                                                                   \
    CB_A_I32((g).n), CB_A_I32((g).h), CB_A_I32((g).w), CB_A_I32((g).c), CB_A_I32((g).oh), CB_A_I32((g).ow),            \
        CB_A_I32((g).k), CB_A_I32((g).kh), CB_A_I32((g).kw), CB_A_I32((g).sh), CB_A_I32((g).sw), CB_A_I32((g).pt),     \
        CB_A_I32((g).pl), CB_A_I32((g).dh), CB_A_I32((g).dw), CB_A_I32((g).c / (g).groups),                            \
        CB_A_I32((g).k / (g).groups)

static enum cb_status plain_forward_run(struct cb_instance *in)
{
    const struct geometry g = geometry_of(in);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)g.k, (uint64_t)(g.n * g.oh * g.ow)), CB_A_TENSOR(in->y[0]),
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->params[0]), CB_A_TENSOR(bias_of(in)), SIZE_ARGS(g));
}

static enum cb_status plain_dx_run(struct cb_instance *in)
{
    const struct geometry g = geometry_of(in);
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)g.c, (uint64_t)(g.n * g.h * g.w)), CB_A_TENSOR(in->dx[0]),
                     CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(in->params[0]), CB_A_I32(in->dx_accumulate & 1u), SIZE_ARGS(g));
}

static enum cb_status plain_dw_run(struct cb_instance *in)
{
    const struct geometry g = geometry_of(in);
    struct cb_tensor *dw = gradient_of(in, 0);
    if (dw != NULL) {
        CB_TRY(CB_LAUNCH(in, 0, CB_GRID((uint64_t)g.k, (uint64_t)(g.kh * g.kw * (g.c / g.groups))), CB_A_TENSOR(dw),
                         CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->dy[0]), CB_A_I32(in->dw_accumulate & 1u), SIZE_ARGS(g)));
    }
    return run_db(in, 1, 1);
}

/* ---- product: as a matrix product, for groups = 1 on processors -------------------------------------------------------- */

#define COLUMN_FLOATS ((int64_t)4 << 20) /* of columns at a time, at most, unless one picture needs more */

/* A 1x1 convolution of stride 1 without padding: x is the matrix itself. */
static bool needs_no_columns(const struct geometry *g)
{
    return g->kh == 1 && g->kw == 1 && g->sh == 1 && g->sw == 1 && g->pt == 0 && g->pl == 0 && g->oh == g->h &&
           g->ow == g->w;
}

static bool product_accepts(const struct cb_instance *in)
{
    return geometry_of(in).groups == 1;
}

/* Pictures whose columns are made at a time: a function of the shape alone, never of the batch. */
static int64_t pictures_at_once(const struct geometry *g)
{
    const int64_t one = g->oh * g->ow * g->kh * g->kw * g->c, fit = COLUMN_FLOATS / one;
    return needs_no_columns(g) ? g->n : fit < 1 ? 1 : fit;
}

static int64_t column_count(const struct geometry *g)
{
    const int64_t pictures = pictures_at_once(g) < g->n ? pictures_at_once(g) : g->n;
    return pictures * g->oh * g->ow * g->kh * g->kw * g->c;
}

#define COLUMN_ARGS(g, pictures, first)                                                                                \
    CB_A_I32(pictures), CB_A_I32((g).h), CB_A_I32((g).w), CB_A_I32((g).c), CB_A_I32((g).oh), CB_A_I32((g).ow),         \
        CB_A_I32((g).kh), CB_A_I32((g).kw), CB_A_I32((g).sh), CB_A_I32((g).sw), CB_A_I32((g).pt), CB_A_I32((g).pl),    \
        CB_A_I32((g).dh), CB_A_I32((g).dw), CB_A_I32(first)

static enum cb_status product_prepare(struct cb_instance *in, const char *last_kernel)
{
    const struct geometry g = geometry_of(in);
    CB_TRY(in->host->kernel(in->core, "conv2d_columns", "conv2d_columns", NULL));
    CB_TRY(in->host->kernel(in->core, "conv2d_columns", last_kernel, NULL));
    return needs_no_columns(&g) ? CB_OK : in->host->workspace(in->core, CB_F32, column_count(&g));
}

/* The matrix of `pictures` pictures from `first` on, and where it begins. */
static enum cb_status columns_of(struct cb_instance *in, const struct geometry *g, int64_t first, int64_t pictures,
                                 const struct cb_tensor **out, int64_t *out_offset)
{
    *out = in->x[0];
    *out_offset = first * g->h * g->w * g->c;
    if (needs_no_columns(g)) {
        return CB_OK;
    }
    *out = in->workspace[0];
    *out_offset = 0;
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)(pictures * g->oh)), CB_A_TENSOR(in->workspace[0]), CB_A_TENSOR(in->x[0]),
                     COLUMN_ARGS(*g, pictures, first));
}

static enum cb_status product_forward_prepare(struct cb_instance *in)
{
    return product_prepare(in, "conv2d_fill_bias");
}

static enum cb_status product_forward_run(struct cb_instance *in)
{
    const struct geometry g = geometry_of(in);
    const int64_t area = g.oh * g.ow, at_once = pictures_at_once(&g);
    struct cb_tensor *bias = bias_of(in);
    if (bias != NULL) {
        CB_TRY(CB_LAUNCH(in, 1, CB_GRID((uint64_t)(g.n * area)), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(bias),
                         CB_A_I64(g.n * area), CB_A_I32(g.k)));
    }
    for (int64_t first = 0; first < g.n; first += at_once) {
        const int64_t pictures = g.n - first < at_once ? g.n - first : at_once;
        struct cb_gemm product = {.struct_size = sizeof(product), .accumulate = bias != NULL, .m = pictures * area,
                                  .n = g.k, .k = g.kh * g.kw * g.c, .b = in->params[0], .y = in->y[0],
                                  .y_offset = first * area * g.k};
        CB_TRY(columns_of(in, &g, first, pictures, &product.a, &product.a_offset));
        CB_TRY(in->host->gemm(in->core, &product));
    }
    return CB_OK;
}

static enum cb_status product_dx_prepare(struct cb_instance *in)
{
    return product_prepare(in, "conv2d_from_columns");
}

static enum cb_status product_dx_run(struct cb_instance *in)
{
    const struct geometry g = geometry_of(in);
    const int64_t area = g.oh * g.ow, at_once = pictures_at_once(&g);
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    for (int64_t first = 0; first < g.n; first += at_once) {
        const int64_t pictures = g.n - first < at_once ? g.n - first : at_once;
        const bool direct = needs_no_columns(&g);
        struct cb_gemm product = {.struct_size = sizeof(product), .b_transposed = 1,
                                  .accumulate = direct && (in->dx_accumulate & 1u) != 0, .m = pictures * area,
                                  .n = g.kh * g.kw * g.c, .k = g.k, .a = in->dy[0], .a_offset = first * area * g.k,
                                  .b = in->params[0], .y = direct ? in->dx[0] : in->workspace[0],
                                  .y_offset = direct ? first * g.h * g.w * g.c : 0};
        CB_TRY(in->host->gemm(in->core, &product));
        if (!direct) {
            CB_TRY(CB_LAUNCH(in, 1, CB_GRID((uint64_t)(pictures * g.h)), CB_A_TENSOR(in->dx[0]),
                             CB_A_TENSOR(in->workspace[0]), CB_A_I32(in->dx_accumulate & 1u),
                             COLUMN_ARGS(g, pictures, first)));
        }
    }
    return CB_OK;
}

static enum cb_status product_dw_prepare(struct cb_instance *in)
{
    return product_prepare(in, "conv2d_db_tile");
}

static enum cb_status product_dw_run(struct cb_instance *in)
{
    const struct geometry g = geometry_of(in);
    const int64_t area = g.oh * g.ow, at_once = pictures_at_once(&g);
    struct cb_tensor *dw = gradient_of(in, 0);
    for (int64_t first = 0; dw != NULL && first < g.n; first += at_once) {
        const int64_t pictures = g.n - first < at_once ? g.n - first : at_once;
        struct cb_gemm product = {.struct_size = sizeof(product), .a_transposed = 1,
                                  .accumulate = first > 0 || (in->dw_accumulate & 1u) != 0, .m = g.kh * g.kw * g.c,
                                  .n = g.k, .k = pictures * area, .b = in->dy[0], .b_offset = first * area * g.k,
                                  .y = dw};
        CB_TRY(columns_of(in, &g, first, pictures, &product.a, &product.a_offset));
        CB_TRY(in->host->gemm(in->core, &product));
    }
    return run_db(in, 1, 16);
}

/* ---- depthwise: a filter for each channel, on processors ---------------------------------------------------------------- */

static bool depthwise_accepts(const struct cb_instance *in)
{
    const struct geometry g = geometry_of(in);
    return g.groups == g.c && g.k == g.c && g.c % 16 == 0;
}

#define DEPTHWISE_ARGS(g)                                                                                              \
    CB_A_I32((g).n), CB_A_I32((g).h), CB_A_I32((g).w), CB_A_I32((g).c), CB_A_I32((g).oh), CB_A_I32((g).ow),            \
        CB_A_I32((g).kh), CB_A_I32((g).kw), CB_A_I32((g).sh), CB_A_I32((g).sw), CB_A_I32((g).pt), CB_A_I32((g).pl),    \
        CB_A_I32((g).dh), CB_A_I32((g).dw)

static enum cb_status depthwise_forward_prepare(struct cb_instance *in)
{
    return in->host->kernel(in->core, "conv2d_depthwise", "conv2d_depthwise_forward", NULL);
}

static enum cb_status depthwise_forward_run(struct cb_instance *in)
{
    const struct geometry g = geometry_of(in);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)g.c / 16, (uint64_t)(g.n * g.oh)), CB_A_TENSOR(in->y[0]),
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->params[0]), CB_A_TENSOR(bias_of(in)), DEPTHWISE_ARGS(g));
}

static enum cb_status depthwise_dx_prepare(struct cb_instance *in)
{
    return in->host->kernel(in->core, "conv2d_depthwise", "conv2d_depthwise_dx", NULL);
}

static enum cb_status depthwise_dx_run(struct cb_instance *in)
{
    const struct geometry g = geometry_of(in);
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)g.c / 16, (uint64_t)(g.n * g.h)), CB_A_TENSOR(in->dx[0]),
                     CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(in->params[0]), CB_A_I32(in->dx_accumulate & 1u),
                     DEPTHWISE_ARGS(g));
}

static enum cb_status depthwise_dw_prepare(struct cb_instance *in)
{
    CB_TRY(in->host->kernel(in->core, "conv2d_depthwise", "conv2d_depthwise_dw", NULL));
    return in->host->kernel(in->core, "conv2d_columns", "conv2d_db_tile", NULL);
}

static enum cb_status depthwise_dw_run(struct cb_instance *in)
{
    const struct geometry g = geometry_of(in);
    struct cb_tensor *dw = gradient_of(in, 0);
    if (dw != NULL) {
        CB_TRY(CB_LAUNCH(in, 0, CB_GRID((uint64_t)g.c / 16, (uint64_t)(g.kh * g.kw)), CB_A_TENSOR(dw),
                         CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->dy[0]), CB_A_I32(in->dw_accumulate & 1u),
                         DEPTHWISE_ARGS(g)));
    }
    return run_db(in, 1, 16);
}

/* ---- winograd: 3x3 of stride 1 with a quarter of the multiplications, on processors (cl/conv2d_winograd.cl) -------------- */

/* One convolution as its kernels see it: dx is that of dy with turned filters. */
struct winograd {
    int64_t n, h, w, c, oh, ow, k, pt, pl;
    int64_t tiles, block, parts, items, panels, columns;
};

static bool winograd_accepts(const struct cb_instance *in)
{
    const struct geometry g = geometry_of(in);
    const int64_t covered = (g.oh + 3) / 4 * 4 * ((g.ow + 3) / 4 * 4);
    return g.kh == 3 && g.kw == 3 && g.sh == 1 && g.sw == 1 && g.dh == 1 && g.dw == 1 && g.groups == 1 && g.pt <= 2 &&
           g.pl <= 2 && g.c % 16 == 0 && g.k % 16 == 0 && covered <= 2 * g.oh * g.ow;
}

/* How the work is cut. v of a block and m of a panel stay in half the second-level cache; where not even one register tile
 * does, filters come from memory for each block, so it is larger (C = 512, batch 16: 9.1 ms with 36 tiles, 12.1 with 12).
 * Few blocks: parts of the panels are jobs of their own, which transform the same pixels again. */
static struct winograd winograd_of(const struct cb_instance *in, bool is_dx)
{
    const struct cb_device_facts *device = in->host->device(in->core);
    const struct geometry g = geometry_of(in);
    struct winograd f = {g.n, g.h, g.w, g.c, g.oh, g.ow, g.k, g.pt, g.pl, 0, 0, 0, 0, 0, device->tile_columns};
    if (is_dx) {
        f = (struct winograd){g.n, g.oh, g.ow, g.k, g.h, g.w, g.c, 2 - g.pt, 2 - g.pl, 0, 0, 0, 0, 0, f.columns};
    }
    const int64_t rows = device->tile_rows, row_bytes = 36 * (int64_t)sizeof(float) * rows * (f.c + 16);
    const int64_t fit = (int64_t)device->l2_bytes / 2 / row_bytes, jobs = 4 * (int64_t)device->compute_units;
    f.tiles = f.n * ((f.oh + 3) / 4) * ((f.ow + 3) / 4);
    f.block = rows * (fit < 1 ? 3 : fit > 4 ? 4 : fit);
    f.panels = (f.k + f.columns - 1) / f.columns;
    const int64_t blocks = (f.tiles + f.block - 1) / f.block;
    f.parts = (jobs + blocks - 1) / blocks;
    f.parts = f.parts > f.panels ? f.panels : f.parts;
    f.items = blocks * f.parts < jobs ? blocks * f.parts : jobs;
    return f;
}

/* A kernel of cl/conv2d_winograd.cl for this device's register tile. */
static enum cb_status winograd_kernel(struct cb_instance *in, const char *entry)
{
    return in->host->kernel(in->core, "conv2d_winograd", entry,
                            in->host->device(in->core)->tile_columns == 32 ? "-DCB_ROWS=12 -DCB_PIECES=2"
                                                                           : "-DCB_ROWS=6 -DCB_PIECES=1");
}

static enum cb_status winograd_prepare(struct cb_instance *in, bool is_dx)
{
    const struct winograd f = winograd_of(in, is_dx);
    CB_TRY(winograd_kernel(in, "conv2d_winograd"));
    CB_TRY(winograd_kernel(in, "conv2d_winograd_filter"));
    CB_TRY(in->host->workspace(in->core, CB_F32, f.items * 36 * f.block * (f.c + 16 + f.columns)));
    return in->host->derived(in->core, CB_F32, 36 * f.panels * f.columns * f.c);
}

static enum cb_status winograd_derive(struct cb_instance *in, bool is_dx)
{
    const struct winograd f = winograd_of(in, is_dx);
    return CB_LAUNCH(in, 1, CB_GRID((uint64_t)(f.panels * f.columns / 16), (uint64_t)f.c / 16), CB_A_TENSOR(in->derived[0]),
                     CB_A_TENSOR(in->params[0]), CB_A_I32(f.c), CB_A_I32(f.k), CB_A_I32(is_dx));
}

static enum cb_status winograd_run(struct cb_instance *in, bool is_dx, const struct cb_tensor *y, const struct cb_tensor *x,
                                   const struct cb_tensor *bias, bool accumulate)
{
    const struct winograd f = winograd_of(in, is_dx);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)f.items), CB_A_TENSOR(y), CB_A_TENSOR(x), CB_A_TENSOR(in->derived[0]),
                     CB_A_TENSOR(bias), CB_A_TENSOR(in->workspace[0]), CB_A_I32(f.n), CB_A_I32(f.h), CB_A_I32(f.w),
                     CB_A_I32(f.c), CB_A_I32(f.oh), CB_A_I32(f.ow), CB_A_I32(f.k), CB_A_I32(f.pt), CB_A_I32(f.pl),
                     CB_A_I32(f.block), CB_A_I32(f.parts), CB_A_I32(accumulate));
}

static enum cb_status winograd_forward_prepare(struct cb_instance *in)
{
    return winograd_prepare(in, false);
}

static enum cb_status winograd_forward_derive(struct cb_instance *in)
{
    return winograd_derive(in, false);
}

static enum cb_status winograd_forward_run(struct cb_instance *in)
{
    return winograd_run(in, false, in->y[0], in->x[0], bias_of(in), false);
}

static enum cb_status winograd_dx_prepare(struct cb_instance *in)
{
    return winograd_prepare(in, true);
}

static enum cb_status winograd_dx_derive(struct cb_instance *in)
{
    return winograd_derive(in, true);
}

static enum cb_status winograd_dx_run(struct cb_instance *in)
{
    return in->dx[0] == NULL ? CB_OK : winograd_run(in, true, in->dx[0], in->dy[0], NULL, in->dx_accumulate & 1u);
}

/* Tiles whose v and m are made at a time: they stay in the last-level cache, but are enough to be worth reading du for. */
static int64_t winograd_chunk(const struct geometry *g)
{
    const int64_t tiles = g->n * ((g->oh + 3) / 4) * ((g->ow + 3) / 4), fit = ((int64_t)3 << 20) / (36 * (g->c + g->k));
    const int64_t chunk = fit < 192 ? 192 : fit;
    return chunk < tiles ? chunk : tiles;
}

static enum cb_status winograd_dw_prepare(struct cb_instance *in)
{
    const struct geometry g = geometry_of(in);
    const int64_t chunk = winograd_chunk(&g), panel = in->host->device(in->core)->tile_columns;
    CB_TRY(winograd_kernel(in, "conv2d_winograd_input"));
    CB_TRY(winograd_kernel(in, "conv2d_winograd_gradient"));
    CB_TRY(winograd_kernel(in, "conv2d_winograd_product"));
    CB_TRY(winograd_kernel(in, "conv2d_winograd_dw"));
    CB_TRY(in->host->kernel(in->core, "conv2d_columns", "conv2d_db_tile", NULL));
    CB_TRY(in->host->workspace(in->core, CB_F32, 36 * chunk * g.c));
    CB_TRY(in->host->workspace(in->core, CB_F32, 36 * chunk * g.k + panel));
    return in->host->workspace(in->core, CB_F32, 36 * g.c * g.k);
}

static enum cb_status winograd_dw_run(struct cb_instance *in)
{
    const struct geometry g = geometry_of(in);
    const int64_t tiles = g.n * ((g.oh + 3) / 4) * ((g.ow + 3) / 4), chunk = winograd_chunk(&g);
    const uint64_t rows = in->host->device(in->core)->tile_rows;
    struct cb_tensor *dw = gradient_of(in, 0), *v = in->workspace[0], *m = in->workspace[1], *du = in->workspace[2];
    for (int64_t first = 0; dw != NULL && first < tiles; first += chunk) {
        const int64_t count = tiles - first < chunk ? tiles - first : chunk;
        CB_TRY(CB_LAUNCH(in, 0, CB_GRID((uint64_t)count), CB_A_TENSOR(v), CB_A_TENSOR(in->x[0]), CB_A_I32(count),
                         CB_A_I32(first), CB_A_I32(g.h), CB_A_I32(g.w), CB_A_I32(g.c), CB_A_I32(g.oh), CB_A_I32(g.ow),
                         CB_A_I32(g.pt), CB_A_I32(g.pl)));
        CB_TRY(CB_LAUNCH(in, 1, CB_GRID((uint64_t)count), CB_A_TENSOR(m), CB_A_TENSOR(in->dy[0]), CB_A_I32(count),
                         CB_A_I32(first), CB_A_I32(g.oh), CB_A_I32(g.ow), CB_A_I32(g.k)));
        CB_TRY(CB_LAUNCH(in, 2, CB_GRID(((uint64_t)g.c + rows - 1) / rows, 36), CB_A_TENSOR(du), CB_A_TENSOR(v),
                         CB_A_TENSOR(m), CB_A_I32(count), CB_A_I32(g.c), CB_A_I32(g.k), CB_A_I32(first > 0)));
    }
    if (dw != NULL) {
        CB_TRY(CB_LAUNCH(in, 3, CB_GRID((uint64_t)g.k / 16, (uint64_t)g.c), CB_A_TENSOR(dw), CB_A_TENSOR(du), CB_A_I32(g.c),
                         CB_A_I32(g.k), CB_A_I32(in->dw_accumulate & 1u)));
    }
    return run_db(in, 4, 16);
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "winograd", CB_CAP_TILE, winograd_accepts, winograd_forward_prepare,
     winograd_forward_derive, winograd_forward_run},
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "product", CB_CAP_TILE, product_accepts, product_forward_prepare, NULL,
     product_forward_run},
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "depthwise", CB_CAP_TILE, depthwise_accepts, depthwise_forward_prepare, NULL,
     depthwise_forward_run},
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "plain", .run = plain_forward_run, .kernels = "conv2d_forward"},
    {CB_PASS_DX, 0, "winograd", CB_CAP_TILE, winograd_accepts, winograd_dx_prepare, winograd_dx_derive, winograd_dx_run},
    {CB_PASS_DX, 0, "product", CB_CAP_TILE, product_accepts, product_dx_prepare, NULL, product_dx_run},
    {CB_PASS_DX, 0, "depthwise", CB_CAP_TILE, depthwise_accepts, depthwise_dx_prepare, NULL, depthwise_dx_run},
    {CB_PASS_DX, 0, "plain", .run = plain_dx_run, .kernels = "conv2d_dx"},
    {CB_PASS_DW, 0, "winograd", CB_CAP_TILE, winograd_accepts, winograd_dw_prepare, NULL, winograd_dw_run},
    {CB_PASS_DW, 0, "product", CB_CAP_TILE, product_accepts, product_dw_prepare, NULL, product_dw_run},
    {CB_PASS_DW, 0, "depthwise", CB_CAP_TILE, depthwise_accepts, depthwise_dw_prepare, NULL, depthwise_dw_run},
    {CB_PASS_DW, 0, "plain", .run = plain_dw_run, .kernels = "conv2d_dw conv2d_db"},
};

static const char *const trials[] = {
    "[{conv2d: {filters: 32, kernel: 3, padding: 1}}, {conv2d: {filters: 48, kernel: 3, padding: 1}}, "
    "flatten]",
    "[{conv2d: {filters: 32, kernel: 1}}, {conv2d: {kernel: 5, groups: depthwise, padding: 2}}, {conv2d: "
    "{filters: 20, kernel: 3, stride: 2, padding: same}}, flatten]",
};

CB_PLUGIN({
    .flags = CB_LAYER_LINEAR,
    .name = "conv2d",
    .summary = "two-dimensional convolution, in groups or depthwise if wanted",
    .formula = "y[n,oh,ow,k] = b[k] + sum over kh, kw, c of x[n, oh*stride + kh*dilation - top, ow*stride + kw*dilation - "
               "left, c] * w[kh,kw,c,k]",
    .example = "- conv2d: {filters: 64, kernel: 3, stride: 2, padding: same}",
    CB_OPTIONS(options, defaults),
    .dx_needs = CB_NEEDS_PARAMS,
    .dw_needs = CB_NEEDS_X,
    .variants = CB_ARRAY(variants),
    .trials = CB_ARRAY(trials),
    .check = conv2d_check,
    .infer = conv2d_infer,
})
