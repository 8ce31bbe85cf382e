/* descriptor.h: whether what a plugin hands over can be used. Private to src/graph. */
#ifndef CAMBIUM_GRAPH_DESCRIPTOR_H
#define CAMBIUM_GRAPH_DESCRIPTOR_H

#include <cambium/layer.h>

/* A word of YAML or the key of an option. */
bool cb__word_is_sound(const char *word);
/* An array whose elements have at least the fields that the first version had. */
bool cb__table_is_sound(const struct cb_array *table, size_t least_stride);
const void *cb__table_at(const struct cb_array *table, uint32_t index);
/* Copies an element of another size into this core's size; fields that it lacks become zero. */
void cb__copy_sized(void *to, size_t to_bytes, const void *from, size_t from_bytes);
/* What is wrong with a layer in this core's size ("has no forward variant"), or NULL. Reads every table to its end. */
const char *cb__layer_fault(const struct cb_layer *layer);

#define CB__MAX_ENTRY 128 /* bytes of a kernel's name, its end included */
/* Asks the host for the kernels that a variant's table names. */
enum cb_status cb__variant_kernels(struct cb_instance *in, const struct cb_variant *variant);
/* Whether input `i` may be of this data type. */
bool cb__layer_takes(const struct cb_layer *layer, uint32_t i, uint32_t dtype);

/* plugin_trial.c. Loads a plugin in a child process unless that was done before: else CB_INVALID and what happened. */
enum cb_status cb__trial_of_plugin(const char *path, const struct cb_place *at, struct cb_diag *diag);

#endif
