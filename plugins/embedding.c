/* embedding: a table's rows by number (torch.nn.Embedding): [N,T] of i32 ids -> [N,T,C].
 *
 *   y[...,c] = w[ids[...],c]      dw[r,c] = sum over the places with ids = r of dy[...,c]
 *
 * The gradient needs no atomics: each place is linked to the next one of its id, and the first sums along the links, in
 * order. An id that the table does not have gives NaN, reads nothing and has no gradient. */
#include <cambium/layer.h>

struct options {
    int64_t rows, channels, padding;
};

static const struct options defaults = {.padding = -1};

#define AT(field) offsetof(struct options, field)
static const struct cb_option options[] = {
    {"num_embeddings", "rows of the table: ids are 0 to this less one", CB_OPT_INT, AT(rows), 1, 1 << 28, NULL,
     CB_OPTION_REQUIRED},
    {"embedding_dim", "channels out, the length of a row", CB_OPT_INT, AT(channels), 1, 1 << 20, NULL,
     CB_OPTION_REQUIRED},
    {"padding_idx", "an id whose row gets no gradient; -1: none", CB_OPT_INT, AT(padding), -1, 1 << 28},
};

static enum cb_status embedding_infer(struct cb_instance *in)
{
    const struct cb_host *host = in->host;
    const struct options *o = in->options;
    const struct cb_tensor *x = in->x[0];
    if (x->dtype != CB_I32) {
        return host->fail(in->core, CB_MISMATCH, NULL, "embedding takes integer ids [N,T], but its input holds values");
    }
    if (x->rank >= CB_MAX_RANK) {
        return host->fail(in->core, CB_MISMATCH, NULL, "embedding adds an axis, but its input already has %u",
                          (unsigned)x->rank);
    }
    if (o->padding >= o->rows) {
        return host->fail(in->core, CB_INVALID, "padding_idx",
                          "`padding_idx` is %lld, but the table has only %lld rows", (long long)o->padding,
                          (long long)o->rows);
    }
    const struct cb_param_decl w = {.struct_size = sizeof(w), .role = CB_PARAM_TABLE, .name = "w", .foreign = "weight",
                                    .rank = 2, .init = CB_INIT_NORMAL, .dims = {o->rows, o->channels}, .value = 1.0};
    CB_TRY(host->param(in->core, &w));
    int64_t dims[CB_MAX_RANK];
    for (uint32_t i = 0; i < x->rank; i++) {
        dims[i] = x->dims[i];
    }
    dims[x->rank] = o->channels;
    return host->output(in->core, 0, CB_F32, x->rank + 1, dims);
}

/* Sixteen channels a work-item. */
static enum cb_status run_forward(struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t places = cb_tensor_count(in->x[0]);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)(o->channels + 15) / 16, (uint64_t)places), CB_A_TENSOR(in->y[0]),
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->params[0]), CB_A_I64(places), CB_A_I32(o->rows),
                     CB_A_I32(o->channels));
}

static enum cb_status prepare_dw(struct cb_instance *in)
{
    return in->host->workspace(in->core, CB_I32, 2 * cb_tensor_count(in->x[0]));
}

static enum cb_status run_dw(struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t places = cb_tensor_count(in->x[0]);
    struct cb_tensor *dw = in->dw != NULL ? in->dw[0] : NULL;
    if (dw == NULL) {
        return CB_OK;
    }
    if ((in->dw_accumulate & 1u) == 0) {
        CB_TRY(in->host->fill(in->core, dw, 0.0f));
    }
    CB_TRY(CB_LAUNCH(in, 0, CB_GRID((uint64_t)places), CB_A_TENSOR(in->workspace[0]), CB_A_TENSOR(in->x[0]),
                     CB_A_I64(places)));
    return CB_LAUNCH(in, 1, CB_GRID((uint64_t)(o->channels + 15) / 16, (uint64_t)places), CB_A_TENSOR(dw),
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->workspace[0]), CB_A_TENSOR(in->dy[0]), CB_A_I64(places),
                     CB_A_I32(o->rows), CB_A_I32(o->channels), CB_A_I32(o->padding));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "embedding_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .prepare = prepare_dw, .run = run_dw, .kernels = "embedding_links embedding_dw"},
};

CB_PLUGIN({
    .name = "embedding",
    .family = "linear maps",
    .summary = "rows of a trained table by their numbers: [N,T] of ids to [N,T,C]",
    .formula = "y[...,c] = w[ids[...],c]",
    .example = "- embedding: {num_embeddings: 30522, embedding_dim: 384}",
    CB_OPTIONS(options, defaults),
    .dw_needs = CB_NEEDS_X,
    .integer_inputs = CB_BIT(0),
    .variants = CB_ARRAY(variants),
    .infer = embedding_infer,
})
