/* onnx_cases.h: the tensors of ONNX's own test data: TensorProto files, and a model whose inputs become constants. */
#ifndef CAMBIUM_TESTS_ONNX_CASES_H
#define CAMBIUM_TESTS_ONNX_CASES_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "onnx.pb-c.h"

/* Values of any type as double: exact for all that the cases hold. */
struct values {
    char name[256];
    int32_t type; /* of TensorProto */
    bool is_bfloat16;
    uint32_t rank;
    int64_t dims[16];
    int64_t count;
    double *data;
};

static inline void free_values(struct values *v)
{
    free(v->data);
    *v = (struct values){0};
}

static inline double half_value(uint16_t h)
{
    const int exponent = h >> 10 & 31, mantissa = h & 1023;
    const double size = exponent == 0 ? ldexp(mantissa, -24) : exponent < 31 ? ldexp(1024 + mantissa, exponent - 25)
                        : mantissa ? NAN : INFINITY;
    return h & 0x8000 ? -size : size;
}

/* Element `i` of raw_data. False: a type that is not read. */
static inline bool raw_value(const Onnx__TensorProto *t, int64_t i, double *out)
{
    const unsigned char *p = t->raw_data.data;
#define RAW(number, type)                                                                                                  \
    case number: {                                                                                                         \
        type x;                                                                                                            \
        if ((uint64_t)(i + 1) * sizeof(x) > t->raw_data.len) {                                                             \
            return false;                                                                                                  \
        }                                                                                                                  \
        memcpy(&x, p + (size_t)i * sizeof(x), sizeof(x));                                                                  \
        *out = (double)x;                                                                                                  \
        return true;                                                                                                       \
    }
    switch (t->data_type) {
        RAW(1, float)
        RAW(2, uint8_t)
        RAW(3, int8_t)
        RAW(4, uint16_t)
        RAW(5, int16_t)
        RAW(6, int32_t)
        RAW(7, int64_t)
        RAW(9, uint8_t)
        RAW(11, double)
        RAW(12, uint32_t)
        RAW(13, uint64_t)
    case 10: {
        uint16_t h;
        if ((uint64_t)(i + 1) * 2 > t->raw_data.len) {
            return false;
        }
        memcpy(&h, p + (size_t)i * 2, 2);
        *out = half_value(h);
        return true;
    }
    default:
        return false;
    }
#undef RAW
}

static inline bool field_value(const Onnx__TensorProto *t, int64_t i, double *out)
{
    const size_t k = (size_t)i;
    if (t->data_type == 1 && k < t->n_float_data) {
        *out = (double)t->float_data[k];
    } else if (t->data_type == 10 && k < t->n_int32_data) {
        *out = half_value((uint16_t)t->int32_data[k]);
    } else if (k < t->n_int32_data && t->data_type != 16) {
        *out = t->int32_data[k];
    } else if (k < t->n_int64_data) {
        *out = (double)t->int64_data[k];
    } else if (k < t->n_double_data) {
        *out = t->double_data[k];
    } else if (k < t->n_uint64_data) {
        *out = (double)t->uint64_data[k];
    } else {
        return false;
    }
    return true;
}

static inline bool tensor_values(const Onnx__TensorProto *t, struct values *out)
{
    *out = (struct values){.type = t->data_type, .rank = (uint32_t)t->n_dims, .count = 1};
    if (t->n_dims > 16) {
        return false;
    }
    snprintf(out->name, sizeof(out->name), "%s", t->name != NULL ? t->name : "");
    for (size_t i = 0; i < t->n_dims; i++) {
        out->dims[i] = t->dims[i];
        if (t->dims[i] < 0 || t->dims[i] > 10000000) { /* a sequence, read as a tensor */
            return false;
        }
        out->count *= t->dims[i];
    }
    if (out->count > 10000000) {
        return false;
    }
    out->data = calloc((size_t)out->count + 1, sizeof(double));
    for (int64_t i = 0; i < out->count; i++) {
        if (!(t->has_raw_data ? raw_value(t, i, &out->data[i]) : field_value(t, i, &out->data[i]))) {
            free_values(out);
            return false;
        }
    }
    return true;
}

/* A message of a file; the caller frees it by protobuf-c. NULL: not there, or not of that kind (a sequence, an optional). */
static inline Onnx__TensorProto *read_tensor(const char *path)
{
    struct cb_mapping file;
    if (!cb_path_exists(path) || cb_file_map(path, &file, NULL, NULL) != CB_OK) {
        return NULL;
    }
    Onnx__TensorProto *tensor = onnx__tensor_proto__unpack(NULL, file.bytes, file.data);
    cb_file_unmap(&file);
    return tensor;
}

#endif
