/* doctor.c: is this device sound? Small kernels (cl/core/probe.cl) and matrix products, each compared with what the host
 * computes; every test runs, whatever the ones before it gave. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/internal.h"

#define COUNT 4096      /* elements of the small tests */
#define MAX_RESULTS 24

struct exam {
    struct cb_device *device;
    struct cb_doctor_result *results;
    size_t count;
    float *host;              /* COUNT * 16 floats */
    struct cb_tensor x, y, z; /* COUNT * 16 floats each, on the device */
};

enum verdict { PASSED, DECLINED, FAILED };

static void report(struct exam *exam, const char *what, enum verdict verdict, const char *fmt, ...) CB_PRINTF(4, 5);

static void report(struct exam *exam, const char *what, enum verdict verdict, const char *fmt, ...)
{
    if (exam->count == MAX_RESULTS) {
        return;
    }
    struct cb_doctor_result *result = &exam->results[exam->count++];
    result->what = what;
    result->passed = verdict == PASSED;
    result->declined = verdict == DECLINED;
    va_list args;
    va_start(args, fmt);
    vsnprintf(result->detail, sizeof(result->detail), fmt, args);
    va_end(args);
}

/* The newest message of `diag` as the reason why a test could not run. */
static void report_error(struct exam *exam, const char *what, enum verdict verdict, struct cb_diag *diag)
{
    static const char prefix[] = "error: ";
    size_t messages = cb_diag_count(diag, CB_NOTE);
    const char *text = messages > 0 ? cb_diag_text(diag, messages - 1) : "no reason was given";
    if (strncmp(text, prefix, sizeof(prefix) - 1) == 0) {
        text += sizeof(prefix) - 1;
    }
    report(exam, what, verdict, "%.*s", (int)strcspn(text, "\n"), text);
}

/* ---- running a probe ---- */

static float value_of(size_t i)
{
    return (float)((int)((i * 2654435761u) >> 8 & 0xffff) - 32768) / 3000.0f; /* +- 10.9 */
}

/* The word of integers in the place of floats: the tests of integers see the same buffers. */
static uint32_t word_of(size_t i)
{
    return (uint32_t)(i * 2654435761u + 12345u);
}

static enum cb_status run_probe(struct exam *exam, const char *entry, const struct cb_grid *grid,
                                const struct cb_arg *args, uint32_t arg_count, size_t read_count, struct cb_diag *diag)
{
    struct cb_device *device = exam->device;
    struct cb_kernel *kernel = NULL;
    /* What a kernel leaves out is seen: no test expects NaN. */
    CB_TRY(cb_buffer_fill(device, exam->y.buffer, 0, COUNT * 16 * sizeof(float), 0xffffffffu, diag));
    CB_TRY(cb__gemm_kernel(device, NULL, "core/probe", NULL, entry, &kernel, diag));
    CB_TRY(cb_kernel_launch(device, kernel, grid, args, arg_count, diag));
    return cb_buffer_read(device, exam->y.buffer, 0, exam->host, read_count * sizeof(float), diag);
}

static void test_arithmetic(struct exam *exam, struct cb_diag *diag)
{
    const char *what = "arithmetic";
    static const char *const names[] = {"sqrt", "exp", "log", "tanh", "division", "product and sum", "floor", "fma"};
    const struct cb_arg args[] = {CB_A_TENSOR(&exam->y), CB_A_TENSOR(&exam->x), CB_A_I32(COUNT)};
    if (run_probe(exam, "probe_functions", CB_GRID(COUNT), args, 3, COUNT * 8, diag) != CB_OK) {
        report_error(exam, what, FAILED, diag);
        return;
    }
    double worst = 0.0;
    for (size_t i = 0; i < COUNT; i++) {
        double v = value_of(i);
        float above_one = fabsf(value_of(i)) + 1.0f; /* what log gets, rounded */
        const double exact[8] = {sqrt(fabs(v)), exp(v),  log(above_one), tanh(v), 1.0 / (v + 30.0), v * 2.0 + 1.0,
                                 floor(v),      v * v + 1.0};
        for (int f = 0; f < 8; f++) {
            double got = exam->host[i * 8 + (size_t)f];
            double error = fabs(got - exact[f]) / fmax(fabs(exact[f]), 1e-3);
            if (!(error < 4e-6)) {
                report(exam, what, FAILED, "%s of %g is %.9g, not %.9g", names[f], v, got, exact[f]);
                return;
            }
            worst = fmax(worst, error);
        }
    }
    report(exam, what, PASSED, "8 functions of %d values, largest relative error %.1e", COUNT, worst);
}

static void test_integers(struct exam *exam, struct cb_diag *diag)
{
    const char *what = "integers";
    const struct cb_arg args[] = {CB_A_TENSOR(&exam->y), CB_A_TENSOR(&exam->z), CB_A_I32(COUNT)};
    if (run_probe(exam, "probe_integers", CB_GRID(COUNT), args, 3, COUNT * 4, diag) != CB_OK) {
        report_error(exam, what, FAILED, diag);
        return;
    }
    for (size_t i = 0; i < COUNT; i++) {
        uint32_t v = word_of(i), got[4];
        uint64_t wide = (uint64_t)v * 0xD2511F53u;
        const uint32_t exact[4] = {(uint32_t)(wide >> 32), (v << 13 | v >> 19) ^ (v >> 7), (uint32_t)(wide >> 17),
                                   v / 7u + v % 1000u};
        memcpy(got, exam->host + i * 4, sizeof(got));
        for (int f = 0; f < 4; f++) {
            if (got[f] != exact[f]) {
                report(exam, what, FAILED, "result %d for %u is %u, not %u", f, v, got[f], exact[f]);
                return;
            }
        }
    }
    report(exam, what, PASSED, "32 and 64 bits, %d values", COUNT);
}

static void test_vectors(struct exam *exam, struct cb_diag *diag)
{
    const char *what = "vectors of 16";
    const struct cb_arg args[] = {CB_A_TENSOR(&exam->y), CB_A_TENSOR(&exam->x), CB_A_I32(COUNT)};
    if (run_probe(exam, "probe_vectors", CB_GRID(COUNT), args, 3, COUNT * 16, diag) != CB_OK) {
        report_error(exam, what, FAILED, diag);
        return;
    }
    for (size_t i = 0; i < COUNT * 16; i++) {
        float v = value_of(i), first = value_of(i / 16 * 16);
        float w = v > 0.0f ? v : v * 0.5f;
        float exact = (w > -1.0f ? w : -1.0f) + first;
        if (exam->host[i] != exact) {
            report(exam, what, FAILED, "element %zu is %.9g, not %.9g", i, (double)exam->host[i], (double)exact);
            return;
        }
    }
    report(exam, what, PASSED, "load, select, maximum, store");
}

static void test_half(struct exam *exam, struct cb_diag *diag)
{
    const char *what = "half precision as storage";
    struct cb_tensor scratch = {.struct_size = sizeof(scratch), .dtype = CB_F16, .rank = 1, .dims = {COUNT}};
    if (cb_buffer_create(exam->device, COUNT * 2, &scratch.buffer, diag) != CB_OK) {
        report_error(exam, what, FAILED, diag);
        return;
    }
    const struct cb_arg args[] = {CB_A_TENSOR(&exam->y), CB_A_TENSOR(&scratch), CB_A_TENSOR(&exam->x), CB_A_I32(COUNT)};
    enum cb_status status = run_probe(exam, "probe_half", CB_GRID(COUNT), args, 4, COUNT, diag);
    cb_buffer_destroy(scratch.buffer);
    if (status != CB_OK) {
        report_error(exam, what, FAILED, diag);
        return;
    }
    for (size_t i = 0; i < COUNT; i++) {
        double v = value_of(i);
        if (!(fabs((double)exam->host[i] - v) <= fmax(fabs(v), 6.2e-5) / 2048.0)) { /* 11 bits */
            report(exam, what, FAILED, "%.9g comes back as %.9g", v, (double)exam->host[i]);
            return;
        }
    }
    report(exam, what, PASSED, "rounded to 11 bits%s",
           exam->device->facts.caps & CB_CAP_FP16 ? ", and the device computes in it" : "");
}

/* 64, or what the device runs this kernel with. */
static uint32_t group_size(const struct exam *exam, const char *entry)
{
    struct cb_kernel *kernel = NULL;
    uint32_t size = 64;
    if (cb__gemm_kernel(exam->device, NULL, "core/probe", NULL, entry, &kernel, NULL) == CB_OK) {
        while (size > kernel->max_local) {
            size /= 2;
        }
    }
    return size;
}

static void test_local_memory(struct exam *exam, struct cb_diag *diag)
{
    const char *what = "local memory";
    uint32_t size = group_size(exam, "probe_local");
    const struct cb_arg args[] = {CB_A_TENSOR(&exam->y), CB_A_TENSOR(&exam->x), CB_A_LOCAL(size * (uint32_t)sizeof(float))};
    if (run_probe(exam, "probe_local", CB_GRID_LOCAL(COUNT, 1, 1, size, 1, 1), args, 3, COUNT, diag) != CB_OK) {
        report_error(exam, what, FAILED, diag);
        return;
    }
    for (size_t i = 0; i < COUNT; i++) {
        float exact = value_of(i / size * size + (size - 1 - i % size));
        if (exam->host[i] != exact) {
            report(exam, what, FAILED, "element %zu is %g, not %g", i, (double)exam->host[i], (double)exact);
            return;
        }
    }
    report(exam, what, PASSED, "shared by work-groups of %u; %llu bytes", size,
           (unsigned long long)exam->device->info.local_bytes);
}

/* Small whole numbers: their sums are exact in any order. */
static void test_reduction(struct exam *exam, struct cb_diag *diag)
{
    const char *what = "reduction";
    uint32_t size = group_size(exam, "probe_sum");
    for (size_t i = 0; i < COUNT; i++) {
        exam->host[i] = (float)(i * 7 % 101);
    }
    const struct cb_arg args[] = {CB_A_TENSOR(&exam->y), CB_A_TENSOR(&exam->z), CB_A_LOCAL(size * (uint32_t)sizeof(float))};
    if (cb_buffer_write(exam->device, exam->z.buffer, 0, exam->host, COUNT * sizeof(float), diag) != CB_OK ||
        run_probe(exam, "probe_sum", CB_GRID_LOCAL(COUNT, 1, 1, size, 1, 1), args, 3, COUNT / size, diag) != CB_OK) {
        report_error(exam, what, FAILED, diag);
        return;
    }
    for (size_t g = 0; g < COUNT / size; g++) {
        size_t exact = 0;
        for (size_t i = g * size; i < (g + 1) * size; i++) {
            exact += i * 7 % 101;
        }
        if (exam->host[g] != (float)exact) {
            report(exam, what, FAILED, "the sum of group %zu is %g, not %zu", g, (double)exam->host[g], exact);
            return;
        }
    }
    report(exam, what, PASSED, "%u sums of %u", COUNT / size, size);
}

static void test_work_groups(struct exam *exam, struct cb_diag *diag)
{
    const char *what = "work-group limits";
    struct cb_kernel *kernel = NULL;
    if (cb__gemm_kernel(exam->device, NULL, "core/probe", NULL, "probe_group", &kernel, diag) != CB_OK) {
        report_error(exam, what, FAILED, diag);
        return;
    }
    uint32_t size = (uint32_t)(kernel->max_local < 1024 ? kernel->max_local : 1024);
    const struct cb_arg args[] = {CB_A_TENSOR(&exam->y)};
    size_t count = (size_t)size * 3;
    if (run_probe(exam, "probe_group", CB_GRID_LOCAL(count, 1, 1, size, 1, 1), args, 1, count, diag) != CB_OK) {
        report_error(exam, what, FAILED, diag);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        int32_t got, exact = (int32_t)(i % size + 1000 * (i / size));
        memcpy(&got, exam->host + i, sizeof(got));
        if (got != exact) {
            report(exam, what, FAILED, "with groups of %u, work-item %zu says %d, not %d", size, i, got, exact);
            return;
        }
    }
    report(exam, what, PASSED, "groups of %u run; at most %llu are stated", size,
           (unsigned long long)exam->device->info.max_work_group);
}

/* A pattern, a copy between two windows of one buffer, and what lies around them. */
static enum cb_status move_memory(struct exam *exam, uint32_t *words, size_t count, struct cb_diag *diag)
{
    struct cb_device *device = exam->device;
    struct cb_buffer *from = NULL, *to = NULL;
    uint64_t half = count * 2;
    enum cb_status status = cb_buffer_fill(device, exam->y.buffer, 0, count * 4, 0x01020304u, diag);
    status = status ? status : cb_buffer_slice(exam->y.buffer, 0, half, &from, diag);
    status = status ? status : cb_buffer_slice(exam->y.buffer, half, half, &to, diag);
    status = status ? status : cb_buffer_write(device, from, 0, words, half, diag);
    status = status ? status : cb_buffer_copy(device, to, 64, from, 0, half - 128, diag);
    cb_buffer_destroy(from);
    cb_buffer_destroy(to);
    return status ? status : cb_buffer_read(device, exam->y.buffer, 0, words, count * 4, diag);
}

static void test_memory(struct exam *exam, struct cb_diag *diag)
{
    const char *what = "memory";
    const size_t count = COUNT * 8, half = count / 2, margin = 16;
    uint32_t *words = (uint32_t *)(void *)exam->host;
    for (size_t i = 0; i < half; i++) {
        words[i] = word_of(i);
    }
    if (move_memory(exam, words, count, diag) != CB_OK) {
        report_error(exam, what, FAILED, diag);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        bool copied = i >= half + margin && i < count - margin;
        uint32_t exact = i < half ? word_of(i) : copied ? word_of(i - half - margin) : 0x01020304u;
        if (words[i] != exact) {
            report(exam, what, FAILED, "word %zu is %08x, not %08x", i, words[i], exact);
            return;
        }
    }
    char all[32], largest[32];
    report(exam, what, PASSED, "%s, at most %s in one piece; fill, copy and windows are right",
           cb_format_bytes(exam->device->info.global_bytes, all),
           cb_format_bytes(exam->device->info.largest_allocation_bytes, largest));
}

/* ---- matrix products ---- */

static void test_product(struct exam *exam, const char *what, enum cb_gemm_form form, int size, struct cb_diag *diag)
{
    double error = INFINITY, seconds = INFINITY, ignored;
    /* odd sizes first: tails in every direction */
    enum cb_status status = cb__gemm_trial(exam->device, form, 45, 77, 301, &error, &ignored, diag);
    if (status == CB_OK && error < 1e-5) {
        status = cb__gemm_trial(exam->device, form, size, size, size, &error, &seconds, diag);
    }
    if (status == CB_UNSUPPORTED) {
        report_error(exam, what, DECLINED, diag);
    } else if (status != CB_OK) {
        report_error(exam, what, FAILED, diag);
    } else if (!(error < 1e-5)) {
        report(exam, what, FAILED, "off by %.1e of the largest value", error);
    } else {
        double flops = 2.0 * size * size * size / seconds;
        report(exam, what, PASSED, "%.1f GFLOP/s at %d x %d x %d, error %.1e of the largest value", flops * 1e-9, size,
               size, size, error);
    }
}

static void test_products(struct exam *exam, struct cb_diag *diag)
{
    const struct cb_device *device = exam->device;
    uint32_t caps = device->facts.caps;
    bool is_slow = !(caps & (CB_CAP_TILE | CB_CAP_GROUP)); /* simulators: keep it short */
    test_product(exam, "matrix product, plain", CB_GEMM_PLAIN, is_slow ? 48 : 128, diag);
    if (caps & CB_CAP_TILE) {
        test_product(exam, "matrix product, tile", CB_GEMM_TILE, 512, diag);
    } else {
        report(exam, "matrix product, tile", DECLINED, "%s", device->tile_reason);
    }
    if (caps & CB_CAP_GROUP) {
        test_product(exam, "matrix product, group", CB_GEMM_GROUP, 512, diag);
        test_product(exam, "matrix product, CLBlast", CB_GEMM_CLBLAST, 512, diag);
    } else {
        report(exam, "matrix product, group", DECLINED, "made for GPUs");
    }
}

/* ---- all of it ---- */

static enum cb_status prepare(struct exam *exam, struct cb_diag *diag)
{
    const uint64_t bytes = COUNT * 16 * sizeof(float);
    struct cb_tensor *tensors[] = {&exam->x, &exam->y, &exam->z};
    exam->host = calloc(COUNT * 16, sizeof(float));
    if (!exam->host) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory while examining a device");
    }
    for (int i = 0; i < 3; i++) {
        *tensors[i] = (struct cb_tensor){.struct_size = sizeof(struct cb_tensor), .rank = 1, .dims = {COUNT * 16}};
        CB_TRY(cb_buffer_create(exam->device, bytes, &tensors[i]->buffer, diag));
    }
    for (size_t i = 0; i < COUNT * 16; i++) {
        exam->host[i] = value_of(i);
    }
    CB_TRY(cb_buffer_write(exam->device, exam->x.buffer, 0, exam->host, bytes, diag));
    for (size_t i = 0; i < COUNT; i++) {
        uint32_t word = word_of(i);
        memcpy(exam->host + i, &word, sizeof(word));
    }
    return cb_buffer_write(exam->device, exam->z.buffer, 0, exam->host, COUNT * sizeof(float), diag);
}

enum cb_status cb_device_doctor(struct cb_device *device, struct cb_arena *arena, struct cb_doctor_result **out,
                                size_t *out_count, struct cb_diag *diag)
{
    struct exam exam = {.device = device};
    struct cb_diag *reasons = cb_diag_create(); /* failures of tests are results, not errors of this function */
    enum cb_status status = CB_OK;
    exam.results = CB_NEW_ARRAY(arena, struct cb_doctor_result, MAX_RESULTS);
    if (!exam.results || !reasons) {
        status = cb_fail(diag, CB_MEMORY, NULL, "out of memory while examining a device");
        goto destroy_exam;
    }
    status = prepare(&exam, diag);
    if (status != CB_OK) {
        goto destroy_exam;
    }
    static void (*const tests[])(struct exam *, struct cb_diag *) = {
        test_arithmetic,   test_integers,  test_vectors,     test_half,    test_memory,
        test_local_memory, test_reduction, test_work_groups, test_products,
    };
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        cb_diag_clear(reasons);
        tests[i](&exam, reasons);
    }
    *out = exam.results;
    *out_count = exam.count;

destroy_exam:
    cb_buffer_destroy(exam.x.buffer);
    cb_buffer_destroy(exam.y.buffer);
    cb_buffer_destroy(exam.z.buffer);
    free(exam.host);
    cb_diag_destroy(reasons);
    return status;
}
