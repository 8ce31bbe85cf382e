/* trial.h: one layer on a device, without a network around it: a check binds every tensor itself, puts guard words
 * behind each, and runs any variant of any pass. It is a core of its own behind the plugin ABI (struct cb_host).
 *
 * Everything that a pass writes is filled with NaN before it. A failure of the machinery itself (not of the layer)
 * leaves by escape.h. */
#ifndef CAMBIUM_CHECK_TRIAL_H
#define CAMBIUM_CHECK_TRIAL_H

#include "check/array.h"
#include "device/device.h"
#include "graph/registry.h"

#define TRIAL_MAX 16
#define CB__STAGE_BYTES 512

/* A tensor on the device with guard words before and behind it. */
struct guarded {
    struct cb_tensor tensor;
    const char *name; /* "param 0" */
    struct cb_buffer *whole, *window;
    uint64_t bytes, before; /* of the tensor; of the guard words before it */
    bool is_overrun;        /* said already */
};

/* A variant with its kernels and scratch memory. */
struct prepared {
    const struct cb_variant *variant; /* NULL: not yet */
    bool chained;                     /* compiled with the test's epilogue or, of backward, prologue */
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
    struct cb_arena *scratch; /* see cb__trial_scratch */
    struct cb_device *device;
    struct cb_diag *diag;
    const struct cb_layer_type *type;
    struct cb_instance in;

    struct trial_declared outputs[TRIAL_MAX], saves[TRIAL_MAX];
    struct cb_param_decl params[TRIAL_MAX], states[TRIAL_MAX];
    uint32_t param_count, state_count, saved_count, output_mask, output_count;
    char message[1024]; /* what the plugin said last through host->fail */

    struct cb_tensor *x[TRIAL_MAX], *y[TRIAL_MAX], *param[TRIAL_MAX], *state[TRIAL_MAX], *saved[TRIAL_MAX];
    struct cb_tensor *dy[TRIAL_MAX], *dx[TRIAL_MAX], *dw[TRIAL_MAX];
    struct cb_tensor *sample_ids;
    struct cb_tensor *lengths; /* NULL: the inputs have none */
    struct guarded *memory[1024];
    uint32_t memory_count;
    uint32_t *guard_words; /* room to read guard words into */
    uint64_t guard_bytes;
    bool keeps_derived; /* a run finds the derived tensors of the last one, as that of a frozen layer does */
    uint32_t poison, guard; /* patterns that fill what is not written yet, and what nobody may write */
    bool is_exact;          /* no guard words */
    char *stage;            /* CB__STAGE_BYTES or NULL: what runs now */
    const char *case_name;  /* for `stage` */
    int64_t *heap;          /* NULL, or grows by what the plugin's own code takes from the heap and does not give back */
    uint64_t heap_mark;

    bool is_preparing;                         /* kernels and memory may be asked for now */
    struct prepared *now;                      /* the variant that prepares or runs */
    struct cb_tensor *chain_scale, *chain_add; /* of the test's epilogue: [C] and like y */
};

/* host.c: what plugins get from a trial; a registry is created with it. */
extern const struct cb_host cb__trial_host;
/* Its `fail`: keeps the text in core->message, returns `status`. */
enum cb_status cb__trial_fail(struct cb_core *core, enum cb_status status, const char *option, const char *fmt, ...)
    CB_PRINTF(4, 5);
uint64_t cb__trial_heap_bytes(void); /* in use by the process, 0 where the C library does not tell */
/* Around every call of the plugin's code, and the other way round in every host function that takes memory itself: what the
 * heap grows by in between is added to *core->heap. */
void cb__trial_plugin_begins(struct cb_core *core);
void cb__trial_plugin_ends(struct cb_core *core);

/* Reads the options and runs check and infer on the inputs' shapes; on failure `core->message` says what the plugin (or
 * the options' reader) said. Allocates nothing on the device. */
enum cb_status cb__trial_infer(struct cb_core *core, struct cb_device *device, const struct cb_layer_type *type,
                           const struct cb_value *options, const struct array *x, uint32_t x_count,
                           struct cb_arena *arena, struct cb_diag *diag);
/* Makes the tensors x, y, params, state, saved, dy, dx, dw and binds them all. */
void cb__trial_allocate(struct cb_core *core);
void cb__trial_finish(struct cb_core *core); /* frees the device's memory */
/* One more tensor, poisoned, with guard words, named for messages (in the arena); freed by trial_finish. */
struct cb_tensor *cb__trial_tensor(struct cb_core *core, const char *name, uint32_t dtype, uint32_t rank, const int64_t *dims);

void cb__trial_write(struct cb_core *core, const struct cb_tensor *tensor, const struct array *values);
struct array cb__trial_read(struct cb_core *core, const struct cb_tensor *tensor);
void cb__trial_poison(struct cb_core *core, const struct cb_tensor *tensor);

/* An arena for what lives no longer than until the next call; what the last one gave is freed. Until trial_finish. */
struct cb_arena *cb__trial_scratch(struct cb_core *core);

/* Compiles a variant. `chained`: with the epilogue v -> v * scale[channel] + add[index]; of backward: with the prologue
 * dy, v -> dy * (1 + v * TRIAL_SLOPE). */
#define TRIAL_SLOPE 0.25f
struct prepared *cb__trial_prepare(struct cb_core *core, const struct cb_variant *variant, bool chained);
/* Poisons its scratch memory, derives, runs, waits. */
void cb__trial_run(struct cb_core *core, struct prepared *prepared);

/* A tensor whose guard words are not what they were, each once; `out_offset`: the first element that was written, from
 * the tensor's beginning. NULL when there is none (any more). */
const struct guarded *cb__trial_next_overrun(struct cb_core *core, int64_t *out_offset);
/* Other words around every tensor: what reads them gives other results. */
void cb__trial_set_guards(struct cb_core *core, uint32_t pattern);
#define TRIAL_GUARD 0x5a17c0deu  /* as float 1e16 */
#define TRIAL_GUARD2 0x7fc0beefu /* NaN */
#define TRIAL_POISON 0xffc0deadu /* NaN */
#define TRIAL_POISON2 0x44444444u /* 785 */

/* The layer's variants; those of a pointwise layer are made up: its functions over float, float4 and float16. */
const struct cb_variant *cb__trial_variants(const struct cb_layer_type *type, uint32_t *out_count);

/* pointwise.c: the made-up variants, and the text that makes the layer's file and
 * cl/core/trial_pointwise.cl one program. */
extern const struct cb_variant cb__trial_pointwise_variants[6];
char *cb__trial_pointwise_header(struct cb_core *core, const char *path);

/* Leaves by escape.h, with what core->diag holds, unless `status` is CB_OK. */
void cb__trial_must(struct cb_core *core, enum cb_status status, const char *what);

#endif
