/* pixel_unshuffle.cl: places become channels: copies of boxes, forward and backward. */

#include "box.clh"
