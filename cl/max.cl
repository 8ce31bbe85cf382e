/* max.cl: y = max(a, b); dy goes to the one that was taken, or half to each.
 * NaN in either gives NaN. Shapes and kernels: binary.clh. */
#define BINARY_F(a, b) select(select((a), (b), (b) > (a)), (a) + (b), isunordered((a), (b)))
#define BINARY_DA(g, a, b) ((g) * (0.5f + 0.5f * sign((a) - (b))))
#define BINARY_DB(g, a, b) ((g) * (0.5f - 0.5f * sign((a) - (b))))
#include "binary.clh"
