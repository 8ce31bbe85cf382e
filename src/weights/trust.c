/* trust.c: trust.json, the SHA-256 that was taken for a source whose backbone file gives none. */
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "weights/fetch_internal.h"

enum { MAX_BYTES = 1 << 20 };

/* The key of a source: its kind and everything that says what is fetched. */
static char *key_of(struct cb_arena *arena, const struct cb_weight_source *s)
{
    return s->kind == CB_SOURCE_URL ? cb_arena_strdup(arena, s->where) : cb_weight_source_text(arena, s);
}

static enum cb_status read_map(struct cb_arena *arena, const char *path, struct cb_value **out, struct cb_diag *diag)
{
    if (!cb_path_exists(path)) {
        *out = cb_value_map(arena, NULL);
        return *out ? CB_OK : cb_fail(diag, CB_MEMORY, NULL, "no memory to read `%s`", path);
    }
    if (cb_file_bytes(path) > MAX_BYTES) {
        return cb_fail(diag, CB_FORMAT, NULL, "`%s` is too large; delete it to trust sources anew", path);
    }
    CB_TRY(cb_json_read_file(arena, path, out, diag));
    if ((*out)->kind != CB_KIND_MAP) {
        return cb_fail(diag, CB_FORMAT, NULL, "`%s` is damaged; delete it to trust sources anew", path);
    }
    return CB_OK;
}

enum cb_status cb__trust_read(struct cb_arena *arena, const char *path, const struct cb_weight_source *source,
                              const char **out_sha256, struct cb_diag *diag)
{
    struct cb_value *map;
    CB_TRY(read_map(arena, path, &map, diag));
    char *key = key_of(arena, source);
    const struct cb_value *entry = key ? cb_map_get(map, key) : NULL;
    const struct cb_value *hash = entry ? cb_map_get(entry, "sha256") : NULL;
    if (entry && (!hash || !hash->text || strlen(hash->text) != 64)) {
        return cb_fail(diag, CB_FORMAT, NULL, "`%s` is damaged under `%s`; delete it to trust sources anew", path, key);
    }
    *out_sha256 = hash ? hash->text : NULL;
    return CB_OK;
}

enum cb_status cb__trust_add(struct cb_arena *arena, const char *path, const struct cb_weight_source *source,
                             const char *sha256, struct cb_diag *diag)
{
    struct cb_value *map;
    struct cb_lock lock;
    char *lock_path = cb_arena_printf(arena, "%s.lock", path);
    if (!lock_path) {
        return cb_fail(diag, CB_MEMORY, NULL, "no memory to write `%s`", path);
    }
    CB_TRY(cb_lock_take(&lock, lock_path, diag));
    enum cb_status status = read_map(arena, path, &map, diag);
    if (status == CB_OK) {
        char since[32] = "";
        time_t now = time(NULL);
        struct tm utc;
        if (gmtime_r(&now, &utc)) {
            strftime(since, sizeof(since), "%Y-%m-%d", &utc);
        }
        struct cb_text text = {0};
        char *key = key_of(arena, source);
        struct cb_value *entry = cb_value_map(arena, NULL);
        bool is_there = key && entry && cb_map_set(arena, entry, "sha256", cb_value_text(arena, sha256, NULL)) &&
                        cb_map_set(arena, entry, "since", cb_value_text(arena, since, NULL)) &&
                        cb_map_set(arena, map, key, entry);
        cb_value_to_json(map, &text);
        status = is_there && !text.failed ? cb_file_write_atomic(path, text.data, text.length, diag)
                                          : cb_fail(diag, CB_MEMORY, NULL, "no memory to write `%s`", path);
        cb_text_free(&text);
    }
    cb_lock_release(&lock);
    return status;
}
