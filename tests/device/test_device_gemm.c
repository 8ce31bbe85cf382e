/* The matrix product in every form that the device has: against the host's sums in double, with tails in every direction,
 * transposed operands, offsets, accumulation, an epilogue; and its promises: nothing outside y is written, nothing outside
 * a and b is used, the same bits twice, the same bits however many rows there are. */
#include <math.h>

#include "device_common.h"

#define MARGIN 64 /* elements of guard around every operand: also its offset */

struct product {
    struct cb_gemm gemm;
    struct cb_tensor a, b, y, bias;
    float *a_host, *b_host, *y_host, *bias_host; /* without margins; bias: only after add_bias */
    float *y_got;                    /* with margins */
};

static float sample(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) / 8388608.0f - 1.0f;
}

/* A device tensor of `count` values between margins of NaN. */
static struct cb_tensor upload(const float *values, int64_t count)
{
    struct cb_tensor tensor = {.struct_size = sizeof(tensor), .rank = 1, .dims = {count + 2 * MARGIN}};
    uint64_t bytes = (uint64_t)count * sizeof(float), margin = MARGIN * sizeof(float);
    must(cb_buffer_create(device, bytes + 2 * margin, &tensor.buffer, diag));
    must(cb_buffer_fill(device, tensor.buffer, 0, bytes + 2 * margin, 0x7fc12345u, diag));
    must(cb_buffer_write(device, tensor.buffer, margin, values, bytes, diag));
    return tensor;
}

static float *make_values(int64_t count, uint32_t seed)
{
    float *values = calloc((size_t)count + 1, sizeof(float));
    assert_non_null(values);
    for (int64_t i = 0; i < count; i++) {
        values[i] = sample(&seed);
    }
    return values;
}

static void make_product(struct product *p, int m, int n, int k, bool ta, bool tb, bool accumulate)
{
    memset(p, 0, sizeof(*p));
    p->a_host = make_values((int64_t)m * k, 1);
    p->b_host = make_values((int64_t)k * n, 2);
    p->y_host = make_values((int64_t)m * n, 3);
    p->y_got = make_values((int64_t)m * n + 2 * MARGIN, 4);
    p->a = upload(p->a_host, (int64_t)m * k);
    p->b = upload(p->b_host, (int64_t)k * n);
    p->y = upload(p->y_host, (int64_t)m * n);
    p->gemm = (struct cb_gemm){sizeof(p->gemm), ta, tb, accumulate, m, n, k, &p->a, &p->b, &p->y, MARGIN, MARGIN, MARGIN};
}

static void add_bias(struct product *p)
{
    const int64_t n = p->gemm.n;
    p->bias_host = make_values(n, 5);
    p->bias = (struct cb_tensor){.struct_size = sizeof(p->bias), .rank = 1, .dims = {n}};
    must(cb_buffer_create(device, (uint64_t)n * sizeof(float), &p->bias.buffer, diag));
    must(cb_buffer_write(device, p->bias.buffer, 0, p->bias_host, (uint64_t)n * sizeof(float), diag));
    p->gemm.bias = &p->bias;
}

static void run_product(struct product *p, enum cb_gemm_form form, const char *header, const struct cb_arg *args,
                        uint32_t count)
{
    must(cb_device_gemm_as(device, form, &p->gemm, header, args, count, diag));
    must(cb_buffer_read(device, p->y.buffer, 0, p->y_got, cb_buffer_bytes(p->y.buffer), diag));
}

static void free_product(struct product *p)
{
    cb_buffer_destroy(p->a.buffer);
    cb_buffer_destroy(p->b.buffer);
    cb_buffer_destroy(p->y.buffer);
    free(p->a_host);
    free(p->b_host);
    free(p->bias_host);
    cb_buffer_destroy(p->bias.buffer);
    free(p->y_host);
    free(p->y_got);
}

/* after(exact product, row, column): what the epilogue makes of it. */
static void check_values(const struct product *p, double (*after)(double value, int64_t i, int64_t j))
{
    const struct cb_gemm *g = &p->gemm;
    for (int64_t i = 0; i < g->m; i++) {
        for (int64_t j = 0; j < g->n; j++) {
            double exact = g->accumulate ? (double)p->y_host[i * g->n + j]
                           : p->bias_host  ? (double)p->bias_host[j]
                                           : 0.0;
            double size = fabs(exact);
            for (int64_t q = 0; q < g->k; q++) {
                double product = (double)p->a_host[g->a_transposed ? q * g->m + i : i * g->k + q] *
                                 (double)p->b_host[g->b_transposed ? j * g->k + q : q * g->n + j];
                exact += product;
                size += fabs(product);
            }
            exact = after ? after(exact, i, j) : exact;
            double got = (double)p->y_got[MARGIN + i * g->n + j];
            /* the bound of a sum of k terms, Higham 2002, 4.2, with room for an epilogue */
            double bound = 1.2e-7 * (2.0 * sqrt((double)g->k) + 4.0) * (size + fabs(exact));
            if (!(fabs(got - exact) <= bound)) {
                fail_msg("%lld x %lld x %lld%s%s%s: y[%lld,%lld] is %.9g, not %.9g", (long long)g->m, (long long)g->n,
                         (long long)g->k, g->a_transposed ? " a'" : "", g->b_transposed ? " b'" : "",
                         g->accumulate ? " +" : "", (long long)i, (long long)j, got, exact);
            }
        }
    }
}

static void check_product(const struct product *p, double (*after)(double value, int64_t i, int64_t j))
{
    const struct cb_gemm *g = &p->gemm;
    check_values(p, after);
    uint32_t word;
    for (int64_t i = 0; i < MARGIN; i++) {
        memcpy(&word, &p->y_got[i], sizeof(word));
        assert_int_equal(word, 0x7fc12345u);
        memcpy(&word, &p->y_got[MARGIN + g->m * g->n + i], sizeof(word));
        assert_int_equal(word, 0x7fc12345u);
    }
}

static const char *const form_names[] = {"auto", "plain", "group", "tile", "CLBlast"};

/* Which forms to test here: CLBlast and group on GPUs, tile where it was tried; group needs 256 work-items a group. */
static bool form_is_tested(enum cb_gemm_form form)
{
    const struct cb_device_facts *facts = cb_device_get_facts(device);
    switch (form) {
    case CB_GEMM_TILE:
        return (facts->caps & CB_CAP_TILE) != 0;
    case CB_GEMM_CLBLAST:
        return (facts->caps & CB_CAP_GROUP) != 0;
    case CB_GEMM_GROUP:
        return facts->caps & (CB_CAP_GROUP | CB_CAP_TILE);
    default:
        return true;
    }
}

static void test_sizes_and_layouts(void **state)
{
    (void)state;
    static const int all[][3] = {
        {1, 1, 1},    {1, 8, 300},  {2, 3, 7},    {3, 40, 33},  {5, 16, 64},   {7, 17, 20},   {8, 31, 31},
        {11, 33, 65}, {12, 32, 16}, {13, 64, 17}, {25, 70, 260}, {96, 80, 100}, {64, 128, 512}, {100, 24, 1030},
        {130, 257, 96}, {10, 300, 20}, {6, 70, 300}, {4, 200, 40}, {49, 130, 1024}, {26, 300, 2048}, {200, 550, 768},
    };
    size_t count = device_is_slow() ? 7 : sizeof(all) / sizeof(all[0]);
    for (enum cb_gemm_form form = CB_GEMM_AUTO; form <= CB_GEMM_CLBLAST; form++) {
        for (size_t s = 0; s < count && form_is_tested(form); s++) {
            for (int layout = 0; layout < (form == CB_GEMM_CLBLAST ? 8 : 16); layout++) {
                struct product p;
                make_product(&p, all[s][0], all[s][1], all[s][2], layout & 1, layout & 2, layout & 4);
                if (layout & 8) {
                    add_bias(&p); /* which counts where y is not added */
                }
                run_product(&p, form, NULL, NULL, 0);
                check_product(&p, NULL);
                free_product(&p);
            }
        }
    }
}

static void test_long_sums_are_split(void **state)
{
    (void)state;
    int k = device_is_slow() ? 1100 : 20011; /* over 64 chunks of 256: their length grows */
    for (int layout = 0; layout < 16; layout++) {
        struct product p;
        make_product(&p, 20, 18, k, layout & 1, layout & 2, layout & 4);
        if (layout & 8) {
            add_bias(&p);
        }
        run_product(&p, CB_GEMM_AUTO, NULL, NULL, 0);
        check_product(&p, NULL);
        free_product(&p);
    }
}

static void test_empty(void **state)
{
    (void)state;
    struct product p;
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        make_product(&p, 5, 6, 0, false, false, accumulate);
        run_product(&p, CB_GEMM_AUTO, NULL, NULL, 0);
        check_product(&p, NULL); /* zeros, or y as it was */
        free_product(&p);
    }
    make_product(&p, 0, 6, 4, false, false, false);
    run_product(&p, CB_GEMM_AUTO, NULL, NULL, 0);
    check_product(&p, NULL);
    free_product(&p);
}

/* What the core generates for "an affine per channel, then add another tensor, then relu". */
static const char epilogue_header[] =
    "#define CB_EPILOGUE\n"
    "#define CB_EPILOGUE_PARAMS , __global const float *e0, __global const float *e1, float e2\n"
    "#define CB_EPILOGUE_ARGS , e0, e1, e2\n"
    "float cb_epilogue1(float v, long index, int channel CB_EPILOGUE_PARAMS)\n"
    "{\n"
    "    return fmax(v * e0[channel] + e1[index] + e2, 0.0f);\n"
    "}\n"
    "float16 cb_epilogue16(float16 v, long index, int channel CB_EPILOGUE_PARAMS)\n"
    "{\n"
    "    return fmax(v * vload16(0, e0 + channel) + vload16(0, e1 + index) + e2, 0.0f);\n"
    "}\n";

static float *scale_values, *other_values;
static int64_t epilogue_columns;

static double affine_add_relu(double value, int64_t i, int64_t j)
{
    double result = value * (double)scale_values[j] + (double)other_values[MARGIN + i * epilogue_columns + j] + 0.25;
    return result > 0.0 ? result : 0.0;
}

static void test_epilogue(void **state)
{
    (void)state;
    static const int sizes[][3] = {{5, 7, 9}, {30, 100, 40}, {24, 48, 600}, {13, 40, 9000}};
    for (enum cb_gemm_form form = CB_GEMM_AUTO; form < CB_GEMM_CLBLAST; form++) {
        for (size_t s = 0; s < (device_is_slow() ? 2 : 4) && form_is_tested(form); s++) {
            for (int accumulate = 0; accumulate < 2; accumulate++) {
                int m = sizes[s][0], n = sizes[s][1];
                struct product p;
                make_product(&p, m, n, sizes[s][2], false, false, accumulate);
                epilogue_columns = n;
                scale_values = make_values(n, 8);
                other_values = make_values((int64_t)m * n + MARGIN, 9); /* indexed as y is: with its offset */
                struct cb_tensor scale = {.struct_size = sizeof(scale), .rank = 1, .dims = {n}}, other = scale;
                other.dims[0] = (int64_t)m * n + MARGIN;
                must(cb_buffer_create(device, (uint64_t)n * 4, &scale.buffer, diag));
                must(cb_buffer_create(device, (uint64_t)other.dims[0] * 4, &other.buffer, diag));
                must(cb_buffer_write(device, scale.buffer, 0, scale_values, (uint64_t)n * 4, diag));
                must(cb_buffer_write(device, other.buffer, 0, other_values, (uint64_t)other.dims[0] * 4, diag));
                const struct cb_arg args[] = {CB_A_TENSOR(&scale), CB_A_TENSOR(&other), CB_A_F32(0.25)};
                run_product(&p, form, epilogue_header, args, 3);
                check_product(&p, affine_add_relu);
                cb_buffer_destroy(scale.buffer);
                cb_buffer_destroy(other.buffer);
                free(scale_values);
                free(other_values);
                free_product(&p);
            }
        }
    }
}

/* Row 0 of a product is bit for bit the same in a product of one row and of many, and when run again. CLBlast does not
 * promise this. */
static void test_rows_do_not_depend_on_their_number(void **state)
{
    (void)state;
    static const int shapes[][2] = {{8, 1280}, {70, 33}, {100, 1300}};
    static const int rows[] = {1, 2, 5, 8, 12, 13, 16, 40, 200};
    for (enum cb_gemm_form form = CB_GEMM_PLAIN; form < CB_GEMM_CLBLAST; form++) {
        for (size_t s = 0; s < (device_is_slow() ? 1 : 3) && form_is_tested(form); s++) {
            int n = shapes[s][0], k = shapes[s][1];
            float first[128];
            for (size_t r = 0; r < (device_is_slow() ? 3 : sizeof(rows) / sizeof(rows[0])); r++) {
                struct product p;
                make_product(&p, rows[r], n, k, false, false, false); /* the same a for the first rows */
                for (int again = 0; again < 2; again++) {
                    run_product(&p, form, NULL, NULL, 0);
                    if (r == 0 && again == 0) {
                        memcpy(first, p.y_got + MARGIN, (size_t)n * sizeof(float));
                    }
                    if (memcmp(first, p.y_got + MARGIN, (size_t)n * sizeof(float)) != 0) {
                        fail_msg("%s, n = %d, k = %d: row 0 of %d is not the one of 1", form_names[form], n, k, rows[r]);
                    }
                }
                free_product(&p);
            }
        }
    }
}

/* Kept panels serve every product with b, whatever its rows and whichever way round, and are made again when told. */
static void test_panels_are_kept(void **state)
{
    (void)state;
    struct cb_gemm_panels panels = {0};
    static const int rows[] = {1, 12, 50, 200};
    struct product p;
    make_product(&p, 200, 96, 96, false, false, false);
    must(cb_buffer_write(device, p.b.buffer, 0, p.b_host, 96 * 96 * sizeof(float), diag)); /* at its beginning */
    for (int again = 0; again < 3; again++) {
        for (size_t r = 0; r < (device_is_slow() ? 2 : 4); r++) {
            p.gemm.m = rows[r];
            p.gemm.b_transposed = again == 1; /* b is square */
            p.gemm.b_offset = 0;
            must(cb_device_gemm_kept(device, &p.gemm, &panels, NULL, NULL, 0, diag));
            must(cb_buffer_read(device, p.y.buffer, MARGIN * sizeof(float), p.y_got + MARGIN,
                                (uint64_t)(rows[r] * 96) * sizeof(float), diag));
            check_values(&p, NULL);
        }
        if (again == 0) { /* b changes: what was kept is old until it is said */
            for (int64_t i = 0; i < 96 * 96; i++) {
                p.b_host[i] = -p.b_host[i];
            }
            must(cb_buffer_write(device, p.b.buffer, 0, p.b_host, 96 * 96 * sizeof(float), diag));
            panels.is_current = false;
        }
    }
    cb_buffer_destroy(panels.buffer);
    free_product(&p);
}

static void test_wrong_operands(void **state)
{
    (void)state;
    struct product p;
    make_product(&p, 4, 5, 6, false, false, false);
    p.gemm.a = NULL;
    expect_error(cb_device_gemm(device, &p.gemm, NULL, NULL, 0, diag), CB_INVALID,
                 "error: matrix product: operand `a` is missing");
    p.gemm.a = &p.a;
    p.gemm.b_offset = 2 * MARGIN + 1;
    expect_error(cb_device_gemm(device, &p.gemm, NULL, NULL, 0, diag), CB_INVALID,
                 "error: matrix product: operand `b` needs 30 elements from 129 on, its buffer has 158");
    p.gemm.b_offset = 0;
    p.y.dtype = CB_F16;
    expect_error(cb_device_gemm(device, &p.gemm, NULL, NULL, 0, diag), CB_UNSUPPORTED,
                 "error: matrix product: operand `y` is not of 32-bit floats");
    p.gemm.k = -1;
    expect_error(cb_device_gemm(device, &p.gemm, NULL, NULL, 0, diag), CB_INVALID,
                 "error: matrix product: sizes 4 x 5 x -1 are out of range");
    free_product(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_and_layouts),
        cmocka_unit_test(test_long_sums_are_split),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_epilogue),
        cmocka_unit_test(test_rows_do_not_depend_on_their_number),
        cmocka_unit_test(test_panels_are_kept),
        cmocka_unit_test(test_wrong_operands),
    };
    open_device_or_skip();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    close_device();
    return failed;
}
