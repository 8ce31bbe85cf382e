/* layernorm.cl: y = (x - mean) rstd w + b over rows of C neighbours, rstd = 1 / sqrt(var + epsilon). The kernels are
 * those of rownorm.clh with the mean taken off. */
#define ROWNORM(pass) layernorm_##pass
#define ROWNORM_CENTRED 1
#include "rownorm.clh"
