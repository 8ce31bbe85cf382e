/* tensors.h: named tensors in a weights file, whatever wrote it.
 *
 * A file is recognised by its content, never by its name: safetensors, PyTorch's zip form (since 1.6) and PyTorch's
 * older stream form, GGUF, NumPy's npy and npz, the index of sharded safetensors or PyTorch files (docs/weights.md). A
 * file's every count, offset and size is checked before it is used, nothing in it is executed, and opening reads no
 * tensor data: all but zips are memory mapped, a zip's members are read one at a time when a tensor of theirs is.
 * Values stay as the file has them, in its own layouts; match.h converts.
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

/* How a block of elements is stored together, in GGUF files: name (as ggml spells it), elements, bytes. */
#define CB_BLOCK_LIST(X)                                                                           \
    X(Q4_0, 32, 18) X(Q4_1, 32, 20) X(Q5_0, 32, 22) X(Q5_1, 32, 24) X(Q8_0, 32, 34)                \
    X(Q2_K, 256, 84) X(Q3_K, 256, 110) X(Q4_K, 256, 144) X(Q5_K, 256, 176) X(Q6_K, 256, 210)
#define CB_MAX_BLOCK 256

enum cb_stored {
#define CB_STORED_ENUM(name, ...) CB_STORED_##name,
    CB_STORED_LIST(CB_STORED_ENUM) CB_BLOCK_LIST(CB_STORED_ENUM)
#undef CB_STORED_ENUM
    CB_STORED_COUNT
};

const char *cb_stored_name(enum cb_stored type);         /* "F32"; "?" for none of them */
uint32_t cb_stored_bytes(enum cb_stored type);           /* of one element; 0 for blocks and for none of them */
uint32_t cb_stored_block(enum cb_stored type);           /* elements in a block; 1 where each stands alone */
/* Bytes of `count` elements, blocks counted whole; UINT64_MAX when they overflow. */
uint64_t cb_stored_size(enum cb_stored type, uint64_t count);
bool cb_stored_is_real(enum cb_stored type);             /* a floating-point type, or blocks of them */
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
    uint64_t bytes;               /* cb_stored_size of them */
    uint32_t storage;             /* private: which */
};

struct cb_key_value {
    const char *key, *value;
};

struct cb_tensor_file;

/* Opens a weights file, or a folder that has one (by Hugging Face's names, else the only one); the caller closes it. `at` (may be NULL): where it was named. On failure `*out` stays. */
enum cb_status cb_tensors_open(const char *path, struct cb_tensor_file **out, const struct cb_place *at,
                               struct cb_diag *diag);
void cb_tensors_close(struct cb_tensor_file *file); /* accepts NULL */

/* The file that is read: of a folder the one in it. */
const char *cb_tensors_path(const struct cb_tensor_file *file);
/* "safetensors", "PyTorch (zip)", "PyTorch (stream)", "GGUF", "NumPy (npz)", "NumPy (npy)", "safetensors, sharded",
 * "PyTorch, sharded". */
const char *cb_tensors_format(const struct cb_tensor_file *file);
/* The key of the dict in which the tensors lay ("state_dict", "model.state_dict"), NULL when they lay at the top. */
const char *cb_tensors_wrapper(const struct cb_tensor_file *file);
/* Other keys that might have been meant, "`params_ema`, `ema`"; NULL when there are none. */
const char *cb_tensors_beside(const struct cb_tensor_file *file);

uint32_t cb_tensors_count(const struct cb_tensor_file *file);
/* Entries in the order of the file; NULL past the end. They live as long as the file is open. */
const struct cb_tensor_entry *cb_tensors_at(const struct cb_tensor_file *file, uint32_t i);
const struct cb_tensor_entry *cb_tensors_find(const struct cb_tensor_file *file, const char *name); /* NULL: none */

/* What a safetensors file has under `__metadata__`, and the single values of a GGUF file as text; others have none. */
uint32_t cb_tensors_metadata_count(const struct cb_tensor_file *file);
const struct cb_key_value *cb_tensors_metadata_at(const struct cb_tensor_file *file, uint32_t i);
const char *cb_tensors_metadata(const struct cb_tensor_file *file, const char *key); /* NULL: none */

/* The same with their types, lists too (GGUF only: a tokenizer's tokens, scores and merges). */
enum cb_fact_kind { CB_FACT_INTEGER, CB_FACT_REAL, CB_FACT_BOOL, CB_FACT_TEXT };
struct cb_fact {
    const char *key;
    enum cb_fact_kind kind;
    bool is_list;
    uint64_t count;            /* 1 where it is no list */
    uint32_t type;             /* private: as the file says */
    const unsigned char *data; /* private: of the first */
    const uint64_t *offsets;   /* private: of texts, from data */
};
uint32_t cb_tensors_fact_count(const struct cb_tensor_file *file);
const struct cb_fact *cb_tensors_fact_at(const struct cb_tensor_file *file, uint32_t i);
const struct cb_fact *cb_tensors_fact(const struct cb_tensor_file *file, const char *key); /* NULL: none */
/* Element i < count. An integer or BOOL as both; a U64 beyond 2^63 is cut to INT64_MAX; a real toward zero. Texts give
 * 0. */
int64_t cb_fact_integer(const struct cb_fact *fact, uint64_t i);
double cb_fact_real(const struct cb_fact *fact, uint64_t i);
/* Not terminated: `*out_bytes` of it, which may hold any byte. It lies in the file. NULL where it is no text. */
const char *cb_fact_text(const struct cb_fact *fact, uint64_t i, size_t *out_bytes);

/* Reads a tensor in row-major order: `out` has entry->count elements. Half, bfloat16 and 8-bit floats are widened
 * exactly, blocks as ggml does; F64 and integers beyond 2^24 are rounded to nearest even; BOOL gives 0 or 1.
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
