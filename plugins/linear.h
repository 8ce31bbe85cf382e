/* linear.h: the params of a layer that is linear in them: w and, where there is one, a bias b. */
#ifndef CAMBIUM_LINEAR_H
#define CAMBIUM_LINEAR_H

#include <cambium/layer.h>

/* Declares w and, if there is one, b [channels]. */
static inline enum cb_status linear_params(struct cb_instance *in, const struct cb_param_decl *w, bool has_bias,
                                           int64_t channels)
{
    const struct cb_param_decl b = {.struct_size = sizeof(b), .role = CB_PARAM_VECTOR, .name = "b", .foreign = "bias",
                                    .rank = 1, .init = CB_INIT_CONSTANT, .dims = {channels}, .fan_in = w->fan_in,
                                    .fan_out = w->fan_out};
    CB_TRY(in->host->param(in->core, w));
    return has_bias ? in->host->param(in->core, &b) : CB_OK;
}

/* b; NULL: there is none. */
static inline struct cb_tensor *linear_bias(const struct cb_instance *in)
{
    return in->param_count > 1 ? in->params[1] : NULL;
}

/* The gradient of w (0) or b (1); NULL: not there or not wanted. */
static inline struct cb_tensor *linear_gradient(const struct cb_instance *in, uint32_t param)
{
    return in->dw != NULL && param < in->param_count ? in->dw[param] : NULL;
}

#endif
