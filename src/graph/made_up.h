/* made_up.h: values for networks that are only tried out: the same everywhere, and such that nothing overflows. */
#ifndef CAMBIUM_GRAPH_MADE_UP_H
#define CAMBIUM_GRAPH_MADE_UP_H

#include <math.h>

#include "graph/network.h"

/* In [-1, 1). */
static inline void cb__made_up_values(float *values, int64_t count, uint32_t seed)
{
    for (int64_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = (float)(seed >> 8) * 0x1p-23f - 1.0f;
    }
}

/* The host's values of all params and states; a state may be a variance and is positive. */
static inline void cb__made_up_params(struct cb_network *net)
{
    for (uint32_t i = 0; i < net->param_count; i++) {
        struct cb_param *param = &net->params[i];
        cb__made_up_values(param->host, param->count, i + 1);
        for (int64_t k = 0; param->is_state && k < param->count; k++) {
            param->host[k] = 0.5f + fabsf(param->host[k]);
        }
    }
}

#endif
