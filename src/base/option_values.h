/* option_values.h: how the values of an options struct lie in memory (shared by options.c and options_print.c). */
#ifndef CAMBIUM_BASE_OPTION_VALUES_H
#define CAMBIUM_BASE_OPTION_VALUES_H

#include "base/options.h"

union cb__option_slot {
    int64_t integer;
    double real;
    uint32_t boolean;
    int32_t choice;
    const char *text;
    struct cb_list list;
};

/* Bytes that an option of this type takes in the struct; 0 for a type that this version does not know. */
size_t cb__option_bytes(uint32_t type);

#endif
