/* window_attention: attention within windows of a picture (Liu 2021, Swin), of queries, keys and values that lie behind
 * each other in the channels: [N,H,W,3C] -> [N,H,W,C], H heads of D = C / H channels.
 *
 *   y[q,h,:] = sum over k of p[k] v[k,h,:],  k over the pixels of q's window,
 *   p = softmax over k of z[k],  z[k] = scale q[h,:].k[h,:] + w[row of q - row of k, column of q - column of k, h]
 *
 * The windows are `window` x `window` pixels, and lie `shift` pixels further down and right than the picture's corner; what
 * sticks out at the end comes in again at the beginning, but pixels that only meet that way do not see each other. Where a
 * window is as high, or as wide, as the picture, there is no shift that way. w [(2 window - 1)^2, H] is trained. As in
 * attention, no scores are stored: forward keeps the logarithm of each row's sum of exponentials, from which backward makes
 * p again. With delta = dy.y of the row, dz = p (dy.v - delta):
 *   dq = sum over k of scale dz k,  dk = sum over q of scale dz q,  dv = sum over q of p dy,  dw = sum of dz at that offset */
#include <cambium/layer.h>

struct options {
    int64_t heads, window, shift;
    double scale;
};

static const struct options defaults = {.heads = 1, .window = 7};

#define AT(field) offsetof(struct options, field)
static const struct cb_option options[] = {
    {"heads", "heads into which the channels of the queries are split", CB_OPT_INT, AT(heads), 1, 1 << 16},
    {"window", "pixels of a window's side", CB_OPT_INT, AT(window), 1, 64},
    {"shift", "pixels by which the windows are moved, in every other block usually half a window", CB_OPT_INT, AT(shift),
     0, 63},
    {"scale", "factor of the scores; 0: 1 / sqrt(channels of a head)", CB_OPT_REAL, AT(scale), 0, 1e6},
};

/* N samples of H x W pixels, windows of S x S, moved by shift_h and shift_w, `heads` of D channels. */
struct sizes {
    int64_t n, h, w, s, shift_h, shift_w, heads, d;
    double scale;
};

static struct sizes sizes_of(const struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t *x = in->x[0]->dims;
    struct sizes s = {.n = x[0], .h = x[1], .w = x[2], .s = o->window, .heads = o->heads, .d = x[3] / 3 / o->heads};
    double root = 1.0; /* Newton's: a plugin links against nothing */
    for (int i = 0; i < 40; i++) {
        root = 0.5 * (root + (double)s.d / root);
    }
    s.shift_h = s.s >= s.h ? 0 : o->shift;
    s.shift_w = s.s >= s.w ? 0 : o->shift;
    s.scale = o->scale > 0.0 ? o->scale : 1.0 / root;
    return s;
}

static int64_t table_rows(const struct sizes *s)
{
    return (2 * s->s - 1) * (2 * s->s - 1);
}

#define SIZE_ARGS(z)                                                                                                   \
    CB_A_I32((z).n), CB_A_I32((z).h), CB_A_I32((z).w), CB_A_I32((z).s), CB_A_I32((z).shift_h), CB_A_I32((z).shift_w),  \
        CB_A_I32((z).heads), CB_A_I32((z).d), CB_A_F32((z).scale)

static enum cb_status check_sizes(struct cb_instance *in)
{
    const struct cb_host *host = in->host;
    const struct options *o = in->options;
    const struct cb_tensor *x = in->x[0];
    if (x->rank != 4) {
        return host->fail(in->core, CB_MISMATCH, NULL, "window_attention takes [N,H,W,3C], but its input has rank %u",
                          (unsigned)x->rank);
    }
    if (o->shift >= o->window) {
        return host->fail(in->core, CB_INVALID, "shift", "`shift` %lld must be smaller than the window of %lld",
                          (long long)o->shift, (long long)o->window);
    }
    if (x->dims[3] % (3 * o->heads) != 0) {
        return host->fail(in->core, CB_MISMATCH, "heads",
                          "%lld channels are not queries, keys and values of %lld equal heads", (long long)x->dims[3],
                          (long long)o->heads);
    }
    if (x->dims[1] % o->window != 0 || x->dims[2] % o->window != 0) {
        return host->fail(in->core, CB_MISMATCH, "window",
                          "a picture of %lld x %lld pixels is not made of whole windows of %lld x %lld",
                          (long long)x->dims[1], (long long)x->dims[2], (long long)o->window, (long long)o->window);
    }
    return CB_OK;
}

static enum cb_status window_attention_infer(struct cb_instance *in)
{
    CB_TRY(check_sizes(in));
    const struct sizes s = sizes_of(in);
    const struct cb_param_decl w = {.struct_size = sizeof(w), .role = CB_PARAM_TABLE, .name = "w",
                                    .foreign = "relative_position_bias_table", .rank = 2, .init = CB_INIT_NORMAL,
                                    .dims = {table_rows(&s), s.heads}, .value = 0.02};
    CB_TRY(in->host->param(in->core, &w));
    CB_TRY(in->host->saved(in->core, CB_F32, 4, (const int64_t[]){s.n, s.heads, s.h, s.w}));
    return in->host->output(in->core, 0, CB_F32, 4, (const int64_t[]){s.n, s.h, s.w, s.heads * s.d});
}

/* ---- plain: a pixel of a head per work-item, any device ---------------------------------------------------------- */

static enum cb_status plain_forward_run(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)(s.h * s.w), (uint64_t)s.heads, (uint64_t)s.n), CB_A_TENSOR(in->y[0]),
                     CB_A_TENSOR(in->saved[0]), CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->params[0]), SIZE_ARGS(s));
}

enum { BACKWARD_DELTA, BACKWARD_DX, BACKWARD_DW };

static enum cb_status prepare_delta(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in);
    return in->host->workspace(in->core, CB_F32, s.n * s.heads * s.h * s.w);
}

/* dy.y of each row into workspace 0, as delta [N,heads,H,W], by kernel 0. */
static enum cb_status run_delta(struct cb_instance *in, const struct sizes *s)
{
    return CB_LAUNCH(in, BACKWARD_DELTA, CB_GRID((uint64_t)(s->h * s->w), (uint64_t)s->heads, (uint64_t)s->n),
                     CB_A_TENSOR(in->workspace[0]), CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(in->y[0]), CB_A_I32(s->n),
                     CB_A_I32(s->h * s->w), CB_A_I32(s->heads), CB_A_I32(s->d));
}

#define BACKWARD_ARGS(in)                                                                                              \
    CB_A_TENSOR((in)->x[0]), CB_A_TENSOR((in)->params[0]), CB_A_TENSOR((in)->dy[0]), CB_A_TENSOR((in)->saved[0]),      \
        CB_A_TENSOR((in)->workspace[0])

static enum cb_status plain_backward_run(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in);
    CB_TRY(run_delta(in, &s));
    if (in->dw != NULL && in->dw[0] != NULL) {
        CB_TRY(CB_LAUNCH(in, BACKWARD_DW, CB_GRID((uint64_t)table_rows(&s), (uint64_t)s.heads), CB_A_TENSOR(in->dw[0]),
                         BACKWARD_ARGS(in), CB_A_I32(in->dw_accumulate & 1u), SIZE_ARGS(s)));
    }
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, BACKWARD_DX, CB_GRID((uint64_t)(s.h * s.w), (uint64_t)s.heads, (uint64_t)s.n),
                     CB_A_TENSOR(in->dx[0]), BACKWARD_ARGS(in), CB_A_I32(in->dx_accumulate & 1u), SIZE_ARGS(s));
}

/* ---- tile: a head of a window per work-item, on processors (cl/window_attention_tile.cl) ------------------------- */

static bool tile_accepts(const struct cb_instance *in)
{
    const struct sizes s = sizes_of(in);
    return s.s <= 8 && s.d % 16 == 0 && s.d <= 64;
}

/* Compiled for the channels of a head, sixteen a piece. */
static enum cb_status tile_forward_prepare(struct cb_instance *in)
{
    static const char *const defines[] = {"-DWINDOW_ATTENTION_PIECES=1", "-DWINDOW_ATTENTION_PIECES=2",
                                          "-DWINDOW_ATTENTION_PIECES=3", "-DWINDOW_ATTENTION_PIECES=4"};
    return in->host->kernel(in->core, "window_attention_tile", "window_attention_forward_tile",
                            defines[sizes_of(in).d / 16 - 1]);
}

static enum cb_status tile_forward_run(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in);
    const uint64_t windows = (uint64_t)(s.h / s.s * (s.w / s.s));
    return CB_LAUNCH(in, 0, CB_GRID_LOCAL(windows, (uint64_t)s.heads, (uint64_t)s.n, 1, 1, 1), CB_A_TENSOR(in->y[0]),
                     CB_A_TENSOR(in->saved[0]), CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->params[0]), SIZE_ARGS(s));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "tile", CB_CAP_TILE, tile_accepts, tile_forward_prepare, NULL,
     tile_forward_run},
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "plain", .run = plain_forward_run, .kernels = "window_attention_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .prepare = prepare_delta, .run = plain_backward_run,
     .kernels = "window_attention_delta window_attention_dx window_attention_dw"},
};

static const char *const trials[] = {
    "[{conv2d: {filters: 96, kernel: [2, 3]}}, {window_attention: {heads: 2, window: 4, shift: 1}}, flatten]",
};

CB_PLUGIN({
    .name = "window_attention",
    .family = "sequences",
    .summary = "attention within the windows of a picture, with a trained bias for each distance; the input holds queries, "
               "keys and values",
    .formula = "y[q,h] = sum over the pixels k of q's window of p[k] * v[k,h],\n"
               "p = softmax over k of scale * (q[h] . k[h]) + w[distance from k to q, h]",
    .example = "- window_attention: {heads: 3, window: 7, shift: 3}",
    CB_OPTIONS(options, defaults),
    .dx_needs = CB_NEEDS_X | CB_NEEDS_Y | CB_NEEDS_PARAMS | CB_NEEDS_SAVED,
    .dw_needs = CB_NEEDS_X | CB_NEEDS_Y | CB_NEEDS_PARAMS | CB_NEEDS_SAVED,
    .variants = CB_ARRAY(variants),
    .trials = CB_ARRAY(trials),
    .infer = window_attention_infer,
})
