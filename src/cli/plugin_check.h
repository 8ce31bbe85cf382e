/* plugin_check.h: what the files of `cambium plugin check` share. */
#ifndef CAMBIUM_CLI_PLUGIN_CHECK_H
#define CAMBIUM_CLI_PLUGIN_CHECK_H

#include "cli/cli.h"

struct cb_checked {
    const char *folder; /* NULL: on the search path */
    const char *word;
};

/* One line: of a check that passed (failed == 0) what it says, else what is wrong. */
void cb__cli_print_check(struct cb_cli *cli, const char *layer, const char *check, uint32_t count, uint32_t failed,
                         const char *text);
/* plugin_races.c: the same program under oclgrind; its log in a sentence. */
enum cb_status cb__cli_check_races(struct cb_cli *cli, const struct cb_checked *target, bool *all_good);

#endif
