/* formula.h: weights and pictures that nobody has to store: each value follows from a name and an index. The other side is
 * tests/reference/make_net_references.py, which must say the same. Layouts are PyTorch's: [K,C,H,W] for filters, [K,C]
 * for dense layers, [N,C,H,W] for pictures. */
#ifndef CAMBIUM_TESTS_FORMULA_H
#define CAMBIUM_TESTS_FORMULA_H

#include <math.h>
#include <string.h>

#include "base/text.h"
#include "graph/network.h"

#define FORMULA_SUMS 8

/* 64 random bits for element `index` of the tensor whose name hashes (cb_hash64: FNV-1a) to `key`: splitmix64. */
static inline uint64_t formula_bits(uint64_t key, uint64_t index)
{
    uint64_t z = key + (index + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* In [-1, 1), a multiple of 2^-23. */
static inline double formula_uniform(uint64_t key, uint64_t index)
{
    return (double)(formula_bits(key, index) >> 40) * 0x1p-23 - 1.0;
}

static inline uint64_t formula_key(const char *prefix, const char *name)
{
    char full[512];
    snprintf(full, sizeof(full), "%s%s", prefix, name);
    return cb_hash64(full, strlen(full));
}

/* Where our element `i` of a param stands in PyTorch's layout of it. */
static inline uint64_t formula_foreign_index(const struct cb_param *param, uint64_t i)
{
    const int64_t *d = param->decl.dims;
    if (param->decl.role == CB_PARAM_FILTER) { /* [KH,KW,C,K] -> [K,C,KH,KW] */
        uint64_t k = i % (uint64_t)d[3], c = i / (uint64_t)d[3] % (uint64_t)d[2], tap = i / (uint64_t)(d[3] * d[2]);
        return (k * (uint64_t)d[2] + c) * (uint64_t)(d[0] * d[1]) + tap;
    }
    if (param->decl.role == CB_PARAM_MATRIX) { /* [C,K] -> [K,C]; rows behind a flatten: h,w,c -> c,h,w */
        uint64_t k = i % (uint64_t)d[1], row = i / (uint64_t)d[1];
        if (param->flatten_chw != NULL) {
            uint64_t channels = (uint64_t)param->flatten_chw[0];
            uint64_t pixels = (uint64_t)(param->flatten_chw[1] * param->flatten_chw[2]);
            row = row % channels * pixels + row / channels;
        }
        return k * (uint64_t)d[0] + row;
    }
    return i;
}

/* The value of element `u` (see formula_uniform) of a param. `variance`: that of a batchnorm's input, about. */
static inline float formula_value(const struct cb_param *param, bool is_output_layer, double variance, double u)
{
    if (cb_ends_with(param->name, ".mean")) {
        return (float)(0.2 * sqrt(variance) * u);
    }
    if (cb_ends_with(param->name, ".var")) {
        return (float)(variance * (1.0 + 0.5 * u));
    }
    if (cb_ends_with(param->name, ".b")) {
        return (float)(0.1 * u);
    }
    if (param->decl.role == CB_PARAM_VECTOR) {
        return (float)(1.0 + 0.25 * u);
    }
    /* He's variance, 2 / fan_in; a hundredth of it in the last layer, so that no class is certain */
    int64_t outputs = param->decl.role == CB_PARAM_TABLE ? param->decl.dims[0] : param->decl.dims[param->decl.rank - 1];
    int64_t fan_in = param->count / outputs;
    return (float)(sqrt((is_output_layer ? 0.06 : 6.0) / (double)fan_in) * u);
}

static inline void formula_set_param(struct cb_param *param, bool is_output_layer, double variance)
{
    uint64_t key = formula_key("", param->name);
    for (int64_t i = 0; i < param->count; i++) {
        double u = formula_uniform(key, formula_foreign_index(param, (uint64_t)i));
        param->host[i] = formula_value(param, is_output_layer, variance, u);
    }
    param->source = CB_PARAM_LOADED;
}

/* Pictures [N,H,W,C] of that name, values in [-2, 2). */
static inline void formula_pictures(float *x, const char *name, int64_t n, int64_t h, int64_t w, int64_t c)
{
    uint64_t key = formula_key("", name);
    for (int64_t i = 0; i < n * h * w * c; i++) {
        int64_t channel = i % c, column = i / c % w, row = i / (c * w) % h, picture = i / (c * w * h);
        uint64_t index = (uint64_t)(((picture * c + channel) * h + row) * w + column);
        x[i] = (float)(2.0 * formula_uniform(key, index));
    }
}

/* The same for an input of any other rank, in our order. */
static inline void formula_values(float *x, const char *name, int64_t count)
{
    uint64_t key = formula_key("", name);
    for (int64_t i = 0; i < count; i++) {
        x[i] = (float)(2.0 * formula_uniform(key, (uint64_t)i));
    }
}

static inline void formula_ids(int32_t *x, const char *name, const struct cb_tensor *shape, uint64_t below)
{
    uint64_t key = formula_key("", name);
    for (int64_t i = 0; i < cb_tensor_count(shape); i++) {
        x[i] = (int32_t)((formula_bits(key, (uint64_t)i) >> 40) % below);
    }
}

/* Adds to each sum the value with the sign that bit k of the element's bits says (1: plus). */
static inline void formula_add_signed(double sums[FORMULA_SUMS], uint64_t key, uint64_t index, double value)
{
    uint64_t bits = formula_bits(key, index);
    for (int k = 0; k < FORMULA_SUMS; k++) {
        sums[k] += (bits >> k & 1) != 0 ? value : -value;
    }
}

/* An estimate of the distance of two tensors from their sums: the mean square of the differences is the square of the
 * distance on average, since the signs are independent. */
static inline double formula_distance(const double a[FORMULA_SUMS], const double b[FORMULA_SUMS])
{
    double square = 0.0;
    for (int k = 0; k < FORMULA_SUMS; k++) {
        square += (a[k] - b[k]) * (a[k] - b[k]);
    }
    return sqrt(square / FORMULA_SUMS);
}

#endif
