/* rotary: turns queries or keys by their position (RoFormer, Su 2021), so that their products depend on distances only.
 * In each head of D channels, plane i of D/2 turns by a = t base^(-2i/D):
 *
 *   y_1 = x_1 cos a - x_2 sin a,  y_2 = x_2 cos a + x_1 sin a;  dx is dy turned back
 *
 * where (x_1, x_2) are the channels i and D/2 + i of the head (Llama, GPT-NeoX), or 2i and 2i+1 with `layout:
 * interleaved` (GPT-J). */
#include "positions.h"

struct options {
    int64_t heads, rotary_dim;
    double base;
    int32_t layout;
};

static const struct options defaults = {.heads = 1, .base = 10000.0, .layout = POSITIONS_HALVES};

#define AT(field) offsetof(struct options, field)
static const struct cb_option options[] = {
    {"heads", "heads into which the channels are split, of the keys: those of the keys", CB_OPT_INT, AT(heads), 1,
     1 << 16},
    {"rotary_dim", "channels of each head that turn, the first ones; 0: all", CB_OPT_INT, AT(rotary_dim), 0, 1 << 20},
    {"base", "wavelengths grow from 2 pi to 2 pi times this (theta)", CB_OPT_REAL, AT(base), 1, 1e9},
    {"layout", "which channels turn together: `halves`: i and D/2 + i; `interleaved`: 2i and 2i + 1", CB_OPT_CHOICE,
     AT(layout), 0, 0, positions_layout_words},
};

static enum cb_status rotary_infer(struct cb_instance *in)
{
    const struct cb_host *host = in->host;
    const struct options *o = in->options;
    const struct cb_tensor *x = in->x[0];
    if (x->rank != 3) {
        return host->fail(in->core, CB_MISMATCH, NULL,
                          "rotary needs queries or keys [N,T,C], but its input has rank %u", (unsigned)x->rank);
    }
    if (x->dims[2] % o->heads != 0) {
        return host->fail(in->core, CB_MISMATCH, "heads", "%lld channels cannot be split into %lld heads",
                          (long long)x->dims[2], (long long)o->heads);
    }
    const int64_t channels = x->dims[2] / o->heads, turning = o->rotary_dim > 0 ? o->rotary_dim : channels;
    if (turning % 2 != 0 || turning > channels) {
        return host->fail(in->core, CB_MISMATCH, o->rotary_dim > 0 ? "rotary_dim" : "heads",
                          "an even number of the %lld channels of a head can turn, not %lld", (long long)channels,
                          (long long)turning);
    }
    return host->output(in->core, 0, CB_F32, x->rank, x->dims);
}

/* A work-item per plane that turns or channel that does not. */
static enum cb_status launch(struct cb_instance *in, const struct cb_tensor *y, const struct cb_tensor *x, float way,
                             bool accumulate)
{
    const struct options *o = in->options;
    const int64_t rows = x->dims[0] * x->dims[1], channels = x->dims[2] / o->heads;
    const int64_t turning = o->rotary_dim > 0 ? o->rotary_dim : channels;
    const double log_base = positions_log(o->base);
    return CB_LAUNCH(in, 0, CB_GRID((uint64_t)(channels - turning / 2), (uint64_t)o->heads, (uint64_t)rows),
                     CB_A_TENSOR(y), CB_A_TENSOR(x), CB_A_I64(rows), CB_A_I32(x->dims[1]), CB_A_I32(o->heads),
                     CB_A_I32(channels), CB_A_I32(turning), CB_A_I32(o->layout == POSITIONS_HALVES),
                     POSITIONS_ARGS(log_base), CB_A_F32(way), CB_A_I32(accumulate));
}

static enum cb_status run_forward(struct cb_instance *in)
{
    return launch(in, in->y[0], in->x[0], 1.0f, false);
}

static enum cb_status run_dx(struct cb_instance *in)
{
    return in->dx[0] == NULL ? CB_OK : launch(in, in->dx[0], in->dy[0], -1.0f, in->dx_accumulate & 1u);
}

static const struct cb_variant variants[] = {
    {CB_PASS_FORWARD, 0, "plain", .run = run_forward, .kernels = "rotary"},
    {CB_PASS_BACKWARD, 0, "plain", .run = run_dx, .kernels = "rotary"},
};

CB_PLUGIN({
    .name = "rotary",
    .family = "sequences",
    .summary = "turns the channels of queries or keys by their position in the sequence",
    .formula = "y_1 = x_1 * cos(a) - x_2 * sin(a)\n"
               "y_2 = x_2 * cos(a) + x_1 * sin(a)\n"
               "a = t * base^(-2i/D) at position t; (x_1, x_2): the i-th pair of the D channels of a head that turn",
    .example = "- rotary: {heads: 9, base: 100000}",
    CB_OPTIONS(options, defaults),
    .inplace = CB_BIT(0),
    .inplace_grad = CB_BIT(0),
    .variants = CB_ARRAY(variants),
    .infer = rotary_infer,
})
