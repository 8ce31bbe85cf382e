/* attention: scaled dot-product attention of queries q [N,T,HD], keys k [N,S,GD] and values v [N,S,GE] -> [N,T,HE]
 * (Vaswani 2017), H heads of which H/G share one of the G heads of keys and values (Ainslie 2023: grouped queries).
 *
 *   y[n,t,h,:] = sum over s of p[s] v[n,s,g,:],  g = h G / H,
 *   p = softmax over s of z[s],  z[s] = scale q[n,t,h,:].k[n,s,g,:] + mask[n,h,t,s]
 *
 * It has no params: the projections are dense layers. Keys behind the length of k's sequence are left out, with
 * `causal` those behind t + S - T, and those whose mask is -infinity; a query that sees no key gives zeros. The mask, a
 * fourth input [N,T,S] or [N,H,T,S], is optional, and has a gradient: it may be a bias by distance. No T x S matrix is
 * stored else: softmax is computed online (Milakov 2018), and forward keeps one number a row, the logarithm of its sum
 * of exponentials, from which backward makes p again (Dao 2022). With delta = dy.y of the row, dz = p (dy.v - delta):
 *   dq = sum over s of scale dz k,  dk = sum over t and the group's heads of scale dz q,  dv = likewise of p dy,
 *   dmask = dz. */
#include <cambium/layer.h>

struct options {
    int64_t heads, key_value_heads;
    double scale;
    uint32_t causal;
};

static const struct options defaults = {.heads = 1};

#define AT(field) offsetof(struct options, field)
static const struct cb_option options[] = {
    {"heads", "heads into which the channels of the queries are split", CB_OPT_INT, AT(heads), 1, 1 << 16},
    {"key_value_heads", "heads of the keys and values, each shared by as many heads of queries; 0: as `heads`",
     CB_OPT_INT, AT(key_value_heads), 0, 1 << 16},
    {"causal", "whether a query sees no later keys (the last query sees all)", CB_OPT_BOOL, AT(causal)},
    {"scale", "factor of the scores; 0: 1 / sqrt(channels of a head)", CB_OPT_REAL, AT(scale), 0, 1e6},
};

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

/* N samples, T queries, S keys, H heads, G heads of keys and values, D channels of a key's head, E of a value's. */
struct sizes {
    int64_t n, t, s, h, g, d, e;
    double scale;
};

static struct sizes sizes_of(const struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t *q = in->x[0]->dims, *k = in->x[1]->dims, *v = in->x[2]->dims;
    struct sizes s = {.n = q[0], .t = q[1], .s = k[1], .h = o->heads};
    s.g = o->key_value_heads > 0 ? o->key_value_heads : o->heads;
    s.d = q[2] / s.h;
    s.e = v[2] / s.g;
    double root = 1.0; /* Newton's: a plugin links against nothing */
    for (int i = 0; i < 40; i++) {
        root = 0.5 * (root + (double)s.d / root);
    }
    s.scale = o->scale > 0.0 ? o->scale : 1.0 / root;
    return s;
}

#define SIZE_ARGS(in, z)                                                                                               \
    CB_A_TENSOR((in)->x[1]->lengths), CB_A_I32((z).n), CB_A_I32((z).t), CB_A_I32((z).s), CB_A_I32((z).h),              \
        CB_A_I32((z).g), CB_A_I32((z).d), CB_A_I32((z).e),                                                             \
        CB_A_I32(((const struct options *)(in)->options)->causal), CB_A_F32((z).scale)

static enum cb_status check_heads(struct cb_instance *in)
{
    static const char *const names[] = {"queries", "keys", "values"};
    const struct options *o = in->options;
    const struct sizes s = sizes_of(in);
    if (s.h % s.g != 0) {
        return in->host->fail(in->core, CB_INVALID, "key_value_heads",
                              "%lld heads cannot share %lld heads of keys and values evenly", (long long)s.h,
                              (long long)s.g);
    }
    for (uint32_t i = 0; i < 3; i++) {
        const int64_t channels = in->x[i]->dims[2], heads = i == 0 ? s.h : s.g;
        if (channels % heads != 0) {
            return in->host->fail(in->core, CB_MISMATCH,
                                  i > 0 && o->key_value_heads > 0 ? "key_value_heads" : "heads",
                                  "%lld channels of the %s cannot be split into %lld heads", (long long)channels,
                                  names[i], (long long)heads);
        }
    }
    if (in->x[1]->dims[2] / s.g != s.d) {
        return in->host->fail(in->core, CB_MISMATCH, NULL,
                              "a head of the queries has %lld channels, but one of the keys %lld", (long long)s.d,
                              (long long)(in->x[1]->dims[2] / s.g));
    }
    return CB_OK;
}

static enum cb_status check_mask(struct cb_instance *in, const struct sizes *s)
{
    const struct cb_tensor *mask = in->x[3];
    const int64_t *dims = mask->dims + (mask->rank == 4 ? 1 : 0);
    const bool fits = mask->rank == 3 || (mask->rank == 4 && mask->dims[1] == s->h);
    if (!fits || dims[1] != s->t || dims[2] != s->s) {
        return in->host->fail(in->core, CB_MISMATCH, NULL,
                              "the mask of %lld queries and %lld keys must be [N,%lld,%lld] or [N,%lld,%lld,%lld]",
                              (long long)s->t, (long long)s->s, (long long)s->t, (long long)s->s, (long long)s->h,
                              (long long)s->t, (long long)s->s);
    }
    return CB_OK;
}

static enum cb_status attention_infer(struct cb_instance *in)
{
    const struct cb_host *host = in->host;
    for (uint32_t i = 0; i < 3; i++) {
        if (in->x[i]->rank != 3) {
            return host->fail(in->core, CB_MISMATCH, NULL,
                              "attention takes queries, keys and values [N,T,C], but input %u has rank %u", i + 1,
                              (unsigned)in->x[i]->rank);
        }
    }
    if (in->x[1]->dims[1] != in->x[2]->dims[1]) {
        return host->fail(in->core, CB_MISMATCH, NULL, "there are %lld keys but %lld values",
                          (long long)in->x[1]->dims[1], (long long)in->x[2]->dims[1]);
    }
    CB_TRY(check_heads(in));
    const struct sizes s = sizes_of(in);
    if (in->x_count > 3) {
        CB_TRY(check_mask(in, &s));
    }
    CB_TRY(host->saved(in->core, CB_F32, 3, (const int64_t[]){s.n, s.h, s.t}));
    return host->output(in->core, 0, CB_F32, 3, (const int64_t[]){s.n, s.t, s.h * s.e});
}

/* ---- plain: a query, or a key, per work-item, any device --------------------------------------------------------- */

static int64_t mask_heads(const struct cb_instance *in)
{
    return in->x_count > 3 && in->x[3]->rank == 4 ? in->x[3]->dims[1] : 1;
}

#define MASK_ARGS(in) CB_A_TENSOR((in)->x_count > 3 ? (in)->x[3] : NULL), CB_A_I32(mask_heads(in))

static enum cb_status plain_forward_run(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)s.t, (uint64_t)s.h, (uint64_t)s.n), CB_A_TENSOR(in->y[0]),
                     CB_A_TENSOR(in->saved[0]), CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->x[1]), CB_A_TENSOR(in->x[2]),
                     MASK_ARGS(in), SIZE_ARGS(in, s));
}

static enum cb_status plain_backward_prepare(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in);
    CB_TRY(in->host->kernel(in->core, NULL, "attention_delta", NULL));
    CB_TRY(in->host->kernel(in->core, NULL, "attention_dq", NULL));
    CB_TRY(in->host->kernel(in->core, NULL, "attention_dkv", NULL));
    CB_TRY(in->host->kernel(in->core, NULL, "attention_dmask", NULL));
    return in->host->workspace(in->core, CB_F32, s.n * s.h * s.t);
}

static enum cb_status run_delta(struct cb_instance *in, const struct sizes *s, uint32_t kernel, uint32_t workspace)
{
    const int64_t rows = s->n * s->t * s->h;
    return CB_LAUNCH(in, kernel, CB_GRID((uint64_t)rows), CB_A_TENSOR(in->workspace[workspace]), CB_A_TENSOR(in->dy[0]),
                     CB_A_TENSOR(in->y[0]), CB_A_I64(rows), CB_A_I32(s->t), CB_A_I32(s->h), CB_A_I32(s->e));
}

/* q, k, v, dy, and what is kept of a row. */
#define BACKWARD_ARGS(in)                                                                                              \
    CB_A_TENSOR((in)->x[0]), CB_A_TENSOR((in)->x[1]), CB_A_TENSOR((in)->x[2]), CB_A_TENSOR((in)->dy[0]),               \
        CB_A_TENSOR((in)->saved[0]), CB_A_TENSOR((in)->workspace[0]), CB_A_I32((in)->dx_accumulate)

static enum cb_status plain_backward_run(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in);
    CB_TRY(run_delta(in, &s, 0, 0));
    if (in->dx[0] != NULL) {
        CB_TRY(CB_LAUNCH(in, 1, CB_GRID((uint64_t)s.t, (uint64_t)s.h, (uint64_t)s.n), CB_A_TENSOR(in->dx[0]),
                         BACKWARD_ARGS(in), MASK_ARGS(in), SIZE_ARGS(in, s)));
    }
    if (in->x_count > 3 && in->dx[3] != NULL) {
        CB_TRY(CB_LAUNCH(in, 3, CB_GRID((uint64_t)s.s, (uint64_t)s.t, (uint64_t)(s.n * mask_heads(in))),
                         CB_A_TENSOR(in->dx[3]), BACKWARD_ARGS(in), MASK_ARGS(in), SIZE_ARGS(in, s)));
    }
    if (in->dx[1] != NULL || in->dx[2] != NULL) {
        CB_TRY(CB_LAUNCH(in, 2, CB_GRID((uint64_t)s.s, (uint64_t)s.g, (uint64_t)s.n), CB_A_TENSOR(in->dx[1]),
                         CB_A_TENSOR(in->dx[2]), BACKWARD_ARGS(in), MASK_ARGS(in), SIZE_ARGS(in, s)));
    }
    return CB_OK;
}

/* ---- tile: some rows against blocks of sixteen, on processors (cl/attention_tile.cl) ----------------------------- */

static bool tile_accepts(const struct cb_instance *in)
{
    const struct sizes s = sizes_of(in);
    return in->x_count == 3 && s.d == s.e && s.d % 16 == 0 && s.d <= 128;
}

/* Kernels are compiled for the channels of a head, sixteen a piece, and for as many rows as registers hold. */
#define TILE(pieces, rows) "-DATTENTION_PIECES=" #pieces " -DATTENTION_ROWS=" #rows
static enum cb_status tile_kernel(struct cb_instance *in, const char *entry)
{
    static const char *const defines[] = {TILE(1, 4), TILE(2, 4), TILE(3, 4), TILE(4, 4),
                                          TILE(5, 4), TILE(6, 4), TILE(7, 4), TILE(8, 4)};
    return in->host->kernel(in->core, "attention_tile", entry, defines[sizes_of(in).d / 16 - 1]);
}

/* Of keys and values it sums the gradients of both. */
static int64_t pair_rows(const struct sizes *s)
{
    return s->d / 16 <= 2 ? 4 : 2;
}

static enum cb_status pair_kernel(struct cb_instance *in, const char *entry)
{
    static const char *const defines[] = {TILE(1, 4), TILE(2, 4), TILE(3, 2), TILE(4, 2),
                                          TILE(5, 2), TILE(6, 2), TILE(7, 2), TILE(8, 2)};
    return in->host->kernel(in->core, "attention_tile", entry, defines[sizes_of(in).d / 16 - 1]);
}

/* Numbers of a tensor [N,t,heads,D] turned to [N,heads,D,t rounded up to 16]. */
static int64_t turned_count(const struct sizes *s, int64_t t, int64_t heads)
{
    return s->n * heads * s->d * ((t + 15) / 16 * 16);
}

/* Turns it into workspace `to`, by kernel 0. */
static enum cb_status turn(struct cb_instance *in, uint32_t to, const struct cb_tensor *from, int64_t heads)
{
    const int64_t n = from->dims[0], t = from->dims[1];
    return CB_LAUNCH(in, 0, CB_GRID_LOCAL((uint64_t)(t + 15) / 16, (uint64_t)heads, (uint64_t)n, 1, 1, 1),
                     CB_A_TENSOR(in->workspace[to]), CB_A_TENSOR(from), CB_A_I32(n), CB_A_I32(t), CB_A_I32(heads));
}

static enum cb_status tile_forward_prepare(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in);
    CB_TRY(tile_kernel(in, "attention_turn"));
    CB_TRY(tile_kernel(in, "attention_forward_tile"));
    return in->host->workspace(in->core, CB_F32, turned_count(&s, s.s, s.g));
}

static enum cb_status tile_forward_run(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in);
    CB_TRY(turn(in, 0, in->x[1], s.g));
    return CB_LAUNCH(in, 1, CB_GRID_LOCAL((uint64_t)(s.t + 3) / 4, (uint64_t)s.h, (uint64_t)s.n, 1, 1, 1),
                     CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->saved[0]), CB_A_TENSOR(in->x[0]),
                     CB_A_TENSOR(in->workspace[0]), CB_A_TENSOR(in->x[2]), SIZE_ARGS(in, s));
}

enum { TILE_TURN, TILE_DELTA, TILE_DQ, TILE_DKV };   /* kernels */
enum { TURNED_K_OR_Q, TURNED_V_OR_DY, TILE_DELTAS }; /* workspace */

static enum cb_status tile_backward_prepare(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in);
    const int64_t keys = turned_count(&s, s.s, s.g), queries = turned_count(&s, s.t, s.h);
    CB_TRY(tile_kernel(in, "attention_turn"));
    CB_TRY(in->host->kernel(in->core, NULL, "attention_delta", NULL));
    CB_TRY(tile_kernel(in, "attention_dq_tile"));
    CB_TRY(pair_kernel(in, "attention_dkv_tile"));
    CB_TRY(in->host->workspace(in->core, CB_F32, keys > queries ? keys : queries));
    CB_TRY(in->host->workspace(in->core, CB_F32, keys > queries ? keys : queries));
    return in->host->workspace(in->core, CB_F32, s.n * s.h * s.t);
}

#define KEPT_ARGS(in)                                                                                                  \
    CB_A_TENSOR((in)->saved[0]), CB_A_TENSOR((in)->workspace[TILE_DELTAS]), CB_A_I32((in)->dx_accumulate)

static enum cb_status tile_dq_run(struct cb_instance *in, const struct sizes *s)
{
    CB_TRY(turn(in, TURNED_K_OR_Q, in->x[1], s->g));
    CB_TRY(turn(in, TURNED_V_OR_DY, in->x[2], s->g));
    return CB_LAUNCH(in, TILE_DQ, CB_GRID_LOCAL((uint64_t)(s->t + 3) / 4, (uint64_t)s->h, (uint64_t)s->n, 1, 1, 1),
                     CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->x[1]),
                     CB_A_TENSOR(in->workspace[TURNED_K_OR_Q]), CB_A_TENSOR(in->workspace[TURNED_V_OR_DY]),
                     CB_A_TENSOR(in->dy[0]), KEPT_ARGS(in), SIZE_ARGS(in, *s));
}

static enum cb_status tile_dkv_run(struct cb_instance *in, const struct sizes *s)
{
    CB_TRY(turn(in, TURNED_K_OR_Q, in->x[0], s->h));
    CB_TRY(turn(in, TURNED_V_OR_DY, in->dy[0], s->h));
    const uint64_t tiles = (uint64_t)((s->s + pair_rows(s) - 1) / pair_rows(s));
    return CB_LAUNCH(in, TILE_DKV, CB_GRID_LOCAL(tiles, (uint64_t)s->g, (uint64_t)s->n, 1, 1, 1),
                     CB_A_TENSOR(in->dx[1]), CB_A_TENSOR(in->dx[2]), CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->x[1]),
                     CB_A_TENSOR(in->x[2]), CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(in->workspace[TURNED_K_OR_Q]),
                     CB_A_TENSOR(in->workspace[TURNED_V_OR_DY]), KEPT_ARGS(in), SIZE_ARGS(in, *s));
}

static enum cb_status tile_backward_run(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in);
    CB_TRY(run_delta(in, &s, TILE_DELTA, TILE_DELTAS));
    if (in->dx[0] != NULL) {
        CB_TRY(tile_dq_run(in, &s));
    }
    return in->dx[1] != NULL || in->dx[2] != NULL ? tile_dkv_run(in, &s) : CB_OK;
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "tile", CB_CAP_TILE, tile_accepts, tile_forward_prepare, NULL,
     tile_forward_run},
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "plain", .run = plain_forward_run, .kernels = "attention_forward"},
    {CB_PASS_BACKWARD, 0, "tile", CB_CAP_TILE, tile_accepts, tile_backward_prepare, NULL, tile_backward_run},
    {CB_PASS_BACKWARD, 0, "plain", 0, NULL, plain_backward_prepare, NULL, plain_backward_run},
};

static const char *const trials[] = {
    "[{conv2d: {filters: 32, kernel: 1}, name: p}, {reshape: {shape: [90, 32]}, name: q}, {conv2d: {filters: 16, "
    "kernel: 1}, inputs: [p]}, {reshape: {shape: [90, 16]}, name: k}, {attention: {heads: 2, key_value_heads: 1, "
    "causal: true}, inputs: [q, k, k]}, flatten]",
};

CB_PLUGIN({
    .name = "attention",
    .family = "sequences",
    .summary = "each query's average of the values, weighted by how well their keys match; inputs: q, k, v, and if "
               "wanted a mask",
    .formula = "y[n,t,h] = sum over s of p[s] * v[n,s,g],\n"
               "p = softmax over s of scale * (q[n,t,h] . k[n,s,g]) + mask[n,h,t,s] (or mask[n,t,s]),\n"
               "h a head of the queries, g the head of keys and values that it shares",
    .example = "- attention: {heads: 12, causal: true}\n  inputs: [q, k, v]",
    CB_OPTIONS(options, defaults),
    .min_inputs = 3,
    .max_inputs = 4,
    .dx_needs = CB_NEEDS_X | CB_NEEDS_Y | CB_NEEDS_SAVED,
    .variants = CB_ARRAY(variants),
    .trials = CB_ARRAY(trials),
    .infer = attention_infer,
})
