/* pickle.h: a machine that reads the little of Python's pickle format that a PyTorch state dict is made of.
 *
 * It builds plain values and executes nothing. Of globals it knows those in pickle_build.c (OrderedDict, Size, the
 * functions that rebuild a tensor, the storage types); some that stand beside weights and mean no harm (settings, dates,
 * NumPy's numbers) become a value of which only the name is known; any other global and any opcode outside the list is
 * refused with its name and its byte. It has no recursion; its stack, memo and number of values are bounded by the length of the
 * input and by the limits below.
 *
 * Format: Python's Lib/pickletools.py (protocols 0 to 5); torch/_utils.py and torch/serialization.py for the rest. */
#ifndef CAMBIUM_WEIGHTS_PICKLE_H
#define CAMBIUM_WEIGHTS_PICKLE_H

#include "weights/tensors.h"

#define CB__PICKLE_MAX_BYTES ((size_t)64 << 20)
#define CB__PICKLE_MAX_VALUES 4000000u
#define CB__PICKLE_MAX_ITEMS 16000000u /* of all tuples, lists and dicts */
#define CB__PICKLE_MAX_EXPANDED ((uint64_t)1 << 26) /* elements of all tensors that are larger than their storage */

enum cb__pickle_kind {
    CB__PICKLE_NONE,
    CB__PICKLE_BOOL,
    CB__PICKLE_INT,
    CB__PICKLE_BIG, /* an integer beyond 64 bits: its bytes, in text */
    CB__PICKLE_REAL,
    CB__PICKLE_TEXT, /* and bytes */
    CB__PICKLE_TUPLE,
    CB__PICKLE_LIST,
    CB__PICKLE_DICT, /* and OrderedDict: items are key, value, key, value */
    CB__PICKLE_GLOBAL,
    CB__PICKLE_STORAGE,
    CB__PICKLE_TENSOR,
    CB__PICKLE_FOREIGN, /* something that a known harmless global makes: only its name is kept */
};

struct cb__pickle_global;

struct cb__pickle_value {
    enum cb__pickle_kind kind;
    union {
        int64_t integer; /* and BOOL */
        double real;
        struct {
            const char *data; /* in the input */
            size_t length;
        } text;
        struct {
            struct cb__pickle_value **items;
            uint32_t count, capacity;
        } list;
        const struct cb__pickle_global *global;
        struct {
            uint32_t index;         /* the caller's */
            enum cb_stored type;
            uint64_t offset, count; /* elements of the storage that are meant: all, unless it is a view of another */
        } storage;
        struct cb_tensor_entry *tensor; /* without a name */
        const char *foreign;            /* "numpy.dtype" */
    } as;
};

struct cb__pickle {
    struct cb_arena *arena; /* of the values */
    const char *path;       /* for messages */
    const unsigned char *data;
    size_t bytes;
    size_t position; /* of the next byte; behind the STOP after a successful read */
    const struct cb_place *at;
    struct cb_diag *diag;
    uint32_t value_count;
    uint64_t item_count;
    uint64_t expanded_count;
    /* Turns a persistent id, a tuple whose first item is "storage", into what `storage` of a value holds. NULL: there
     * are none. */
    enum cb_status (*storage)(void *context, struct cb__pickle *pickle, const struct cb__pickle_value *id,
                              struct cb__pickle_value *out);
    void *context;
};

/* Reads one pickled object up to its STOP. The result lives in the arena; texts point into `data`. */
enum cb_status cb__pickle_read(struct cb__pickle *pickle, struct cb__pickle_value **out);

/* The type of a storage class (`FloatStorage`); false for anything else. */
bool cb__pickle_storage_type(const struct cb__pickle_value *value, enum cb_stored *out);
bool cb__pickle_text_is(const struct cb__pickle_value *value, const char *text);
/* A copy in the arena; NULL when it is no text, has a zero byte within, or memory is exhausted. */
const char *cb__pickle_text(struct cb_arena *arena, const struct cb__pickle_value *value);
/* NULL when `dict` is not one or has no such key. */
const struct cb__pickle_value *cb__pickle_get(const struct cb__pickle_value *dict, const char *key);
/* FORMAT, with the file and the byte at `position`. */
enum cb_status cb__pickle_fail(const struct cb__pickle *pickle, size_t position, const char *fmt, ...) CB_PRINTF(3, 4);

#endif
