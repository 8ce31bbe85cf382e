/* words.c: a text becomes what a network takes: its tokens, to which of two texts each belongs, how many there are. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "data/dataset_internal.h"

enum { IDS, SEGMENTS, LENGTHS }; /* fields */

void cb_dataset_set_tokenizer(struct cb_dataset *dataset, const struct cb_tokenizer *tokenizer)
{
    dataset->private_->tokenizer = tokenizer;
}

bool cb_dataset_wants_tokenizer(const struct cb_dataset *dataset)
{
    return dataset->private_->sources[0]->type->words && !dataset->private_->tokenizer;
}

static bool is_utf8(const char *text, size_t bytes)
{
    for (size_t at = 0, n; at < bytes; at += n) {
        n = cb__utf8_sequence(text + at, bytes - at);
        if (n == 0) {
            return false;
        }
    }
    return true;
}

/* What is done to a text that is not as it should be is counted, and said once. */
static void count_oddities(struct cb_dataset_private *private, const struct cb__words *words, bool is_cut)
{
    if (!private->counts_oddities) {
        return;
    }
    atomic_fetch_add(&private->cut_count, is_cut);
    atomic_fetch_add(&private->empty_count, words->bytes == 0);
    bool is_whole = is_utf8(words->text, words->bytes) && (!words->pair || is_utf8(words->pair, words->pair_bytes));
    atomic_fetch_add(&private->mended_count, !is_whole);
}

bool cb__words_prepare(struct cb_dataset *dataset, const struct cb__source *source, uint32_t item, void *const *out,
                       struct cb__why *why)
{
    struct cb_dataset_private *private = dataset->private_;
    struct cb__words words;
    size_t uncut = 0;
    if (!private->tokenizer) {
        return cb__because(why, CB_UNSUPPORTED, "is text, but the network names no `tokenizer`");
    }
    if (!source->type->words(source, item, &words, why)) {
        return false;
    }
    bool ok = cb__words_encode(&dataset->contract, private->tokenizer, &words, out, &uncut, why);
    if (ok) {
        count_oddities(private, &words, uncut > (size_t)dataset->contract.shape[0]);
    }
    cb__words_free(&words);
    return ok;
}

void cb__words_say(struct cb_dataset *dataset, struct cb_diag *diag)
{
    struct cb_dataset_private *private = dataset->private_;
    const struct cb_place *at = &dataset->map->at;
    uint32_t cut = atomic_load(&private->cut_count), mended = atomic_load(&private->mended_count);
    uint32_t empty = atomic_load(&private->empty_count);
    if (cut > 0) {
        cb_note(diag, at, "%u of %u texts are longer than %lld tokens (`max_length`): what is behind them is cut off", cut,
                dataset->count, (long long)dataset->contract.shape[0]);
    }
    if (mended > 0) {
        cb_warn(diag, at, "%u of %u texts are not valid UTF-8: what is wrong in them is replaced by U+FFFD", mended,
                dataset->count);
    }
    if (empty > 0) {
        cb_warn(diag, at, "%u of %u texts are empty", empty, dataset->count);
    }
}

bool cb_dataset_has_lengths(const struct cb_dataset *dataset)
{
    return dataset->field_count == CB__TEXT_FIELDS;
}

int32_t cb_dataset_length(struct cb_dataset *dataset, uint32_t sample)
{
    struct cb_dataset_private *private = dataset->private_;
    int32_t length = 0;
    uint64_t at = 0;
    if (!cb_dataset_has_lengths(dataset)) {
        return 0;
    }
    const uint64_t offset = dataset->fields[IDS].bytes + dataset->fields[SEGMENTS].bytes;
    if (private->cache && atomic_load(&private->states[sample]) == CB__CACHED) {
        memcpy(&length, private->cache + sample * private->row_bytes + offset, sizeof length);
        return length;
    }
    uint8_t *row = malloc(private->row_bytes);
    void *fields[CB__TEXT_FIELDS];
    for (uint32_t f = 0; row && f < CB__TEXT_FIELDS; f++) {
        fields[f] = row + at;
        at += dataset->fields[f].bytes;
    }
    if (row && cb_dataset_read(dataset, sample, fields, NULL) == CB_OK) {
        memcpy(&length, row + offset, sizeof length);
    }
    free(row);
    return length;
}
