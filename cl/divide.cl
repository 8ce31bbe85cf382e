/* divide.cl: y = a / b; da = dy / b; db = -dy a / b^2. Shapes and kernels: binary.clh. */
#define BINARY_F(a, b) ((a) / (b))
#define BINARY_DA(g, a, b) ((g) / (b))
#define BINARY_DB(g, a, b) (-(g) * ((a) / (b)) / (b))
#include "binary.clh"
