/* internal.h: an open weights file, as the readers of each format fill it. */
#ifndef CAMBIUM_WEIGHTS_INTERNAL_H
#define CAMBIUM_WEIGHTS_INTERNAL_H

#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "weights/tensors.h"

struct zip;

/* A run of elements of one type that tensors view: in the mapping, or a member of the zip. */
struct cb__storage {
    const unsigned char *data; /* NULL: a zip member that is not in memory */
    uint64_t bytes;
    enum cb_stored type;
    uint32_t users;      /* how many tensors view it: a member with several stays in memory once read */
    const unsigned char *unchecked; /* of a zip member: where it lies; `data` is set once its checksum was found right */
    uint64_t zip_index;             /* of the member */
    uint32_t checksum;              /* of the member */
    uint64_t skip;       /* bytes of the member before the values */
    unsigned char *held; /* what was read of it, freed on close */
    const char *key;     /* its name in a PyTorch file */
};

struct cb_tensor_file {
    struct cb_arena *arena; /* of everything below; the file itself lies in it */
    const char *path;
    const char *format;
    const char *wrapper;
    const char *beside;
    struct cb_mapping mapping;
    struct zip *zip;
    uint64_t *zip_places; /* by index, where each member's header lies; NULL: not known */
    struct cb_tensor_entry *entries;
    uint32_t count;
    uint32_t *by_name; /* indices of entries, sorted by name */
    struct cb__storage *storages;
    uint32_t storage_count;
    struct cb_key_value *metadata;
    uint32_t metadata_count;
    struct cb_fact *facts;
    uint32_t fact_count;
    struct cb_tensor_file **parts; /* of an index: its files, whose entries and storages stand here one after the other */
    uint32_t part_count;
    bool is_part;
    uint32_t first_storage; /* of a part: the number that its first has in the whole */
};

/* Each fills entries, storages and metadata of a file whose mapping is there. */
enum cb_status cb__safetensors_open(struct cb_tensor_file *file, const struct cb_place *at, struct cb_diag *diag);
enum cb_status cb__torch_stream_open(struct cb_tensor_file *file, const struct cb_place *at, struct cb_diag *diag);
enum cb_status cb__torch_zip_open(struct cb_tensor_file *file, const struct cb_place *at, struct cb_diag *diag);
enum cb_status cb__index_open(struct cb_tensor_file *file, const struct cb_place *at, struct cb_diag *diag);
enum cb_status cb__npy_open(struct cb_tensor_file *file, const struct cb_place *at, struct cb_diag *diag);
enum cb_status cb__npz_open(struct cb_tensor_file *file, const struct cb_place *at, struct cb_diag *diag);
bool cb__is_npz(struct zip *zip);
/* The weights file that a folder is opened as; in the arena. */
enum cb_status cb__weights_in_folder(struct cb_arena *arena, const char *folder, char **out, const struct cb_place *at,
                                     struct cb_diag *diag);
/* One file, not a folder; `is_part`: of an index, and so none itself. */
enum cb_status cb__tensors_open_file(const char *path, bool is_part, struct cb_tensor_file **out,
                                     const struct cb_place *at, struct cb_diag *diag);
/* Finds where the members of file->zip lie, if it can. */
void cb__zip_find_places(struct cb_tensor_file *file);
/* The bytes of the stored member of that index and name; NULL when they were not found. Their checksum is not looked at. */
const unsigned char *cb__zip_place(const struct cb_tensor_file *file, uint64_t index, const char *name, uint64_t bytes);
/* Sets file->zip from the mapping. */
enum cb_status cb__zip_open(struct cb_tensor_file *file, const struct cb_place *at, struct cb_diag *diag);
enum cb_status cb__gguf_open(struct cb_tensor_file *file, const struct cb_place *at, struct cb_diag *diag);
struct cb__pickle_value;
/* Fills entries and wrapper from the object of a PyTorch file, whose storages are there. */
enum cb_status cb__torch_take(struct cb_tensor_file *file, const struct cb__pickle_value *top, const struct cb_place *at,
                              struct cb_diag *diag);
bool cb__is_torch_stream(const struct cb_mapping *mapping);

/* IEEE half, widened exactly, without a branch: a loop over it becomes vector code. */
static inline float cb__f32_of_f16(uint16_t half)
{
    uint32_t magnitude = (uint32_t)(half & 0x7fff) << 13;
    uint32_t exponent = magnitude & 0x0f800000u;
    uint32_t normal = magnitude + (112u << 23) + (exponent == 0x0f800000u ? 112u << 23 : 0); /* all ones stay so */
    float small = (float)(int32_t)(half & 0x7fff) * 0x1p-24f;
    uint32_t bits;
    memcpy(&bits, &small, sizeof(bits));
    bits = (exponent ? normal : bits) | (uint32_t)(half & 0x8000) << 16;
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* Product of the dims. False when one is negative or the product is over 2^62. */
bool cb__dims_count(uint32_t rank, const int64_t *dims, uint64_t *out);
/* How many elements of that type `bytes` hold. */
uint64_t cb__stored_count(enum cb_stored type, uint64_t bytes);
/* `count` elements from `from` on, `stride` apart, of a type that lies in blocks beginning at `data`. */
void cb__widen_blocks(enum cb_stored type, const unsigned char *data, int64_t from, int64_t stride, int64_t count,
                      float *out);
/* Row-major strides. */
void cb__dense_strides(uint32_t rank, const int64_t *dims, int64_t *strides);
/* True when every element of the view lies within `storage_count` elements. Strides may not be negative. */
bool cb__view_fits(const struct cb_tensor_entry *entry, uint64_t storage_count);
/* The bytes of a storage, reading them when need be. `*out_temporary` (may be NULL data) is the caller's to free. */
enum cb_status cb__storage_load(struct cb_tensor_file *file, struct cb__storage *storage,
                                const unsigned char **out_data, unsigned char **out_temporary, struct cb_diag *diag);
/* Sorts the index by name; FORMAT when two entries have one name. */
enum cb_status cb__index_names(struct cb_tensor_file *file, const struct cb_place *at, struct cb_diag *diag);

#endif
