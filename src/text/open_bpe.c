/* open_bpe.c: byte-level BPE that is not written as a tokenizer.json: `vocab.json` with `merges.txt` (GPT-2, RoBERTa), and
 * the tokenizer in a GGUF file. Both are put as a tokenizer.json and read as one. */
#include "text/internal.h"

#include "weights/tensors.h"

/* The pre-tokenizers that llama.cpp numbers by name (`tokenizer.ggml.pre`), as their models' own tokenizer.json has them. */
#define BYTES(regex) "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":" regex "}"
#define SPLIT(pattern) "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" pattern \
    "\"},\"behavior\":\"Isolated\",\"invert\":false}," BYTES("false") "]}"
#define WORDS(digits) "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|" digits \
    "| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define DIGITS "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\",\"individual_digits\":true}," BYTES("true") "]}"
static const struct {
    const char *name, *json;
    bool begins_usually; /* a token of beginning is added where the file does not say */
} pre_tokenizers[] = {
    {"gpt-2", BYTES("true"), false},
    {"smollm", DIGITS, false},
    {"starcoder", DIGITS, false},
    {"llama-bpe", SPLIT(WORDS("\\\\p{N}{1,3}")), true},
    {"qwen2", SPLIT(WORDS("\\\\p{N}")), false},
};

static void add_key(struct cb_text *out, const char *separator, const char *key)
{
    cb_text_add(out, separator);
    cb_text_add_json_string(out, key);
    cb_text_add(out, ":");
}

/* ---- vocab.json and merges.txt ------------------------------------------------------------------------------------- */

/* Its lines but for "#version: ..." and empty ones. */
static void add_merges(struct cb_arena *arena, const struct cb_tokenizer_file *file, struct cb_text *out)
{
    const char *separator = "";
    for (size_t i = 0; i < file->bytes;) {
        const char *line = file->data + i, *end = memchr(line, '\n', file->bytes - i);
        size_t bytes = end ? (size_t)(end - line) : file->bytes - i;
        i += bytes + 1;
        bytes -= bytes > 0 && line[bytes - 1] == '\r';
        const char *copy = cb_arena_strndup(arena, line, bytes);
        out->failed |= copy == NULL;
        if (copy && bytes > 0 && strncmp(copy, "#version", 8) != 0) {
            cb_text_add(out, separator);
            cb_text_add_json_string(out, copy);
            separator = ",";
        }
    }
}

/* RoBERTa's vocabulary is told by its special tokens; they stand around a text, GPT-2's one does not. */
static void add_special(const struct cb_value *vocab, bool has_prefix, struct cb_text *out)
{
    static const char *const roberta[] = {"<s>", "<pad>", "</s>", "<unk>", "<mask>"};
    const struct cb_value *begin = cb_map_get(vocab, "<s>"), *end = cb_map_get(vocab, "</s>");
    cb_text_add(out, ",\"added_tokens\":[");
    if (begin && end && cb_map_get(vocab, "<mask>")) {
        for (size_t i = 0; i < 5; i++) {
            cb_text_addf(out, "%s{\"content\":\"%s\",\"special\":true,\"normalized\":%s}", i > 0 ? "," : "", roberta[i],
                         i < 4 ? "true" : "false");
        }
        cb_text_addf(out, "],\"post_processor\":{\"type\":\"RobertaProcessing\",\"sep\":[\"</s>\",%s],\"cls\":[\"<s>\",%s],"
                     "\"trim_offsets\":true,\"add_prefix_space\":%s}", end->text ? end->text : "0",
                     begin->text ? begin->text : "0", has_prefix ? "true" : "false");
        return;
    }
    cb_text_add(out, cb_map_get(vocab, "<|endoftext|>") ? "{\"content\":\"<|endoftext|>\",\"special\":true,"
                                                          "\"normalized\":true}]" : "]");
}

enum cb_status cb__open_vocab_json(struct cb__opening *o)
{
    struct cb_arena *arena = o->tokenizer->arena;
    const struct cb_tokenizer_file *merges = cb__opening_file(o, "merges.txt");
    struct cb_value *vocab = NULL, *config = NULL, *root = NULL;
    struct cb_text json = {0};
    CB_TRY(cb__opening_json(o, "vocab.json", &vocab));
    CB_TRY(cb__opening_json(o, "tokenizer_config.json", &config));
    if (!merges || vocab->kind != CB_KIND_MAP) {
        return cb_fail(o->diag, CB_FORMAT, o->at, "`%s`: vocab.json %s", o->name,
                       merges ? "is no map from tokens to numbers" : "has no merges.txt beside it");
    }
    const struct cb_value *prefix = config ? cb_map_get(config, "add_prefix_space") : NULL;
    bool has_prefix = prefix && prefix->kind == CB_KIND_BOOL && prefix->as.boolean;
    cb_text_add(&json, "{\"model\":{\"type\":\"BPE\",\"vocab\":");
    cb_value_to_json(vocab, &json);
    cb_text_add(&json, ",\"merges\":[");
    add_merges(arena, merges, &json);
    cb_text_addf(&json, "]},\"decoder\":{\"type\":\"ByteLevel\"},\"pre_tokenizer\":{\"type\":\"ByteLevel\","
                 "\"add_prefix_space\":%s}", has_prefix ? "true" : "false");
    add_special(vocab, has_prefix, &json);
    cb_text_add(&json, "}");
    enum cb_status status = json.failed ? cb__opening_memory(o)
                            : cb_json_read_text(arena, "merges.txt", json.data, json.length, &root, o->diag);
    cb_text_free(&json);
    return status == CB_OK ? cb__open_json(o, root) : status;
}

/* ---- GGUF ---------------------------------------------------------------------------------------------------------- */

struct gguf {
    struct cb__opening *o;
    struct cb_tensor_file *file;
    const struct cb_fact *tokens, *types, *merges;
};

static const char *text_at(const struct gguf *g, const struct cb_fact *fact, uint64_t i)
{
    size_t bytes = 0;
    const char *text = fact ? cb_fact_text(fact, i, &bytes) : NULL;
    return text ? cb_arena_strndup(g->o->tokenizer->arena, text, bytes) : NULL;
}

static const char *text_fact(const struct gguf *g, const char *key)
{
    return text_at(g, cb_tensors_fact(g->file, key), 0);
}

/* The number of the token named so in the file; below 0: none. */
static int64_t token_fact(const struct gguf *g, const char *key)
{
    const struct cb_fact *fact = cb_tensors_fact(g->file, key);
    int64_t id = fact && !fact->is_list && fact->kind == CB_FACT_INTEGER ? cb_fact_integer(fact, 0) : -1;
    return id >= 0 && (uint64_t)id < g->tokens->count ? id : -1;
}

static void add_token(const struct gguf *g, const char *separator, uint64_t i, const char *after, struct cb_text *out)
{
    const char *text = text_at(g, g->tokens, i);
    cb_text_add(out, separator);
    cb_text_add_json_string(out, text ? text : "");
    cb_text_add(out, after);
    out->failed |= text == NULL;
}

/* Control tokens (3) and those that users defined (4) are found in the text as they are. */
static void add_model(const struct gguf *g, struct cb_text *out)
{
    const char *separator = "";
    cb_text_add(out, "{\"version\":\"1.0\",\"added_tokens\":[");
    for (uint64_t i = 0; g->types && i < g->tokens->count; i++) {
        int64_t type = cb_fact_integer(g->types, i);
        if (type == 3 || type == 4) {
            cb_text_addf(out, "%s{\"id\":%llu,\"content\":", separator, (unsigned long long)i);
            add_token(g, "", i, type == 3 ? ",\"special\":true" : ",\"special\":false", out);
            cb_text_add(out, ",\"normalized\":false}");
            separator = ",";
        }
    }
    cb_text_add(out, "],\"model\":{\"type\":\"BPE\",\"vocab\":{");
    for (uint64_t i = 0; i < g->tokens->count; i++) {
        add_token(g, i > 0 ? "," : "", i, ":", out);
        cb_text_addf(out, "%llu", (unsigned long long)i);
    }
    cb_text_add(out, "},\"merges\":[");
    for (uint64_t i = 0; i < g->merges->count; i++) {
        const char *merge = text_at(g, g->merges, i);
        cb_text_add(out, i > 0 ? "," : "");
        cb_text_add_json_string(out, merge ? merge : "");
    }
    cb_text_add(out, "]},\"decoder\":{\"type\":\"ByteLevel\"}");
}

/* The token of beginning, where the file wants it. */
static void add_begin(const struct gguf *g, bool is_usual, struct cb_text *out)
{
    const struct cb_fact *fact = cb_tensors_fact(g->file, "tokenizer.ggml.add_bos_token");
    int64_t begin = token_fact(g, "tokenizer.ggml.bos_token_id");
    if (begin < 0 || !(fact ? cb_fact_integer(fact, 0) != 0 : is_usual)) {
        return;
    }
#define ITEM(kind, id, segment) "{\"" kind "\":{\"id\":\"" id "\",\"type_id\":" segment "}}"
    cb_text_addf(out, ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[%s,%s],\"pair\":[%s,%s,%s,%s],"
                 "\"special_tokens\":{\"bos\":{\"id\":\"bos\",\"ids\":[%lld],\"tokens\":[\"bos\"]}}}",
                 ITEM("SpecialToken", "bos", "0"), ITEM("Sequence", "A", "0"), ITEM("SpecialToken", "bos", "0"),
                 ITEM("Sequence", "A", "0"), ITEM("SpecialToken", "bos", "1"), ITEM("Sequence", "B", "1"), (long long)begin);
#undef ITEM
}

static void add_config(const struct gguf *g, struct cb_text *out)
{
    static const char *const keys[][2] = {{"bos_token", "tokenizer.ggml.bos_token_id"},
                                          {"eos_token", "tokenizer.ggml.eos_token_id"},
                                          {"pad_token", "tokenizer.ggml.padding_token_id"},
                                          {"unk_token", "tokenizer.ggml.unknown_token_id"}};
    const char *separator = "{";
    for (size_t i = 0; i < 4; i++) {
        int64_t id = token_fact(g, keys[i][1]);
        if (id >= 0) {
            add_key(out, separator, keys[i][0]);
            add_token(g, "", (uint64_t)id, "", out);
            separator = ",";
        }
    }
    cb_text_add(out, *separator == '{' ? "{}" : "}");
}

static enum cb_status put_file(struct cb__opening *o, const char *name, struct cb_text *text)
{
    struct cb_tokenizer *tokenizer = o->tokenizer;
    char *copy = text->failed ? NULL : cb_arena_strndup(tokenizer->arena, text->data, text->length);
    tokenizer->files[tokenizer->file_count++] = (struct cb_tokenizer_file){name, copy, text->length};
    cb_text_free(text);
    return copy ? CB_OK : cb__opening_memory(o);
}

static enum cb_status write_files(struct gguf *g)
{
    struct cb__opening *o = g->o;
    struct cb_text json = {0}, config = {0};
    const char *model = text_fact(g, "tokenizer.ggml.model"), *pre = text_fact(g, "tokenizer.ggml.pre"), *names[8];
    size_t count = sizeof(pre_tokenizers) / sizeof(pre_tokenizers[0]), found = count;
    if (!model || strcmp(model, "gpt2") != 0 || !g->tokens || !g->merges || g->tokens->kind != CB_FACT_TEXT ||
        g->merges->kind != CB_FACT_TEXT || (g->types && g->types->count != g->tokens->count)) {
        return cb_fail(o->diag, CB_UNSUPPORTED, o->at, "`%s` has no tokenizer that is read: its `tokenizer.ggml.model` is"
                       " `%s`, and byte-level BPE (`gpt2`) with tokens and merges is", o->name, model ? model : "absent");
    }
    for (size_t i = 0; i < count; i++) {
        names[i] = pre_tokenizers[i].name;
        found = strcmp(names[i], pre ? pre : "gpt-2") == 0 ? i : found;
    }
    if (found == count) {
        const char *nearest = cb_nearest_of(pre, names, count);
        return cb_fail(o->diag, CB_UNSUPPORTED, o->at, "`%s`: the way to split of `%s` (`tokenizer.ggml.pre`) is not known;"
                       " that of `%s` is", o->name, pre, nearest ? nearest : "gpt-2, smollm, starcoder, llama-bpe, qwen2");
    }
    add_model(g, &json);
    add_key(&json, ",", "pre_tokenizer");
    cb_text_add(&json, pre_tokenizers[found].json);
    add_begin(g, pre_tokenizers[found].begins_usually, &json);
    cb_text_add(&json, "}");
    add_config(g, &config);
    enum cb_status status = put_file(o, "tokenizer.json", &json);
    enum cb_status second = put_file(o, "tokenizer_config.json", &config);
    return status != CB_OK ? status : second;
}

enum cb_status cb__open_gguf(struct cb__opening *o, const char *path)
{
    struct gguf g = {.o = o};
    CB_TRY(cb_tensors_open(path, &g.file, o->at, o->diag));
    g.tokens = cb_tensors_fact(g.file, "tokenizer.ggml.tokens");
    g.types = cb_tensors_fact(g.file, "tokenizer.ggml.token_type");
    g.merges = cb_tensors_fact(g.file, "tokenizer.ggml.merges");
    enum cb_status status = write_files(&g);
    cb_tensors_close(g.file);
    return status;
}
