/* search.c: the L2 penalty of the exact linear head, by cross-validation inside the training samples. See linear.h.
 *
 * The grid is in units of the mean squared length of a centred sample, so that it fits every network: 10 down to 1e-5
 * in steps of the square root of ten. Each fold follows the grid from the strongest penalty down, and begins each fit
 * where the last one ended. The penalty with the smallest held-out loss wins. Measured on EfficientNet-Lite0's features
 * of photos (3, 5, 10 of each class) and digits (10): accuracy within 0.001 of taking the strongest penalty within one
 * standard error, and a smaller test loss; the accuracy itself is no guide, a few dozen samples are full of ties. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/linear.h"
#include "train/random.h"

#define GRID_COUNT 13
#define GRID_LARGEST 10.0
#define PATIENCE 3            /* grid points without a smaller loss after which the search ends */
#define SEARCH_TOLERANCE 1e-4
#define SEARCH_ITERATIONS 200
#define SEARCH_WORK 4e7       /* products of one evaluation beyond which the search takes a part of the samples */
#define SINGLE_PENALTY 1.0    /* grid value where nothing can be held out: one sample of each class */
#define NO_FOLD UINT32_MAX

/* Samples that are never parted. */
struct unit {
    uint32_t group, label, first; /* first: of `members` */
    uint32_t count;
};

struct folds {
    uint32_t *fold;   /* [n]: in which fold each sample is held out; NO_FOLD: always in training */
    uint32_t used;    /* folds 0 .. used - 1 are run */
    uint32_t dealt;   /* folds dealt; those beyond `used` are left out of the search */
    bool any;         /* a sample is held out at all */
};

struct keyed {
    uint32_t group, sample;
};

static int compare_keyed(const void *left, const void *right)
{
    const struct keyed *a = left, *b = right;
    return a->group != b->group ? (a->group > b->group) - (a->group < b->group)
                                : (a->sample > b->sample) - (a->sample < b->sample);
}

/* Samples sorted by group, and the units among them. Returns the number of units. */
static uint32_t find_units(const struct cb__linear *problem, const uint32_t *groups, struct keyed *keyed,
                           struct unit *units)
{
    const uint32_t n = (uint32_t)problem->features->n;
    for (uint32_t i = 0; i < n; i++) {
        keyed[i] = (struct keyed){groups ? groups[i] : i, i};
    }
    if (groups) {
        qsort(keyed, n, sizeof *keyed, compare_keyed);
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (i == 0 || keyed[i].group != keyed[i - 1].group) {
            const uint32_t label = problem->labels ? (uint32_t)problem->labels[keyed[i].sample] : 0;
            units[count++] = (struct unit){.group = keyed[i].group, .label = label, .first = i};
        }
        units[count - 1].count++;
    }
    return count;
}

/* The fold with the fewest samples of this class, of those the one with the fewest samples. */
static uint32_t emptiest(const uint32_t *of_class, const uint32_t *of_all, uint32_t count)
{
    uint32_t best = 0;
    for (uint32_t f = 1; f < count; f++) {
        if (of_class[f] < of_class[best] || (of_class[f] == of_class[best] && of_all[f] < of_all[best])) {
            best = f;
        }
    }
    return best;
}

/* Deals units to folds class by class, in random order. A class of one unit stays in training. */
static enum cb_status deal(const struct cb__linear *problem, const struct cb_softmax_options *options,
                           struct folds *folds)
{
    const uint32_t n = (uint32_t)problem->features->n;
    const uint32_t classes = problem->labels ? problem->outputs : 1;
    struct keyed *keyed = calloc(n, sizeof *keyed);
    struct unit *units = calloc(n, sizeof *units);
    uint32_t *order = calloc(n, sizeof *order);
    uint32_t *of_class = calloc(folds->dealt, 2 * sizeof *of_class);
    enum cb_status status = CB_MEMORY;
    if (!keyed || !units || !order || !of_class) {
        goto free_units;
    }
    uint32_t *of_all = of_class + folds->dealt;
    const uint32_t unit_count = find_units(problem, options->groups, keyed, units);
    struct cb_random random;
    cb_random_start(&random, options->seed, "folds of the head", 0);
    for (uint32_t k = 0; k < classes; k++) {
        uint32_t count = 0;
        for (uint32_t u = 0; u < unit_count; u++) {
            if (units[u].label == k) {
                order[count++] = u;
            }
        }
        cb_random_shuffle(&random, order, count);
        memset(of_class, 0, folds->dealt * sizeof *of_class);
        for (uint32_t i = 0; i < count; i++) {
            const struct unit *unit = &units[order[i]];
            const uint32_t fold = count == 1 ? NO_FOLD : emptiest(of_class, of_all, folds->dealt);
            for (uint32_t m = 0; m < unit->count; m++) {
                folds->fold[keyed[unit->first + m].sample] = fold;
            }
            if (fold != NO_FOLD) {
                of_class[fold] += unit->count;
                of_all[fold] += unit->count;
                folds->any = true;
            }
        }
    }
    status = CB_OK;
free_units:
    free(of_class);
    free(order);
    free(units);
    free(keyed);
    return status;
}

/* Splits the search's samples: `train` gets those not in `fold`, `held` those in it. */
static void split(const struct folds *folds, uint32_t n, uint32_t fold, uint32_t *train, size_t *train_count,
                  uint32_t *held, size_t *held_count)
{
    *train_count = *held_count = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (folds->fold[i] == fold) {
            held[(*held_count)++] = i;
        } else if (folds->fold[i] == NO_FOLD || folds->fold[i] < folds->used) {
            train[(*train_count)++] = i;
        }
    }
}

/* Fits all folds at one penalty, going on from `params` (one set a fold), and records the held-out means. */
static enum cb_status try_penalty(const struct cb__linear *problem, const struct folds *folds, double *params,
                                  uint32_t *rows, double *out_loss, double *out_accuracy)
{
    const uint32_t n = (uint32_t)problem->features->n;
    const size_t size = (problem->features->c + 1) * problem->outputs;
    double loss = 0.0;
    size_t correct = 0, tested = 0;
    for (uint32_t f = 0; f < folds->used; f++) {
        struct cb__linear train = *problem, held = *problem;
        split(folds, n, f, rows, &train.row_count, rows + n, &held.row_count);
        train.rows = rows;
        held.rows = rows + n;
        if (train.row_count == 0 || held.row_count == 0) {
            continue;
        }
        struct cb__minimum minimum;
        struct cb__linear_score score;
        CB_TRY(cb__linear_fit(&train, params + f * size, SEARCH_TOLERANCE, SEARCH_ITERATIONS, &minimum));
        CB_TRY(cb__linear_measure(&held, params + f * size, &score));
        loss += score.loss;
        correct += score.correct;
        tested += held.row_count;
    }
    const double values = (double)tested * (problem->labels ? 1.0 : problem->outputs);
    *out_loss = tested ? loss / values : 0.0;
    *out_accuracy = tested ? (double)correct / (double)tested : 0.0;
    return CB_OK;
}

/* `unit`: the penalty that grid value 1 stands for; `spread`: the same as l2 of the features as given. */
static enum cb_status follow_grid(struct cb__linear *problem, const struct folds *folds, double unit, double spread,
                                  struct cb_softmax_info *info)
{
    const uint32_t n = (uint32_t)problem->features->n;
    const size_t size = (problem->features->c + 1) * problem->outputs;
    double *params = calloc(folds->used, size * sizeof *params);
    uint32_t *rows = calloc(n, 2 * sizeof *rows);
    enum cb_status status = params && rows ? CB_OK : CB_MEMORY;
    uint32_t best = 0;
    for (uint32_t g = 0; status == CB_OK && g < GRID_COUNT && g <= best + PATIENCE; g++) {
        const double value = GRID_LARGEST * pow(10.0, -0.5 * g);
        problem->penalty = value * unit;
        info->grid_l2[g] = value * spread;
        info->grid_count = g + 1;
        status = try_penalty(problem, folds, params, rows, &info->grid_loss[g], &info->grid_accuracy[g]);
        if (status == CB_OK && info->grid_loss[g] < info->grid_loss[best]) {
            best = g;
        }
    }
    problem->penalty = GRID_LARGEST * pow(10.0, -0.5 * best) * unit;
    free(rows);
    free(params);
    return status;
}

enum cb_status cb__linear_search(struct cb__linear *problem, const struct cb_softmax_options *options,
                                 struct cb_softmax_info *info)
{
    const struct cb__features *f = problem->features;
    const double scale = f->given ? f->given_scale : f->scale;
    const double spread = f->spread > 0.0 ? f->spread : 1.0, unit = spread / (scale * scale);
    const uint32_t n = (uint32_t)f->n;
    problem->penalty = SINGLE_PENALTY * unit;
    info->cross_validated = false;

    struct folds folds = {.used = options->folds ? options->folds : 5};
    folds.used = folds.used < n ? folds.used : n;
    if (folds.used < 2) {
        return CB_OK;
    }
    const double work = (double)n * (double)f->c * problem->outputs / SEARCH_WORK;
    folds.dealt = folds.used * (work > 1.0 ? (uint32_t)ceil(work) : 1);
    folds.dealt = folds.dealt < n ? folds.dealt : n;
    folds.fold = calloc(n, sizeof *folds.fold);
    if (!folds.fold) {
        return CB_MEMORY;
    }
    enum cb_status status = deal(problem, options, &folds);
    if (status == CB_OK && folds.any) {
        info->cross_validated = true;
        status = follow_grid(problem, &folds, unit, spread, info);
    }
    free(folds.fold);
    return status;
}
