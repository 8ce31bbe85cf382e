/* texts.h: what a command line gives a network that takes text. */
#ifndef CAMBIUM_CLI_TEXTS_H
#define CAMBIUM_CLI_TEXTS_H

#include "cli/open_model.h"

/* Each of `arguments` that is a file is its text, a folder the .txt files in it, what is neither a sentence; with --stdin
 * each line of standard input one more. `*out_names`: what each is called in the output. The dataset has the model's (of a
 * backbone its own) tokenizer. In the command's arena. */
enum cb_status cb_cli_texts(struct cb_cli *cli, struct cb_opened *opened, const char *const *arguments, size_t count,
                            struct cb_dataset **out, const char *const **out_names, struct cb_diag *diag);

#endif
