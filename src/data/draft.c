/* draft.c: the growing list of samples that a reader of sources makes. */
#include <stdlib.h>
#include <string.h>

#include "data/source.h"

/* A larger array in the arena with the old one's content; NULL when memory is exhausted. */
static void *grow(struct cb_arena *arena, const void *old, size_t count, size_t room, size_t size)
{
    void *larger = cb_arena_array(arena, room, size);
    if (larger && count > 0) {
        memcpy(larger, old, count * size);
    }
    return larger;
}

static bool make_room(struct cb__draft *draft)
{
    if (draft->count < draft->room) {
        return true;
    }
    size_t room = draft->room ? (size_t)draft->room * 2 : 256, count = draft->count;
    if (room > UINT32_MAX / 2) {
        return false;
    }
    struct cb_arena *arena = draft->arena;
    draft->items = grow(arena, draft->items, count, room, sizeof *draft->items);
    draft->labels = grow(arena, draft->labels, count, room, sizeof *draft->labels);
    draft->parts = grow(arena, draft->parts, count, room, sizeof *draft->parts);
    draft->groups = grow(arena, draft->groups, count, room, sizeof *draft->groups);
    if (draft->value_count) {
        draft->values = grow(arena, draft->values, count, room, draft->value_count * sizeof *draft->values);
    }
    draft->room = (uint32_t)room;
    return draft->items && draft->labels && draft->parts && draft->groups && (!draft->value_count || draft->values);
}

bool cb__draft_add(struct cb__draft *draft, uint32_t item, const char *label, const float *values, const char *group,
                   enum cb_part part)
{
    if (!make_room(draft)) {
        return false;
    }
    uint32_t i = draft->count++;
    draft->items[i] = item;
    draft->labels[i] = label;
    draft->groups[i] = group;
    draft->parts[i] = (uint8_t)part;
    if (draft->value_count) {
        memcpy(draft->values + (size_t)i * draft->value_count, values, draft->value_count * sizeof *values);
    }
    return true;
}

bool cb__draft_number_classes(struct cb__draft *draft, uint32_t count)
{
    draft->is_numbered = true;
    draft->class_count = count;
    draft->classes = CB_NEW_ARRAY(draft->arena, const char *, count);
    for (uint32_t i = 0; draft->classes && i < count; i++) {
        draft->classes[i] = cb_arena_printf(draft->arena, "%u", i);
        if (!draft->classes[i]) {
            return false;
        }
    }
    return draft->classes != NULL;
}

static int compare(const void *a, const void *b)
{
    return cb_natural_compare(*(const char *const *)a, *(const char *const *)b);
}

bool cb__index_texts(struct cb_arena *arena, const char *const *texts, uint32_t count, int32_t *out_index,
                     const char ***out_distinct, uint32_t *out_distinct_count)
{
    const char **sorted = CB_NEW_ARRAY(arena, const char *, (size_t)count + 1);
    if (!sorted) {
        return false;
    }
    uint32_t some = 0, distinct = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (texts[i]) {
            sorted[some++] = texts[i];
        }
    }
    qsort(sorted, some, sizeof *sorted, compare);
    for (uint32_t i = 0; i < some; i++) {
        if (distinct == 0 || strcmp(sorted[i], sorted[distinct - 1]) != 0) {
            sorted[distinct++] = sorted[i];
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        const char **found = texts[i] ? bsearch(&texts[i], sorted, distinct, sizeof *sorted, compare) : NULL;
        out_index[i] = found ? (int32_t)(found - sorted) : -1;
    }
    *out_distinct = sorted;
    *out_distinct_count = distinct;
    return true;
}
