/* strand.c: what a text is on its way: bytes with where each came from, and pieces of them; a thread's workplace. */
#include "text/internal.h"

#include <stdlib.h>

/* Room for `wanted` elements of `size` bytes at `*data`; false when memory is exhausted. */
static bool grow(void **data, size_t size, size_t *capacity, size_t wanted)
{
    if (wanted <= *capacity) {
        return true;
    }
    size_t room = *capacity * 2 > wanted ? *capacity * 2 : wanted + 64;
    void *more = realloc(*data, room * size);
    if (!more) {
        return false;
    }
    *data = more;
    *capacity = room;
    return true;
}

bool cb__strand_reserve(struct cb__strand *strand, size_t more)
{
    size_t wanted = strand->length + more;
    if (wanted <= strand->capacity && (!strand->has_origins || strand->origins)) {
        return true;
    }
    size_t capacity = strand->capacity, room = capacity * 2 > wanted ? capacity * 2 : wanted + 256;
    char *bytes = wanted > UINT32_MAX - 512 ? NULL : realloc(strand->bytes, room);
    strand->bytes = bytes ? bytes : strand->bytes;
    if (bytes && (strand->has_origins || strand->origins)) {
        struct cb_token_span *origins = realloc(strand->origins, room * sizeof(*origins));
        bytes = origins ? bytes : NULL;
        strand->origins = origins ? origins : strand->origins;
    }
    if (!bytes) {
        strand->failed = true;
        return false;
    }
    strand->capacity = room;
    return true;
}

void cb__strand_add(struct cb__strand *strand, const char *bytes, size_t count, struct cb_token_span origin)
{
    if (!cb__strand_reserve(strand, count)) {
        return;
    }
    memcpy(strand->bytes + strand->length, bytes, count);
    for (size_t i = 0; strand->has_origins && i < count; i++) {
        strand->origins[strand->length + i] = origin;
    }
    strand->length += count;
}

void cb__strand_add_code(struct cb__strand *strand, int32_t code, struct cb_token_span origin)
{
    char letter[4];
    cb__strand_add(strand, letter, cb__encode_letter(code, letter), origin);
}

void cb__strand_copy(struct cb__strand *strand, const struct cb__strand *from, size_t begin, size_t end)
{
    if (end <= begin || !cb__strand_reserve(strand, end - begin)) {
        return;
    }
    memcpy(strand->bytes + strand->length, from->bytes + begin, end - begin);
    if (strand->has_origins) {
        memcpy(strand->origins + strand->length, from->origins + begin, (end - begin) * sizeof(*from->origins));
    }
    strand->length += end - begin;
}

void cb__pieces_add(struct cb__pieces *pieces, struct cb__piece piece)
{
    if (piece.begin >= piece.end) {
        return;
    }
    if (!grow((void **)&pieces->items, sizeof(piece), &pieces->capacity, pieces->count + 1)) {
        pieces->failed = true;
        return;
    }
    pieces->items[pieces->count++] = piece;
}

bool cb__scratch_grow(struct cb__scratch *scratch)
{
    size_t capacity = scratch->capacity;
    if (!grow((void **)&scratch->ids, sizeof(*scratch->ids), &capacity, scratch->count + 1)) {
        scratch->failed = true;
        return false;
    }
    uint32_t *lengths = realloc(scratch->lengths, capacity * sizeof(*lengths));
    if (!lengths) {
        scratch->failed = true;
        return false;
    }
    scratch->lengths = lengths;
    scratch->capacity = capacity;
    return true;
}

struct cb__scratch *cb__scratch_create(void)
{
    struct cb__scratch *scratch = calloc(1, sizeof(*scratch));
    if (scratch) {
        scratch->cache = calloc(CB__CACHE_SLOTS, sizeof(*scratch->cache));
    }
    if (scratch && !scratch->cache) {
        free(scratch);
        return NULL;
    }
    return scratch;
}

static void free_strand(struct cb__strand *strand)
{
    free(strand->bytes);
    free(strand->origins);
}

void cb__scratch_destroy(struct cb__scratch *scratch)
{
    if (!scratch) {
        return;
    }
    free_strand(&scratch->given);
    free_strand(&scratch->one);
    free_strand(&scratch->two);
    free_strand(&scratch->text);
    free(scratch->pieces.items);
    free(scratch->other.items);
    free(scratch->cache);
    free(scratch->symbols);
    free(scratch->queue);
    free(scratch->best);
    free(scratch->ids);
    free(scratch->lengths);
    free(scratch);
}
