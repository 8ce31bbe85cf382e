/* matmul: products of the matrices in two tensors' last two axes, one for each place in the axes before them:
 *
 *   y[...,m,n] = sum over k of a[...,m,k] * b[...,k,n];  da = dy b^T,  db = a^T dy
 *
 * a [...,M,K] ([...,K,M] with transpose_a), b [...,K,N] ([...,N,K] with transpose_b). */
#include <cambium/layer.h>

struct options {
    uint32_t transpose_a, transpose_b;
};

static const struct options defaults = {0};

static const struct cb_option options[] = {
    {"transpose_a", "whether the first input's matrices are transposed first", CB_OPT_BOOL,
     offsetof(struct options, transpose_a)},
    {"transpose_b", "whether the second input's matrices are transposed first", CB_OPT_BOOL,
     offsetof(struct options, transpose_b)},
};

/* `count` products of [m,k] and [k,n]. */
struct sizes {
    int64_t count, m, n, k;
};

static struct sizes sizes_of(const struct cb_instance *in)
{
    const struct options *o = in->options;
    const struct cb_tensor *a = in->x[0], *b = in->x[1];
    const uint32_t row = a->rank - 2, column = a->rank - 1;
    struct sizes s = {1, a->dims[o->transpose_a ? column : row], b->dims[o->transpose_b ? row : column],
                      a->dims[o->transpose_a ? row : column]};
    for (uint32_t i = 0; i < row; i++) {
        s.count *= a->dims[i];
    }
    return s;
}

static enum cb_status matmul_infer(struct cb_instance *in)
{
    const struct cb_host *host = in->host;
    const struct options *o = in->options;
    const struct cb_tensor *a = in->x[0], *b = in->x[1];
    if (a->rank < 3 || b->rank != a->rank) {
        return host->fail(in->core, CB_MISMATCH, NULL,
                          "matmul needs two inputs of one rank, 3 or more ([N,M,K] and [N,K,L]), not of rank %u and %u",
                          (unsigned)a->rank, (unsigned)b->rank);
    }
    int64_t dims[CB_MAX_RANK];
    for (uint32_t i = 0; i + 2 < a->rank; i++) {
        dims[i] = a->dims[i];
        if (a->dims[i] != b->dims[i]) {
            return host->fail(in->core, CB_MISMATCH, NULL, "the inputs have %lld and %lld matrices along axis %u",
                              (long long)a->dims[i], (long long)b->dims[i], (unsigned)i);
        }
    }
    const struct sizes s = sizes_of(in);
    const int64_t rows = b->dims[o->transpose_b ? b->rank - 1 : b->rank - 2];
    if (rows != s.k) {
        return host->fail(in->core, CB_MISMATCH, NULL,
                          "a matrix of %lld columns cannot be multiplied by one of %lld rows", (long long)s.k,
                          (long long)rows);
    }
    dims[a->rank - 2] = s.m;
    dims[a->rank - 1] = s.n;
    return host->output(in->core, 0, CB_F32, a->rank, dims);
}

/* Each pass is a set of products y (+)= op(a) op(b) of [m,k] and [k,n]. */
struct product {
    const struct cb_tensor *y, *a, *b;
    int64_t m, n, k;
    bool a_transposed, b_transposed, accumulate;
};

static struct product forward_product(const struct cb_instance *in)
{
    const struct options *o = in->options;
    const struct sizes s = sizes_of(in);
    return (struct product){in->y[0], in->x[0], in->x[1], s.m, s.n, s.k, o->transpose_a, o->transpose_b, false};
}

static struct product da_product(const struct cb_instance *in)
{
    const struct options *o = in->options;
    const struct sizes s = sizes_of(in);
    const bool add = in->dx_accumulate & 1u;
    return o->transpose_a
               ? (struct product){in->dx[0], in->x[1], in->dy[0], s.k, s.m, s.n, o->transpose_b, true, add}
               : (struct product){in->dx[0], in->dy[0], in->x[1], s.m, s.k, s.n, false, !o->transpose_b, add};
}

static struct product db_product(const struct cb_instance *in)
{
    const struct options *o = in->options;
    const struct sizes s = sizes_of(in);
    const bool add = (in->dx_accumulate >> 1) & 1u;
    return o->transpose_b
               ? (struct product){in->dx[1], in->dy[0], in->x[0], s.n, s.k, s.m, true, o->transpose_a, add}
               : (struct product){in->dx[1], in->x[0], in->dy[0], s.k, s.n, s.m, !o->transpose_a, false, add};
}

/* ---- plain: one work-item per number, any device ----------------------------------------------------------------- */

static enum cb_status plain_product(struct cb_instance *in, struct product p)
{
    const int64_t count = sizes_of(in).count;
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)p.n, (uint64_t)p.m, (uint64_t)count), CB_A_TENSOR(p.y), CB_A_TENSOR(p.a),
                     CB_A_TENSOR(p.b), CB_A_I64(count), CB_A_I32(p.m), CB_A_I32(p.n), CB_A_I32(p.k),
                     CB_A_I32(p.a_transposed), CB_A_I32(p.b_transposed), CB_A_I32(p.accumulate));
}

static enum cb_status plain_forward(struct cb_instance *in)
{
    return plain_product(in, forward_product(in));
}

static enum cb_status plain_dx(struct cb_instance *in)
{
    if (in->dx[0] != NULL) {
        CB_TRY(plain_product(in, da_product(in)));
    }
    return in->dx[1] != NULL ? plain_product(in, db_product(in)) : CB_OK;
}

/* ---- product: by the library's matrix product, for matrices that are large enough, on processors ----------------- */

static bool product_accepts(const struct cb_instance *in)
{
    const struct sizes s = sizes_of(in);
    return s.m >= 16 && s.n >= 16 && s.k >= 16;
}

static enum cb_status run_product(struct cb_instance *in, struct product p)
{
    const int64_t count = sizes_of(in).count;
    for (int64_t i = 0; i < count; i++) {
        const struct cb_gemm gemm = {.struct_size = sizeof(gemm), .a_transposed = p.a_transposed,
                                     .b_transposed = p.b_transposed, .accumulate = p.accumulate, .m = p.m, .n = p.n,
                                     .k = p.k, .a = p.a, .b = p.b, .y = p.y, .a_offset = i * p.m * p.k,
                                     .b_offset = i * p.k * p.n, .y_offset = i * p.m * p.n};
        CB_TRY(in->host->gemm(in->core, &gemm));
    }
    return CB_OK;
}

static enum cb_status product_forward(struct cb_instance *in)
{
    return run_product(in, forward_product(in));
}

static enum cb_status product_dx(struct cb_instance *in)
{
    if (in->dx[0] != NULL) {
        CB_TRY(run_product(in, da_product(in)));
    }
    return in->dx[1] != NULL ? run_product(in, db_product(in)) : CB_OK;
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "product", CB_CAP_TILE, product_accepts, NULL, NULL, product_forward},
    {CB_PASS_FORWARD, 0, "plain", .run = plain_forward, .kernels = "matmul"},
    {CB_PASS_BACKWARD, 0, "product", CB_CAP_TILE, product_accepts, NULL, NULL, product_dx},
    {CB_PASS_BACKWARD, 0, "plain", .run = plain_dx, .kernels = "matmul"},
};

static const char *const trials[] = {
    "[{conv2d: {filters: 20, kernel: 1}, name: p}, {reshape: {shape: [90, 20]}, name: a}, {conv2d: {filters: 33, "
    "kernel: 1}, inputs: [p]}, {reshape: {shape: [90, 33]}, name: b}, {matmul: {transpose_a: true}, inputs: [a, b]}, "
    "flatten]",
};

CB_PLUGIN({
    .name = "matmul",
    .family = "linear maps",
    .summary = "products of two inputs' matrices, their last two axes",
    .formula = "y[...,m,n] = sum over k of a[...,m,k] * b[...,k,n]",
    .example = "- matmul: {transpose_b: true}\n  inputs: [a, b]",
    CB_OPTIONS(options, defaults),
    .min_inputs = 2,
    .max_inputs = 2,
    .dx_needs = CB_NEEDS_X,
    .variants = CB_ARRAY(variants),
    .trials = CB_ARRAY(trials),
    .infer = matmul_infer,
})
