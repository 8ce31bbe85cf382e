/* extract.c: `cambium extract MODEL INPUT... -o F.safetensors`: outputs of a layer. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/open_model.h"
#include "cli/texts.h"
#include "data/resize.h"
#include "weights/safetensors.h"

static const struct cb_flag flags[] = {
    {"--output", "FILE", "the safetensors file that is written (also -o)"},
    {"--at", "LAYER", "whose output; by default the network's"},
    {"--size", "HxW", "pictures of another size than the network's own, where its layers take them"},
    {"--stdin", NULL, "text: each line of standard input, too"},
    {"--weights", "PATH", "instead of the model's own; `none`: random"},
    {NULL, NULL, NULL},
};

struct extraction {
    struct cb_cli *cli;
    struct cb_engine *engine;
    uint32_t wire;
    const char *output;
    float *values;
    size_t count;
    struct cb_watch watch;
};

/* The rows as the network's input holds them: floats, or 32-bit ids. */
static enum cb_status read_rows(struct cb_tensor_file *file, const struct cb_tensor_entry *x, enum cb_dtype dtype, void *rows,
                                struct cb_diag *diag)
{
    if (dtype != CB_I32) {
        return cb_tensors_read_f32(file, x, rows, diag);
    }
    int64_t *wide = malloc(x->count * sizeof(*wide));
    if (wide == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    const enum cb_status status = cb_tensors_read_i64(file, x, wide, diag);
    for (uint64_t i = 0; status == CB_OK && i < x->count; i++) {
        ((int32_t *)rows)[i] = (int32_t)wide[i];
    }
    free(wide);
    return status;
}

/* A tensor `x` of prepared inputs, [N, ...] of the network's own shape. */
static enum cb_status from_tensors(struct extraction *e, const char *path)
{
    const struct cb_network *net = e->engine->model->net;
    const struct cb_tensor *shape = &net->wires[e->engine->model->input].shape;
    struct cb_tensor_file *file;
    struct cb_diag *diag = e->cli->diag;
    CB_TRY(cb_tensors_open(path, &file, NULL, diag));
    const struct cb_tensor_entry *x = cb_tensors_find(file, "x");
    enum cb_status status = CB_OK;
    bool fits = x != NULL && x->rank == shape->rank && x->dims[0] > 0;
    for (uint32_t i = 1; fits && i < x->rank; i++) {
        fits = x->dims[i] == shape->dims[i];
    }
    if (!fits) {
        char theirs[192] = "no tensor `x`", ours[192];
        if (x != NULL) {
            cb_format_dims(x->rank, x->dims, theirs);
        }
        status = cb_fail(diag, CB_MISMATCH, NULL, "`%s` must hold `x` of the shape %s with any N, not %s", path,
                         cb_format_dims(shape->rank, shape->dims, ours), theirs);
    }
    void *rows = status == CB_OK ? malloc(x->count * sizeof(float)) : NULL;
    int64_t row = cb_tensor_count(&net->wires[e->wire].shape);
    if (status == CB_OK) {
        e->count = (size_t)x->dims[0];
        e->values = malloc(e->count * (size_t)row * sizeof(float));
        status = rows != NULL && e->values != NULL ? read_rows(file, x, shape->dtype, rows, diag)
                                                   : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    if (status == CB_OK) {
        status = cb_engine_values(e->engine, e->wire, rows, false, (uint32_t)e->count, e->values, diag);
    }
    free(rows);
    cb_tensors_close(file);
    return status;
}

static enum cb_status from_pictures(struct extraction *e, const char *const *inputs, size_t input_count)
{
    const struct cb_model *model = e->engine->model;
    const struct cb_contract *c = &model->contract;
    struct cb_diag *diag = e->cli->diag;
    const char **files;
    if (c->modality != CB_IMAGE) {
        return cb_fail(diag, CB_MISMATCH, NULL, "the network takes %s input, not pictures", cb_modality_name(c->modality));
    }
    CB_TRY(cb_cli_expand_inputs(e->cli, inputs, input_count, &files, &e->count));
    size_t bytes = (size_t)(c->shape[0] * c->shape[1] * c->shape[2]);
    size_t row = (size_t)cb_tensor_count(&model->net->wires[e->wire].shape);
    unsigned char *rows = malloc(bytes * 16);
    e->values = malloc(e->count * row * sizeof(float));
    enum cb_status status = rows != NULL && e->values != NULL ? CB_OK : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    for (size_t at = 0; status == CB_OK && at < e->count; at += 16) {
        uint32_t n = e->count - at < 16 ? (uint32_t)(e->count - at) : 16;
        cb_watch_progress(&e->watch, "extracting", at, e->count);
        status = cb_watch_cancelled(&e->watch) ? CB_INTERRUPTED : CB_OK;
        for (uint32_t i = 0; status == CB_OK && i < n; i++) {
            status = cb_image_for_contract(files[at + i], c, model->background, rows + i * bytes, NULL, diag);
        }
        if (status == CB_OK) {
            status = cb_engine_values(e->engine, e->wire, rows, true, n, e->values + at * row, diag);
        }
    }
    cb_cli_clear_progress(e->cli);
    free(rows);
    return status;
}

/* Opens an engine of its own: one with the texts. */
static enum cb_status from_texts(struct extraction *e, struct cb_opened *opened, struct cb_device *device)
{
    struct cb_cli *cli = e->cli;
    const char *const *names;
    struct cb_dataset *dataset;
    CB_TRY(cb_cli_texts(cli, opened, cli->arguments + 1, cli->argument_count - 1, &dataset, &names, cli->diag));
    cb_cli_flush(cli);
    cb_engine_destroy(e->engine);
    e->engine = NULL;
    CB_TRY(cb_engine_create(opened->model, dataset, device, false, 0, &e->watch, &e->engine, cli->diag));
    const size_t row = (size_t)cb_tensor_count(&opened->model->net->wires[e->wire].shape);
    uint32_t *samples = CB_NEW_ARRAY(cli->arena, uint32_t, (size_t)dataset->count + 1);
    e->count = dataset->count;
    e->values = malloc(e->count * row * sizeof(float) + 1);
    if (samples == NULL || e->values == NULL) {
        return cb_fail(cli->diag, CB_MEMORY, NULL, "out of memory");
    }
    for (uint32_t i = 0; i < dataset->count; i++) {
        samples[i] = i;
    }
    enum cb_status status = cb_engine_extract(e->engine, e->wire, samples, dataset->count, e->values, cli->diag);
    cb_cli_clear_progress(cli);
    return status;
}

static enum cb_status write_out(struct extraction *e)
{
    const struct cb_network *net = e->engine->model->net;
    const struct cb_wire *wire = &net->wires[e->wire];
    struct cb_safetensors_entry entry = {.name = wire->name, .type = CB_STORED_F32, .rank = wire->shape.rank,
                                         .data = e->values};
    memcpy(entry.dims, wire->shape.dims, sizeof(entry.dims));
    entry.dims[0] = (int64_t)e->count;
    CB_TRY(cb_safetensors_write(e->output, &entry, 1, NULL, 0, e->cli->diag));
    if (e->cli->json) {
        struct cb_arena *arena = e->cli->arena;
        struct cb_value *map = cb_value_map(arena, NULL), *shape = cb_value_list(arena, NULL);
        for (uint32_t i = 0; i < entry.rank; i++) {
            (void)cb_list_append(arena, shape, cb_value_int(arena, entry.dims[i], NULL));
        }
        (void)cb_map_set(arena, map, "output", cb_value_text(arena, e->output, NULL));
        (void)cb_map_set(arena, map, "layer", cb_value_text(arena, wire->name, NULL));
        (void)cb_map_set(arena, map, "shape", shape);
        cb_cli_print_json(map);
    } else {
        char dims[192];
        printf("%s: the output of `%s`, %s\n", e->output, wire->name, cb_format_dims(entry.rank, entry.dims, dims));
    }
    return CB_OK;
}

static enum cb_status choose_wire(struct cb_cli *cli, const struct cb_model *model, uint32_t *out)
{
    const char *at = cb_cli_value(cli, "--at");
    *out = at != NULL ? cb_network_find_wire(model->net, at) : model->scores;
    if (*out != CB_NONE) {
        return CB_OK;
    }
    const char **names = CB_NEW_ARRAY(cli->arena, const char *, model->net->wire_count + 1);
    for (uint32_t i = 0; names != NULL && i < model->net->wire_count; i++) {
        names[i] = model->net->wires[i].name;
    }
    const char *nearest = names != NULL ? cb_nearest_of(at, names, model->net->wire_count) : NULL;
    return cb_fail(cli->diag, CB_NOT_FOUND, NULL, "`%s` has no layer `%s`%s%s%s", model->net->name, at,
                   nearest != NULL ? "; did you mean `" : "", nearest != NULL ? nearest : "",
                   nearest != NULL ? "`?" : "");
}

static int run(struct cb_cli *cli)
{
    struct cb_opened opened = {0};
    struct cb_device *device = NULL;
    int64_t pixels[2];
    const int64_t *size;
    struct extraction e = {.cli = cli, .output = cb_cli_value(cli, "--output"), .watch = cb_cli_watch(cli)};
    if (cli->argument_count < (cb_cli_has(cli, "--stdin") ? 1u : 2u) || e.output == NULL) {
        return cb_cli_misuse(cli, "a model, at least one input, and -o FILE are needed");
    }
    if (!cb_cli_read_size(cli, pixels, &size)) {
        return 2;
    }
    enum cb_status status =
        cb_cli_open_model_at(cli, cli->arguments[0], cb_cli_value(cli, "--weights"), size, &opened);
    if (status == CB_OK) {
        status = choose_wire(cli, opened.model, &e.wire);
    }
    if (status == CB_OK) {
        status = cb_cli_open_device(cli, &device);
    }
    if (status == CB_OK) {
        status = cb_engine_create(opened.model, NULL, device, false, 0, &e.watch, &e.engine, cli->diag);
    }
    if (status == CB_OK) {
        bool tensors = cli->argument_count == 2 && cb_ends_with(cli->arguments[1], ".safetensors");
        const bool is_text = opened.model->contract.modality == CB_TEXT;
        status = is_text && !tensors ? from_texts(&e, &opened, device)
                 : tensors ? from_tensors(&e, cli->arguments[1])
                         : from_pictures(&e, cli->arguments + 1, cli->argument_count - 1);
    }
    if (status == CB_OK) {
        status = write_out(&e);
    }
    free(e.values);
    cb_engine_destroy(e.engine);
    cb_cli_close_device(device);
    cb_cli_close_model(&opened);
    return cb_cli_finish(cli, status);
}

const struct cb_command cb_command_extract = {
    .name = "extract",
    .usage = "extract MODEL INPUT... -o F.safetensors [--at LAYER]",
    .summary = "outputs of a layer for pictures, folders, or a safetensors file",
    .flags = flags,
    .help = "MODEL is a run, a backbone's name or a network file. A safetensors file holds the prepared input as `x`\n"
            "([N,H,W,C] as the network takes it, already scaled).\n",
    .run = run,
};
