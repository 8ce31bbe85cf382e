/* array.h: tensors on the host, as the cases of tests/layers describe them. */
#ifndef CAMBIUM_TESTS_ARRAY_H
#define CAMBIUM_TESTS_ARRAY_H

#include <cambium/layer.h>

#include "base/value.h"

/* f32 or i32; `f` and `i` are the same memory. */
struct array {
    uint32_t dtype, rank;
    int64_t dims[CB_MAX_RANK];
    int64_t count;
    union {
        float *f;
        int32_t *i;
    } at;
};

/* Zeroed, in the arena; exits when memory is exhausted, as do the others. */
struct array array_make(struct cb_arena *arena, uint32_t dtype, uint32_t rank, const int64_t *dims);
struct array array_copy(struct cb_arena *arena, const struct array *a);
/* {shape, seed, scale, offset, step} or {shape, dtype, values}: the generator of
 * tests/reference/make_layer_references.py. Exits with a message when `value` is not one. */
struct array array_read(struct cb_arena *arena, const struct cb_value *value);
/* A bare list of numbers, with the shape of `like`; exits when the count differs. */
struct array array_read_list(struct cb_arena *arena, const struct cb_value *list, const struct array *like);
/* Uniform in -scale to scale, from the same generator. */
void array_fill_random(struct array *a, uint32_t seed, double scale);

/* Bits 0xffc0dead in every element: a NaN that no computation yields. */
void array_poison(struct array *a);
bool array_same_shape(const struct array *a, const struct array *b);
bool array_same_bits(const struct array *a, const struct array *b);
/* The largest distance to `expected`, as a part of the largest finite magnitude in it (at least 1e-30); infinite and
 * NaN elements must be so in both, else the result is infinite. `*out_at` (may be NULL) is the worst element. */
double array_distance(const struct array *a, const struct array *expected, int64_t *out_at);
/* Index of the first element that is not finite, -1 when there is none. */
int64_t array_first_bad(const struct array *a);
/* Sum of a[i] b[i] in double. */
double array_dot(const struct array *a, const struct array *b);

#endif
