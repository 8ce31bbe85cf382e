/* export_int8.c: what int8 weights cost. See export_int8.h.
 *
 * Both measurements run here, on the device: with the weights as they are, and with what int8 holds
 * of them (q * scale), which is what the file's DequantizeLinear nodes give to float32 arithmetic.
 */
#include "cli/export_int8.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/run_data.h"
#include "train/engine.h"
#include "train/metrics.h"
#include "train/statistics.h"

struct measuring {
    struct cb_cli *cli;
    struct cb_model *model;
    struct cb_device *device;
    struct cb_run_data data;
    float *rows[2];     /* predictions as float32, as int8: [count, outputs] */
    uint32_t *readable; /* the samples that could be read */
    uint32_t count;
};

static enum cb_status predict(struct measuring *m, int which)
{
    struct cb_cli *cli = m->cli;
    struct cb_engine *engine = NULL;
    struct cb_watch watch = cb_cli_watch(cli);
    const struct cb_run_data *d = &m->data;
    m->rows[which] = malloc((size_t)d->count * m->model->outputs * sizeof(float) + 1);
    m->readable = cb_arena_copy(cli->arena, d->samples, (d->count + 1) * sizeof(*d->samples));
    if (m->rows[which] == NULL || m->readable == NULL) {
        return cb_fail(cli->diag, CB_MEMORY, NULL, "out of memory");
    }
    enum cb_status status =
        cb_engine_create(m->model, d->dataset, m->device, false, 0, &watch, &engine, cli->diag);
    if (status == CB_OK) {
        status = cb_engine_scores(engine, d->samples, d->count, m->rows[which], cli->diag);
    }
    cb_cli_clear_progress(cli);
    if (status == CB_OK) {
        m->count = cb_dataset_keep_readable(d->dataset, m->readable, d->count, m->rows[which],
                                            m->model->outputs * sizeof(float));
        status = cb_engine_link(engine, m->rows[which], m->count, cli->diag);
    }
    cb_engine_destroy(engine);
    return status;
}

static void compare(const struct measuring *m, struct cb_int8_loss *out)
{
    const uint32_t outputs = m->model->outputs;
    const struct cb_dataset *d = m->data.dataset;
    out->count = m->count;
    out->has_classes = d->target == CB_TARGET_CLASSES;
    for (uint32_t i = 0; i < m->count; i++) {
        const float *rows[2] = {m->rows[0] + (size_t)i * outputs, m->rows[1] + (size_t)i * outputs};
        const uint32_t answers[2] = {cb_argmax(rows[0], outputs), cb_argmax(rows[1], outputs)};
        for (uint32_t k = 0; k < outputs; k++) {
            out->largest_change =
                fmax(out->largest_change, fabs((double)rows[1][k] - (double)rows[0][k]));
        }
        out->changed += out->has_classes && answers[0] != answers[1];
        for (int which = 0; which < 2; which++) {
            if (out->has_classes) {
                out->correct[which] += (int32_t)answers[which] == d->labels[m->readable[i]];
                continue;
            }
            for (uint32_t k = 0; k < outputs; k++) {
                const double off = (double)rows[which][k] -
                                   (double)d->values[(size_t)m->readable[i] * outputs + k];
                out->mean_error[which] += fabs(off) / ((double)m->count * outputs);
            }
        }
    }
}

static enum cb_status find_data(struct measuring *m, const char *what, const char *run,
                                const char *data, struct cb_int8_loss *out)
{
    if (data != NULL) {
        out->on = cb_arena_printf(m->cli->arena, "`%s`", data);
        CB_TRY(cb_cli_other_data(m->cli, data, m->model, &m->data));
    } else {
        CB_TRY(cb_cli_own_data(m->cli, run, m->model, &m->data));
        out->on = m->data.is_training ? "the data it was trained on" : "the test data";
    }
    return cb_cli_check_labels(m->cli, what, m->model, &m->data);
}

enum cb_status cb_cli_make_int8(struct cb_cli *cli, struct cb_model *model, const char *what,
                                const char *run, const char *data, struct cb_quantised **out,
                                struct cb_int8_loss *out_loss)
{
    struct measuring m = {.cli = cli, .model = model};
    *out_loss = (struct cb_int8_loss){0};
    if ((data != NULL && strcmp(data, "none") == 0) || (data == NULL && run == NULL)) {
        return cb_onnx_quantise(model, out, &out_loss->values, cli->diag);
    }
    CB_TRY(find_data(&m, what, run, data, out_loss));
    cb_cli_flush(cli);
    enum cb_status status = cb_cli_open_device(cli, &m.device);
    if (status == CB_OK) {
        status = predict(&m, 0);
    }
    if (status == CB_OK) {
        status = cb_onnx_quantise(model, out, &out_loss->values, cli->diag);
    }
    if (status == CB_OK) {
        status = predict(&m, 1);
    }
    if (status == CB_OK) {
        compare(&m, out_loss);
    }
    cb_cli_close_device(m.device);
    free(m.rows[0]);
    free(m.rows[1]);
    return status;
}

/* ---- the figures
 * -------------------------------------------------------------------------------------------------
 */

static struct cb_value *side_value(struct cb_arena *arena, const struct cb_int8_loss *loss,
                                   int which)
{
    struct cb_value *map = cb_value_map(arena, NULL), *range = cb_value_list(arena, NULL);
    if (!loss->has_classes) {
        (void)cb_map_set(arena, map, "mean_absolute_error",
                         cb_value_real(arena, loss->mean_error[which], NULL));
        return map;
    }
    const struct cb_interval interval = cb_wilson_interval(loss->correct[which], loss->count, 0.95);
    const double accuracy = loss->count > 0 ? (double)loss->correct[which] / loss->count : 0.0;
    (void)cb_list_append(arena, range, cb_value_real(arena, interval.low, NULL));
    (void)cb_list_append(arena, range, cb_value_real(arena, interval.high, NULL));
    (void)cb_map_set(arena, map, "accuracy", cb_value_real(arena, accuracy, NULL));
    (void)cb_map_set(arena, map, "correct",
                     cb_value_int(arena, (int64_t)loss->correct[which], NULL));
    (void)cb_map_set(arena, map, "interval", range);
    return map;
}

struct cb_value *cb_cli_int8_value(struct cb_arena *arena, const struct cb_int8_loss *loss)
{
    struct cb_value *map = cb_value_map(arena, NULL);
    (void)cb_map_set(arena, map, "values", cb_value_int(arena, (int64_t)loss->values, NULL));
    if (loss->on == NULL) {
        (void)cb_map_set(arena, map, "measured", cb_value_bool(arena, false, NULL));
        return map;
    }
    (void)cb_map_set(arena, map, "on", cb_value_text(arena, loss->on, NULL));
    (void)cb_map_set(arena, map, "n", cb_value_int(arena, loss->count, NULL));
    if (loss->has_classes) {
        (void)cb_map_set(arena, map, "changed", cb_value_int(arena, loss->changed, NULL));
    }
    (void)cb_map_set(arena, map, "largest_change",
                     cb_value_real(arena, loss->largest_change, NULL));
    (void)cb_map_set(arena, map, "float32", side_value(arena, loss, 0));
    (void)cb_map_set(arena, map, "int8", side_value(arena, loss, 1));
    return map;
}

static void print_side(const struct cb_int8_loss *loss, int which)
{
    static const char *const names[] = {"float32", "int8"};
    const struct cb_interval interval = cb_wilson_interval(loss->correct[which], loss->count, 0.95);
    printf("  %-8s %.3f (%" PRIu64 " of %u, 95%% interval %.2f to %.2f)\n", names[which],
           loss->count > 0 ? (double)loss->correct[which] / loss->count : 0.0, loss->correct[which],
           loss->count, interval.low, interval.high);
}

void cb_cli_int8_print(const struct cb_int8_loss *loss)
{
    char count[32];
    printf("int8: %s weights, a scale for each output channel\n",
           cb_format_count(loss->values, count));
    if (loss->on == NULL) {
        printf("what that costs was not measured: say --data FOLDER, a folder for each class\n");
    } else if (!loss->has_classes) {
        printf("mean absolute error on %s (%u): %.4g as float32, %.4g as int8; largest change of a "
               "value %.2g\n",
               loss->on, loss->count, loss->mean_error[0], loss->mean_error[1],
               loss->largest_change);
    } else {
        printf("accuracy on %s:\n", loss->on);
        print_side(loss, 0);
        print_side(loss, 1);
        printf("  %u of %u answers changed; the largest change of a probability is %.2g\n",
               loss->changed, loss->count, loss->largest_change);
    }
}
