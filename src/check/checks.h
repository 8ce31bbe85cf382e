/* checks.h: what every layer must do, checked on one case: a tests/layers/LAYER.yaml's, or one that cases.h made up.
 *
 * For each variant of each pass that this device runs: PyTorch's values (where the case has them), the plain variant's
 * values, the same bits in two runs, in place and out of place, with and without tensors kept for backward, row by row
 * and in a batch; gradients that are not wanted stay untouched and change no other; accumulated ones are added; what
 * the descriptor says is not needed in backward may be NaN by then; a fused epilogue sees the right index and channel, a
 * fused prologue the right value; the gradient agrees with central differences; nothing outside a tensor is read or
 * written; no param moves. */
#ifndef CAMBIUM_CHECK_CHECKS_H
#define CAMBIUM_CHECK_CHECKS_H

#include "check/trial.h"

struct layer_case {
    const char *layer, *name;
    const struct cb_value *options;
    struct array x[TRIAL_MAX];
    uint32_t x_count;
    const struct cb_value *params, *states; /* maps by name, or NULL: the initialisers */
    bool training, gradient_check, left_out;
    double tolerance; /* against PyTorch */
    bool each; /* of each element's own magnitude, or of 1; else of the tensor's largest */
    uint64_t seed, step;
    const struct cb_value *sample_ids; /* NULL: 0, 1, 2 ... */
    const struct cb_value *lengths;    /* of every input of rank 2 or more; NULL: all is real */
    struct array fit[TRIAL_MAX];       /* batches that go through CB_PASS_FIT first */
    uint32_t fit_count;
    bool has_dy;
    struct array dy;
    bool is_made;   /* by cases.c */
    bool is_usual;  /* options as the layer's own tables show them, none at a bound */
    bool has_edges; /* the inputs may be any numbers: zero, equal, large */
    bool is_spread; /* params and states that begin as constants are moved a little */
    const struct cb_value *expect_y, *expect_state, *expect_dx, *expect_dw; /* NULL: not known */
    const char *error; /* part of the message that infer must give; NULL: none */
};

/* Kinds of checks: the word for scripts, and what a layer that passes does. */
#define CB_CHECK_LIST(X)                                                                           \
    X(TABLES, "tables", "name, texts and options are sound, defaults lie in their bounds")         \
    X(RUNS, "runs", "takes shapes, compiles, runs")                                                \
    X(REFERENCE, "reference", "the values are the stored ones")                                    \
    X(POISON, "poison", "every element of what it gives is written, and finite")                   \
    X(GUARD, "guard", "nothing outside a tensor is read or written")                               \
    X(REPEAT, "repeat", "two runs give the same bits")                                             \
    X(VARIANTS, "variants", "every variant gives what the plain one gives")                        \
    X(GRADIENT, "gradient", "gradients agree with central differences")                            \
    X(NEEDS, "needs", "backward reads only what dx_needs and dw_needs name")                       \
    X(ACCUMULATE, "accumulate", "gradients are added where that is asked for")                     \
    X(UNWANTED, "unwanted", "gradients that are not wanted are left alone")                        \
    X(IN_PLACE, "in_place", "in place gives the same as out of place")                             \
    X(ROWS, "rows", "a row alone gives the same as in its batch")                                  \
    X(EDGES, "edges", "zeros, equal and large values give no NaN")                               \
    X(MODES, "modes", "training, seed, step and batch change only what the descriptor names")      \
    X(LENGTHS, "lengths", "what lies behind a row's length changes nothing before it")             \
    X(FROZEN, "frozen", "inputs and params are left as they are")                                  \
    X(FUSION, "fusion", "fused layers and the layer's own affine give the same")                   \
    X(RELEASE, "release", "release gives back all memory")

enum cb_check {
#define CB_CHECK_ENUM(name, word, sentence) CB_CHECK_##name,
    CB_CHECK_LIST(CB_CHECK_ENUM)
#undef CB_CHECK_ENUM
    CB_CHECK_COUNT
};

/* Counts, and who hears of each failure. */
struct tally {
    uint32_t passed, failed;
    void (*report)(void *context, enum cb_check check, bool is_right, const char *text); /* text NULL when right */
    void *context;
    char *stage; /* CB__STAGE_BYTES or NULL: what runs now, in words: a crash leaves it as it is */
    uint64_t reached; /* bit i: some case ran variant i of the layer */
    bool is_exact; /* no guard words: a simulator watches the ends of the tensors itself */
};

const char *cb__check_word(enum cb_check check);
const char *cb__check_sentence(enum cb_check check);

/* Runs every check of the case and reports each. */
void cb__check_case(const struct layer_case *c, struct cb_device *device, const struct cb_layer_type *type,
                struct cb_arena *arena, struct cb_diag *diag, struct tally *tally);
/* Whether the layer takes the case's shapes and options, and, with_run, whether the plain forward gives finite numbers
 * (CB_NUMERIC where it does not). `*out_why`: what the layer said. */
enum cb_status cb__case_try(const struct layer_case *c, struct cb_device *device, const struct cb_layer_type *type,
                            struct cb_arena *arena, struct cb_diag *diag, struct tally *tally, bool with_run,
                            const char **out_why);

#endif
