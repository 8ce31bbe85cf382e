/* checks.h: what every layer must do, checked on one case of a tests/layers/LAYER.yaml.
 *
 * For each variant of each pass that this device runs: PyTorch's values (where the case has them), the plain variant's
 * values, the same bits in two runs, in place and out of place, with and without tensors kept for backward, row by row
 * and in a batch; gradients that are not wanted stay untouched and change no other; accumulated ones are added; what
 * the descriptor says is not needed in backward may be NaN by then; a fused epilogue sees the right index and channel;
 * the gradient agrees with central differences; nothing is written behind a tensor's end. */
#ifndef CAMBIUM_TESTS_CHECKS_H
#define CAMBIUM_TESTS_CHECKS_H

#include "trial.h"

struct layer_case {
    const char *layer, *name;
    const struct cb_value *options;
    struct array x[TRIAL_MAX];
    uint32_t x_count;
    const struct cb_value *params, *states; /* maps by name, or NULL: the initialisers */
    bool training, gradient_check, left_out;
    double tolerance; /* against PyTorch */
    uint64_t seed, step;
    const struct cb_value *sample_ids; /* NULL: 0, 1, 2 ... */
    const struct cb_value *lengths;    /* of every input of rank 2 or more; NULL: all is real */
    struct array fit[TRIAL_MAX];       /* batches that go through CB_PASS_FIT first */
    uint32_t fit_count;
    bool has_dy;
    struct array dy;
    const struct cb_value *expect_y, *expect_state, *expect_dx, *expect_dw; /* NULL: not known */
    const char *error; /* part of the message that infer must give; NULL: none */
};

struct tally {
    uint32_t passed, failed;
};

/* Runs every check of the case and prints those that fail. */
void check_case(const struct layer_case *c, struct cb_device *device, const struct cb_layer_type *type,
                struct cb_arena *arena, struct cb_diag *diag, struct tally *tally);

#endif
