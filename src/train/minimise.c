/* minimise.c: L-BFGS, see minimise.h. */
#include "train/minimise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HISTORY 20

/* The last steps, a ring: s = x' - x, y = g' - g, rho = 1 / (s y). */
struct history {
    double *s[HISTORY], *y[HISTORY];
    double rho[HISTORY];
    uint32_t count, newest;
};

/* Four sums side by side, always in the same order. */
static double dot(const double *a, const double *b, size_t n)
{
    double sum[4] = {0.0, 0.0, 0.0, 0.0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        for (size_t k = 0; k < 4; k++) {
            sum[k] += a[i + k] * b[i + k];
        }
    }
    for (; i < n; i++) {
        sum[0] += a[i] * b[i];
    }
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static void add_scaled(double *y, double factor, const double *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        y[i] += factor * x[i];
    }
}

static double largest(const double *v, size_t n)
{
    double most = 0.0;
    for (size_t i = 0; i < n; i++) {
        most = fmax(most, fabs(v[i]));
    }
    return most;
}

/* direction = -H gradient by the two loops. */
static void find_direction(const struct history *history, const double *gradient, double *direction, size_t n)
{
    double alpha[HISTORY];
    for (size_t i = 0; i < n; i++) {
        direction[i] = -gradient[i];
    }
    for (uint32_t i = 0; i < history->count; i++) {
        const uint32_t at = (history->newest + HISTORY - i) % HISTORY;
        alpha[at] = history->rho[at] * dot(history->s[at], direction, n);
        add_scaled(direction, -alpha[at], history->y[at], n);
    }
    if (history->count > 0) {
        const uint32_t at = history->newest;
        const double scale = 1.0 / (history->rho[at] * dot(history->y[at], history->y[at], n));
        for (size_t i = 0; i < n; i++) {
            direction[i] *= scale;
        }
    }
    for (uint32_t i = history->count; i-- > 0;) {
        const uint32_t at = (history->newest + HISTORY - i) % HISTORY;
        const double beta = history->rho[at] * dot(history->y[at], direction, n);
        add_scaled(direction, alpha[at] - beta, history->s[at], n);
    }
}

static void remember(struct history *history, const double *x, const double *new_x, const double *gradient,
                     const double *new_gradient, size_t n)
{
    const uint32_t at = history->count ? (history->newest + 1) % HISTORY : 0;
    double *s = history->s[at], *y = history->y[at];
    for (size_t i = 0; i < n; i++) {
        s[i] = new_x[i] - x[i];
        y[i] = new_gradient[i] - gradient[i];
    }
    const double curvature = dot(s, y, n);
    if (curvature > 1e-16 * dot(y, y, n)) {
        history->rho[at] = 1.0 / curvature;
        history->newest = at;
        history->count += history->count < HISTORY;
    } else {
        history->count = 0; /* rounding has eaten the curvature: start again from the gradient */
    }
}

/* Finds a step along `direction`; writes the new point, its gradient and value. False: no step lowers the value. */
static enum cb_status line_search(const struct cb__objective *objective, const double *x, const double *direction,
                                  double value, double slope, double first, double *new_x, double *new_gradient,
                                  double *out_value, uint32_t *evaluations, bool *out_found)
{
    double low = 0.0, high = INFINITY, step = first;
    *out_found = false;
    for (int trial = 0; trial < 60; trial++) {
        for (size_t i = 0; i < objective->n; i++) {
            new_x[i] = x[i] + step * direction[i];
        }
        CB_TRY(objective->evaluate(objective->context, new_x, new_gradient, out_value));
        ++*evaluations;
        if (!(*out_value <= value + 1e-4 * step * slope)) {
            high = step;
        } else if (dot(new_gradient, direction, objective->n) < 0.9 * slope) {
            low = step;
        } else {
            *out_found = true;
            return CB_OK;
        }
        const double next = isinf(high) ? 2.0 * low : 0.5 * (low + high);
        if (next == step || next == low || next == high) {
            return CB_OK;
        }
        step = next;
    }
    return CB_OK;
}

static enum cb_status iterate(const struct cb__objective *objective, double *x, double tolerance,
                              uint32_t max_iterations, struct history *history, double *work, struct cb__minimum *out)
{
    const size_t n = objective->n;
    double *gradient = work, *new_x = work + n, *new_gradient = work + 2 * n, *direction = work + 3 * n;
    CB_TRY(objective->evaluate(objective->context, x, gradient, &out->value));
    out->evaluations = 1;
    if (!isfinite(out->value)) {
        return CB_NUMERIC;
    }
    out->slope = largest(gradient, n);
    while (out->slope > tolerance && out->iterations < max_iterations) {
        find_direction(history, gradient, direction, n);
        double slope = dot(gradient, direction, n);
        if (!(slope < 0.0)) {
            history->count = 0;
            find_direction(history, gradient, direction, n);
            slope = dot(gradient, direction, n);
        }
        const double first = history->count ? 1.0 : 1.0 / sqrt(dot(gradient, gradient, n));
        double new_value = out->value;
        bool found = false;
        CB_TRY(line_search(objective, x, direction, out->value, slope, first, new_x, new_gradient, &new_value,
                           &out->evaluations, &found));
        if (!found) {
            if (history->count == 0) {
                break; /* not even along the gradient: these are the last digits */
            }
            history->count = 0;
            continue;
        }
        remember(history, x, new_x, gradient, new_gradient, n);
        memcpy(x, new_x, n * sizeof *x);
        memcpy(gradient, new_gradient, n * sizeof *gradient);
        out->value = new_value;
        out->slope = largest(gradient, n);
        out->iterations++;
    }
    out->converged = out->iterations < max_iterations || out->slope <= tolerance;
    return CB_OK;
}

enum cb_status cb__minimise(const struct cb__objective *objective, double *x, double tolerance, uint32_t max_iterations,
                            struct cb__minimum *out)
{
    const size_t n = objective->n;
    double *work = calloc(n, (4 + 2 * HISTORY) * sizeof *work);
    if (!work) {
        return CB_MEMORY;
    }
    struct history history = {.count = 0};
    for (size_t i = 0; i < HISTORY; i++) {
        history.s[i] = work + (4 + 2 * i) * n;
        history.y[i] = work + (5 + 2 * i) * n;
    }
    *out = (struct cb__minimum){.converged = false};
    const enum cb_status status = iterate(objective, x, tolerance, max_iterations, &history, work, out);
    free(work);
    return status;
}
