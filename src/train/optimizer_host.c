/* optimizer_host.c: the update of one param after the other, as PyTorch's torch.optim.SGD, Adam and AdamW do it: what
 * the kernels of cl/core/optimizer.cl must agree with. */
#include <math.h>

#include "train/optimizer.h"

static void step_sgd(const struct cb_optimizer_config *config, float *params, const float *grads, float *velocity,
                     uint64_t count, double rate, double decay)
{
    for (uint64_t i = 0; i < count; i++) {
        double step = grads[i] + decay * params[i];
        if (config->momentum > 0.0) {
            velocity[i] = (float)(config->momentum * velocity[i] + step);
            step = config->nesterov ? step + config->momentum * velocity[i] : velocity[i];
        }
        params[i] = (float)(params[i] - rate * step);
    }
}

static void step_adam(const struct cb_optimizer_config *config, float *params, const float *grads, float *mean,
                      float *variance, uint64_t count, uint64_t step, double rate, double decay)
{
    const bool decoupled = config->kind == CB_OPTIMIZER_ADAMW;
    const double correction1 = 1.0 - pow(config->beta1, (double)step);
    const double correction2 = 1.0 - pow(config->beta2, (double)step);
    for (uint64_t i = 0; i < count; i++) {
        const double param = decoupled ? params[i] * (1.0 - rate * decay) : params[i];
        const double grad = decoupled ? grads[i] : grads[i] + decay * params[i];
        mean[i] = (float)(mean[i] + (1.0 - config->beta1) * (grad - mean[i]));
        variance[i] = (float)(config->beta2 * variance[i] + (1.0 - config->beta2) * grad * grad);
        const double root = sqrt(variance[i] / correction2) + config->epsilon;
        params[i] = (float)(param - rate / correction1 * mean[i] / root);
    }
}

void cb_optimizer_step_host(const struct cb_optimizer_config *config, float *params, const float *grads, float *state0,
                            float *state1, uint64_t count, uint64_t step, double rate, bool decay)
{
    const double weight_decay = decay ? config->weight_decay : 0.0;
    if (config->kind == CB_OPTIMIZER_SGD) {
        step_sgd(config, params, grads, state0, count, rate, weight_decay);
    } else if (config->kind == CB_OPTIMIZER_ADAM || config->kind == CB_OPTIMIZER_ADAMW) {
        step_adam(config, params, grads, state0, state1, count, step, rate, weight_decay);
    }
}
