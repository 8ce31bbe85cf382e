/* fetch.c: from a backbone's list of sources to a file in the cache: what is there already, what its hash must be,
 * which source is asked next, and what is said when none can give it. */
#include "weights/fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "weights/fetch_internal.h"
#include "weights/tensors.h"

struct fetching {
    const struct cb_fetch_request *request;
    struct cb_arena *arena;
    const char *folder; /* of this backbone in the cache */
    const char *trust;  /* trust.json */
    bool is_offline;
    struct cb_text causes; /* what each source answered, for the last message */
    bool had_other_hash;
    struct cb_diag *diag;
};

static enum cb_status no_memory(const struct fetching *f)
{
    return cb_fail(f->diag, CB_MEMORY, NULL, "no memory to fetch the weights of `%s`", f->request->name);
}

/* ---- places in the cache ---------------------------------------------------------------------------------------- */

/* The folder of a backbone; NULL when memory is exhausted. */
static char *folder_of(struct cb_arena *arena, const char *cache, const char *backbone)
{
    char *name = cb_arena_strdup(arena, backbone);
    for (char *c = name; c && *c; c++) {
        if (*c == '/' || (c == name && *c == '.')) {
            *c = '_';
        }
    }
    return name ? cb_arena_printf(arena, "%s/weights/%s", cache, name) : NULL;
}

static enum cb_status open_cache(struct fetching *f)
{
    const char *cache = cb_user_cache_folder(f->arena);
    if (!cache) {
        return cb_fail(f->diag, CB_IO, NULL, "there is no folder to keep weights in; set CAMBIUM_CACHE to one");
    }
    f->folder = folder_of(f->arena, cache, f->request->name);
    f->trust = cb_arena_printf(f->arena, "%s/weights/trust.json", cache);
    if (!f->folder || !f->trust) {
        return no_memory(f);
    }
    return cb_make_folders(f->folder, f->diag);
}

/* What the file is called: where it is kept, and where a person puts it by hand. */
static char *kept_path(const struct fetching *f, const struct cb_weight_source *source)
{
    const char *name = cb_path_base(source->member ? source->member : source->where);
    size_t length = source->kind == CB_SOURCE_URL ? strcspn(name, "?#") : strlen(name);
    return cb_arena_printf(f->arena, "%s/%.*s", f->folder, length ? (int)length : 7, length ? name : "weights");
}

static char *converted_path(const struct fetching *f, const char *sha256)
{
    const char *key = f->request->conversion_key ? f->request->conversion_key : "";
    return cb_arena_printf(f->arena, "%s/%.16s-%016llx.safetensors", f->folder, sha256,
                           (unsigned long long)cb_hash64(key, strlen(key)));
}

/* ---- hashes ----------------------------------------------------------------------------------------------------- */

/* What the source's file must hash to, or NULL: anything. */
static enum cb_status known_hash(struct fetching *f, const struct cb_weight_source *source, const char **out)
{
    *out = source->sha256;
    if (source->sha256 || source->kind == CB_SOURCE_FILE) {
        return CB_OK;
    }
    return cb__trust_read(f->arena, f->trust, source, out, f->diag);
}

static void add_cause(struct fetching *f, const struct cb_weight_source *source, const char *cause)
{
    const char *what = cb_weight_source_text(f->arena, source);
    cb_text_addf(&f->causes, "%s%s: %s", f->causes.length ? "; " : "", what ? what : "?", cause);
}

static void refuse_hash(struct fetching *f, const struct cb_weight_source *source, const char *path, const char *got,
                        const char *wanted)
{
    char *cause = cb_arena_printf(f->arena, "`%s` has the SHA-256 %s, not %s%s: refused", path, got, wanted,
                                  source->sha256 ? "" : " as when it was first trusted");
    f->had_other_hash = true;
    add_cause(f, source, cause ? cause : "another SHA-256");
}

/* A source without a hash: what came first is trusted, aloud. */
static enum cb_status trust(struct fetching *f, const struct cb_weight_source *source, const char *sha256)
{
    const char *what = cb_weight_source_text(f->arena, source);
    cb_warn(f->diag, &source->at,
            "no SHA-256 is known for %s; the copy that came now (%s) is trusted, and from now on no other",
            what ? what : "", sha256);
    return cb__trust_add(f->arena, f->trust, source, sha256, f->diag);
}

/* ---- getting a file --------------------------------------------------------------------------------------------- */

/* One source's file: where it lies and its hash. An empty path: this source has none, and why is in the causes. */
struct original {
    const char *path;
    char sha256[65];
    bool was_fetched;
};

/* A file that lies somewhere: taken when its hash is right. */
static enum cb_status take_local(struct fetching *f, const struct cb_weight_source *source, const char *path,
                                 struct original *out)
{
    const char *wanted;
    char sha256[65];
    CB_TRY(known_hash(f, source, &wanted));
    CB_TRY(cb_sha256_of_file(path, sha256, f->diag));
    if (wanted && strcmp(wanted, sha256) != 0) {
        refuse_hash(f, source, path, sha256, wanted);
        return CB_OK;
    }
    if (!wanted && source->kind != CB_SOURCE_FILE) {
        CB_TRY(trust(f, source, sha256));
    }
    out->path = path;
    memcpy(out->sha256, sha256, sizeof(sha256));
    return CB_OK;
}

/* Beside the backbone file, or in the cache. */
static enum cb_status find_local(struct fetching *f, const struct cb_weight_source *source, struct original *out)
{
    const char *places[2] = {NULL, kept_path(f, source)};
    if (source->kind == CB_SOURCE_FILE) {
        places[0] = cb_path_join(f->arena, f->request->folder ? f->request->folder : ".", source->where);
    }
    for (size_t i = 0; i < 2 && !out->path; i++) {
        if (places[i] && cb_file_bytes(places[i]) >= 0) {
            CB_TRY(take_local(f, source, places[i], out));
        }
    }
    return CB_OK;
}

static enum cb_status download(struct fetching *f, const struct cb_weight_source *source, const char *part,
                               bool has_hash, struct cb_text *why)
{
    struct cb__watcher watcher = {f->request->progress, f->request->context, source->where};
    return source->kind == CB_SOURCE_URL ? cb__fetch_url(source->where, part, has_hash, &watcher, why)
                                         : cb__fetch_package(source, f->folder, part, &watcher, why);
}

static void remove_part(const char *part)
{
    unlink(part);
    cb__fetch_forget(part);
}

/* The part becomes the file when its hash is right: the one that is known, else the one that the server announced.
 * `*out_is_right` false: it was removed. */
static enum cb_status accept_part(struct fetching *f, const struct cb_weight_source *source, const char *part,
                                  const char *wanted, struct original *out, bool *out_is_right, bool is_last)
{
    char sha256[65], announced[65];
    CB_TRY(cb_sha256_of_file(part, sha256, f->diag));
    const bool has_other = !wanted && cb__fetch_announced(part, announced) && strcmp(announced, sha256) != 0;
    *out_is_right = !has_other && (!wanted || strcmp(wanted, sha256) == 0);
    if (!*out_is_right) {
        if (is_last && has_other) {
            char *cause = cb_arena_printf(f->arena, "the server announced the SHA-256 %s, what came has %s", announced, sha256);
            add_cause(f, source, cause ? cause : "another SHA-256 than announced");
        } else if (is_last) {
            refuse_hash(f, source, cb_path_base(kept_path(f, source)), sha256, wanted);
        }
        remove_part(part);
        return CB_OK;
    }
    const char *path = kept_path(f, source);
    if (!path) {
        return no_memory(f);
    }
    if (rename(part, path) != 0) {
        return cb_fail(f->diag, CB_IO, NULL, "cannot rename `%s` to `%s`: %s", part, path, strerror(errno));
    }
    cb__fetch_forget(part);
    if (!wanted) {
        CB_TRY(trust(f, source, sha256));
    }
    *out = (struct original){.path = path, .was_fetched = true};
    memcpy(out->sha256, sha256, sizeof(sha256));
    return CB_OK;
}

static enum cb_status fetch_remote(struct fetching *f, const struct cb_weight_source *source, struct original *out)
{
    const char *wanted;
    CB_TRY(known_hash(f, source, &wanted));
    char *part = cb_arena_printf(f->arena, "%s.part", kept_path(f, source));
    if (!part) {
        return no_memory(f);
    }
    bool goes_on = cb_file_bytes(part) > 0, is_right = false;
    if (wanted && goes_on) { /* whole already, and stopped before it got its name */
        char sha256[65];
        if (cb_sha256_of_file(part, sha256, NULL) == CB_OK && strcmp(sha256, wanted) == 0) {
            return accept_part(f, source, part, wanted, out, &is_right, false);
        }
    }
    for (;;) {
        struct cb_text why = {0};
        enum cb_status status = download(f, source, part, wanted != NULL, &why);
        if (status != CB_OK && status != CB_INTERRUPTED) {
            add_cause(f, source, why.data ? why.data : "it failed");
        }
        cb_text_free(&why);
        if (status == CB_INTERRUPTED) {
            return cb_fail(f->diag, status, NULL, "fetching the weights of `%s` was stopped%s", f->request->name,
                           source->kind == CB_SOURCE_URL ? "; the next time it goes on from there" : "");
        }
        if (status != CB_OK) {
            return status == CB_MEMORY ? no_memory(f) : CB_OK;
        }
        CB_TRY(accept_part(f, source, part, wanted, out, &is_right, !goes_on));
        if (is_right || !goes_on) {
            return CB_OK;
        }
        goes_on = false; /* the beginning was of another file, which is removed: once more, from the start */
    }
}

static enum cb_status obtain(struct fetching *f, const struct cb_weight_source *source, struct original *out)
{
    size_t causes = f->causes.length;
    CB_TRY(find_local(f, source, out));
    if (out->path) {
        return CB_OK;
    }
    if (source->kind == CB_SOURCE_FILE) {
        if (f->causes.length == causes) {
            add_cause(f, source, "not there");
        }
        return CB_OK;
    }
    if (f->is_offline && !(source->kind == CB_SOURCE_URL && cb_starts_with(source->where, "file://"))) {
        add_cause(f, source, "not asked, because the network is off");
        return CB_OK;
    }
    return fetch_remote(f, source, out);
}

/* ---- conversion ------------------------------------------------------------------------------------------------- */

static bool is_ours(const char *path)
{
    struct cb_tensor_file *file;
    if (cb_tensors_open(path, &file, NULL, NULL) != CB_OK) {
        return false;
    }
    const char *format = cb_tensors_metadata(file, "format");
    bool result = format && strcmp(format, "cambium") == 0;
    cb_tensors_close(file);
    return result;
}

static enum cb_status finish(struct fetching *f, const struct cb_weight_source *source, const struct original *original,
                             struct cb_fetch_result *out)
{
    const char *path = original->path;
    if (f->request->convert && !is_ours(path)) {
        path = converted_path(f, original->sha256);
        if (!path) {
            return no_memory(f);
        }
        if (cb_file_bytes(path) < 0) {
            CB_TRY(f->request->convert(f->request->context, source, original->path, original->sha256, path, f->diag));
        }
    }
    *out = (struct cb_fetch_result){.path = path, .source = source, .was_fetched = original->was_fetched};
    memcpy(out->sha256, original->sha256, sizeof(out->sha256));
    return CB_OK;
}

/* The first source, in order, whose converted file is in the cache. Nothing is read but trust.json. */
static enum cb_status find_converted(struct fetching *f, struct cb_fetch_result *out, bool *out_found)
{
    *out_found = false;
    for (uint32_t i = 0; i < f->request->source_count && f->request->convert; i++) {
        const struct cb_weight_source *source = &f->request->sources[i];
        const char *sha256;
        struct original local = {0};
        CB_TRY(known_hash(f, source, &sha256));
        if (source->kind == CB_SOURCE_FILE) { /* a file of the user's goes before what stands below it in the list */
            CB_TRY(find_local(f, source, &local));
            if (local.path && is_ours(local.path)) {
                *out_found = true;
                return finish(f, source, &local, out);
            }
            sha256 = local.path ? local.sha256 : NULL;
        }
        const char *path = sha256 ? converted_path(f, sha256) : NULL;
        if (path && cb_file_bytes(path) >= 0) {
            *out = (struct cb_fetch_result){.path = path, .source = source};
            memcpy(out->sha256, sha256, 64);
            *out_found = true;
            return CB_OK;
        }
        if (local.path) {
            return CB_OK;
        }
    }
    return CB_OK;
}

/* ---- the whole -------------------------------------------------------------------------------------------------- */

/* Of the files that would do: one with a known hash, else one of which is known where it is. */
static const struct cb_weight_source *easiest_by_hand(const struct cb_fetch_request *r)
{
    const struct cb_weight_source *best = &r->sources[0];
    for (uint32_t i = 1; i < r->source_count; i++) {
        const struct cb_weight_source *s = &r->sources[i];
        if (!best->sha256 && (s->sha256 || (best->kind == CB_SOURCE_FILE && s->kind != CB_SOURCE_FILE))) {
            best = s;
        }
    }
    return best;
}

static enum cb_status fail_all(struct fetching *f)
{
    const struct cb_fetch_request *r = f->request;
    if (r->source_count == 0) {
        return cb_fail(f->diag, CB_NOT_FOUND, NULL, "the backbone `%s` names no `weights` to load", r->name);
    }
    const struct cb_weight_source *best = easiest_by_hand(r);
    const char *what = cb_weight_source_text(f->arena, best);
    const char *path = kept_path(f, best);
    return cb_fail(f->diag, f->had_other_hash ? CB_MISMATCH : CB_NOT_FOUND, &r->sources[0].at,
                   "the weights of `%s` are not there and could not be had: %s. By hand: put `%s` (%s%s%s) into `%s`",
                   r->name, f->causes.data ? f->causes.data : "", path ? cb_path_base(path) : "the file",
                   what ? what : "?", best->sha256 ? ", SHA-256 " : "", best->sha256 ? best->sha256 : "", f->folder);
}

static enum cb_status fetch_locked(struct fetching *f, struct cb_fetch_result *out)
{
    bool found;
    CB_TRY(find_converted(f, out, &found)); /* another process may just have made it */
    for (uint32_t i = 0; i < f->request->source_count && !found; i++) {
        struct original original = {0};
        CB_TRY(obtain(f, &f->request->sources[i], &original));
        if (original.path) {
            return finish(f, &f->request->sources[i], &original, out);
        }
    }
    return found ? CB_OK : fail_all(f);
}

static enum cb_status fetch(struct fetching *f, struct cb_fetch_result *out)
{
    CB_TRY(open_cache(f));
    bool found;
    CB_TRY(find_converted(f, out, &found));
    if (found) {
        return CB_OK;
    }
    cb_text_free(&f->causes);
    f->had_other_hash = false;
    struct cb_lock lock;
    char *lock_path = cb_arena_printf(f->arena, "%s/lock", f->folder);
    if (!lock_path) {
        return no_memory(f);
    }
    CB_TRY(cb_lock_take(&lock, lock_path, f->diag));
    enum cb_status status = fetch_locked(f, out);
    cb_lock_release(&lock);
    return status;
}

enum cb_status cb_fetch(const struct cb_fetch_request *request, struct cb_arena *arena, struct cb_fetch_result *out,
                        struct cb_diag *diag)
{
    const char *offline = getenv("CAMBIUM_OFFLINE");
    struct fetching f = {.request = request, .arena = arena, .diag = diag,
                         .is_offline = request->offline || (offline && *offline && strcmp(offline, "0") != 0)};
    struct cb_fetch_result result = {0};
    enum cb_status status = fetch(&f, &result);
    if (status == CB_OK) {
        *out = result;
        if (f.had_other_hash) {
            cb_warn(diag, NULL, "weights of `%s`: %s", request->name, f.causes.data ? f.causes.data : "");
        }
    }
    cb_text_free(&f.causes);
    return status;
}

bool cb_fetch_is_kept(struct cb_arena *arena, const char *name, const struct cb_weight_source *sources, uint32_t count,
                      const char *folder)
{
    const char *cache = cb_user_cache_folder(arena);
    struct fetching f = {.arena = arena, .folder = cache ? folder_of(arena, cache, name) : NULL};
    for (uint32_t i = 0; f.folder && i < count; i++) {
        const char *places[2] = {kept_path(&f, &sources[i]), NULL};
        if (sources[i].kind == CB_SOURCE_FILE) {
            places[1] = cb_path_join(arena, folder ? folder : ".", sources[i].where);
        }
        if ((places[0] && cb_file_bytes(places[0]) >= 0) || (places[1] && cb_file_bytes(places[1]) >= 0)) {
            return true;
        }
    }
    return false;
}
