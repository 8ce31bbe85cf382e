/* prelu: y = x where x > 0, else w x, with a learned w for each channel or one for all (He 2015).
 *
 *     dx = dy where x > 0, else w dy
 *     dw = sum of dy x where x <= 0, over all but the channel, in a fixed order (cl/prelu.cl) */
#include <cambium/layer.h>

#define MAX_PARTS 64
#define MIN_PART_ROWS 256

enum { PER_CHANNEL, PER_ALL };
static const char *const per_words[] = {"channel", "all", NULL};

struct options {
    int32_t per;
    double init;
};

static const struct options defaults = {PER_CHANNEL, 0.25};

#define AT(field) offsetof(struct options, field)
static const struct cb_option options[] = {
    {"per", "whether each channel has its own slope, or one serves all", CB_OPT_CHOICE, AT(per), 0, 0, per_words},
    {"init", "the slope at first", CB_OPT_REAL, AT(init)},
};

static enum cb_status prelu_infer(struct cb_instance *in)
{
    const struct options *o = in->options;
    const struct cb_tensor *x = in->x[0];
    if (x->rank < 2) {
        return in->host->fail(in->core, CB_MISMATCH, NULL, "prelu needs channels behind N, but its input has rank %u",
                              (unsigned)x->rank);
    }
    const struct cb_param_decl w = {.struct_size = sizeof(w), .role = CB_PARAM_VECTOR, .name = "w", .foreign = "weight",
                                    .rank = 1, .init = CB_INIT_CONSTANT, .value = o->init,
                                    .dims = {o->per == PER_ALL ? 1 : x->dims[x->rank - 1]}};
    CB_TRY(in->host->param(in->core, &w));
    return in->host->output(in->core, 0, CB_F32, x->rank, x->dims);
}

/* ---- sizes: rows of C channels; for dw in parts ---- */

struct sizes {
    int64_t rows, channels, parts, part_rows;
};

static struct sizes sizes_of(const struct cb_tensor *t)
{
    struct sizes s = {.channels = t->dims[t->rank - 1]};
    s.rows = cb_tensor_count(t) / s.channels;
    s.part_rows = (s.rows + MAX_PARTS - 1) / MAX_PARTS;
    s.part_rows = s.part_rows < MIN_PART_ROWS ? MIN_PART_ROWS : s.part_rows;
    s.parts = (s.rows + s.part_rows - 1) / s.part_rows;
    return s;
}

static int32_t is_shared(const struct cb_instance *in)
{
    return ((const struct options *)in->options)->per == PER_ALL;
}

static enum cb_status run_forward(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in->x[0]);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)s.channels, (uint64_t)s.rows), CB_A_TENSOR(in->y[0]),
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->params[0]), CB_A_I64(s.rows), CB_A_I32(s.channels),
                     CB_A_I32(is_shared(in)));
}

/* ---- gradients, each its own pass, so that frozen layers pay for one ---- */

static enum cb_status run_dx(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in->x[0]);
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)s.channels, (uint64_t)s.rows), CB_A_TENSOR(in->dx[0]),
                     CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->params[0]), CB_A_I64(s.rows),
                     CB_A_I32(s.channels), CB_A_I32(is_shared(in)), CB_A_I32(in->dx_accumulate & 1u));
}

static enum cb_status prepare_dw(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in->x[0]);
    CB_TRY(in->host->kernel(in->core, NULL, "prelu_parts", NULL));
    CB_TRY(in->host->kernel(in->core, NULL, "prelu_dw", NULL));
    return in->host->workspace(in->core, CB_F32, MAX_PARTS * s.channels);
}

static enum cb_status run_dw(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in->x[0]);
    if (in->dw[0] == NULL) {
        return CB_OK;
    }
    CB_TRY(CB_LAUNCH(in, 0, CB_GRID((uint64_t)s.channels, (uint64_t)s.parts), CB_A_TENSOR(in->workspace[0]),
                     CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(in->x[0]), CB_A_I64(s.rows), CB_A_I32(s.channels),
                     CB_A_I32(s.parts), CB_A_I64(s.part_rows)));
    return CB_LAUNCH(in, 1, CB_GRID((uint64_t)in->params[0]->dims[0]), CB_A_TENSOR(in->dw[0]),
                     CB_A_TENSOR(in->workspace[0]), CB_A_I32(s.channels), CB_A_I32(s.parts), CB_A_I32(is_shared(in)),
                     CB_A_I32(in->dw_accumulate & 1u));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "plain", .run = run_forward, .kernels = "prelu_forward"},
    {CB_PASS_DX, 0, "plain", .run = run_dx, .kernels = "prelu_dx"},
    {CB_PASS_DW, 0, "plain", 0, NULL, prepare_dw, NULL, run_dw},
};

CB_PLUGIN({
    .name = "prelu",
    .family = "activations",
    .summary = "the rectifier whose slope for negative values is learned",
    .formula = "y = x if x > 0 else w * x",
    .example = "- prelu: {per: channel}",
    CB_OPTIONS(options, defaults),
    .dx_needs = CB_NEEDS_X | CB_NEEDS_PARAMS,
    .dw_needs = CB_NEEDS_X,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .variants = CB_ARRAY(variants),
    .infer = prelu_infer,
})
