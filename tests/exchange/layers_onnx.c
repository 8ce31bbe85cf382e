/* layers_onnx.c: the cases of tests/layers/LAYER.yaml as networks of one layer in ONNX files.
 *
 *     layers_onnx FOLDER FILE.yaml...
 *
 * Writes FOLDER/LAYER-CASE-OUTPUT.onnx for each output of each case that computes something in
 * inference form, and prints `LAYER CASE OUTPUT` for it, or `LAYER CASE refused: WHY`.
 * compare_export.py runs them. No device is needed. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "check/array.h"
#include "check/escape.h"
#include "exchange/onnx_write.h"

struct job {
    const char *folder, *layer;
    const struct cb_value *description;
    size_t number;
    struct cb_registry *registry;
    struct cb_diag *diag;
    struct cb_arena *arena;
    unsigned written;
};

static void must(struct job *job, enum cb_status status)
{
    if (status != CB_OK) {
        fprintf(stderr, "%s, case %zu: %s\n", job->layer, job->number, cb_diag_text(job->diag, 0));
        exit(1);
    }
}

static void set_params(struct job *job, struct cb_network *net, const struct cb_value *map)
{
    for (size_t i = 0; map != NULL && i < map->as.map.count; i++) {
        const struct cb_entry *entry = &map->as.map.entries[i];
        for (uint32_t k = 0; k < net->param_count; k++) {
            if (strcmp(net->params[k].decl.name, entry->key) == 0) {
                const struct array values = cb__array_read(job->arena, entry->value);
                memcpy(net->params[k].host, values.at.f,
                       (size_t)net->params[k].count * sizeof(float));
            }
        }
    }
}

static uint32_t add_inputs(struct job *job, struct cb_network *net, uint32_t wires[32])
{
    const struct cb_value *list = cb_map_get(job->description, "inputs");
    uint32_t count = 0;
    for (size_t i = 0; i < list->as.list.count && i < 32; i++) {
        struct array x = cb__array_read(job->arena, list->as.list.items[i]);
        char name[16];
        x.dims[0] = 1;
        snprintf(name, sizeof(name), "x%u", count);
        must(job, cb_network_add_input(net, name, x.dtype, x.rank, x.dims, NULL, &wires[count++],
                                       job->diag));
    }
    if (cb_map_get(job->description, "lengths") != NULL) {
        uint32_t lengths;
        must(job, cb_network_add_input(net, "lengths", CB_I32, 1, (int64_t[]){1}, NULL, &lengths,
                                       job->diag));
        for (uint32_t i = 0; i < count; i++) {
            if (net->wires[wires[i]].shape.rank > 1) {
                must(job, cb_network_set_lengths(net, wires[i], lengths, job->diag));
            }
        }
    }
    return count;
}

static void write_output(struct job *job, struct cb_network *net, uint32_t node, uint32_t output)
{
    struct cb_model model = {.net = net,
                             .input = net->inputs[0],
                             .scores = net->nodes[node].y[output],
                             .target = CB_NONE,
                             .features = CB_NONE};
    struct cb_onnx_request request = {.channels_last = true};
    struct cb_onnx_summary summary;
    request.path = cb_arena_printf(job->arena, "%s/%s-%zu-%u.onnx", job->folder, job->layer,
                                   job->number, output);
    enum cb_status status = cb_onnx_write(&model, &request, &summary, job->diag);
    if (status == CB_UNSUPPORTED) {
        printf("%s %zu refused: %s\n", job->layer, job->number, cb_diag_text(job->diag, 0));
        cb_diag_clear(job->diag);
        return;
    }
    must(job, status);
    printf("%s %zu %u\n", job->layer, job->number, output);
    job->written++;
}

static void run_case(void *context)
{
    struct job *job = context;
    const struct cb_value *training = cb_map_get(job->description, "training"),
                          *fit = cb_map_get(job->description, "fit");
    uint32_t wires[32], node;
    if (cb_map_get(job->description, "error") != NULL ||
        (training != NULL && training->as.boolean) || fit != NULL) {
        return;
    }
    struct cb_network *net = cb_network_create(job->registry, "one_layer");
    const uint32_t count = add_inputs(job, net, wires);
    must(job, cb_network_add_layer(net, job->layer, "l", cb_map_get(job->description, "options"),
                                   wires, count, false, NULL, &node, job->diag));
    set_params(job, net, cb_map_get(job->description, "params"));
    set_params(job, net, cb_map_get(job->description, "state"));
    for (uint32_t i = 0; i < net->nodes[node].y_count; i++) {
        write_output(job, net, node, i);
    }
    cb_network_destroy(net);
}

static void run_file(struct job *job, const char *path)
{
    struct cb_arena *arena = cb_arena_create();
    struct cb_value *file;
    const struct cb_layer_type *type;
    must(job, cb_yaml_read_file(arena, path, &file, job->diag));
    job->layer = cb_map_get(file, "layer")->text;
    const struct cb_value *cases = cb_map_get(file, "cases");
    must(job, cb_registry_find(job->registry, job->layer, NULL, &type, job->diag));
    for (size_t i = 0; (type->layer.flags & CB_LAYER_LOSS) == 0 && i < cases->as.list.count; i++) {
        char message[CB__ESCAPE_BYTES];
        job->arena = cb_arena_create();
        job->description = cases->as.list.items[i];
        job->number = i;
        if (!cb__escape_run(run_case, job, message)) {
            fprintf(stderr, "%s: %s\n", path, message);
            exit(1);
        }
        cb_arena_destroy(job->arena);
    }
    cb_arena_destroy(arena);
}

int main(int argc, char **argv)
{
    struct job job = {
        .folder = argv[1], .diag = cb_diag_create(), .registry = cb_registry_create(&cb__host)};
    for (int i = 2; i < argc; i++) {
        run_file(&job, argv[i]);
    }
    cb_registry_destroy(job.registry);
    cb_diag_destroy(job.diag);
    return job.written > 0 ? 0 : 1;
}
