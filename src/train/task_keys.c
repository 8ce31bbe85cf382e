/* task_keys.c: see task_keys.h. */
#include "train/task_keys.h"

#define LIST_OF_TEXTS "{type: array, items: {type: string}}"

const struct cb_key cb_task_keys[] = {
    {"model", "the backbone, what is frozen, and the head that is grafted on", "{$ref: '#/definitions/model'}"},
    {"data", "where the examples are, which train and which test", "{$ref: '#/definitions/data'}"},
    {"train", "how it is trained; by default what the strategy says",
     "{anyOf: [{type: 'null'}, {$ref: '#/definitions/train'}]}"},
    {"plugins", "folders with layers of one's own, relative to this file", "{anyOf: [{type: string}, " LIST_OF_TEXTS "]}"},
    {NULL, NULL, NULL},
};

const struct cb_key cb_model_keys[] = {
    {"backbone", "a name in configs/backbones, the path of a network file, or a run (`run:NAME`)",
     "{type: string, minLength: 1}"},
    {"weights", "where the backbone's values come from: its own file, none (random), or a path",
     "{anyOf: [{enum: [pretrained, none]}, {type: string}]}"},
    {"replace", "the first layer that is cut away, or `nothing`; by default what the backbone says, else its output", "{type: string}"},
    {"frozen", "what does not move: the backbone (default), none, everything up to a layer, or patterns of names",
     "{anyOf: [{type: 'null'}, {enum: [backbone, none]}, " LIST_OF_TEXTS ", {type: object, additionalProperties: false, "
     "required: [up_to], properties: {up_to: {type: string, description: the last layer that is frozen}}}]}"},
    {"head", "the layers that are grafted on (one linear layer by default), or keep", "{anyOf: [{enum: [keep]}, "
                                                                             "{$ref: '#/definitions/layers'}]}"},
    {"batchnorm", "frozen, affine (statistics kept, scale and shift trained) or trained",
     "{enum: [frozen, affine, trained]}"},
    {"avoid", "variants of layers that are not to be used, such as [winograd]; in the run, too, that comes of it",
     "{anyOf: [{type: 'null'}, {type: string}, " LIST_OF_TEXTS "]}"},
    {"heads", NULL, NULL},
    {"lora", "low-rank additions beside the backbone's linear layers: they and the head are all that is trained",
     "{type: object, additionalProperties: false, properties: {rank: {type: integer, minimum: 1, maximum: 4096, description: "
     "'channels between the two factors, by default 8'}, alpha: {type: number, exclusiveMinimum: 0, description: 'the addition "
     "is multiplied by alpha / rank; by default 16'}, layers: {anyOf: [{enum: [linear]}, " LIST_OF_TEXTS "], description: 'all "
     "linear layers, or patterns of their names or last parts'}, dropout: {type: number, minimum: 0, maximum: 0.99}}}"},
    {"branches", NULL, NULL},
    {NULL, NULL, NULL},
};

/* "{}" where cb__train_table says more. */
const struct cb_key cb_train_keys[] = {
    {"strategy", "", "{}"},
    {"epochs", "", "{}"},
    {"steps", "", "{}"},
    {"batch", "", "{}"},
    {"accumulate", "", "{}"},
    {"loss", "what is minimised; by default what the labels ask for", "{$ref: '#/definitions/loss'}"},
    {"optimizer", "how params move; auto solves a linear head exactly", "{$ref: '#/definitions/optimizer'}"},
    {"schedule", "how the rate changes during the run", "{$ref: '#/definitions/schedule'}"},
    {"rates", "factors of the rate",
     "{type: object, additionalProperties: false, properties: {backbone: {type: number, minimum: 0, maximum: 1000, "
     "description: factor of the optimizer's rate for layers of the backbone}}}"},
    {"layer_decay", "", "{}"},
    {"clip", "", "{}"},
    {"early_stopping", "stop when validation has not become better for so many epochs (true: 5)",
     "{anyOf: [{type: boolean}, {type: integer, minimum: 1}, {type: object, additionalProperties: false, required: "
     "[patience], properties: {patience: {type: integer, minimum: 1}}}]}"},
    {"checkpoint_every", "", "{}"},
    {"seed", "", "{}"},
    {"save", "", "{}"},
    {"head_first", "", "{}"},
    {"mixup", NULL, NULL},
    {"ema", NULL, NULL},
    {"precision", NULL, NULL},
    {"memory", NULL, NULL},
    {NULL, NULL, NULL},
};

static const char *const strategy_choices[] = {"by_frozen", "frozen", "finetune", "scratch", NULL};
static const char *const save_choices[] = {"all", "head", NULL};
const struct cb__train_options cb__train_defaults = {.checkpoint_every = 1, .layer_decay = 1.0, .head_first = 1};
#define FIELD(name) offsetof(struct cb__train_options, name)
static const struct cb_option table[] = {
    {"strategy", "how to transfer; by default what `frozen` and `weights` say", CB_OPT_CHOICE, FIELD(strategy), 0, 0,
     strategy_choices, 0, 0},
    {"epochs", "passes over the training data", CB_OPT_INT, FIELD(epochs), 1, 1e6, NULL, 0, 0},
    {"steps", "steps of the optimizer, instead of epochs", CB_OPT_INT, FIELD(steps), 1, 1e9, NULL, 0, 0},
    {"batch", "samples that make one step", CB_OPT_INT, FIELD(batch), 1, 65536, NULL, 0, 0},
    {"accumulate", "parts in which a batch is computed", CB_OPT_INT, FIELD(accumulate), 1, 65536, NULL, 0, 0},
    {"checkpoint_every", "epochs between two checkpoints", CB_OPT_INT, FIELD(checkpoint_every), 1, 1e6, NULL, 0, 0},
    {"seed", "of initial values, order and augmentation", CB_OPT_INT, FIELD(seed), 0, 9e15, NULL, 0, 0},
    {"clip", "largest global norm of the gradient", CB_OPT_REAL, FIELD(clip), 0, 1e30, NULL, 0, 0},
    {"layer_decay", "factor of the rate from one layer of the backbone to the one below", CB_OPT_REAL,
     FIELD(layer_decay), 0.01, 1, NULL, 0, 0},
    {"save", "the whole network, or only the head", CB_OPT_CHOICE, FIELD(save), 0, 0, save_choices, 0, 0},
    {"head_first", "finetune: fit the head on frozen features before training all", CB_OPT_BOOL, FIELD(head_first), 0, 0,
     NULL, 0, 0},
};
const struct cb_array cb__train_table = CB_ARRAY(table);

