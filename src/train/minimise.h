/* minimise.h: L-BFGS: the minimum of a smooth convex function of many variables from its value and gradient. */
#ifndef CAMBIUM_TRAIN_MINIMISE_H
#define CAMBIUM_TRAIN_MINIMISE_H

#include <cambium/status.h>

/* Computes the value at x [n] and writes the gradient [n]. May fail (INTERRUPTED). */
struct cb__objective {
    enum cb_status (*evaluate)(void *context, const double *x, double *out_gradient, double *out_value);
    void *context;
    size_t n;
};

struct cb__minimum {
    double value;
    double slope; /* largest absolute value of the gradient */
    uint32_t iterations, evaluations;
    bool converged;
};

/* Moves x [n] to the minimum, until slope <= tolerance, no more digits can be gained (both converged), or max_iterations
 * are done. L-BFGS with the last 20 steps (Nocedal and Wright 2006, algorithm 7.5); the line search halves and doubles to
 * the weak Wolfe conditions (Lewis and Overton 2013), so each step keeps the curvature positive. MEMORY; NUMERIC when the
 * function is not finite at the start; what evaluate returns. */
enum cb_status cb__minimise(const struct cb__objective *objective, double *x, double tolerance, uint32_t max_iterations,
                            struct cb__minimum *out);

#endif
