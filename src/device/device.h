/* device.h: one OpenCL device: choosing it, its capabilities, memory, programs, launches, the matrix product.
 *
 * A device has one context and one in-order queue; everything enqueued runs in order. Objects made from a device must be
 * destroyed before it. One thread at a time. OpenCL types stay inside src/device; other folders see opaque structs. */
#ifndef CAMBIUM_DEVICE_DEVICE_H
#define CAMBIUM_DEVICE_DEVICE_H

#include <cambium/layer.h>

#include "base/arena.h"

struct cb_device;
struct cb_buffer;
struct cb_kernel;

/* ---- choosing ---- */

struct cb_device_info {
    char name[128], vendor[128], platform[128], version[128], driver[128];
    bool is_cpu, is_gpu, available;
    uint32_t compute_units, caps; /* CB_CAP_* */
    uint64_t global_bytes, largest_allocation_bytes, local_bytes, max_work_group, base_align_bytes;
};

/* All devices of all platforms, in a stable order (their numbers for --device). An empty list is not an error. */
enum cb_status cb_device_list(struct cb_arena *arena, struct cb_device_info **out_infos, size_t *out_count,
                              struct cb_diag *diag);
/* `which`: NULL or "" for the default (the GPU with the most memory, else another accelerator, else the CPU), a number of
 * the list, or part of a name; CAMBIUM_DEVICE stands in for NULL. */
enum cb_status cb_device_open(const char *which, struct cb_device **out, struct cb_diag *diag);
void cb_device_close(struct cb_device *device); /* accepts NULL; waits for the queue */
const struct cb_device_info *cb_device_get_info(const struct cb_device *device);
const struct cb_device_facts *cb_device_get_facts(const struct cb_device *device);
/* A text that identifies device, driver and kernels: part of every cache key. */
const char *cb_device_key(const struct cb_device *device);

/* ---- memory ---- */

/* Uninitialised memory of `bytes` (at least 1); on failure says what was asked for and what is free. */
enum cb_status cb_buffer_create(struct cb_device *device, uint64_t bytes, struct cb_buffer **out, struct cb_diag *diag);
/* A window of `parent` (offset a multiple of base_align_bytes); keeps the parent alive. */
enum cb_status cb_buffer_slice(struct cb_buffer *parent, uint64_t offset, uint64_t bytes, struct cb_buffer **out,
                               struct cb_diag *diag);
void cb_buffer_destroy(struct cb_buffer *buffer); /* accepts NULL */
uint64_t cb_buffer_bytes(const struct cb_buffer *buffer);
/* write returns once `data` may be reused; read waits for the queue and the data. Ranges are checked. */
enum cb_status cb_buffer_write(struct cb_device *device, struct cb_buffer *buffer, uint64_t offset, const void *data,
                               uint64_t bytes, struct cb_diag *diag);
enum cb_status cb_buffer_read(struct cb_device *device, struct cb_buffer *buffer, uint64_t offset, void *data,
                              uint64_t bytes, struct cb_diag *diag);
/* Enqueued: a repeated 4-byte pattern; a copy between buffers. */
enum cb_status cb_buffer_fill(struct cb_device *device, struct cb_buffer *buffer, uint64_t offset, uint64_t bytes,
                              uint32_t pattern, struct cb_diag *diag);
enum cb_status cb_buffer_copy(struct cb_device *device, struct cb_buffer *to, uint64_t to_offset,
                              struct cb_buffer *from, uint64_t from_offset, uint64_t bytes, struct cb_diag *diag);
/* Bytes now and at most allocated from this device by Cambium. */
void cb_device_memory(const struct cb_device *device, uint64_t *out_now, uint64_t *out_peak);

enum cb_status cb_device_finish(struct cb_device *device, struct cb_diag *diag); /* waits for everything enqueued */
enum cb_status cb_device_flush(struct cb_device *device, struct cb_diag *diag);

/* ---- programs ---- */

/* A kernel of a program. The program's text is `header` (generated, may be NULL) + the file at `path`, compiled with
 * `defines` ("-DA=1 -DB", may be NULL); includes are found in the file's folder and in cl/include. Programs are shared
 * within the device by (header, path, defines) and kept as binaries in the user's cache. A build failure carries the
 * build log, whose lines name the real file. The kernel lives as long as the device: never destroyed by the caller. */
enum cb_status cb_kernel_get(struct cb_device *device, const char *header, const char *path, const char *defines,
                             const char *entry, struct cb_kernel **out, struct cb_diag *diag);
/* The file of a kernel of the library: "core/gemm" -> .../cl/core/gemm.cl, from the folders of CAMBIUM_CL_PATH, `beside`
 * (the plugin's own folder, may be NULL), then the installed ones. NULL when it does not exist. In the arena. */
char *cb_kernel_path(struct cb_arena *arena, const char *source, const char *beside);
/* From now on cb_kernel_path finds `file`, which a plugin carries, as if it lay in `folder`, where no such file lies. */
enum cb_status cb_kernel_carry(const char *folder, const struct cb_kernel_file *file);
/* The text at a path of cb_kernel_path, and the path that messages shall show. Lives as long as the arena. */
enum cb_status cb_kernel_read(struct cb_arena *arena, const char *path, const struct cb_place *at, const char **out_text,
                              size_t *out_bytes, const char **out_shown, struct cb_diag *diag);
/* Does the file at `path` build by itself, behind `header` (may be NULL)? No kernel is made. */
enum cb_status cb_kernel_compiles(struct cb_device *device, const char *header, const char *path, struct cb_diag *diag);

/* Enqueues a kernel; a tensor's buffer may be NULL. Counts launches and, when profiling, time by kernel. */
enum cb_status cb_kernel_launch(struct cb_device *device, struct cb_kernel *kernel, const struct cb_grid *grid,
                                const struct cb_arg *args, uint32_t arg_count, struct cb_diag *diag);

/* How many arguments the kernel declares. */
uint32_t cb_kernel_arg_count(const struct cb_kernel *kernel);

/* ---- matrix product ---- */

/* See struct cb_gemm in layer.h. Chooses: our register-tiled kernels on CPU-class devices, CLBlast on others where it was
 * built in and works, else the plain kernel. `epilogue_header` (may be NULL) and the arguments that its parameters ask
 * for are put behind the store, as for any EPILOGUE variant (cl/include/epilogue.clh); only the tiled and plain kernels
 * take one. */
enum cb_status cb_device_gemm(struct cb_device *device, const struct cb_gemm *gemm, const char *epilogue_header,
                              const struct cb_arg *epilogue_args, uint32_t epilogue_arg_count, struct cb_diag *diag);

/* Operand b copied into the panels that the tiled form reads, kept by a caller whose b stays the same from product to product
 * (params in inference, frozen ones): made by the first product with it, and again where `is_current` was cleared. Begins as
 * zeros; the buffer is the caller's to destroy. */
struct cb_gemm_panels {
    const struct cb_tensor *b; /* whose panels they are; set by the caller */
    struct cb_buffer *buffer;
    int64_t n, k, width; /* of the product that made them */
    bool b_transposed, is_current;
};
/* cb_device_gemm, with b's panels kept in `panels`; NULL: they are not. `gemm` takes all of b, from its beginning. */
enum cb_status cb_device_gemm_kept(struct cb_device *device, const struct cb_gemm *gemm, struct cb_gemm_panels *panels,
                                   const char *epilogue_header, const struct cb_arg *epilogue_args,
                                   uint32_t epilogue_arg_count, struct cb_diag *diag);

/* The same in a given form, for tests, doctor and measurements; a form that the device cannot run is UNSUPPORTED. */
enum cb_gemm_form { CB_GEMM_AUTO, CB_GEMM_PLAIN, CB_GEMM_GROUP, CB_GEMM_TILE, CB_GEMM_CLBLAST };
enum cb_status cb_device_gemm_as(struct cb_device *device, enum cb_gemm_form form, const struct cb_gemm *gemm,
                                 const char *epilogue_header, const struct cb_arg *epilogue_args,
                                 uint32_t epilogue_arg_count, struct cb_diag *diag);

/* ---- looking ---- */

/* Time by kernel, when CAMBIUM_PROFILE is set or after this call: name, launches, seconds; appended as a table. */
void cb_device_profile(struct cb_device *device, bool enabled);
/* With CAMBIUM_PROFILE=layers, what is launched from now on is counted under this label, which must stay until the next. */
void cb_device_profile_label(struct cb_device *device, const char *label);
/* What the device can do at most, measured in about a second: fp32 operations (a fused multiply-add is two) and bytes
 * read or written per second, in a copy that no cache holds. */
struct cb_device_bounds {
    double operations, bytes;
};
enum cb_status cb_device_measure(struct cb_device *device, struct cb_device_bounds *out, struct cb_diag *diag);

/* What the program cambium-probe does: opens device number `which` and tries register tiles on it, which on an unknown
 * driver may crash or never end. CB_OK when they work. Called in a child process by cb_device_open, once per driver. */
enum cb_status cb_device_probe_tile(const char *which, struct cb_diag *diag);

struct cb_text;
void cb_device_profile_report(struct cb_device *device, struct cb_text *out);

/* `cambium doctor`: arithmetic, local memory, work-group limits, matrix product, reductions, each against the host. */
struct cb_doctor_result {
    const char *what;  /* "matrix product, tile" */
    bool passed, declined; /* declined: the device cannot, and another way serves */
    char detail[160];  /* the figure or the reason, in words */
};
enum cb_status cb_device_doctor(struct cb_device *device, struct cb_arena *arena, struct cb_doctor_result **out,
                                size_t *out_count, struct cb_diag *diag);

#endif
