/* open.c: an open device: context, queue, facts, capabilities, key.
 *
 * Environment: CAMBIUM_DEVICE (which one), CAMBIUM_CAPS (for tests: the form of kernels to use instead of what the device
 * is found to have, a list of tile, group, subgroup, fp16, plain), CAMBIUM_MEMORY (bytes that may be allocated, with K, M
 * or G behind the number), CAMBIUM_PROFILE (time by kernel; "layers": by layer too), CAMBIUM_TILE (below). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "device/internal.h"

/* Bytes of the second-level cache of one core. */
static uint64_t cpu_l2_bytes(void)
{
    FILE *file = fopen("/sys/devices/system/cpu/cpu0/cache/index2/size", "re");
    unsigned long kibibytes = 0;
    if (file) {
        if (fscanf(file, "%luK", &kibibytes) != 1) {
            kibibytes = 0;
        }
        fclose(file);
    }
    long stated = kibibytes ? (long)(kibibytes * 1024) : sysconf(_SC_LEVEL2_CACHE_SIZE);
    return stated > 0 ? (uint64_t)stated : 512u << 10;
}

/* fma() that is one instruction, not a call of a hundred. */
static bool has_fast_fma(const struct cb_device *device)
{
    cl_device_fp_config config = 0;
    if (clGetDeviceInfo(device->id, CL_DEVICE_SINGLE_FP_CONFIG, sizeof(config), &config, NULL) != CL_SUCCESS ||
        (config & CL_FP_FMA) == 0) {
        return false;
    }
#if defined(__x86_64__) || defined(__i386__)
    return !device->info.is_cpu || __builtin_cpu_supports("fma");
#else
    return true;
#endif
}

/* The register file of this machine's processor decides the tile's shape; no OpenCL query tells it. CAMBIUM_TILE (16 or
 * 32) replaces it, for tests. */
static int32_t find_tile_panel(void)
{
    const char *text = getenv("CAMBIUM_TILE");
    if (text && (strcmp(text, "16") == 0 || strcmp(text, "32") == 0)) {
        return (int32_t)strtol(text, NULL, 10);
    }
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_cpu_supports("avx512f") ? 32 : 16;
#else
    return 16;
#endif
}

static void read_facts(struct cb_device *device)
{
    struct cb_device_facts *facts = &device->facts;
    const struct cb_device_info *info = &device->info;
    facts->struct_size = sizeof(*facts);
    facts->compute_units = info->compute_units;
    facts->is_cpu = info->is_cpu;
    facts->local_bytes = info->local_bytes;
    facts->max_work_group = info->max_work_group;
    cl_ulong cache = 0;
    if (info->is_cpu) {
        cache = cpu_l2_bytes();
    } else if (clGetDeviceInfo(device->id, CL_DEVICE_GLOBAL_MEM_CACHE_SIZE, sizeof(cache), &cache, NULL) != CL_SUCCESS) {
        cache = 0;
    }
    facts->l2_bytes = cache;
}

static void set_caps(struct cb_device *device, uint32_t caps)
{
    device->facts.caps = caps;
    device->info.caps = caps;
}

/* CAMBIUM_CAPS. Returns whether it was set. */
static enum cb_status caps_from_environment(struct cb_device *device, bool *out_is_set, struct cb_diag *diag)
{
    static const struct {
        const char *word;
        uint32_t cap;
    } words[] = {{"plain", 0}, {"tile", CB_CAP_TILE}, {"group", CB_CAP_GROUP}, {"subgroup", CB_CAP_SUBGROUP},
                 {"fp16", CB_CAP_FP16}};
    const char *text = getenv("CAMBIUM_CAPS");
    *out_is_set = text && text[0];
    if (!*out_is_set) {
        return CB_OK;
    }
    uint32_t caps = 0;
    while (*text) {
        size_t length = strcspn(text, ", ");
        bool known = length == 0;
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
            if (strlen(words[i].word) == length && memcmp(text, words[i].word, length) == 0) {
                caps |= words[i].cap;
                known = true;
            }
        }
        if (!known) {
            return cb_fail(diag, CB_INVALID, NULL,
                           "CAMBIUM_CAPS has `%.*s`; it is a list of plain, tile, group, subgroup, fp16", (int)length,
                           text);
        }
        text += length + (text[length] != '\0');
    }
    set_caps(device, caps);
    device->tile_reason = "set by CAMBIUM_CAPS";
    return CB_OK;
}

static enum cb_status limit_from_environment(struct cb_device *device, struct cb_diag *diag)
{
    const char *text = getenv("CAMBIUM_MEMORY");
    device->memory_limit = device->info.global_bytes;
    if (!text || !text[0]) {
        return CB_OK;
    }
    char *end = NULL;
    double bytes = strtod(text, &end);
    static const char units[] = "KMG";
    const char *unit = *end ? strchr(units, *end) : NULL;
    if (unit) {
        end++;
        for (const char *u = units; u <= unit; u++) {
            bytes *= 1024.0;
        }
    }
    if (end == text || *end != '\0' || !(bytes >= 1.0 && bytes < 1e18)) {
        return cb_fail(diag, CB_INVALID, NULL, "CAMBIUM_MEMORY must be a number of bytes such as 512M, not `%s`", text);
    }
    if ((uint64_t)bytes < device->memory_limit) {
        device->memory_limit = (uint64_t)bytes;
    }
    return CB_OK;
}

enum cb_status cb__open_queue(struct cb_device *device, struct cb_diag *diag)
{
    cl_int code = CL_SUCCESS;
    cl_command_queue_properties properties = device->profiling ? CL_QUEUE_PROFILING_ENABLE : 0;
    device->queue = clCreateCommandQueue(device->context, device->id, properties, &code);
    return code == CL_SUCCESS ? CB_OK : cb__cl_fail(diag, code, "opening a command queue");
}

static bool make_key(struct cb_device *device)
{
    char kernels[65];
    cb__kernels_sha256(kernels);
    device->key = cb_arena_printf(device->arena, "%s|%s|%s|%s|kernels %.16s", device->info.platform, device->info.name,
                                  device->info.version, device->info.driver, kernels);
    return device->key != NULL;
}

static void find_kernel_cache(struct cb_device *device)
{
    char *cache = cb_user_cache_folder(device->arena);
    char *folder = cache ? cb_path_join(device->arena, cache, "kernels") : NULL;
    /* Binaries are code: a folder that others may write to is not used. */
    if (folder && cb_make_folders(folder, NULL) == CB_OK && !cb_path_is_unsafe(folder)) {
        device->kernel_cache = folder;
    }
}

enum cb_status cb__device_open_candidate(const struct cb__candidate *candidate, struct cb_device **out,
                                         struct cb_diag *diag)
{
    struct cb_device *device = calloc(1, sizeof(*device));
    struct cb_arena *arena = cb_arena_create();
    enum cb_status status = CB_MEMORY;
    if (!device || !arena) {
        cb_arena_destroy(arena);
        free(device);
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory while opening a device");
    }
    device->arena = arena;
    device->platform = candidate->platform;
    device->id = candidate->id;
    device->info = candidate->info;
    device->tile_reason = "";
    device->opened_at = cb_clock_seconds();
    const char *profile = getenv("CAMBIUM_PROFILE");
    device->profiling = profile && profile[0] && strcmp(profile, "0") != 0;
    device->profile_layers = device->profiling && strcmp(profile, "layers") == 0;
    device->label = "";
    read_facts(device);
    device->fast_fma = has_fast_fma(device);
    device->tile_panel = find_tile_panel();
    device->facts.tile_rows = device->tile_panel == 32 ? 12 : 6;
    device->facts.tile_columns = (uint32_t)device->tile_panel;
    set_caps(device, device->info.caps & ~(uint32_t)CB_CAP_TILE);

    cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)candidate->platform, 0};
    cl_int code = CL_SUCCESS;
    device->context = clCreateContext(properties, 1, &candidate->id, NULL, NULL, &code);
    if (code != CL_SUCCESS) {
        status = cb__cl_fail(diag, code, "opening the device");
        goto close_device;
    }
    status = cb__open_queue(device, diag);
    if (status != CB_OK) {
        goto close_device;
    }
    status = limit_from_environment(device, diag);
    if (status != CB_OK) {
        goto close_device;
    }
    if (!make_key(device)) {
        status = cb_fail(diag, CB_MEMORY, NULL, "out of memory while opening a device");
        goto close_device;
    }
    find_kernel_cache(device);
    *out = device;
    return CB_OK;

close_device:
    cb_device_close(device);
    return status;
}

enum cb_status cb_device_open(const char *which, struct cb_device **out, struct cb_diag *diag)
{
    struct cb_arena *arena = cb_arena_create();
    struct cb__candidate *list = NULL;
    struct cb_device_info *infos = NULL;
    struct cb_device *device = NULL;
    size_t count = 0, index = 0;
    bool caps_are_set = false;
    if (!arena) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory while opening a device");
    }
    if (!which) {
        which = getenv("CAMBIUM_DEVICE");
    }
    enum cb_status status = cb__candidates(arena, &list, &count, diag);
    if (status != CB_OK) {
        goto destroy_arena;
    }
    infos = CB_NEW_ARRAY(arena, struct cb_device_info, count + 1);
    if (!infos) {
        status = cb_fail(diag, CB_MEMORY, NULL, "out of memory while opening a device");
        goto destroy_arena;
    }
    for (size_t i = 0; i < count; i++) {
        infos[i] = list[i].info;
    }
    status = cb__choose(infos, count, which, &index, diag);
    if (status != CB_OK) {
        goto destroy_arena;
    }
    status = cb__device_open_candidate(&list[index], &device, diag);
    if (status != CB_OK) {
        goto destroy_arena;
    }
    status = caps_from_environment(device, &caps_are_set, diag);
    if (status != CB_OK) {
        cb_device_close(device);
        goto destroy_arena;
    }
    if (!caps_are_set) {
        cb__tile_decide(device, index);
    }
    *out = device;

destroy_arena:
    cb_arena_destroy(arena);
    return status;
}

void cb_device_close(struct cb_device *device)
{
    if (!device) {
        return;
    }
    if (device->queue) {
        clFinish(device->queue);
        cb__profile_collect(device);
    }
    cb__gemm_release(device);
    cb__programs_release(device);
    if (device->queue) {
        clReleaseCommandQueue(device->queue);
    }
    if (device->context) {
        clReleaseContext(device->context);
    }
    cb_arena_destroy(device->arena);
    free(device);
}

const struct cb_device_info *cb_device_get_info(const struct cb_device *device)
{
    return &device->info;
}

const struct cb_device_facts *cb_device_get_facts(const struct cb_device *device)
{
    return &device->facts;
}

const char *cb_device_key(const struct cb_device *device)
{
    return device->key;
}

enum cb_status cb_device_finish(struct cb_device *device, struct cb_diag *diag)
{
    cl_int code = clFinish(device->queue);
    return code == CL_SUCCESS ? CB_OK : cb__cl_fail(diag, code, "waiting for the device");
}

enum cb_status cb_device_flush(struct cb_device *device, struct cb_diag *diag)
{
    cl_int code = clFlush(device->queue);
    return code == CL_SUCCESS ? CB_OK : cb__cl_fail(diag, code, "starting work on the device");
}
