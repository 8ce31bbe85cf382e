/* rmsnorm.cl: y = x rstd w over rows of C neighbours, rstd = 1 / sqrt(mean(x^2) + epsilon). The kernels are those of
 * rownorm.clh with a mean of 0. */
#define ROWNORM(pass) rmsnorm_##pass
#define ROWNORM_CENTRED 0
#include "rownorm.clh"
