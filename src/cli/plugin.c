/* plugin.c: `cambium plugin new|build|check ...`: a layer of one's own. Finds the subcommand; each is a file of its own. */
#include "cli/plugin.h"

#include <string.h>

#include "base/file.h"
#include "cli/commands.h"

static const struct subcommand {
    const char *name;
    int (*run)(struct cb_cli *cli);
} subcommands[] = {
    {"new", cb_cli_plugin_new},
    {"build", cb_cli_plugin_build},
    {"check", cb_cli_plugin_check},
};

static const struct cb_flag flags[] = {
    {"--pointwise", NULL, "new: a function of each element, which is fused into the layer above"},
    {"--loss", NULL, "new: a loss, which compares scores with targets"},
    {"--install", NULL, "build: into your plugin folder, where every task finds it"},
    {"--short", NULL, "check: a few cases only"},
    {"--races", NULL, "check: under the simulator oclgrind, for races and accesses outside a buffer"},
    {NULL, NULL, NULL},
};

char *cb_cli_plugin_folder(struct cb_cli *cli)
{
    char *data = cb_user_data_folder(cli->arena);
    char *folder = data != NULL ? cb_path_join(cli->arena, data, "plugins") : NULL;
    if (folder == NULL) {
        (void)cb_fail(cli->diag, CB_IO, NULL, "there is no place for your plugins: set CAMBIUM_DATA to a folder");
    } else if (cb_make_folders(folder, cli->diag) != CB_OK) {
        folder = NULL;
    }
    return folder;
}

static int run(struct cb_cli *cli)
{
    const char *names[8];
    const size_t count = sizeof(subcommands) / sizeof(subcommands[0]);
    if (cli->argument_count == 0) {
        return cb_cli_misuse(cli, "what shall be done is missing");
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(cli->arguments[0], subcommands[i].name) == 0) {
            return subcommands[i].run(cli);
        }
        names[i] = subcommands[i].name;
    }
    const char *nearest = cb_nearest_of(cli->arguments[0], names, count);
    return cb_cli_misuse(cli, "there is no `plugin %s`%s%s%s", cli->arguments[0], nearest != NULL ? "; did you mean `" : "",
                         nearest != NULL ? nearest : "", nearest != NULL ? "`?" : "");
}

const struct cb_command cb_command_plugin = {
    .name = "plugin",
    .usage = "plugin new NAME | build [FOLDER|FILE.c...] | check NAME|FOLDER|FILE.so...",
    .summary = "a layer of your own: writes it, builds it, checks it",
    .help = "  cambium plugin new swoosh --pointwise   writes swoosh.c and swoosh.cl: a function of each element\n"
            "  cambium plugin new my_pool              likewise: a layer with kernels, a param and a reduction\n"
            "  cambium plugin new my_loss --loss       likewise: a loss\n"
            "  cambium plugin build                    compiles the layers of this folder, kernels and all\n"
            "  cambium plugin build swoosh.c --install and puts swoosh.so into your plugin folder\n"
            "  cambium plugin check swoosh             gradients, variants, memory: which property it lacks, where, how far off\n"
            "  cambium plugin check . --races          every layer of this folder, under oclgrind\n"
            "\nThe C compiler is `cc`, or what CC names; CFLAGS are added. docs/plugin-abi.md, installed in\n"
            "share/doc/cambium, has all of it.\n"
            "\n`check` makes up cases from the layer's own tables: its options at their defaults, as `example` and `trials` show\n"
            "them, and at their bounds; inputs from one element to a hundred thousand, with odd sizes and with lengths. On each\n"
            "it looks at every variant of every pass. A line for each property; where one is lacking, which tensor, at which\n"
            "element, how far off, with which variant and on which case:\n"
            "  gradient    against central differences; a kink (|x| at 0, two equal maxima) is no fault\n"
            "  guard       nothing is read or written outside a tensor      poison  everything is written, nothing assumed zero\n"
            "  accumulate  adds where that is asked for, else overwrites    unwanted  a gradient that is NULL is left alone\n"
            "  needs       dx_needs, dw_needs name all that backward reads  variants  each gives what the plain one gives\n"
            "  in_place    is out of place     rows  a row does not depend on its batch     repeat  the same bits twice\n"
            "  edges       no NaN at zeros, equal or large values           modes  training, seed, step change what flags say\n"
            "  lengths     padding changes nothing                          frozen  no input, param or (in inference) state moves\n"
            "  fusion      an epilogue and the layer's own affine agree     release  gives back all memory\n"
            "A layer that crashes or hangs is told with what it was doing. The exit code is 0 when all is well, 1 when a property\n"
            "is lacking, 2 when there is nothing to check. --json: a line for each property, then one for the layer.\n",
    .flags = flags,
    .run = run,
};
