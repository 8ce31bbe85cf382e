/* How far the forms of a 3x3 convolution are from the exact result: forward, dx and dw of each variant beside sums in double
 * precision, at 64 and at 512 channels. The figures stand in docs/variants.md, which a person reads who wonders whether to
 * say `avoid: [winograd]`; this test prints them and holds the forms to them. Also that what a network avoids does not run.
 * Exits with 77 (skipped) when the machine has no OpenCL device. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "formula.h"
#include "graph/plan.h"
#include "graph/step.h"

#define SIDE 14
#define PIXELS (SIDE * SIDE)

static struct {
    struct cb_arena *arena;
    struct cb_diag *diag;
    struct cb_registry *registry;
    struct cb_device *device;
} world;

static void must(enum cb_status status)
{
    if (status == CB_OK) {
        return;
    }
    for (size_t i = 0; cb_diag_text(world.diag, i) != NULL; i++) {
        fprintf(stderr, "%s\n", cb_diag_text(world.diag, i));
    }
    fail_msg("%s", cb_status_name(status));
}

/* ---- in double precision, on the host ---- */

struct conv {
    int64_t c, k;
    float *x, *w, *dy;      /* [14,14,C], [3,3,C,K], [14,14,K] */
    double *y, *dx, *dw;
};

/* The pixel that tap (i, j) of output pixel p reads; -1: outside the picture. */
static int64_t source_of(int64_t p, int64_t i, int64_t j)
{
    const int64_t row = p / SIDE + i - 1, column = p % SIDE + j - 1;
    return row < 0 || row >= SIDE || column < 0 || column >= SIDE ? -1 : row * SIDE + column;
}

static void exact_forward(const struct conv *v)
{
    for (int64_t p = 0; p < PIXELS; p++) {
        for (int64_t tap = 0; tap < 9; tap++) {
            const int64_t from = source_of(p, tap / 3, tap % 3);
            for (int64_t c = 0; from >= 0 && c < v->c; c++) {
                for (int64_t k = 0; k < v->k; k++) {
                    v->y[p * v->k + k] += (double)v->x[from * v->c + c] * v->w[(tap * v->c + c) * v->k + k];
                }
            }
        }
    }
}

static void exact_backward(const struct conv *v)
{
    for (int64_t p = 0; p < PIXELS; p++) {
        for (int64_t tap = 0; tap < 9; tap++) {
            const int64_t from = source_of(p, tap / 3, tap % 3);
            for (int64_t c = 0; from >= 0 && c < v->c; c++) {
                double sum = 0.0;
                for (int64_t k = 0; k < v->k; k++) {
                    const int64_t at = (tap * v->c + c) * v->k + k;
                    sum += (double)v->dy[p * v->k + k] * v->w[at];
                    v->dw[at] += (double)v->dy[p * v->k + k] * v->x[from * v->c + c];
                }
                v->dx[from * v->c + c] += sum;
            }
        }
    }
}

/* ---- on the device ---- */

struct subject {
    struct cb_network *net;
    struct cb_store *store;
    uint32_t input, target, output, losses;
};

static void open_subject(struct subject *s, struct conv *v, const char *avoid)
{
    char text[128];
    struct cb_value *list;
    uint32_t node;
    *s = (struct subject){.net = cb_network_create(world.registry, "subject")};
    assert_non_null(s->net);
    snprintf(text, sizeof(text), "[{conv2d: {filters: %d, kernel: 3, padding: 1, bias: false}}]", (int)v->k);
    must(cb_yaml_read_text(world.arena, "subject", text, strlen(text), &list, world.diag));
    must(cb_network_add_input(s->net, "x", CB_F32, 4, (int64_t[]){1, SIDE, SIDE, v->c}, NULL, &s->input, world.diag));
    must(cb_network_read_layers(s->net, list, "", s->input, true, &s->output, world.diag));
    must(cb_network_add_input(s->net, "t", CB_F32, 4, (int64_t[]){1, SIDE, SIDE, v->k}, NULL, &s->target, world.diag));
    must(cb_network_add_layer(s->net, "mse", "loss", NULL, (uint32_t[]){s->output, s->target}, 2, true, NULL, &node,
                              world.diag));
    s->losses = s->net->nodes[node].y[0];
    formula_set_param(&s->net->params[0], false, 1.0);
    if (avoid != NULL) {
        must(cb_network_avoid(s->net, cb_value_text(world.arena, avoid, NULL), world.diag));
    }
    must(cb_network_freeze(s->net, cb_value_text(world.arena, "none", NULL), CB_BATCHNORM_TRAINED, world.diag));
    must(cb_store_create(s->net, world.device, true, &s->store, world.diag));
}

static struct cb_plan *plan_of(struct subject *s, const char *variant)
{
    struct cb_plan *plan;
    const uint32_t outputs[] = {s->output, s->losses};
    const struct cb_plan_request request = {.training = true, .gradients = true, .input_gradients = true, .batch = 1,
                                            .outputs = outputs, .output_count = 2, .variant = variant};
    must(cb_plan_create(s->store, &request, &plan, world.diag));
    return plan;
}

static const char *variant_in(const struct cb_plan *plan, enum cb_pass pass)
{
    return plan->steps[0].passes[pass].variant->name;
}

static float *read_tensor(const struct cb_tensor *t)
{
    float *values = CB_NEW_ARRAY(world.arena, float, (size_t)cb_tensor_count(t));
    assert_non_null(values);
    must(cb_buffer_read(world.device, t->buffer, 0, values, (uint64_t)cb_tensor_count(t) * sizeof(float), world.diag));
    return values;
}

struct error {
    double rms, most; /* of the differences, as parts of the values' root mean square */
};

static struct error error_of(const float *got, const double *wanted, int64_t count)
{
    double square = 0.0, difference = 0.0, most = 0.0;
    for (int64_t i = 0; i < count; i++) {
        const double d = got[i] - wanted[i];
        square += wanted[i] * wanted[i];
        difference += d * d;
        most = fmax(most, isnan(d) ? INFINITY : fabs(d));
    }
    return (struct error){sqrt(difference / square), most / sqrt(square / (double)count)};
}

/* What no form may be beyond; three times what was measured (docs/variants.md). */
static double limit_of(const char *variant)
{
    return strcmp(variant, "winograd") == 0 ? 4.5e-6 : 3.6e-6;
}

static void hold(const char *variant, const char *pass, const struct conv *v, struct error e)
{
    print_message("%4d channels, %-8s %-7s: rms %.1e, most %.1e\n", (int)v->c, variant, pass, e.rms, e.most);
    if (!(e.rms < limit_of(variant))) {
        fail_msg("%s %s is off by %.1e of its values", variant, pass, e.rms);
    }
}

static void measure(struct conv *v, const char *variant)
{
    struct subject s;
    const struct cb_plan_run run = {.n = 1, .seed = 1};
    open_subject(&s, v, NULL);
    struct cb_plan *plan = plan_of(&s, variant);
    const bool any = strcmp(variant_in(plan, CB_PASS_FORWARD), variant) == 0 ||
                     strcmp(variant_in(plan, CB_PASS_DX), variant) == 0;
    v->w = s.net->params[0].host;
    must(cb_buffer_write(world.device, cb_plan_tensor(plan, s.input)->buffer, 0, v->x,
                         (uint64_t)(PIXELS * v->c) * sizeof(float), world.diag));
    float *zeros = CB_NEW_ARRAY(world.arena, float, (size_t)(PIXELS * v->k));
    must(cb_buffer_write(world.device, cb_plan_tensor(plan, s.target)->buffer, 0, zeros,
                         (uint64_t)(PIXELS * v->k) * sizeof(float), world.diag));
    must(cb_plan_forward(plan, &run, world.diag));
    must(cb_plan_backward(plan, &run, world.diag));
    v->dy = read_tensor(cb_plan_gradient(plan, s.output));
    v->y = CB_NEW_ARRAY(world.arena, double, (size_t)(PIXELS * v->k));
    v->dx = CB_NEW_ARRAY(world.arena, double, (size_t)(PIXELS * v->c));
    v->dw = CB_NEW_ARRAY(world.arena, double, (size_t)(9 * v->c * v->k));
    exact_forward(v);
    exact_backward(v);
    const struct {
        enum cb_pass pass;
        const char *name;
        const struct cb_tensor *got;
        const double *wanted;
    } all[] = {{CB_PASS_FORWARD, "forward", cb_plan_tensor(plan, s.output), v->y},
               {CB_PASS_DX, "dx", cb_plan_gradient(plan, s.input), v->dx},
               {CB_PASS_DW, "dw", &s.store->grads[0], v->dw}};
    for (size_t i = 0; any && i < sizeof(all) / sizeof(all[0]); i++) {
        if (strcmp(variant_in(plan, all[i].pass), variant) == 0) {
            hold(variant, all[i].name, v, error_of(read_tensor(all[i].got), all[i].wanted, cb_tensor_count(all[i].got)));
        }
    }
    cb_plan_destroy(plan);
    cb_store_destroy(s.store);
    cb_network_destroy(s.net);
}

static void test_forms(void **state)
{
    static const char *const variants[] = {"winograd", "direct", "product", "plain"};
    (void)state;
    for (int64_t c = 64; c <= 512; c *= 8) {
        struct conv v = {.c = c, .k = 64};
        v.x = CB_NEW_ARRAY(world.arena, float, (size_t)(PIXELS * c));
        formula_pictures(v.x, "x", 1, SIDE, SIDE, c);
        for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
            measure(&v, variants[i]);
        }
    }
}

static void test_avoided(void **state)
{
    struct conv v = {.c = 64, .k = 64};
    struct subject s;
    (void)state;
    if ((cb_device_get_facts(world.device)->caps & CB_CAP_TILE) == 0) {
        skip(); /* has no winograd */
    }
    open_subject(&s, &v, NULL);
    struct cb_plan *plan = plan_of(&s, NULL);
    assert_string_equal(variant_in(plan, CB_PASS_DW), "winograd");
    cb_plan_destroy(plan);
    cb_store_destroy(s.store);
    cb_network_destroy(s.net);
    open_subject(&s, &v, "winograd");
    for (int forced = 0; forced < 2; forced++) { /* a preference does not overrule it */
        plan = plan_of(&s, forced ? "winograd" : NULL);
        for (uint32_t pass = 0; pass < CB_PASS_COUNT; pass++) {
            const struct cb_variant *variant = plan->steps[0].passes[pass].variant;
            assert_true(variant == NULL || strcmp(variant->name, "winograd") != 0);
        }
        cb_plan_destroy(plan);
    }
    cb_store_destroy(s.store);
    cb_network_destroy(s.net);
}

int main(void)
{
    world.arena = cb_arena_create();
    world.diag = cb_diag_create();
    world.registry = cb_registry_create(&cb__host);
    if (cb_device_open(NULL, &world.device, world.diag) != CB_OK) {
        printf("skipped: no OpenCL device\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forms), cmocka_unit_test(test_avoided)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cb_registry_destroy(world.registry);
    cb_device_close(world.device);
    cb_diag_destroy(world.diag);
    cb_arena_destroy(world.arena);
    return failed;
}
