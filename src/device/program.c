/* program.c: programs and kernels.
 *
 * Within a device, a program is built once for each (header, path, defines). Across processes, its binary is kept in the
 * user's cache, CACHE/kernels/KEY.bin, where KEY is the SHA-256 of the whole expanded text, the build options and the
 * device. A file is a line of magic, a line with the SHA-256 of what follows, and the driver's binary. Writing is
 * atomic, so processes may share the folder; an entry that is damaged, or that the driver no longer takes, is built
 * again from source and replaced.
 *
 * PoCL compiles every kernel of a program once more, for any work-group size, before it hands out a binary: up to a
 * second each. There binaries are kept when the device is closed, and only as long as that takes no more than a small
 * part of the time it was open; what remains is kept by later runs, for which PoCL's own cache serves meanwhile. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "device/internal.h"

#define MAGIC "cambium kernel 1\n"
#define MAX_BINARY_BYTES (256u << 20)

/* ---- the cache on disk ---- */

static char *cache_path(struct cb_arena *arena, const struct cb_device *device, const struct cb_text *source,
                        const char *options)
{
    char hex[65];
    struct cb_sha256 *sha = device->kernel_cache ? cb_sha256_create() : NULL;
    if (!sha) {
        return NULL;
    }
    const struct cb_device_info *info = &device->info;
    const char *parts[] = {options, info->platform, info->name, info->vendor, info->version, info->driver};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        cb_sha256_add(sha, parts[i], strlen(parts[i]) + 1);
    }
    cb_sha256_add(sha, source->data, source->length);
    cb_sha256_finish(sha, hex);
    char *name = cb_arena_printf(arena, "%s.bin", hex);
    return name ? cb_path_join(arena, device->kernel_cache, name) : NULL;
}

/* A built program from the cache, or NULL. */
static cl_program load_binary(struct cb_arena *arena, struct cb_device *device, const char *path, const char *options)
{
    const size_t head = sizeof(MAGIC) - 1 + 65;
    char *data = NULL;
    size_t length = 0;
    char hex[65];
    if (!path || !cb_path_exists(path) ||
        cb_file_read(arena, path, MAX_BINARY_BYTES, &data, &length, NULL, NULL) != CB_OK || length <= head ||
        memcmp(data, MAGIC, sizeof(MAGIC) - 1) != 0) {
        return NULL;
    }
    cb_sha256_of(data + head, length - head, hex);
    if (memcmp(hex, data + sizeof(MAGIC) - 1, 64) != 0) {
        return NULL;
    }
    const unsigned char *binary = (const unsigned char *)data + head;
    size_t bytes = length - head;
    cl_int verdict = CL_SUCCESS, code = CL_SUCCESS;
    cl_program program =
        clCreateProgramWithBinary(device->context, 1, &device->id, &bytes, &binary, &verdict, &code);
    if (code != CL_SUCCESS || verdict != CL_SUCCESS) {
        if (code == CL_SUCCESS) {
            clReleaseProgram(program);
        }
        return NULL;
    }
    if (clBuildProgram(program, 1, &device->id, options, NULL, NULL) != CL_SUCCESS) {
        clReleaseProgram(program);
        return NULL;
    }
    return program;
}

/* A cache that cannot be written is no error: the next process builds again. */
static void store_binary(struct cb_arena *arena, cl_program program, const char *path)
{
    size_t bytes = 0;
    const size_t head = sizeof(MAGIC) - 1 + 65;
    if (!path || clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof(bytes), &bytes, NULL) != CL_SUCCESS ||
        bytes == 0 || bytes > MAX_BINARY_BYTES) {
        return;
    }
    unsigned char *file = cb_arena_alloc(arena, head + bytes);
    if (!file) {
        return;
    }
    unsigned char *binary = file + head;
    if (clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof(binary), &binary, NULL) != CL_SUCCESS) {
        return;
    }
    char hex[65];
    cb_sha256_of(binary, bytes, hex);
    memcpy(file, MAGIC, sizeof(MAGIC) - 1);
    memcpy(file + sizeof(MAGIC) - 1, hex, 64);
    file[head - 1] = '\n';
    cb_file_write_atomic(path, file, head + bytes, NULL);
}

/* ---- building ---- */

/* How long the path is of the kernel file that the log's first mistake is in, and where it begins: drivers write
 * "PATH:LINE:COLUMN: error: ..." or "error: PATH:LINE:COLUMN: ...". 0: it says no such thing. */
static size_t mistaken_file(const char *log, const char **out_path)
{
    for (const char *line = log; line != NULL && *line != '\0'; line = strchr(line, '\n'), line += line != NULL) {
        const size_t length = strcspn(line, "\n");
        const char *error = memmem(line, length, "error: ", 7);
        const char *path = error == line ? line + 7 : line;
        const char *end = memmem(path, length - (size_t)(path - line), ".cl", 3);
        if (error == NULL || end == NULL) {
            continue;
        }
        end += end[3] == 'h' ? 4 : 3;
        if (end[0] == ':' && end[1] >= '0' && end[1] <= '9') {
            *out_path = path;
            return (size_t)(end - path);
        }
    }
    return 0;
}

static enum cb_status fail_build(struct cb_device *device, cl_program program, cl_int code, const char *path,
                                 struct cb_diag *diag)
{
    size_t length = 0;
    char *log = NULL;
    clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &length);
    if (length > 1 && (log = calloc(length + 1, 1))) {
        clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, length, log, NULL);
    }
    const char *file = path; /* the mistake may be in what it includes, or in what was fused into it */
    const size_t count = log ? mistaken_file(log, &file) : 0;
    const bool is_other = count > 0 && (strlen(path) != count || strncmp(path, file, count) != 0);
    enum cb_status status = cb_fail(diag, CB_DEVICE, NULL, "`%.*s`%s%s%s does not build for device `%s`: %s (%d)",
                                    is_other ? (int)count : (int)strlen(path), is_other ? file : path,
                                    is_other ? ", which goes into `" : "", is_other ? path : "", is_other ? "`," : "",
                                    device->info.name, cb__cl_name(code), (int)code);
    if (log && log[0]) {
        cb_diag_attach(diag, log);
    }
    free(log);
    return status;
}

static enum cb_status build_source(struct cb_device *device, const struct cb_text *source, const char *options,
                                   const char *path, cl_program *out, struct cb_diag *diag)
{
    const char *text = source->data;
    cl_int code = CL_SUCCESS;
    cl_program program = clCreateProgramWithSource(device->context, 1, &text, &source->length, &code);
    if (code != CL_SUCCESS) {
        return cb__cl_fail(diag, code, "making a program");
    }
    code = clBuildProgram(program, 1, &device->id, options, NULL, NULL);
    if (code != CL_SUCCESS) {
        enum cb_status status = fail_build(device, program, code, path, diag);
        clReleaseProgram(program);
        return status;
    }
    *out = program;
    return CB_OK;
}

static bool binaries_are_costly(const struct cb_device *device)
{
    return strstr(device->info.platform, "Portable Computing Language") != NULL;
}

static enum cb_status build(struct cb_device *device, const char *header, const char *path, const char *defines,
                            struct cb__program *out, struct cb_diag *diag)
{
    struct cb_arena *scratch = cb_arena_create();
    struct cb_text source = {0};
    enum cb_status status = CB_OK;
    if (!scratch) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory while building `%s`", path);
    }
    const char *standard = strstr(defines, "-cl-std=") ? "" : "-cl-std=CL1.2 ";
    /* Warnings are for those who edit kernels; some drivers print them on the user's terminal. */
    const char *quiet = getenv("CAMBIUM_CL_PATH") != NULL ? "" : "-w ";
    char *options = cb_arena_printf(scratch, "%s%s%s%s%s", standard, quiet, device->fast_fma ? "-DCB_FAST_FMA " : "",
                                    device->info.is_cpu ? "-DCB_PROCESSOR " : "", defines);
    status = cb__source_expand(header, path, &source, diag);
    if (status != CB_OK || !options) {
        goto free_source;
    }
    char *cached = cache_path(scratch, device, &source, options);
    cl_program program = load_binary(scratch, device, cached, options);
    if (program) {
        device->program_loads++;
    } else {
        status = build_source(device, &source, options, path, &program, diag);
        if (status != CB_OK) {
            goto free_source;
        }
        device->program_builds++;
        if (!binaries_are_costly(device)) {
            store_binary(scratch, program, cached);
        } else if (cached) {
            out->unsaved = cb_arena_strdup(device->arena, cached);
        }
    }
    out->handle = program;

free_source:
    cb_text_free(&source);
    cb_arena_destroy(scratch);
    return status;
}

/* ---- sharing within the device ---- */

static uint64_t hash_of(const char *header, const char *path, const char *defines)
{
    uint64_t h = cb_hash64(header, strlen(header));
    h = h * 31 + cb_hash64(path, strlen(path));
    return h * 31 + cb_hash64(defines, strlen(defines));
}

static enum cb_status get_program(struct cb_device *device, const char *header, const char *path, const char *defines,
                                  struct cb__program **out, struct cb_diag *diag)
{
    uint64_t hash = hash_of(header, path, defines);
    for (struct cb__program *one = device->programs; one; one = one->next) {
        if (one->hash == hash && strcmp(one->path, path) == 0 && strcmp(one->defines, defines) == 0 &&
            strcmp(one->header, header) == 0) {
            *out = one;
            return CB_OK;
        }
    }
    struct cb__program *program = CB_NEW(device->arena, struct cb__program);
    if (!program) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory while building `%s`", path);
    }
    program->hash = hash;
    program->header = cb_arena_strdup(device->arena, header);
    program->path = cb_arena_strdup(device->arena, path);
    program->defines = cb_arena_strdup(device->arena, defines);
    if (!program->header || !program->path || !program->defines) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory while building `%s`", path);
    }
    CB_TRY(build(device, header, path, defines, program, diag));
    program->next = device->programs;
    device->programs = program;
    *out = program;
    return CB_OK;
}

static void read_kernel_facts(struct cb_device *device, struct cb_kernel *kernel)
{
    size_t local = 0, required[3] = {0, 0, 0};
    if (clGetKernelWorkGroupInfo(kernel->handle, device->id, CL_KERNEL_WORK_GROUP_SIZE, sizeof(local), &local, NULL) !=
            CL_SUCCESS ||
        local == 0) {
        local = device->info.max_work_group;
    }
    kernel->max_local = local;
    if (clGetKernelWorkGroupInfo(kernel->handle, device->id, CL_KERNEL_COMPILE_WORK_GROUP_SIZE, sizeof(required),
                                 required, NULL) == CL_SUCCESS) {
        for (int i = 0; i < 3; i++) {
            kernel->required[i] = required[i];
        }
    }
    clGetKernelInfo(kernel->handle, CL_KERNEL_NUM_ARGS, sizeof(kernel->arg_count), &kernel->arg_count, NULL);
}

enum cb_status cb_kernel_get(struct cb_device *device, const char *header, const char *path, const char *defines,
                             const char *entry, struct cb_kernel **out, struct cb_diag *diag)
{
    struct cb__program *program = NULL;
    CB_TRY(get_program(device, header ? header : "", path, defines ? defines : "", &program, diag));
    for (struct cb_kernel *one = program->kernels; one; one = one->next) {
        if (strcmp(one->name, entry) == 0) {
            *out = one;
            return CB_OK;
        }
    }
    struct cb_kernel *kernel = CB_NEW(device->arena, struct cb_kernel);
    const char *name = cb_arena_strdup(device->arena, entry);
    if (!kernel || !name) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory while making kernel `%s`", entry);
    }
    cl_int code = CL_SUCCESS;
    kernel->handle = clCreateKernel(program->handle, entry, &code);
    if (code == CL_INVALID_KERNEL_NAME) {
        return cb_fail(diag, CB_NOT_FOUND, NULL, "`%s` has no kernel `%s`", path, entry);
    }
    if (code != CL_SUCCESS) {
        return cb__cl_fail(diag, code, "making a kernel");
    }
    kernel->name = name;
    read_kernel_facts(device, kernel);
    kernel->next = program->kernels;
    program->kernels = kernel;
    *out = kernel;
    return CB_OK;
}

enum cb_status cb_kernel_compiles(struct cb_device *device, const char *header, const char *path, struct cb_diag *diag)
{
    struct cb__program *program = NULL;
    return get_program(device, header ? header : "", path, "", &program, diag);
}

static void store_unsaved(struct cb_device *device)
{
    double now = cb_clock_seconds(), until = now + 0.05 * (now - device->opened_at);
    for (struct cb__program *program = device->programs; program; program = program->next) {
        struct cb_arena *scratch = program->unsaved && cb_clock_seconds() < until ? cb_arena_create() : NULL;
        if (scratch) {
            store_binary(scratch, program->handle, program->unsaved);
            cb_arena_destroy(scratch);
        }
    }
}

void cb__programs_release(struct cb_device *device)
{
    store_unsaved(device);
    for (struct cb__program *program = device->programs; program; program = program->next) {
        for (struct cb_kernel *kernel = program->kernels; kernel; kernel = kernel->next) {
            clReleaseKernel(kernel->handle);
        }
        clReleaseProgram(program->handle);
    }
    device->programs = NULL;
}
