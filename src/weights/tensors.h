/* tensors.h: named tensors in a weights file, whatever wrote it.
 *
 * A file is recognised by its content, never by its name: safetensors, PyTorch's zip form (since 1.6) and PyTorch's
 * older stream form. A file's every count, offset and size is checked before it is used, nothing in it is executed, and
 * opening reads no tensor data: safetensors and the stream form are memory mapped, a zip's members are read one at a
 * time when a tensor of theirs is. Values stay as the file has them, in its own layouts; match.h converts.
 *
 * An open file may be read by one thread at a time. */
#ifndef CAMBIUM_WEIGHTS_TENSORS_H
#define CAMBIUM_WEIGHTS_TENSORS_H

#include <cambium/layer.h>

#include "base/arena.h"

/* How one element is stored: name (as safetensors spells it), bytes. */
#define CB_STORED_LIST(X)                                                                          \
    X(F64, 8) X(F32, 4) X(F16, 2) X(BF16, 2) X(I64, 8) X(I32, 4) X(I16, 2) X(I8, 1)                \
    X(U64, 8) X(U32, 4) X(U16, 2) X(U8, 1) X(BOOL, 1) X(F8_E4M3, 1) X(F8_E5M2, 1)

enum cb_stored {
#define CB_STORED_ENUM(name, bytes) CB_STORED_##name,
    CB_STORED_LIST(CB_STORED_ENUM)
#undef CB_STORED_ENUM
    CB_STORED_COUNT
};

const char *cb_stored_name(enum cb_stored type);   /* "F32"; "?" for none of them */
uint32_t cb_stored_bytes(enum cb_stored type);     /* of one element; 0 for none of them */
bool cb_stored_is_real(enum cb_stored type);       /* a floating-point type */
/* The type that safetensors calls `name`; false when it has no such type (or one that is not read: C64, F4, ...). */
bool cb_stored_from_name(const char *name, enum cb_stored *out);

/* One tensor. Element [i0, i1, ...] lies `offset + i0 * strides[0] + ...` elements into its storage. */
struct cb_tensor_entry {
    const char *name;
    enum cb_stored type;
    uint32_t rank; /* 0: one value */
    int64_t dims[CB_MAX_RANK];
    int64_t strides[CB_MAX_RANK]; /* in elements */
    uint64_t offset;              /* in elements */
    uint64_t count;               /* of elements */
    uint64_t bytes;               /* count * size of one */
    uint32_t storage;             /* private: which */
};

struct cb_key_value {
    const char *key, *value;
};

struct cb_tensor_file;

/* Opens a weights file; the caller closes it. `at` (may be NULL): where it was named. On failure `*out` stays. */
enum cb_status cb_tensors_open(const char *path, struct cb_tensor_file **out, const struct cb_place *at,
                               struct cb_diag *diag);
void cb_tensors_close(struct cb_tensor_file *file); /* accepts NULL */

const char *cb_tensors_path(const struct cb_tensor_file *file);
/* "safetensors", "PyTorch (zip)", "PyTorch (stream)". */
const char *cb_tensors_format(const struct cb_tensor_file *file);
/* The key of the dict in which the tensors lay ("state_dict"), NULL when they lay at the top. */
const char *cb_tensors_wrapper(const struct cb_tensor_file *file);

uint32_t cb_tensors_count(const struct cb_tensor_file *file);
/* Entries in the order of the file; NULL past the end. They live as long as the file is open. */
const struct cb_tensor_entry *cb_tensors_at(const struct cb_tensor_file *file, uint32_t i);
const struct cb_tensor_entry *cb_tensors_find(const struct cb_tensor_file *file, const char *name); /* NULL: none */

/* What a safetensors file has under `__metadata__`; others have none. */
uint32_t cb_tensors_metadata_count(const struct cb_tensor_file *file);
const struct cb_key_value *cb_tensors_metadata_at(const struct cb_tensor_file *file, uint32_t i);
const char *cb_tensors_metadata(const struct cb_tensor_file *file, const char *key); /* NULL: none */

/* Reads a tensor in row-major order: `out` has entry->count elements. Half, bfloat16 and 8-bit floats are widened
 * exactly; F64 and integers beyond 2^24 are rounded to nearest even; BOOL gives 0 or 1.
 * The entry may be a changed copy: with dims and strides in another order the tensor is read transposed, without a
 * second copy of it; with offset and dims changed, a part. Fails with INVALID when it reaches outside its storage. */
enum cb_status cb_tensors_read_f32(struct cb_tensor_file *file, const struct cb_tensor_entry *entry, float *out,
                                   struct cb_diag *diag);
/* The same for integers and BOOL; MISMATCH for a floating-point type, or a U64 that does not fit. */
enum cb_status cb_tensors_read_i64(struct cb_tensor_file *file, const struct cb_tensor_entry *entry, int64_t *out,
                                   struct cb_diag *diag);
/* Narrows `*entry` to `rows` elements of its first dimension from `first` on. INVALID when they are not there. */
enum cb_status cb_tensors_rows(const struct cb_tensor_entry *entry, int64_t first, int64_t rows,
                               struct cb_tensor_entry *out, struct cb_diag *diag);

/* "[3, 224, 224]"; "[]" for one value. `out` has room for 192. Returns `out`. */
char *cb_format_dims(uint32_t rank, const int64_t *dims, char out[192]);

#endif
