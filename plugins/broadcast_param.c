/* broadcast_param: trained numbers that meet each sample alike: y = x + w, y = x w, or y = w for every sample (x then only tells how
 * many there are). w has `shape`, whose dims meet x's from the last one back; one of 1 serves all places of x's.
 *
 *     addend: dx = dy,    dw = sum of dy        (over the batch and the places that an element serves, in order)
 *     factor: dx = w dy,  dw = sum of x dy
 *     value:  dx = 0,     dw = sum of dy */
#include <cambium/layer.h>

#define DIMS (CB_MAX_RANK - 1)

struct options {
    struct cb_list shape;
    int32_t as;
};

enum { ADDEND, FACTOR, VALUE };

static const char *const uses[] = {"addend", "factor", "value", NULL};
static const struct options defaults = {CB_LIST_EMPTY, ADDEND};

#define AT(field) offsetof(struct options, field)
static const struct cb_option options[] = {
    {"shape", "sizes of the axes of w, that meet the last ones of x; 1: one number for all places", CB_OPT_INTS, AT(shape), 1,
     1 << 30, NULL, CB_OPTION_REQUIRED, DIMS},
    {"as", "added to x, multiplied with it, or given out for each sample instead of it", CB_OPT_CHOICE, AT(as), 0, 0, uses},
};

/* The axes behind N, padded in front with 1: sizes in y and steps in w (0: broadcast). */
struct sizes {
    int64_t samples, row, count, dims[DIMS], steps[DIMS];
};

static struct sizes sizes_of(const struct options *o, const struct cb_tensor *y)
{
    const int64_t *shape = o->shape.items;
    struct sizes s = {.samples = y->dims[0], .row = 1, .count = 1};
    for (uint32_t i = 0; i < DIMS; i++) { /* from the last axis */
        const int64_t w = i < o->shape.count ? shape[o->shape.count - 1 - i] : 1;
        s.dims[DIMS - 1 - i] = i + 1 < y->rank ? y->dims[y->rank - 1 - i] : 1;
        s.steps[DIMS - 1 - i] = w > 1 ? s.count : 0;
        s.row *= s.dims[DIMS - 1 - i];
        s.count *= w;
    }
    return s;
}

static enum cb_status broadcast_param_infer(struct cb_instance *in)
{
    const struct cb_host *host = in->host;
    const struct options *o = in->options;
    const struct cb_tensor *x = in->x[0];
    const int64_t *shape = o->shape.items;
    struct cb_param_decl w = {.struct_size = sizeof(w), .role = CB_PARAM_VECTOR, .name = "w", .foreign = "weight",
                              .rank = o->shape.count, .init = CB_INIT_CONSTANT, .value = o->as == FACTOR ? 1.0 : 0.0};
    int64_t dims[CB_MAX_RANK] = {x->dims[0]};
    for (uint32_t i = 0; i < o->shape.count; i++) {
        w.dims[i] = dims[i + 1] = shape[i];
    }
    CB_TRY(host->param(in->core, &w));
    if (o->as == VALUE) {
        return host->output(in->core, 0, CB_F32, o->shape.count + 1, dims);
    }
    for (uint32_t i = 0; i < o->shape.count; i++) {
        const int64_t size = shape[o->shape.count - 1 - i];
        const int64_t theirs = i + 1 < x->rank ? x->dims[x->rank - 1 - i] : 1;
        if (size != 1 && size != theirs) {
            return host->fail(in->core, CB_MISMATCH, "shape", "an axis of %lld does not fit one of %lld in its input",
                              (long long)size, (long long)theirs);
        }
    }
    return host->output(in->core, 0, CB_F32, x->rank, x->dims);
}

#define A_DIMS(v) CB_A_I64((v)[0]), CB_A_I64((v)[1]), CB_A_I64((v)[2]), CB_A_I64((v)[3]), CB_A_I64((v)[4]), \
    CB_A_I64((v)[5]), CB_A_I64((v)[6])

static enum cb_status run_forward(struct cb_instance *in)
{
    const struct options *o = in->options;
    const struct sizes s = sizes_of(o, in->y[0]);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)s.row, (uint64_t)s.samples), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->x[0]),
                     CB_A_TENSOR(in->params[0]), CB_A_I64(s.samples), CB_A_I64(s.row), CB_A_I32(o->as), A_DIMS(s.dims),
                     A_DIMS(s.steps));
}

static enum cb_status run_dx(struct cb_instance *in)
{
    const struct options *o = in->options;
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    if (o->as == VALUE) {
        return (in->dx_accumulate & 1u) != 0 ? CB_OK : in->host->fill(in->core, in->dx[0], 0.0f);
    }
    const struct sizes s = sizes_of(o, in->dy[0]);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)s.row, (uint64_t)s.samples), CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]),
                     CB_A_TENSOR(in->params[0]), CB_A_I64(s.samples), CB_A_I64(s.row), CB_A_I32(o->as), A_DIMS(s.dims),
                     A_DIMS(s.steps), CB_A_I32(in->dx_accumulate & 1u));
}

static enum cb_status run_dw(struct cb_instance *in)
{
    const struct options *o = in->options;
    if (in->dw[0] == NULL) {
        return CB_OK;
    }
    const struct sizes s = sizes_of(o, in->dy[0]);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)s.count), CB_A_TENSOR(in->dw[0]), CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(in->x[0]),
                     CB_A_I64(s.samples), CB_A_I64(s.row), CB_A_I64(s.count), CB_A_I32(o->as), A_DIMS(s.dims), A_DIMS(s.steps),
                     CB_A_I32(in->dw_accumulate & 1u));
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "broadcast_param_forward"},
    {CB_PASS_DX, 0, "plain", .run = run_dx, .kernels = "broadcast_param_dx"},
    {CB_PASS_DW, 0, "plain", .run = run_dw, .kernels = "broadcast_param_dw"},
};

CB_PLUGIN({
    .name = "broadcast_param",
    .family = "arithmetic",
    .summary = "trained numbers that are added to each sample, multiplied with it, or stand instead of it",
    .formula = "y = x + w, x * w, or w",
    .example = "- broadcast_param: {shape: [1], as: factor}",
    CB_OPTIONS(options, defaults),
    .dx_needs = CB_NEEDS_PARAMS,
    .dw_needs = CB_NEEDS_X,
    .variants = CB_ARRAY(variants),
    .infer = broadcast_param_infer,
})
