/* checkpoint.c: one file from which a run goes on to the same bits: params, states, the optimizer's state, early
 * stopping's best params, and where it stands. Written atomically: after `kill -9` the last whole one is there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "train/fit_internal.h"
#include "weights/safetensors.h"

#define CHECKPOINT_VERSION "1"

struct pieces {
    struct cb_safetensors_entry *entries;
    uint32_t count;
    float *optimizer; /* [states, trainable range] */
    char names[8][32];
};

/* What the checkpoint belongs to: a change of data, network or training is another run. */
static void identity(const struct cb__fit *fit, char out[65])
{
    struct cb_arena *arena = cb_arena_create();
    struct cb_text text = {0};
    struct cb_value *task = arena != NULL ? cb_task_to_value(fit->task, arena) : NULL;
    if (task != NULL) {
        cb_value_to_json(task, &text);
    }
    cb_text_addf(&text, "|%s|", cb_device_key(fit->engine->device));
    cb_text_add_bytes(&text, fit->request->train, fit->request->train_count * sizeof(*fit->request->train));
    cb_sha256_of(text.data, text.length, out);
    cb_text_free(&text);
    cb_arena_destroy(arena);
}

static enum cb_status add_range(struct pieces *p, const char *name, const float *data, uint64_t count)
{
    struct cb_safetensors_entry *e = &p->entries[p->count++];
    *e = (struct cb_safetensors_entry){.name = name, .type = CB_STORED_F32, .rank = 1, .data = data};
    e->dims[0] = (int64_t)count;
    return CB_OK;
}

static enum cb_status collect(struct cb__fit *fit, struct pieces *p)
{
    const struct cb_network *net = fit->engine->model->net;
    uint64_t range = fit->engine->store->trainable_count;
    uint32_t states = cb_optimizer_state_count(fit->optimizer);
    p->entries = calloc(net->param_count + states + 2u, sizeof(*p->entries));
    p->optimizer = calloc(range * states + 1, sizeof(float));
    if (p->entries == NULL || p->optimizer == NULL) {
        return cb_fail(fit->diag, CB_MEMORY, NULL, "out of memory");
    }
    CB_TRY(cb_store_download(fit->engine->store, fit->diag));
    for (uint32_t i = 0; i < net->param_count; i++) {
        const struct cb_param *param = &net->params[i];
        if (net->nodes[param->node].frozen) {
            continue; /* unchanged: they come from where the run began */
        }
        struct cb_safetensors_entry *e = &p->entries[p->count++];
        *e = (struct cb_safetensors_entry){.name = param->name, .type = CB_STORED_F32, .rank = param->decl.rank,
                                           .data = param->host};
        memcpy(e->dims, param->decl.dims, sizeof(e->dims));
    }
    for (uint32_t s = 0; s < states && s < 8; s++) {
        snprintf(p->names[s], sizeof(p->names[s]), "optimizer:%s", cb_optimizer_state_name(fit->optimizer, s));
        CB_TRY(cb_optimizer_state_read(fit->optimizer, s, p->optimizer + range * s, fit->diag));
        CB_TRY(add_range(p, p->names[s], p->optimizer + range * s, range));
    }
    return fit->best_values != NULL ? add_range(p, "best", fit->best_values, cb__best_count(fit)) : CB_OK;
}

/* The table of measured variants that the run uses: with another one the last bits would be others. */
static void add_table(const struct cb__fit *fit, struct cb_text *out)
{
    struct cb_arena *arena = cb_arena_create();
    const struct cb_value *value = arena != NULL ? cb_tuning_to_value(fit->engine->tuning, arena) : NULL;
    if (value != NULL) {
        cb_value_to_json(value, out);
    }
    cb_arena_destroy(arena);
}

enum cb_status cb__checkpoint_write(struct cb__fit *fit)
{
    const struct cb__progress *g = &fit->progress;
    struct pieces p = {0};
    struct cb_text table = {0};
    char id[65], where[512];
    enum cb_status status = collect(fit, &p);
    if (status == CB_OK) {
        identity(fit, id);
        /* Reals as hexadecimal: they come back to the same bits. */
        snprintf(where, sizeof(where), "%lld %llu %llu %a %a %a %lld %a", (long long)g->epoch, (unsigned long long)g->step,
                 (unsigned long long)g->position, g->loss_sum, g->weight_sum, g->best, (long long)g->best_epoch,
                 g->seconds);
        add_table(fit, &table);
        const struct cb_key_value metadata[] = {{"format", "cambium checkpoint"}, {"format_version", CHECKPOINT_VERSION},
                                                {"identity", id}, {"progress", where}, {"variants", table.data}};
        if (fit->log != NULL) { /* first: a program killed in between must not lack lines that the checkpoint has seen */
            fflush(fit->log);
        }
        status = cb_safetensors_write(fit->request->checkpoint, p.entries, p.count, metadata, table.length > 0 ? 5 : 4, fit->diag);
    }
    cb_text_free(&table);
    free(p.entries);
    free(p.optimizer);
    return status;
}

/* ---- going on ---------------------------------------------------------------------------------------------------------- */

static enum cb_status read_range(struct cb__fit *fit, struct cb_tensor_file *file, const char *name, uint64_t count,
                                 float *out)
{
    const struct cb_tensor_entry *e = cb_tensors_find(file, name);
    if (e == NULL || e->count != count) {
        return cb_fail(fit->diag, CB_FORMAT, NULL, "the checkpoint `%s` lacks `%s`", cb_tensors_path(file), name);
    }
    return cb_tensors_read_f32(file, e, out, fit->diag);
}

/* Keeps the lines of the log that the checkpoint has seen: those after it will be written again. */
static enum cb_status cut_log(const struct cb__fit *fit)
{
    FILE *log = fit->request->log != NULL ? fopen(fit->request->log, "r+") : NULL;
    char line[512];
    long end = 0;
    if (log == NULL) {
        return CB_OK;
    }
    while (fgets(line, sizeof(line), log) != NULL) {
        unsigned long long step;
        if (sscanf(line, "{\"step\":%llu", &step) != 1 || step > fit->progress.step) {
            break;
        }
        end = ftell(log);
    }
    bool failed = fflush(log) != 0 || ftruncate(fileno(log), end) != 0;
    failed = fclose(log) != 0 || failed;
    return failed ? cb_fail(fit->diag, CB_IO, NULL, "cannot shorten `%s`", fit->request->log) : CB_OK;
}

static enum cb_status restore(struct cb__fit *fit, struct cb_tensor_file *file)
{
    struct cb_network *net = fit->engine->model->net;
    struct cb__progress *g = &fit->progress;
    uint64_t range = fit->engine->store->trainable_count;
    const char *id = cb_tensors_metadata(file, "identity"), *where = cb_tensors_metadata(file, "progress");
    char own[65];
    identity(fit, own);
    long long epoch, best_epoch;
    unsigned long long step, position;
    if (id == NULL || where == NULL ||
        sscanf(where, "%lld %llu %llu %la %la %la %lld %la", &epoch, &step, &position, &g->loss_sum, &g->weight_sum,
               &g->best, &best_epoch, &g->seconds) != 8) {
        return cb_fail(fit->diag, CB_FORMAT, NULL, "`%s` is no checkpoint", cb_tensors_path(file));
    }
    if (strcmp(id, own) != 0) {
        return cb_fail(fit->diag, CB_MISMATCH, NULL,
                       "the checkpoint `%s` belongs to another task, other data or another device: start anew without "
                       "--resume", cb_tensors_path(file));
    }
    g->epoch = epoch;
    g->step = step;
    g->position = position;
    g->best_epoch = best_epoch;
    for (uint32_t i = 0; i < net->param_count; i++) {
        struct cb_param *param = &net->params[i];
        const struct cb_tensor_entry *e = cb_tensors_find(file, param->name);
        if (net->nodes[param->node].frozen) {
            continue;
        }
        if (e == NULL || e->count != (uint64_t)param->count) {
            return cb_fail(fit->diag, CB_FORMAT, NULL, "the checkpoint `%s` lacks `%s`", cb_tensors_path(file),
                           param->name);
        }
        CB_TRY(cb_tensors_read_f32(file, e, param->host, fit->diag));
    }
    CB_TRY(cb_store_upload(fit->engine->store, fit->diag));
    float *values = malloc(range * sizeof(float) + 1);
    enum cb_status status = values != NULL ? CB_OK : cb_fail(fit->diag, CB_MEMORY, NULL, "out of memory");
    for (uint32_t s = 0; status == CB_OK && s < cb_optimizer_state_count(fit->optimizer); s++) {
        char name[32];
        snprintf(name, sizeof(name), "optimizer:%s", cb_optimizer_state_name(fit->optimizer, s));
        status = read_range(fit, file, name, range, values);
        if (status == CB_OK) {
            status = cb_optimizer_state_write(fit->optimizer, s, values, fit->diag);
        }
    }
    free(values);
    if (status == CB_OK && cb_tensors_find(file, "best") != NULL) {
        uint64_t count = cb__best_count(fit);
        fit->best_values = malloc(count * sizeof(float) + 1);
        status = fit->best_values != NULL ? read_range(fit, file, "best", count, fit->best_values)
                                          : cb_fail(fit->diag, CB_MEMORY, NULL, "out of memory");
    }
    return status;
}

enum cb_status cb__checkpoint_read(struct cb__fit *fit)
{
    struct cb_tensor_file *file;
    CB_TRY(cb_tensors_open(fit->request->checkpoint, &file, NULL, fit->diag));
    enum cb_status status = restore(fit, file);
    cb_tensors_close(file);
    return status == CB_OK ? cut_log(fit) : status;
}

enum cb_status cb_fit_pin_variants(const char *checkpoint, struct cb_engine *engine, struct cb_diag *diag)
{
    struct cb_arena *arena = cb_arena_create();
    struct cb_tensor_file *file;
    struct cb_value *table = NULL;
    if (arena == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    enum cb_status status = cb_tensors_open(checkpoint, &file, NULL, diag);
    if (status == CB_OK) {
        const char *json = cb_tensors_metadata(file, "variants");
        status = json != NULL ? cb_json_read_text(arena, checkpoint, json, strlen(json), &table, diag) : CB_OK;
        status = status == CB_OK ? cb_tuning_pin(engine->tuning, table, diag) : status;
        cb_tensors_close(file);
    }
    cb_arena_destroy(arena);
    return status;
}
