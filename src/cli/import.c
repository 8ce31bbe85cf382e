/* import.c: `cambium import WHAT -o DIR`: another program's model becomes a network file and its weights. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/import.h"
#include "cli/open_model.h"

static const struct cb_flag flags[] = {
    {"--output", "DIR", "the folder that gets NAME.yaml and NAME.safetensors (also -o)"},
    {"--as", "BACKBONE", "a weights file: the network it belongs to (a name of `cambium fetch --list`, or a network file)"},
    {"--names", "FILE", "with --as: a YAML file of our layers' names to the file's, where both are not equal"},
    {"--name", "NAME", "of the network; by default the folder's"},
    {"--size", "HxW", "of the pictures it gets, where the model allows another"},
    {"--force", NULL, "replace files that are there"},
    {"--pairs", NULL, "show which tensor became which param"},
    {NULL, NULL, NULL},
};

/* ---- the request ---------------------------------------------------------------------------------------------------- */

/* The folder's own name: of `.` and the like the file's. Letters that names of layers and files do without become `_`. */
static char *default_name(struct cb_cli *cli, const char *folder, const char *path)
{
    char *name = cb_arena_strdup(cli->arena, folder);
    for (size_t length = name != NULL ? strlen(name) : 0; length > 1 && name[length - 1] == '/'; length--) {
        name[length - 1] = '\0';
    }
    const char *base = name != NULL ? cb_path_base(name) : "";
    if (*base == '\0' || strcmp(base, ".") == 0 || strcmp(base, "..") == 0 || strcmp(base, "/") == 0) {
        base = cb_path_is_folder(path) ? "network" : cb_path_stem(cli->arena, path);
    }
    name = cb_arena_strdup(cli->arena, base);
    for (char *c = name; c != NULL && *c != '\0'; c++) {
        const bool fits = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '_' ||
                          *c == '-' || (*c == '.' && c > name);
        *c = fits ? *c : '_';
    }
    return name;
}

/* What is given says which importer it is for. */
static enum cb_status import(struct cb_cli *cli, const struct cb_import_request *request, struct cb_imported *imported)
{
    const char *path = request->path;
    if (!cb_path_exists(path)) {
        return cb_fail(cli->diag, CB_NOT_FOUND, NULL, "there is no `%s`", path);
    }
    if (cb_path_is_folder(path)) {
        return cb_import_folder(request, imported, cli->diag);
    }
    if (request->as != NULL) {
        return cb_import_weights(request, imported, cli->diag);
    }
    if (cb_ends_with(path, ".onnx")) {
        return cb_import_onnx(request, imported, cli->diag);
    }
    struct cb_tensor_file *file;
    CB_TRY(cb_tensors_open(path, &file, NULL, cli->diag));
    if (strcmp(cb_tensors_format(file), "GGUF") == 0) {
        cb_tensors_close(file);
        return cb_import_gguf(request, imported, cli->diag);
    }
    enum cb_status status = cb_fail(
        cli->diag, CB_INVALID, NULL,
        "`%s` (%s, %" PRIu32 " tensors) holds weights without a network: say which they are for with --as BACKBONE, a name "
        "of `cambium fetch --list` or a network file", path, cb_tensors_format(file), cb_tensors_count(file));
    cb_tensors_close(file);
    return status;
}

/* ---- the report ----------------------------------------------------------------------------------------------------- */

static struct cb_value *list_value(struct cb_arena *arena, const struct cb_name_list *list)
{
    struct cb_value *value = cb_value_list(arena, NULL);
    for (uint32_t i = 0; i < list->count; i++) {
        (void)cb_list_append(arena, value, cb_value_text(arena, list->names[i], NULL));
    }
    return value;
}

static void print_import_json(struct cb_cli *cli, const struct cb_imported *m)
{
    struct cb_arena *arena = cli->arena;
    struct cb_value *map = cb_value_map(arena, NULL), *tensors = cb_value_map(arena, NULL);
    struct cb_value *pairs = cb_value_map(arena, NULL), *output = cb_value_list(arena, NULL);
    for (uint32_t i = 0; i < m->pair_count; i++) {
        (void)cb_map_set(arena, pairs, m->pairs[i].ours, cb_value_text(arena, m->pairs[i].theirs, NULL));
    }
    for (uint32_t i = 1; i < m->output.rank; i++) {
        (void)cb_list_append(arena, output, cb_value_int(arena, m->output.dims[i], NULL));
    }
    (void)cb_map_set(arena, map, "name", cb_value_text(arena, m->name, NULL));
    (void)cb_map_set(arena, map, "network", cb_value_text(arena, m->network_path, NULL));
    (void)cb_map_set(arena, map, "weights", cb_value_text(arena, m->weights_path, NULL));
    (void)cb_map_set(arena, map, "sha256", cb_value_text(arena, m->sha256, NULL));
    (void)cb_map_set(arena, map, "format", cb_value_text(arena, m->format != NULL ? m->format : "", NULL));
    (void)cb_map_set(arena, map, "layers", cb_value_int(arena, m->layer_count, NULL));
    (void)cb_map_set(arena, map, "params", cb_value_int(arena, m->param_count, NULL));
    (void)cb_map_set(arena, map, "input", cb_contract_to_value(arena, &m->contract));
    (void)cb_map_set(arena, map, "output", output);
    if (m->matched_by != NULL) {
        (void)cb_map_set(arena, map, "matched_by", cb_value_text(arena, m->matched_by, NULL));
    }
    (void)cb_map_set(arena, tensors, "kept", cb_value_int(arena, m->entry_count - m->random.count, NULL));
    (void)cb_map_set(arena, tensors, "unused", list_value(arena, &m->unused));
    (void)cb_map_set(arena, tensors, "random", list_value(arena, &m->random));
    (void)cb_map_set(arena, map, "tensors", tensors);
    if (m->show_pairs || cb_cli_has(cli, "--pairs")) {
        (void)cb_map_set(arena, map, "pairs", pairs);
    }
    (void)cb_map_set(arena, map, "notes", list_value(arena, &m->notes));
    cb_cli_print_json(map);
}

static void print_names(const char *title, const struct cb_name_list *list)
{
    enum { SHOWN = 8 };
    for (uint32_t i = 0; i < list->count && i < SHOWN; i++) {
        printf("  %-8s %s\n", i == 0 ? title : "", list->names[i]);
    }
    if (list->count > SHOWN) {
        printf("  %-8s and %" PRIu32 " more\n", "", list->count - SHOWN);
    }
}

static void print_report(struct cb_cli *cli, const struct cb_imported *m)
{
    char count[32], bytes[32], shape[192], output[192];
    const int64_t file_bytes = cb_file_bytes(m->weights_path);
    cb_format_dims(m->contract.rank, m->contract.shape, shape);
    cb_format_dims(m->output.rank > 0 ? m->output.rank - 1 : 0, m->output.dims + 1, output);
    printf("%s: %" PRIu32 " layers, %s params, %s %s to %s\n", m->network_path, m->layer_count,
           cb_format_count((uint64_t)m->param_count, count), cb_modality_name(m->contract.modality), shape, output);
    printf("%s: %" PRIu32 " tensors, %s\n", m->weights_path, m->entry_count,
           cb_format_bytes(file_bytes > 0 ? (uint64_t)file_bytes : 0, bytes));
    printf("from %s (%s", cli->arguments[0], m->format != NULL ? m->format : "");
    if (m->matched_by != NULL) {
        printf("; by %s", m->matched_by);
    }
    if (m->prefix != NULL) {
        printf(", without `%s`", m->prefix);
    }
    printf("): %" PRIu32 " kept, %" PRIu32 " unused, %" PRIu32 " random\n", m->entry_count - m->random.count,
           m->unused.count, m->random.count);
    print_names("unused", &m->unused);
    print_names("random", &m->random);
    for (uint32_t i = 0; i < m->pair_count && (m->show_pairs || cb_cli_has(cli, "--pairs")); i++) {
        printf("  %-36s <- %s\n", m->pairs[i].ours, m->pairs[i].theirs);
    }
    struct cb_text notes = {0};
    for (uint32_t i = 0; i < m->notes.count; i++) {
        cb_text_add(&notes, i > 0 ? "\n" : "");
        cb_text_addf(&notes, "note: %s", m->notes.names[i]);
    }
    if (notes.data != NULL) {
        printf("%s\n", notes.data);
    }
    cb_text_free(&notes);
    printf("next: `cambium describe %s`, or in a task  model: {backbone: %s}\n", m->network_path, m->network_path);
}

void cb_cli_print_import(struct cb_cli *cli, const struct cb_imported *imported)
{
    if (cli->json) {
        print_import_json(cli, imported);
    } else if (!cli->quiet) {
        print_report(cli, imported);
    }
}

static int run(struct cb_cli *cli)
{
    int64_t size[2];
    const char *folder = cb_cli_value(cli, "--output"), *name = cb_cli_value(cli, "--name");
    struct cb_watch watch = cb_cli_watch(cli);
    struct cb_import_request request = {.as = cb_cli_value(cli, "--as"), .names = cb_cli_value(cli, "--names"),
                                        .watch = &watch};
    if (cli->argument_count != 1 || folder == NULL) {
        return cb_cli_misuse(cli, "one file or folder, and -o DIR, are needed");
    }
    if (request.names != NULL && request.as == NULL) {
        return cb_cli_misuse(cli, "--names goes with --as");
    }
    if (!cb_cli_read_size(cli, size, &request.size)) {
        return 2;
    }
    if (name != NULL && (*name == '\0' || *name == '.' || strpbrk(name, "/:\\ ") != NULL)) {
        return cb_cli_misuse(cli, "--name is a file's name without folders, such as `mynet`, not `%s`", name);
    }
    request.path = cli->arguments[0];
    request.name = name != NULL ? name : default_name(cli, folder, request.path);
    struct cb_imported *imported = request.name != NULL ? cb_imported_create(request.name) : NULL;
    enum cb_status status = imported != NULL ? CB_OK : cb_fail(cli->diag, CB_MEMORY, NULL, "out of memory");
    if (status == CB_OK) {
        status = import(cli, &request, imported);
    }
    if (status == CB_OK) {
        cb_watch_progress(&watch, "writing", 0, 1);
        status = cb_import_write(imported, folder, cb_cli_has(cli, "--force"), cli->diag);
    }
    cb_cli_clear_progress(cli);
    if (status == CB_OK) {
        cb_cli_print_import(cli, imported);
    }
    cb_imported_destroy(imported);
    return cb_cli_finish(cli, status);
}

const struct cb_command cb_command_import = {
    .name = "import",
    .usage = "import WHAT -o DIR [--as BACKBONE] [--name NAME] [--size HxW]",
    .summary = "a model of another program becomes a network file and its weights",
    .flags = flags,
    .help = "WHAT is one of\n"
            "  a weights file     a PyTorch, safetensors or npz file, with --as: the network it is for\n"
            "  a folder           as the Hugging Face hub has them: config.json, preprocessor_config.json and the weights,\n"
            "                     of transformers or of timm; size, scale and labels are the folder's\n"
            "  a GGUF file        of llama.cpp, which says which network it is; blocks of few bits are widened\n"
            "\n"
            "DIR/NAME.yaml is a network as those in configs/backbones: to be read and changed. In a task\n"
            "`backbone: DIR` uses it, with `replace:`, `frozen:` and `head:` as on any other.\n"
            "\n"
            "  cambium import resnet50-finetuned.pth --as resnet50 -o mynet\n"
            "  cambium import downloads/dinov2-small -o dino\n"
            "  cambium describe mynet                     what its layers are\n"
            "  cambium new things --from things           then in things.yaml: model: {backbone: mynet}\n"
            "\n"
            "The tensors of a weights file are found by name: the network's own, those of torchvision, timm and others\n"
            "as far as they are known, with `module.`, `model.` and the like left off. Where that fails they are found\n"
            "by order and shape, and the pairs are shown. If more than one way is possible, that is an error, which\n"
            "says what to write into a file for --names. Nothing in a file is ever executed.\n",
    .run = run,
};
