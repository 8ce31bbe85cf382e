/* reference.h: reading a reference's JSON; what is missing fails the test. Include it behind cmocka.h. */
#ifndef CAMBIUM_TESTS_REFERENCE_H
#define CAMBIUM_TESTS_REFERENCE_H

#include "base/value.h"

static inline const struct cb_value *get(const struct cb_value *map, const char *key)
{
    const struct cb_value *value = cb_map_get(map, key);
    if (value == NULL) {
        fail_msg("the reference has no `%s`", key);
    }
    return value;
}

static inline double number(const struct cb_value *value)
{
    double result = 0.0;
    assert_true(cb_value_number(value, &result));
    return result;
}

static inline double number_at(const struct cb_value *list, size_t i)
{
    assert_true(list->kind == CB_KIND_LIST && i < list->as.list.count);
    return number(list->as.list.items[i]);
}

static inline void numbers(const struct cb_value *list, size_t first, size_t count, double *out)
{
    for (size_t i = 0; i < count; i++) {
        out[i] = number_at(list, first + i);
    }
}

#endif
