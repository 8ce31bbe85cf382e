/* layer.h: the ABI between Cambium and a layer plugin. It is all that a plugin includes.
 *
 * A plugin is one shared object, NAME.so, that exports
 *     const struct cb_plugin *cb_plugin_entry(const struct cb_host *host);
 * and links against nothing: whatever it may call stands in `host`. A layer is one const descriptor (struct cb_layer) of
 * names, tables and a few functions. The core parses the YAML, checks the options, chooses which variant runs, plans the
 * memory, binds the tensors and decides what is frozen; the plugin infers shapes and enqueues kernels.
 *
 * Compatibility: every struct here begins with its size or lies in an array with a stride; fields are only appended;
 * integers have fixed widths. The core copies the smaller size into a zeroed struct, so that older plugins load in newer
 * cores and the reverse. `abi` must be equal.
 *
 * Layouts are channels-last: images [N,H,W,C], sequences [N,T,C], filters [KH,KW,C/groups,K], dense weights [C,K].
 *
 * "[check]", "[device]", "[run]" before a function say when the core calls it:
 *   [check]   once per layer of a network, no device is open, must be quick
 *   [device]  once per layer and plan; the only place that may be slow (compiles kernels)
 *   [run]     many times; only enqueues work, never waits
 * All calls for one network come from one thread at a time.
 */
#ifndef CAMBIUM_LAYER_H
#define CAMBIUM_LAYER_H

#include <cambium/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CB_ABI 1u
#define CB_MAX_RANK 8

enum cb_dtype { CB_F32 = 0, CB_F16 = 1, CB_I32 = 2, CB_U8 = 3 };
#define CB_BIT(n) (1u << (n))

/* A table whose elements may grow in later versions. */
struct cb_array {
    const void *items;
    uint32_t count;
    uint32_t stride; /* bytes from one element to the next */
};
#define CB_ARRAY(a) {(a), (uint32_t)(sizeof(a) / sizeof((a)[0])), (uint32_t)sizeof((a)[0])}

/* ---- options -------------------------------------------------------------------------------------------------- */

enum cb_option_type {
    CB_OPT_INT,    /* int64_t */
    CB_OPT_REAL,   /* double */
    CB_OPT_BOOL,   /* uint32_t, 0 or 1 */
    CB_OPT_CHOICE, /* int32_t, index into choices */
    CB_OPT_TEXT,   /* const char *, NULL when absent */
    CB_OPT_INTS,   /* struct cb_list of int64_t; one number in YAML is a list of one */
    CB_OPT_REALS,  /* struct cb_list of double; likewise */
    CB_OPT_TEXTS,  /* struct cb_list of const char *; likewise */
};

/* A list option. With `choices`, a word of those may stand instead of the list: then count is 0 and choice its index
 * (padding: same); otherwise choice is -1. */
struct cb_list {
    const void *items;
    uint32_t count;
    int32_t choice;
};
/* A default for a list option: {1, 1} as CB_LIST_OF(int64_t, 1, 1); a word as CB_LIST_CHOICE(index). */
#define CB_LIST_OF(type, ...)                                                                      \
    {(const type[]){__VA_ARGS__}, (uint32_t)(sizeof((const type[]){__VA_ARGS__}) / sizeof(type)), -1}
#define CB_LIST_CHOICE(index) {0, 0, (index)}
#define CB_LIST_EMPTY {0, 0, -1}

enum {
    CB_OPTION_REQUIRED = 1u << 0,
    CB_OPTION_DEPRECATED = 1u << 1, /* help says what to use instead */
    CB_OPTION_CLASSES = 1u << 2,    /* an integer that the task fills with the number of its classes when left out */
};

struct cb_option {
    const char *key;
    const char *help; /* one sentence */
    uint32_t type;    /* enum cb_option_type */
    uint32_t offset;  /* offsetof into the options struct */
    double min, max;  /* of each number, inclusive; both zero: no bound */
    const char *const *choices; /* NULL-terminated; required for CB_OPT_CHOICE */
    uint32_t flags;             /* CB_OPTION_* */
    uint32_t max_count;         /* of a list; 0: no bound */
};
/* The three fields of a descriptor that tell its options: CB_OPTIONS(options, defaults). */
#define CB_OPTIONS(table, values) .options = CB_ARRAY(table), .defaults = &(values), .options_size = sizeof(values)

/* ---- tensors, params ------------------------------------------------------------------------------------------- */

struct cb_buffer; /* device memory; opaque to plugins */

struct cb_tensor {
    uint32_t struct_size;
    uint32_t dtype; /* enum cb_dtype */
    uint32_t rank;
    uint32_t reserved;
    int64_t dims[CB_MAX_RANK];       /* activations: dims[0] is N, and may change between calls of [run] functions */
    struct cb_buffer *buffer;        /* NULL during [check]; always begins at offset 0 */
    const struct cb_tensor *lengths; /* [N] i32: how many of dims[1] are real; NULL: all */
};

static inline int64_t cb_tensor_count(const struct cb_tensor *t)
{
    int64_t n = 1;
    for (uint32_t i = 0; i < t->rank; i++) {
        n *= t->dims[i];
    }
    return n;
}

/* What a param is: importers convert layouts by it, optimizers skip weight decay for vectors. */
enum cb_param_role {
    CB_PARAM_VECTOR = 0, /* a bias, a norm's scale: no weight decay */
    CB_PARAM_FILTER = 1, /* [KH,KW,C/groups,K]; other frameworks: [K,C/groups,KH,KW] */
    CB_PARAM_MATRIX = 2, /* [C,K]; other frameworks: [K,C] */
    CB_PARAM_TABLE = 3,  /* [rows,C] as everywhere: an embedding */
};

enum cb_init {
    CB_INIT_CONSTANT = 0,       /* value */
    CB_INIT_HE_NORMAL = 1,      /* normal, std = value * sqrt(2 / fan_in), value usually 1 (He 2015) */
    CB_INIT_HE_UNIFORM = 2,     /* uniform within +- value / sqrt(fan_in): PyTorch's default for conv and dense */
    CB_INIT_GLOROT_UNIFORM = 3, /* uniform within +- value * sqrt(6 / (fan_in + fan_out)) */
    CB_INIT_NORMAL = 4,         /* normal, std = value */
};

struct cb_param_decl {
    uint32_t struct_size;
    uint32_t role; /* enum cb_param_role */
    const char *name; /* "w", "b": the tensor in a file is LAYER.NAME */
    const char *foreign; /* what torch calls it: "weight", "bias", "running_mean" */
    uint32_t rank;
    uint32_t init; /* enum cb_init */
    int64_t dims[CB_MAX_RANK];
    double value;           /* of the initialiser */
    double fan_in, fan_out; /* of the initialiser */
    /* Of a TABLE: its last rows stand for a grid of so many rows and columns, {0, 0}: they don't. From a file with a grid of
     * another size it is resampled. */
    int64_t grid[2];
};

/* ---- what a plugin may call ------------------------------------------------------------------------------------ */

struct cb_core;   /* the core's side of a layer; first argument of every host function */
struct cb_kernel; /* a compiled kernel */

enum cb_arg_kind { CB_ARG_TENSOR, CB_ARG_I32, CB_ARG_I64, CB_ARG_F32, CB_ARG_LOCAL };

/* One kernel argument. A NULL tensor passes a NULL pointer to the kernel. */
struct cb_arg {
    uint32_t kind;
    uint32_t local_bytes;
    const struct cb_tensor *tensor;
    int64_t integer;
    double real;
};
#define CB_A_TENSOR(t) {CB_ARG_TENSOR, 0, (t), 0, 0.0}  /* __global real * */
#define CB_A_I32(v) {CB_ARG_I32, 0, 0, (v), 0.0}        /* int */
#define CB_A_I64(v) {CB_ARG_I64, 0, 0, (v), 0.0}        /* long */
#define CB_A_F32(v) {CB_ARG_F32, 0, 0, 0, (v)}          /* float */
#define CB_A_LOCAL(bytes) {CB_ARG_LOCAL, (bytes), 0, 0, 0.0}

/* Work-items per dimension; local all zero: the driver chooses. Global sizes need not divide: the core rounds up to the
 * local size, so every kernel begins with its bounds guard. */
struct cb_grid {
    uint64_t global[3]; /* unused dimensions 0 or 1 */
    uint32_t local[3];
};

/* y[M,N] = op(a) op(b) (+ y when accumulate, else + bias[N] where it is not NULL), all row-major and dense: a is [M,K], or [K,M] when a_transposed; b is
 * [K,N], or [N,K] when b_transposed. Element offsets shift the beginning. */
struct cb_gemm {
    uint32_t struct_size;
    uint32_t a_transposed, b_transposed, accumulate;
    int64_t m, n, k;
    const struct cb_tensor *a, *b, *y;
    int64_t a_offset, b_offset, y_offset; /* elements */
    const struct cb_tensor *bias; /* may be NULL */
};

/* Capability bits of a device; a variant names those it needs. */
enum {
    CB_CAP_TILE = 1u << 0,     /* CPU-class: explicit vectors and register tiles, work-groups of one, verified */
    CB_CAP_GROUP = 1u << 1,    /* GPU-class: local memory, work-groups of 64 and more */
    CB_CAP_SUBGROUP = 1u << 2,
    CB_CAP_FP16 = 1u << 3,     /* arithmetic in half precision */
};

struct cb_device_facts {
    uint32_t struct_size;
    uint32_t caps;
    uint32_t compute_units;
    uint32_t is_cpu;
    uint64_t local_bytes;
    uint64_t max_work_group;
    uint64_t l2_bytes; /* per core on CPU-class devices; an estimate elsewhere */
    uint32_t tile_rows, tile_columns; /* CB_CAP_TILE: floats of a register tile, 12 x 32 or 6 x 16 */
};

struct cb_host {
    uint32_t struct_size;
    uint32_t abi;

    /* Reports what is wrong, in a sentence that begins in lower case and names no file: the core adds place and layer.
     * `option` (may be NULL) puts the caret under that option's value. Returns `status`. [always] */
    enum cb_status (*fail)(struct cb_core *core, enum cb_status status, const char *option, const char *fmt, ...);

    /* [infer] Declares output `index` (each exactly once) or appends a param, a state (saved in files, never trained), a
     * tensor kept from forward for backward (freed where no gradient is wanted). `dims` of activations include N. */
    enum cb_status (*output)(struct cb_core *core, uint32_t index, uint32_t dtype, uint32_t rank, const int64_t *dims);
    enum cb_status (*param)(struct cb_core *core, const struct cb_param_decl *decl);
    enum cb_status (*state)(struct cb_core *core, const struct cb_param_decl *decl);
    enum cb_status (*saved)(struct cb_core *core, uint32_t dtype, uint32_t rank, const int64_t *dims);

    /* [prepare of a variant] Compiles one entry of cl/SOURCE.cl (NULL: the layer's own file) with extra `-D...` options
     * (may be NULL) and appends it to `in->kernels`. Programs are shared and cached on disk; sizes belong into arguments. */
    enum cb_status (*kernel)(struct cb_core *core, const char *source, const char *entry, const char *defines);
    /* [prepare] Appends a scratch tensor of `count` elements to `in->workspace` (contents undefined at each run) or to
     * `in->derived` (made by the variant's derive from params, kept). */
    enum cb_status (*workspace)(struct cb_core *core, uint32_t dtype, int64_t count);
    enum cb_status (*derived)(struct cb_core *core, uint32_t dtype, int64_t count);

    /* [run, derive] Enqueue, in order. */
    enum cb_status (*launch)(struct cb_core *core, struct cb_kernel *kernel, const struct cb_grid *grid,
                             const struct cb_arg *args, uint32_t arg_count);
    enum cb_status (*gemm)(struct cb_core *core, const struct cb_gemm *gemm);
    enum cb_status (*fill)(struct cb_core *core, const struct cb_tensor *tensor, float value);
    enum cb_status (*copy)(struct cb_core *core, const struct cb_tensor *to, const struct cb_tensor *from);

    /* [device, run] */
    const struct cb_device_facts *(*device)(struct cb_core *core);
};

/* Arrays in place: CB_LAUNCH(in, 0, CB_GRID(n), CB_A_TENSOR(y), CB_A_TENSOR(x), CB_A_I64(n)). */
#define CB_GRID(...) (&(const struct cb_grid){{__VA_ARGS__}, {0, 0, 0}})
#define CB_GRID_LOCAL(g0, g1, g2, l0, l1, l2) (&(const struct cb_grid){{(g0), (g1), (g2)}, {(l0), (l1), (l2)}})
#define CB_LAUNCH(in, kernel_index, grid, ...)                                                     \
    (in)->host->launch((in)->core, (in)->kernels[kernel_index], (grid), (const struct cb_arg[]){__VA_ARGS__}, \
                       (uint32_t)(sizeof((const struct cb_arg[]){__VA_ARGS__}) / sizeof(struct cb_arg)))

/* ---- a layer in a network, as its plugin sees it ---------------------------------------------------------------- */

struct cb_instance {
    uint32_t struct_size;
    uint32_t training; /* 1: dropout drops, batchnorm uses the batch's statistics */
    const struct cb_host *host;
    struct cb_core *core;
    const char *name;    /* of this layer in the network */
    const void *options; /* the plugin's options struct, filled and checked */
    void *self;          /* the plugin's own, for this instance; NULL at first; release frees it */

    uint32_t x_count, y_count, param_count, state_count, saved_count;
    uint32_t kernel_count, workspace_count, derived_count;
    struct cb_tensor *const *x;
    struct cb_tensor *const *y;
    struct cb_tensor *const *params;
    struct cb_tensor *const *state;
    struct cb_tensor *const *saved; /* entry NULL: no gradient will be asked for, do not write it */
    /* of the variant that runs, in the order in which its prepare asked */
    struct cb_kernel *const *kernels;
    struct cb_tensor *const *workspace;
    struct cb_tensor *const *derived;

    /* backward only */
    struct cb_tensor *const *dy; /* gradient of each output, never NULL */
    struct cb_tensor *const *dx; /* entry NULL: not wanted */
    struct cb_tensor *const *dw; /* per param; entry NULL: not wanted */
    uint32_t dx_accumulate;      /* bit i: add to dx[i] instead of overwriting it */
    uint32_t dw_accumulate;      /* bit i: likewise dw[i] */

    /* randomness: a counter-based generator is keyed by these and nothing else */
    uint64_t seed; /* of the run and this layer */
    uint64_t step; /* of the training */
    const struct cb_tensor *sample_ids; /* [N] i32: which sample each row is; the same however it is batched */
};

/* ---- variants: the ways in which a pass may be computed ---------------------------------------------------------- */

enum cb_pass {
    CB_PASS_FORWARD = 0,
    CB_PASS_BACKWARD = 1, /* everything wanted of dx and dw in one; or else both of: */
    CB_PASS_DX = 2,       /* dx only */
    CB_PASS_DW = 3,       /* dw only */
    CB_PASS_FIT = 4,      /* a CB_LAYER_FITTED layer takes one batch of training data into its state */
};

enum {
    /* The kernels store their output only through CB_STORE / CB_STORE16 (cl/include/epilogue.clh), so that following
     * layers can be fused into them. */
    CB_VARIANT_EPILOGUE = 1u << 0,
    /* Of CB_PASS_BACKWARD: the kernels read dy only through CB_GRADIENT / CB_GRADIENT16 (cl/include/prologue.clh), to which they
     * give the layer's output at that place, computed again: the derivative of a pointwise layer that follows is fused into
     * the load, and nothing between the two is kept. */
    CB_VARIANT_PROLOGUE = 1u << 1,
};

/* For each pass the core takes one variant out of the layer's table: the first whose `needs` the device has and whose
 * `accepts` says yes, unless measurement chose another. The last one of a pass is the plain one that runs everywhere
 * and defines the result. */
struct cb_variant {
    uint32_t pass;    /* enum cb_pass */
    uint32_t flags;   /* CB_VARIANT_* */
    const char *name; /* "tile", "depthwise", "plain" */
    uint64_t needs;   /* CB_CAP_* */
    bool (*accepts)(const struct cb_instance *in);              /* [device] shapes (never N) and options; NULL: all */
    enum cb_status (*prepare)(struct cb_instance *in);          /* [device] more kernels, workspace, derived; may be NULL */
    enum cb_status (*derive)(struct cb_instance *in);           /* [run] makes in->derived from params; may be NULL */
    enum cb_status (*run)(struct cb_instance *in);              /* [run] */
    /* Entries of the layer's own .cl, with a blank between them, that are compiled before prepare, if there is one:
     * "my_pool_dx my_pool_dw" are in->kernels[0] and [1]. NULL: none. */
    const char *kernels;
};

/* ---- a layer -------------------------------------------------------------------------------------------------- */

enum {
    CB_LAYER_LOSS = 1u << 0, /* inputs: scores, targets; outputs: y0 [N] value of each sample, already multiplied by its
                                weight, y1 [N] the weights. dy0 is all ones; the core divides by the sum of weights. */
    CB_LAYER_VIEW = 1u << 1, /* y is x with other dims; nothing runs */
    CB_LAYER_RANDOM = 1u << 2,         /* in training the output depends on seed and step; else it is the identity */
    CB_LAYER_MODE_DEPENDENT = 1u << 3, /* forward differs between training and inference */
    CB_LAYER_NO_GRADIENT = 1u << 4,    /* has no backward: may stand only where no gradient passes */
    CB_LAYER_FITTED = 1u << 5,         /* state is fitted to training data before training (CB_PASS_FIT) */
    CB_LAYER_LINEAR = 1u << 6, /* y is linear in param 0, whose last dimension is the output's last; param 1, if any, is
                                  added to it: an affine per channel that follows can be folded into the params */
    CB_LAYER_SUM = 1u << 7,    /* y is the sum of its inputs, all of one shape: can be fused into a producer's store */
    CB_LAYER_FEWER_OUTPUTS = 1u << 8, /* how many outputs there are follows from options and shapes: infer declares 0, 1,
                                         ... without a gap, at least one; output_count is the most there may be */
    /* A loss with its defaults is -log(softmax(scores)[target]), or the mean of (scores - targets)^2: a linear layer on
     * fixed features then has an exact solution, softmax regression or least squares, that the core may compute. */
    CB_LAYER_SOFTMAX_REGRESSION = 1u << 9,
    CB_LAYER_LEAST_SQUARES = 1u << 10,
    CB_LAYER_EMBEDDING_LOSS = 1u << 11, /* a loss of features, not of predictions: each f32 input has a gradient */
    CB_LAYER_BATCH = 1u << 12, /* a row's result depends on the other rows of the batch, in inference too: a batch is never
                                  computed in parts */
};

/* What backward reads besides dy; all else is freed after forward. */
enum { CB_NEEDS_X = 1u << 0, CB_NEEDS_Y = 1u << 1, CB_NEEDS_PARAMS = 1u << 2, CB_NEEDS_SAVED = 1u << 3 };

/* A layer that maps each element on its own. It has no C code: the core makes its kernels from two functions in its .cl,
 *     vec NAME_f(vec x, OPTIONS)    and    vec NAME_df(vec x_or_y, OPTIONS)    (the derivative)
 * and fuses it into the layer above. `vec` is float, float4 or float16 (`ivec` the integers of that width); write
 * `select`, no `if`; every identifier begins with NAME_. Options of type real, integer, bool or choice (its index)
 * are passed as floats in the order of the table, the same for all elements: on those one may branch. */
struct cb_pointwise {
    uint32_t struct_size;
    uint32_t df_reads; /* CB_NEEDS_X or CB_NEEDS_Y: which of the two NAME_df takes */
};
#define CB_POINTWISE(df_reads) (&(const struct cb_pointwise){sizeof(struct cb_pointwise), (df_reads)})

struct cb_layer {
    uint32_t struct_size; /* 0: the stride of the array that it lies in */
    uint32_t flags;       /* CB_LAYER_* */
    const char *name;     /* the word in YAML; [a-z][a-z0-9_]* */
    const char *summary;  /* one line for `cambium layers` */
    const char *formula;  /* what it computes, in plain text; may have several lines */
    const char *example;  /* one line of YAML */
    struct cb_array options; /* of struct cb_option */
    const void *defaults;    /* one const struct */
    uint32_t options_size;
    uint32_t min_inputs, max_inputs; /* both 0 mean one; at most 32: dx_accumulate has a bit for each */
    uint32_t output_count; /* 0 means 1 */
    uint32_t dx_needs, dw_needs; /* CB_NEEDS_*; of a pointwise layer: what its df_reads says */
    uint32_t inplace;      /* bit i: the output may share memory with x[i] (elementwise, forward) */
    uint32_t inplace_grad; /* bit i: dx[i] may share memory with dy; a pointwise layer may do both */
    const struct cb_pointwise *pointwise; /* else NULL */
    struct cb_array variants;             /* of struct cb_variant; empty for pointwise and VIEW layers */

    /* [check] Options that a table cannot check. May be NULL. */
    enum cb_status (*check)(struct cb_instance *in);
    /* [check] Declares outputs, params, state, saved from in->x's shapes. Required, except for pointwise layers. */
    enum cb_status (*infer)(struct cb_instance *in);
    /* [check] Inference mode is y = scale[c] * x + shift[c] per channel: computes both (length: the channel count) from
     * the host's copies of params and state. The core folds or fuses it. NULL: it is not. */
    enum cb_status (*affine)(const struct cb_instance *in, const float *const *params, const float *const *state,
                             float *scale, float *shift);
    /* Frees in->self; may be NULL. */
    void (*release)(struct cb_instance *in);
    /* A loss only: the word of the layer that it takes over when the head ends with it ("softmax"), which then also
     * makes predictions from scores. NULL: scores are the predictions. */
    const char *link;
    const void *(*extension)(const char *name); /* reserved; NULL */
    /* of const char *: small networks in YAML over a picture [9,10,32] that together reach every variant, each a list of
     * layers that ends in [N,C]. `cambium doctor` compares the variants on them. May be empty. */
    struct cb_array trials;
    uint32_t integer_inputs; /* bit i: input i may hold whole numbers (CB_I32: ids), which the core refuses elsewhere; a
                                loss's targets and the input of a VIEW layer may without it */
    /* "activations", "losses": the heading under which `cambium layers` and docs/layers list it; a family of one's own makes
     * a heading of its own. NULL: "others". */
    const char *family;
};

/* A kernel file that the plugin carries, so that NAME.so is a whole layer: read where no file of that name lies in a folder
 * of CAMBIUM_CL_PATH or beside the shared object. */
struct cb_kernel_file {
    const char *name; /* "swoosh.cl" */
    const char *path; /* where it lay when the plugin was built: compile errors name it */
    const char *text;
};

struct cb_plugin {
    uint32_t struct_size;
    uint32_t abi; /* CB_ABI */
    struct cb_array layers; /* of struct cb_layer; usually one */
    struct cb_array kernels; /* of struct cb_kernel_file; may be empty */
};

/* `cambium plugin build` defines CB_KERNELS_HEADER: a header that it wrote, with the kernel files in `cb_kernel_files`. */
#ifdef CB_KERNELS_HEADER
#include CB_KERNELS_HEADER
#define CB_KERNEL_FILES CB_ARRAY(cb_kernel_files)
#else
#define CB_KERNEL_FILES {0, 0, 0}
#endif

/* What the shared object exports; nothing else is looked for. */
__attribute__((visibility("default"))) const struct cb_plugin *cb_plugin_entry(const struct cb_host *host);

/* The end of every plugin: CB_PLUGIN({.name = ...}), or several layers in one, CB_PLUGIN({...}, {...}). */
#define CB_PLUGIN(...)                                                                             \
    static const struct cb_layer cb_plugin_layers[] = {__VA_ARGS__};                               \
    const struct cb_plugin *cb_plugin_entry(const struct cb_host *host)                            \
    {                                                                                              \
        static const struct cb_plugin plugin = {sizeof(plugin), CB_ABI, CB_ARRAY(cb_plugin_layers), CB_KERNEL_FILES}; \
        (void)host;                                                                                \
        return &plugin;                                                                            \
    }

#ifdef __cplusplus
}
#endif

#endif
