/* choose.c: which devices there are, and which one a person means. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/internal.h"

static void get_text(cl_device_id id, cl_device_info what, char *out, size_t size)
{
    char text[1024] = "";
    size_t length = 0;
    if (clGetDeviceInfo(id, what, sizeof(text) - 1, text, &length) != CL_SUCCESS) {
        text[0] = '\0';
    }
    const char *start = text;
    while (isspace((unsigned char)*start)) {
        start++; /* some drivers pad the name */
    }
    snprintf(out, size, "%s", start);
    for (size_t n = strlen(out); n > 0 && isspace((unsigned char)out[n - 1]); n--) {
        out[n - 1] = '\0';
    }
}

static uint64_t get_number(cl_device_id id, cl_device_info what, size_t bytes)
{
    union {
        cl_uint narrow;
        cl_ulong wide;
    } value = {0};
    if (clGetDeviceInfo(id, what, bytes, &value, NULL) != CL_SUCCESS) {
        return 0;
    }
    return bytes == sizeof(cl_uint) ? value.narrow : value.wide;
}

/* The capabilities that the driver states; CB_CAP_TILE is a matter of trial (tile.c). */
static uint32_t stated_caps(cl_device_id id, const struct cb_device_info *info)
{
    uint32_t caps = 0;
    size_t length = 0;
    if (info->is_gpu && info->max_work_group >= 64 && info->local_bytes >= 16384) {
        caps |= CB_CAP_GROUP;
    }
    if (clGetDeviceInfo(id, CL_DEVICE_EXTENSIONS, 0, NULL, &length) == CL_SUCCESS && length > 0) {
        char *extensions = calloc(length + 1, 1);
        if (extensions && clGetDeviceInfo(id, CL_DEVICE_EXTENSIONS, length, extensions, NULL) == CL_SUCCESS) {
            caps |= strstr(extensions, "cl_khr_fp16") ? CB_CAP_FP16 : 0u;
            caps |= strstr(extensions, "cl_khr_subgroups") ? CB_CAP_SUBGROUP : 0u;
        }
        free(extensions);
    }
    return caps;
}

static void describe(cl_platform_id platform, cl_device_id id, struct cb_device_info *info)
{
    memset(info, 0, sizeof(*info));
    clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof(info->platform) - 1, info->platform, NULL);
    get_text(id, CL_DEVICE_NAME, info->name, sizeof(info->name));
    get_text(id, CL_DEVICE_VENDOR, info->vendor, sizeof(info->vendor));
    get_text(id, CL_DEVICE_VERSION, info->version, sizeof(info->version));
    get_text(id, CL_DRIVER_VERSION, info->driver, sizeof(info->driver));
    uint64_t type = get_number(id, CL_DEVICE_TYPE, sizeof(cl_device_type));
    /* Simulators claim to be everything at once: then it is a processor that pretends. */
    info->is_cpu = (type & CL_DEVICE_TYPE_CPU) != 0;
    info->is_gpu = (type & CL_DEVICE_TYPE_GPU) != 0 && !info->is_cpu;
    info->available = get_number(id, CL_DEVICE_AVAILABLE, sizeof(cl_bool)) != 0 &&
                      get_number(id, CL_DEVICE_COMPILER_AVAILABLE, sizeof(cl_bool)) != 0;
    info->compute_units = (uint32_t)get_number(id, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof(cl_uint));
    info->global_bytes = get_number(id, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof(cl_ulong));
    info->largest_allocation_bytes = get_number(id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof(cl_ulong));
    info->local_bytes = get_number(id, CL_DEVICE_LOCAL_MEM_SIZE, sizeof(cl_ulong));
    info->max_work_group = get_number(id, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof(size_t));
    info->base_align_bytes = get_number(id, CL_DEVICE_MEM_BASE_ADDR_ALIGN, sizeof(cl_uint)) / 8;
    if (info->base_align_bytes < sizeof(cl_float16)) {
        info->base_align_bytes = sizeof(cl_float16);
    }
    info->caps = stated_caps(id, info);
    const char *reason;
    enum cb__tile tile = cb__tile_expectation(info, &reason);
    info->caps |= tile == CB__TILE_YES || tile == CB__TILE_TRY_HERE ? CB_CAP_TILE : 0u;
}

static enum cb_status add_platform(struct cb_arena *arena, cl_platform_id platform, struct cb__candidate *list,
                                   size_t capacity, size_t *count, struct cb_diag *diag)
{
    cl_uint device_count = 0;
    cl_int code = clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &device_count);
    if (code != CL_SUCCESS || device_count == 0) {
        return CB_OK; /* a platform without devices, or one that is broken: the others still serve */
    }
    cl_device_id *ids = CB_NEW_ARRAY(arena, cl_device_id, device_count);
    if (!ids) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory while listing devices");
    }
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, device_count, ids, NULL) != CL_SUCCESS) {
        return CB_OK;
    }
    for (cl_uint i = 0; i < device_count && *count < capacity; i++) {
        struct cb__candidate *one = &list[(*count)++];
        one->platform = platform;
        one->id = ids[i];
        describe(platform, ids[i], &one->info);
    }
    return CB_OK;
}

/* Insertion sort: stable, and there are few devices. */
static void sort_by_platform(struct cb__candidate *list, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct cb__candidate moved = list[i];
        size_t at = i;
        for (; at > 0 && strcmp(list[at - 1].info.platform, moved.info.platform) > 0; at--) {
            list[at] = list[at - 1];
        }
        list[at] = moved;
    }
}

enum cb_status cb__candidates(struct cb_arena *arena, struct cb__candidate **out, size_t *out_count,
                              struct cb_diag *diag)
{
    enum { MAX_PLATFORMS = 32, MAX_DEVICES = 256 };
    cl_platform_id platforms[MAX_PLATFORMS];
    cl_uint platform_count = 0;
    cl_int code = clGetPlatformIDs(MAX_PLATFORMS, platforms, &platform_count);
    if (code != CL_SUCCESS) {
        platform_count = 0; /* the loader says so when no driver is installed */
    }
    struct cb__candidate *list = CB_NEW_ARRAY(arena, struct cb__candidate, MAX_DEVICES);
    if (!list) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory while listing devices");
    }
    size_t count = 0;
    for (cl_uint i = 0; i < platform_count && i < MAX_PLATFORMS; i++) {
        CB_TRY(add_platform(arena, platforms[i], list, MAX_DEVICES, &count, diag));
    }
    sort_by_platform(list, count);
    *out = list;
    *out_count = count;
    return CB_OK;
}

enum cb_status cb_device_list(struct cb_arena *arena, struct cb_device_info **out_infos, size_t *out_count,
                              struct cb_diag *diag)
{
    struct cb__candidate *list = NULL;
    size_t count = 0;
    CB_TRY(cb__candidates(arena, &list, &count, diag));
    struct cb_device_info *infos = CB_NEW_ARRAY(arena, struct cb_device_info, count + 1);
    if (!infos) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory while listing devices");
    }
    for (size_t i = 0; i < count; i++) {
        infos[i] = list[i].info;
    }
    *out_infos = infos;
    *out_count = count;
    return CB_OK;
}

static bool contains(const char *text, const char *part)
{
    size_t length = strlen(part);
    for (; *text; text++) {
        if (strncasecmp(text, part, length) == 0) {
            return true;
        }
    }
    return false;
}

/* A simulator, or a driver that draws pictures on the processor: right, and slower than any other by far. */
static bool is_last_resort(const struct cb_device_info *info)
{
    return contains(info->name, "llvmpipe") || contains(info->name, "oclgrind");
}

/* GPU before accelerator before CPU before what only pretends; then the larger memory. */
static int rank_of(const struct cb_device_info *info)
{
    return is_last_resort(info) ? 0 : info->is_gpu ? 3 : info->is_cpu ? 1 : 2;
}

static bool is_better(const struct cb_device_info *a, const struct cb_device_info *b)
{
    int rank_a = rank_of(a), rank_b = rank_of(b);
    return rank_a != rank_b ? rank_a > rank_b : a->global_bytes > b->global_bytes;
}

static enum cb_status fail_listing(const struct cb_device_info *infos, size_t count, const char *which,
                                   struct cb_diag *diag)
{
    struct cb_text text = {0};
    cb_text_addf(&text, "there is no device `%s`; there %s ", which, count == 1 ? "is" : "are");
    for (size_t i = 0; i < count; i++) {
        cb_text_addf(&text, "%s%zu: %s (%s)", i ? ", " : "", i, infos[i].name, infos[i].platform);
    }
    enum cb_status status = cb_fail(diag, CB_NOT_FOUND, NULL, "%s", text.data ? text.data : "there is no such device");
    cb_text_free(&text);
    return status;
}

enum cb_status cb__choose(const struct cb_device_info *infos, size_t count, const char *which, size_t *out_index,
                          struct cb_diag *diag)
{
    if (count == 0) {
        return cb_fail(diag, CB_NOT_FOUND, NULL,
                       "no OpenCL device was found; every machine can have one: PoCL runs on the processor "
                       "(package pocl-opencl-icd on Debian, pocl elsewhere)");
    }
    bool chosen = false;
    if (!which || !which[0]) {
        for (size_t i = 0; i < count; i++) {
            if (infos[i].available && (!chosen || is_better(&infos[i], &infos[*out_index]))) {
                *out_index = i;
                chosen = true;
            }
        }
        if (!chosen) {
            return cb_fail(diag, CB_NOT_FOUND, NULL, "none of the %zu OpenCL devices is available, the first is `%s`",
                           count, infos[0].name);
        }
        return CB_OK;
    }
    if (which[strspn(which, "0123456789")] == '\0') {
        errno = 0;
        unsigned long number = strtoul(which, NULL, 10);
        if (errno != 0 || number >= count) {
            return fail_listing(infos, count, which, diag);
        }
        *out_index = number;
        chosen = true;
    }
    for (size_t i = 0; i < count && !chosen; i++) {
        if (contains(infos[i].name, which) || contains(infos[i].vendor, which) || contains(infos[i].platform, which)) {
            *out_index = i;
            chosen = true;
        }
    }
    if (!chosen) {
        return fail_listing(infos, count, which, diag);
    }
    if (!infos[*out_index].available) {
        return cb_fail(diag, CB_DEVICE, NULL, "device `%s` is there but not available to programs, or without a compiler",
                       infos[*out_index].name);
    }
    return CB_OK;
}
