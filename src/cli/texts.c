/* texts.c: see texts.h. */
#include "cli/texts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define MAX_TEXT_BYTES ((size_t)64 << 20)
#define MAX_TEXTS 10000000

struct list {
    struct cb_cli *cli;
    const char **texts, **names;
    size_t *bytes;
    uint32_t count, room;
};

static enum cb_status no_memory(const struct list *list)
{
    return cb_fail(list->cli->diag, CB_MEMORY, NULL, "out of memory");
}

static enum cb_status add(struct list *list, const char *text, size_t bytes, const char *name)
{
    struct cb_arena *arena = list->cli->arena;
    if (list->count == list->room) {
        uint32_t room = list->room > 0 ? list->room * 2 : 64;
        const char **texts = CB_NEW_ARRAY(arena, const char *, room), **names = CB_NEW_ARRAY(arena, const char *, room);
        size_t *lengths = CB_NEW_ARRAY(arena, size_t, room);
        if (texts == NULL || names == NULL || lengths == NULL || room > MAX_TEXTS) {
            return no_memory(list);
        }
        for (uint32_t i = 0; i < list->count; i++) {
            texts[i] = list->texts[i];
            names[i] = list->names[i];
            lengths[i] = list->bytes[i];
        }
        list->texts = texts;
        list->names = names;
        list->bytes = lengths;
        list->room = room;
    }
    list->texts[list->count] = text;
    list->names[list->count] = name;
    list->bytes[list->count++] = bytes;
    return CB_OK;
}

static enum cb_status add_file(struct list *list, const char *path)
{
    char *text;
    size_t bytes;
    CB_TRY(cb_file_read(list->cli->arena, path, MAX_TEXT_BYTES, &text, &bytes, NULL, list->cli->diag));
    while (bytes > 0 && (text[bytes - 1] == '\n' || text[bytes - 1] == '\r')) {
        text[--bytes] = '\0';
    }
    return add(list, text, bytes, path);
}

static enum cb_status add_folder(struct list *list, const char *folder)
{
    char **names;
    size_t count;
    CB_TRY(cb_folder_list(list->cli->arena, folder, &names, &count, NULL, list->cli->diag));
    for (size_t i = 0; i < count; i++) {
        if (cb_ends_with(names[i], ".txt")) {
            CB_TRY(add_file(list, cb_path_join(list->cli->arena, folder, names[i])));
        }
    }
    return CB_OK;
}

static enum cb_status add_lines(struct list *list)
{
    char *line = NULL;
    size_t room = 0;
    enum cb_status status = CB_OK;
    for (ssize_t bytes; status == CB_OK && (bytes = getline(&line, &room, stdin)) >= 0;) {
        while (bytes > 0 && (line[bytes - 1] == '\n' || line[bytes - 1] == '\r')) {
            line[--bytes] = '\0';
        }
        char *copy = cb_arena_copy(list->cli->arena, line, (size_t)bytes + 1);
        status = copy != NULL ? add(list, copy, (size_t)bytes, copy) : no_memory(list);
    }
    free(line);
    return status;
}

/* The tokenizer of what was opened, which a run keeps and a backbone names. */
static enum cb_status find_tokenizer(struct cb_opened *opened, struct cb_diag *diag)
{
    struct cb_tokenizer *tokenizer = NULL;
    if (opened->model->tokenizer == NULL && opened->backbone != NULL) {
        CB_TRY(cb_backbone_tokenizer(opened->backbone, &tokenizer, diag));
        CB_TRY(cb_tokenizer_check(tokenizer, opened->model->net, NULL, diag));
        opened->model->tokenizer = tokenizer;
    }
    return opened->model->tokenizer != NULL
               ? CB_OK
               : cb_fail(diag, CB_NOT_FOUND, NULL, "the run has no tokenizer: it was trained on tokens, not on texts");
}

enum cb_status cb_cli_texts(struct cb_cli *cli, struct cb_opened *opened, const char *const *arguments, size_t count,
                            struct cb_dataset **out, const char *const **out_names, struct cb_diag *diag)
{
    struct list list = {.cli = cli};
    CB_TRY(find_tokenizer(opened, diag));
    for (size_t i = 0; i < count; i++) {
        const char *what = arguments[i];
        CB_TRY(cb_path_is_folder(what)  ? add_folder(&list, what)
               : cb_path_exists(what) ? add_file(&list, what)
                                      : add(&list, what, strlen(what), what));
    }
    if (cb_cli_has(cli, "--stdin")) {
        CB_TRY(add_lines(&list));
    }
    if (list.count == 0) {
        return cb_fail(diag, CB_NOT_FOUND, NULL, "there are no texts in what was given");
    }
    CB_TRY(cb_dataset_open_texts(cli->arena, list.texts, list.bytes, list.count, &opened->model->contract, out, diag));
    cb_dataset_set_tokenizer(*out, opened->model->tokenizer);
    CB_TRY(cb_dataset_prepare(*out, NULL, NULL, diag));
    *out_names = list.names;
    return CB_OK;
}
