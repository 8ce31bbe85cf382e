/* describe.c: `cambium describe FILE`: each layer with shape, params, frozen or trainable, bytes. */
#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/open_model.h"
#include "train/job.h"
#include "train/run.h"

static const struct cb_flag flags[] = {
    {"--weights", "PATH", "load these weights and report what was kept"},
    {"--kernels", NULL, "open the device and show which kernels were chosen and what was fused"},
    {"--training", NULL, "likewise, in training: what a gradient must pass through is fused less"},
    {NULL, NULL, NULL},
};

static void shape_text(const struct cb_tensor *t, char out[96])
{
    size_t used = (size_t)snprintf(out, 96, "[N");
    for (uint32_t i = 1; i < t->rank && used < 80; i++) {
        used += (size_t)snprintf(out + used, 96 - used, ",%" PRId64, t->dims[i]);
    }
    snprintf(out + used, 96 - used, "]");
}

static const char *status_of(const struct cb_node *node)
{
    if (node->param_count + node->state_count == 0) {
        return "";
    }
    return node->frozen ? "frozen" : node->inference_form ? "affine" : "trainable";
}

static struct cb_value *layer_value(struct cb_arena *arena, const struct cb_network *net, const struct cb_node *node,
                                    int64_t params, const char *variant)
{
    struct cb_value *map = cb_value_map(arena, NULL), *shape = cb_value_list(arena, NULL);
    const struct cb_tensor *y = &net->wires[node->y[0]].shape;
    for (uint32_t i = 1; i < y->rank; i++) {
        (void)cb_list_append(arena, shape, cb_value_int(arena, y->dims[i], NULL));
    }
    (void)cb_map_set(arena, map, "layer", cb_value_text(arena, node->name, NULL));
    (void)cb_map_set(arena, map, "type", cb_value_text(arena, node->type->layer.name, NULL));
    (void)cb_map_set(arena, map, "shape", shape);
    (void)cb_map_set(arena, map, "params", cb_value_int(arena, params, NULL));
    (void)cb_map_set(arena, map, "frozen", cb_value_bool(arena, node->frozen, NULL));
    (void)cb_map_set(arena, map, "bytes", cb_value_int(arena, params * 4, NULL));
    if (variant != NULL) {
        (void)cb_map_set(arena, map, "kernels", cb_value_text(arena, variant, NULL));
    }
    return map;
}

static void print_network(struct cb_cli *cli, const struct cb_model *model, const struct cb_plan *plan)
{
    const struct cb_network *net = model->net;
    struct cb_value *layers = cb_value_list(cli->arena, NULL);
    int64_t frozen, trainable;
    if (!cli->json) {
        printf("%-36s %-16s %-20s %12s %-9s %9s%s\n", "layer", "type", "output", "params", "", "bytes",
               plan != NULL ? "  kernels" : "");
    }
    for (uint32_t i = 0; i < net->node_count; i++) {
        const struct cb_node *node = &net->nodes[i];
        int64_t params = 0, all = 0;
        for (uint32_t k = 0; k < node->param_count; k++) {
            const struct cb_param *param = &net->params[node->params[k]];
            params += param->node == i ? param->count : 0; /* a shared one counts once */
        }
        all = params;
        for (uint32_t k = 0; k < node->state_count; k++) {
            all += net->params[node->states[k]].count;
        }
        if ((node->type->layer.flags & CB_LAYER_LOSS) != 0) {
            continue;
        }
        const char *variant = plan != NULL ? cb_plan_node_variant(plan, i) : NULL;
        if (cli->json) {
            (void)cb_list_append(cli->arena, layers, layer_value(cli->arena, net, node, params, variant));
            continue;
        }
        char shape[96], bytes[32];
        shape_text(&net->wires[node->y[0]].shape, shape);
        printf("%-36s %-16s %-20s %12" PRId64 " %-9s %9s%s%s\n", node->name, node->type->layer.name, shape, params,
               status_of(node), all > 0 ? cb_format_bytes((uint64_t)all * 4, bytes) : "", plan != NULL ? "  " : "",
               plan == NULL ? "" : variant != NULL ? variant : "(fused above)");
    }
    cb_network_count(net, &frozen, &trainable);
    if (cli->json) {
        struct cb_value *map = cb_value_map(cli->arena, NULL), *total = cb_value_map(cli->arena, NULL);
        (void)cb_map_set(cli->arena, map, "name", cb_value_text(cli->arena, net->name, NULL));
        (void)cb_map_set(cli->arena, map, "layers", layers);
        (void)cb_map_set(cli->arena, total, "frozen", cb_value_int(cli->arena, frozen, NULL));
        (void)cb_map_set(cli->arena, total, "trainable", cb_value_int(cli->arena, trainable, NULL));
        (void)cb_map_set(cli->arena, map, "params", total);
        cb_cli_print_json(map);
        return;
    }
    char bytes[32];
    printf("total: %" PRId64 " params (%s), %" PRId64 " frozen, %" PRId64 " trainable\n", frozen + trainable,
           cb_format_bytes((uint64_t)(frozen + trainable) * 4, bytes), frozen, trainable);
}

static enum cb_status show(struct cb_cli *cli, struct cb_model *model)
{
    struct cb_device *device = NULL;
    struct cb_engine *engine = NULL;
    struct cb_plan *plan = NULL;
    enum cb_status status = CB_OK;
    const bool training = cb_cli_has(cli, "--training");
    if (training || cb_cli_has(cli, "--kernels") || cli->device != NULL) {
        status = cb_cli_open_device(cli, &device);
        if (status == CB_OK) {
            status = cb_engine_create(model, NULL, device, training, 0, NULL, &engine, cli->diag);
        }
        if (status == CB_OK) {
            struct cb_plan_request request = {.training = training, .gradients = training, .outputs = &model->scores,
                                              .output_count = 1, .batch = 1};
            status = cb_plan_create(engine->store, &request, &plan, cli->diag);
        }
    }
    if (status == CB_OK) {
        print_network(cli, model, plan);
    }
    cb_plan_destroy(plan);
    cb_engine_destroy(engine);
    cb_cli_close_device(device);
    return status;
}

/* A task file has `model:`; anything else is a network. */
static bool is_task(struct cb_cli *cli, const char *path)
{
    struct cb_value *root = NULL;
    return cb_path_exists(path) && !cb_path_is_folder(path) && !cb_ends_with(path, ".safetensors") &&
           cb_yaml_read_file(cli->arena, path, &root, NULL) == CB_OK && cb_map_get(root, "model") != NULL;
}

static enum cb_status describe_task(struct cb_cli *cli, const char *path)
{
    struct cb_task *task = NULL;
    struct cb_job *job = NULL;
    struct cb_model *model = NULL;
    enum cb_status status = cb_task_read(path, cli->sets, cli->set_count, &task, cli->diag);
    if (status == CB_OK) {
        status = cb_job_open(task, true, &job, cli->diag);
    }
    if (status == CB_OK) {
        status = cb_model_build(task, job->backbone, job->registry, job->dataset, 0, false, &model, cli->diag);
    }
    if (status == CB_OK) {
        status = show(cli, model);
    }
    cb_model_destroy(model);
    cb_job_close(job);
    cb_task_destroy(task);
    return status;
}

static enum cb_status describe_backbone(struct cb_cli *cli, const char *what)
{
    struct cb_registry *registry = cb_registry_create(&cb__host);
    struct cb_backbone *backbone = NULL;
    struct cb_model *model = NULL;
    const char *weights = cb_cli_value(cli, "--weights");
    enum cb_status status = registry != NULL ? cb_backbone_open(what, ".", NULL, &backbone, cli->diag) : CB_MEMORY;
    if (status == CB_OK) {
        status = cb_model_from_backbone(backbone, registry, weights, weights == NULL, &model, cli->diag);
    }
    if (status == CB_OK) {
        status = show(cli, model);
    }
    if (status == CB_OK && model->report != NULL && !cli->json) {
        struct cb_text text = {0};
        cb_load_report_print(model->report, true, &text);
        printf("%s", text.data != NULL ? text.data : "");
        cb_text_free(&text);
    }
    cb_model_destroy(model);
    cb_backbone_close(backbone);
    cb_registry_destroy(registry);
    return status;
}

static int run(struct cb_cli *cli)
{
    if (cli->argument_count != 1) {
        return cb_cli_misuse(cli, "one task, network or run is needed");
    }
    const char *what = cli->arguments[0];
    if (cb_cli_is_run(cli->arena, what) && !cb_ends_with(what, ".safetensors")) {
        char *folder;
        enum cb_status status = cb_run_find(cli->arena, what, &folder, cli->diag);
        return cb_cli_finish(cli, status == CB_OK ? describe_backbone(cli, folder) : status);
    }
    return cb_cli_finish(cli, is_task(cli, what) ? describe_task(cli, what) : describe_backbone(cli, what));
}

const struct cb_command cb_command_describe = {
    .name = "describe",
    .usage = "describe TASK|NETWORK|RUN",
    .summary = "each layer with shape, params, frozen or trainable, bytes",
    .flags = flags,
    .help = "No device is opened, unless --kernels, --training or --device asks for the kernels that would run.\n",
    .run = run,
};
