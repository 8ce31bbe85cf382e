/* tuning.c: the table of measured variants and its file. See tuning.h. */
#include "graph/tuning.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define FORMAT "cambium tuning"
#define MAX_BYTES (16u << 20)

struct cb_tuning {
    struct cb_arena *arena;
    struct cb_device *device;
    const char *path;          /* NULL: no file */
    struct cb_value *measured; /* map: class to entry */
    struct cb_value *added;    /* the same, of what the file lacks yet */
    struct cb_value *seen;     /* list of {class, ...} */
    double seconds, deadline;
    void (*say)(void *context, const char *sentence);
    void *context;
};

static void say(const struct cb_tuning *t, const char *fmt, ...) CB_PRINTF(2, 3);

static void say(const struct cb_tuning *t, const char *fmt, ...)
{
    char text[512];
    va_list args;
    if (t->say == NULL) {
        return;
    }
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    t->say(t->context, text);
}

/* ---- the file ---- */

/* "pthread-skylake-avx512-AMD EPYC" and its key: "pthread-skylake-avx512-amd-epyc-1f2e3d4c.json" */
static char *own_path(struct cb_arena *arena, const struct cb_device *device)
{
    const struct cb_device_info *info = cb_device_get_info(device);
    char name[64] = "", hex[65];
    size_t used = 0;
    char *cache = cb_user_cache_folder(arena), *folder = cache != NULL ? cb_path_join(arena, cache, "tuning") : NULL;
    char *identity = cb_arena_printf(arena, "%s|%s|%s", info->platform, info->name, info->driver);
    for (const char *c = info->name; *c != '\0' && used + 1 < sizeof(name); c++) {
        if (isalnum((unsigned char)*c)) {
            name[used++] = (char)tolower((unsigned char)*c);
        } else if (used > 0 && name[used - 1] != '-') {
            name[used++] = '-';
        }
    }
    if (folder == NULL || identity == NULL || cb_make_folders(folder, NULL) != CB_OK) {
        return NULL;
    }
    cb_sha256_of(identity, strlen(identity), hex);
    return cb_arena_printf(arena, "%s/%s-%.8s.json", folder, name, hex);
}

/* The part of the device's key that changes with the kernels. */
static const char *kernels_of(const struct cb_device *device)
{
    const char *key = cb_device_key(device), *at = strstr(key, "|kernels ");
    return at != NULL ? at + strlen("|kernels ") : key;
}

static bool says(const struct cb_value *root, const char *key, const char *wanted)
{
    const struct cb_value *value = cb_map_get(root, key);
    return value != NULL && value->kind == CB_KIND_TEXT && strcmp(value->text, wanted) == 0;
}

/* Why the table of a file is not for this device; NULL: it is. */
static const char *why_foreign(const struct cb_tuning *t, const struct cb_value *root)
{
    const struct cb_device_info *info = cb_device_get_info(t->device);
    const struct cb_value *version = cb_map_get(root, "version");
    if (!says(root, "format", FORMAT) || version == NULL || version->kind != CB_KIND_INT ||
        cb_map_get(root, "measured") == NULL || cb_map_get(root, "measured")->kind != CB_KIND_MAP) {
        return "is no table of measured variants";
    }
    if (version->as.integer != 1) {
        return "is of another version of the format";
    }
    if (!says(root, "device", info->name) || !says(root, "platform", info->platform) || !says(root, "driver", info->driver)) {
        return "was measured on another device or driver";
    }
    return says(root, "kernels", kernels_of(t->device)) ? NULL : "was measured with other kernels";
}

static bool is_entry(const struct cb_value *entry)
{
    const struct cb_value *times = cb_map_get(entry, "microseconds"), *wrong = cb_map_get(entry, "wrong");
    const struct cb_value *source = cb_map_get(entry, "source");
    double number;
    if (times == NULL || times->kind != CB_KIND_MAP || (wrong != NULL && wrong->kind != CB_KIND_MAP) || source == NULL ||
        source->kind != CB_KIND_TEXT) {
        return false;
    }
    for (size_t i = 0; i < times->as.map.count; i++) {
        if (!cb_value_number(times->as.map.entries[i].value, &number) || !(number > 0)) {
            return false;
        }
    }
    return true;
}

/* Copies the well-formed entries of `from` into the table `to`; those that are there already stay. */
static bool take_entries(struct cb_arena *arena, struct cb_value *to, const struct cb_value *from, size_t *out_bad)
{
    for (size_t i = 0; i < from->as.map.count; i++) {
        const struct cb_entry *e = &from->as.map.entries[i];
        if (!is_entry(e->value)) {
            (*out_bad)++;
        } else if (cb_map_get(to, e->key) == NULL &&
                   !cb_map_set(arena, to, cb_arena_strdup(arena, e->key), cb_value_clone(arena, e->value))) {
            return false;
        }
    }
    return true;
}

/* What the file holds for this device, into `to`. */
static void read_file(const struct cb_tuning *t, struct cb_value *to, struct cb_diag *diag)
{
    struct cb_value *root;
    size_t bad = 0;
    if (t->path == NULL || !cb_path_exists(t->path)) {
        return;
    }
    if (cb_file_bytes(t->path) > (int64_t)MAX_BYTES || cb_json_read_file(t->arena, t->path, &root, NULL) != CB_OK) {
        cb_note(diag, NULL, "`%s` is damaged: the variants that were measured are not used", t->path);
        return;
    }
    const char *why = why_foreign(t, root);
    if (why != NULL) {
        cb_note(diag, NULL, "`%s` %s: it is not used; `cambium bench --tune` measures again", t->path, why);
        return;
    }
    (void)take_entries(t->arena, to, cb_map_get(root, "measured"), &bad);
    if (bad > 0) {
        cb_note(diag, NULL, "`%s`: %zu of its entries are damaged and not used", t->path, bad);
    }
}

static struct cb_value *file_value(const struct cb_tuning *t, struct cb_arena *arena, const struct cb_value *measured)
{
    const struct cb_device_info *info = cb_device_get_info(t->device);
    struct cb_value *root = cb_value_map(arena, NULL);
    const bool ok = root != NULL && cb_map_set(arena, root, "format", cb_value_text(arena, FORMAT, NULL)) &&
                    cb_map_set(arena, root, "version", cb_value_int(arena, 1, NULL)) &&
                    cb_map_set(arena, root, "device", cb_value_text(arena, info->name, NULL)) &&
                    cb_map_set(arena, root, "platform", cb_value_text(arena, info->platform, NULL)) &&
                    cb_map_set(arena, root, "driver", cb_value_text(arena, info->driver, NULL)) &&
                    cb_map_set(arena, root, "kernels", cb_value_text(arena, kernels_of(t->device), NULL)) &&
                    cb_map_set(arena, root, "cambium", cb_value_text(arena, CB_VERSION, NULL)) &&
                    cb_map_set(arena, root, "measured", cb_value_clone(arena, measured));
    return ok ? root : NULL;
}

/* What is there and was written since by others stays; what is new wins. */
static enum cb_status merge_into_file(struct cb_tuning *t, struct cb_diag *diag)
{
    struct cb_lock lock;
    struct cb_text text = {0};
    struct cb_value *all = cb_value_clone(t->arena, t->added);
    char *lock_path = cb_arena_printf(t->arena, "%s.lock", t->path);
    if (all == NULL || lock_path == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    CB_TRY(cb_lock_take(&lock, lock_path, diag));
    read_file(t, all, NULL);
    struct cb_value *root = file_value(t, t->arena, all);
    if (root != NULL) {
        cb_value_to_json_lines(root, &text);
        cb_text_add(&text, "\n");
    }
    enum cb_status status = root != NULL && !text.failed ? cb_file_write_atomic(t->path, text.data, text.length, diag)
                                                         : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    cb_text_free(&text);
    cb_lock_release(&lock);
    return status;
}

void cb__tuning_save(struct cb_tuning *t)
{
    if (t == NULL || t->path == NULL || t->added->as.map.count == 0) {
        return;
    }
    struct cb_diag *diag = cb_diag_create();
    if (merge_into_file(t, diag) != CB_OK && diag != NULL && cb_diag_count(diag, CB_ERROR) > 0) {
        const char *text = cb_diag_text(diag, 0);
        say(t, "the variants that were measured are not kept: %.*s", (int)strcspn(text, "\n"), text);
    }
    cb_diag_destroy(diag);
    t->added = cb_value_map(t->arena, NULL);
}

/* ---- the table ---- */

struct cb_tuning *cb_tuning_open(struct cb_device *device, const char *path, struct cb_diag *diag)
{
    const char *wanted = path != NULL ? path : getenv("CAMBIUM_TUNING");
    const bool off = path == NULL && wanted != NULL && strcmp(wanted, "off") == 0;
    struct cb_arena *arena = cb_arena_create();
    struct cb_tuning *t = arena != NULL ? CB_NEW(arena, struct cb_tuning) : NULL;
    if (t != NULL) {
        t->arena = arena;
        t->device = device;
        t->path = off ? NULL : wanted != NULL && wanted[0] != '\0' ? cb_arena_strdup(arena, wanted) : own_path(arena, device);
        t->measured = cb_value_map(arena, NULL);
        t->added = cb_value_map(arena, NULL);
        t->seen = cb_value_list(arena, NULL);
    }
    if (t == NULL || t->measured == NULL || t->added == NULL || t->seen == NULL) {
        cb_arena_destroy(arena);
        return NULL;
    }
    read_file(t, t->measured, diag);
    return t;
}

void cb_tuning_close(struct cb_tuning *t)
{
    if (t != NULL) {
        cb_arena_destroy(t->arena);
    }
}

void cb_tuning_measure(struct cb_tuning *t, double seconds)
{
    if (t != NULL) {
        t->seconds = seconds;
    }
}

void cb_tuning_listen(struct cb_tuning *t, void (*listener)(void *context, const char *sentence), void *context)
{
    if (t != NULL) {
        t->say = listener;
        t->context = context;
    }
}

const struct cb_value *cb_tuning_seen(const struct cb_tuning *t)
{
    return t != NULL ? t->seen : NULL;
}

const char *cb_tuning_path(const struct cb_tuning *t)
{
    return t != NULL ? t->path : NULL;
}

struct cb_value *cb_tuning_to_value(const struct cb_tuning *t, struct cb_arena *arena)
{
    return t != NULL && t->measured->as.map.count > 0 ? file_value(t, arena, t->measured) : NULL;
}

enum cb_status cb_tuning_pin(struct cb_tuning *t, const struct cb_value *value, struct cb_diag *diag)
{
    size_t bad = 0;
    if (t == NULL) {
        return CB_OK;
    }
    const char *why = value != NULL ? why_foreign(t, value) : NULL;
    struct cb_value *measured = cb_value_map(t->arena, NULL);
    if (why != NULL) {
        return cb_fail(diag, CB_MISMATCH, NULL, "the table of variants that the run began with %s", why);
    }
    if (measured == NULL || (value != NULL && !take_entries(t->arena, measured, cb_map_get(value, "measured"), &bad))) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    t->measured = measured;
    t->seconds = 0.0;
    return bad == 0 ? CB_OK : cb_fail(diag, CB_FORMAT, NULL, "the table of variants that the run began with is damaged");
}

/* ---- for plans ---- */

static void say_wrong(const struct cb_tuning *t, const char *key, const struct cb_value *entry)
{
    const struct cb_value *wrong = cb_map_get(entry, "wrong");
    for (size_t i = 0; wrong != NULL && i < wrong->as.map.count; i++) {
        const struct cb_value *why = wrong->as.map.entries[i].value;
        say(t, "the variant `%s` is not used for `%s`: %s", wrong->as.map.entries[i].key, key,
            why->text != NULL ? why->text : "it is wrong");
    }
}

/* Notes that a class was met, once. */
static void see(struct cb_tuning *t, const char *key, const struct cb_value *entry)
{
    for (size_t i = 0; i < t->seen->as.list.count; i++) {
        if (strcmp(cb_map_get(t->seen->as.list.items[i], "class")->text, key) == 0) {
            return;
        }
    }
    struct cb_value *line = cb_value_map(t->arena, NULL);
    bool ok = line != NULL && cb_map_set(t->arena, line, "class", cb_value_text(t->arena, key, NULL));
    for (size_t i = 0; ok && i < entry->as.map.count; i++) {
        ok = cb_map_set(t->arena, line, entry->as.map.entries[i].key, entry->as.map.entries[i].value);
    }
    if (ok && cb_list_append(t->arena, t->seen, line)) {
        say_wrong(t, key, entry);
    }
}

const struct cb_value *cb__tuning_find(struct cb_tuning *t, const char *key, const char *source)
{
    const struct cb_value *entry = t != NULL ? cb_map_get(t->measured, key) : NULL;
    if (entry == NULL || source == NULL || strcmp(cb_map_get(entry, "source")->text, source) != 0) {
        return NULL;
    }
    see(t, key, entry);
    return entry;
}

double cb__tuning_seconds(const struct cb_value *entry, const char *variant)
{
    const struct cb_value *time = cb_map_get(cb_map_get(entry, "microseconds"), variant);
    double microseconds;
    return time != NULL && cb_value_number(time, &microseconds) && !cb__tuning_is_wrong(entry, variant)
               ? microseconds * 1e-6
               : INFINITY;
}

bool cb__tuning_is_wrong(const struct cb_value *entry, const char *variant)
{
    return cb_map_get(cb_map_get(entry, "wrong"), variant) != NULL;
}

bool cb__tuning_is_empty(const struct cb_tuning *t)
{
    return t->measured->as.map.count == 0;
}

bool cb__tuning_has_time(const struct cb_tuning *t)
{
    return t != NULL && t->seconds > 0 && cb_clock_seconds() < t->deadline;
}

void cb__tuning_start(struct cb_tuning *t)
{
    if (t != NULL) {
        t->deadline = cb_clock_seconds() + t->seconds;
    }
}

void cb__tuning_add(struct cb_tuning *t, const char *key, struct cb_value *entry)
{
    const char *own = cb_arena_strdup(t->arena, key);
    if (own != NULL) {
        (void)cb_map_set(t->arena, t->measured, own, entry);
        (void)cb_map_set(t->arena, t->added, own, entry);
        see(t, own, entry);
    }
}

struct cb_arena *cb__tuning_arena(struct cb_tuning *t)
{
    return t->arena;
}
