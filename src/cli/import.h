/* import.h: what `cambium import` and `cambium fetch hf:...` say of a model that was taken. */
#ifndef CAMBIUM_CLI_IMPORT_H
#define CAMBIUM_CLI_IMPORT_H

#include "cli/cli.h"
#include "exchange/import.h"

void cb_cli_print_import(struct cb_cli *cli, const struct cb_imported *imported);

#endif
