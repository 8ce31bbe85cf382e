/* pointwise.c: a pointwise layer has no kernels of its own; here its two functions are run over float, float4 and
 * float16 as if they were variants, so that the checks of every other layer serve for it too. */
#include <string.h>

#include "base/file.h"
#include "base/options.h"
#include "check/trial.h"

/* "#define vec float4" and so on, the layer's own file, and its functions under names that trial_pointwise.cl knows. */
char *cb__trial_pointwise_header(struct cb_core *core, const char *path)
{
    const struct cb_layer *layer = &core->type->layer;
    const char *text = NULL, *shown = path;
    size_t bytes = 0;
    cb__trial_must(core,
               path != NULL ? cb_kernel_read(core->arena, path, NULL, &text, &bytes, &shown, core->diag) : CB_NOT_FOUND,
               "the layer's kernel file");
    char *parameters = cb_arena_strdup(core->arena, ""), *arguments = parameters;
    for (uint32_t i = 0; i < layer->options.count; i++) {
        parameters = cb_arena_printf(core->arena, "%s, float option%u", parameters, i);
        arguments = cb_arena_printf(core->arena, "%s, option%u", arguments, i);
    }
    return cb_arena_printf(core->arena,
                           "#define OPTIONS %s\n#define TRIAL_F(v) %s_f((v)%s)\n#define TRIAL_DF(v) %s_df((v)%s)\n"
                           "#if WIDTH == 16\n#define vec float16\n#define ivec int16\n#elif WIDTH == 4\n"
                           "#define vec float4\n#define ivec int4\n#else\n#define vec float\n#define ivec int\n#endif\n"
                           "#include \"exp.clh\"\n#define exp cb_exp\n#line 1 \"%s\"\n%s\n#undef exp\n",
                           parameters, layer->name, arguments, layer->name, arguments, shown, text);
}

static enum cb_status prepare(struct cb_instance *in, const char *entry, const char *width)
{
    return in->host->kernel(in->core, NULL, entry, width);
}

#define PREPARE(width) \
    static enum cb_status prepare_f_##width(struct cb_instance *in) \
    { \
        return prepare(in, "trial_forward", "-DWIDTH=" #width); \
    } \
    static enum cb_status prepare_df_##width(struct cb_instance *in) \
    { \
        return prepare(in, "trial_dx", "-DWIDTH=" #width); \
    }
PREPARE(16)
PREPARE(4)
PREPARE(1)

/* Appends the options, as floats in the order of the table. */
static enum cb_status launch(struct cb_instance *in, struct cb_arg *args, uint32_t count, int64_t elements)
{
    const struct cb_array *table = &in->core->type->layer.options;
    for (uint32_t i = 0; i < table->count; i++) {
        struct cb_option option;
        cb_options_at(table, i, &option);
        const char *field = (const char *)in->options + option.offset;
        const double value = option.type == CB_OPT_REAL     ? *(const double *)(const void *)field
                             : option.type == CB_OPT_INT    ? (double)*(const int64_t *)(const void *)field
                             : option.type == CB_OPT_CHOICE ? (double)*(const int32_t *)(const void *)field
                                                            : (double)*(const uint32_t *)(const void *)field;
        args[count++] = (struct cb_arg)CB_A_F32(value);
    }
    return in->host->launch(in->core, in->kernels[0], CB_GRID((uint64_t)elements), args, count);
}

static enum cb_status run_forward(struct cb_instance *in)
{
    const int64_t n = cb_tensor_count(in->y[0]);
    struct cb_arg args[3 + TRIAL_MAX] = {CB_A_TENSOR(in->y[0]), CB_A_TENSOR(in->x[0]), CB_A_I64(n)};
    return launch(in, args, 3, n);
}

static enum cb_status run_dx(struct cb_instance *in)
{
    const int64_t n = cb_tensor_count(in->dy[0]);
    const struct cb_tensor *xy = in->core->type->layer.pointwise->df_reads == CB_NEEDS_Y ? in->y[0] : in->x[0];
    struct cb_arg args[5 + TRIAL_MAX] = {CB_A_TENSOR(in->dx[0]), CB_A_TENSOR(in->dy[0]), CB_A_TENSOR(xy), CB_A_I64(n),
                                         CB_A_I32(in->dx_accumulate & 1u)};
    return in->dx[0] != NULL ? launch(in, args, 5, n) : CB_OK;
}

const struct cb_variant cb__trial_pointwise_variants[6] = {
    {CB_PASS_FORWARD, 0, "float16", 0, NULL, prepare_f_16, NULL, run_forward},
    {CB_PASS_FORWARD, 0, "float4", 0, NULL, prepare_f_4, NULL, run_forward},
    {CB_PASS_FORWARD, 0, "plain", 0, NULL, prepare_f_1, NULL, run_forward},
    {CB_PASS_BACKWARD, 0, "float16", 0, NULL, prepare_df_16, NULL, run_dx},
    {CB_PASS_BACKWARD, 0, "float4", 0, NULL, prepare_df_4, NULL, run_dx},
    {CB_PASS_BACKWARD, 0, "plain", 0, NULL, prepare_df_1, NULL, run_dx},
};
