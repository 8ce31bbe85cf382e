/* gemm_trial.c: one matrix product against the host's, for the trial of a device and for doctor. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "device/internal.h"

#define REPEATS 4 /* the fastest counts */

static float sample(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) / 8388608.0f - 1.0f;
}

/* Largest difference from the exact product, as a part of the largest value. */
static double difference(const float *a, const float *b, const float *y, int m, int n, int k)
{
    double worst = 0.0, largest = 0.0;
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++) {
            double exact = 0.0;
            for (int p = 0; p < k; p++) {
                exact += (double)a[i * k + p] * (double)b[p * n + j];
            }
            double error = fabs(exact - (double)y[i * n + j]);
            if (isnan(error)) {
                return INFINITY;
            }
            worst = error > worst ? error : worst;
            largest = fabs(exact) > largest ? fabs(exact) : largest;
        }
    }
    return worst / largest;
}

enum cb_status cb__gemm_trial(struct cb_device *device, enum cb_gemm_form form, int m, int n, int k, double *out_error,
                              double *out_seconds, struct cb_diag *diag)
{
    size_t counts[3] = {(size_t)m * (size_t)k, (size_t)k * (size_t)n, (size_t)m * (size_t)n};
    float *data[3] = {NULL, NULL, NULL};
    struct cb_tensor tensors[3];
    uint32_t state = 1;
    enum cb_status status = CB_OK;
    memset(tensors, 0, sizeof(tensors));
    for (int i = 0; i < 3 && status == CB_OK; i++) {
        data[i] = calloc(counts[i], sizeof(float));
        if (!data[i]) {
            status = cb_fail(diag, CB_MEMORY, NULL, "out of memory while trying the matrix product");
            break;
        }
        for (size_t e = 0; e < counts[i]; e++) {
            data[i][e] = sample(&state);
        }
        tensors[i].struct_size = sizeof(tensors[i]);
        tensors[i].rank = 1;
        tensors[i].dims[0] = (int64_t)counts[i];
        status = cb_buffer_create(device, counts[i] * sizeof(float), &tensors[i].buffer, diag);
        if (status == CB_OK) {
            status = cb_buffer_write(device, tensors[i].buffer, 0, data[i], counts[i] * sizeof(float), diag);
        }
    }
    const struct cb_gemm gemm = {.struct_size = sizeof(gemm), .m = m, .n = n, .k = k,
                                 .a = &tensors[0], .b = &tensors[1], .y = &tensors[2]};
    *out_seconds = INFINITY;
    for (int repeat = 0; repeat < REPEATS && status == CB_OK; repeat++) {
        double begin = cb_clock_seconds();
        status = cb_device_gemm_as(device, form, &gemm, NULL, NULL, 0, diag);
        if (status == CB_OK) {
            status = cb_device_finish(device, diag);
        }
        double seconds = cb_clock_seconds() - begin;
        *out_seconds = seconds < *out_seconds ? seconds : *out_seconds;
    }
    if (status == CB_OK) {
        status = cb_buffer_read(device, tensors[2].buffer, 0, data[2], counts[2] * sizeof(float), diag);
    }
    if (status == CB_OK) {
        *out_error = difference(data[0], data[1], data[2], m, n, k);
    }
    for (int i = 0; i < 3; i++) {
        cb_buffer_destroy(tensors[i].buffer);
        free(data[i]);
    }
    return status;
}
