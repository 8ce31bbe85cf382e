/* transpose.cl: the axes behind N in another order: copies of boxes, forward and backward. */

#include "box.clh"
