/* linear.c: the objective of the exact linear head, its gradient, and how well a solution does. See linear.h.
 *
 * One evaluation reads the features once: blocks of 8 rows are widened to double, multiplied with the weights, turned
 * into losses and slopes, and multiplied back while they are still in the cache. Rows are dealt to a number of chunks
 * that depends on the problem alone; threads take whole chunks and their sums are added in order, so that the number of
 * threads changes no bit. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "train/linear.h"

#define ROWS 8              /* of a block */
#define LANES 8             /* outputs computed side by side */
#define CHUNKS_MAX 16
#define CHUNK_WORK 4000000u /* products below which a chunk is not divided */

typedef double lanes __attribute__((vector_size(LANES * sizeof(double))));

/* The compiler makes this function for several generations of processors; the loader takes the right one. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CLONES
#endif

struct chunk {
    size_t begin, end; /* of problem->rows */
    double loss;       /* weighted */
    double *gradient;  /* [c, padded] */
    double *bias;      /* [padded]: the sum of slopes */
    double *block;     /* [c, ROWS]: rows in double, features outside */
    double *slopes;    /* [ROWS, padded]: scores, then d loss / d score */
};

struct evaluation {
    const struct cb__linear *problem;
    size_t padded;       /* outputs rounded up to LANES */
    double weight_sum;
    double *weights;     /* [c, padded] for the features before centring and scaling */
    double *offsets;     /* [padded] */
    struct chunk chunks[CHUNKS_MAX];
    uint32_t chunk_count, threads;
    double *memory;
};

/* slopes[i, :] = offsets + block[:, i] . weights */
CLONES static void multiply(const double *block, const double *weights, const double *offsets, size_t c, size_t padded,
                            double *slopes)
{
    for (size_t t = 0; t < padded; t += LANES) {
        lanes sum[ROWS];
        for (int i = 0; i < ROWS; i++) {
            memcpy(&sum[i], offsets + t, sizeof sum[i]);
        }
        for (size_t j = 0; j < c; j++) {
            lanes w;
            memcpy(&w, weights + j * padded + t, sizeof w);
            for (int i = 0; i < ROWS; i++) {
                sum[i] += block[j * ROWS + i] * w;
            }
        }
        for (int i = 0; i < ROWS; i++) {
            memcpy(slopes + (size_t)i * padded + t, &sum[i], sizeof sum[i]);
        }
    }
}

/* gradient[j, :] += sum over i of block[j, i] * slopes[i, :] */
CLONES static void multiply_back(const double *block, const double *slopes, size_t c, size_t padded, double *gradient)
{
    for (size_t t = 0; t < padded; t += LANES) {
        lanes slope[ROWS];
        for (int i = 0; i < ROWS; i++) {
            memcpy(&slope[i], slopes + (size_t)i * padded + t, sizeof slope[i]);
        }
        for (size_t j = 0; j < c; j++) {
            const double *x = block + j * ROWS;
            lanes sum;
            memcpy(&sum, gradient + j * padded + t, sizeof sum);
            sum += ((x[0] * slope[0] + x[1] * slope[1]) + (x[2] * slope[2] + x[3] * slope[3])) +
                   ((x[4] * slope[4] + x[5] * slope[5]) + (x[6] * slope[6] + x[7] * slope[7]));
            memcpy(gradient + j * padded + t, &sum, sizeof sum);
        }
    }
}

/* Rows first .. first + count into the block; absent ones are zero. */
static void load_block(const struct cb__linear *problem, size_t first, size_t count, double *block)
{
    const size_t c = problem->features->c;
    for (size_t i = 0; i < ROWS; i++) {
        if (i < count) {
            const float *row = problem->features->x + (size_t)problem->rows[first + i] * c;
            for (size_t j = 0; j < c; j++) {
                block[j * ROWS + i] = row[j];
            }
        } else {
            for (size_t j = 0; j < c; j++) {
                block[j * ROWS + i] = 0.0;
            }
        }
    }
}

static double weight_of(const struct cb__linear *problem, size_t row)
{
    return problem->class_weights && problem->labels ? (double)problem->class_weights[problem->labels[row]] : 1.0;
}

/* Turns the scores of one sample into slopes; returns its loss. `*out_correct`: the label has the largest score. */
static double softmax_loss(double *scores, uint32_t outputs, uint32_t label, bool *out_correct)
{
    double largest = scores[0];
    uint32_t guess = 0;
    for (uint32_t o = 1; o < outputs; o++) {
        if (scores[o] > largest) {
            largest = scores[o];
            guess = o;
        }
    }
    *out_correct = guess == label;
    double sum = 0.0;
    const double own = scores[label] - largest;
    for (uint32_t o = 0; o < outputs; o++) {
        scores[o] = exp(scores[o] - largest);
        sum += scores[o];
    }
    for (uint32_t o = 0; o < outputs; o++) {
        scores[o] /= sum;
    }
    scores[label] -= 1.0;
    return log(sum) - own;
}

static double squared_loss(double *scores, uint32_t outputs, const float *targets)
{
    double sum = 0.0;
    for (uint32_t o = 0; o < outputs; o++) {
        scores[o] -= targets[o];
        sum += scores[o] * scores[o];
    }
    return 0.5 * sum;
}

static void run_chunk(const struct evaluation *e, struct chunk *chunk)
{
    const struct cb__linear *problem = e->problem;
    const size_t c = problem->features->c, padded = e->padded;
    chunk->loss = 0.0;
    memset(chunk->gradient, 0, c * padded * sizeof *chunk->gradient);
    memset(chunk->bias, 0, padded * sizeof *chunk->bias);
    for (size_t first = chunk->begin; first < chunk->end; first += ROWS) {
        const size_t count = chunk->end - first < ROWS ? chunk->end - first : ROWS;
        load_block(problem, first, count, chunk->block);
        multiply(chunk->block, e->weights, e->offsets, c, padded, chunk->slopes);
        for (size_t i = 0; i < ROWS; i++) {
            double *slopes = chunk->slopes + i * padded;
            if (i >= count) {
                memset(slopes, 0, padded * sizeof *slopes);
                continue;
            }
            const size_t row = problem->rows[first + i];
            const double weight = weight_of(problem, row);
            bool correct;
            chunk->loss += weight * (problem->labels ? softmax_loss(slopes, problem->outputs,
                                                                    (uint32_t)problem->labels[row], &correct)
                                                     : squared_loss(slopes, problem->outputs,
                                                                    problem->targets + row * problem->outputs));
            for (size_t o = 0; o < padded; o++) {
                slopes[o] = o < problem->outputs ? weight * slopes[o] : 0.0;
                chunk->bias[o] += slopes[o];
            }
        }
        multiply_back(chunk->block, chunk->slopes, c, padded, chunk->gradient);
    }
}

/* ---- threads ---- */

struct worker {
    pthread_t thread;
    struct evaluation *evaluation;
    uint32_t first;
    bool started;
};

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct evaluation *e = worker->evaluation;
    for (uint32_t i = worker->first; i < e->chunk_count; i += e->threads) {
        run_chunk(e, &e->chunks[i]);
    }
    return NULL;
}

/* A thread that can't be started has its share done here. */
static void run_chunks(struct evaluation *e)
{
    struct worker workers[CHUNKS_MAX];
    for (uint32_t i = 1; i < e->threads; i++) {
        workers[i] = (struct worker){.evaluation = e, .first = i};
        workers[i].started = pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0;
    }
    workers[0] = (struct worker){.evaluation = e, .first = 0};
    work(&workers[0]);
    for (uint32_t i = 1; i < e->threads; i++) {
        if (workers[i].started) {
            pthread_join(workers[i].thread, NULL);
        } else {
            work(&workers[i]);
        }
    }
}

/* ---- evaluation ---- */

/* Sets weights and offsets so that x . weights + offsets = ((x - mean) / scale) . v + bias. */
static void set_weights(const struct cb__linear *problem, const double *params, size_t padded, double *weights,
                        double *offsets)
{
    const struct cb__features *f = problem->features;
    const uint32_t outputs = problem->outputs;
    memcpy(offsets, params + f->c * outputs, outputs * sizeof *offsets);
    for (size_t j = 0; j < f->c; j++) {
        for (uint32_t o = 0; o < outputs; o++) {
            const double w = params[j * outputs + o] / f->scale;
            weights[j * padded + o] = w;
            offsets[o] -= f->mean[j] * w;
        }
    }
}

static enum cb_status evaluate(void *context, const double *params, double *out_gradient, double *out_value)
{
    struct evaluation *e = context;
    const struct cb__linear *problem = e->problem;
    const struct cb__features *f = problem->features;
    const uint32_t outputs = problem->outputs;
    if (problem->cancelled && problem->cancelled(problem->cancel_context)) {
        return CB_INTERRUPTED;
    }
    set_weights(problem, params, e->padded, e->weights, e->offsets);
    run_chunks(e);

    const size_t size = f->c * e->padded;
    struct chunk *total = &e->chunks[0];
    for (uint32_t i = 1; i < e->chunk_count; i++) {
        total->loss += e->chunks[i].loss;
        for (size_t k = 0; k < size; k++) {
            total->gradient[k] += e->chunks[i].gradient[k];
        }
        for (size_t o = 0; o < e->padded; o++) {
            total->bias[o] += e->chunks[i].bias[o];
        }
    }
    double square = 0.0;
    for (size_t j = 0; j < f->c; j++) {
        for (uint32_t o = 0; o < outputs; o++) {
            const double v = params[j * outputs + o];
            const double slope = (total->gradient[j * e->padded + o] - f->mean[j] * total->bias[o]) / f->scale;
            out_gradient[j * outputs + o] = (slope + problem->penalty * v) / e->weight_sum;
            square += v * v;
        }
    }
    for (uint32_t o = 0; o < outputs; o++) {
        out_gradient[f->c * outputs + o] = total->bias[o] / e->weight_sum;
    }
    *out_value = (total->loss + 0.5 * problem->penalty * square) / e->weight_sum;
    return CB_OK;
}

static enum cb_status prepare(const struct cb__linear *problem, struct evaluation *e)
{
    const size_t c = problem->features->c;
    *e = (struct evaluation){.problem = problem};
    e->padded = (problem->outputs + LANES - 1) / LANES * LANES;
    const double products = (double)problem->row_count * (double)c * (double)e->padded;
    const double wanted = products / CHUNK_WORK;
    e->chunk_count = wanted < 1.0 ? 1 : wanted > CHUNKS_MAX ? CHUNKS_MAX : (uint32_t)wanted;
    if (e->chunk_count > problem->row_count) {
        e->chunk_count = 1;
    }
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    e->threads = problem->threads ? problem->threads : processors > 0 ? (uint32_t)processors : 1;
    e->threads = e->threads > e->chunk_count ? e->chunk_count : e->threads;

    const size_t one = c * e->padded + e->padded + c * ROWS + ROWS * e->padded;
    e->memory = calloc(c * e->padded + e->padded + e->chunk_count * one, sizeof *e->memory);
    if (!e->memory) {
        return CB_MEMORY;
    }
    e->weights = e->memory;
    e->offsets = e->weights + c * e->padded;
    double *next = e->offsets + e->padded;
    for (uint32_t i = 0; i < e->chunk_count; i++) {
        struct chunk *chunk = &e->chunks[i];
        chunk->begin = problem->row_count * i / e->chunk_count;
        chunk->end = problem->row_count * (i + 1) / e->chunk_count;
        chunk->gradient = next;
        chunk->bias = chunk->gradient + c * e->padded;
        chunk->block = chunk->bias + e->padded;
        chunk->slopes = chunk->block + c * ROWS;
        next += one;
    }
    for (size_t i = 0; i < problem->row_count; i++) {
        e->weight_sum += weight_of(problem, problem->rows[i]);
    }
    return CB_OK;
}

enum cb_status cb__linear_fit(const struct cb__linear *problem, double *params, double tolerance,
                              uint32_t max_iterations, struct cb__minimum *out)
{
    struct evaluation e;
    CB_TRY(prepare(problem, &e));
    const struct cb__objective objective = {
        .evaluate = evaluate, .context = &e, .n = (problem->features->c + 1) * problem->outputs};
    const enum cb_status status = cb__minimise(&objective, params, tolerance, max_iterations, out);
    free(e.memory);
    return status;
}

enum cb_status cb__linear_measure(const struct cb__linear *problem, const double *params,
                                  struct cb__linear_score *out)
{
    const size_t c = problem->features->c, padded = (problem->outputs + LANES - 1) / LANES * LANES;
    double *weights = calloc(c * padded + padded + c * ROWS + ROWS * padded, sizeof *weights);
    if (!weights) {
        return CB_MEMORY;
    }
    double *offsets = weights + c * padded, *block = offsets + padded, *scores = block + c * ROWS;
    set_weights(problem, params, padded, weights, offsets);
    struct cb__linear_score score = {.loss = 0.0};
    for (size_t first = 0; first < problem->row_count; first += ROWS) {
        const size_t count = problem->row_count - first < ROWS ? problem->row_count - first : ROWS;
        load_block(problem, first, count, block);
        multiply(block, weights, offsets, c, padded, scores);
        for (size_t i = 0; i < count; i++) {
            const size_t row = problem->rows[first + i];
            bool correct = false;
            const double loss = problem->labels ? softmax_loss(scores + i * padded, problem->outputs,
                                                               (uint32_t)problem->labels[row], &correct)
                                                : 2.0 * squared_loss(scores + i * padded, problem->outputs,
                                                                     problem->targets + row * problem->outputs);
            score.loss += loss;
            score.correct += correct;
        }
    }
    free(weights);
    *out = score;
    return CB_OK;
}
