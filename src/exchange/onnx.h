/* onnx.h: an ONNX model in memory: a small graph of our own, of which constants and shapes are known.
 *
 * cb_onnx_open maps the file, looks over its bytes (depth, counts, sizes) before protobuf-c sees them, and makes values
 * and nodes of it. Tensors stay where they are, in the mapped file or the mapped file beside it (external data), so
 * that a model of 500 MB needs its own 500 MB once. Local functions are written out where they are called.
 *
 * cb_onnx_simplify then walks the nodes once, in order: what can be computed without the input becomes a constant,
 * arithmetic on shapes disappears, an If takes the branch that its condition names, Identity and Dropout fall away,
 * every value gets its type and shape, and nodes that feed no output go.
 *
 * The batch: dim 0 of the model's first input is N, whatever number the file has there, and stays N in all shapes: a dim
 * is `fixed + batch * N`. A Reshape to [1, 768] of a file that was exported with a batch of 1 is one to [N, 768].
 *
 * Operators: opsets 7 to 27 (what 22 to 27 changed in the operators that are read are only types). One thread at a time.
 * Format: github.com/onnx/onnx, docs/IR.md, docs/ExternalData.md, docs/Operators.md, docs/Changelog.md. */
#ifndef CAMBIUM_EXCHANGE_ONNX_H
#define CAMBIUM_EXCHANGE_ONNX_H

#include <cambium/layer.h>

#include "base/arena.h"

enum { CB_ONNX_OPSET_MIN = 7, CB_ONNX_OPSET_MAX = 27 };

/* TensorProto.DataType, with its numbers. Others are refused where a tensor has them. */
enum cb_onnx_type {
    CB_ONNX_UNDEFINED = 0,
    CB_ONNX_FLOAT = 1,
    CB_ONNX_UINT8 = 2,
    CB_ONNX_INT8 = 3,
    CB_ONNX_UINT16 = 4,
    CB_ONNX_INT16 = 5,
    CB_ONNX_INT32 = 6,
    CB_ONNX_INT64 = 7,
    CB_ONNX_STRING = 8, /* known by name; values are not read */
    CB_ONNX_BOOL = 9,
    CB_ONNX_FLOAT16 = 10,
    CB_ONNX_DOUBLE = 11,
    CB_ONNX_UINT32 = 12,
    CB_ONNX_UINT64 = 13,
    CB_ONNX_BFLOAT16 = 16,
};

const char *cb_onnx_type_name(enum cb_onnx_type type);  /* "float", "int64", ... "?" for one that is not read */
uint32_t cb_onnx_type_bytes(enum cb_onnx_type type);    /* of one element; 0 for one that is not read */
bool cb_onnx_type_is_real(enum cb_onnx_type type);      /* a floating-point type */

/* Values that are known: a view of bytes that live as long as the graph. Element [i0, i1, ...] lies
 * i0 * strides[0] + i1 * strides[1] + ... elements after `data` (little-endian, at any alignment; a stride may be 0). */
struct cb_onnx_tensor {
    const char *name; /* for messages; never NULL */
    enum cb_onnx_type type;
    uint32_t rank;
    int64_t dims[CB_MAX_RANK];
    int64_t strides[CB_MAX_RANK];
    int64_t count; /* of elements */
    const unsigned char *data;
    const char *source; /* of rows picked from a constant: its name; else NULL */
};

/* Row-major, `count` elements; reals are widened exactly (double is rounded), integers rounded, bool gives 0 or 1. */
void cb_onnx_tensor_f32(const struct cb_onnx_tensor *tensor, float *out);
/* Row-major; reals are cut off to integers. */
void cb_onnx_tensor_i64(const struct cb_onnx_tensor *tensor, int64_t *out);
/* Element `i` in row-major order (0 where there is none). */
double cb_onnx_tensor_real(const struct cb_onnx_tensor *tensor, int64_t i);
int64_t cb_onnx_tensor_int(const struct cb_onnx_tensor *tensor, int64_t i);
/* True when the elements lie row-major without gaps: `data` may then be read as an array of bytes. */
bool cb_onnx_tensor_is_dense(const struct cb_onnx_tensor *tensor);

/* fixed + batch * N. */
struct cb_onnx_dim {
    int64_t fixed, batch;
};

struct cb_onnx_node;

struct cb_onnx_value {
    const char *name;
    enum cb_onnx_type type; /* UNDEFINED: not known */
    bool has_shape;         /* false: rank and dims are not known (an operator that is not supported made it) */
    bool is_input;          /* of the model */
    bool is_output;         /* of the model; set by cb_onnx_simplify */
    bool is_repeated;       /* `constant` has 1 as its first dim where the value has N: every sample is the same */
    uint32_t rank;
    struct cb_onnx_dim dims[CB_MAX_RANK];   /* before cb_onnx_simplify an input's open dim is -1 or 0 */
    const char *symbols[CB_MAX_RANK];       /* of an input: the file's names of its dims, NULL where it has none */
    const struct cb_onnx_tensor *constant;  /* initializer, or computed; NULL: it depends on the input (or on N) */
    const struct cb_onnx_dim *elements;     /* of an integer value that depends on N alone (a shape): one a element */
    struct cb_onnx_node *producer;          /* NULL: an input, or a constant */
    struct cb_onnx_node **consumers;        /* after cb_onnx_simplify: a node twice when it reads the value twice */
    uint32_t consumer_count;
    uint32_t index; /* in graph->values */
    const struct cb_onnx_tensor *lanes[3]; /* private: what it is for three batch sizes */
    struct cb_onnx_value *alias;           /* private: the value that it is the same as */
};

enum cb_onnx_kind {
    CB_ONNX_A_FLOAT = 1,
    CB_ONNX_A_INT = 2,
    CB_ONNX_A_STRING = 3,
    CB_ONNX_A_TENSOR = 4,
    CB_ONNX_A_GRAPH = 5,
    CB_ONNX_A_FLOATS = 6,
    CB_ONNX_A_INTS = 7,
    CB_ONNX_A_STRINGS = 8,
};

struct cb_onnx_attribute {
    const char *name;
    enum cb_onnx_kind kind;
    double real;
    int64_t integer;
    const char *string; /* NUL-terminated; one with a zero byte inside is refused */
    const struct cb_onnx_tensor *tensor;
    const double *reals; /* `count` of them */
    const int64_t *integers;
    const char *const *strings;
    uint32_t count;
    const void *graph; /* private */
};

struct cb_onnx_pair {
    const char *key, *value;
};

struct cb_onnx_node {
    const char *op;     /* "Conv" */
    const char *domain; /* "" (never "ai.onnx"), "com.microsoft", ... */
    const char *name;   /* of the file, with the names of the functions around it; "" where it has none */
    int64_t version;    /* opset of its domain */
    struct cb_onnx_value **inputs; /* NULL: left out */
    struct cb_onnx_value **outputs; /* NULL: left out */
    struct cb_onnx_attribute *attributes;
    struct cb_onnx_pair *metadata;
    uint32_t input_count, output_count, attribute_count, metadata_count;
    uint32_t index; /* in graph->nodes */
    const void *scope; /* private */
};

struct cb_onnx_port {
    const char *name;             /* as the file has it */
    struct cb_onnx_value *value;  /* behind Identity chains; a constant where the output is one */
};

struct cb_onnx_graph {
    struct cb_arena *arena; /* of everything below; the graph itself lies in it */
    const char *path;
    const char *name, *producer, *producer_version;
    int64_t ir_version, opset; /* of the domain "" */
    struct cb_onnx_node **nodes;   /* in an order in which they can run */
    struct cb_onnx_value **values; /* of the file; after cb_onnx_simplify: those in use */
    struct cb_onnx_port *inputs;   /* without those that have an initializer */
    struct cb_onnx_port *outputs;
    struct cb_onnx_pair *metadata; /* metadata_props of the model */
    uint32_t node_count, value_count, input_count, output_count, metadata_count;
    uint32_t batch_axis; /* of its first input: 0, or 1 where that is a recurrent node's [T,N,C] */
    int64_t batch;   /* what the file has as that dim; 0: it is left open, or there is none */
    const char *batch_symbol; /* the name of that dim, NULL: it has none */
    struct cb__onnx_model *model; /* private */
};

/* Opens and checks a file. The caller closes the graph. On failure `*out` stays as it was. `at` (may be NULL): where the
 * path was named. */
enum cb_status cb_onnx_open(const char *path, struct cb_onnx_graph **out, const struct cb_place *at,
                            struct cb_diag *diag);
void cb_onnx_close(struct cb_onnx_graph *graph); /* accepts NULL */

struct cb_onnx_size {
    const char *name; /* of a dim ("height"), "INPUT:AXIS" ("pixel_values:2"), or an axis alone ("2") */
    int64_t size;
};

struct cb_onnx_options {
    const struct cb_onnx_size *sizes; /* of dims that the file leaves open, other than N */
    uint32_t size_count;
    bool keep_batch; /* dim 0 keeps the file's number where it has one: no N (single nodes, and models without a batch) */
};

/* Folds, infers and tidies, in place; once per graph. `options` may be NULL. INVALID, with the names, when dims are left
 * open or a size names no dim; FORMAT, MISMATCH, UNSUPPORTED with the node's name and operator where it fits no shape. */
enum cb_status cb_onnx_simplify(struct cb_onnx_graph *graph, const struct cb_onnx_options *options,
                                struct cb_diag *diag);

/* Fails with "`FILE`: node `NAME` (OP): ...", without the node where it is NULL. Returns `status`. */
enum cb_status cb_onnx_fail(const struct cb_onnx_graph *graph, const struct cb_onnx_node *node, enum cb_status status,
                            struct cb_diag *diag, const char *fmt, ...) CB_PRINTF(5, 6);

/* NULL when the node has no such attribute. */
const struct cb_onnx_attribute *cb_onnx_attribute(const struct cb_onnx_node *node, const char *name);
/* `fallback` where it is left out (or of another kind: the reader has checked the kinds of what the standard defines). */
int64_t cb_onnx_int(const struct cb_onnx_node *node, const char *name, int64_t fallback);
double cb_onnx_real(const struct cb_onnx_node *node, const char *name, double fallback);
const char *cb_onnx_string(const struct cb_onnx_node *node, const char *name, const char *fallback);
/* NULL and 0 where it is left out. */
const int64_t *cb_onnx_ints(const struct cb_onnx_node *node, const char *name, uint32_t *out_count);
const char *cb_onnx_metadata(const struct cb_onnx_pair *pairs, uint32_t count, const char *key); /* NULL: none */

/* Input or output `i`, NULL where it is left out or past the end. */
struct cb_onnx_value *cb_onnx_input(const struct cb_onnx_node *node, uint32_t i);
struct cb_onnx_value *cb_onnx_output(const struct cb_onnx_node *node, uint32_t i);
/* Its constant, NULL where it has none (or is repeated). */
const struct cb_onnx_tensor *cb_onnx_constant(const struct cb_onnx_node *node, uint32_t i);

/* True when dim `axis` is exactly `size`; when it is exactly N. */
bool cb_onnx_dim_is(const struct cb_onnx_value *value, uint32_t axis, int64_t size);
bool cb_onnx_dim_is_batch(const struct cb_onnx_value *value, uint32_t axis);
/* "[N, 3, 224, 2N + 1]", "?" where it is not known. `out` has room for 512. Returns `out`. */
char *cb_onnx_format_shape(const struct cb_onnx_value *value, char out[512]);

#endif
