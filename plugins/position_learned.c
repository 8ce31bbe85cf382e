/* position_learned: adds a trained row per position: y[n,t,c] = x[n,t,c] + w[start + t,c] (BERT, GPT-2; RoBERTa begins with
 * row 2); dx = dy, dw[start + t,c] = sum over n of dy[n,t,c], in order. Where the positions are those of a picture's pieces (ViT), `grid` says how
 * they lie, so that weights trained at another size of pictures can be resampled when they are loaded. */
#include <cambium/layer.h>

struct options {
    int64_t max_length, start;
    struct cb_list grid; /* of int64_t */
};

static const struct options defaults = {.grid = CB_LIST_EMPTY};

static const struct cb_option options[] = {
    {"max_length", "rows of the table: with `start` 0 the longest sequence", CB_OPT_INT, offsetof(struct options, max_length), 1,
     1 << 24, NULL, CB_OPTION_REQUIRED},
    {"start", "the row of the first token: those before it are kept and never used, as RoBERTa has it",
     CB_OPT_INT, offsetof(struct options, start), 0, 1 << 24},
    {"grid", "rows and columns of the grid in which the last positions lie, row by row; others may stand in front",
     CB_OPT_INTS, offsetof(struct options, grid), 1, 1 << 12, NULL, 0, 2},
};

static enum cb_status check_grid(struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t *grid = o->grid.items;
    if (o->grid.count == 1 || (o->grid.count == 2 && grid[0] * grid[1] > o->max_length)) {
        return in->host->fail(in->core, CB_INVALID, "grid",
                              o->grid.count == 1 ? "`grid` takes two numbers, rows and columns"
                                                 : "a grid of %lld x %lld does not fit into `max_length` %lld",
                              (long long)grid[0], (long long)grid[o->grid.count - 1], (long long)o->max_length);
    }
    return CB_OK;
}

static enum cb_status position_learned_infer(struct cb_instance *in)
{
    const struct cb_host *host = in->host;
    const struct options *o = in->options;
    const struct cb_tensor *x = in->x[0];
    if (x->rank != 3) {
        return host->fail(in->core, CB_MISMATCH, NULL, "position_learned needs [N,T,C], but its input has rank %u",
                          (unsigned)x->rank);
    }
    if (o->start > 0 && x->dims[1] > o->max_length - o->start) {
        return host->fail(in->core, CB_MISMATCH, "start", "a sequence of %lld does not fit into `max_length` %lld from row "
                          "%lld on", (long long)x->dims[1], (long long)o->max_length, (long long)o->start);
    }
    if (x->dims[1] > o->max_length) {
        return host->fail(in->core, CB_MISMATCH, "max_length", "a sequence of %lld is longer than `max_length` %lld",
                          (long long)x->dims[1], (long long)o->max_length);
    }
    struct cb_param_decl w = {.struct_size = sizeof(w), .role = CB_PARAM_TABLE, .name = "w", .foreign = "weight",
                              .rank = 2, .init = CB_INIT_NORMAL, .dims = {o->max_length, x->dims[2]}, .value = 0.02};
    for (uint32_t i = 0; i < o->grid.count; i++) {
        w.grid[i] = ((const int64_t *)o->grid.items)[i];
    }
    CB_TRY(host->param(in->core, &w));
    return host->output(in->core, 0, CB_F32, x->rank, x->dims);
}

/* Numbers of the table in front of the first token's row. */
static int64_t numbers_before(const struct cb_instance *in, const int64_t *dims)
{
    return ((const struct options *)in->options)->start * dims[2];
}

static enum cb_status run_forward(struct cb_instance *in)
{
    const int64_t *d = in->x[0]->dims, row = d[1] * d[2];
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)row, (uint64_t)d[0]), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->x[0]),
                     CB_A_TENSOR(in->params[0]), CB_A_I64(d[0]), CB_A_I64(row), CB_A_I64(numbers_before(in, d)));
}

static enum cb_status run_backward(struct cb_instance *in)
{
    const int64_t *d = in->dy[0]->dims, row = d[1] * d[2];
    struct cb_tensor *dw = in->dw != NULL ? in->dw[0] : NULL;
    if (dw != NULL) { /* before dx, which may lie where dy does */
        const int64_t count = cb_tensor_count(dw);
        CB_TRY(CB_LAUNCH(in, 1, CB_GRID((uint64_t)count), CB_A_TENSOR(dw), CB_A_TENSOR(in->dy[0]), CB_A_I64(d[0]),
                         CB_A_I64(row), CB_A_I64(numbers_before(in, d)), CB_A_I64(count),
                         CB_A_I32(in->dw_accumulate & 1u)));
    }
    if (in->dx[0] != NULL) {
        const int64_t count = d[0] * row;
        CB_TRY(CB_LAUNCH(in, 0, CB_GRID((uint64_t)count), CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]),
                         CB_A_I64(count), CB_A_I32(in->dx_accumulate & 1u)));
    }
    return CB_OK;
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "position_learned_forward"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_backward, .kernels = "position_learned_dx position_learned_dw"},
};

CB_PLUGIN({
    .name = "position_learned",
    .family = "sequences",
    .summary = "adds a trained row of numbers per position in the sequence",
    .formula = "y[n,t,c] = x[n,t,c] + w[start + t,c]",
    .example = "- position_learned: {max_length: 512}",
    CB_OPTIONS(options, defaults),
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .variants = CB_ARRAY(variants),
    .check = check_grid,
    .infer = position_learned_infer,
})
