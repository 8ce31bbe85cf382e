/* open_model.h: what a command line calls MODEL and INPUT. */
#ifndef CAMBIUM_CLI_OPEN_MODEL_H
#define CAMBIUM_CLI_OPEN_MODEL_H

#include "cli/cli.h"
#include "train/engine.h"

struct cb_opened {
    struct cb_registry *registry;
    struct cb_backbone *backbone; /* NULL for a run */
    struct cb_model *model;
    struct cb_watch watch; /* of the weights' download */
};

/* True for what names a run: its name or path, `run:NAME`, `last`, a model file; not for a backbone of the same name. */
bool cb_cli_is_run(struct cb_arena *arena, const char *what);
/* Opens a run (name, path, `run:NAME`, `last`), a backbone's name or a network file. `weights`: a path, `none`, or NULL
 * for the model's own. The caller closes it, also after a failure. */
enum cb_status cb_cli_open_model(struct cb_cli *cli, const char *what, const char *weights, struct cb_opened *out);
/* The same; a backbone's pictures at another size [H, W] unless `size` is NULL. */
enum cb_status cb_cli_open_model_at(struct cb_cli *cli, const char *what, const char *weights, const int64_t *size,
                                    struct cb_opened *out);
/* --size HxW; `*out` NULL: not given. False, with an error: it is no size. */
bool cb_cli_read_size(struct cb_cli *cli, int64_t size[2], const int64_t **out);
void cb_cli_close_model(struct cb_opened *opened);
/* Files as they are; of folders the pictures in them and in the folders below. NOT_FOUND when nothing is left. In the arena. */
enum cb_status cb_cli_expand_inputs(struct cb_cli *cli, const char *const *arguments, size_t count,
                                    const char ***out_files, size_t *out_count);

#endif
