/* trial.h: one layer on a device, without a network around it: a test binds every tensor itself, puts guard words
 * behind each, and runs any variant of any pass. It is a core of its own behind the plugin ABI (struct cb_host).
 *
 * Everything that a pass writes is filled with NaN before it. A failure of the machinery itself (not of the layer)
 * prints and exits. */
#ifndef CAMBIUM_TESTS_TRIAL_H
#define CAMBIUM_TESTS_TRIAL_H

#include "array.h"
#include "device/device.h"
#include "graph/registry.h"

#define TRIAL_MAX 16

/* A tensor on the device with guard words behind it. */
struct guarded {
    struct cb_tensor tensor;
    struct cb_buffer *whole, *window;
    uint64_t bytes;
};

/* A variant with its kernels and scratch memory. */
struct prepared {
    const struct cb_variant *variant; /* NULL: not yet */
    bool chained;                     /* compiled with the test's epilogue */
    struct cb_kernel *kernels[TRIAL_MAX];
    struct cb_tensor *workspace[TRIAL_MAX], *derived[TRIAL_MAX];
    uint32_t kernel_count, workspace_count, derived_count;
};

struct trial_declared {
    uint32_t dtype, rank;
    int64_t dims[CB_MAX_RANK];
};

struct cb_core {
    struct cb_arena *arena;
    struct cb_device *device;
    struct cb_diag *diag;
    const struct cb_layer_type *type;
    struct cb_instance in;

    struct trial_declared outputs[TRIAL_MAX], saves[TRIAL_MAX];
    struct cb_param_decl params[TRIAL_MAX], states[TRIAL_MAX];
    uint32_t param_count, state_count, saved_count;
    char message[1024]; /* what the plugin said last through host->fail */

    struct cb_tensor *x[TRIAL_MAX], *y[TRIAL_MAX], *param[TRIAL_MAX], *state[TRIAL_MAX], *saved[TRIAL_MAX];
    struct cb_tensor *dy[TRIAL_MAX], *dx[TRIAL_MAX], *dw[TRIAL_MAX];
    struct cb_tensor *sample_ids;
    struct cb_tensor *lengths; /* NULL: the inputs have none */
    struct guarded *memory[256];
    uint32_t memory_count;

    struct prepared *now;                      /* the variant that prepares or runs */
    struct cb_tensor *chain_scale, *chain_add; /* of the test's epilogue: [C] and like y */
};

/* What plugins get from a trial; a registry is created with it. */
extern const struct cb_host trial_host;

/* Reads the options and runs check and infer on the inputs' shapes; on failure `core->message` says what the plugin (or
 * the options' reader) said. Allocates nothing on the device. */
enum cb_status trial_infer(struct cb_core *core, struct cb_device *device, const struct cb_layer_type *type,
                           const struct cb_value *options, const struct array *x, uint32_t x_count,
                           struct cb_arena *arena, struct cb_diag *diag);
/* Makes the tensors x, y, params, state, saved, dy, dx, dw and binds them all. */
void trial_allocate(struct cb_core *core);
void trial_finish(struct cb_core *core); /* frees the device's memory */
/* One more tensor, poisoned, with guard words; freed by trial_finish. */
struct cb_tensor *trial_tensor(struct cb_core *core, uint32_t dtype, uint32_t rank, const int64_t *dims);

void trial_write(struct cb_core *core, const struct cb_tensor *tensor, const struct array *values);
struct array trial_read(struct cb_core *core, const struct cb_tensor *tensor);
void trial_poison(struct cb_core *core, const struct cb_tensor *tensor);

/* Compiles a variant. `chained`: with the epilogue v -> v * scale[channel] + add[index]. */
struct prepared *trial_prepare(struct cb_core *core, const struct cb_variant *variant, bool chained);
/* Poisons its scratch memory, derives, runs, waits. */
void trial_run(struct cb_core *core, struct prepared *prepared);

/* How many tensors have been written behind their end. */
uint32_t trial_count_overruns(struct cb_core *core);

/* The layer's variants; those of a pointwise layer are made up: its functions over float, float4 and float16. */
const struct cb_variant *trial_variants(const struct cb_layer_type *type, uint32_t *out_count);

/* pointwise.c: the made-up variants, and the text that makes the layer's file and pointwise.cl one program. */
extern const struct cb_variant trial_pointwise_variants[6];
char *trial_pointwise_header(struct cb_core *core, const char *path);

/* Prints and exits unless `status` is CB_OK. */
void trial_must(struct cb_core *core, enum cb_status status, const char *what);

#endif
