/* hub_name.c: `hf:OWNER/NAME[@REVISION]` as the name of a backbone: where in the user's cache it lies. See model.h. */
#include <string.h>

#include "base/file.h"
#include "train/model.h"

/* Letters, digits and - _ . as the hub has them; never something that leaves its folder. */
static bool is_hub_word(const char *word)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    const size_t length = strlen(word);
    return length > 0 && length <= 96 && word[0] != '.' && strspn(word, letters) == length && strstr(word, "..") == NULL;
}

enum cb_status cb_hub_name_read(struct cb_arena *arena, const char *what, const struct cb_place *at,
                                struct cb_hub_name *out, struct cb_diag *diag)
{
    char *owner = cb_arena_strdup(arena, what + (cb_starts_with(what, "hf:") ? 3 : 0));
    char *name = owner != NULL ? strchr(owner, '/') : NULL, *revision = NULL;
    if (name != NULL) {
        *name++ = '\0';
        revision = strchr(name, '@');
    }
    if (revision != NULL) {
        *revision++ = '\0';
    }
    if (name == NULL || !is_hub_word(owner) || !is_hub_word(name) || (revision != NULL && !is_hub_word(revision))) {
        return cb_fail(diag, CB_INVALID, at, "`%s` must be hf:OWNER/NAME or hf:OWNER/NAME@REVISION, such as "
                       "hf:facebook/dinov2-small", what);
    }
    const char *cache = cb_user_cache_folder(arena);
    if (cache == NULL) {
        return cb_fail(diag, CB_IO, at, "there is no folder to keep weights in; set CAMBIUM_CACHE to one");
    }
    *out = (struct cb_hub_name){owner, name, revision != NULL ? revision : "main", NULL};
    out->folder = cb_arena_printf(arena, "%s/weights/hf--%s--%s@%s", cache, owner, name, out->revision);
    return out->folder != NULL ? CB_OK : cb_fail(diag, CB_MEMORY, at, "out of memory");
}

enum cb_status cb_hub_network(struct cb_arena *arena, const char *what, const struct cb_place *at, char **out_folder,
                              struct cb_diag *diag)
{
    struct cb_hub_name name;
    CB_TRY(cb_hub_name_read(arena, what, at, &name, diag));
    *out_folder = cb_path_join(arena, name.folder, "network");
    if (*out_folder == NULL || !cb_path_is_folder(*out_folder)) {
        return cb_fail(diag, CB_NOT_FOUND, at, "`%s` is not in the cache; `cambium fetch %s` gets it", what, what);
    }
    return CB_OK;
}
