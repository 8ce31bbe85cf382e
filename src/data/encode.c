/* encode.c: the tokens of a text, cut off or padded to what a network takes. */
#include <string.h>

#include "data/source.h"
#include "text/tokenizer.h"

enum { IDS, SEGMENTS, LENGTHS }; /* fields */

bool cb__words_encode(const struct cb_contract *contract, const struct cb_tokenizer *tokenizer, const struct cb__words *words,
                      void *const *out, size_t *out_uncut, struct cb__why *why)
{
    const size_t most = (size_t)contract->shape[0];
    const struct cb_encode_options options = {.max_tokens = most, .pair = words->pair, .pair_bytes = words->pair_bytes};
    struct cb_tokens tokens = {0};
    struct cb_diag *diag = cb_diag_create();
    enum cb_status status = cb_tokenizer_encode(tokenizer, words->text, words->bytes, &options, &tokens, diag);
    bool ok = status == CB_OK;
    if (!ok) {
        const char *said = diag ? cb_diag_text(diag, 0) : NULL, *error = said ? strstr(said, "error: ") : NULL;
        cb__because(why, status, "cannot be cut into tokens: %s", error ? error + 7 : cb_status_sentence(status));
    } else if (contract->long_rule == CB_LONG_REFUSE && tokens.uncut_count > most) {
        ok = cb__because(why, CB_UNSUPPORTED, "has %zu tokens, more than the %zu of `max_length` (`long: refuse`)",
                         tokens.uncut_count, most);
    }
    uint32_t pad = cb_tokenizer_special(tokenizer, CB_SPECIAL_PAD);
    for (size_t i = 0; ok && i < most; i++) {
        ((int32_t *)out[IDS])[i] = (int32_t)(i < tokens.count ? tokens.ids[i] : pad == CB_NO_TOKEN ? 0 : pad);
        ((int32_t *)out[SEGMENTS])[i] = i < tokens.count && tokens.segments ? tokens.segments[i] : 0;
    }
    if (ok) {
        *(int32_t *)out[LENGTHS] = (int32_t)tokens.count;
        *out_uncut = tokens.uncut_count;
    }
    cb_tokens_free(&tokens);
    cb_diag_destroy(diag);
    return ok;
}
