/* task.h: a task file: which backbone, what is frozen, which head, which data, how it is trained. Reading it opens no
 * data, no weights and no device. */
#ifndef CAMBIUM_TRAIN_TASK_H
#define CAMBIUM_TRAIN_TASK_H

#include "graph/network.h"
#include "train/augment.h"
#include "train/lora.h"
#include "train/optimizer.h"
#include "train/schedule.h"

enum cb_strategy { CB_STRATEGY_FROZEN, CB_STRATEGY_FINETUNE, CB_STRATEGY_SCRATCH };
const char *cb_strategy_name(enum cb_strategy strategy); /* "frozen" */

enum cb_save { CB_SAVE_ALL, CB_SAVE_HEAD };

/* `train:`, with the recipe's values where nothing was said (cb_task_resolve). Counts of 0 are "not said". */
struct cb_train_config {
    int64_t epochs, steps, batch, accumulate;
    int64_t checkpoint_every; /* epochs */
    uint64_t seed;
    double clip;
    double backbone_rate;     /* factor of the optimizer's rate for layers of the backbone; negative: not said */
    double layer_decay;       /* factor from one stage to the one below; 1: none */
    int64_t patience;         /* early stopping: epochs without a better validation; 0: none */
    int32_t save;             /* enum cb_save */
    const char *loss;         /* the word of a loss layer; NULL: by the data */
    const struct cb_value *loss_options;
    struct cb_optimizer_config optimizer;
    struct cb_schedule schedule;
    bool schedule_given;
    bool head_first;          /* finetune: the head is fitted on frozen features before all is trained */
};

struct cb_task {
    struct cb_arena *arena;
    const char *path;          /* of the file; "<memory>" */
    const char *folder;        /* paths in it are relative to this */
    const char *name;          /* stem of the path */
    struct cb_value *root;     /* the whole map */
    const struct cb_value *model, *data, *train;
    const char *backbone;      /* as written */
    const struct cb_value *backbone_at;
    const struct cb_value *weights, *replace, *frozen, *head, *avoid, *plugins;
    enum cb_batchnorm_mode batchnorm;
    bool batchnorm_given;
    bool random_weights;       /* weights: none */
    bool keep_head;            /* head: keep */
    const struct cb_value *lora; /* NULL: none */
    struct cb_lora lora_options;
    enum cb_strategy strategy;
    struct cb_train_config config;
};

/* Reads a task file; `sets`: assignments of --set. Lives in an arena of its own; the caller destroys it. Errors are
 * collected. */
enum cb_status cb_task_read(const char *path, const char *const *sets, size_t set_count, struct cb_task **out,
                            struct cb_diag *diag);
/* The same from a tree (compare, resume). `root` is cloned. */
enum cb_status cb_task_from_value(const struct cb_value *root, const char *path, const char *folder,
                                  struct cb_task **out, struct cb_diag *diag);
void cb_task_destroy(struct cb_task *task); /* accepts NULL */
/* The task as another strategy would have it: weights, frozen and train's recipe follow; the rest stays. */
enum cb_status cb_task_with_strategy(const struct cb_task *task, enum cb_strategy strategy, struct cb_task **out,
                                     struct cb_diag *diag);
/* Everything spelled out, for the run's metadata. In the arena. */
struct cb_value *cb_task_to_value(const struct cb_task *task, struct cb_arena *arena);

/* The JSON Schema (draft 7) of task files and network files, with every layer that the search path of `registry` offers. In
 * the arena. */
enum cb_status cb_schema(struct cb_arena *arena, struct cb_registry *registry, struct cb_value **out, struct cb_diag *diag);

#endif
