/* schema.c: `cambium schema`: what editors need to complete and to underline. */
#include <stdio.h>

#include "cli/commands.h"
#include "graph/network.h"
#include "train/task.h"

static int run(struct cb_cli *cli)
{
    if (cli->argument_count != 0) {
        return cb_cli_misuse(cli, "the schema is for all files: no argument");
    }
    struct cb_registry *registry = cb_registry_create(&cb__host);
    struct cb_value *schema = NULL;
    enum cb_status status =
        registry != NULL ? cb_schema(cli->arena, registry, &schema, cli->diag) : CB_MEMORY;
    if (status == CB_OK) {
        struct cb_text text = {0};
        cb_value_to_json_lines(schema, &text);
        status = text.failed ? cb_fail(cli->diag, CB_MEMORY, NULL, "out of memory") : CB_OK;
        printf("%s%s", status == CB_OK ? text.data : "", status == CB_OK ? "\n" : "");
        cb_text_free(&text);
    }
    int code = cb_cli_finish(cli, status);
    cb_registry_destroy(registry);
    return code;
}

const struct cb_command cb_command_schema = {
    .name = "schema",
    .usage = "schema > cambium.schema.json",
    .summary = "the JSON Schema of task and network files, for editors (docs/README.md)",
    .run = run,
};
