/* unused.c: see unused.h. */
#include "exchange/unused.h"

#include <string.h>

#define SHOWN 6

static size_t module_length(const char *name)
{
    return strcspn(name, ".");
}

static bool is_same_module(const char *a, const char *b)
{
    const size_t length = module_length(a);
    return length == module_length(b) && strncmp(a, b, length) == 0;
}

/* Whether any tensor of the module that `name` begins with was taken. */
static bool has_taken(const struct cb_imported *imported, const char *name)
{
    for (uint32_t i = 0; i < imported->pair_count; i++) {
        if (imported->pairs[i].theirs != NULL && is_same_module(imported->pairs[i].theirs, name)) {
            return true;
        }
    }
    return false;
}

bool cb__note_unused_modules(struct cb_imported *imported)
{
    const struct cb_name_list *unused = &imported->unused;
    struct cb_text text = {0};
    uint32_t modules = 0, tensors = 0;
    for (uint32_t i = 0, next; i < unused->count; i = next) {
        const char *name = unused->names[i];
        for (next = i + 1; next < unused->count && is_same_module(name, unused->names[next]);) {
            next++;
        }
        if (next - i < 2 || has_taken(imported, name)) { /* a single tensor speaks for itself in the list */
            continue;
        }
        if (modules++ < SHOWN) {
            cb_text_addf(&text, "%s`%.*s`", modules > 1 ? ", " : "", (int)module_length(name), name);
        }
        tensors += next - i;
    }
    bool ok = !text.failed;
    if (ok && modules > 0) {
        ok = cb_imported_note(imported, "of %s%s nothing was taken (%u tensors): the network here has no such part, as "
                              "heads that only serve training, or another model in the same file", text.data,
                              modules > SHOWN ? " and others" : "", tensors);
    }
    cb_text_free(&text);
    return ok;
}

/* The name with each run of digits that is a part of its own as `*`; the same name where there is none. */
static char *pattern_of(struct cb_arena *arena, const char *name)
{
    char *out = cb_arena_strdup(arena, name), *to = out;
    for (const char *c = name; to != NULL && *c != '\0';) {
        const bool begins = c == name || c[-1] == '.';
        const size_t digits = strspn(c, "0123456789");
        if (begins && digits > 0 && (c[digits] == '.' || c[digits] == '\0')) {
            *to++ = '*';
            c += digits;
        } else {
            *to++ = *c++;
        }
    }
    if (to != NULL) {
        *to = '\0';
    }
    return out;
}

/* What is computed again from the sizes, and counters: no params. */
static bool is_derived(const char *name)
{
    static const char *const ends[] = {"relative_position_index", "relative_coords_table", "attn_mask",
                                       "num_batches_tracked", "position_ids"};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (cb_ends_with(name, ends[i])) {
            return true;
        }
    }
    return false;
}

const char *cb__unused_in_blocks(const struct cb_imported *imported)
{
    const struct cb_name_list *unused = &imported->unused;
    const char *before = NULL; /* names come in order: those of one pattern may be apart, two of the first are enough */
    for (uint32_t i = 0; i < unused->count; i++) {
        const char *name = unused->names[i];
        if (is_derived(name) || !has_taken(imported, name)) {
            continue;
        }
        const char *pattern = pattern_of(imported->arena, name);
        if (pattern == NULL || strchr(pattern, '*') == NULL) {
            continue;
        }
        if (before != NULL && strcmp(before, pattern) == 0) {
            return before;
        }
        before = before == NULL ? pattern : before;
    }
    return NULL;
}
