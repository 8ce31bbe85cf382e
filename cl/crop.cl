/* crop.cl: a window of each picture: copies of boxes, forward and backward. */

#include "box.clh"
