/* layer_scale: y = w x, with a learned w for each channel, the last axis (Touvron 2021, CaiT): behind a residual branch,
 * from small values on, so that a deep network begins as nearly the identity. Frozen, it is an affine per channel that
 * the core folds into the layer above.
 *
 *     dx = w dy,  dw = sum of dy x over all but the channel, in a fixed order (cl/layer_scale.cl) */
#include <cambium/layer.h>

#define MAX_PARTS 64
#define MIN_PART_ROWS 256

struct options {
    double init;
};

static const struct options defaults = {1e-5};

static const struct cb_option options[] = {
    {"init", "the factor at first", CB_OPT_REAL, offsetof(struct options, init)},
};

static enum cb_status layer_scale_infer(struct cb_instance *in)
{
    const struct options *o = in->options;
    const struct cb_tensor *x = in->x[0];
    if (x->rank < 2) {
        return in->host->fail(in->core, CB_MISMATCH, NULL,
                              "layer_scale needs channels behind N, but its input has rank %u", (unsigned)x->rank);
    }
    const struct cb_param_decl w = {.struct_size = sizeof(w), .role = CB_PARAM_VECTOR, .name = "w", .foreign = "gamma",
                                    .rank = 1, .init = CB_INIT_CONSTANT, .value = o->init,
                                    .dims = {x->dims[x->rank - 1]}};
    CB_TRY(in->host->param(in->core, &w));
    return in->host->output(in->core, 0, CB_F32, x->rank, x->dims);
}

static enum cb_status layer_scale_affine(const struct cb_instance *in, const float *const *params,
                                         const float *const *state, float *scale, float *shift)
{
    (void)state;
    for (int64_t c = 0; c < in->x[0]->dims[in->x[0]->rank - 1]; c++) {
        scale[c] = params[0][c];
        shift[c] = 0.0f;
    }
    return CB_OK;
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

static enum cb_status run_forward(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in->x[0]);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)s.channels, (uint64_t)s.rows), CB_A_TENSOR(in->y[0]),
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->params[0]), CB_A_I64(s.rows), CB_A_I32(s.channels));
}

/* ---- gradients, each its own pass, so that frozen layers pay for one ---- */

static enum cb_status run_dx(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in->dy[0]);
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)s.channels, (uint64_t)s.rows), CB_A_TENSOR(in->dx[0]),
                     CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(in->params[0]), CB_A_I64(s.rows), CB_A_I32(s.channels),
                     CB_A_I32(in->dx_accumulate & 1u));
}

static enum cb_status prepare_dw(struct cb_instance *in)
{
    const struct sizes s = sizes_of(in->x[0]);
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
    return CB_LAUNCH(in, 1, CB_GRID((uint64_t)s.channels), CB_A_TENSOR(in->dw[0]), CB_A_TENSOR(in->workspace[0]),
                     CB_A_I32(s.channels), CB_A_I32(s.parts), CB_A_I32(in->dw_accumulate & 1u));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "plain", .run = run_forward, .kernels = "layer_scale_forward"},
    {CB_PASS_DX, 0, "plain", .run = run_dx, .kernels = "layer_scale_dx"},
    {CB_PASS_DW, 0, "plain", .prepare = prepare_dw, .run = run_dw, .kernels = "layer_scale_parts layer_scale_dw"},
};

CB_PLUGIN({
    .name = "layer_scale",
    .family = "normalization",
    .summary = "each channel times a learned factor, as behind a residual branch",
    .formula = "y = w * x",
    .example = "- layer_scale: {init: 1e-5}",
    CB_OPTIONS(options, defaults),
    .dx_needs = CB_NEEDS_PARAMS,
    .dw_needs = CB_NEEDS_X,
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .variants = CB_ARRAY(variants),
    .infer = layer_scale_infer,
    .affine = layer_scale_affine,
})
