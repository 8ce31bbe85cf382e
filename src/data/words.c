/* words.c: a text becomes what a network takes: its tokens, to which of two texts each belongs, how many there are. */
#include <stdlib.h>
#include <string.h>

#include "data/dataset_internal.h"

bool cb__words_prepare(struct cb_dataset *dataset, const struct cb__source *source, uint32_t item, void *const *out,
                       struct cb__why *why)
{
    (void)dataset;
    (void)source;
    (void)item;
    (void)out;
    return cb__because(why, CB_UNSUPPORTED, "is text, but the network names no `tokenizer`");
}
