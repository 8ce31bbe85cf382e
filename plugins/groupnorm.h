/* groupnorm.h: what groupnorm and instancenorm share: the channels of each sample in groups (instancenorm: one of each),
 * each normalized over its channels and all places, then scaled by w and shifted by b per channel.
 *
 * The moments of a sample's groups are kept for backward. Backward first sums dy and dy xhat over the places for each
 * channel of each sample; what dx needs are sums of those over a group's channels, dw and db their sums over the samples,
 * in order. The kernels are in cl/groupnorm.cl. */
#ifndef CAMBIUM_GROUPNORM_H
#define CAMBIUM_GROUPNORM_H

#include <cambium/layer.h>

struct groupnorm_options {
    double epsilon;
    uint32_t affine;
    uint32_t reserved;
    int64_t groups; /* 0: as many as channels */
};

/* Sizes of x [N,P,C] with G groups; P: all places. */
struct groupnorm_sizes {
    int64_t n, places, c, groups;
};

#define GROUPNORM_ARGS(s) CB_A_I32((s).n), CB_A_I64((s).places), CB_A_I32((s).c), CB_A_I32((s).groups)

static inline struct groupnorm_sizes groupnorm_sizes(const struct cb_instance *in, const struct cb_tensor *x)
{
    const struct groupnorm_options *o = in->options;
    struct groupnorm_sizes s = {.n = x->dims[0], .c = x->dims[x->rank - 1]};
    s.places = cb_tensor_count(x) / s.n / s.c;
    s.groups = o->groups > 0 ? o->groups : s.c;
    return s;
}

/* Declares params, what is kept, and the output; the layer has checked groups and rank. */
static inline enum cb_status groupnorm_declare(struct cb_instance *in)
{
    const struct groupnorm_options *o = in->options;
    const struct cb_host *host = in->host;
    const struct cb_tensor *x = in->x[0];
    const struct groupnorm_sizes s = groupnorm_sizes(in, x);
    struct cb_param_decl decl = {sizeof(decl), CB_PARAM_VECTOR, "w", "weight", 1, CB_INIT_CONSTANT};
    decl.dims[0] = s.c;
    decl.value = 1.0;
    if (o->affine) {
        CB_TRY(host->param(in->core, &decl));
        decl.name = "b";
        decl.foreign = "bias";
        decl.value = 0.0;
        CB_TRY(host->param(in->core, &decl));
    }
    CB_TRY(host->saved(in->core, CB_F32, 3, (const int64_t[]){s.n, s.groups, 2})); /* mean, rstd */
    return host->output(in->core, 0, CB_F32, x->rank, x->dims);
}

/* ---- forward: kernels moments, forward; workspace moments, for when none are kept ---- */

static inline enum cb_status groupnorm_prepare_forward(struct cb_instance *in)
{
    const struct cb_host *host = in->host;
    const struct groupnorm_sizes s = groupnorm_sizes(in, in->x[0]);
    CB_TRY(host->kernel(in->core, "groupnorm", "groupnorm_moments", NULL));
    CB_TRY(host->kernel(in->core, "groupnorm", "groupnorm_forward", NULL));
    return host->workspace(in->core, CB_F32, 2 * s.n * s.groups);
}

static inline enum cb_status groupnorm_run_forward(struct cb_instance *in)
{
    const struct groupnorm_options *o = in->options;
    const struct groupnorm_sizes s = groupnorm_sizes(in, in->x[0]);
    const struct cb_tensor *moments = in->saved[0] != NULL ? in->saved[0] : in->workspace[0];
    const struct cb_tensor *w = o->affine ? in->params[0] : NULL, *b = o->affine ? in->params[1] : NULL;
    CB_TRY(CB_LAUNCH(in, 0, CB_GRID((uint64_t)s.groups, (uint64_t)s.n), CB_A_TENSOR(moments), CB_A_TENSOR(in->x[0]),
                     GROUPNORM_ARGS(s), CB_A_F32(o->epsilon)));
    return CB_LAUNCH(in, 1, CB_GRID((uint64_t)s.c, (uint64_t)s.places, (uint64_t)s.n), CB_A_TENSOR(in->y[0]),
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(moments), CB_A_TENSOR(w), CB_A_TENSOR(b), GROUPNORM_ARGS(s));
}

/* ---- backward: kernels sums, merge, factors, dx; workspace sums [N,C,2], factors [N,G,2] ---- */

static inline enum cb_status groupnorm_prepare_backward(struct cb_instance *in)
{
    const struct cb_host *host = in->host;
    const struct groupnorm_sizes s = groupnorm_sizes(in, in->x[0]);
    CB_TRY(host->kernel(in->core, "groupnorm", "groupnorm_sums", NULL));
    CB_TRY(host->kernel(in->core, "groupnorm", "groupnorm_merge", NULL));
    CB_TRY(host->kernel(in->core, "groupnorm", "groupnorm_factors", NULL));
    CB_TRY(host->kernel(in->core, "groupnorm", "groupnorm_dx", NULL));
    CB_TRY(host->workspace(in->core, CB_F32, 2 * s.n * s.c));
    return host->workspace(in->core, CB_F32, 2 * s.n * s.groups);
}

static inline enum cb_status groupnorm_run_backward(struct cb_instance *in)
{
    const struct groupnorm_options *o = in->options;
    const struct groupnorm_sizes s = groupnorm_sizes(in, in->dy[0]);
    const struct cb_tensor *sums = in->workspace[0], *factors = in->workspace[1], *moments = in->saved[0];
    const struct cb_tensor *w = o->affine ? in->params[0] : NULL;
    const struct cb_tensor *dw = o->affine ? in->dw[0] : NULL, *db = o->affine ? in->dw[1] : NULL;
    CB_TRY(CB_LAUNCH(in, 0, CB_GRID((uint64_t)s.c, (uint64_t)s.n), CB_A_TENSOR(sums), CB_A_TENSOR(in->dy[0]),
                     CB_A_TENSOR(in->x[0]), CB_A_TENSOR(moments), GROUPNORM_ARGS(s)));
    if (dw != NULL || db != NULL) {
        CB_TRY(CB_LAUNCH(in, 1, CB_GRID((uint64_t)s.c), CB_A_TENSOR(dw), CB_A_TENSOR(db), CB_A_TENSOR(sums),
                         GROUPNORM_ARGS(s), CB_A_I32(in->dw_accumulate & 1u),
                         CB_A_I32((in->dw_accumulate >> 1) & 1u)));
    }
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    CB_TRY(CB_LAUNCH(in, 2, CB_GRID((uint64_t)s.groups, (uint64_t)s.n), CB_A_TENSOR(factors), CB_A_TENSOR(sums),
                     CB_A_TENSOR(moments), CB_A_TENSOR(w), GROUPNORM_ARGS(s)));
    return CB_LAUNCH(in, 3, CB_GRID((uint64_t)s.c, (uint64_t)s.places, (uint64_t)s.n), CB_A_TENSOR(in->dx[0]),
                     CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(in->x[0]), CB_A_TENSOR(moments), CB_A_TENSOR(factors),
                     CB_A_TENSOR(w), GROUPNORM_ARGS(s), CB_A_I32(in->dx_accumulate & 1u));
}

static const struct cb_variant groupnorm_variants[] = {
    {CB_PASS_FORWARD, CB_VARIANT_EPILOGUE, "plain", 0, NULL, groupnorm_prepare_forward, NULL, groupnorm_run_forward},
    {CB_PASS_BACKWARD, 0, "plain", 0, NULL, groupnorm_prepare_backward, NULL, groupnorm_run_backward},
};

#endif
