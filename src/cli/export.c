/* export.c: `cambium export MODEL FILE.onnx`: a run or a backbone for other programs. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/export_int8.h"
#include "cli/open_model.h"
#include "exchange/onnx_write.h"

static const struct cb_flag flags[] = {
    {"--weights", "PATH", "of a backbone, instead of its own; `none`: random"},
    {"--layout", "nchw|nhwc", "of a picture at the input: channels first (default), or last"},
    {"--uint8", NULL, "the input is the picture's bytes, uint8 [N,H,W,C]; scaling happens inside"},
    {"--no-fold", NULL,
     "normalizations stay nodes of their own instead of being folded into the layers above them"},
    {"--int8", NULL,
     "weights of convolutions and linear maps as int8: a quarter of the size; what it costs is "
     "measured"},
    {"--data", "FOLDER|none",
     "with --int8: measure on a folder for each class instead of the run's own test data"},
    {"--external-data", NULL, "weights go to FILE.onnx.data beside it; above 2 GB they always do"},
    {NULL, NULL, NULL},
};

/* What is said about the file, in its metadata and on the terminal. */
struct export {
    struct cb_cli *cli;
    struct cb_model *model;
    const char *what;
    struct cb_onnx_request request;
    struct cb_onnx_property properties[8];
    char run_sha256[65];
    bool int8;
    struct cb_int8_loss loss;
};

static void add_property(struct export *x, const char *key, const char *value)
{
    x->properties[x->request.property_count++] = (struct cb_onnx_property){key, value};
    x->request.properties = x->properties;
}

static enum cb_status describe(struct export *x, bool is_run)
{
    struct cb_arena *arena = x->cli->arena;
    const char *backbone = x->model->net->name;
    if (!is_run) {
        x->request.description = cb_arena_printf(arena, "The network %s.", backbone);
        return CB_OK;
    }
    char *folder = cb_path_folder(arena, x->model->weights_path);
    const char *name = folder != NULL ? cb_path_base(folder) : x->what;
    CB_TRY(cb_sha256_of_file(x->model->weights_path, x->run_sha256, x->cli->diag));
    x->request.description = cb_arena_printf(
        arena, "The run %s of Cambium, trained on the backbone %s.", name, backbone);
    add_property(x, "run", name);
    add_property(x, "run_sha256", x->run_sha256);
    return CB_OK;
}

static int read_flags(struct export *x)
{
    const char *layout = cb_cli_value(x->cli, "--layout");
    if (layout != NULL && strcmp(layout, "nchw") != 0 && strcmp(layout, "nhwc") != 0) {
        return cb_cli_misuse(x->cli, "`--layout` is nchw or nhwc, not `%s`", layout);
    }
    x->request.channels_last = layout != NULL && strcmp(layout, "nhwc") == 0;
    x->request.from_bytes = cb_cli_has(x->cli, "--uint8");
    if (x->request.from_bytes && layout != NULL && !x->request.channels_last) {
        return cb_cli_misuse(x->cli,
                             "with `--uint8` the input is [N,H,W,C]: `--layout nchw` cannot be");
    }
    x->request.keep_affine = cb_cli_has(x->cli, "--no-fold");
    x->request.data_beside = cb_cli_has(x->cli, "--external-data");
    x->int8 = cb_cli_has(x->cli, "--int8");
    if (!x->int8 && cb_cli_value(x->cli, "--data") != NULL) {
        return cb_cli_misuse(x->cli,
                             "`--data` says where `--int8` is measured, and there is no `--int8`");
    }
    return 0;
}

/* What LoRA trained becomes a part of the layers it stands beside. */
static enum cb_status merge_additions(struct cb_model *model, struct cb_diag *diag)
{
    uint32_t wires[2] = {model->scores, model->features};
    if (!cb_lora_is_in(model->net)) {
        return CB_OK;
    }
    CB_TRY(cb_lora_merge(model->net, wires, 2, diag));
    model->scores = wires[0];
    model->features = wires[1];
    model->input = model->net->inputs[0];
    return CB_OK;
}

static enum cb_status check_request(const struct export *x)
{
    const struct cb_contract *c = &x->model->contract;
    struct cb_diag *diag = x->cli->diag;
    if (x->request.from_bytes &&
        (c->modality != CB_IMAGE || c->rank != 3 || c->shape[2] > CB_MAX_CHANNELS)) {
        return cb_fail(diag, CB_INVALID, NULL, "`--uint8` is for pictures; `%s` takes %s input",
                       x->what, cb_modality_name(c->modality));
    }
    if (cb_path_is_folder(x->request.path)) {
        return cb_fail(diag, CB_INVALID, NULL, "`%s` is a folder: name the file to write",
                       x->request.path);
    }
    /* before anything takes long */
    struct cb_atomic_file file = {0};
    CB_TRY(cb_atomic_open(&file, x->request.path, diag));
    cb_atomic_abandon(&file);
    return CB_OK;
}

static void tell_json(const struct export *x, const struct cb_onnx_summary *s)
{
    struct cb_arena *arena = x->cli->arena;
    struct cb_value *map = cb_value_map(arena, NULL), *outputs = cb_value_list(arena, NULL);
    if (x->model->link != NULL) {
        (void)cb_list_append(arena, outputs, cb_value_text(arena, "logits", NULL));
    }
    (void)cb_list_append(
        arena, outputs,
        cb_value_text(arena, x->model->link != NULL ? "probabilities" : "output", NULL));
    (void)cb_map_set(arena, map, "output", cb_value_text(arena, x->request.path, NULL));
    if (s->data_path != NULL) {
        (void)cb_map_set(arena, map, "data", cb_value_text(arena, s->data_path, NULL));
    }
    (void)cb_map_set(arena, map, "bytes", cb_value_int(arena, (int64_t)s->bytes, NULL));
    (void)cb_map_set(arena, map, "opset", cb_value_int(arena, CB_DRAFT_OPSET, NULL));
    (void)cb_map_set(arena, map, "nodes", cb_value_int(arena, s->node_count, NULL));
    (void)cb_map_set(arena, map, "folded", cb_value_int(arena, s->folded_count, NULL));
    (void)cb_map_set(arena, map, "outputs", outputs);
    if (x->int8) {
        (void)cb_map_set(arena, map, "int8", cb_cli_int8_value(arena, &x->loss));
    }
    cb_cli_print_json(map);
}

static void tell(const struct export *x, const struct cb_onnx_summary *s)
{
    const struct cb_model *m = x->model;
    const struct cb_contract *c = &m->contract;
    char size[32];
    printf("%s: %s, %u nodes, opset %d", x->request.path, cb_format_bytes(s->bytes, size),
           s->node_count, CB_DRAFT_OPSET);
    if (s->folded_count > 0) {
        printf("; %u normalizations folded into the layers above them", s->folded_count);
    }
    printf("%s%s\n", s->data_path != NULL ? "; weights in " : "",
           s->data_path != NULL ? s->data_path : "");
    if (c->modality == CB_IMAGE && c->rank == 3) {
        const bool is_last = x->request.from_bytes || x->request.channels_last;
        printf("input: `input` %s [N,%lld,%lld,%lld", x->request.from_bytes ? "uint8" : "float32",
               (long long)c->shape[is_last ? 0 : 2], (long long)c->shape[is_last ? 1 : 0],
               (long long)c->shape[is_last ? 2 : 1]);
        printf("]; how a picture gets there: the properties `preprocessing` and `contract`\n");
    }
    if (m->link != NULL) {
        printf("outputs: `logits`, `probabilities`%s\n",
               m->classes != NULL ? "; their names: the property `labels`" : "");
    } else {
        printf("output: `output`\n");
    }
    if (x->int8) {
        cb_cli_int8_print(&x->loss);
    }
}

static enum cb_status make_int8(struct export *x, bool is_run)
{
    struct cb_cli *cli = x->cli;
    char *folder = is_run ? cb_path_folder(cli->arena, x->model->weights_path) : NULL;
    struct cb_quantised *quantised;
    struct cb_text text = {0};
    CB_TRY(cb_cli_make_int8(cli, x->model, x->what, folder, cb_cli_value(cli, "--data"), &quantised,
                            &x->loss));
    x->request.quantised = quantised;
    cb_value_to_json(cb_cli_int8_value(cli->arena, &x->loss), &text);
    add_property(x, "int8", cb_arena_strdup(cli->arena, text.data != NULL ? text.data : "{}"));
    cb_text_free(&text);
    return CB_OK;
}

static enum cb_status export_model(struct export *x, bool is_run)
{
    struct cb_onnx_summary summary;
    CB_TRY(check_request(x));
    CB_TRY(describe(x, is_run));
    CB_TRY(x->int8 ? make_int8(x, is_run) : CB_OK);
    CB_TRY(cb_onnx_write(x->model, &x->request, &summary, x->cli->diag));
    (x->cli->json ? tell_json : tell)(x, &summary);
    return CB_OK;
}

static int run(struct cb_cli *cli)
{
    struct cb_opened opened = {0};
    struct export x = {.cli = cli};
    if (cli->argument_count != 2) {
        return cb_cli_misuse(cli, "a model and the file to write are needed");
    }
    x.what = cli->arguments[0];
    x.request.path = cli->arguments[1];
    int misuse = read_flags(&x);
    if (misuse != 0) {
        return misuse;
    }
    enum cb_status status = cb_cli_open_model(cli, x.what, cb_cli_value(cli, "--weights"), &opened);
    if (status == CB_OK) {
        x.model = opened.model;
        status = merge_additions(opened.model, cli->diag);
    }
    if (status == CB_OK) {
        status = export_model(&x, opened.backbone == NULL);
    }
    cb_cli_close_model(&opened);
    return cb_cli_finish(cli, status);
}

const struct cb_command cb_command_export = {
    .name = "export",
    .usage = "export MODEL FILE.onnx [--uint8] [--int8]",
    .summary = "a run or a backbone as an ONNX file, for other programs",
    .flags = flags,
    .help =
        "MODEL is a run, a backbone's name or a network file. The file gives `logits` and "
        "`probabilities` for any\n"
        "number of pictures at a time (or `output`, where the loss makes no probabilities of its "
        "scores), and tells in\n"
        "its metadata how a picture is prepared, the labels, and which run it is. docs/export.md "
        "has more.\n"
        "\n"
        "  cambium export last flowers.onnx            float32 [N,C,H,W], prepared as the metadata "
        "says\n"
        "  cambium export last flowers.onnx --uint8    bytes [N,H,W,C]: only the size is left to "
        "the caller\n"
        "  cambium export last flowers.onnx --int8     a quarter of the size, and what that costs "
        "on the test data\n"
        "  cambium export resnet18 resnet18.onnx       a backbone with its pretrained weights\n",
    .run = run,
};
