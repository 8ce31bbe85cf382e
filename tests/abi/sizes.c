/* sizes: a layer whose functions ask for what cannot be; its option says for what. For the ABI test. */
#include <cambium/layer.h>

struct options {
    int64_t fault;
};

static const struct options defaults = {0};
static const struct cb_option options[] = {
    {.key = "fault", .help = "which", .type = CB_OPT_INT, .offset = offsetof(struct options, fault), .max = 99},
};

static enum cb_status declare_param(struct cb_instance *in, int64_t fault)
{
    struct cb_param_decl w = {.struct_size = sizeof(w), .name = "w", .rank = 1, .dims = {3}};
    const int64_t huge = INT64_C(1) << 62;
    switch (fault) {
    case 10:
        w.rank = 9;
        break;
    case 11:
        w.rank = 4000000000u;
        break;
    case 12:
        w.rank = 2;
        w.dims[0] = w.dims[1] = huge;
        break;
    case 13:
        w.dims[0] = -3;
        break;
    case 14:
        w.name = NULL;
        break;
    case 15:
        w.struct_size = 0;
        break;
    case 16:
        w.init = 77;
        break;
    case 17:
        w.role = 77;
        break;
    case 18:
        return in->host->param(in->core, NULL);
    case 19:
        CB_TRY(in->host->state(in->core, &w));
        break;
    default:
        break;
    }
    return in->host->param(in->core, &w);
}

static enum cb_status sizes_infer(struct cb_instance *in)
{
    const int64_t fault = ((const struct options *)in->options)->fault;
    const int64_t wild[9] = {1, -1, 3, 3, 3, 3, 3, 3, 3}, huge[3] = {1, INT64_C(1) << 40, INT64_C(1) << 40};
    const struct cb_tensor *x = in->x[0];
    const struct cb_host *host = in->host;
    if (fault >= 10 && fault < 20) {
        CB_TRY(declare_param(in, fault));
    }
    switch (fault) {
    case 1:
        return host->output(in->core, 0, CB_F32, 9, wild);
    case 2:
        return host->output(in->core, 0, CB_F32, 4000000000u, wild);
    case 3:
        return host->output(in->core, 0, 77, x->rank, x->dims);
    case 4:
        return host->output(in->core, 0, CB_F32, 3, wild);
    case 5:
        return host->output(in->core, 0, CB_F32, 3, huge);
    case 6:
        return host->output(in->core, 5, CB_F32, x->rank, x->dims);
    case 7:
        CB_TRY(host->output(in->core, 0, CB_F32, x->rank, x->dims));
        return host->output(in->core, 0, CB_F32, x->rank, x->dims);
    case 8:
        return CB_OK;
    case 9:
        return host->output(in->core, 0, CB_F32, 3, NULL);
    case 20:
        for (int i = 0; i < 1000; i++) {
            CB_TRY(host->saved(in->core, CB_F32, x->rank, x->dims));
        }
        break;
    case 21:
        return (enum cb_status)12345;
    case 22:
        return host->kernel(in->core, NULL, "none", NULL);
    case 23:
        return host->workspace(in->core, CB_F32, 1);
    case 24:
        return host->launch(in->core, NULL, NULL, NULL, 3);
    case 25:
        return host->fail(in->core, CB_INVALID, "no_such_option", "an option that is not there");
    case 26:
        return host->gemm(in->core, NULL);
    case 27:
        return host->fail(in->core, CB_INVALID, NULL, NULL);
    case 28:
        return host->fail(in->core, CB_OK, NULL, "all is well");
    case 29:
        return host->device(in->core) == NULL ? host->fail(in->core, CB_INVALID, NULL, "no device yet") : CB_OK;
    case 30:
        return host->fill(in->core, NULL, 0.0f);
    case 31:
        return host->copy(in->core, NULL, NULL);
    default:
        break;
    }
    return host->output(in->core, 0, CB_F32, x->rank, x->dims);
}

static enum cb_status prepare(struct cb_instance *in)
{
    switch (((const struct options *)in->options)->fault) {
    case 40:
        return in->host->workspace(in->core, CB_F32, -1);
    case 41:
        return in->host->workspace(in->core, CB_F32, INT64_C(1) << 60);
    case 42:
        return in->host->derived(in->core, 77, 1);
    case 43:
        return in->host->kernel(in->core, NULL, "sizes_none", NULL);
    case 44:
        return in->host->kernel(in->core, "no_such_file", "sizes_copy", NULL);
    case 45:
        for (int i = 0; i < 1000; i++) {
            CB_TRY(in->host->kernel(in->core, NULL, "sizes_copy", NULL));
        }
        break;
    case 46:
        return in->host->output(in->core, 0, CB_F32, in->x[0]->rank, in->x[0]->dims);
    default:
        break;
    }
    return in->host->kernel(in->core, NULL, "sizes_copy", NULL);
}

static enum cb_status run(struct cb_instance *in)
{
    const int64_t n = cb_tensor_count(in->x[0]);
    const struct cb_tensor beyond = {.struct_size = sizeof(beyond), .rank = 1, .dims = {n * 1000}, .buffer = in->x[0]->buffer};
    switch (((const struct options *)in->options)->fault) {
    case 50:
        return CB_LAUNCH(in, 0, CB_GRID((uint64_t)n), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->x[0]));
    case 51:
        return CB_LAUNCH(in, 0, CB_GRID((uint64_t)n), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->x[0]), {.kind = 77});
    case 52:
        return CB_LAUNCH(in, 0, CB_GRID_LOCAL((uint64_t)n, 1, 1, 1u << 31, 1, 1), CB_A_TENSOR(in->y[0]),
                         CB_A_TENSOR(in->x[0]), CB_A_I64(n));
    case 53:
        return in->host->copy(in->core, in->y[0], &beyond);
    case 54:
        return in->host->fill(in->core, &beyond, 0.0f);
    case 55:
        return in->host->workspace(in->core, CB_F32, 0);
    case 57:
        return CB_LAUNCH(in, 1, CB_GRID((uint64_t)n), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->x[0]), CB_A_I64(n));
    case 56:
        return (enum cb_status)-5;
    default:
        return CB_LAUNCH(in, 0, CB_GRID((uint64_t)n), CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->x[0]), CB_A_I64(n));
    }
}

static const struct cb_variant variants[] = {{.pass = CB_PASS_FORWARD, .name = "plain", .prepare = prepare, .run = run}};

CB_PLUGIN({
    .struct_size = sizeof(struct cb_layer),
    .flags = CB_LAYER_NO_GRADIENT,
    .name = "sizes",
    .summary = "asks for what cannot be",
    .options = CB_ARRAY(options),
    .defaults = &defaults,
    .options_size = sizeof(struct options),
    .min_inputs = 1,
    .max_inputs = 1,
    .variants = CB_ARRAY(variants),
    .infer = sizes_infer,
})
