/* checker.h: what the files of the checks share: a case that is set up on the device, and ways to run it and to
 * compare. */
#ifndef CAMBIUM_TESTS_CHECKER_H
#define CAMBIUM_TESTS_CHECKER_H

#include "checks.h"

#define PLAIN_TOLERANCE 2e-5 /* of a variant against the plain one, in parts of the largest value */

/* What a run leaves. */
struct results {
    struct array y[TRIAL_MAX], state[TRIAL_MAX], dx[TRIAL_MAX], dw[TRIAL_MAX];
};

/* The variants that compute the gradients: one, or one for dx and one for dw. */
struct backward {
    struct prepared *passes[2];
    const char *name;
};

struct checker {
    const struct layer_case *c;
    struct cb_core core;
    struct tally *tally;
    struct array params[TRIAL_MAX], states[TRIAL_MAX], dy, ids, lengths;
    struct cb_tensor *fit_x[TRIAL_MAX];
    struct prepared *fit;
    uint32_t dx_mask, dw_mask; /* gradients that exist: of f32 inputs (of a loss: the scores), of params */
};

/* What one backward run is to do. */
struct wish {
    uint32_t dx, dw;                       /* which gradients are wanted */
    uint32_t dx_accumulate, dw_accumulate; /* which are added to what is there: `base` */
    const struct array *base_dx, *base_dw;
    int dx_in_dy; /* this dx lies where dy is; -1: none */
};

/* Counts, and prints what is wrong. Returns `is_right`. */
bool checker_check(struct checker *k, bool is_right, const char *fmt, ...) CB_PRINTF(3, 4);
void checker_close(struct checker *k, const struct array *a, const struct array *expected, double tolerance,
                   const char *variant, const char *what, uint32_t index);
void checker_bits(struct checker *k, const struct array *a, const struct array *expected, const char *variant,
                  const char *what, uint32_t index);

/* Whether the variant is of this pass and runs on this device with these shapes. */
bool checker_serves(const struct checker *k, const struct cb_variant *v, uint32_t pass);
/* Inputs, params, state and sample ids onto the device; outputs and saved tensors are poisoned. */
void checker_write(struct checker *k, const struct array *x, const struct array *params);
/* Takes the case's batches into the state, where it has any. */
void checker_fit(struct checker *k);
/* Writes, fits, runs, reads y and state. */
struct results checker_forward(struct checker *k, struct prepared *variant);
struct results checker_forward_with(struct checker *k, struct prepared *variant, const struct array *x,
                                    const struct array *params);
/* Runs backward after `before`, which is run first. Tensors that the descriptor does not need are poisoned in between.
 */
struct results checker_backward(struct checker *k, struct prepared *before, const struct backward *b,
                                const struct wish *w);
/* The backward of variant `name`; a pass that has none of that name gets its plain (last) one. */
struct backward checker_prepare_backward(struct checker *k, const char *name);

/* check_forward.c: one variant; `plain`: what the plain one gives. */
void check_forward(struct checker *k, const struct cb_variant *variant, const struct results *plain);
/* check_backward.c: one variant behind the forward `before`; `plain` NULL: this is the plain one. */
void check_backward(struct checker *k, struct prepared *before, const char *name, const struct results *plain);

#endif
