/* convolution.h: a convolution's three passes as conv1d and conv_transpose2d run them, by conv2d's kernels
 * (cl/conv2d*.cl): a sequence is a picture of width 1, and a transposed convolution is the gradient of one.
 *
 * Each pass takes the tensors that it works on; `kernel` is the place of its kernel among those that the variant
 * prepared. In a product, kernel 0 makes columns, 1 gathers them, and workspace 0 holds them. */
#ifndef CAMBIUM_CONVOLUTION_H
#define CAMBIUM_CONVOLUTION_H

#include "linear.h"

/* x [n,h,w,c], w [kh,kw,c/groups,k], y [n,oh,ow,k]; strides, padding (top, bottom, left, right), dilations. */
struct convolution {
    int64_t n, h, w, c, oh, ow, k, kh, kw, sh, sw, pt, pb, pl, pr, dh, dw, groups;
};

static inline enum cb_status convolution_check_groups(struct cb_instance *in, int64_t channels, int64_t filters,
                                                      int64_t groups)
{
    if (channels % groups != 0) {
        return in->host->fail(in->core, CB_MISMATCH, "groups", "%lld channels in cannot be split into %lld groups",
                              (long long)channels, (long long)groups);
    }
    if (filters % groups != 0) {
        return in->host->fail(in->core, CB_MISMATCH, "filters", "%lld filters cannot be split into %lld groups",
                              (long long)filters, (long long)groups);
    }
    return CB_OK;
}

/* The params: w, whose dims are `rank` numbers, and b of `channels` if there is one. */
static inline enum cb_status convolution_params(struct cb_instance *in, uint32_t rank, const int64_t *dims,
                                                double fan_in, double fan_out, bool has_bias, int64_t channels)
{
    struct cb_param_decl w = {.struct_size = sizeof(w), .role = CB_PARAM_FILTER, .name = "w", .foreign = "weight",
                              .rank = rank, .init = CB_INIT_HE_NORMAL, .value = 1.0, .fan_in = fan_in,
                              .fan_out = fan_out};
    for (uint32_t i = 0; i < rank; i++) {
        w.dims[i] = dims[i];
    }
    return linear_params(in, &w, has_bias, channels);
}

/* ---- plain ------------------------------------------------------------------------------------------------------- */

#define CONVOLUTION_ARGS(g)                                                                                            \
    CB_A_I32((g)->n), CB_A_I32((g)->h), CB_A_I32((g)->w), CB_A_I32((g)->c), CB_A_I32((g)->oh), CB_A_I32((g)->ow),      \
        CB_A_I32((g)->k), CB_A_I32((g)->kh), CB_A_I32((g)->kw), CB_A_I32((g)->sh), CB_A_I32((g)->sw),                  \
        CB_A_I32((g)->pt), CB_A_I32((g)->pl), CB_A_I32((g)->dh), CB_A_I32((g)->dw), CB_A_I32((g)->c / (g)->groups),    \
        CB_A_I32((g)->k / (g)->groups)

static inline enum cb_status convolution_prepare(struct cb_instance *in, const char *entry)
{
    return in->host->kernel(in->core, "conv2d", entry, NULL);
}

/* By conv2d_forward. */
static inline enum cb_status convolution_forward(struct cb_instance *in, uint32_t kernel, const struct convolution *g,
                                                 const struct cb_tensor *y, const struct cb_tensor *x,
                                                 const struct cb_tensor *b)
{
    return CB_LAUNCH(in, kernel, CB_GRID((uint64_t)g->k, (uint64_t)(g->n * g->oh * g->ow)), CB_A_TENSOR(y),
                     CB_A_TENSOR(x), CB_A_TENSOR(in->params[0]), CB_A_TENSOR(b), CONVOLUTION_ARGS(g));
}

/* By conv2d_dx. */
static inline enum cb_status convolution_dx(struct cb_instance *in, uint32_t kernel, const struct convolution *g,
                                            const struct cb_tensor *dx, const struct cb_tensor *dy, bool accumulate)
{
    return CB_LAUNCH(in, kernel, CB_GRID((uint64_t)g->c, (uint64_t)(g->n * g->h * g->w)), CB_A_TENSOR(dx),
                     CB_A_TENSOR(dy), CB_A_TENSOR(in->params[0]), CB_A_I32(accumulate), CONVOLUTION_ARGS(g));
}

/* By conv2d_dw. */
static inline enum cb_status convolution_dw(struct cb_instance *in, uint32_t kernel, const struct convolution *g,
                                            const struct cb_tensor *dw, const struct cb_tensor *x,
                                            const struct cb_tensor *dy, bool accumulate)
{
    return CB_LAUNCH(in, kernel, CB_GRID((uint64_t)g->k, (uint64_t)(g->kh * g->kw * (g->c / g->groups))),
                     CB_A_TENSOR(dw), CB_A_TENSOR(x), CB_A_TENSOR(dy), CB_A_I32(accumulate), CONVOLUTION_ARGS(g));
}

/* The bias's gradient, if it is wanted, from dy = in->dy[0], a picture [n,h,w,k]; by conv2d_db (width 1) or
 * conv2d_db_tile of conv2d_columns.cl (width 16). */
static inline enum cb_status convolution_db(struct cb_instance *in, uint32_t kernel, int64_t width, int64_t n,
                                            int64_t h, int64_t w, int64_t k)
{
    struct cb_tensor *db = linear_gradient(in, 1);
    if (db == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, kernel, CB_GRID((uint64_t)((k + width - 1) / width)), CB_A_TENSOR(db), CB_A_TENSOR(in->dy[0]),
                     CB_A_I32((in->dw_accumulate >> 1) & 1u), CB_A_I32(n), CB_A_I32(h), CB_A_I32(w), CB_A_I32(k));
}

/* y[rows,k] = b[k], if there is a bias; what then goes into y is added. By conv2d_fill_bias of conv2d_columns.cl. */
static inline enum cb_status convolution_fill_bias(struct cb_instance *in, uint32_t kernel, int64_t rows, int64_t k)
{
    const struct cb_tensor *b = linear_bias(in);
    return b == NULL ? CB_OK
                     : CB_LAUNCH(in, kernel, CB_GRID((uint64_t)rows), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(b),
                                 CB_A_I64(rows), CB_A_I32(k));
}

/* ---- product: as a matrix product, for groups = 1 ---------------------------------------------------------------- */

#define CONVOLUTION_COLUMN_FLOATS ((int64_t)4 << 20) /* of columns at a time, at most, unless one sample needs more */

/* A kernel of one tap, of stride 1, without padding: x is the matrix itself. */
static inline bool convolution_is_direct(const struct convolution *g)
{
    return g->kh == 1 && g->kw == 1 && g->sh == 1 && g->sw == 1 && g->pt == 0 && g->pl == 0 && g->oh == g->h &&
           g->ow == g->w;
}

/* Samples whose columns are made at a time: a function of the shape, never of the batch. */
static inline int64_t convolution_at_once(const struct convolution *g)
{
    const int64_t one = g->oh * g->ow * g->kh * g->kw * g->c, fit = CONVOLUTION_COLUMN_FLOATS / one;
    return convolution_is_direct(g) ? g->n : fit < 1 ? 1 : fit;
}

static inline enum cb_status convolution_product_prepare(struct cb_instance *in, const struct convolution *g)
{
    const int64_t at_once = convolution_at_once(g), samples = at_once < g->n ? at_once : g->n;
    CB_TRY(in->host->kernel(in->core, "conv2d_columns", "conv2d_columns", NULL));
    CB_TRY(in->host->kernel(in->core, "conv2d_columns", "conv2d_from_columns", NULL));
    return convolution_is_direct(g)
               ? CB_OK
               : in->host->workspace(in->core, CB_F32, samples * g->oh * g->ow * g->kh * g->kw * g->c);
}

#define CONVOLUTION_COLUMN_ARGS(g, samples, first)                                                                     \
    CB_A_I32(samples), CB_A_I32((g)->h), CB_A_I32((g)->w), CB_A_I32((g)->c), CB_A_I32((g)->oh), CB_A_I32((g)->ow),     \
        CB_A_I32((g)->kh), CB_A_I32((g)->kw), CB_A_I32((g)->sh), CB_A_I32((g)->sw), CB_A_I32((g)->pt),                 \
        CB_A_I32((g)->pl), CB_A_I32((g)->dh), CB_A_I32((g)->dw), CB_A_I32(first)

/* The matrix of `samples` samples of x from `first` on, and where it begins. */
static inline enum cb_status convolution_columns(struct cb_instance *in, const struct convolution *g,
                                                 const struct cb_tensor *x, int64_t first, int64_t samples,
                                                 const struct cb_tensor **out, int64_t *out_offset)
{
    if (convolution_is_direct(g)) {
        *out = x;
        *out_offset = first * g->h * g->w * g->c;
        return CB_OK;
    }
    *out = in->workspace[0];
    *out_offset = 0;
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)(samples * g->oh)), CB_A_TENSOR(in->workspace[0]), CB_A_TENSOR(x),
                     CONVOLUTION_COLUMN_ARGS(g, samples, first));
}

/* y (+)= columns of x times w, + b where it is not NULL. */
static inline enum cb_status convolution_product_forward(struct cb_instance *in, const struct convolution *g,
                                                         const struct cb_tensor *y, const struct cb_tensor *x,
                                                         const struct cb_tensor *b, bool accumulate)
{
    const int64_t area = g->oh * g->ow, at_once = convolution_at_once(g);
    for (int64_t first = 0; first < g->n; first += at_once) {
        const int64_t samples = g->n - first < at_once ? g->n - first : at_once;
        struct cb_gemm product = {.struct_size = sizeof(product), .accumulate = accumulate, .m = samples * area,
                                  .n = g->k, .k = g->kh * g->kw * g->c, .b = in->params[0], .y = y,
                                  .y_offset = first * area * g->k, .bias = b};
        CB_TRY(convolution_columns(in, g, x, first, samples, &product.a, &product.a_offset));
        CB_TRY(in->host->gemm(in->core, &product));
    }
    return CB_OK;
}

/* dx (+)= what dy times w, transposed, has in the columns that meet each place. */
static inline enum cb_status convolution_product_dx(struct cb_instance *in, const struct convolution *g,
                                                    const struct cb_tensor *dx, const struct cb_tensor *dy,
                                                    bool accumulate)
{
    const int64_t area = g->oh * g->ow, at_once = convolution_at_once(g);
    const bool direct = convolution_is_direct(g);
    for (int64_t first = 0; first < g->n; first += at_once) {
        const int64_t samples = g->n - first < at_once ? g->n - first : at_once;
        const struct cb_gemm product = {.struct_size = sizeof(product), .b_transposed = 1,
                                        .accumulate = direct && accumulate, .m = samples * area,
                                        .n = g->kh * g->kw * g->c, .k = g->k, .a = dy, .a_offset = first * area * g->k,
                                        .b = in->params[0], .y = direct ? dx : in->workspace[0],
                                        .y_offset = direct ? first * g->h * g->w * g->c : 0};
        CB_TRY(in->host->gemm(in->core, &product));
        if (!direct) {
            CB_TRY(CB_LAUNCH(in, 1, CB_GRID((uint64_t)(samples * g->h)), CB_A_TENSOR(dx), CB_A_TENSOR(in->workspace[0]),
                             CB_A_I32(accumulate), CONVOLUTION_COLUMN_ARGS(g, samples, first)));
        }
    }
    return CB_OK;
}

/* dw (+)= columns of x, transposed, times dy. */
static inline enum cb_status convolution_product_dw(struct cb_instance *in, const struct convolution *g,
                                                    const struct cb_tensor *dw, const struct cb_tensor *x,
                                                    const struct cb_tensor *dy, bool accumulate)
{
    const int64_t area = g->oh * g->ow, at_once = convolution_at_once(g);
    for (int64_t first = 0; first < g->n; first += at_once) {
        const int64_t samples = g->n - first < at_once ? g->n - first : at_once;
        struct cb_gemm product = {.struct_size = sizeof(product), .a_transposed = 1,
                                  .accumulate = first > 0 || accumulate, .m = g->kh * g->kw * g->c, .n = g->k,
                                  .k = samples * area, .b = dy, .b_offset = first * area * g->k, .y = dw};
        CB_TRY(convolution_columns(in, g, x, first, samples, &product.a, &product.a_offset));
        CB_TRY(in->host->gemm(in->core, &product));
    }
    return CB_OK;
}

#endif
