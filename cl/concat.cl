/* concat.cl: the inputs' rows, one input behind another: copies of boxes, forward and backward. */

#include "box.clh"
