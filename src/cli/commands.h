/* commands.h: the commands, in the order in which the help lists them. A new one is a file and a word here. */
#ifndef CAMBIUM_CLI_COMMANDS_H
#define CAMBIUM_CLI_COMMANDS_H

#include "cli/cli.h"

#define CB_COMMAND_LIST(X)                                                                         \
    X(train) X(eval) X(predict) X(extract) X(compare) X(new) X(check) X(describe) X(layers)        \
    X(schema) X(plugin) X(devices) X(doctor) X(bench) X(fetch) X(import) X(export) X(tokenizer) X(runs) X(cache)

#define CB_COMMAND_DECLARE(name) extern const struct cb_command cb_command_##name;
CB_COMMAND_LIST(CB_COMMAND_DECLARE)
#undef CB_COMMAND_DECLARE

#endif
