/* import.h: a file or folder of another program becomes a network file and a weights file of ours.
 *
 * An import reads (cb_import_weights, cb_import_folder, cb_import_onnx), which makes a struct cb_imported in memory, and
 * then writes (cb_import_write): DIR/NAME.yaml and DIR/NAME.safetensors. What was read is proven before anything is
 * written: the YAML is read back as a network, and every param of it must be among the tensors, in its shape. */
#ifndef CAMBIUM_EXCHANGE_IMPORT_H
#define CAMBIUM_EXCHANGE_IMPORT_H

#include "train/model.h"
#include "weights/safetensors.h"

struct cb_import_request {
    const char *path;            /* of the file or folder */
    const char *name;            /* of the network that is made */
    const int64_t *size;         /* H, W of its input; NULL: as the file says */
    const char *as;              /* a weights file: the backbone that it is for */
    const char *names;           /* a weights file: a YAML file of our names to theirs; NULL: none */
    /* ONNX, for programs that compare: the whole input is one sample, N stands before all axes of the file; inputs and
     * output keep the file's order of axes instead of channels-last. */
    bool one_sample, file_order;
    const struct cb_watch *watch; /* follows long work and may stop it; NULL: silence */
};

/* A tensor of the file and the param that it became. */
struct cb_import_pair {
    const char *ours, *theirs;
};

struct cb_imported {
    struct cb_arena *arena; /* of everything here */
    const char *name;
    const char *yaml;       /* the network file, all but `weights:`, which cb_import_write adds */
    struct cb_safetensors_entry *entries; /* every param and state, under our names, in our layouts; F32 */
    uint32_t entry_count;

    /* What there is to report. Lists may be empty. */
    const char *format;     /* "PyTorch (zip)", "ONNX opset 17", "Hugging Face (vit)" */
    const char *matched_by; /* "names of timm", "structure and shape"; NULL: nothing had to be matched */
    const char *prefix;     /* left off the file's names; or NULL */
    struct cb_import_pair *pairs;
    uint32_t pair_count;
    bool show_pairs;           /* they were found by structure: a person should look at them */
    struct cb_name_list unused; /* tensors of the file that the network has no place for */
    struct cb_name_list random; /* params that the file has nothing for: drawn at random */
    struct cb_name_list notes;  /* sentences: what was assumed, what to do about it */
    struct cb_name_list files;  /* paths of files that cb_import_write copies beside the network: a tokenizer's */
    /* Filled by cb_import_write. */
    uint32_t layer_count;
    int64_t param_count;
    const char *network_path, *weights_path;
    char sha256[65];            /* of the weights file */
    struct cb_contract contract; /* of the first input */
    struct cb_tensor output;     /* its shape, N = 1 */
};

/* An empty one with an arena; NULL when memory is exhausted. */
struct cb_imported *cb_imported_create(const char *name);
void cb_imported_destroy(struct cb_imported *imported); /* accepts NULL */
/* Adds a sentence to the notes; false when memory is exhausted. */
bool cb_imported_note(struct cb_imported *imported, const char *fmt, ...) CB_PRINTF(2, 3);
/* Adds a name to a list of it; copied. */
bool cb_imported_add_name(struct cb_imported *imported, struct cb_name_list *list, const char *name);

/* Each fills an empty `imported`. */
enum cb_status cb_import_weights(const struct cb_import_request *request, struct cb_imported *imported,
                                 struct cb_diag *diag);
/* A folder of the Hugging Face hub: config.json and weights. */
enum cb_status cb_import_folder(const struct cb_import_request *request, struct cb_imported *imported,
                                struct cb_diag *diag);

/* A GGUF file of llama.cpp, which says which network it is. */
enum cb_status cb_import_gguf(const struct cb_import_request *request, struct cb_imported *imported, struct cb_diag *diag);

/* An ONNX file: layers with channels last, named after the modules that its nodes came from. What no layer can do is
 * UNSUPPORTED, with the node's name and operator. */
enum cb_status cb_import_onnx(const struct cb_import_request *request, struct cb_imported *imported, struct cb_diag *diag);

/* Writes FOLDER/NAME.yaml and FOLDER/NAME.safetensors, by temporary names, the network file last. Files of these names
 * are replaced only with `force`. INTERNAL when the network and its tensors do not fit each other. */
enum cb_status cb_import_write(struct cb_imported *imported, const char *folder, bool force, struct cb_diag *diag);

#endif
