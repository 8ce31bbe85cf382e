/* predictor.c: the public way to predict, over model.h and engine.h. See cambium/cambium.h. */
#include <cambium/cambium.h>

#include <stdlib.h>

#include "data/resize.h"
#include "train/engine.h"
#include "train/metrics.h"

struct cb_predictor {
    struct cb_registry *registry;
    struct cb_model *model;
    struct cb_device *device;
    struct cb_engine *engine;
    unsigned char *picture;
    float *scores;
};

enum cb_status cb_predictor_open(const char *run, const char *device, struct cb_predictor **out, struct cb_diag *diag)
{
    struct cb_predictor *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    p->registry = cb_registry_create(&cb__host);
    enum cb_status status = p->registry != NULL ? cb_model_load(run, p->registry, &p->model, diag) : CB_MEMORY;
    if (status == CB_OK && p->model->contract.modality != CB_IMAGE) {
        status = cb_fail(diag, CB_MISMATCH, NULL, "`%s` takes %s input, not pictures", run,
                         cb_modality_name(p->model->contract.modality));
    }
    if (status == CB_OK) {
        status = cb_device_open(device, &p->device, diag);
    }
    if (status == CB_OK) {
        status = cb_engine_create(p->model, NULL, p->device, false, 0, NULL, &p->engine, diag);
    }
    if (status == CB_OK) {
        const int64_t *shape = p->model->contract.shape;
        p->picture = malloc((size_t)(shape[0] * shape[1] * shape[2]));
        p->scores = malloc(p->model->outputs * sizeof(float));
        status = p->picture != NULL && p->scores != NULL ? CB_OK : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    if (status != CB_OK) {
        cb_predictor_close(p);
        return status;
    }
    *out = p;
    return CB_OK;
}

void cb_predictor_close(struct cb_predictor *p)
{
    if (p != NULL) {
        cb_engine_destroy(p->engine);
        cb_device_close(p->device);
        cb_model_destroy(p->model);
        cb_registry_destroy(p->registry);
        free(p->picture);
        free(p->scores);
        free(p);
    }
}

uint32_t cb_predictor_class_count(const struct cb_predictor *p)
{
    return p->model->classes != NULL ? p->model->class_count : 0;
}

const char *cb_predictor_class(const struct cb_predictor *p, uint32_t i)
{
    return i < cb_predictor_class_count(p) ? p->model->classes[i] : NULL;
}

enum cb_status cb_predictor_file(struct cb_predictor *p, const char *path, struct cb_prediction *out, struct cb_diag *diag)
{
    const struct cb_model *m = p->model;
    CB_TRY(cb_image_for_contract(path, &m->contract, m->background, p->picture, NULL, diag));
    CB_TRY(cb_engine_values(p->engine, m->scores, p->picture, true, 1, p->scores, diag));
    CB_TRY(cb_engine_link(p->engine, p->scores, 1, diag));
    uint32_t best = m->classes != NULL ? cb_argmax(p->scores, m->outputs) : 0;
    *out = (struct cb_prediction){.label = m->classes != NULL ? m->classes[best] : NULL, .probability = p->scores[best],
                                  .probabilities = p->scores, .count = m->outputs};
    return CB_OK;
}
