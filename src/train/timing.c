/* timing.c: see timing.h. */
#include "train/timing.h"

#include <stdlib.h>

#include "base/file.h"
#include "graph/plan.h"
#include "graph/squared_error.h"
#include "train/optimizer.h"
#include "train/random.h"

#define MAX_RUNS 10000

struct bench {
    struct cb_network *net;
    struct cb_device *device;
    struct cb_arena *arena;
    enum cb_timing_work work;
    int64_t batch;
    struct cb_tuning *tuning;
    struct cb_store *store;
    struct cb_plan *plan;
    struct cb_optimizer *optimizer;
    uint64_t step;
};

/* ---- work ---- */

static bool is_product(const struct cb_param *param)
{
    return !param->is_state && (param->decl.role == CB_PARAM_FILTER || param->decl.role == CB_PARAM_MATRIX);
}

/* Numbers of a wire for one sample, without its last dimension: where a filter or a matrix is applied. */
static double places(const struct cb_network *net, uint32_t wire)
{
    const struct cb_tensor *t = &net->wires[wire].shape;
    return (double)cb_tensor_count(t) / (double)t->dims[0] / (double)t->dims[t->rank - 1];
}

struct cb_network_work cb_network_work(const struct cb_network *net, uint32_t output, enum cb_timing_work work, int64_t batch)
{
    struct cb_network_work sum = {0};
    for (uint32_t i = 0; i < net->node_count; i++) {
        const struct cb_node *node = &net->nodes[i];
        for (uint32_t k = 0; k < node->param_count && node->x_count > 0; k++) {
            const struct cb_param *param = &net->params[node->params[k]];
            const double x = places(net, node->x[0]), y = places(net, node->y[0]); /* a transposed convolution has more y */
            const bool to_x = net->wires[node->x[0]].node != CB_NONE || work == CB_TIMING_GRADIENTS;
            const double passes = work == CB_TIMING_INFERENCE ? 1.0 : to_x ? 3.0 : 2.0;
            sum.operations += is_product(param) ? 2.0 * passes * (x < y ? x : y) * (double)(param->count * batch) : 0.0;
        }
    }
    double numbers = (double)(cb_tensor_count(&net->wires[output].shape) / net->wires[output].shape.dims[0] * batch);
    for (uint32_t i = 0; i < net->input_count; i++) {
        const struct cb_tensor *x = &net->wires[net->inputs[i]].shape;
        numbers += (double)(cb_tensor_count(x) / x->dims[0] * batch);
    }
    for (uint32_t i = 0; i < net->param_count; i++) {
        numbers += (double)net->params[i].count;
    }
    sum.bytes = numbers * sizeof(float) * (work == CB_TIMING_INFERENCE ? 1.0 : 2.0);
    return sum;
}

/* ---- time ---- */

static enum cb_status create_optimizer(struct bench *b, struct cb_diag *diag)
{
    const struct cb_optimizer_config config = {.kind = CB_OPTIMIZER_ADAMW, .rate = 1e-4, .weight_decay = 0.01, .beta1 = 0.9,
                                               .beta2 = 0.999, .epsilon = 1e-8};
    struct cb_segment *segments = CB_NEW_ARRAY(b->arena, struct cb_segment, b->store->segment_count + 1);
    for (uint32_t i = 0; segments != NULL && i < b->store->segment_count; i++) {
        const struct cb_store_segment *s = &b->store->segments[i];
        segments[i] = (struct cb_segment){s->offset, s->count, 1.0, b->net->params[s->param].decl.role != CB_PARAM_VECTOR};
    }
    return segments == NULL ? cb_fail(diag, CB_MEMORY, NULL, "out of memory")
                            : cb_optimizer_create(b->device, &config, b->store->trainable_count, segments,
                                                  b->store->segment_count, &b->optimizer, diag);
}

/* Normal values in f32; zeros, which are valid indices, in others. */
static enum cb_status fill(struct bench *b, const struct cb_tensor *x, uint64_t stream, struct cb_diag *diag)
{
    const int64_t numbers = cb_tensor_count(x) / x->dims[0] * b->batch;
    float *values = calloc((size_t)numbers, sizeof(float));
    struct cb_random random;
    if (values == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    cb_random_start(&random, 0, "bench", stream);
    for (int64_t k = 0; x->dtype == CB_F32 && k < numbers; k++) {
        values[k] = (float)cb_random_normal(&random);
    }
    enum cb_status status = cb_buffer_write(b->device, x->buffer, 0, values, (uint64_t)numbers * sizeof(float), diag);
    free(values);
    return status;
}

static enum cb_status fill_inputs(struct bench *b, uint32_t output, struct cb_diag *diag)
{
    uint32_t count;
    const uint32_t *inputs = cb_plan_inputs(b->plan, &count);
    for (uint32_t i = 0; i < count; i++) {
        CB_TRY(fill(b, cb_plan_tensor(b->plan, inputs[i]), i, diag));
    }
    const struct cb_tensor *dy = b->work == CB_TIMING_GRADIENTS ? cb_plan_gradient(b->plan, output) : NULL;
    return dy != NULL ? fill(b, dy, count, diag) : CB_OK;
}

static enum cb_status prepare(struct bench *b, uint32_t output, struct cb_diag *diag)
{
    const bool gradients = b->work != CB_TIMING_INFERENCE;
    uint32_t target, wanted[2] = {output, output};
    if (b->work == CB_TIMING_STEP) {
        CB_TRY(cb__network_add_squared_error(b->net, b->arena, output, &target, &wanted[1], diag));
    }
    struct cb_value *none = cb_value_text(b->arena, gradients ? "none" : "backbone", NULL);
    CB_TRY(cb_network_freeze(b->net, none, CB_BATCHNORM_TRAINED, diag));
    CB_TRY(cb_store_create(b->net, b->device, gradients, &b->store, diag));
    b->store->tuning = b->tuning;
    const struct cb_plan_request request = {.training = gradients, .gradients = gradients, .batch = b->batch,
                                            .input_gradients = b->work == CB_TIMING_GRADIENTS,
                                            .output_gradients = b->work == CB_TIMING_GRADIENTS, .outputs = wanted,
                                            .output_count = b->work == CB_TIMING_STEP ? 2 : 1};
    CB_TRY(cb_plan_create(b->store, &request, &b->plan, diag));
    CB_TRY(b->work == CB_TIMING_STEP ? create_optimizer(b, diag) : CB_OK);
    return fill_inputs(b, output, diag);
}

static enum cb_status run_once(struct bench *b, struct cb_diag *diag)
{
    const struct cb_plan_run run = {.n = b->batch, .seed = 1, .step = ++b->step};
    CB_TRY(cb_plan_forward(b->plan, &run, diag));
    if (b->work != CB_TIMING_INFERENCE) {
        CB_TRY(cb_plan_backward(b->plan, &run, diag));
    }
    if (b->work == CB_TIMING_STEP) {
        CB_TRY(cb_optimizer_step(b->optimizer, b->store->trainable, b->store->gradients, b->step, 1e-4,
                                 1.0 / (double)b->batch, diag));
        cb_store_touch(b->store);
    }
    return cb_device_finish(b->device, diag);
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static enum cb_status measure(struct bench *b, double seconds, struct cb_timing *out, struct cb_diag *diag)
{
    double *times = CB_NEW_ARRAY(b->arena, double, MAX_RUNS);
    if (times == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    CB_TRY(run_once(b, diag));
    const double begin = cb_clock_seconds();
    while (out->runs < MAX_RUNS && (out->runs < 3 || cb_clock_seconds() - begin < seconds)) {
        const double start = cb_clock_seconds();
        CB_TRY(run_once(b, diag));
        times[out->runs++] = cb_clock_seconds() - start;
    }
    struct cb_text text = {0};
    cb_plan_count_variants(b->plan, &text);
    out->variants = text.data != NULL ? cb_arena_strdup(b->net->arena, text.data) : NULL;
    cb_text_free(&text);
    qsort(times, out->runs, sizeof(*times), by_size);
    out->least = times[0];
    out->median = times[out->runs / 2];
    out->most = times[out->runs - 1];
    cb_device_memory(b->device, &out->device_bytes, &(uint64_t){0});
    return CB_OK;
}

enum cb_status cb_network_time(struct cb_network *net, struct cb_device *device, uint32_t output, enum cb_timing_work work,
                               int64_t batch, struct cb_tuning *tuning, double seconds, struct cb_timing *out,
                               struct cb_diag *diag)
{
    struct bench bench = {.net = net, .device = device, .arena = cb_arena_create(), .work = work, .batch = batch,
                          .tuning = tuning};
    *out = (struct cb_timing){0};
    enum cb_status status = bench.arena != NULL ? prepare(&bench, output, diag) : CB_MEMORY;
    status = status == CB_OK && seconds >= 0 ? measure(&bench, seconds, out, diag) : status;
    cb_optimizer_destroy(bench.optimizer);
    cb_plan_destroy(bench.plan);
    cb_store_destroy(bench.store);
    cb_arena_destroy(bench.arena);
    return status;
}
