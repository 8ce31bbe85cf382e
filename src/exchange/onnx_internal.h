/* onnx_internal.h: what the files onnx_*.c share. */
#ifndef CAMBIUM_EXCHANGE_ONNX_INTERNAL_H
#define CAMBIUM_EXCHANGE_ONNX_INTERNAL_H

#include "base/file.h"
#include "base/text.h"
#include "exchange/onnx.h"
#include "onnx.pb-c.h"

enum {
    CB__ONNX_MAX_DEPTH = 64,            /* of messages in messages, of functions in functions, of branches in branches */
    CB__ONNX_MAX_MESSAGES = 2000000,    /* of a file: what protobuf-c makes of one has 50 to 300 bytes */
    CB__ONNX_MAX_NUMBERS = 32 << 20,    /* in typed lists */
    CB__ONNX_MAX_NODES = 1 << 18,       /* after functions are written out */
    CB__ONNX_MAX_EXTERNALS = 256,
};

/* What stands in the unpacked message as raw_data: where in the mapped file the bytes are, and the field that held them
 * (raw_data itself, float_data, double_data). */
struct cb__onnx_ref {
    uint64_t offset, length;
    uint64_t field;
};

/* Checks the wire format of a whole ModelProto and writes a copy without the tensors' bytes (cb__onnx_ref in their
 * place) and without what is not read (documentation, value_info). `out` is the caller's to free. */
enum cb_status cb__onnx_slim(const char *path, const struct cb_mapping *mapping, struct cb_text *out,
                             const struct cb_place *at, struct cb_diag *diag);

struct cb__onnx_external {
    const char *location;
    struct cb_mapping mapping;
};

/* A table of values by name: open addressing. A value from outside of a function has another name inside; one that the
 * call leaves out is NULL. */
struct cb__onnx_name {
    const char *name; /* NULL: free */
    struct cb_onnx_value *value;
};
struct cb__onnx_names {
    struct cb__onnx_name *slots;
    uint32_t slot_count, count;
};

/* Where names are looked up: a graph, a function's body, a branch of an If (its parent is what surrounds it). */
struct cb__onnx_scope {
    const struct cb__onnx_scope *parent;
    struct cb__onnx_names names;
    const char *prefix;                      /* of nodes' names, "" or "function/" */
    const Onnx__FunctionProto *function;     /* NULL: the scope is a graph */
    const struct cb_onnx_node *call;         /* the node that calls the function: attributes come from it */
    Onnx__OperatorSetIdProto **opsets;
    size_t opset_count;
    uint32_t depth;
};

struct cb__onnx_model {
    Onnx__ModelProto *proto;
    struct cb_mapping mapping;
    struct cb__onnx_external *externals;
    uint32_t external_count;
    uint32_t node_capacity, value_capacity;
    uint32_t made_nodes; /* all that were ever made */
    int64_t file_bytes; /* with external data: bounds what folding may make and read */
    int64_t spent;
    const struct cb_place *at; /* while it is opened */
};

/* ---- making the graph (onnx_names.c, onnx_build.c) ------------------------------------------------------------------------------ */

struct cb_onnx_value *cb__onnx_add_value(struct cb_onnx_graph *graph, const char *name);
/* Enters a value under a name. FORMAT where the name is taken in this scope. */
enum cb_status cb__onnx_enter(struct cb_onnx_graph *graph, struct cb__onnx_scope *scope, const char *name,
                              struct cb_onnx_value *value, struct cb_diag *diag);
/* In the scope and those around it; NULL: the name is unknown. */
const struct cb__onnx_name *cb__onnx_find(const struct cb__onnx_scope *scope, const char *name);
/* A value with a constant; its type and shape are the tensor's. NULL: no memory. */
struct cb_onnx_value *cb__onnx_add_constant(struct cb_onnx_graph *graph, const char *name,
                                            const struct cb_onnx_tensor *tensor);
void cb__onnx_set_constant(struct cb_onnx_value *value, const struct cb_onnx_tensor *tensor);
enum cb_status cb__onnx_build(struct cb_onnx_graph *graph, struct cb_diag *diag);
/* A list of nodes that grows. */
struct cb__onnx_nodes {
    struct cb_onnx_node **items;
    uint32_t count, capacity;
};
/* Appends the nodes of a list (calls of functions written out) to `out`. */
enum cb_status cb__onnx_add_nodes(struct cb_onnx_graph *graph, struct cb__onnx_scope *scope, Onnx__NodeProto **nodes,
                                  size_t count, struct cb__onnx_nodes *out, struct cb_diag *diag);
bool cb__onnx_append(struct cb_onnx_graph *graph, struct cb__onnx_nodes *nodes, struct cb_onnx_node *node);
/* The branch of an If: its initializers and nodes are appended, `outputs` (count of the node's) get its results. */
enum cb_status cb__onnx_add_branch(struct cb_onnx_graph *graph, const struct cb_onnx_node *node,
                                   const Onnx__GraphProto *branch, struct cb__onnx_nodes *out,
                                   struct cb_onnx_value **outputs, struct cb_diag *diag);
enum cb_status cb__onnx_no_memory(const struct cb_onnx_graph *graph, struct cb_diag *diag);

/* ---- attributes and tensors (onnx_attribute.c, onnx_tensor.c) ------------------------------------------------------ */

enum cb_status cb__onnx_read_attributes(struct cb_onnx_graph *graph, const struct cb__onnx_scope *scope,
                                        const Onnx__NodeProto *proto, struct cb_onnx_node *node,
                                        struct cb_diag *diag);
enum cb_status cb__onnx_read_tensor(struct cb_onnx_graph *graph, const Onnx__TensorProto *proto, const char *name,
                                    const struct cb_onnx_tensor **out, struct cb_diag *diag);
/* A dense tensor with room for its elements (zero); NULL when it is too large for what the file may make, or memory is
 * exhausted. */
struct cb_onnx_tensor *cb__onnx_make_tensor(struct cb_onnx_graph *graph, enum cb_onnx_type type, uint32_t rank,
                                            const int64_t *dims);
/* True when the file may still cause so much work (elements read, bytes made) on constants. */
bool cb__onnx_spend(struct cb_onnx_graph *graph, int64_t amount);
/* A copy of the head of a tensor, to be changed into a view of the same bytes. NULL: no memory. */
struct cb_onnx_tensor *cb__onnx_view(struct cb_onnx_graph *graph, const struct cb_onnx_tensor *tensor);
void cb__onnx_dense_strides(struct cb_onnx_tensor *tensor);
/* The product of the dims; false when one is negative or the product is over 2^48. */
bool cb__onnx_count(uint32_t rank, const int64_t *dims, int64_t *out);
/* Walks the elements of a view in row-major order. */
struct cb__onnx_walk {
    const struct cb_onnx_tensor *tensor;
    int64_t index[CB_MAX_RANK];
    int64_t offset; /* in elements */
};
void cb__onnx_walk_begin(struct cb__onnx_walk *walk, const struct cb_onnx_tensor *tensor);
void cb__onnx_walk_next(struct cb__onnx_walk *walk);
double cb__onnx_load_real(const struct cb_onnx_tensor *tensor, int64_t offset);
int64_t cb__onnx_load_int(const struct cb_onnx_tensor *tensor, int64_t offset);
/* Element `i` of a dense tensor that cb__onnx_make_tensor gave; rounded, or cut to the type's bits. */
void cb__onnx_store_real(struct cb_onnx_tensor *tensor, int64_t i, double value);
void cb__onnx_store_int(struct cb_onnx_tensor *tensor, int64_t i, int64_t value);

#endif
