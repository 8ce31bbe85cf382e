/* open_model.c: what a command line calls MODEL: a run, a backbone's name, or a network file. */
#include <string.h>

#include "base/file.h"
#include "cli/open_model.h"
#include "train/run.h"

/* A run, by name or path; a backbone of the same name in configs/ comes first. */
static bool is_run(struct cb_arena *arena, const char *what)
{
    if (cb_starts_with(what, "run:") || strcmp(what, "last") == 0 || cb_ends_with(what, ".safetensors")) {
        return true;
    }
    char *builtin = cb_arena_printf(arena, "configs/backbones/%s.yaml", what);
    char *run = cb_arena_printf(arena, "runs/%s/model.safetensors", what);
    char *folder = cb_arena_printf(arena, "%s/model.safetensors", what);
    if (builtin != NULL && strchr(what, '/') == NULL && cb_resource_path(arena, builtin) != NULL) {
        return false;
    }
    return (run != NULL && cb_path_exists(run)) || (folder != NULL && cb_path_exists(folder));
}

enum cb_status cb_cli_open_model(struct cb_cli *cli, const char *what, const char *weights, struct cb_opened *out)
{
    *out = (struct cb_opened){0};
    out->registry = cb_registry_create(&cb__host);
    if (out->registry == NULL) {
        return cb_fail(cli->diag, CB_MEMORY, NULL, "out of memory");
    }
    if (weights == NULL && is_run(cli->arena, what)) {
        char *folder = NULL;
        if (!cb_ends_with(what, ".safetensors")) {
            CB_TRY(cb_run_find(cli->arena, what, &folder, cli->diag));
        }
        return cb_model_load(folder != NULL ? folder : what, out->registry, &out->model, cli->diag);
    }
    CB_TRY(cb_backbone_open(what, ".", NULL, &out->backbone, cli->diag));
    out->watch = cb_cli_watch(cli);
    out->backbone->watch = &out->watch;
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

static bool is_input(const char *name)
{
    return cb_image_has_extension(name);
}

enum cb_status cb_cli_expand_inputs(struct cb_cli *cli, const char *const *arguments, size_t count,
                                    const char ***out_files, size_t *out_count)
{
    size_t used = 0, capacity = 64;
    const char **files = CB_NEW_ARRAY(cli->arena, const char *, capacity);
    for (size_t i = 0; i < count && files != NULL; i++) {
        char **names = NULL;
        size_t name_count = 1;
        bool folder = cb_path_is_folder(arguments[i]);
        if (folder) {
            CB_TRY(cb_folder_list(cli->arena, arguments[i], &names, &name_count, NULL, cli->diag));
        }
        for (size_t k = 0; k < name_count; k++) {
            const char *path = folder ? cb_path_join(cli->arena, arguments[i], names[k]) : arguments[i];
            if (folder && (cb_path_is_folder(path) || !is_input(path))) {
                continue;
            }
            if (used == capacity) {
                const char **more = CB_NEW_ARRAY(cli->arena, const char *, capacity * 2);
                if (more == NULL) {
                    return cb_fail(cli->diag, CB_MEMORY, NULL, "out of memory");
                }
                memcpy(more, files, used * sizeof(*files));
                files = more;
                capacity *= 2;
            }
            files[used++] = path;
        }
    }
    if (used == 0) {
        return cb_fail(cli->diag, CB_NOT_FOUND, NULL, "there are no pictures in what was given");
    }
    *out_files = files;
    *out_count = used;
    return CB_OK;
}
