/* array.c: host tensors: reading, generating, comparing. See array.h. */
#include "check/array.h"

#include <math.h>
#include <string.h>

#include "check/escape.h"

_Noreturn static void give_up(const struct cb_value *value, const char *why)
{
    if (value != NULL) {
        cb__escape("line %d: %s", value->at.line, why);
    }
    cb__escape("%s", why);
}

struct array cb__array_make(struct cb_arena *arena, uint32_t dtype, uint32_t rank, const int64_t *dims)
{
    struct array a = {.dtype = dtype, .rank = rank, .count = 1};
    for (uint32_t i = 0; i < rank; i++) {
        a.dims[i] = dims[i];
        a.count *= dims[i];
    }
    a.at.f = CB_NEW_ARRAY(arena, float, (size_t)a.count);
    if (a.at.f == NULL) {
        give_up(NULL, "out of memory");
    }
    return a;
}

struct array cb__array_copy(struct cb_arena *arena, const struct array *a)
{
    struct array copy = cb__array_make(arena, a->dtype, a->rank, a->dims);
    memcpy(copy.at.f, a->at.f, (size_t)a->count * sizeof(float));
    return copy;
}

static uint64_t splitmix64(uint64_t x)
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static double uniform(uint64_t seed, int64_t i)
{
    return (double)(splitmix64((seed << 32) + (uint64_t)i) >> 40) * 0x1p-24;
}

void cb__array_fill_random(struct array *a, uint32_t seed, double scale)
{
    for (int64_t i = 0; i < a->count; i++) {
        a->at.f[i] = (float)(scale * (2.0 * uniform(seed, i) - 1.0));
    }
}

static double number_of(const struct cb_value *value, const char *key, double otherwise)
{
    double number = otherwise;
    const struct cb_value *v = cb_map_get(value, key);
    if (v != NULL && !cb_value_number(v, &number)) {
        give_up(v, "not a number");
    }
    return number;
}

static void read_values(struct array *a, const struct cb_value *list)
{
    if (list->kind != CB_KIND_LIST || (int64_t)list->as.list.count != a->count) {
        give_up(list, "not a list of as many numbers as the shape has");
    }
    for (int64_t i = 0; i < a->count; i++) {
        const struct cb_value *item = list->as.list.items[i];
        double number;
        if (!cb_value_number(item, &number)) {
            give_up(item, "not a number");
        }
        if (a->dtype == CB_I32) {
            a->at.i[i] = (int32_t)number;
        } else {
            a->at.f[i] = (float)number;
        }
    }
}

struct array cb__array_read(struct cb_arena *arena, const struct cb_value *value)
{
    const struct cb_value *shape = cb_map_get(value, "shape"), *dtype = cb_map_get(value, "dtype");
    const struct cb_value *values = cb_map_get(value, "values");
    int64_t dims[CB_MAX_RANK];
    if (shape == NULL || shape->kind != CB_KIND_LIST || shape->as.list.count > CB_MAX_RANK) {
        give_up(value, "a tensor needs `shape`");
    }
    for (size_t i = 0; i < shape->as.list.count; i++) {
        dims[i] = shape->as.list.items[i]->as.integer;
    }
    struct array a = cb__array_make(arena, dtype != NULL && strcmp(dtype->text, "i32") == 0 ? CB_I32 : CB_F32,
                                (uint32_t)shape->as.list.count, dims);
    if (values != NULL) {
        read_values(&a, values);
        return a;
    }
    const uint64_t seed = (uint64_t)number_of(value, "seed", 0.0);
    const double scale = number_of(value, "scale", 1.0), offset = number_of(value, "offset", 0.0);
    const double step = number_of(value, "step", 0.0);
    for (int64_t i = 0; i < a.count; i++) {
        const double v = scale * (2.0 * uniform(seed, i) - 1.0);
        a.at.f[i] = (float)((step > 0.0 ? floor(v / step) * step : v) + offset);
    }
    return a;
}

struct array cb__array_read_list(struct cb_arena *arena, const struct cb_value *list, const struct array *like)
{
    struct array a = cb__array_make(arena, like->dtype, like->rank, like->dims);
    read_values(&a, list);
    return a;
}

void cb__array_poison(struct array *a)
{
    for (int64_t i = 0; i < a->count; i++) {
        a->at.i[i] = (int32_t)0xffc0deadu;
    }
}

bool cb__array_same_shape(const struct array *a, const struct array *b)
{
    return a->rank == b->rank && memcmp(a->dims, b->dims, a->rank * sizeof(a->dims[0])) == 0;
}

bool cb__array_same_bits(const struct array *a, const struct array *b)
{
    return a->count == b->count && memcmp(a->at.f, b->at.f, (size_t)a->count * sizeof(float)) == 0;
}

static double value_at(const struct array *a, int64_t i)
{
    return a->dtype == CB_I32 ? (double)a->at.i[i] : (double)a->at.f[i];
}

/* Infinite or NaN in one: 0 when both are alike. */
static double element_distance(double got, double want)
{
    const bool is_finite = isfinite(got) && isfinite(want);
    return is_finite ? fabs(got - want) : (isnan(want) && isnan(got)) || want == got ? 0.0 : INFINITY;
}

double cb__array_distance(const struct array *a, const struct array *expected, int64_t *out_at)
{
    double worst = 0.0, largest = 1e-30;
    int64_t at = 0;
    for (int64_t i = 0; i < expected->count; i++) {
        const double got = value_at(a, i), want = value_at(expected, i), distance = element_distance(got, want);
        if (isfinite(got) && isfinite(want) && fabs(want) > largest) {
            largest = fabs(want);
        }
        if (distance > worst) {
            worst = distance;
            at = i;
        }
    }
    if (out_at != NULL) {
        *out_at = at;
    }
    return worst / largest;
}

double cb__array_distance_each(const struct array *a, const struct array *expected, int64_t *out_at)
{
    double worst = 0.0;
    *out_at = 0;
    for (int64_t i = 0; i < expected->count; i++) {
        const double want = value_at(expected, i), distance = element_distance(value_at(a, i), want);
        const double part = isfinite(want) ? distance / fmax(fabs(want), 1.0) : distance;
        if (part > worst) {
            worst = part;
            *out_at = i;
        }
    }
    return worst;
}

int64_t cb__array_first_bad(const struct array *a)
{
    for (int64_t i = 0; a->dtype == CB_F32 && i < a->count; i++) {
        if (!isfinite(a->at.f[i])) {
            return i;
        }
    }
    return -1;
}

double cb__array_dot(const struct array *a, const struct array *b)
{
    double sum = 0.0;
    for (int64_t i = 0; i < a->count; i++) {
        sum += (double)a->at.f[i] * b->at.f[i];
    }
    return sum;
}
