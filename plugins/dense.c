/* dense: a linear map of the last dimension, for an input of rank 2 or more: [N,C] -> [N,K], [N,T,C] -> [N,T,K].
 *
 *   y[...,k] = b[k] + sum over c of x[...,c] * w[c,k];  dx = dy w^T,  dw = x^T dy,  db = sum of dy
 *
 * Each output's sum runs over the channels in order whatever the batch, so that a sample's result does not depend on
 * the batch it is in. */
#include "linear.h"

struct options {
    int64_t units; /* 0: neither given nor filled with the number of classes */
    uint32_t bias;
};

static const struct options defaults = {.bias = 1};

static const struct cb_option options[] = {
    {"units", "numbers out; when left out in a head: as many as there are classes", CB_OPT_INT,
     offsetof(struct options, units), 1, 1 << 24, NULL, CB_OPTION_CLASSES},
    {"bias", "whether a number per unit is added", CB_OPT_BOOL, offsetof(struct options, bias)},
};

static enum cb_status dense_infer(struct cb_instance *in)
{
    const struct cb_host *host = in->host;
    const struct options *o = in->options;
    const struct cb_tensor *x = in->x[0];
    if (x->rank < 2) {
        return host->fail(in->core, CB_MISMATCH, NULL, "dense takes an input of 2 or more dimensions, [N,C], not of %u",
                          (unsigned)x->rank);
    }
    if (o->units < 1) {
        return host->fail(in->core, CB_INVALID, NULL, "dense needs `units`, the number of outputs");
    }
    const int64_t channels = x->dims[x->rank - 1];
    const struct cb_param_decl w = {.struct_size = sizeof(w), .role = CB_PARAM_MATRIX, .name = "w", .foreign = "weight",
                                    .rank = 2, .init = CB_INIT_HE_UNIFORM, .dims = {channels, o->units}, .value = 1.0,
                                    .fan_in = (double)channels, .fan_out = (double)o->units};
    CB_TRY(linear_params(in, &w, o->bias, o->units));
    int64_t dims[CB_MAX_RANK];
    for (uint32_t i = 0; i < x->rank; i++) {
        dims[i] = x->dims[i];
    }
    dims[x->rank - 1] = o->units;
    return host->output(in->core, 0, CB_F32, x->rank, dims);
}

/* y[M,K] = x[M,C] w[C,K]. */
struct sizes {
    int64_t m, c, k;
};

static struct sizes sizes_of(const struct cb_instance *in)
{
    const struct cb_tensor *x = in->x[0], *w = in->params[0];
    struct sizes s = {1, w->dims[0], w->dims[1]};
    for (uint32_t i = 0; i + 1 < x->rank; i++) {
        s.m *= x->dims[i];
    }
    return s;
}

/* ---- plain: one work-item per number, any device ----------------------------------------------------------------- */

static enum cb_status plain_forward_run(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)s.k, (uint64_t)s.m), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->x[0]),
                     CB_A_TENSOR(in->params[0]), CB_A_TENSOR(linear_bias(in)), CB_A_I64(s.m), CB_A_I32(s.c),
                     CB_A_I32(s.k));
}

static enum cb_status plain_dx_run(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in);
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)s.c, (uint64_t)s.m), CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]),
                     CB_A_TENSOR(in->params[0]), CB_A_I32(in->dx_accumulate & 1u), CB_A_I64(s.m), CB_A_I32(s.c),
                     CB_A_I32(s.k));
}

static enum cb_status plain_dw_run(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in);
    struct cb_tensor *dw = linear_gradient(in, 0), *db = linear_gradient(in, 1);
    if (dw != NULL) {
        CB_TRY(CB_LAUNCH(in, 0, CB_GRID((uint64_t)s.k, (uint64_t)s.c), CB_A_TENSOR(dw), CB_A_TENSOR(in->x[0]),
                         CB_A_TENSOR(in->dy[0]), CB_A_I32(in->dw_accumulate & 1u), CB_A_I64(s.m), CB_A_I32(s.c),
                         CB_A_I32(s.k)));
    }
    if (db != NULL) {
        CB_TRY(CB_LAUNCH(in, 1, CB_GRID((uint64_t)s.k), CB_A_TENSOR(db), CB_A_TENSOR(in->dy[0]),
                         CB_A_I32((in->dw_accumulate >> 1) & 1u), CB_A_I64(s.m), CB_A_I32(s.k)));
    }
    return CB_OK;
}

/* ---- product: by the library's matrix product, on processors ----------------------------------------------------- */

static bool product_accepts(const struct cb_instance *in)
{
    const struct sizes s = sizes_of(in);
    return s.c >= 16 && s.k >= 16;
}

static enum cb_status product_forward_run(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in);
    const struct cb_gemm product = {.struct_size = sizeof(product), .m = s.m, .n = s.k, .k = s.c, .a = in->x[0],
                                    .b = in->params[0], .y = in->y[0], .bias = linear_bias(in)};
    return in->host->gemm(in->core, &product);
}

static enum cb_status product_dx_run(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in);
    const struct cb_gemm product = {.struct_size = sizeof(product), .b_transposed = 1,
                                    .accumulate = in->dx_accumulate & 1u, .m = s.m, .n = s.c, .k = s.k, .a = in->dy[0],
                                    .b = in->params[0], .y = in->dx[0]};
    return in->dx[0] == NULL ? CB_OK : in->host->gemm(in->core, &product);
}

static enum cb_status product_dw_run(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in);
    struct cb_tensor *dw = linear_gradient(in, 0), *db = linear_gradient(in, 1);
    if (dw != NULL) {
        const struct cb_gemm product = {.struct_size = sizeof(product), .a_transposed = 1,
                                        .accumulate = in->dw_accumulate & 1u, .m = s.c, .n = s.k, .k = s.m,
                                        .a = in->x[0], .b = in->dy[0], .y = dw};
        CB_TRY(in->host->gemm(in->core, &product));
    }
    return db == NULL ? CB_OK
                      : CB_LAUNCH(in, 0, CB_GRID((uint64_t)s.k), CB_A_TENSOR(db), CB_A_TENSOR(in->dy[0]),
                                  CB_A_I32((in->dw_accumulate >> 1) & 1u), CB_A_I64(s.m), CB_A_I32(s.k));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "product", CB_CAP_TILE, product_accepts, .run = product_forward_run},
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "plain", .run = plain_forward_run, .kernels = "dense_forward"},
    {CB_PASS_DX, 0, "product", CB_CAP_TILE, product_accepts, .run = product_dx_run},
    {CB_PASS_DX, 0, "plain", .run = plain_dx_run, .kernels = "dense_dx"},
    {CB_PASS_DW, 0, "product", CB_CAP_TILE, product_accepts, .run = product_dw_run, .kernels = "dense_db"},
    {CB_PASS_DW, 0, "plain", .run = plain_dw_run, .kernels = "dense_dw dense_db"},
};

static const char *const trials[] = {
    "[flatten, {dense: {units: 40}}, {dense: {units: 33}}]",
};

CB_PLUGIN({
    .flags = CB_LAYER_LINEAR,
    .name = "dense",
    .family = "linear maps",
    .summary = "a linear map of the channels, the last dimension",
    .formula = "y[...,k] = b[k] + sum over c of x[...,c] * w[c,k]",
    .example = "- dense: {units: 10}",
    CB_OPTIONS(options, defaults),
    .dx_needs = CB_NEEDS_PARAMS,
    .dw_needs = CB_NEEDS_X,
    .variants = CB_ARRAY(variants),
    .trials = CB_ARRAY(trials),
    .infer = dense_infer,
})
