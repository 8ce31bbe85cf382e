/* tile.c: may this device run kernels of explicit register tiles (CB_CAP_TILE)?
 *
 * Only a trial tells: there are drivers for processors that compile such a kernel for minutes, or compile it wrong. The
 * known bad ones are declined at once. PoCL and Intel's runtime are tried in this process, by a product that is compared
 * with the host's. Any other is tried in a child process (the program cambium-probe), which is killed after 20 seconds.
 * The verdict is remembered in the user's cache, CACHE/devices/KEY.json, KEY being the SHA-256 of device, driver and the
 * kernel's text. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/child.h"
#include "base/file.h"
#include "base/value.h"
#include "device/internal.h"

#define CHILD_SECONDS 20.0

enum cb__tile cb__tile_expectation(const struct cb_device_info *info, const char **out_reason)
{
    if (!info->is_cpu) {
        *out_reason = "not a processor";
        return CB__TILE_NO;
    }
    if (strstr(info->name, "llvmpipe") || strstr(info->platform, "rusticl")) {
        *out_reason = "llvmpipe compiles large register tiles for minutes, and some of them wrong";
        return CB__TILE_NO;
    }
    if (strstr(info->name, "Oclgrind") || strstr(info->platform, "Oclgrind")) {
        *out_reason = "a simulator, which a register tile does not make faster";
        return CB__TILE_NO;
    }
    if (strstr(info->platform, "Portable Computing Language") || strstr(info->platform, "Intel(R)")) {
        *out_reason = "tried, and right";
        return CB__TILE_TRY_HERE;
    }
    *out_reason = "an unknown driver for processors";
    return CB__TILE_TRY_CHILD;
}

/* ---- the trial ---- */

/* A product with a tail in every direction, and two chunks of k. */
static bool passes_trial(struct cb_device *device)
{
    double error = INFINITY, seconds = 0.0;
    return cb__gemm_trial(device, CB_GEMM_TILE, 25, 70, 300, &error, &seconds, NULL) == CB_OK && error < 1e-5;
}

enum cb_status cb_device_probe_tile(const char *which, struct cb_diag *diag)
{
    struct cb_arena *arena = cb_arena_create();
    struct cb__candidate *list = NULL;
    struct cb_device *device = NULL;
    size_t count = 0;
    if (!arena) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory while opening a device");
    }
    enum cb_status status = cb__candidates(arena, &list, &count, diag);
    if (status == CB_OK) {
        size_t index = which ? strtoul(which, NULL, 10) : 0;
        status = index < count ? cb__device_open_candidate(&list[index], &device, diag)
                               : cb_fail(diag, CB_NOT_FOUND, NULL, "there is no device %zu", index);
    }
    if (status == CB_OK && !passes_trial(device)) {
        status = cb_fail(diag, CB_MISMATCH, NULL, "register tiles do not work on device `%s`", device->info.name);
    }
    cb_device_close(device);
    cb_arena_destroy(arena);
    return status;
}

/* ---- the child ---- */

bool cb__tile_try_child(size_t number, double seconds, const char **out_reason, bool *out_is_verdict)
{
    struct cb_arena *arena = cb_arena_create();
    const char *argv[] = {arena ? cb_child_probe(arena) : NULL, arena ? cb_arena_printf(arena, "%zu", number) : NULL, NULL};
    struct cb_child child = {.end = CB_CHILD_NOT_RUN};
    *out_reason = "an unknown driver, and the program cambium-probe that would try it is not installed";
    if (argv[0] && argv[1]) {
        child = cb_child_run(arena, argv, seconds, false);
    }
    cb_arena_destroy(arena);
    *out_is_verdict = child.end != CB_CHILD_NOT_RUN;
    if (child.end == CB_CHILD_LATE) {
        *out_reason = "a trial of register tiles did not end in time";
    } else if (child.end == CB_CHILD_KILLED) {
        *out_reason = "a trial of register tiles crashed";
    } else if (child.end == CB_CHILD_EXITED) {
        *out_reason = child.code == 0 ? "tried in a child process, and right" : "a trial of register tiles failed";
    }
    return child.end == CB_CHILD_EXITED && child.code == 0;
}

/* ---- the remembered verdict ---- */

/* CACHE/devices/KEY.json; NULL when there is no place to remember in. */
static char *verdict_path(struct cb_arena *arena, const struct cb_device *device)
{
    char hex[65];
    const struct cb_device_info *info = &device->info;
    const char *parts[] = {info->platform, info->name, info->vendor, info->version, info->driver};
    struct cb_text source = {0};
    char *cache = cb_user_cache_folder(arena);
    char *folder = cache ? cb_path_join(arena, cache, "devices") : NULL;
    char *kernel = cb_kernel_path(arena, "core/gemm_tile", NULL);
    char *path = NULL;
    struct cb_sha256 *sha = NULL;
    if (folder && kernel && cb_make_folders(folder, NULL) == CB_OK &&
        cb__source_expand("", kernel, &source, NULL) == CB_OK && (sha = cb_sha256_create())) {
        for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
            cb_sha256_add(sha, parts[i], strlen(parts[i]) + 1);
        }
        cb_sha256_add(sha, source.data, source.length);
        cb_sha256_finish(sha, hex);
        path = cb_arena_printf(arena, "%s/%.32s.json", folder, hex);
    }
    cb_text_free(&source);
    return path;
}

static bool recall(struct cb_arena *arena, const char *path, bool *out_passed, const char **out_reason)
{
    struct cb_value *root = NULL;
    if (!path || !cb_path_exists(path) || cb_json_read_file(arena, path, &root, NULL) != CB_OK) {
        return false;
    }
    const struct cb_value *passed = cb_map_get(root, "tile"), *reason = cb_map_get(root, "reason");
    if (!passed || passed->kind != CB_KIND_BOOL || !reason || reason->kind != CB_KIND_TEXT) {
        return false;
    }
    *out_passed = passed->as.boolean;
    *out_reason = reason->text;
    return true;
}

static void remember(const char *path, const struct cb_device *device, bool passed, const char *reason)
{
    struct cb_text json = {0};
    if (!path) {
        return;
    }
    cb_text_add(&json, "{\"device\": ");
    cb_text_add_json_string(&json, device->info.name);
    cb_text_add(&json, ", \"driver\": ");
    cb_text_add_json_string(&json, device->info.driver);
    cb_text_addf(&json, ", \"tile\": %s, \"reason\": ", passed ? "true" : "false");
    cb_text_add_json_string(&json, reason);
    cb_text_add(&json, "}\n");
    if (!json.failed) {
        cb_file_write_atomic(path, json.data, json.length, NULL);
    }
    cb_text_free(&json);
}

void cb__tile_decide(struct cb_device *device, size_t number)
{
    const char *reason = "";
    enum cb__tile expected = cb__tile_expectation(&device->info, &reason);
    bool passed = false, is_verdict = true;
    struct cb_arena *arena = cb_arena_create();
    char *path = arena && expected != CB__TILE_NO ? verdict_path(arena, device) : NULL;
    if (expected != CB__TILE_NO && !recall(arena, path, &passed, &reason)) {
        if (expected == CB__TILE_TRY_HERE) {
            passed = passes_trial(device);
            reason = passed ? reason : "a trial of register tiles failed";
        } else {
            passed = cb__tile_try_child(number, CHILD_SECONDS, &reason, &is_verdict);
        }
        if (is_verdict) {
            remember(path, device, passed, reason);
        }
    }
    if (passed) {
        device->facts.caps |= CB_CAP_TILE;
        device->info.caps |= CB_CAP_TILE;
    }
    const char *kept = cb_arena_strdup(device->arena, reason);
    device->tile_reason = kept ? kept : "";
    cb_arena_destroy(arena);
}
