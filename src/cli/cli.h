/* cli.h: what the commands share: arguments, printing, running. Each command is one file with one `struct cb_command`. */
#ifndef CAMBIUM_CLI_CLI_H
#define CAMBIUM_CLI_CLI_H

#include <stdio.h>

#include "base/arena.h"
#include "base/value.h"
#include "device/device.h"
#include "train/engine.h"

struct cb_cli;

/* A flag of a command. `value`: NULL for a switch, else what stands for it in the help ("FILE"). */
struct cb_flag {
    const char *name; /* "--resume" */
    const char *value;
    const char *help;
};

struct cb_command {
    const char *name, *usage, *summary; /* "train", "train TASK", "the whole job..." */
    const char *help;                   /* paragraphs below the flags; may be NULL */
    const struct cb_flag *flags;        /* ends with a NULL name; the common ones are added */
    int (*run)(struct cb_cli *cli);
};

/* A parsed command line. Every command gets one; main destroys it. */
struct cb_cli {
    struct cb_arena *arena;
    struct cb_diag *diag;
    const struct cb_command *command;
    const char *const *arguments; /* without flags */
    size_t argument_count;
    struct {
        const char *name, *value;
    } flags[64];
    size_t flag_count;
    const char *sets[64];
    size_t set_count;
    bool json, quiet, is_terminal; /* is_terminal: stderr is one, progress may be drawn */
    const char *device;
    size_t error_count; /* said so far */
};

bool cb_cli_has(const struct cb_cli *cli, const char *flag);
const char *cb_cli_value(const struct cb_cli *cli, const char *flag); /* NULL when not given */
/* A number given to a flag; `fallback` when not given; false (with an error) when it is no number in the range. */
bool cb_cli_number(struct cb_cli *cli, const char *flag, double least, double most, double fallback, double *out);

/* Prints what the diag holds to stderr and returns the exit code for `status`; each message is printed once. */
int cb_cli_finish(struct cb_cli *cli, enum cb_status status);
/* Warnings and notes so far. */
void cb_cli_flush(struct cb_cli *cli);
/* A wrong use: says it with the usage line; returns 2. */
int cb_cli_misuse(struct cb_cli *cli, const char *fmt, ...) CB_PRINTF(2, 3);
/* One JSON value on a line of stdout. */
void cb_cli_print_json(const struct cb_value *value);

/* Opens --device and says which it is in one line. */
enum cb_status cb_cli_open_device(struct cb_cli *cli, struct cb_device **out);
/* Closes it (NULL: nothing); with CAMBIUM_PROFILE set, prints the time by kernel to stderr. */
void cb_cli_close_device(struct cb_device *device);

/* progress.c: a watch that draws one line with time left on a terminal, is quiet otherwise, and stops on Ctrl-C. */
struct cb_progress_line;
struct cb_watch cb_cli_watch(struct cb_cli *cli);
/* What the line begins with from now on ("finetune, seed 2 of 5: "); NULL: nothing. The text must live on. */
void cb_cli_set_stage(const char *stage);
/* One line on a terminal, written over by the next: what is being done now. */
void cb_cli_show_progress(struct cb_cli *cli, const char *text);
void cb_cli_clear_progress(struct cb_cli *cli);
bool cb_cli_was_interrupted(void);

extern const struct cb_command *const cb_commands[]; /* ends with NULL */

#endif
