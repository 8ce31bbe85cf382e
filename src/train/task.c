/* task.c: reading task files. See task.h. */
#include "train/task.h"

#include <string.h>

#include "base/file.h"
#include "base/keys.h"
#include "base/options.h"
#include "data/data_keys.h"
#include "data/dataset.h"
#include "train/task_keys.h"

static const char *const strategy_names[] = {"frozen", "finetune", "scratch", NULL};

const char *cb_strategy_name(enum cb_strategy strategy)
{
    return strategy_names[strategy];
}

/* ---- model -------------------------------------------------------------------------------------------------------- */

static void read_lora(struct cb_task *task, const struct cb_value *model, struct cb_diag *diag)
{
    task->lora = cb_map_get(model, "lora");
    if (task->lora == NULL || cb_lora_read(task->lora, &task->lora_options, diag) != CB_OK) {
        return;
    }
    if (task->random_weights) {
        (void)cb_fail(diag, CB_INVALID, &task->lora->at, "`lora` adds to a network that is trained already, which contradicts "
                      "`weights: none`");
    } else if (task->frozen != NULL && !(task->frozen->kind == CB_KIND_TEXT && strcmp(task->frozen->text, "backbone") == 0)) {
        (void)cb_fail(diag, CB_INVALID, &task->frozen->at, "with `lora` the backbone's own layers are frozen: leave `frozen` "
                      "away");
    }
}

static void read_model(struct cb_task *task, struct cb_diag *diag)
{
    const struct cb_value *model = task->model;
    if (model == NULL) {
        (void)cb_fail(diag, CB_INVALID, &task->root->at, "a task needs `model`, at least `model: {backbone: NAME}`");
        return;
    }
    if (!cb_expect_kind(model, CB_KIND_MAP, "`model`", diag)) {
        return;
    }
    (void)cb_expect_known(model, cb_model_keys, "in `model`", diag);
    task->backbone_at = cb_map_get(model, "backbone");
    if (task->backbone_at == NULL || task->backbone_at->text == NULL || task->backbone_at->text[0] == '\0') {
        (void)cb_fail(diag, CB_INVALID, task->backbone_at != NULL ? &task->backbone_at->at : &model->at,
                      "`model` needs `backbone`: a name, the path of a network file, or of a run");
        return;
    }
    task->backbone = task->backbone_at->text;
    task->weights = cb_map_get(model, "weights");
    task->random_weights = task->weights != NULL && task->weights->text != NULL &&
                           strcmp(task->weights->text, "none") == 0;
    if (task->weights != NULL && task->weights->text == NULL) {
        (void)cb_fail(diag, CB_INVALID, &task->weights->at, "`weights` must be `pretrained`, `none` or a path");
    }
    task->replace = cb_map_get(model, "replace");
    if (task->replace != NULL) {
        (void)cb_expect_kind(task->replace, CB_KIND_TEXT, "`replace`", diag);
    }
    task->frozen = cb_map_get(model, "frozen");
    task->avoid = cb_map_get(model, "avoid");
    task->head = cb_map_get(model, "head");
    if (task->head != NULL && task->head->kind == CB_KIND_TEXT && strcmp(task->head->text, "keep") == 0) {
        task->keep_head = true;
    } else if (task->head != NULL && (task->head->kind != CB_KIND_LIST || task->head->as.list.count == 0)) {
        (void)cb_fail(diag, CB_INVALID, &task->head->at, "`head` must be a list of layers, or `keep`");
    }
    if (task->keep_head && cb_map_get(model, "lora") == NULL && task->frozen != NULL && task->frozen->text != NULL &&
        strcmp(task->frozen->text, "backbone") == 0) {
        (void)cb_fail(diag, CB_INVALID, &task->frozen->at,
                      "`frozen: backbone` with `head: keep` leaves nothing to train: say `none`, `{up_to: LAYER}` or a "
                      "list of layers");
    }
    if (task->keep_head && task->replace != NULL) {
        (void)cb_fail(diag, CB_INVALID, &task->replace->at, "`replace` cuts the output away that `head: keep` keeps");
    }
    read_lora(task, model, diag);
    const struct cb_value *batchnorm = cb_map_get(model, "batchnorm");
    if (batchnorm != NULL) {
        static const char *const modes[] = {"frozen", "affine", "trained"};
        task->batchnorm_given = true;
        for (int i = 0; i < 3; i++) {
            if (batchnorm->text != NULL && strcmp(batchnorm->text, modes[i]) == 0) {
                task->batchnorm = (enum cb_batchnorm_mode)i;
                return;
            }
        }
        (void)cb_fail(diag, CB_INVALID, &batchnorm->at,
                      "`batchnorm` must be `frozen`, `affine` (statistics kept, scale and shift trained) or `trained`");
    }
}

/* ---- train -------------------------------------------------------------------------------------------------------- */

/* A value that is a word, or a map with one word and its options. */
static bool word_with_options(const struct cb_value *value, const char *what, const char **out_word,
                              const struct cb_value **out_options, struct cb_diag *diag)
{
    if (value->kind == CB_KIND_TEXT) {
        *out_word = value->text;
        *out_options = NULL;
        return true;
    }
    if (value->kind == CB_KIND_MAP && value->as.map.count == 1) {
        *out_word = value->as.map.entries[0].key;
        *out_options = value->as.map.entries[0].value;
        return true;
    }
    (void)cb_fail(diag, CB_INVALID, &value->at, "`%s` must be a word, or a map with one word", what);
    return false;
}

static void read_rates(struct cb_task *task, const struct cb_value *rates, struct cb_diag *diag)
{
    static const char *const keys[] = {"backbone"};
    if (rates == NULL || !cb_expect_kind(rates, CB_KIND_MAP, "`rates`", diag) ||
        !cb_expect_keys(rates, keys, 1, "in `rates`", diag)) {
        return;
    }
    const struct cb_value *backbone = cb_map_get(rates, "backbone");
    double factor;
    if (backbone != NULL && (!cb_value_number(backbone, &factor) || !(factor >= 0 && factor <= 1000))) {
        (void)cb_fail(diag, CB_INVALID, &backbone->at,
                      "`rates: backbone` is a factor of the optimizer's rate, from 0 to 1000");
    } else if (backbone != NULL) {
        task->config.backbone_rate = factor;
    }
}

static void read_early_stopping(struct cb_task *task, const struct cb_value *value, struct cb_diag *diag)
{
    if (value == NULL) {
        return;
    }
    const struct cb_value *patience = value;
    if (value->kind == CB_KIND_MAP) {
        static const char *const keys[] = {"patience"};
        if (!cb_expect_keys(value, keys, 1, "in `early_stopping`", diag)) {
            return;
        }
        patience = cb_map_get(value, "patience");
    }
    if (value->kind == CB_KIND_BOOL) {
        task->config.patience = value->as.boolean ? 5 : 0;
    } else if (patience == NULL || patience->kind != CB_KIND_INT || patience->as.integer < 1) {
        (void)cb_fail(diag, CB_INVALID, &value->at, "`early_stopping` must be true or {patience: EPOCHS}");
        return;
    } else {
        task->config.patience = patience->as.integer;
    }
    if (task->config.patience > 0 && cb_map_get(task->data, "validation") == NULL) {
        (void)cb_fail(diag, CB_INVALID, &value->at,
                      "`early_stopping` needs validation data: say `data: {validation: {fraction: 0.2}}`");
    }
}

static void read_train(struct cb_task *task, struct cb__train_options *simple, struct cb_diag *diag)
{
    struct cb_train_config *c = &task->config;
    const struct cb_value *train = task->train;
    *simple = cb__train_defaults;
    c->backbone_rate = -1;
    if (train != NULL && train->kind != CB_KIND_NULL && !cb_expect_kind(train, CB_KIND_MAP, "`train`", diag)) {
        return;
    }
    if (train == NULL || train->kind != CB_KIND_MAP) {
        train = cb_value_map(task->arena, &task->root->at);
    }
    if (train == NULL) {
        return;
    }
    (void)cb_expect_known(train, cb_train_keys, "in `train`", diag);
    struct cb_value *plain = cb_value_map(task->arena, &train->at);
    for (size_t i = 0; plain != NULL && i < train->as.map.count; i++) {
        const struct cb_entry *entry = &train->as.map.entries[i];
        if (cb_options_find(&cb__train_table, entry->key) >= 0 &&
            cb_map_set(task->arena, plain, entry->key, entry->value)) {
            plain->as.map.entries[plain->as.map.count - 1].at = entry->at;
        }
    }
    (void)cb_options_read(task->arena, &cb__train_table, &cb__train_defaults, sizeof(*simple), plain, "`train`", simple, NULL,
                          diag);
    if (simple->epochs > 0 && simple->steps > 0) {
        (void)cb_fail(diag, CB_INVALID, &cb_map_get(train, "steps")->at, "say `epochs` or `steps`, not both");
    }
    const struct cb_value *loss = cb_map_get(train, "loss");
    if (loss != NULL) {
        (void)word_with_options(loss, "loss", &c->loss, &c->loss_options, diag);
    }
    const struct cb_value *schedule = cb_map_get(train, "schedule");
    c->schedule_given = schedule != NULL;
    (void)cb_optimizer_read(cb_map_get(train, "optimizer"), &c->optimizer, diag);
    (void)cb_schedule_read(schedule, &c->schedule, diag);
    read_rates(task, cb_map_get(train, "rates"), diag);
    read_early_stopping(task, cb_map_get(train, "early_stopping"), diag);
    c->epochs = simple->epochs;
    c->steps = simple->steps;
    c->batch = simple->batch;
    c->accumulate = simple->accumulate;
    c->checkpoint_every = simple->checkpoint_every;
    c->seed = (uint64_t)simple->seed;
    c->clip = simple->clip;
    c->layer_decay = simple->layer_decay;
    c->save = simple->save;
    c->head_first = simple->head_first != 0;
}

/* ---- recipes: what a person gets who says nothing ------------------------------------------------------------------- */


static bool frozen_is_backbone(const struct cb_value *frozen)
{
    return frozen == NULL || (frozen->kind == CB_KIND_TEXT && strcmp(frozen->text, "backbone") == 0);
}

/* The strategy is what `frozen` and `weights` say; saying another one beside them is an error. */
static void choose_strategy(struct cb_task *task, int32_t said, struct cb_diag *diag)
{
    bool scratch = task->random_weights;
    bool frozen = !scratch && frozen_is_backbone(task->frozen) && !task->keep_head && task->lora == NULL;
    task->strategy = scratch ? CB_STRATEGY_SCRATCH : frozen ? CB_STRATEGY_FROZEN : CB_STRATEGY_FINETUNE;
    if (said == 0 || task->train == NULL) {
        if (scratch && task->frozen != NULL && frozen_is_backbone(task->frozen) && !task->keep_head) {
            (void)cb_fail(diag, CB_INVALID, &task->frozen->at, "`frozen: backbone` contradicts `weights: none`, which trains "
                          "from scratch: to freeze layers as they are at random, list them");
        }
        return;
    }
    const struct cb_value *at = cb_map_get(task->train, "strategy");
    enum cb_strategy strategy = (enum cb_strategy)(said - 1);
    if (strategy == CB_STRATEGY_SCRATCH && task->weights != NULL && !task->random_weights) {
        (void)cb_fail(diag, CB_INVALID, &at->at, "`strategy: scratch` contradicts `weights: %s`", task->weights->text);
    } else if (strategy != CB_STRATEGY_SCRATCH && task->random_weights) {
        (void)cb_fail(diag, CB_INVALID, &at->at, "`strategy: %s` contradicts `weights: none`", strategy_names[strategy]);
    } else if (strategy == CB_STRATEGY_FROZEN && !frozen_is_backbone(task->frozen)) {
        (void)cb_fail(diag, CB_INVALID, &at->at, "`strategy: frozen` contradicts what `model: frozen` says");
    } else if (task->lora != NULL && strategy != CB_STRATEGY_FINETUNE) {
        (void)cb_fail(diag, CB_INVALID, &at->at, "`strategy: %s` contradicts `lora`, which is a way of fine-tuning",
                      strategy_names[strategy]);
    } else if (strategy != CB_STRATEGY_FROZEN && task->frozen != NULL && frozen_is_backbone(task->frozen) &&
               task->lora == NULL) {
        (void)cb_fail(diag, CB_INVALID, &at->at, "`strategy: %s` contradicts `frozen: backbone`",
                      strategy_names[strategy]);
    } else {
        task->strategy = strategy;
        task->random_weights = strategy == CB_STRATEGY_SCRATCH;
    }
}

/* Defaults of the design's table; each is what the configs' measurements were made with. */
static void apply_recipe(struct cb_task *task)
{
    struct cb_train_config *c = &task->config;
    static const struct cb_value all_trainable = {.kind = CB_KIND_TEXT, .text = "none"};
    if (task->strategy != CB_STRATEGY_FROZEN && frozen_is_backbone(task->frozen) && task->lora == NULL) {
        task->frozen = &all_trainable;
    }
    if (!task->batchnorm_given) {
        task->batchnorm = task->random_weights ? CB_BATCHNORM_TRAINED : CB_BATCHNORM_FROZEN;
    }
    bool scratch = task->strategy == CB_STRATEGY_SCRATCH, frozen = task->strategy == CB_STRATEGY_FROZEN;
    c->head_first = c->head_first && task->strategy == CB_STRATEGY_FINETUNE && !task->keep_head;
    if (c->epochs == 0 && c->steps == 0) {
        c->epochs = frozen ? 60 : scratch ? 30 : 20;
    }
    if (c->batch == 0) {
        c->batch = frozen ? 32 : 16;
    }
    bool said_rate = c->optimizer.kind != CB_OPTIMIZER_AUTO && c->optimizer.rate != 0;
    if (c->optimizer.kind != CB_OPTIMIZER_AUTO && c->optimizer.rate == 0) {
        c->optimizer.rate = c->optimizer.kind == CB_OPTIMIZER_SGD ? 1e-2 : 1e-3;
    }
    if (c->backbone_rate < 0) { /* a kept head is the backbone's own: a rate that was said is the rate of all */
        bool all_alike = task->keep_head && said_rate;
        c->backbone_rate = task->strategy == CB_STRATEGY_FINETUNE && !all_alike ? 0.1 : 1.0;
        if (task->lora != NULL) { /* of the additions: 2e-4 where nothing was said */
            c->backbone_rate = said_rate ? 1.0 : 0.2;
        }
    }
    if (!c->schedule_given) {
        c->schedule = (struct cb_schedule){.kind = CB_SCHEDULE_ONE_CYCLE, .rise = 0.3, .start_div = 25, .final_div = 1e4};
    }
    c->optimizer.clip = c->clip;
}

/* ---- whole tasks ----------------------------------------------------------------------------------------------------- */

enum cb_status cb_task_from_value(const struct cb_value *root, const char *path, const char *folder,
                                  struct cb_task **out, struct cb_diag *diag)
{
    struct cb_arena *arena = cb_arena_create();
    struct cb_task *task = arena != NULL ? CB_NEW(arena, struct cb_task) : NULL;
    if (task == NULL) {
        cb_arena_destroy(arena);
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    size_t errors = cb_diag_count(diag, CB_ERROR);
    task->arena = arena;
    task->path = cb_arena_strdup(arena, path);
    task->folder = cb_arena_strdup(arena, folder);
    task->name = cb_path_stem(arena, path);
    task->root = cb_value_clone(arena, root);
    if (task->root == NULL || !cb_expect_kind(task->root, CB_KIND_MAP, "a task file", diag)) {
        goto destroy_task;
    }
    (void)cb_expect_known(task->root, cb_task_keys, "in a task file", diag);
    task->model = cb_map_get(task->root, "model");
    task->data = cb_map_get(task->root, "data");
    task->train = cb_map_get(task->root, "train");
    task->plugins = cb_map_get(task->root, "plugins");
    if (task->data == NULL) {
        (void)cb_fail(diag, CB_INVALID, &task->root->at, "a task needs `data`, at least `data: {images: FOLDER}`");
    }
    if (task->data != NULL && task->data->kind == CB_KIND_MAP) { /* its values are read with the data themselves */
        (void)cb_expect_known(task->data, cb_data_keys, "in `data`", diag);
    }
    read_model(task, diag);
    struct cb__train_options simple;
    read_train(task, &simple, diag);
    choose_strategy(task, simple.strategy, diag);
    if (cb_diag_count(diag, CB_ERROR) > errors) {
        goto destroy_task;
    }
    apply_recipe(task);
    *out = task;
    return CB_OK;
destroy_task:
    cb_task_destroy(task);
    return cb_diag_status(diag) != CB_OK ? cb_diag_status(diag) : CB_INVALID;
}

enum cb_status cb_task_read(const char *path, const char *const *sets, size_t set_count, struct cb_task **out,
                            struct cb_diag *diag)
{
    struct cb_arena *arena = cb_arena_create();
    struct cb_value *root = NULL;
    if (arena == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    enum cb_status status = cb_yaml_read_file(arena, path, &root, diag);
    for (size_t i = 0; status == CB_OK && i < set_count; i++) {
        status = cb_value_set_path(arena, root, sets[i], diag);
    }
    if (status == CB_OK) {
        status = cb_task_from_value(root, path, cb_path_folder(arena, path), out, diag);
    }
    if (status == CB_OK && !cb_arena_on_destroy((*out)->arena, (void (*)(void *))cb_arena_destroy, arena)) {
        cb_task_destroy(*out);
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    if (status != CB_OK) {
        cb_arena_destroy(arena);
    }
    return status;
}

void cb_task_destroy(struct cb_task *task)
{
    if (task != NULL) {
        cb_arena_destroy(task->arena);
    }
}

enum cb_status cb_task_with_strategy(const struct cb_task *task, enum cb_strategy strategy, struct cb_task **out,
                                     struct cb_diag *diag)
{
    struct cb_arena *arena = cb_arena_create();
    struct cb_value *root = arena != NULL ? cb_value_clone(arena, task->root) : NULL;
    struct cb_value *model = root != NULL ? cb_map_get(root, "model") : NULL;
    if (model == NULL) {
        cb_arena_destroy(arena);
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    bool same = task->strategy == strategy, ok = true;
    if (!same && task->lora != NULL) {
        struct cb_value *plain = cb_value_map(arena, &model->at);
        for (size_t i = 0; plain != NULL && ok && i < model->as.map.count; i++) {
            const struct cb_entry *entry = &model->as.map.entries[i];
            ok = strcmp(entry->key, "lora") == 0 || cb_map_set(arena, plain, entry->key, entry->value);
        }
        ok = ok && plain != NULL && cb_map_set(arena, root, "model", plain);
        model = ok ? plain : model;
    }
    if (!same && ok) { /* another way of training: its own recipe, but the same seed */
        struct cb_value *train = cb_value_map(arena, &root->at);
        ok = train != NULL && cb_map_set(arena, train, "seed",
                                         cb_value_int(arena, (int64_t)task->config.seed, &root->at)) &&
             cb_map_set(arena, root, "train", train) &&
             cb_map_set(arena, model, "frozen",
                        cb_value_text(arena, strategy == CB_STRATEGY_FROZEN ? "backbone" : "none", &root->at));
        if (ok && (strategy == CB_STRATEGY_SCRATCH || task->random_weights)) {
            ok = cb_map_set(arena, model, "weights",
                            cb_value_text(arena, strategy == CB_STRATEGY_SCRATCH ? "none" : "pretrained", &root->at));
        }
    }
    enum cb_status status = ok ? cb_task_from_value(root, task->path, task->folder, out, diag)
                               : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    cb_arena_destroy(arena);
    return status;
}

struct cb_value *cb_task_to_value(const struct cb_task *task, struct cb_arena *arena)
{
    const struct cb_train_config *c = &task->config;
    struct cb_value *root = cb_value_clone(arena, task->root), *train = cb_value_map(arena, NULL);
    if (root == NULL || train == NULL) {
        return NULL;
    }
    bool ok = cb_map_set(arena, train, "strategy", cb_value_text(arena, cb_strategy_name(task->strategy), NULL)) &&
              cb_map_set(arena, train, c->steps > 0 ? "steps" : "epochs",
                         cb_value_int(arena, c->steps > 0 ? c->steps : c->epochs, NULL)) &&
              cb_map_set(arena, train, "batch", cb_value_int(arena, c->batch, NULL)) &&
              cb_map_set(arena, train, "seed", cb_value_int(arena, (int64_t)c->seed, NULL)) &&
              cb_map_set(arena, train, "schedule", cb_schedule_to_value(arena, &c->schedule));
    if (ok && c->optimizer.kind != CB_OPTIMIZER_AUTO) {
        ok = cb_map_set(arena, train, "optimizer", cb_optimizer_to_value(arena, &c->optimizer));
    }
    const struct cb_value *given = cb_map_get(root, "train");
    for (size_t i = 0; ok && given != NULL && given->kind == CB_KIND_MAP && i < given->as.map.count; i++) {
        const struct cb_entry *entry = &given->as.map.entries[i];
        ok = cb_map_get(train, entry->key) != NULL || cb_map_set(arena, train, entry->key, entry->value);
    }
    return ok && cb_map_set(arena, root, "train", train) ? root : NULL;
}
