/* cl/include/exp.clh over the floats of every exponent and sign, beside the host's exp in double: its error, what
 * overflows, what is too small, NaN; and the same bits at every width. */
#include <math.h>
#include <stdint.h>
#include <unistd.h>

#include "base/file.h"
#include "device_common.h"

static const char text[] =
    "#include \"exp.clh\"\n"
    "__kernel void exp_all(__global float *y, __global const float *x, int width)\n"
    "{\n"
    "    const long i = (long)get_global_id(0) * 16;\n"
    "    for (int k = 0; k < 16 && width == 1; k++) {\n"
    "        y[i + k] = cb_exp(x[i + k]);\n"
    "    }\n"
    "    for (int k = 0; k < 4 && width == 4; k++) {\n"
    "        vstore4(cb_exp(vload4(k, x + i)), k, y + i);\n"
    "    }\n"
    "    if (width == 16) {\n"
    "        vstore16(cb_exp(vload16(0, x + i)), 0, y + i);\n"
    "    }\n"
    "}\n";

enum { MOST = 1 << 20 };

static char path[] = "/tmp/cambium-exp-XXXXXX.cl";
static float *x, *y, *wide;
static int count;

static void run(int width, float *out)
{
    struct cb_kernel *kernel = NULL;
    struct cb_tensor from = {.struct_size = sizeof(from), .rank = 1, .dims = {count}}, to = from;
    const uint64_t bytes = (uint64_t)count * sizeof(float);
    must(cb_buffer_create(device, bytes, &from.buffer, diag));
    must(cb_buffer_create(device, bytes, &to.buffer, diag));
    must(cb_buffer_write(device, from.buffer, 0, x, bytes, diag));
    must(cb_kernel_get(device, NULL, path, NULL, "exp_all", &kernel, diag));
    const struct cb_arg args[] = {CB_A_TENSOR(&to), CB_A_TENSOR(&from), CB_A_I32(width)};
    must(cb_kernel_launch(device, kernel, CB_GRID((uint64_t)count / 16), args, 3, diag));
    must(cb_buffer_read(device, to.buffer, 0, out, bytes, diag));
    cb_buffer_destroy(from.buffer);
    cb_buffer_destroy(to.buffer);
}

/* Every pattern of bits that a step of about 2^12 meets, and the places where something changes. */
static void fill_x(void)
{
    static const float places[] = {0.0f,     -0.0f,    INFINITY, -INFINITY, NAN,       -NAN,   88.72283f, 88.72284f,
                                   -86.98f,  -87.0f,   -87.3f,   -87.4f,    -103.0f,   1e-40f, -1e-40f,   88.9f,
                                   3.4e38f, -3.4e38f, 0.3466f,  -0.3466f,  -10000.0f, 1.0f,   -1.0f,     89.1f};
    count = device_is_slow() ? MOST / 64 : MOST;
    for (int i = 0; i < count; i++) {
        const uint32_t bits = (uint32_t)((uint64_t)i * (UINT64_C(1) << 32) / (uint64_t)count) + (uint32_t)i % 4093u;
        memcpy(x + i, &bits, sizeof(bits));
        if (i % 2 == 0 && i / 2 < count / 4) { /* most floats are far from here */
            x[i] = -104.0f + 193.0f * (float)i / (float)(count / 2);
        }
    }
    memcpy(x, places, sizeof(places));
}

static void expect_exp(float of, float got)
{
    const double right = exp((double)of);
    if (isnan(of)) {
        assert_true(isnan(got));
    } else if (right > 3.4028235e38) {
        assert_true(isinf(got) && got > 0.0f);
    } else if (right < 1.7e-38) {
        assert_true(got >= 0.0f && got < 1.8e-38f);
    } else if (!(fabs((double)got / right - 1.0) < 1.5e-7)) {
        fail_msg("exp(%.9g) is %.9g, not %.9g", (double)of, (double)got, right);
    }
}

static void test_every_exponent(void **state)
{
    (void)state;
    run(16, wide);
    for (int i = 0; i < count; i++) {
        expect_exp(x[i], wide[i]);
    }
    assert_true(wide[0] == 1.0f && wide[1] == 1.0f);
    assert_true(wide[3] == 0.0f && wide[20] == 0.0f);
}

static void test_every_width_gives_the_same(void **state)
{
    static const int widths[] = {1, 4};
    (void)state;
    run(16, wide);
    for (int w = 0; w < 2; w++) {
        run(widths[w], y);
        for (int i = 0; i < count; i++) {
            assert_true(memcmp(y + i, wide + i, sizeof(float)) == 0 || (isnan(y[i]) && isnan(wide[i])));
        }
    }
}

int main(void)
{
    open_device_or_skip();
    if (!cb_device_get_info(device)->is_cpu) {
        printf("skipped: only processors have an exp of their own\n");
        return 77;
    }
    const int file = mkstemps(path, 3);
    x = calloc(MOST, sizeof(*x));
    y = calloc(MOST, sizeof(*y));
    wide = calloc(MOST, sizeof(*wide));
    if (file < 0 || x == NULL || y == NULL || wide == NULL) {
        return 1;
    }
    close(file);
    must(cb_file_write_atomic(path, text, strlen(text), diag));
    fill_x();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_exponent),
        cmocka_unit_test(test_every_width_gives_the_same),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove(path);
    free(x);
    free(y);
    free(wide);
    close_device();
    return failed;
}
