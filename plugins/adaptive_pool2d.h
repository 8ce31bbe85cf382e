/* adaptive_pool2d.h: the bins of adaptive_avgpool2d and adaptive_maxpool2d (as PyTorch): output i of a direction sees the
 * inputs from floor(i * in / out) to ceil((i + 1) * in / out) - 1. Bins differ by one in size and overlap where `out` does
 * not divide `in`; where the output is larger than the input, values repeat. */
#ifndef CAMBIUM_ADAPTIVE_POOL2D_H
#define CAMBIUM_ADAPTIVE_POOL2D_H

#include <cambium/layer.h>

struct adaptive_pool2d_options {
    struct cb_list output_size; /* of int64_t */
};

#define ADAPTIVE_POOL2D_OPTION_TABLE                                                               \
    {                                                                                              \
        "output_size", "height and width of the output, or one number for both", CB_OPT_INTS,      \
            offsetof(struct adaptive_pool2d_options, output_size), 1, 1 << 12, NULL, CB_OPTION_REQUIRED, 2 \
    }

/* Input [N,H,W,C], output [N,OH,OW,C]. */
struct adaptive_pool2d_sizes {
    int64_t n, h, w, c, oh, ow;
};

/* As kernel arguments, in the order in which both .cl files take them. */
#define ADAPTIVE_POOL2D_ARGS(s)                                                                    \
    CB_A_I32((s).n), CB_A_I32((s).h), CB_A_I32((s).w), CB_A_I32((s).c), CB_A_I32((s).oh), CB_A_I32((s).ow)

static inline struct adaptive_pool2d_sizes adaptive_pool2d_sizes(const struct cb_instance *in)
{
    const struct adaptive_pool2d_options *o = in->options;
    const int64_t *d = in->x[0]->dims, *size = o->output_size.items;
    return (struct adaptive_pool2d_sizes){d[0], d[1], d[2], d[3], size[0], size[o->output_size.count - 1]};
}

static inline enum cb_status adaptive_pool2d_infer(struct cb_instance *in, struct adaptive_pool2d_sizes *out)
{
    const struct adaptive_pool2d_options *o = in->options;
    const struct cb_host *host = in->host;
    if (in->x[0]->rank != 4) {
        return host->fail(in->core, CB_MISMATCH, NULL, "pooling needs [N,H,W,C], but its input has rank %u",
                          (unsigned)in->x[0]->rank);
    }
    if (o->output_size.count == 0) {
        return host->fail(in->core, CB_INVALID, "output_size", "`output_size` is empty");
    }
    const struct adaptive_pool2d_sizes s = *out = adaptive_pool2d_sizes(in);
    return host->output(in->core, 0, CB_F32, 4, (const int64_t[]){s.n, s.oh, s.ow, s.c});
}

#endif
