/* onnx_write.h: a model as an ONNX file: the network in inference form up to its scores, and behind
 * them what makes predictions; how an input is prepared, the labels and where all that came from
 * stand in the file's metadata.
 *
 *   inputs   `input`: float32 [N,C,H,W] (or [N,H,W,C], or uint8 [N,H,W,C] that the graph scales
 * itself); [N,T,C]; a network of several inputs keeps their names; whole numbers (ids, lengths) are
 * int64 outputs  `logits` and `probabilities` where the loss has a link, else `output`
 */
#ifndef CAMBIUM_EXCHANGE_ONNX_WRITE_H
#define CAMBIUM_EXCHANGE_ONNX_WRITE_H

#include "exchange/onnx_emit.h"
#include "train/model.h"

/* A file of protocol buffers ends at 2 GiB: from here on values go to a second file. */
#define CB_DRAFT_MOST_BYTES 1900000000u

struct cb_onnx_property {
    const char *key, *value;
};

struct cb_onnx_request {
    bool channels_last; /* the input is [N,H,W,C] */
    bool from_bytes;    /* the input is uint8 [N,H,W,C], values 0 to 255 */
    bool keep_affine;   /* batchnorm stays a node of its own */
    bool data_beside;   /* values go to PATH.data, however small */
    const char *path;
    const struct cb_quantised *quantised;      /* by param; NULL: float32 */
    const char *description;                   /* for people; may be NULL */
    const struct cb_onnx_property *properties; /* metadata beside what the model itself tells */
    uint32_t property_count;
};

struct cb_onnx_summary {
    uint32_t node_count, folded_count;
    uint64_t bytes;        /* of the file, with what lies beside it */
    const char *data_path; /* of the second file; NULL: there is none. In the network's arena */
};

/* Writes the model. All layers that ONNX cannot express are named, before anything is written. The
 * layer that makes predictions is added to the model's network. */
enum cb_status cb_onnx_write(struct cb_model *model, const struct cb_onnx_request *request,
                             struct cb_onnx_summary *out, struct cb_diag *diag);

/* ---- its parts
 * ---------------------------------------------------------------------------------------------------
 */

/* onnx_metadata.c: properties of the model: preprocessing, contract, labels, backbone. */
enum cb_status cb__draft_describe(const struct cb_model *model,
                                  const struct cb_onnx_request *request, Onnx__ModelProto *out,
                                  struct cb_arena *arena, struct cb_diag *diag);
/* onnx_file.c: writes a model whose initializers have `value_bytes` altogether. */
enum cb_status cb__draft_file_write(Onnx__ModelProto *model, uint64_t value_bytes,
                                    const struct cb_onnx_request *request, struct cb_arena *arena,
                                    struct cb_onnx_summary *out, struct cb_diag *diag);

/* onnx_int8.c: the weights of all linear maps as int8 with a scale per output channel (symmetric,
 * the largest value is 127); on the host they become what int8 holds. `*out` has an entry for each
 * param and lives in the network's arena. */
enum cb_status cb_onnx_quantise(struct cb_model *model, struct cb_quantised **out,
                                uint64_t *out_values, struct cb_diag *diag);

#endif
