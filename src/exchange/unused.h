/* unused.h: what the tensors of a file that have no place in the network say about the network. */
#ifndef CAMBIUM_EXCHANGE_UNUSED_H
#define CAMBIUM_EXCHANGE_UNUSED_H

#include "exchange/import.h"

/* Notes the modules of the file of which nothing was taken (auxiliary heads, the other tower). False: memory is exhausted. */
bool cb__note_unused_modules(struct cb_imported *imported);
/* The pattern of unused tensors that stand in several blocks whose other tensors were taken (`blocks.*.ls1.gamma`): then the
 * file is of another network, which has more in each block. In the arena; NULL: there are none. */
const char *cb__unused_in_blocks(const struct cb_imported *imported);

#endif
