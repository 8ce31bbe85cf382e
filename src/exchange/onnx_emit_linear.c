/* onnx_emit_linear.c: convolutions and dense as ONNX nodes. Filters [KH,KW,C/groups,K] become
 * [K,C/groups,KH,KW]. */
#include "exchange/onnx_emit.h"

enum { VALID, SAME, CAUSAL }; /* words of `padding` */

/* Zeros before and after in one direction. */
static void padding_of(const struct cb_emit *e, uint32_t direction, int64_t in, int64_t kernel,
                       int64_t stride, int64_t dilation, int64_t *before, int64_t *after)
{
    *before = *after = 0;
    if (cb__emit_padding(e, direction, before, after)) {
        return;
    }
    const int32_t word = cb__emit_list(e, "padding")->choice;
    const int64_t reach = (kernel - 1) * dilation;
    if (word == SAME) {
        const int64_t missing = ((in + stride - 1) / stride - 1) * stride + reach + 1 - in;
        *before = missing > 0 ? missing / 2 : 0;
        *after = missing > 0 ? missing - missing / 2 : 0;
    } else if (word == CAUSAL) {
        *before = reach;
    }
}

static int64_t groups_of(const struct cb_emit *e, int64_t channels)
{
    const struct cb_list *groups = cb__emit_list(e, "groups");
    return groups->choice >= 0 ? channels : cb__emit_pick(e, "groups", 0);
}

static void emit_conv2d(struct cb_emit *e)
{
    static const uint32_t order[] = {3, 2, 0, 1};
    const struct cb_tensor *x = cb__emit_x_shape(e, 0);
    const struct cb_param *w = cb__emit_param(e, "w");
    int64_t kernel[2], stride[2], dilation[2], pads[4];
    for (uint32_t i = 0; i < 2; i++) {
        kernel[i] = cb__emit_pick(e, "kernel", i);
        stride[i] = cb__emit_pick(e, "stride", i);
        dilation[i] = cb__emit_pick(e, "dilation", i);
        padding_of(e, i, x->dims[i + 1], kernel[i], stride[i], dilation[i], &pads[i], &pads[i + 2]);
    }
    const char *value = cb__emit_op(
        e, "Conv",
        CB_DRAFT_IN(cb__emit_x(e, 0, CB_FIRST), cb__emit_weight(e, w, order),
                    cb__emit_bias(e, w->decl.dims[3])),
        CB_DRAFT_WITH(CB_DRAFT_INTS("kernel_shape", 2, kernel), CB_DRAFT_INTS("strides", 2, stride),
                      CB_DRAFT_INTS("pads", 4, pads), CB_DRAFT_INTS("dilations", 2, dilation),
                      CB_DRAFT_INT("group", groups_of(e, x->dims[3]))));
    cb__emit_y(e, 0, value, CB_FIRST);
}

static void emit_conv1d(struct cb_emit *e)
{
    static const uint32_t order[] = {2, 1, 0};
    const struct cb_tensor *x = cb__emit_x_shape(e, 0);
    const struct cb_param *w = cb__emit_param(e, "w");
    int64_t kernel = w->decl.dims[0], stride = cb__emit_integer(e, "stride"),
            dilation = cb__emit_integer(e, "dilation");
    int64_t pads[2];
    /* one number, or [before, after] */
    if (cb__emit_list(e, "padding")->choice < 0) {
        pads[0] = cb__emit_pick(e, "padding", 0);
        pads[1] = cb__emit_pick(e, "padding", 1);
    } else {
        padding_of(e, 0, x->dims[1], kernel, stride, dilation, &pads[0], &pads[1]);
    }
    const char *value = cb__emit_op(
        e, "Conv",
        CB_DRAFT_IN(cb__emit_x(e, 0, CB_FIRST), cb__emit_weight(e, w, order),
                    cb__emit_bias(e, w->decl.dims[2])),
        CB_DRAFT_WITH(CB_DRAFT_INTS("kernel_shape", 1, &kernel),
                      CB_DRAFT_INTS("strides", 1, &stride), CB_DRAFT_INTS("pads", 2, pads),
                      CB_DRAFT_INTS("dilations", 1, &dilation),
                      CB_DRAFT_INT("group", groups_of(e, x->dims[2]))));
    cb__emit_y(e, 0, value, CB_FIRST);
}

/* Its filters are [KH,KW,K/groups,C], those of ONNX [C,K/groups,KH,KW]. */
static void emit_conv_transpose2d(struct cb_emit *e)
{
    static const uint32_t order[] = {3, 2, 0, 1};
    const struct cb_param *w = cb__emit_param(e, "w");
    int64_t kernel[2], stride[2], dilation[2], more[2], pads[4] = {0};
    for (uint32_t i = 0; i < 2; i++) {
        kernel[i] = cb__emit_pick(e, "kernel", i);
        stride[i] = cb__emit_pick(e, "stride", i);
        dilation[i] = cb__emit_pick(e, "dilation", i);
        more[i] = cb__emit_pick(e, "output_padding", i);
        (void)cb__emit_padding(e, i, &pads[i], &pads[i + 2]);
    }
    const char *value = cb__emit_op(
        e, "ConvTranspose",
        CB_DRAFT_IN(cb__emit_x(e, 0, CB_FIRST), cb__emit_weight(e, w, order),
                    cb__emit_bias(e, cb__emit_y_shape(e, 0)->dims[3])),
        CB_DRAFT_WITH(CB_DRAFT_INTS("kernel_shape", 2, kernel), CB_DRAFT_INTS("strides", 2, stride),
                      CB_DRAFT_INTS("pads", 4, pads), CB_DRAFT_INTS("dilations", 2, dilation),
                      CB_DRAFT_INTS("output_padding", 2, more),
                      CB_DRAFT_INT("group", cb__emit_integer(e, "groups"))));
    cb__emit_y(e, 0, value, CB_FIRST);
}

/* Of rows a Gemm with weights [K,C], as torch keeps them; of more dims a product with [C,K]. */
static void emit_dense(struct cb_emit *e)
{
    static const uint32_t turned[] = {1, 0}, straight[] = {0, 1};
    const struct cb_param *w = cb__emit_param(e, "w");
    const int64_t units = w->decl.dims[1];
    const char *x = cb__emit_x(e, 0, CB_LAST);
    if (cb__emit_x_shape(e, 0)->rank == 2) {
        const char *weight = cb__emit_weight(e, w, turned);
        cb__emit_y(e, 0,
                   cb__emit_op(e, "Gemm", CB_DRAFT_IN(x, weight, cb__emit_bias(e, units)),
                               CB_DRAFT_WITH(CB_DRAFT_INT("transB", 1))),
                   CB_LAST);
        return;
    }
    const char *y =
        cb__emit_op(e, "MatMul", CB_DRAFT_IN(x, cb__emit_weight(e, w, straight)), CB_DRAFT_PLAIN);
    const char *bias = cb__emit_bias(e, units);
    cb__emit_y(e, 0, bias != NULL ? cb__emit_op(e, "Add", CB_DRAFT_IN(y, bias), CB_DRAFT_PLAIN) : y,
               CB_LAST);
}

const struct cb_emission_entry cb__emit_linear_table[] = {
    {"conv2d", emit_conv2d},
    {"conv1d", emit_conv1d},
    {"conv_transpose2d", emit_conv_transpose2d},
    {"dense", emit_dense},
    {NULL, NULL},
};
