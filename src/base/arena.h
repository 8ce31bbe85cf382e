/* arena.h: memory that is freed all at once. Everything that lives as long as a task, a network or a file's tree is
 * allocated here, so that no one frees a node of a graph one by one. Not thread-safe. */
#ifndef CAMBIUM_BASE_ARENA_H
#define CAMBIUM_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

#include <cambium/status.h>

struct cb_arena;

struct cb_arena *cb_arena_create(void);
void cb_arena_destroy(struct cb_arena *arena); /* accepts NULL */
/* Zeroed, aligned to 16 bytes. NULL when memory is exhausted. */
void *cb_arena_alloc(struct cb_arena *arena, size_t bytes);
/* Zeroed array; NULL on overflow of count * size too. */
void *cb_arena_array(struct cb_arena *arena, size_t count, size_t size);
void *cb_arena_copy(struct cb_arena *arena, const void *data, size_t bytes);
char *cb_arena_strdup(struct cb_arena *arena, const char *text);
char *cb_arena_strndup(struct cb_arena *arena, const char *text, size_t length);
char *cb_arena_printf(struct cb_arena *arena, const char *fmt, ...) CB_PRINTF(2, 3);
char *cb_arena_vprintf(struct cb_arena *arena, const char *fmt, va_list args);
/* Calls `release(object)` when the arena is destroyed, newest first. Returns false when memory is exhausted (the
 * object is then released at once). */
bool cb_arena_on_destroy(struct cb_arena *arena, void (*release)(void *object), void *object);

#define CB_NEW(arena, type) ((type *)cb_arena_alloc((arena), sizeof(type)))
#define CB_NEW_ARRAY(arena, type, count) ((type *)cb_arena_array((arena), (count), sizeof(type)))

#endif
