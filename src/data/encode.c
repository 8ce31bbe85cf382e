/* encode.c: the tokens of a text, cut off or padded to what a network takes. */
#include "data/source.h"

bool cb__words_encode(const struct cb_contract *contract, const struct cb_tokenizer *tokenizer, const struct cb__words *words,
                      void *const *out, size_t *out_uncut, struct cb__why *why)
{
    (void)contract;
    (void)tokenizer;
    (void)words;
    (void)out;
    (void)out_uncut;
    return cb__because(why, CB_UNSUPPORTED, "is text, which this version cannot cut into tokens");
}
