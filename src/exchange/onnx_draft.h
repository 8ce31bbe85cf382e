/* onnx_draft.h: an ONNX graph under construction: values by name, nodes, initializers. It knows
 * ONNX alone.
 *
 * Everything lives in the draft's arena. An error sticks: after the first one every further call
 * does nothing and gives
 * "", so that what emits a layer reads without a test after each node; who runs the emissions looks
 * at `status`. */
#ifndef CAMBIUM_EXCHANGE_ONNX_DRAFT_H
#define CAMBIUM_EXCHANGE_ONNX_DRAFT_H

#include <cambium/status.h>

#include "base/arena.h"
#include "onnx.pb-c.h"

#define CB_DRAFT_OPSET 17 /* the first with LayerNormalization */
#define CB_DRAFT_IR 8     /* of ONNX 1.12, the release that brought opset 17 */

enum {
    CB_DRAFT_F32 = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT,
    CB_DRAFT_I64 = ONNX__TENSOR_PROTO__DATA_TYPE__INT64,
    CB_DRAFT_I32 = ONNX__TENSOR_PROTO__DATA_TYPE__INT32,
    CB_DRAFT_I8 = ONNX__TENSOR_PROTO__DATA_TYPE__INT8,
    CB_DRAFT_U8 = ONNX__TENSOR_PROTO__DATA_TYPE__UINT8
};

/* An attribute of a node: INT(name, v), REAL, TEXT, INTS(name, count, items). */
struct cb_draft_attribute {
    const char *name;
    int kind; /* ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__* */
    int64_t integer;
    float real;
    const char *text;
    const int64_t *ints;
    size_t count;
};
#define CB_DRAFT_INT(n, v)                                                                         \
    {.name = (n), .kind = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT, .integer = (v)}
#define CB_DRAFT_REAL(n, v)                                                                        \
    {.name = (n), .kind = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT, .real = (float)(v)}
#define CB_DRAFT_TEXT(n, v)                                                                        \
    {.name = (n), .kind = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING, .text = (v)}
#define CB_DRAFT_INTS(n, k, v)                                                                     \
    {.name = (n), .kind = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS, .ints = (v), .count = (k)}

/* Lists in place: CB_DRAFT_IN(x, w, b); NULL stands for an input that is left out.
 * CB_DRAFT_WITH(CB_DRAFT_INT("axis", 1)). */
#define CB_DRAFT_IN(...)                                                                           \
    (const char *const[]){__VA_ARGS__},                                                            \
        sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)
#define CB_DRAFT_WITH(...)                                                                         \
    (const struct cb_draft_attribute[]){__VA_ARGS__},                                              \
        sizeof((const struct cb_draft_attribute[]){__VA_ARGS__}) /                                 \
            sizeof(struct cb_draft_attribute)
#define CB_DRAFT_PLAIN NULL, 0 /* no attributes */

struct cb_draft {
    struct cb_arena *arena;
    struct cb_diag *diag;
    enum cb_status status;
    Onnx__GraphProto graph;
    size_t node_capacity, initializer_capacity;
    const char **names; /* taken ones: a table by hash, of `name_capacity` places, a power of two */
    size_t name_count, name_capacity;
    uint64_t value_bytes; /* of all initializers */
};

void cb__draft_begin(struct cb_draft *draft, struct cb_arena *arena, struct cb_diag *diag);
/* Notes that memory is exhausted; gives "". */
const char *cb__draft_no_memory(struct cb_draft *draft);

/* A name that nothing has yet: `wanted`, else with a number behind it. */
const char *cb__draft_name(struct cb_draft *draft, const char *wanted);

/* A node of one output; gives the output's name, `LAYER/OP`, which the node bears too. */
const char *cb__draft_node(struct cb_draft *draft, const char *layer, const char *op,
                           const char *const *inputs, size_t input_count,
                           const struct cb_draft_attribute *attributes, size_t attribute_count);
/* A node of several outputs, whose names go to `out`. */
void cb__draft_node_outputs(struct cb_draft *draft, const char *layer, const char *op,
                            const char *const *inputs, size_t input_count,
                            const struct cb_draft_attribute *attributes, size_t attribute_count,
                            const char **out, size_t out_count);

/* An initializer; `data` is kept by reference and must live as long as the arena. Gives its name.
 */
const char *cb__draft_initializer(struct cb_draft *draft, const char *wanted, int type,
                                  uint32_t rank, const int64_t *dims, const void *data);

/* An input or output of the graph. A dim of -1 is written as the symbol "N". */
void cb__draft_input(struct cb_draft *draft, const char *name, int type, uint32_t rank,
                     const int64_t *dims, const char *doc);
void cb__draft_output(struct cb_draft *draft, const char *name, int type, uint32_t rank,
                      const int64_t *dims, const char *doc);
/* Gives the value `from` another name, in all nodes. */
void cb__draft_rename(struct cb_draft *draft, const char *from, const char *to);

/* Bytes of one element. */
size_t cb__draft_bytes(int type);

#endif
