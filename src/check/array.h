/* array.h: tensors on the host: generating and comparing them, and reading those of tests/layers. */
#ifndef CAMBIUM_CHECK_ARRAY_H
#define CAMBIUM_CHECK_ARRAY_H

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

/* Zeroed, in the arena; leaves by escape.h when memory is exhausted, as do the others. */
struct array cb__array_make(struct cb_arena *arena, uint32_t dtype, uint32_t rank, const int64_t *dims);
struct array cb__array_copy(struct cb_arena *arena, const struct array *a);
/* {shape, seed, scale, offset, step} or {shape, dtype, values}: the generator of
 * tests/reference/make_layer_references.py. Leaves by escape.h when `value` is not one. */
struct array cb__array_read(struct cb_arena *arena, const struct cb_value *value);
/* A bare list of numbers, with the shape of `like`; leaves by escape.h when the count differs. */
struct array cb__array_read_list(struct cb_arena *arena, const struct cb_value *list, const struct array *like);
/* Uniform in -scale to scale, from the same generator. */
void cb__array_fill_random(struct array *a, uint32_t seed, double scale);

/* Bits 0xffc0dead in every element: a NaN that no computation yields. */
void cb__array_poison(struct array *a);
bool cb__array_same_shape(const struct array *a, const struct array *b);
bool cb__array_same_bits(const struct array *a, const struct array *b);
/* The largest distance to `expected`, as a part of the largest finite magnitude in it (at least 1e-30); infinite and
 * NaN elements must be so in both, else the result is infinite. `*out_at` (may be NULL) is the worst element. */
double cb__array_distance(const struct array *a, const struct array *expected, int64_t *out_at);
/* The same with each element's own distance as a part of its expected magnitude (at least 1). */
double cb__array_distance_each(const struct array *a, const struct array *expected, int64_t *out_at);
/* Index of the first element that is not finite, -1 when there is none. */
int64_t cb__array_first_bad(const struct array *a);
/* Sum of a[i] b[i] in double. */
double cb__array_dot(const struct array *a, const struct array *b);

#endif
