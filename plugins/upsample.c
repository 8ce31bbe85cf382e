/* upsample: pictures [N,H,W,C] at another height and width (torch.nn.functional.interpolate).
 *
 *   nearest: y[n,i,j,c] = x[n,i H / OH,j W / OW,c], rounded down
 *   bilinear: the four places around (i + 1/2) H / OH - 1/2, weighted by nearness; or with align_corners around
 *             i (H - 1) / (OH - 1), so that the corners stay what they are
 *
 * A `scale_factor` s makes OH = H s, rounded down, and stands for OH / H above where it is no whole number (PyTorch without
 * recompute_scale_factor). The places are worked out in whole numbers: (a i + b) / d. */
#include <cambium/layer.h>

enum { NEAREST, BILINEAR };
static const char *const mode_words[] = {"nearest", "bilinear", NULL};

struct options {
    struct cb_list factor; /* of double */
    struct cb_list size;   /* of int64_t */
    int32_t mode;
    uint32_t align_corners;
};

static const struct options defaults = {.factor = CB_LIST_EMPTY, .size = CB_LIST_EMPTY, .mode = NEAREST};

#define AT(field) offsetof(struct options, field)
static const struct cb_option options[] = {
    {"scale_factor", "by which height and width grow: [vertical, horizontal], or one number; or give `size`",
     CB_OPT_REALS, AT(factor), 1.0 / 256, 1 << 10, NULL, 0, 2},
    {"size", "height and width of the output, or one number for both", CB_OPT_INTS, AT(size), 1, 1 << 15, NULL, 0, 2},
    {"mode", "the nearest place, or the four around weighted by nearness", CB_OPT_CHOICE, AT(mode), 0, 0, mode_words, 0,
     0},
    {"align_corners", "bilinear: whether the middles of the corner places stay in the corners", CB_OPT_BOOL,
     AT(align_corners), 0, 0, NULL, 0, 0},
};

/* One direction: `in` places become `out`, each place `to` / `from` times as large; place i lies at (a i + b) / d. */
struct axis {
    int64_t in, out, from, to, a, b, d;
};

/* A scale factor as the fraction to / from; false where none with so small a `from` is it. */
static bool read_factor(double factor, struct axis *s)
{
    for (s->from = 1; s->from <= 256; s->from++) {
        s->to = (int64_t)(factor * (double)s->from + 0.5);
        const double off = factor * (double)s->from - (double)s->to;
        if (s->to > 0 && off < 1e-6 && off > -1e-6) {
            s->out = s->in * s->to / s->from;
            return true;
        }
    }
    return false;
}

/* False when the factor is no fraction, see read_factor. */
static bool read_axis(const struct options *o, int64_t in, uint32_t i, struct axis *out)
{
    struct axis s = {.in = in, .from = in};
    if (o->size.count > 0) {
        s.out = s.to = ((const int64_t *)o->size.items)[i < o->size.count ? i : o->size.count - 1];
    } else if (!read_factor(((const double *)o->factor.items)[i < o->factor.count ? i : o->factor.count - 1], &s)) {
        return false;
    }
    if (o->mode == NEAREST) {
        s.a = s.from;
        s.d = s.to;
    } else if (o->align_corners) {
        s.a = s.out > 1 ? in - 1 : 0;
        s.d = s.out > 1 ? s.out - 1 : 1;
    } else {
        s.a = 2 * s.from;
        s.b = s.from - s.to;
        s.d = 2 * s.to;
    }
    *out = s;
    return true;
}

/* After infer has seen to it. */
static struct axis axis_of(const struct options *o, int64_t in, uint32_t i)
{
    struct axis s = {0};
    (void)read_axis(o, in, i, &s);
    return s;
}

static enum cb_status upsample_infer(struct cb_instance *in)
{
    const struct cb_host *host = in->host;
    const struct options *o = in->options;
    const struct cb_tensor *x = in->x[0];
    if (x->rank != 4) {
        return host->fail(in->core, CB_MISMATCH, NULL, "upsample needs [N,H,W,C], but its input has rank %u",
                          (unsigned)x->rank);
    }
    if ((o->factor.count > 0) == (o->size.count > 0)) {
        return host->fail(in->core, CB_INVALID, NULL, "upsample needs either `scale_factor` or `size`");
    }
    if (o->align_corners && o->mode == NEAREST) {
        return host->fail(in->core, CB_INVALID, "align_corners", "`align_corners` is for `mode: bilinear` alone");
    }
    struct axis h, w;
    if (!read_axis(o, x->dims[1], 0, &h) || !read_axis(o, x->dims[2], 1, &w)) {
        return host->fail(in->core, CB_INVALID, "scale_factor",
                          "`scale_factor` is no fraction of whole numbers up to 256: give `size`");
    }
    if (h.out < 1 || w.out < 1) {
        return host->fail(in->core, CB_MISMATCH, "scale_factor", "nothing is left: pictures of %lld x %lld would become "
                          "%lld x %lld", (long long)h.in, (long long)w.in, (long long)h.out, (long long)w.out);
    }
    const int64_t most = 1 << 15; /* (a i + b) must fit into an int, also with a place more on each side */
    if (h.in > most || w.in > most || h.out > most || w.out > most || h.a * (h.out + 2) + 4 * h.d >= INT32_MAX / 2 ||
        w.a * (w.out + 2) + 4 * w.d >= INT32_MAX / 2 || (h.in + 2) * h.d >= INT32_MAX / 2 ||
        (w.in + 2) * w.d >= INT32_MAX / 2) {
        return host->fail(in->core, CB_MISMATCH, o->size.count > 0 ? "size" : "scale_factor",
                          "the pictures are too large: %lld x %lld would become %lld x %lld", (long long)h.in,
                          (long long)w.in, (long long)h.out, (long long)w.out);
    }
    return host->output(in->core, 0, CB_F32, 4, (const int64_t[]){x->dims[0], h.out, w.out, x->dims[3]});
}

#define SIZE_ARGS(n, h, w, c)                                                                      \
    CB_A_I32(n), CB_A_I32((h).in), CB_A_I32((w).in), CB_A_I32(c), CB_A_I32((h).out), CB_A_I32((w).out), \
        CB_A_I32((h).a), CB_A_I32((h).b), CB_A_I32((h).d), CB_A_I32((w).a), CB_A_I32((w).b), CB_A_I32((w).d)

static enum cb_status run_forward(struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t *x = in->x[0]->dims;
    const struct axis h = axis_of(o, x[1], 0), w = axis_of(o, x[2], 1);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)(x[3] + 15) / 16, (uint64_t)w.out, (uint64_t)(x[0] * h.out)),
                     CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->x[0]), SIZE_ARGS(x[0], h, w, x[3]),
                     CB_A_I32(o->mode == BILINEAR));
}

static enum cb_status run_dx(struct cb_instance *in)
{
    const struct options *o = in->options;
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    const int64_t *x = in->dx[0]->dims;
    const struct axis h = axis_of(o, x[1], 0), w = axis_of(o, x[2], 1);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)(x[3] + 15) / 16, (uint64_t)w.in, (uint64_t)(x[0] * h.in)),
                     CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]), SIZE_ARGS(x[0], h, w, x[3]),
                     CB_A_I32(o->mode == BILINEAR), CB_A_I32(in->dx_accumulate & 1u));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "upsample_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_dx, .kernels = "upsample_dx"},
};

CB_PLUGIN({
    .name = "upsample",
    .family = "shapes",
    .summary = "pictures at another height and width, by the nearest place or bilinear",
    .formula = "nearest: y[n,i,j,c] = x[n, floor(i * H/OH), floor(j * W/OW), c]\n"
               "bilinear: the four places around ((i + 1/2) * H/OH - 1/2, (j + 1/2) * W/OW - 1/2),\n"
               "weighted by nearness; with align_corners around (i * (H - 1)/(OH - 1), j * (W - 1)/(OW - 1))",
    .example = "- upsample: {scale_factor: 2, mode: bilinear}",
    CB_OPTIONS(options, defaults),
    .variants = CB_ARRAY(variants),
    .infer = upsample_infer,
})
