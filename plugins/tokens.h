/* tokens.h: what first_token, last_token and mean_tokens share: a sequence [N,T,C], of which `lengths` may say how many
 * tokens are real, becomes one vector [N,C]. */
#ifndef CAMBIUM_TOKENS_H
#define CAMBIUM_TOKENS_H

#include <cambium/layer.h>

static inline enum cb_status tokens_infer(struct cb_instance *in, const char *layer)
{
    const struct cb_tensor *x = in->x[0];
    if (x->rank != 3) {
        return in->host->fail(in->core, CB_MISMATCH, NULL, "%s needs [N,T,C], but its input has rank %u", layer,
                              (unsigned)x->rank);
    }
    return in->host->output(in->core, 0, CB_F32, 2, (const int64_t[]){x->dims[0], x->dims[2]});
}

/* Kernel 0 over [N,C] makes y. */
static inline enum cb_status tokens_run_forward(struct cb_instance *in)
{
    const struct cb_tensor *x = in->x[0];
    const int64_t *d = x->dims;
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)d[2], (uint64_t)d[0]), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(x),
                     CB_A_TENSOR(x->lengths), CB_A_I32(d[0]), CB_A_I32(d[1]), CB_A_I32(d[2]));
}

/* Kernel 0 over [N,T,C] makes dx. */
static inline enum cb_status tokens_run_dx(struct cb_instance *in)
{
    const struct cb_tensor *x = in->x[0];
    const int64_t *d = x->dims;
    if (in->dx[0] == NULL) {
        return CB_OK;
    }
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)d[2], (uint64_t)d[1], (uint64_t)d[0]), CB_A_TENSOR(in->dx[0]),
                     CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(x->lengths), CB_A_I32(d[0]), CB_A_I32(d[1]), CB_A_I32(d[2]),
                     CB_A_I32(in->dx_accumulate & 1u));
}

#endif
