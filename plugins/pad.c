/* pad: places around a picture [N,H,W,C], or before and after a sequence [N,T,C] (torch.nn.functional.pad).
 *
 *   y[n,i,j,c] = x[n,i-top,j-left,c] inside; around it
 *   constant: `value`;  reflect: x mirrored at its edge places, which stand once;  replicate: the nearest edge place
 *
 * dx[n,h,w,c] = the sum of dy over the places that show x[n,h,w,c], in order. */
#include <cambium/layer.h>

enum { CONSTANT, REFLECT, REPLICATE };
static const char *const mode_words[] = {"constant", "reflect", "replicate", NULL};

struct options {
    struct cb_list padding; /* of int64_t */
    double value;
    int32_t mode;
};

static const struct options defaults = {.padding = CB_LIST_EMPTY, .value = 0.0, .mode = CONSTANT};

#define AT(field) offsetof(struct options, field)
static const struct cb_option options[] = {
    {"padding",
     "places around: one number, [vertical, horizontal] or [top, bottom, left, right]; of a sequence one number or "
     "[before, after]",
     CB_OPT_INTS, AT(padding), 0, 1 << 20, NULL, CB_OPTION_REQUIRED, 4},
    {"mode", "what stands there: `value`, the picture mirrored at its edge places, or the nearest edge place",
     CB_OPT_CHOICE, AT(mode), 0, 0, mode_words, 0, 0},
    {"value", "the constant", CB_OPT_REAL, AT(value), -3e38, 3e38, NULL, 0, 0},
};

/* A sequence is a picture of one column. */
struct sizes {
    int64_t n, h, w, c, oh, ow, top, bottom, left, right;
};

static struct sizes sizes_of(const struct options *o, const struct cb_tensor *x)
{
    const bool is_sequence = x->rank == 3;
    const int64_t *p = o->padding.items;
    const uint32_t last = o->padding.count - 1; /* 0, 1 or 3: pad_infer has seen to it */
    struct sizes s = {.n = x->dims[0], .h = x->dims[1], .w = is_sequence ? 1 : x->dims[2], .c = x->dims[x->rank - 1]};
    s.top = p[0];
    s.bottom = p[is_sequence ? last : last == 3 ? 1 : 0];
    s.left = is_sequence ? 0 : p[last == 3 ? 2 : last];
    s.right = is_sequence ? 0 : p[last];
    s.oh = s.h + s.top + s.bottom;
    s.ow = s.w + s.left + s.right;
    return s;
}

static enum cb_status pad_infer(struct cb_instance *in)
{
    const struct cb_host *host = in->host;
    const struct options *o = in->options;
    const struct cb_tensor *x = in->x[0];
    if (x->rank != 3 && x->rank != 4) {
        return host->fail(in->core, CB_MISMATCH, NULL, "pad needs [N,H,W,C] or [N,T,C], but its input has rank %u",
                          (unsigned)x->rank);
    }
    const uint32_t count = o->padding.count;
    if (count == 0 || count == 3 || (count == 4 && x->rank == 3)) {
        return host->fail(in->core, CB_INVALID, "padding", "`padding` takes %s numbers here, not %u",
                          x->rank == 3 ? "1 or 2" : "1, 2 or 4", (unsigned)count);
    }
    const struct sizes s = sizes_of(o, x);
    if (o->mode == REFLECT && (s.top >= s.h || s.bottom >= s.h || s.left >= s.w || s.right >= s.w)) {
        return host->fail(in->core, CB_MISMATCH, "padding",
                          "`padding` must be smaller than the input to be mirrored from it, which has %lld x %lld "
                          "places",
                          (long long)s.h, (long long)s.w);
    }
    return x->rank == 3 ? host->output(in->core, 0, CB_F32, 3, (const int64_t[]){s.n, s.oh, s.c})
                        : host->output(in->core, 0, CB_F32, 4, (const int64_t[]){s.n, s.oh, s.ow, s.c});
}

#define SIZE_ARGS(s)                                                                               \
    CB_A_I32((s).n), CB_A_I32((s).h), CB_A_I32((s).w), CB_A_I32((s).c), CB_A_I32((s).oh), CB_A_I32((s).ow), \
        CB_A_I32((s).top), CB_A_I32((s).left)

static enum cb_status run_forward(struct cb_instance *in)
{
    const struct options *o = in->options;
    const struct sizes s = sizes_of(o, in->x[0]);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)(s.c + 15) / 16, (uint64_t)s.ow, (uint64_t)(s.n * s.oh)),
                     CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->x[0]), SIZE_ARGS(s), CB_A_I32(o->mode), CB_A_F32(o->value));
}

static enum cb_status run_dx(struct cb_instance *in)
{
    const struct options *o = in->options;
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    const struct sizes s = sizes_of(o, in->dx[0]);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)(s.c + 15) / 16, (uint64_t)s.w, (uint64_t)(s.n * s.h)),
                     CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]), SIZE_ARGS(s), CB_A_I32(o->mode),
                     CB_A_I32(in->dx_accumulate & 1u));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "pad_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_dx, .kernels = "pad_dx"},
};

CB_PLUGIN({
    .name = "pad",
    .family = "shapes",
    .summary = "places around a picture or a sequence: a constant, the mirrored input, or its edge",
    .formula = "y[n,i,j,c] = x[n,i-top,j-left,c] inside;\n"
               "around it a constant, the mirrored x, or its nearest edge",
    .example = "- pad: {padding: [0, 1, 0, 1], mode: reflect}",
    CB_OPTIONS(options, defaults),
    .variants = CB_ARRAY(variants),
    .infer = pad_infer,
})
