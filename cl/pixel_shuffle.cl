/* pixel_shuffle.cl: channels become places: copies of boxes, forward and backward. */

#include "box.clh"
