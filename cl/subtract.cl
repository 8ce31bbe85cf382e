/* subtract.cl: y = a - b; da = dy; db = -dy. Shapes and kernels: binary.clh. */
#define BINARY_F(a, b) ((a) - (b))
#define BINARY_DA(g, a, b) (g)
#define BINARY_DB(g, a, b) (-(g))
#include "binary.clh"
