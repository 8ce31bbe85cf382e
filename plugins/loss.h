/* loss.h: what losses declare alike. */
#ifndef CAMBIUM_PLUGINS_LOSS_H
#define CAMBIUM_PLUGINS_LOSS_H

#include <cambium/layer.h>

/* y0 [N]: the value of each sample; y1 [N]: its weight. */
static inline enum cb_status loss_outputs(struct cb_instance *in)
{
    const int64_t n = in->x[0]->dims[0];
    CB_TRY(in->host->output(in->core, 0, CB_F32, 1, &n));
    return in->host->output(in->core, 1, CB_F32, 1, &n);
}

/* Scores and targets of one size: [N] or [N,K] f32 both. */
static inline enum cb_status loss_check_values(struct cb_instance *in, const char *name)
{
    const struct cb_tensor *scores = in->x[0], *targets = in->x[1];
    if (scores->rank >= 1 && cb_tensor_count(scores) == cb_tensor_count(targets) && targets->dtype == CB_F32) {
        return CB_OK;
    }
    return in->host->fail(in->core, CB_MISMATCH, NULL,
                          "%s needs as many target values as scores, %lld for each sample, not %lld", name,
                          (long long)(scores->rank >= 1 ? cb_tensor_count(scores) / scores->dims[0] : 0),
                          (long long)(targets->rank >= 1 ? cb_tensor_count(targets) / targets->dims[0] : 0));
}

/* Scores [N,K]; targets [N,K] f32, or [N] i32: the one class of K that is right. */
static inline enum cb_status loss_check_yes_no(struct cb_instance *in, const char *name)
{
    const struct cb_tensor *scores = in->x[0], *targets = in->x[1];
    if (scores->rank != 2) {
        return in->host->fail(in->core, CB_MISMATCH, NULL, "%s needs scores [N,K], not of rank %u", name,
                              (unsigned)scores->rank);
    }
    const bool is_class = targets->dtype == CB_I32 && targets->rank == 1;
    const bool is_values = targets->dtype == CB_F32 && cb_tensor_count(targets) == cb_tensor_count(scores);
    if (is_class || is_values) {
        return CB_OK;
    }
    return in->host->fail(in->core, CB_MISMATCH, NULL,
                          "%s needs a target from 0 to 1 for each of the %lld scores of a sample, or its class number",
                          name, (long long)scores->dims[1]);
}

/* Such targets as two kernel arguments, of which one is NULL. */
static inline const struct cb_tensor *loss_values_of(const struct cb_instance *in)
{
    return in->x[1]->dtype == CB_F32 ? in->x[1] : NULL;
}

static inline const struct cb_tensor *loss_labels_of(const struct cb_instance *in)
{
    return in->x[1]->dtype == CB_I32 ? in->x[1] : NULL;
}

#endif
