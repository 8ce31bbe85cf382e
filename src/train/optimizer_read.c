/* optimizer_read.c: `optimizer:` of a task file. See optimizer.h. */
#include <math.h>
#include <string.h>

#include "base/keys.h"
#include "base/options.h"
#include "train/optimizer.h"
#include "train/word.h"

#define AT(field) offsetof(struct cb_optimizer_config, field)

#define RATE {"rate", "learning rate; 0: what the strategy says", CB_OPT_REAL, AT(rate), 0, INFINITY}
#define WEIGHT_DECAY                                                                               \
    {"weight_decay", "pull of the weights towards zero; norms and biases have none", CB_OPT_REAL, AT(weight_decay), 0, \
     INFINITY}

static const struct cb_option sgd_options[] = {
    RATE,
    WEIGHT_DECAY,
    {"momentum", "share of the last step that is repeated", CB_OPT_REAL, AT(momentum), 0, 1},
    {"nesterov", "look ahead along the momentum", CB_OPT_BOOL, AT(nesterov), 0, 0},
};
static const struct cb_option adam_options[] = {
    RATE,
    WEIGHT_DECAY,
    {"beta1", "decay of the mean of gradients", CB_OPT_REAL, AT(beta1), 0, 0.999999999},
    {"beta2", "decay of the mean of their squares", CB_OPT_REAL, AT(beta2), 0, 0.999999999},
    {"epsilon", "added to the root of the mean square", CB_OPT_REAL, AT(epsilon), 0, 1},
};
static const struct cb_option lbfgs_options[] = {
    {"l2", "penalty: l2 / 2 times the sum of squared weights; without it chosen by cross-validation", CB_OPT_REAL,
     AT(l2), 0, INFINITY},
    {"max_iterations", "iterations after which it stops", CB_OPT_INT, AT(max_iterations), 1, 1000000},
    {"tolerance", "largest slope of the mean loss at which it stops", CB_OPT_REAL, AT(tolerance), 1e-15, 1},
};

static const char *const words[] = {"sgd", "adam", "adamw", "lbfgs"}; /* kinds from 1 on */
#define WORD_COUNT (sizeof words / sizeof *words)

/* PyTorch's defaults. */
static const struct {
    struct cb_array options;
    struct cb_optimizer_config defaults;
} kinds[WORD_COUNT + 1] = {
    [CB_OPTIMIZER_SGD] = {CB_ARRAY(sgd_options), {.kind = CB_OPTIMIZER_SGD}},
    [CB_OPTIMIZER_ADAM] = {CB_ARRAY(adam_options),
                           {.kind = CB_OPTIMIZER_ADAM, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8}},
    [CB_OPTIMIZER_ADAMW] = {CB_ARRAY(adam_options),
                            {.kind = CB_OPTIMIZER_ADAMW,
                             .weight_decay = 0.01,
                             .beta1 = 0.9,
                             .beta2 = 0.999,
                             .epsilon = 1e-8}},
    [CB_OPTIMIZER_LBFGS] = {CB_ARRAY(lbfgs_options),
                            {.kind = CB_OPTIMIZER_LBFGS, .l2 = -1.0, .max_iterations = 1000, .tolerance = 1e-7}},
};

struct cb_value *cb__optimizer_schema(struct cb_arena *arena)
{
    struct cb_value *options[WORD_COUNT], *schema, *either;
    for (size_t i = 0; i < WORD_COUNT; i++) {
        options[i] = cb_schema_of_options(arena, &kinds[i + 1].options, &kinds[i + 1].defaults);
    }
    schema = cb_schema_of_words(arena, words, options, WORD_COUNT);
    either = cb_map_get(schema, "anyOf");
    return either != NULL && cb_list_append(arena, either, cb_schema_parse(arena, "{enum: [auto, null]}")) ? schema : NULL;
}

const char *cb_optimizer_name(enum cb_optimizer_kind kind)
{
    return kind == CB_OPTIMIZER_AUTO ? "auto" : (size_t)kind <= WORD_COUNT ? words[kind - 1] : "?";
}

enum cb_status cb_optimizer_read(const struct cb_value *value, struct cb_optimizer_config *out, struct cb_diag *diag)
{
    const bool is_auto = value && value->kind == CB_KIND_TEXT && strcmp(value->text, "auto") == 0;
    if (!value || value->kind == CB_KIND_NULL || is_auto) {
        *out = (struct cb_optimizer_config){.kind = CB_OPTIMIZER_AUTO};
        return CB_OK;
    }
    size_t word = 0;
    const struct cb_value *options = NULL;
    CB_TRY(cb__word_read(value, "`optimizer`", words, WORD_COUNT, &word, &options, diag));
    struct cb_arena *arena = cb_arena_create();
    struct cb_text what = {0};
    cb_text_addf(&what, "optimizer `%s`", words[word]);
    struct cb_optimizer_config config;
    enum cb_status status = CB_MEMORY;
    if (arena && what.data) {
        status = cb_options_read(arena, &kinds[word + 1].options, &kinds[word + 1].defaults, sizeof config, options,
                                 what.data, &config, NULL, diag);
    }
    cb_text_free(&what);
    cb_arena_destroy(arena);
    if (status == CB_OK && config.nesterov && config.momentum == 0.0) {
        status = cb_fail(diag, CB_INVALID, &value->at, "`nesterov` needs a `momentum` above 0");
    }
    if (status == CB_OK) {
        *out = config;
    }
    return status;
}

struct cb_value *cb_optimizer_to_value(struct cb_arena *arena, const struct cb_optimizer_config *config)
{
    if (config->kind == CB_OPTIMIZER_AUTO) {
        return cb_value_text(arena, "auto", NULL);
    }
    /* An l2 that is to be chosen has no number: it is left out. */
    const bool all = config->kind != CB_OPTIMIZER_LBFGS;
    struct cb_value *options = cb_options_to_value(arena, &kinds[config->kind].options, &kinds[config->kind].defaults,
                                                   config, all);
    return options ? cb__word_value(arena, words[config->kind - 1], options) : NULL;
}
