/* main.c: the command line: finds the command, parses its flags, prints what went wrong. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/commands.h"

static const struct cb_flag common_flags[] = {
    {"--device", "N|NAME", "the OpenCL device: a number of `cambium devices`, or part of a name"},
    {"--set", "KEY=VALUE", "change one key of the task for this run (train.epochs=1)"},
    {"--json", NULL, "machine-readable lines on standard output, nothing else there"},
    {"--quiet", NULL, "no progress, no notes"},
    {"--help", NULL, "this text"},
    {NULL, NULL, NULL},
};

const struct cb_command *const cb_commands[] = {
#define CB_COMMAND_ENTRY(name) &cb_command_##name,
    CB_COMMAND_LIST(CB_COMMAND_ENTRY)
#undef CB_COMMAND_ENTRY
    NULL,
};

/* ---- help ------------------------------------------------------------------------------------------------------------ */

static int print_overview(FILE *to)
{
    fprintf(to, "cambium %s: a new head for a pretrained network, on any OpenCL device.\n\n"
                "  cambium new NAME --from FOLDER   look at a folder of pictures, write a task file\n"
                "  cambium train TASK.yaml          train it; leaves runs/NAME\n"
                "  cambium predict NAME FILE...     use it\n\ncommands:\n", CB_VERSION);
    for (size_t i = 0; cb_commands[i] != NULL; i++) {
        fprintf(to, "  %-10s %s\n", cb_commands[i]->name, cb_commands[i]->summary);
    }
    fprintf(to, "\n`cambium COMMAND --help` says more.\n");
    return to == stdout ? 0 : 2;
}

static void print_flags(const struct cb_flag *flags)
{
    for (; flags != NULL && flags->name != NULL; flags++) {
        char left[64];
        snprintf(left, sizeof(left), "%s%s%s", flags->name, flags->value != NULL ? " " : "",
                 flags->value != NULL ? flags->value : "");
        printf("  %-22s %s\n", left, flags->help);
    }
}

static int print_help(const struct cb_command *command)
{
    printf("usage: cambium %s\n\n%s\n\n", command->usage, command->summary);
    print_flags(command->flags);
    print_flags(common_flags);
    if (command->help != NULL) {
        printf("\n%s", command->help);
    }
    return 0;
}

/* ---- flags ------------------------------------------------------------------------------------------------------------ */

bool cb_cli_has(const struct cb_cli *cli, const char *flag)
{
    for (size_t i = 0; i < cli->flag_count; i++) {
        if (strcmp(cli->flags[i].name, flag) == 0) {
            return true;
        }
    }
    return false;
}

const char *cb_cli_value(const struct cb_cli *cli, const char *flag)
{
    const char *value = NULL;
    for (size_t i = 0; i < cli->flag_count; i++) {
        value = strcmp(cli->flags[i].name, flag) == 0 ? cli->flags[i].value : value;
    }
    return value;
}

bool cb_cli_number(struct cb_cli *cli, const char *flag, double least, double most, double fallback, double *out)
{
    const char *value = cb_cli_value(cli, flag);
    *out = fallback;
    if (value == NULL) {
        return true;
    }
    char *end;
    double number = strtod(value, &end);
    if (end == value || *end != '\0' || !(number >= least && number <= most)) {
        (void)cb_cli_misuse(cli, "%s must be a number from %g to %g, not `%s`", flag, least, most, value);
        return false;
    }
    *out = number;
    return true;
}

static const struct cb_flag *find_flag(const struct cb_flag *flags, const char *name, size_t length)
{
    for (; flags != NULL && flags->name != NULL; flags++) {
        if (strlen(flags->name) == length && strncmp(flags->name, name, length) == 0) {
            return flags;
        }
    }
    return NULL;
}

static int unknown_flag(struct cb_cli *cli, const char *name)
{
    const char *names[96];
    size_t count = 0;
    const struct cb_flag *tables[2] = {cli->command->flags, common_flags};
    for (int t = 0; t < 2; t++) {
        for (const struct cb_flag *f = tables[t]; f != NULL && f->name != NULL && count < 96; f++) {
            names[count++] = f->name;
        }
    }
    const char *nearest = cb_nearest_of(name, names, count);
    return nearest != NULL ? cb_cli_misuse(cli, "there is no flag `%s`; did you mean `%s`?", name, nearest)
                           : cb_cli_misuse(cli, "there is no flag `%s`", name);
}

/* Sorts the words into flags and arguments; returns 0, or the exit code. After `--` all are arguments. */
static int parse(struct cb_cli *cli, int count, char **words)
{
    const char **arguments = CB_NEW_ARRAY(cli->arena, const char *, (size_t)count + 1);
    bool only_arguments = false;
    for (int i = 0; i < count; i++) {
        const char *word = words[i];
        if (only_arguments || word[0] != '-' || word[1] == '\0') {
            arguments[cli->argument_count++] = word;
            continue;
        }
        if (strcmp(word, "--") == 0) {
            only_arguments = true;
            continue;
        }
        word = strcmp(word, "-o") == 0 ? "--output" : strcmp(word, "-h") == 0 ? "--help" : word;
        size_t length = strcspn(word, "=");
        const struct cb_flag *flag = find_flag(cli->command->flags, word, length);
        flag = flag != NULL ? flag : find_flag(common_flags, word, length);
        if (flag == NULL) {
            return unknown_flag(cli, word);
        }
        const char *value = word[length] == '=' ? word + length + 1 : NULL;
        if (flag->value != NULL && value == NULL && i + 1 < count) {
            value = words[++i];
        }
        if ((flag->value != NULL) != (value != NULL)) {
            return value == NULL ? cb_cli_misuse(cli, "`%s` needs a value: %s %s", flag->name, flag->name, flag->value)
                                 : cb_cli_misuse(cli, "`%s` takes no value", flag->name);
        }
        if (strcmp(flag->name, "--set") == 0 && cli->set_count < 64) {
            cli->sets[cli->set_count++] = value;
        }
        if (cli->flag_count == 64) {
            return cb_cli_misuse(cli, "more than 64 flags");
        }
        cli->flags[cli->flag_count].name = flag->name;
        cli->flags[cli->flag_count++].value = value;
    }
    cli->arguments = arguments;
    cli->json = cb_cli_has(cli, "--json");
    cli->quiet = cb_cli_has(cli, "--quiet");
    cli->device = cb_cli_value(cli, "--device");
    return 0;
}

/* ---- printing --------------------------------------------------------------------------------------------------------- */

void cb_cli_flush(struct cb_cli *cli)
{
    cb_cli_clear_progress(cli);
    cli->error_count += cb_diag_count(cli->diag, CB_ERROR);
    for (size_t i = 0; cb_diag_text(cli->diag, i) != NULL; i++) {
        if (!cli->quiet || cb_diag_severity(cli->diag, i) == CB_ERROR) {
            fprintf(stderr, "%s\n", cb_diag_text(cli->diag, i));
        }
    }
    cb_diag_clear(cli->diag);
}

int cb_cli_finish(struct cb_cli *cli, enum cb_status status)
{
    cb_cli_flush(cli);
    bool was_stopped = status == CB_INTERRUPTED && cb_diag_count(cli->diag, CB_ERROR) == 0;
    bool silent = status != CB_OK && status != CB_INTERRUPTED && cli->error_count == 0;
    if (was_stopped && strcmp(cli->command->name, "train") != 0) { /* train says more itself */
        fprintf(stderr, "stopped\n");
    }
    if (silent) {
        fprintf(stderr, "error: %s\n", cb_status_sentence(status));
    }
    return cb_status_exit_code(status);
}

int cb_cli_misuse(struct cb_cli *cli, const char *fmt, ...)
{
    va_list args;
    fprintf(stderr, "error: ");
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, "\nusage: cambium %s\n", cli->command->usage);
    return 2;
}

void cb_cli_print_json(const struct cb_value *value)
{
    struct cb_text text = {0};
    if (value != NULL) {
        cb_value_to_json(value, &text);
    }
    printf("%s\n", text.data != NULL ? text.data : "null");
    fflush(stdout);
    cb_text_free(&text);
}

enum cb_status cb_cli_open_device(struct cb_cli *cli, struct cb_device **out)
{
    CB_TRY(cb_device_open(cli->device, out, cli->diag));
    if (!cli->json && !cli->quiet) {
        const struct cb_device_info *info = cb_device_get_info(*out);
        char memory[32];
        fprintf(stderr, "device: %s (%s, %u compute units, %s)\n", info->name, info->platform, info->compute_units,
                cb_format_bytes(info->global_bytes, memory));
    }
    return CB_OK;
}

void cb_cli_close_device(struct cb_device *device)
{
    if (device != NULL && getenv("CAMBIUM_PROFILE") != NULL) {
        struct cb_text text = {0};
        cb_device_profile_report(device, &text);
        fprintf(stderr, "%s", text.data != NULL ? text.data : "");
        cb_text_free(&text);
    }
    cb_device_close(device);
}

/* ---- main ------------------------------------------------------------------------------------------------------------- */

static const struct cb_command *find_command(const char *word)
{
    for (size_t i = 0; cb_commands[i] != NULL; i++) {
        if (strcmp(cb_commands[i]->name, word) == 0) {
            return cb_commands[i];
        }
    }
    return NULL;
}

static int unknown_command(const char *word)
{
    const char *names[64];
    size_t count = 0;
    for (; cb_commands[count] != NULL && count < 64; count++) {
        names[count] = cb_commands[count]->name;
    }
    const char *nearest = cb_nearest_of(word, names, count);
    fprintf(stderr, "error: there is no command `%s`%s%s%s\n", word, nearest != NULL ? "; did you mean `" : "",
            nearest != NULL ? nearest : "", nearest != NULL ? "`?" : "; `cambium --help` lists them");
    return 2;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        return print_overview(stderr);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        const struct cb_command *named = argc > 2 ? find_command(argv[2]) : NULL;
        return named != NULL ? print_help(named) : print_overview(stdout);
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("cambium %s\n", CB_VERSION);
        return 0;
    }
    struct cb_cli cli = {.command = find_command(argv[1]), .arena = cb_arena_create(), .diag = cb_diag_create(),
                         .is_terminal = isatty(STDERR_FILENO) != 0};
    int code = 0;
    if (cli.arena == NULL || cli.diag == NULL) {
        fprintf(stderr, "error: out of memory\n");
        code = 2;
    }
    if (code == 0) {
        code = cli.command == NULL ? unknown_command(argv[1]) : parse(&cli, argc - 2, argv + 2);
    }
    if (code == 0) {
        code = cb_cli_has(&cli, "--help") ? print_help(cli.command) : cli.command->run(&cli);
    }
    cb_diag_destroy(cli.diag);
    cb_arena_destroy(cli.arena);
    return code;
}
