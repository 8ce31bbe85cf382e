/* plugin.h: the subcommands of `cambium plugin`, a file each. */
#ifndef CAMBIUM_CLI_PLUGIN_H
#define CAMBIUM_CLI_PLUGIN_H

#include "cli/cli.h"

/* Arguments are those behind the subcommand's word: cli->arguments[1] is the first. Return the exit code. */
int cb_cli_plugin_new(struct cb_cli *cli);
int cb_cli_plugin_build(struct cb_cli *cli);
int cb_cli_plugin_check(struct cb_cli *cli);

/* The user's plugin folder, made when missing; NULL with an error. In cli->arena. */
char *cb_cli_plugin_folder(struct cb_cli *cli);

#endif
