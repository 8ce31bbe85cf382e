/* slice.cl: the places of one axis from one to another: copies of boxes, forward and backward. */

#include "box.clh"
