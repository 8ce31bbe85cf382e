/* cambium.h: Cambium from C: open a finished run, predict pictures. See examples/predict.c.
 *
 * Not thread-safe: one predictor per thread. */
#ifndef CAMBIUM_CAMBIUM_H
#define CAMBIUM_CAMBIUM_H

#include <cambium/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct cb_predictor;

/* One answer. Everything is the predictor's, valid until its next call. */
struct cb_prediction {
    const char *label;          /* of the likeliest class; NULL when the run predicts values */
    float probability;          /* its probability; the first value when the run predicts values */
    const float *probabilities; /* [count]: of each class, or the values */
    uint32_t count;
};

/* Opens `run`: a run's folder, its model.safetensors, a name under runs/, or `run:NAME`. `device`: NULL for the default, a
 * number of `cambium devices`, or part of a name. On failure `*out` is untouched and `diag` (may be NULL) says why. */
enum cb_status cb_predictor_open(const char *run, const char *device, struct cb_predictor **out, struct cb_diag *diag);
void cb_predictor_close(struct cb_predictor *predictor); /* accepts NULL */

uint32_t cb_predictor_class_count(const struct cb_predictor *predictor);
/* The name of a class; NULL past the end, or when the run predicts values. */
const char *cb_predictor_class(const struct cb_predictor *predictor, uint32_t i);

/* A picture from a file (JPEG, PNG, WebP, HEIC where it was built in), prepared as the run's own input contract says. */
enum cb_status cb_predictor_file(struct cb_predictor *predictor, const char *path, struct cb_prediction *out,
                                 struct cb_diag *diag);

#ifdef __cplusplus
}
#endif

#endif
