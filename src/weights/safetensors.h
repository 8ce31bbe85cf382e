/* safetensors.h: writing safetensors files. Reading: tensors.h.
 *
 * Format: https://huggingface.co/docs/safetensors (8 bytes little-endian length of the header, the header in JSON, the
 * values). Files written here are also read by its own tools. */
#ifndef CAMBIUM_WEIGHTS_SAFETENSORS_H
#define CAMBIUM_WEIGHTS_SAFETENSORS_H

#include "weights/tensors.h"

#define CB_SAFETENSORS_MAX_HEADER 100000000u /* bytes; the limit of the reference implementation */

struct cb_safetensors_entry {
    const char *name;
    enum cb_stored type;
    uint32_t rank;
    int64_t dims[CB_MAX_RANK];
    const void *data; /* row-major, little-endian */
};

/* Writes atomically: a file of that name is either the old one or the whole new one. Values go straight from `data` to
 * the file, those with the largest elements first, so that each is aligned to its size in a memory map (the header is
 * padded to a multiple of 8); otherwise in the order given. The same input gives the same bytes. INVALID for two
 * tensors of one name, the name `__metadata__`, text that is not UTF-8, or dims below 0. `metadata` may be NULL. */
enum cb_status cb_safetensors_write(const char *path, const struct cb_safetensors_entry *entries, uint32_t count,
                                    const struct cb_key_value *metadata, uint32_t metadata_count,
                                    struct cb_diag *diag);

#endif
