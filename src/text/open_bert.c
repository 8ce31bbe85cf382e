/* open_bert.c: `vocab.txt`, BERT's vocabulary: a token a line, its number is the line's. */
#include "text/internal.h"

/* The end of the line without blanks, as Rust's trim_end has it: any white space. */
static size_t trimmed(const char *line, size_t bytes)
{
    while (bytes > 0) {
        size_t letter = bytes - 1;
        for (; letter > 0 && ((unsigned char)line[letter] & 0xc0) == 0x80; letter--) {
        }
        int32_t code;
        cb__decode(line + letter, &code);
        if (!(cb__kind(code) & CB__SPACE)) {
            break;
        }
        bytes = letter;
    }
    return bytes;
}

static enum cb_status put_lines(struct cb__opening *o, const struct cb_tokenizer_file *file)
{
    size_t lines = 0;
    for (size_t i = 0; i < file->bytes; i++) {
        lines += file->data[i] == '\n' || i + 1 == file->bytes;
    }
    uint64_t id = 0;
    for (size_t i = 0; i < file->bytes; id++) {
        const char *line = file->data + i, *end = memchr(line, '\n', file->bytes - i);
        size_t bytes = end ? (size_t)(end - line) : file->bytes - i;
        CB_TRY(cb__put_token(o, id, line, trimmed(line, bytes), 0, lines, NULL));
        i += bytes + 1;
    }
    return CB_OK;
}

/* Special tokens that BERT's vocabularies have, in the order of its part in an encoding. */
static enum cb_status put_special(struct cb__opening *o)
{
    static const struct {
        const char *text;
        enum cb_special part;
    } special[] = {{"[UNK]", CB_SPECIAL_UNKNOWN}, {"[SEP]", CB_SPECIAL_SEP}, {"[PAD]", CB_SPECIAL_PAD},
                   {"[CLS]", CB_SPECIAL_CLS}, {"[MASK]", CB_SPECIAL_MASK}};
    for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
        uint32_t id = cb__trie_find(&o->tokenizer->trie, special[i].text, strlen(special[i].text));
        if (id != CB_NO_TOKEN) {
            CB_TRY(cb__put_added(o, special[i].text, strlen(special[i].text), (struct cb__added_flags){.is_special = true}));
            o->tokenizer->special[special[i].part] = id;
        }
    }
    return CB_OK;
}

static enum cb_status put_template(struct cb__opening *o)
{
    struct cb_tokenizer *tokenizer = o->tokenizer;
    uint32_t cls = tokenizer->special[CB_SPECIAL_CLS], sep = tokenizer->special[CB_SPECIAL_SEP];
    if (cls == CB_NO_TOKEN || sep == CB_NO_TOKEN) {
        return CB_OK;
    }
    const struct cb__template_item items[] = {{CB__ITEM_TOKEN, cls, 0}, {CB__ITEM_TEXT, 0, 0}, {CB__ITEM_TOKEN, sep, 0},
                                              {CB__ITEM_PAIR, 0, 1}, {CB__ITEM_TOKEN, sep, 1}};
    struct cb__template_item *copy = cb_arena_copy(tokenizer->arena, items, sizeof(items));
    if (!copy) {
        return cb__opening_memory(o);
    }
    tokenizer->single = (struct cb__template){copy, 3, true};
    tokenizer->pair = (struct cb__template){copy, 5, true};
    return CB_OK;
}

static bool setting(const struct cb_value *config, const char *key, bool usual)
{
    const struct cb_value *value = config ? cb_map_get(config, key) : NULL;
    return value && value->kind == CB_KIND_BOOL ? value->as.boolean : usual;
}

enum cb_status cb__open_vocab_txt(struct cb__opening *o, const struct cb_tokenizer_file *file)
{
    struct cb_tokenizer *tokenizer = o->tokenizer;
    struct cb_value *config = NULL;
    size_t valid = cb__valid_bytes(file->data, file->bytes), line = 1;
    if (valid < file->bytes) {
        for (size_t i = 0; i < valid; i++) {
            line += file->data[i] == '\n';
        }
        return cb_fail(o->diag, CB_FORMAT, o->at, "`%s`: line %zu of %s is not UTF-8", o->name, line, file->name);
    }
    CB_TRY(cb__opening_json(o, "tokenizer_config.json", &config));
    CB_TRY(put_lines(o, file));
    CB_TRY(cb__build_trie(o));
    tokenizer->model = CB__MODEL_WORDPIECE;
    tokenizer->continuing = "##";
    tokenizer->most_letters = 100;
    struct cb__normal_step *normal = cb__add_normal(o);
    struct cb__cut_step *cut = cb__add_cut(o);
    struct cb__decode_step *decode = cb__add_decode(o);
    if (!normal || !cut || !decode) {
        return cb__opening_memory(o);
    }
    bool is_lower = setting(config, "do_lower_case", true);
    *normal = (struct cb__normal_step){.change = CB__CHANGE_BERT, .clean = true, .lowercase = is_lower,
                                       .chinese = setting(config, "tokenize_chinese_chars", true),
                                       .strip_accents = setting(config, "strip_accents", is_lower)};
    *cut = (struct cb__cut_step){.cut = CB__CUT_BERT};
    *decode = (struct cb__decode_step){.decode = CB__DECODE_WORDPIECE, .text = "##", .text_bytes = 2, .cleans = true};
    CB_TRY(put_special(o));
    tokenizer->unknown = tokenizer->special[CB_SPECIAL_UNKNOWN];
    return put_template(o);
}
