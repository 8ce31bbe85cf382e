/* positions.h: what position_sinusoidal and rotary share: their angles' wavelengths (cl/include/positions.clh). */
#ifndef CAMBIUM_POSITIONS_H
#define CAMBIUM_POSITIONS_H

#include <cambium/layer.h>

enum { POSITIONS_HALVES, POSITIONS_INTERLEAVED };
static const char *const positions_layout_words[] = {"halves", "interleaved", NULL};

/* ln(x) for x >= 1, in double: a plugin links against no mathematics library. x = 2^k m with m in [1,2), and
 * ln(m) = 2 artanh((m - 1) / (m + 1)). */
static inline double positions_log(double x)
{
    int halvings = 0;
    while (x >= 2.0) {
        x *= 0.5;
        halvings++;
    }
    const double z = (x - 1.0) / (x + 1.0);
    double power = z, sum = 0.0;
    for (int i = 1; i < 40; i += 2) {
        sum += power / i;
        power *= z * z;
    }
    return halvings * 0.69314718055994530942 + 2.0 * sum;
}

/* ln(base) as two floats, the kernels' log_base and log_base_rest. */
static inline float positions_rest(double log_base)
{
    return (float)(log_base - (double)(float)log_base);
}
#define POSITIONS_ARGS(log_base) CB_A_F32(log_base), CB_A_F32(positions_rest(log_base))

#endif
