/* tokenizer.c: `cambium tokenizer`: lines of text to the numbers a network takes, and back. */
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "text/tokenizer.h"

static const struct cb_flag flags[] = {
    {"--max", "N", "at most N tokens a line, special ones counted"},
    {"--no-special", NULL, "encode: add no special tokens; decode: leave them out"},
    {NULL, NULL, NULL},
};

static void add_token(struct cb_text *out, const struct cb_tokenizer *tokenizer, uint32_t id)
{
    const char *token = cb_tokenizer_token(tokenizer, id, NULL);
    cb_text_add_json_string(out, token ? token : "");
}

/* {"ids":[...],"tokens":[...]}, or for people the tokens alone. */
static void print_tokens(const struct cb_cli *cli, const struct cb_tokenizer *tokenizer, const struct cb_tokens *tokens)
{
    struct cb_text out = {0};
    for (size_t i = 0; cli->json && i < tokens->count; i++) {
        cb_text_addf(&out, "%s%u", i == 0 ? "{\"ids\":[" : ",", tokens->ids[i]);
    }
    if (cli->json) {
        cb_text_add(&out, tokens->count == 0 ? "{\"ids\":[],\"tokens\":[" : "],\"tokens\":[");
    }
    for (size_t i = 0; i < tokens->count; i++) {
        if (cli->json) {
            cb_text_add(&out, i > 0 ? "," : "");
            add_token(&out, tokenizer, tokens->ids[i]);
        } else {
            cb_text_addf(&out, "%s%u:%s", i > 0 ? " " : "", tokens->ids[i],
                         cb_tokenizer_token(tokenizer, tokens->ids[i], NULL));
        }
    }
    cb_text_add(&out, cli->json ? "]}\n" : "\n");
    fwrite(out.data ? out.data : "", 1, out.length, stdout);
    cb_text_free(&out);
}

static enum cb_status encode(struct cb_cli *cli, const struct cb_tokenizer *tokenizer, size_t most)
{
    const struct cb_encode_options options = {.max_tokens = most, .leaves_special_out = cb_cli_has(cli, "--no-special")};
    struct cb_tokens tokens = {0};
    enum cb_status status = CB_OK;
    char *line = NULL;
    size_t room = 0;
    for (ssize_t bytes; status == CB_OK && (bytes = getline(&line, &room, stdin)) >= 0;) {
        bytes -= bytes > 0 && line[bytes - 1] == '\n';
        status = cb_tokenizer_encode(tokenizer, line, (size_t)bytes, &options, &tokens, cli->diag);
        if (status == CB_OK) {
            print_tokens(cli, tokenizer, &tokens);
        }
    }
    free(line);
    cb_tokens_free(&tokens);
    return status;
}

/* Numbers on a line, whatever stands between them: `encode --json`'s lines, too, up to their tokens. */
static size_t read_ids(const char *line, uint32_t *ids, size_t most)
{
    size_t count = 0;
    const char *end = strstr(line, "\"tokens\"");
    for (const char *p = line; *p && (!end || p < end) && count < most;) {
        char *after = (char *)p;
        if (*p >= '0' && *p <= '9') {
            unsigned long value = strtoul(p, &after, 10);
            ids[count++] = value < CB_NO_TOKEN ? (uint32_t)value : CB_NO_TOKEN;
        }
        p = after > p ? after : p + 1;
    }
    return count;
}

static enum cb_status decode(struct cb_cli *cli, const struct cb_tokenizer *tokenizer)
{
    enum cb_status status = CB_OK;
    char *line = NULL;
    size_t room = 0;
    for (ssize_t bytes; status == CB_OK && (bytes = getline(&line, &room, stdin)) >= 0;) {
        struct cb_text text = {0}, json = {0};
        uint32_t *ids = malloc(((size_t)bytes / 2 + 1) * sizeof(*ids));
        size_t count = ids ? read_ids(line, ids, (size_t)bytes / 2 + 1) : 0;
        status = ids ? cb_tokenizer_decode(tokenizer, ids, count, cb_cli_has(cli, "--no-special"), &text, cli->diag)
                     : cb_fail(cli->diag, CB_MEMORY, NULL, "out of memory");
        if (cli->json) {
            cb_text_add_json_string(&json, text.data ? text.data : "");
        }
        if (status == CB_OK) {
            printf("%s\n", cli->json ? json.data : text.data ? text.data : "");
        }
        cb_text_free(&text);
        cb_text_free(&json);
        free(ids);
    }
    free(line);
    return status;
}

static int run(struct cb_cli *cli)
{
    static const char *const words[] = {"encode", "decode"};
    const char *word = cli->argument_count > 0 ? cli->arguments[0] : "";
    bool is_encode = strcmp(word, words[0]) == 0;
    struct cb_tokenizer *tokenizer = NULL;
    double most;
    if (!is_encode && strcmp(word, words[1]) != 0) {
        const char *nearest = cb_nearest_of(word, words, 2);
        return *word == '\0' ? cb_cli_misuse(cli, "encode or decode?")
               : cb_cli_misuse(cli, "there is no `tokenizer %s`; did you mean `%s`?", word, nearest ? nearest : "encode");
    }
    if (cli->argument_count != 2) {
        return cb_cli_misuse(cli, "`tokenizer %s` takes one argument, what has the tokenizer", word);
    }
    if (!cb_cli_number(cli, "--max", 1, 1e9, 0, &most)) {
        return 2;
    }
    enum cb_status status = cb_tokenizer_open(cli->arguments[1], &tokenizer, NULL, cli->diag);
    if (status == CB_OK) {
        status = is_encode ? encode(cli, tokenizer, (size_t)most) : decode(cli, tokenizer);
    }
    cb_tokenizer_close(tokenizer);
    return cb_cli_finish(cli, status);
}

const struct cb_command cb_command_tokenizer = {
    .name = "tokenizer",
    .usage = "tokenizer encode|decode MODEL",
    .summary = "lines of text to a network's numbers, and back",
    .flags = flags,
    .run = run,
    .help = "MODEL is tokenizer.json, vocab.txt, vocab.json (with merges.txt), a .gguf file, or a folder that holds one of the\n"
            "first three, as Hugging Face's do. Reads lines from standard input: text for encode, numbers for decode (or encode's own --json lines). With --json each becomes a\n"
            "line {\"ids\":[...],\"tokens\":[...]}, or a JSON text.\n",
};
