/* open_model.c: what a command line calls MODEL: a run, a backbone's name, or a network file. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/open_model.h"
#include "graph/family.h"
#include "train/run.h"

/* A run, by name or path; a backbone of the same name in configs/backbones comes first. */
bool cb_cli_is_run(struct cb_arena *arena, const char *what)
{
    if (cb_starts_with(what, "run:") || strcmp(what, "last") == 0 || cb_ends_with(what, ".safetensors")) {
        return true;
    }
    char *built_in = cb_resource_path(arena, "configs/backbones"), *path;
    struct cb_value *file;
    const char *member;
    char *run = cb_arena_printf(arena, "runs/%s/model.safetensors", what);
    char *folder = cb_arena_printf(arena, "%s/model.safetensors", what);
    if (built_in != NULL && cb_family_find(arena, built_in, what, &path, &file, &member, NULL) == CB_OK) {
        return false;
    }
    char *network = cb_arena_printf(arena, "%s/model.yaml", what); /* imported under the name of `model` */
    return (run != NULL && cb_path_exists(run)) ||
           (folder != NULL && cb_path_exists(folder) && !(network != NULL && cb_path_exists(network)));
}

bool cb_cli_read_size(struct cb_cli *cli, int64_t size[2], const int64_t **out)
{
    const char *text = cb_cli_value(cli, "--size");
    *out = NULL;
    if (text == NULL) {
        return true;
    }
    char *end, *last;
    size[0] = strtoll(text, &end, 10);
    size[1] = end > text && *end == 'x' ? strtoll(end + 1, &last, 10) : size[0];
    if (end == text || (*end != '\0' && (*end != 'x' || last == end + 1 || *last != '\0')) || size[0] < 1 ||
        size[1] < 1 || size[0] > 65536 || size[1] > 65536) {
        (void)cb_cli_misuse(cli, "--size is HEIGHTxWIDTH in pixels, such as 224x224, not `%s`", text);
        return false;
    }
    *out = size;
    return true;
}

/* Its pictures at another size, as if the network file said so. Whether its layers can take them is seen when it is built. */
static enum cb_status resize(struct cb_backbone *b, const int64_t *size, struct cb_diag *diag)
{
    struct cb_contract *c = &b->contract;
    if (c->modality != CB_IMAGE || c->rank != 3 || cb_map_get(b->file, "input") == NULL) {
        return cb_fail(diag, CB_MISMATCH, NULL, "`%s` takes no single picture: --size is for networks that do", b->name);
    }
    c->shape[0] = size[0];
    c->shape[1] = size[1];
    struct cb_value *input = cb_contract_to_value(b->arena, c), *file = cb_value_map(b->arena, &b->file->at);
    bool ok = input != NULL && file != NULL;
    for (size_t i = 0; ok && i < b->file->as.map.count; i++) {
        const struct cb_entry *entry = &b->file->as.map.entries[i];
        ok = cb_map_set(b->arena, file, entry->key, strcmp(entry->key, "input") == 0 ? input : entry->value);
    }
    if (!ok) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    b->file = file;
    return CB_OK;
}

enum cb_status cb_cli_open_model(struct cb_cli *cli, const char *what, const char *weights, struct cb_opened *out)
{
    return cb_cli_open_model_at(cli, what, weights, NULL, out);
}

enum cb_status cb_cli_open_model_at(struct cb_cli *cli, const char *what, const char *weights, const int64_t *size,
                                    struct cb_opened *out)
{
    *out = (struct cb_opened){0};
    out->registry = cb_registry_create(&cb__host);
    if (out->registry == NULL) {
        return cb_fail(cli->diag, CB_MEMORY, NULL, "out of memory");
    }
    if (weights == NULL && cb_cli_is_run(cli->arena, what)) {
        char *folder = NULL;
        if (size != NULL) {
            return cb_fail(cli->diag, CB_UNSUPPORTED, NULL, "`%s` is a run, which keeps the size it was trained at; --size is for "
                           "backbones", what);
        }
        if (!cb_ends_with(what, ".safetensors")) {
            CB_TRY(cb_run_find(cli->arena, what, &folder, cli->diag));
        }
        return cb_model_load(folder != NULL ? folder : what, out->registry, &out->model, cli->diag);
    }
    CB_TRY(cb_backbone_open(what, ".", NULL, &out->backbone, cli->diag));
    out->watch = cb_cli_watch(cli);
    out->backbone->watch = &out->watch;
    if (size != NULL) {
        CB_TRY(resize(out->backbone, size, cli->diag));
    }
    bool random = weights != NULL && strcmp(weights, "none") == 0;
    return cb_model_from_backbone(out->backbone, out->registry, random ? NULL : weights, random, &out->model, cli->diag);
}

void cb_cli_close_model(struct cb_opened *opened)
{
    cb_model_destroy(opened->model);
    cb_backbone_close(opened->backbone);
    cb_registry_destroy(opened->registry);
    *opened = (struct cb_opened){0};
}

/* A growing list of paths in the arena. */
struct inputs {
    struct cb_cli *cli;
    const char **files;
    size_t count, capacity;
};

static enum cb_status add_input(struct inputs *in, const char *path)
{
    if (in->count == in->capacity) {
        size_t capacity = in->capacity > 0 ? in->capacity * 2 : 64;
        const char **more = CB_NEW_ARRAY(in->cli->arena, const char *, capacity);
        if (more == NULL) {
            return cb_fail(in->cli->diag, CB_MEMORY, NULL, "out of memory");
        }
        if (in->count > 0) {
            memcpy(more, in->files, in->count * sizeof(*more));
        }
        in->files = more;
        in->capacity = capacity;
    }
    in->files[in->count++] = path;
    return CB_OK;
}

/* The pictures in a folder and in the folders below it; links in a circle end at MAX_DEPTH. */
static enum cb_status add_folder(struct inputs *in, const char *folder, int depth)
{
    enum { MAX_DEPTH = 16 };
    char **names;
    size_t count;
    CB_TRY(cb_folder_list(in->cli->arena, folder, &names, &count, NULL, in->cli->diag));
    for (size_t i = 0; i < count; i++) {
        char *path = cb_path_join(in->cli->arena, folder, names[i]);
        if (path == NULL) {
            return cb_fail(in->cli->diag, CB_MEMORY, NULL, "out of memory");
        }
        if (cb_path_is_folder(path)) {
            CB_TRY(depth < MAX_DEPTH ? add_folder(in, path, depth + 1) : CB_OK);
        } else if (cb_image_has_extension(names[i])) {
            CB_TRY(add_input(in, path));
        }
    }
    return CB_OK;
}

enum cb_status cb_cli_expand_inputs(struct cb_cli *cli, const char *const *arguments, size_t count,
                                    const char ***out_files, size_t *out_count)
{
    struct inputs in = {.cli = cli};
    for (size_t i = 0; i < count; i++) {
        CB_TRY(cb_path_is_folder(arguments[i]) ? add_folder(&in, arguments[i], 0) : add_input(&in, arguments[i]));
    }
    if (in.count == 0) {
        return cb_fail(cli->diag, CB_NOT_FOUND, NULL, "there are no pictures in what was given");
    }
    *out_files = in.files;
    *out_count = in.count;
    return CB_OK;
}
