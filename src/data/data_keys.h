/* data_keys.h: the keys of `data:`, as their readers and their schema share them. */
#ifndef CAMBIUM_DATA_DATA_KEYS_H
#define CAMBIUM_DATA_DATA_KEYS_H

#include "base/keys.h"

extern const struct cb_key cb_data_keys[];
/* Of a source of its own under train, test or validation. */
extern const struct cb_key cb__source_keys[];
/* Adds the definitions `data`, `source`, `choice`; false when memory is exhausted. */
bool cb_data_schema(struct cb_arena *arena, struct cb_value *definitions);

#endif
