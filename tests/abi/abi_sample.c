/* abi_sample: y = gain x + w[c] for the ABI test, which builds it against several versions of layer.h; with -DGROWN against
 * one that has more fields, which are then filled with what no older core may look at. */
#include <cambium/layer.h>

#ifdef GROWN
#define MORE .grown = {~UINT64_C(0), ~UINT64_C(0), ~UINT64_C(0)},
#else
#define MORE
#endif

struct options {
    double gain;
    int64_t unused;
    int32_t kind;
};

static const char *const kinds[] = {"one", "two", NULL};
static const struct options defaults = {.gain = 2.0, .unused = 7, .kind = 1};
static const struct cb_option options[] = {
    {.key = "gain", .help = "factor", .type = CB_OPT_REAL, .offset = offsetof(struct options, gain), .min = -8, .max = 8, MORE},
    {.key = "unused", .help = "none", .type = CB_OPT_INT, .offset = offsetof(struct options, unused), .max = 9, MORE},
    {.key = "kind", .help = "none", .type = CB_OPT_CHOICE, .offset = offsetof(struct options, kind), .choices = kinds, MORE},
};

static int64_t channels(const struct cb_tensor *t)
{
    return t->dims[t->rank - 1];
}

static enum cb_status sample_infer(struct cb_instance *in)
{
    const struct cb_param_decl w = {.struct_size = sizeof(w), .role = CB_PARAM_VECTOR, .name = "w", .foreign = "bias",
                                    .rank = 1, .dims = {channels(in->x[0])}, .init = CB_INIT_CONSTANT, .value = 0.5, MORE};
    CB_TRY(in->host->param(in->core, &w));
    return in->host->output(in->core, 0, CB_F32, in->x[0]->rank, in->x[0]->dims);
}

static enum cb_status prepare_forward(struct cb_instance *in)
{
    return in->host->kernel(in->core, NULL, "abi_sample_forward", NULL);
}

static enum cb_status run_forward(struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t n = cb_tensor_count(in->x[0]);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)n), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->x[0]), CB_A_TENSOR(in->params[0]),
                     CB_A_I64(n), CB_A_I64(channels(in->x[0])), CB_A_F32(o->gain));
}

static enum cb_status prepare_backward(struct cb_instance *in)
{
    CB_TRY(in->host->kernel(in->core, NULL, "abi_sample_dx", NULL));
    return in->host->kernel(in->core, NULL, "abi_sample_dw", NULL);
}

static enum cb_status run_backward(struct cb_instance *in)
{
    const struct options *o = in->options;
    const int64_t n = cb_tensor_count(in->dy[0]), c = channels(in->dy[0]);
    if (in->dx[0] != NULL) {
        CB_TRY(CB_LAUNCH(in, 0, CB_GRID((uint64_t)n), CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]), CB_A_I64(n),
                         CB_A_F32(o->gain), CB_A_I32(in->dx_accumulate & 1u)));
    }
    return in->dw[0] == NULL
               ? CB_OK
               : CB_LAUNCH(in, 1, CB_GRID((uint64_t)c), CB_A_TENSOR(in->dw[0]), CB_A_TENSOR(in->dy[0]), CB_A_I64(n),
                           CB_A_I64(c), CB_A_I32(in->dw_accumulate & 1u));
}

static bool never(const struct cb_instance *in)
{
    (void)in;
    return false;
}

/* The first one's name shows whether a table is walked by its stride. */
static const struct cb_variant variants[] = {
    {.pass = CB_PASS_FORWARD, .name = "never", .accepts = never, .prepare = prepare_forward, .run = run_forward, MORE},
    {.pass = CB_PASS_FORWARD, .name = "plain", .prepare = prepare_forward, .run = run_forward, MORE},
    {.pass = CB_PASS_BACKWARD, .name = "plain", .prepare = prepare_backward, .run = run_backward, MORE},
};

static const struct cb_layer layers[] = {{
    .struct_size = sizeof(struct cb_layer),
    .name = "abi_sample",
    .summary = "a sample for the ABI test",
    .formula = "y = gain x + w[c]",
    .example = "- abi_sample: {gain: 2}",
    .options = CB_ARRAY(options),
    .defaults = &defaults,
    .options_size = sizeof(struct options),
    .min_inputs = 1,
    .max_inputs = 1,
    .variants = CB_ARRAY(variants),
    .infer = sample_infer,
    MORE
}};

#ifdef GROWN /* it carries its kernels, behind a file that is none of them */
static const struct cb_kernel_file files[] = {
    {.name = "other.cl", .path = "other.cl", .text = "other", MORE},
    {.name = "abi_sample.cl", .path = "abi_sample.cl", .text =
#include "sample_text.h"
     , MORE},
};
#define KERNELS .kernels = CB_ARRAY(files),
#else
#define KERNELS
#endif

static const struct cb_plugin plugin = {.struct_size = sizeof(plugin), .abi = CB_ABI, .layers = CB_ARRAY(layers), KERNELS MORE};

const struct cb_plugin *cb_plugin_entry(const struct cb_host *host);
const struct cb_plugin *cb_plugin_entry(const struct cb_host *host)
{
    (void)host;
    return &plugin;
}
