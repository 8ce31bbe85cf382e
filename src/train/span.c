/* span.c: features centred and divided by one scalar, and their coordinates in the span of few samples. See linear.h.
 *
 * The basis comes from a Cholesky factorisation with pivoting of the rows' inner products: row p = sum over k of
 * lower[p, k] * basis vector k. It takes the row that is worst represented so far, until all are represented. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/linear.h"

#define SPAN_MAX 1024     /* samples: beyond, factorising costs more than it saves */
#define SPAN_RANK 1e-12   /* squared length, relative to the longest row, below which a row counts as represented */

/* Eight sums side by side, always in the same order. */
static double dot(const double *a, const double *b, size_t n)
{
    double sum[8] = {0.0};
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        for (size_t k = 0; k < 8; k++) {
            sum[k] += a[i + k] * b[i + k];
        }
    }
    for (; i < n; i++) {
        sum[0] += a[i] * b[i];
    }
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

static enum cb_status find_mean_and_scale(struct cb__features *f, struct cb_diag *diag)
{
    f->mean = calloc(f->c, sizeof *f->mean);
    if (!f->mean) {
        return CB_MEMORY;
    }
    for (size_t i = 0; i < f->n; i++) {
        const float *row = f->x + i * f->c;
        for (size_t j = 0; j < f->c; j++) {
            if (!isfinite(row[j])) {
                return cb_fail(diag, CB_NUMERIC, NULL, "feature %zu of training sample %zu is not a finite number",
                               j, i);
            }
            f->mean[j] += row[j];
        }
    }
    for (size_t j = 0; j < f->c; j++) {
        f->mean[j] /= (double)f->n;
    }
    double sum = 0.0;
    for (size_t i = 0; i < f->n; i++) {
        double row_sum = 0.0;
        for (size_t j = 0; j < f->c; j++) {
            const double d = f->x[i * f->c + j] - f->mean[j];
            row_sum += d * d;
        }
        sum += row_sum;
    }
    f->spread = sum / (double)f->n;
    f->scale = sqrt(f->spread / (double)f->c);
    if (!(f->scale > 0.0)) {
        f->scale = 1.0; /* all samples alike */
    }
    return CB_OK;
}

/* Fills f->pivots and f->lower from the centred and scaled rows [n, c]; returns the rank. `left` [n] is scratch. */
static size_t factorise(struct cb__features *f, const double *rows, double *left)
{
    const size_t n = f->n, c = f->c;
    double longest = 0.0;
    for (size_t i = 0; i < n; i++) {
        left[i] = dot(rows + i * c, rows + i * c, c);
        longest = fmax(longest, left[i]);
    }
    size_t rank = 0;
    for (; rank < n; rank++) {
        size_t p = 0;
        for (size_t i = 1; i < n; i++) {
            p = left[i] > left[p] ? i : p;
        }
        if (!(left[p] > SPAN_RANK * longest)) {
            break;
        }
        f->pivots[rank] = (uint32_t)p;
        const double root = sqrt(left[p]);
        const double *pivot = f->lower + p * n;
        for (size_t i = 0; i < n; i++) {
            double *row = f->lower + i * n;
            if (left[i] < 0.0) { /* was a pivot: represented by the vectors before */
                continue;
            }
            row[rank] = i == p ? root : (dot(rows + i * c, rows + p * c, c) - dot(row, pivot, rank)) / root;
            left[i] = i == p ? -1.0 : fmax(0.0, left[i] - row[rank] * row[rank]);
        }
    }
    return rank;
}

static enum cb_status reduce(struct cb__features *f)
{
    const size_t n = f->n, c = f->c;
    enum cb_status status = CB_MEMORY;
    double *rows = calloc(n * c + n, sizeof *rows);
    f->pivots = calloc(n, sizeof *f->pivots);
    f->lower = calloc(n * n, sizeof *f->lower);
    f->coordinates = calloc(n * n, sizeof *f->coordinates);
    double *no_mean = calloc(n, sizeof *no_mean);
    if (!rows || !f->pivots || !f->lower || !f->coordinates || !no_mean) {
        goto free_rows;
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < c; j++) {
            rows[i * c + j] = (f->x[i * c + j] - f->mean[j]) / f->scale;
        }
    }
    size_t rank = factorise(f, rows, rows + n * c);
    if (rank == 0) {
        rank = 1; /* all samples alike: one coordinate, zero everywhere */
        f->lower[0] = 0.0;
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < rank; k++) {
            f->coordinates[i * rank + k] = (float)f->lower[i * n + k];
        }
    }
    f->given = f->x;
    f->given_c = c;
    f->given_mean = f->mean;
    f->given_scale = f->scale;
    f->x = f->coordinates;
    f->c = rank;
    f->mean = no_mean;
    f->scale = 1.0;
    no_mean = NULL;
    status = CB_OK;
free_rows:
    free(no_mean);
    free(rows);
    return status;
}

enum cb_status cb__features_create(const float *x, size_t n, size_t c, struct cb__features *out, struct cb_diag *diag)
{
    struct cb__features f = {.x = x, .n = n, .c = c};
    enum cb_status status = find_mean_and_scale(&f, diag);
    if (status == CB_OK && n < c && n <= SPAN_MAX) {
        status = reduce(&f);
    }
    if (status != CB_OK) {
        cb__features_destroy(&f);
        return status;
    }
    *out = f;
    return CB_OK;
}

void cb__features_destroy(struct cb__features *features)
{
    free(features->mean);
    free(features->given_mean);
    free(features->coordinates);
    free(features->pivots);
    free(features->lower);
    *features = (struct cb__features){.x = NULL};
}

/* a [c, outputs] such that sum over k of a[k] * (row pivots[k]) is sum over k of v[k] * (basis vector k). */
static void solve_pivots(const struct cb__features *f, const double *v, uint32_t outputs, double *a)
{
    for (size_t k = f->c; k-- > 0;) {
        const double diagonal = f->lower[f->pivots[k] * f->n + k];
        for (uint32_t o = 0; o < outputs; o++) {
            double rest = v[k * outputs + o];
            for (size_t m = k + 1; m < f->c; m++) {
                rest -= f->lower[f->pivots[m] * f->n + k] * a[m * outputs + o];
            }
            a[k * outputs + o] = diagonal > 0.0 ? rest / diagonal : 0.0;
        }
    }
}

enum cb_status cb__features_fold(const struct cb__features *f, const double *v, const double *bias,
                                 uint32_t outputs, float *w, float *b)
{
    const bool reduced = f->given != NULL;
    const size_t c = reduced ? f->given_c : f->c;
    const double *mean = reduced ? f->given_mean : f->mean;
    const double scale = reduced ? f->given_scale : f->scale;
    double *a = calloc(f->c * outputs, sizeof *a), *row = calloc(outputs, 2 * sizeof *row);
    if (!a || !row) {
        free(row);
        free(a);
        return CB_MEMORY;
    }
    if (reduced) {
        solve_pivots(f, v, outputs, a);
    }
    double *shift = row + outputs;
    for (size_t j = 0; j < c; j++) {
        for (uint32_t o = 0; o < outputs; o++) {
            row[o] = reduced ? 0.0 : v[j * outputs + o] / scale;
        }
        for (size_t k = 0; reduced && k < f->c; k++) {
            const double feature = (f->given[f->pivots[k] * c + j] - mean[j]) / (scale * scale);
            for (uint32_t o = 0; o < outputs; o++) {
                row[o] += feature * a[k * outputs + o];
            }
        }
        for (uint32_t o = 0; o < outputs; o++) {
            w[j * outputs + o] = (float)row[o];
            shift[o] += mean[j] * row[o];
        }
    }
    for (uint32_t o = 0; o < outputs; o++) {
        b[o] = (float)(bias[o] - shift[o]);
    }
    free(row);
    free(a);
    return CB_OK;
}
