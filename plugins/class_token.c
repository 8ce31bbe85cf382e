/* class_token: trained tokens in front of each sequence, [N,T,C] -> [N,K+T,C]: the class token of BERT and ViT
 * (Dosovitskiy 2021), the distillation token of DeiT, registers (Darcet 2024).
 *
 *   y[n,k,:] = w[k,:] for k < K,  y[n,K+t,:] = x[n,t,:]
 *   dx[n,t,:] = dy[n,K+t,:],  dw[k,:] = sum over n of dy[n,k,:], in order
 *
 * The lengths of padded sequences are not carried along: they would have to grow by K. */
#include <cambium/layer.h>

struct options {
    int64_t tokens;
};

static const struct options defaults = {1};

static const struct cb_option options[] = {
    {"tokens", "how many are put in front", CB_OPT_INT, offsetof(struct options, tokens), 1, 1 << 16},
};

static enum cb_status class_token_infer(struct cb_instance *in)
{
    const struct options *o = in->options;
    const struct cb_tensor *x = in->x[0];
    if (x->rank != 3) {
        return in->host->fail(in->core, CB_MISMATCH, NULL, "class_token needs [N,T,C], but its input has rank %u",
                              (unsigned)x->rank);
    }
    const struct cb_param_decl w = {.struct_size = sizeof(w), .role = CB_PARAM_TABLE, .name = "w", .foreign = "weight",
                                    .rank = 2, .init = CB_INIT_NORMAL, .dims = {o->tokens, x->dims[2]}, .value = 0.02};
    CB_TRY(in->host->param(in->core, &w));
    return in->host->output(in->core, 0, CB_F32, 3, (const int64_t[]){x->dims[0], x->dims[1] + o->tokens, x->dims[2]});
}

/* Numbers of a sample's tokens in front, and behind them. */
struct sizes {
    int64_t n, front, behind;
};

static struct sizes sizes_of(const struct cb_instance *in, const struct cb_tensor *y)
{
    const int64_t tokens = ((const struct options *)in->options)->tokens;
    return (struct sizes){y->dims[0], tokens * y->dims[2], (y->dims[1] - tokens) * y->dims[2]};
}

static enum cb_status run_forward(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in, in->y[0]);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)(s.front + s.behind), (uint64_t)s.n), CB_A_TENSOR(in->y[0]),
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->params[0]), CB_A_I64(s.n), CB_A_I64(s.front),
                     CB_A_I64(s.behind));
}

static enum cb_status run_dx(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in, in->dy[0]);
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)s.behind, (uint64_t)s.n), CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]),
                     CB_A_I64(s.n), CB_A_I64(s.front), CB_A_I64(s.behind), CB_A_I32(in->dx_accumulate & 1u));
}

static enum cb_status run_dw(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in, in->dy[0]);
    if (in->dw[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)s.front), CB_A_TENSOR(in->dw[0]), CB_A_TENSOR(in->dy[0]), CB_A_I64(s.n),
                     CB_A_I64(s.front), CB_A_I64(s.behind), CB_A_I32(in->dw_accumulate & 1u));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "class_token_forward"},
    {CB_PASS_DX, 0, "plain", .run = run_dx, .kernels = "class_token_dx"},
    {CB_PASS_DW, 0, "plain", .run = run_dw, .kernels = "class_token_dw"},
};

CB_PLUGIN({
    .name = "class_token",
    .family = "sequences",
    .summary = "trained tokens in front of each sequence, [N,T,C] to [N,K+T,C]",
    .formula = "y[n,k] = w[k] for the first K tokens, y[n,K+t] = x[n,t]",
    .example = "- class_token",
    CB_OPTIONS(options, defaults),
    .variants = CB_ARRAY(variants),
    .infer = class_token_infer,
})
