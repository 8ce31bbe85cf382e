/* pool2d.h: the windows of maxpool2d and avgpool2d: their options, and the sizes that follow from them.
 *
 * Output o of a direction sees the inputs from o * stride - before to o * stride - before + kernel - 1. Its size is
 * (in + before + after - kernel) / stride + 1, rounded down, or up with ceil_mode, where a window that would begin
 * behind the input and the padding before it is dropped (as PyTorch); with `same` it is in / stride rounded up, and the
 * padding, split evenly with the odd one after, is what that takes (as TensorFlow). */
#ifndef CAMBIUM_POOL2D_H
#define CAMBIUM_POOL2D_H

#include <cambium/layer.h>

/* Lists of int64_t. First member of both layers' options. */
struct pool2d_options {
    struct cb_list kernel, stride, padding;
    uint32_t ceil_mode;
};

enum { POOL2D_VALID, POOL2D_SAME };
static const char *const pool2d_padding_words[] = {"valid", "same", NULL};

#define POOL2D_DEFAULTS                                                                            \
    {                                                                                              \
        .kernel = CB_LIST_EMPTY, .stride = CB_LIST_EMPTY, .padding = CB_LIST_CHOICE(POOL2D_VALID)  \
    }
#define POOL2D_OPTION_TABLE                                                                        \
    {"kernel", "height and width of a window, or one number for both", CB_OPT_INTS,                \
     offsetof(struct pool2d_options, kernel), 1, 1 << 12, NULL, CB_OPTION_REQUIRED, 2},            \
        {"stride", "step from one window to the next: [down, right], or one number; when left out: the kernel", CB_OPT_INTS, \
         offsetof(struct pool2d_options, stride), 1, 1 << 12, NULL, 0, 2},                         \
        {"padding",                                                                                \
         "places around the picture: one number, [vertical, horizontal] or [top, bottom, left, right]; `same`: as " \
         "many as make the output the input's size divided by the stride, rounded up; `valid`: none",   \
         CB_OPT_INTS, offsetof(struct pool2d_options, padding), 0, 1 << 12, pool2d_padding_words, 0, 4}, \
    {                                                                                              \
        "ceil_mode", "whether a last window that hangs over the edge counts", CB_OPT_BOOL,         \
            offsetof(struct pool2d_options, ceil_mode)                                             \
    }

/* Sizes in places; n, h, w, c of the input, oh, ow of the output; padding top, bottom, left, right. */
struct pool2d_sizes {
    int64_t n, h, w, c, oh, ow, kh, kw, sh, sw, pt, pb, pl, pr;
};

/* As kernel arguments, in the order in which both .cl files take them. */
#define POOL2D_ARGS(s)                                                                             \
    CB_A_I32((s).n), CB_A_I32((s).h), CB_A_I32((s).w), CB_A_I32((s).c), CB_A_I32((s).oh), CB_A_I32((s).ow), \
        CB_A_I32((s).kh), CB_A_I32((s).kw), CB_A_I32((s).sh), CB_A_I32((s).sw), CB_A_I32((s).pt), CB_A_I32((s).pl)

static inline int64_t pool2d_pick(const struct cb_list *list, uint32_t i)
{
    return ((const int64_t *)list->items)[i < list->count ? i : list->count - 1];
}

/* Output size of one direction, below 1 when no window fits; `same` sets the padding. */
static inline int64_t pool2d_extent(int64_t in, int64_t kernel, int64_t stride, bool same, bool ceil_mode,
                                    int64_t *before, int64_t *after)
{
    if (same) {
        const int64_t out = (in + stride - 1) / stride;
        const int64_t missing = (out - 1) * stride + kernel - in;
        *before = missing > 0 ? missing / 2 : 0;
        *after = missing > 0 ? missing - missing / 2 : 0;
        return out;
    }
    const int64_t room = in + *before + *after - kernel;
    if (room < 0) {
        return 0;
    }
    const int64_t out = (room + (ceil_mode ? stride - 1 : 0)) / stride + 1;
    return ceil_mode && (out - 1) * stride >= in + *before ? out - 1 : out;
}

/* The sizes for an input [N,H,W,C]. */
static inline struct pool2d_sizes pool2d_sizes(const struct pool2d_options *o, const int64_t *dims)
{
    struct pool2d_sizes s = {.n = dims[0], .h = dims[1], .w = dims[2], .c = dims[3]};
    const struct cb_list *stride = o->stride.count > 0 ? &o->stride : &o->kernel;
    s.kh = pool2d_pick(&o->kernel, 0);
    s.kw = pool2d_pick(&o->kernel, 1);
    s.sh = pool2d_pick(stride, 0);
    s.sw = pool2d_pick(stride, 1);
    if (o->padding.choice < 0) {
        const int64_t *p = o->padding.items;
        const uint32_t last = o->padding.count - 1; /* 0, 1 or 3: pool2d_infer has seen to it */
        s.pt = p[0];
        s.pb = p[last == 3 ? 1 : 0];
        s.pl = p[last == 3 ? 2 : last];
        s.pr = p[last];
    }
    const bool same = o->padding.choice == POOL2D_SAME;
    s.oh = pool2d_extent(s.h, s.kh, s.sh, same, o->ceil_mode, &s.pt, &s.pb);
    s.ow = pool2d_extent(s.w, s.kw, s.sw, same, o->ceil_mode, &s.pl, &s.pr);
    return s;
}

/* Checks options and shape and declares the output. */
static inline enum cb_status pool2d_infer(struct cb_instance *in, struct pool2d_sizes *out)
{
    const struct pool2d_options *o = in->options;
    const struct cb_host *host = in->host;
    const struct cb_tensor *x = in->x[0];
    if (x->rank != 4) {
        return host->fail(in->core, CB_MISMATCH, NULL, "pooling needs [N,H,W,C], but its input has rank %u",
                          (unsigned)x->rank);
    }
    if (o->kernel.count == 0) {
        return host->fail(in->core, CB_INVALID, "kernel", "`kernel` is empty");
    }
    if (o->padding.choice < 0 && (o->padding.count == 0 || o->padding.count == 3)) {
        return host->fail(in->core, CB_INVALID, "padding",
                          "`padding` takes 1, 2 or 4 numbers, or `same` or `valid`, not %u numbers",
                          (unsigned)o->padding.count);
    }
    const struct pool2d_sizes s = pool2d_sizes(o, x->dims);
    if (s.pt >= s.kh || s.pb >= s.kh || s.pl >= s.kw || s.pr >= s.kw) {
        return host->fail(in->core, CB_INVALID, "padding",
                          "`padding` must be smaller than the kernel, or a window would see nothing but padding");
    }
    if (s.oh < 1 || s.ow < 1) {
        return host->fail(in->core, CB_MISMATCH, "kernel",
                          "a window of %lld x %lld is larger than the input of %lld x %lld with its padding",
                          (long long)s.kh, (long long)s.kw, (long long)(s.h + s.pt + s.pb),
                          (long long)(s.w + s.pl + s.pr));
    }
    *out = s;
    return host->output(in->core, 0, CB_F32, 4, (const int64_t[]){s.n, s.oh, s.ow, s.c});
}

#endif
