/* checker.h: what the files of the checks share: a case that is set up on the device, and ways to run it and to
 * compare. */
#ifndef CAMBIUM_CHECK_CHECKER_H
#define CAMBIUM_CHECK_CHECKER_H

#include "check/checks.h"

#define MANY_ELEMENTS 4096 /* of which several work-groups are at work: a case is run more often to see whether it repeats */
#define PLAIN_TOLERANCE 2e-5 /* of a variant against the plain one, in parts of the largest value */

/* When a comparison fails, said behind the tensor's name. */
#define IN_A_SECOND_RUN "in a second run of the same: something is left to chance (atomics, a race, local memory that nothing " \
    "wrote) or remembered from run to run"
#define BESIDE_PLAIN "beside the plain variant"
#define CHANGED_GUARDS "when what lies around the tensors changes: something is read outside its ends"
#define CHANGED_POISON "when memory holds other values before the run: something is read that nothing wrote"

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
    const struct array *x; /* the inputs' values: those of the case, while check_edges.c does not move them */
    struct cb_core core;
    struct tally *tally;
    struct array params[TRIAL_MAX], states[TRIAL_MAX], dy, ids, lengths;
    struct array other_dy[TRIAL_MAX]; /* of outputs 1 and on; a loss has zeros there */
    struct cb_tensor *fit_x[TRIAL_MAX];
    struct prepared *fit;
    uint32_t dx_mask, dw_mask; /* gradients that exist: of f32 inputs (of a loss: the scores), of params */
};

/* What one backward run is to do. */
struct wish {
    uint32_t dx, dw;                       /* which gradients are wanted */
    uint32_t dx_accumulate, dw_accumulate; /* which are added to what is there: `base` */
    const struct array *base_dx, *base_dw;
    int dx_in_dy;  /* this dx lies where dy is; -1: none */
    uint32_t keep; /* CB_NEEDS_* that are not poisoned though the descriptor does not name them */
};

/* Counts and reports. Returns `is_right`. */
bool cb__checker_check(struct checker *k, enum cb_check check, bool is_right, const char *fmt, ...) CB_PRINTF(4, 5);
/* Says which value of which tensor ("dx", 0) of which variant is how far off; `when`: "in a second run", or "". */
void cb__checker_close(struct checker *k, enum cb_check check, const struct array *a, const struct array *expected,
                       double tolerance, const char *variant, const char *what, uint32_t index, const char *when);
void cb__checker_bits(struct checker *k, enum cb_check check, const struct array *a, const struct array *expected,
                      const char *variant, const char *what, uint32_t index, const char *when);
/* No element is infinite, NaN, or not written at all. `refilled`: the same after a run over TRIAL_POISON2, NULL: none. */
void cb__checker_finite(struct checker *k, const struct array *a, const struct array *refilled, const char *variant,
                        const char *what, uint32_t index);
/* Tensors that were written outside their ends since the last call. */
void cb__checker_overruns(struct checker *k, const char *variant);
/* "dx of input 0", "dw of param 1 (`b`)", "y 0". In the arena. */
const char *cb__checker_name(struct checker *k, const char *what, uint32_t index);
/* "element 17 of [2,5,7,3]". In the arena. */
const char *cb__checker_place(struct checker *k, const struct array *a, int64_t at);

/* Allocates and draws what a case needs, once it was inferred. */
void cb__checker_set_up(struct checker *k);
/* Whether the variant is of this pass and runs on this device with these shapes. */
bool cb__checker_serves(const struct checker *k, const struct cb_variant *v, uint32_t pass);
/* Inputs, params, state and sample ids onto the device; outputs and saved tensors are poisoned. */
void cb__checker_write(struct checker *k, const struct array *x, const struct array *params);
/* Takes the case's batches into the state, where it has any. */
void cb__checker_fit(struct checker *k);
/* Writes, fits, runs, reads y and state. */
struct results cb__checker_forward(struct checker *k, struct prepared *variant);
struct results cb__checker_forward_with(struct checker *k, struct prepared *variant, const struct array *x,
                                    const struct array *params);
/* After a whole forward: again, with other values in one input or param and all else as it lies. Reads y only. For the many
 * runs of central differences: every command to a device has its price. */
struct results cb__checker_forward_moved(struct checker *k, struct prepared *variant, const struct cb_tensor *moved,
                                         const struct array *values);
/* Runs backward after `before`, which is run first. Tensors that the descriptor does not need are poisoned in between.
 */
struct results cb__checker_backward(struct checker *k, struct prepared *before, const struct backward *b,
                                const struct wish *w);
/* The backward of variant `name`; a pass that has none of that name gets its plain (last) one. */
struct backward cb__checker_prepare_backward(struct checker *k, const char *name);

/* check_forward.c: one variant; `plain`: what the plain one gives. */
void cb__check_forward(struct checker *k, const struct cb_variant *variant, const struct results *plain);
/* check_backward.c: one variant behind the forward `before`; `plain` NULL: this is the plain one. */
void cb__check_backward(struct checker *k, struct prepared *before, const char *name, const struct results *plain);
/* check_edges.c: one forward variant and the backward behind it (NULL: none), at zeros, equal and large values. */
void cb__check_edges(struct checker *k, struct prepared *forward, const struct backward *backward);
/* check_modes.c: one forward variant, which gave `r`, with other seeds and modes; and with another batch's size. */
void cb__check_modes(struct checker *k, struct prepared *variant, const struct results *r);
void cb__check_accepts(struct checker *k, const struct cb_variant *variant);
/* check_lengths.c: whether lengths change what the plain forward gives; and one forward variant beside them. */
bool cb__checker_reads_lengths(struct checker *k, struct prepared *variant);
void cb__check_lengths(struct checker *k, struct prepared *variant, const struct results *r);
/* check_gradient.c: `r` against central differences of the forward `variant`. */
void cb__check_differences(struct checker *k, struct prepared *variant, const struct results *r);
/* `dx` of an input whose values are all equal, as k->x has it: with all of them moved at once no tie is broken, and the sum
 * of dx must be the slope, or between both slopes. */
void cb__check_level(struct checker *k, struct prepared *variant, const struct array *dx, uint32_t input);

#endif
