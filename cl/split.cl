/* split.cl: parts of the input, each an output: copies of boxes, forward and backward. */

#include "box.clh"
