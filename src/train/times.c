/* times.c: see times.h. */
#include "train/times.h"

#include <string.h>
#include <time.h>

#include "base/file.h"
#include "graph/tuning.h"
#include "train/timing.h"

#define FORMAT "cambium times"
#define MAX_BYTES (4 << 20)
#define SECONDS 0.3 /* of repetitions */

struct cb_times {
    struct cb_arena *arena;
    const char *path, *device;
    struct cb_value *all; /* by name */
};

static char *times_folder(struct cb_arena *arena)
{
    char *cache = cb_user_cache_folder(arena);
    return cache != NULL ? cb_path_join(arena, cache, "times") : NULL;
}

bool cb_times_exist(struct cb_arena *arena)
{
    char *folder = times_folder(arena);
    return folder != NULL && cb_path_is_folder(folder);
}

static bool says(const struct cb_value *root, const char *key, const char *wanted)
{
    const struct cb_value *value = cb_map_get(root, key);
    return value != NULL && value->kind == CB_KIND_TEXT && strcmp(value->text, wanted) == 0;
}

/* What the file holds now; an empty map where it is none of this device's. NULL when memory is exhausted. */
static struct cb_value *read_times(const struct cb_times *t)
{
    struct cb_value *root = NULL;
    if (cb_path_exists(t->path) && cb_file_bytes(t->path) <= MAX_BYTES &&
        cb_json_read_file(t->arena, t->path, &root, NULL) == CB_OK && says(root, "format", FORMAT) &&
        says(root, "device", t->device)) {
        struct cb_value *all = cb_map_get(root, "times");
        if (all != NULL && all->kind == CB_KIND_MAP) {
            return all;
        }
    }
    return cb_value_map(t->arena, NULL);
}

struct cb_times *cb_times_open(struct cb_arena *arena, const struct cb_device *device)
{
    struct cb_times *t = CB_NEW(arena, struct cb_times);
    char *folder = times_folder(arena);
    char hex[65];
    if (t == NULL || folder == NULL) {
        return NULL;
    }
    t->arena = arena;
    t->device = cb_arena_strdup(arena, cb_device_key(device));
    if (t->device == NULL) {
        return NULL;
    }
    cb_sha256_of(t->device, strlen(t->device), hex);
    t->path = cb_arena_printf(arena, "%s/%.16s.json", folder, hex);
    t->all = t->path != NULL ? read_times(t) : NULL;
    return t->all != NULL ? t : NULL;
}

/* A hash of the description: another network under the same name has another. */
static void hash_of(const struct cb_backbone *backbone, char out[17])
{
    struct cb_text json = {0};
    cb_value_to_json(backbone->file, &json);
    snprintf(out, 17, "%016llx", (unsigned long long)cb_hash64(json.data != NULL ? json.data : "", json.length));
    cb_text_free(&json);
}

double cb_times_find(const struct cb_times *times, const struct cb_backbone *backbone)
{
    const struct cb_value *entry = times != NULL ? cb_map_get(times->all, backbone->name) : NULL;
    char hash[17];
    double seconds;
    if (entry == NULL) {
        return -1.0;
    }
    hash_of(backbone, hash);
    return says(entry, "network", hash) && cb_value_number(cb_map_get(entry, "seconds"), &seconds) && seconds > 0 ? seconds
                                                                                                                 : -1.0;
}

static enum cb_status no_memory(struct cb_diag *diag)
{
    return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
}

static enum cb_status write_times(struct cb_times *t, struct cb_diag *diag)
{
    struct cb_value *root = cb_value_map(t->arena, NULL);
    struct cb_text text = {0};
    if (root == NULL || !cb_map_set(t->arena, root, "format", cb_value_text(t->arena, FORMAT, NULL)) ||
        !cb_map_set(t->arena, root, "device", cb_value_text(t->arena, t->device, NULL)) ||
        !cb_map_set(t->arena, root, "times", t->all)) {
        return no_memory(diag);
    }
    cb_value_to_json_lines(root, &text);
    const enum cb_status status =
        text.failed ? no_memory(diag) : cb_file_write_atomic(t->path, text.data, text.length, diag);
    cb_text_free(&text);
    return status;
}

static enum cb_status keep(struct cb_times *t, const struct cb_backbone *backbone, double seconds, struct cb_diag *diag)
{
    struct cb_lock lock;
    char hash[17], date[32] = "";
    const time_t now = time(NULL);
    struct tm utc;
    char *lock_path = cb_arena_printf(t->arena, "%s.lock", t->path), *folder = times_folder(t->arena);
    char *name = cb_arena_strdup(t->arena, backbone->name);
    struct cb_value *entry = cb_value_map(t->arena, NULL);
    hash_of(backbone, hash);
    if (gmtime_r(&now, &utc) != NULL) {
        strftime(date, sizeof(date), "%Y-%m-%d", &utc);
    }
    if (lock_path == NULL || folder == NULL || name == NULL || entry == NULL ||
        !cb_map_set(t->arena, entry, "network", cb_value_text(t->arena, hash, NULL)) ||
        !cb_map_set(t->arena, entry, "seconds", cb_value_real(t->arena, seconds, NULL)) ||
        !cb_map_set(t->arena, entry, "date", cb_value_text(t->arena, date, NULL))) {
        return no_memory(diag);
    }
    CB_TRY(cb_make_folders(folder, diag));
    CB_TRY(cb_lock_take(&lock, lock_path, diag));
    t->all = read_times(t); /* with what others measured meanwhile */
    enum cb_status status = t->all != NULL && cb_map_set(t->arena, t->all, name, entry) ? CB_OK : no_memory(diag);
    if (status == CB_OK) {
        status = write_times(t, diag);
    }
    cb_lock_release(&lock);
    return status;
}

enum cb_status cb_times_measure(struct cb_times *times, const struct cb_backbone *backbone, struct cb_registry *registry,
                                struct cb_device *device, double *out_seconds, struct cb_diag *diag)
{
    struct cb_model *model = NULL;
    struct cb_timing timing = {0};
    struct cb_tuning *tuning = cb_tuning_open(device, NULL, NULL);
    enum cb_status status = cb_model_from_backbone(backbone, registry, NULL, true, &model, diag);
    if (status == CB_OK) {
        status = cb_network_time(model->net, device, model->scores, CB_TIMING_INFERENCE, 1, tuning, SECONDS, &timing, diag);
    }
    cb_model_destroy(model);
    cb_tuning_close(tuning);
    CB_TRY(status);
    *out_seconds = timing.median;
    return times != NULL ? keep(times, backbone, timing.median, diag) : CB_OK;
}
