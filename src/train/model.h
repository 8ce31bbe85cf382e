/* model.h: the network of a task: backbone read and cut, head and loss added, params loaded or drawn, frozen marked.
 *
 * Also what is written to and read from model.safetensors: the whole network (description, contract, labels, what was
 * frozen with its hash, the task) in the metadata, so that the file predicts on its own. */
#ifndef CAMBIUM_TRAIN_MODEL_H
#define CAMBIUM_TRAIN_MODEL_H

#include "data/dataset.h"
#include "graph/network.h"
#include "train/task.h"
#include "weights/match.h"

#define CB_FORMAT_VERSION 1 /* of model.safetensors; a file of a newer one is refused */

struct cb_watch;
struct cb_tokenizer;
struct cb_tensor_file;
struct cb_safetensors_entry;

/* A network description with its weights file, before anything is built. */
struct cb_backbone {
    struct cb_arena *arena;
    const char *name;
    const char *path;            /* of the network file or of the run's model.safetensors */
    const char *folder;
    const char *run;             /* the run's folder when it is one; else NULL */
    const char *features;        /* of a run: the output that its head was put on; NULL when it has none of its own */
    const struct cb_value *file; /* the map */
    struct cb_contract contract; /* of its first input */
    struct cb_tokenizer *tokenizer; /* once cb_backbone_tokenizer opened it */
    const struct cb_watch *watch; /* follows a download of the weights and may stop it; NULL: silence */
};

/* Finds `what`: a name in configs/backbones (of a file, or of a model of a family: graph/family.h), the path of a YAML file
 * (FILE.yaml:MODEL where it describes a family), a folder with one network file, `hf:OWNER/NAME` once fetched, `run:NAME`, or a run's folder; relative
 * paths start at `folder`, then at the working directory. Nothing but the description is read. `at` may be NULL. */
enum cb_status cb_backbone_open(const char *what, const char *folder, const struct cb_place *at,
                                struct cb_backbone **out, struct cb_diag *diag);
void cb_backbone_close(struct cb_backbone *backbone); /* accepts NULL */
/* What makes tokens of text for it: the files that its contract names, fetched where that is needed, or those that a run
 * keeps. The backbone's, closed with it. */
enum cb_status cb_backbone_tokenizer(struct cb_backbone *backbone, struct cb_tokenizer **out, struct cb_diag *diag);
/* MISMATCH when it has more tokens than the network's table has rows. */
enum cb_status cb_tokenizer_check(const struct cb_tokenizer *tokenizer, const struct cb_network *net,
                                  const struct cb_place *at, struct cb_diag *diag);
/* Its files as tensors of bytes; their number. Those of a model file; NULL where it has none. */
uint32_t cb__tokenizer_entries(struct cb_arena *arena, const struct cb_tokenizer *tokenizer,
                               struct cb_safetensors_entry *out, uint32_t room);
enum cb_status cb__tokenizer_from_tensors(struct cb_tensor_file *file, struct cb_tokenizer **out, struct cb_diag *diag);

/* hf:OWNER/NAME[@REVISION], a model of the Hugging Face hub, and its folder in the user's cache. Texts in the arena. */
struct cb_hub_name {
    const char *owner, *name, *revision, *folder;
};
enum cb_status cb_hub_name_read(struct cb_arena *arena, const char *what, const struct cb_place *at,
                                struct cb_hub_name *out, struct cb_diag *diag);
/* The folder of its network, once it was fetched and imported (exchange/hub.h); NOT_FOUND before. */
enum cb_status cb_hub_network(struct cb_arena *arena, const char *what, const struct cb_place *at, char **out_folder,
                              struct cb_diag *diag);

struct cb_model {
    struct cb_network *net;
    uint32_t input;     /* wire of the pictures */
    uint32_t features;  /* wire that feeds the head */
    uint32_t scores;    /* wire of the head's output */
    uint32_t target;    /* wire of the labels; CB_NONE without a loss */
    uint32_t loss_value, loss_weight; /* wires [N]; CB_NONE without a loss */
    const char *link;   /* word of the layer that makes predictions of scores; NULL: scores are the predictions */
    uint32_t loss_flags; /* CB_LAYER_* of the loss; 0 without one */
    uint32_t outputs;   /* length of a row of scores */
    const char *const *classes; /* names; NULL: values */
    uint32_t class_count;
    struct cb_contract contract; /* of the input, with the task's size */
    struct cb_colour background;
    struct cb_load_report *report; /* NULL when nothing was loaded */
    char frozen_before[65];        /* hash of what is frozen, as loaded */
    char weights_sha256[65];       /* of the weights file; "" when none */
    const char *weights_path;
    const struct cb_tokenizer *tokenizer; /* of text, the backbone's; NULL: it was not needed */
    struct cb_tokenizer *own_tokenizer;   /* of a run: the same, closed with the model */
    uint32_t head_dense;           /* node, when the head is one linear layer on features [N,C]; else CB_NONE */
};

/* What the network wants of a weights file, a param each in their order, to be put where its values are. In the network's
 * arena; NULL when memory is exhausted. */
struct cb_wanted *cb_network_wanted(const struct cb_network *net);

/* Builds the task's network. `dataset` gives classes or values and the contract's size; NULL for `describe` without data
 * (then `class_count` stands for the classes). Random values come from `task->config.seed`. `load` false: values stay
 * random where a file would be read (describe, check). The caller destroys it. */
enum cb_status cb_model_build(const struct cb_task *task, const struct cb_backbone *backbone,
                              struct cb_registry *registry, const struct cb_dataset *dataset, uint32_t class_count,
                              bool load, struct cb_model **out, struct cb_diag *diag);
/* The backbone alone with its own output, its params without values: drawing those of a large network takes seconds (check). */
enum cb_status cb_model_outline(const struct cb_backbone *backbone, struct cb_registry *registry, struct cb_model **out,
                                struct cb_diag *diag);
/* The same with values (extract, describe). `weights`: a path, NULL for its own source, or `random`. */
enum cb_status cb_model_from_backbone(const struct cb_backbone *backbone, struct cb_registry *registry,
                                      const char *weights, bool random, struct cb_model **out, struct cb_diag *diag);
void cb_model_destroy(struct cb_model *model); /* accepts NULL */

/* What else is written beside the network. */
struct cb_model_extra {
    const struct cb_value *task;    /* resolved; may be NULL */
    const char *task_folder;        /* its relative paths start here */
    const struct cb_value *results; /* may be NULL */
    bool head_only;                 /* save: head */
};
/* Writes model.safetensors from the host's values. */
enum cb_status cb_model_save(const struct cb_model *model, const struct cb_model_extra *extra, const char *path,
                             struct cb_diag *diag);
/* Opens a run's folder or model file for prediction: no task, no dataset. */
enum cb_status cb_model_load(const char *path, struct cb_registry *registry, struct cb_model **out, struct cb_diag *diag);

/* The path of the weights of a backbone, fetched and converted where that is needed. In the backbone's arena. */
enum cb_status cb_backbone_weights(struct cb_backbone *backbone, char **out_path, struct cb_diag *diag);
/* Fills net's params from a file; the rest stays. `allow_missing_head`: params of the head may be missing. */
enum cb_status cb_model_load_weights(struct cb_model *model, const struct cb_backbone *backbone, const char *path,
                                     const struct cb_place *at, struct cb_diag *diag);

#endif
