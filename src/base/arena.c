/* arena.c: chunks that grow by doubling up to a bound; an allocation larger than a chunk gets one of its own. */
#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 16, FIRST_CHUNK_BYTES = 4096, MAX_CHUNK_BYTES = 1 << 20 };

struct chunk {
    struct chunk *next;
    size_t capacity;
    size_t used;
    _Alignas(ALIGNMENT) unsigned char bytes[];
};

struct release_entry {
    struct release_entry *next;
    void (*release)(void *object);
    void *object;
};

struct cb_arena {
    struct chunk *chunks; /* the newest is the one that is filled */
    struct release_entry *releases;
    size_t next_chunk_bytes;
};

struct cb_arena *cb_arena_create(void)
{
    struct cb_arena *arena = calloc(1, sizeof(*arena));
    if (arena) {
        arena->next_chunk_bytes = FIRST_CHUNK_BYTES;
    }
    return arena;
}

void cb_arena_destroy(struct cb_arena *arena)
{
    if (!arena) {
        return;
    }
    /* A release may look at memory of the arena, so all run before any chunk goes. */
    for (struct release_entry *entry = arena->releases; entry; entry = entry->next) {
        entry->release(entry->object);
    }
    struct chunk *chunk = arena->chunks;
    while (chunk) {
        struct chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    free(arena);
}

/* calloc: the memory of fresh chunks is zero, and no byte is handed out twice. */
static struct chunk *add_chunk(struct cb_arena *arena, size_t capacity, bool is_filled_next)
{
    if (capacity > SIZE_MAX - sizeof(struct chunk)) {
        return NULL;
    }
    struct chunk *chunk = calloc(1, sizeof(struct chunk) + capacity);
    if (!chunk) {
        return NULL;
    }
    chunk->capacity = capacity;
    if (is_filled_next || !arena->chunks) {
        chunk->next = arena->chunks;
        arena->chunks = chunk;
    } else {
        chunk->next = arena->chunks->next;
        arena->chunks->next = chunk;
    }
    return chunk;
}

void *cb_arena_alloc(struct cb_arena *arena, size_t bytes)
{
    if (bytes > SIZE_MAX - ALIGNMENT) {
        return NULL;
    }
    size_t needed = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (needed == 0) {
        needed = ALIGNMENT; /* distinct addresses for empty objects */
    }
    struct chunk *chunk = arena->chunks;
    if (!chunk || chunk->capacity - chunk->used < needed) {
        bool is_large = needed > arena->next_chunk_bytes / 2;
        chunk = add_chunk(arena, is_large ? needed : arena->next_chunk_bytes, !is_large);
        if (!chunk) {
            return NULL;
        }
        if (!is_large && arena->next_chunk_bytes < MAX_CHUNK_BYTES) {
            arena->next_chunk_bytes *= 2;
        }
    }
    void *result = chunk->bytes + chunk->used;
    chunk->used += needed;
    return result;
}

void *cb_arena_array(struct cb_arena *arena, size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size) {
        return NULL;
    }
    return cb_arena_alloc(arena, count * size);
}

void *cb_arena_copy(struct cb_arena *arena, const void *data, size_t bytes)
{
    void *copy = cb_arena_alloc(arena, bytes);
    if (copy && bytes > 0) {
        memcpy(copy, data, bytes);
    }
    return copy;
}

char *cb_arena_strndup(struct cb_arena *arena, const char *text, size_t length)
{
    if (length == SIZE_MAX) {
        return NULL;
    }
    char *copy = cb_arena_alloc(arena, length + 1);
    if (copy && length > 0) {
        memcpy(copy, text, length);
    }
    return copy;
}

char *cb_arena_strdup(struct cb_arena *arena, const char *text)
{
    return cb_arena_strndup(arena, text, strlen(text));
}

char *cb_arena_vprintf(struct cb_arena *arena, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, fmt, args);
    char *text = length < 0 ? NULL : cb_arena_alloc(arena, (size_t)length + 1);
    if (text) {
        vsnprintf(text, (size_t)length + 1, fmt, again);
    }
    va_end(again);
    return text;
}

char *cb_arena_printf(struct cb_arena *arena, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = cb_arena_vprintf(arena, fmt, args);
    va_end(args);
    return text;
}

bool cb_arena_on_destroy(struct cb_arena *arena, void (*release)(void *object), void *object)
{
    struct release_entry *entry = CB_NEW(arena, struct release_entry);
    if (!entry) {
        release(object);
        return false;
    }
    *entry = (struct release_entry){arena->releases, release, object};
    arena->releases = entry;
    return true;
}
