/* options.h: one reader for every table of options: those of the plugins (layer.h) and those of `data:` and `train:`.
 *
 * A table (struct cb_option, see cambium/layer.h) names keys with type, offset, range and help; the reader checks a YAML
 * map against it and fills a struct that began as a copy of the table's defaults. */
#ifndef CAMBIUM_BASE_OPTIONS_H
#define CAMBIUM_BASE_OPTIONS_H

#include <cambium/layer.h>

#include "base/value.h"

/* Fills `out` (options_size bytes) from `defaults` and then from `map` (a map, or NULL or null: only defaults).
 * `table.stride` is honoured: older and newer tables have elements of another size. Texts and lists live in `arena`.
 * `what` names the owner in messages: "layer `conv2d`", "`train`". Every error is collected; returns the first. When
 * `out_given` is not NULL, it gets a bit mask (bit i: option i was written), for tables of up to 64 options. */
enum cb_status cb_options_read(struct cb_arena *arena, const struct cb_array *table, const void *defaults,
                               size_t options_size, const struct cb_value *map, const char *what, void *out,
                               uint64_t *out_given, struct cb_diag *diag);
/* Element i of the table, copied into `*out` with missing trailing fields zero. */
void cb_options_at(const struct cb_array *table, uint32_t i, struct cb_option *out);
/* Index of a key, -1 when there is none. */
int cb_options_find(const struct cb_array *table, const char *key);
/* The JSON Schema of the table's map (an object with properties), appended to `out`. */
void cb_options_schema(const struct cb_array *table, const void *defaults, struct cb_text *out);
/* The default of option i as a person writes it ("same", "[3, 3]", "0.1"), appended. */
void cb_options_print_default(const struct cb_array *table, uint32_t i, const void *defaults, struct cb_text *out);
/* Writes a filled struct back as a map (for resolved configs); options equal to their defaults are left out unless
 * `all`. NULL when memory is exhausted. */
struct cb_value *cb_options_to_value(struct cb_arena *arena, const struct cb_array *table, const void *defaults,
                                     const void *filled, bool all);

#endif
