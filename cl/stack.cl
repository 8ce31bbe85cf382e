/* stack.cl: the inputs side by side along a new axis: copies of boxes, forward and backward. */

#include "box.clh"
