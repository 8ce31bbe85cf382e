/* fetch.h: between the files of `cambium fetch`. */
#ifndef CAMBIUM_CLI_FETCH_H
#define CAMBIUM_CLI_FETCH_H

#include "cli/cli.h"

/* fetch_list.c: `cambium fetch --list [NAME...]`; the exit code. */
int cb_cli_list_networks(struct cb_cli *cli);

#endif
