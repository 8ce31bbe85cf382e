/* internal.h: what the files of src/device share. OpenCL types appear here and nowhere above. */
#ifndef CAMBIUM_DEVICE_INTERNAL_H
#define CAMBIUM_DEVICE_INTERNAL_H

#include <CL/cl.h>

#include "base/arena.h"
#include "base/text.h"
#include "device/device.h"

/* One device of one platform, before it is opened. */
struct cb__candidate {
    cl_platform_id platform;
    cl_device_id id;
    struct cb_device_info info;
};

struct cb_kernel {
    cl_kernel handle;
    const char *name;     /* the entry */
    uint64_t max_local;   /* CL_KERNEL_WORK_GROUP_SIZE on this device */
    uint64_t required[3]; /* reqd_work_group_size, zeros when it has none */
    cl_uint arg_count;
    struct cb_kernel *next; /* of the same program */
};

struct cb__program {
    cl_program handle;
    uint64_t hash; /* of the next three */
    const char *header, *path, *defines;
    struct cb_kernel *kernels;
    const char *unsaved; /* where its binary is to be kept when the device is closed; else NULL */
    struct cb__program *next;
};

/* A row of the profile: one kernel, under one label. */
struct cb__timing {
    const struct cb_kernel *kernel;
    const char *label; /* a layer's name; "" */
    uint64_t launches;
    double seconds; /* of the launches whose events were read */
    struct cb__timing *next;
};

struct cb__pending {
    cl_event event;
    struct cb__timing *row;
};

#define CB__PENDING_MAX 512

struct cb_device {
    struct cb_arena *arena; /* strings, programs and kernels: all that lives as long as the device */
    cl_platform_id platform;
    cl_device_id id;
    cl_context context;
    cl_command_queue queue;
    struct cb_device_info info;
    struct cb_device_facts facts;
    const char *key;
    const char *tile_reason; /* why CB_CAP_TILE is set or not, a sentence without full stop */
    bool fast_fma;           /* fma() is one instruction */
    int32_t tile_panel;      /* columns of a register tile: 32 for 32 registers of 16 floats, else 16 */
    char *kernel_cache;      /* folder of binaries, NULL when there is none */
    uint64_t memory_limit;   /* bytes that Cambium may allocate here */
    uint64_t bytes_now, bytes_peak;
    struct cb__program *programs;
    double opened_at; /* cb_clock_seconds */
    bool profiling, profile_layers;
    const char *label; /* of the launches to come */
    struct cb__timing *timings;
    struct cb__pending pending[CB__PENDING_MAX];
    size_t pending_count;
    struct cb_buffer *gemm_space; /* packed panels and partial sums, grown on demand */
    bool clblast_used, clblast_declined;
    uint64_t program_builds, program_loads; /* from source, from the cache on disk */
};

struct cb_buffer {
    struct cb_device *device;
    struct cb_buffer *root; /* the allocation this is a window of; NULL for an allocation itself */
    cl_mem handle;
    uint64_t offset; /* in the root */
    uint64_t bytes;
    uint32_t references; /* of an allocation: the owner and every window */
};

/* ---- errors.c ---- */

/* "CL_OUT_OF_RESOURCES"; for an unknown code "an unknown OpenCL error". */
const char *cb__cl_name(cl_int code);
/* Reports that `what` ("starting kernel `x`") failed with `code`. Memory codes give CB_MEMORY, all others CB_DEVICE. */
enum cb_status cb__cl_fail(struct cb_diag *diag, cl_int code, const char *what);

/* ---- choose.c ---- */

/* All devices of all platforms, sorted by platform name, then in the driver's order. */
enum cb_status cb__candidates(struct cb_arena *arena, struct cb__candidate **out, size_t *out_count,
                              struct cb_diag *diag);
/* Index of the device that `which` means (see cb_device_open); pure. On failure the message lists what there is. */
enum cb_status cb__choose(const struct cb_device_info *infos, size_t count, const char *which, size_t *out_index,
                          struct cb_diag *diag);

/* ---- open.c ---- */

/* Makes the device's queue, with events' times when it is profiling. */
enum cb_status cb__open_queue(struct cb_device *device, struct cb_diag *diag);

/* Opens a candidate with the capabilities that need no trial. */
enum cb_status cb__device_open_candidate(const struct cb__candidate *candidate, struct cb_device **out,
                                         struct cb_diag *diag);

/* ---- tile.c ---- */

enum cb__tile { CB__TILE_NO, CB__TILE_YES, CB__TILE_TRY_HERE, CB__TILE_TRY_CHILD };
/* What is known of explicit register tiles on a device without running anything; `*out_reason` is static text. */
enum cb__tile cb__tile_expectation(const struct cb_device_info *info, const char **out_reason);
/* Sets or clears CB_CAP_TILE of an open device: from the remembered verdict, else by a trial, which is remembered. */
void cb__tile_decide(struct cb_device *device, size_t number);
/* Runs the program cambium-probe on device `number`, at most `seconds` long; returns whether it says yes. `*out_reason` is
 * static text; `*out_is_verdict` is false when there was no trial at all. */
bool cb__tile_try_child(size_t number, double seconds, const char **out_reason, bool *out_is_verdict);

/* ---- gemm_clblast.c ---- */

/* UNSUPPORTED when it fails or was not built in; a failure is remembered in the device. */
enum cb_status cb__gemm_clblast(struct cb_device *device, const struct cb_gemm *gemm, struct cb_diag *diag);
bool cb__gemm_prefers_clblast(const struct cb_device *device, const struct cb_gemm *gemm);
void cb__gemm_clblast_release(struct cb_device *device);

/* ---- gemm_trial.c ---- */

/* One product [m,k] x [k,n] of made-up values in the given form: the largest difference from the host's in double as a
 * part of the largest value, and the least of a few times. */
enum cb_status cb__gemm_trial(struct cb_device *device, enum cb_gemm_form form, int m, int n, int k, double *out_error,
                              double *out_seconds, struct cb_diag *diag);

/* ---- source.c ---- */

/* `header`, which may be "", and the text of `path`, with their `#include "..."` lines replaced by the files' texts and
 * `#line` directives, so that a build needs no include folders and the text alone is the cache's key. Appended to `out`. */
enum cb_status cb__source_expand(const char *header, const char *path, struct cb_text *out, struct cb_diag *diag);
/* SHA-256 over the kernel files of the installed cl folder: part of the device's key. */
void cb__kernels_sha256(char hex[65]);

/* ---- program.c ---- */

void cb__programs_release(struct cb_device *device);

/* ---- launch.c ---- */

/* Work-group size for a launch that leaves it open (`local` all zero): into `local`, all zero when the driver is to
 * choose. Pure. Only dimension 0 is ever rounded up; the others divide. */
void cb__local_size(bool is_cpu, uint64_t compute_units, uint64_t max_local, const uint64_t global[3],
                    size_t local[3]);

/* ---- profile.c ---- */

/* Takes the event of a launch over. */
void cb__profile_add(struct cb_device *device, const struct cb_kernel *kernel, cl_event event);
/* Waits for profiled launches and adds up their times. */
void cb__profile_collect(struct cb_device *device);

/* ---- gemm.c ---- */

#define CB__GEMM_ARGS_MAX 64

/* What is fused into the store; header NULL or empty: nothing. */
struct cb__epilogue {
    const char *header;
    const struct cb_arg *args;
    uint32_t count;
};

/* The length of a chunk of k (see cl/core/gemm.cl), a multiple of 256; a function of k alone. */
int64_t cb__gemm_chunk(int64_t k);
/* A kernel of cl/`file`.cl. */
enum cb_status cb__gemm_kernel(struct cb_device *device, const char *header, const char *file, const char *defines,
                               const char *entry, struct cb_kernel **out, struct cb_diag *diag);
/* Launches with `args` followed by `more`. */
enum cb_status cb__gemm_launch(struct cb_device *device, struct cb_kernel *kernel, const struct cb_grid *grid,
                               const struct cb_arg *args, uint32_t count, const struct cb_arg *more, uint32_t more_count,
                               struct cb_diag *diag);
void cb__gemm_release(struct cb_device *device);

/* ---- gemm_tile.c ---- */

/* The register-tiled form; needs no CB_CAP_TILE, which is what a trial calls it to find out. */
/* `panels` may be NULL. */
enum cb_status cb__gemm_tile(struct cb_device *device, const struct cb_gemm *gemm, struct cb_gemm_panels *panels,
                             const struct cb__epilogue *epilogue, struct cb_diag *diag);

#endif
