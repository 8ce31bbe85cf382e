/* read_steps.c: the normalizer, pre-tokenizer, post-processor and decoder of tokenizer.json. What is not known here is
 * an error: a step left out would give other ids. */
#include "text/internal.h"

static const char *text_of(const struct cb_value *map, const char *key)
{
    const struct cb_value *value = cb_map_get(map, key);
    return value && value->kind == CB_KIND_TEXT ? value->text : NULL;
}

static bool flag_of(const struct cb_value *map, const char *key, bool usual)
{
    const struct cb_value *value = cb_map_get(map, key);
    return value && value->kind == CB_KIND_BOOL ? value->as.boolean : usual;
}

static int64_t number_of(const struct cb_value *map, const char *key, int64_t usual)
{
    const struct cb_value *value = cb_map_get(map, key);
    return value && value->kind == CB_KIND_INT ? value->as.integer : usual;
}

static bool is_absent(const struct cb_value *value)
{
    return !value || value->kind == CB_KIND_NULL;
}

/* The step's `type` among `words`, or an error with the nearest. */
static enum cb_status read_type(struct cb__opening *o, const struct cb_value *value, const char *what,
                                const char *const *words, size_t count, size_t *out)
{
    const char *type = text_of(value, "type");
    for (size_t i = 0; type && i < count; i++) {
        if (strcmp(words[i], type) == 0) {
            *out = i;
            return CB_OK;
        }
    }
    if (!type) {
        return cb_fail(o->diag, CB_FORMAT, &value->at, "a %s is a map with a `type`", what);
    }
    const char *nearest = cb_nearest_of(type, words, count);
    return cb_fail(o->diag, CB_UNSUPPORTED, &cb_map_get(value, "type")->at, "the %s `%s` is not supported%s%s%s", what, type,
                   nearest ? "; did you mean `" : "", nearest ? nearest : "", nearest ? "`?" : "");
}

typedef enum cb_status (*reader)(struct cb__opening *o, const struct cb_value *value);

/* The items of a Sequence, which stand under `key`. */
static enum cb_status read_sequence(struct cb__opening *o, const struct cb_value *value, const char *key, reader read)
{
    const struct cb_value *list = cb_map_get(value, key);
    if (!list || list->kind != CB_KIND_LIST) {
        return cb_fail(o->diag, CB_FORMAT, &value->at, "a Sequence has a list, `%s`", key);
    }
    for (size_t i = 0; i < list->as.list.count; i++) {
        CB_TRY(read(o, list->as.list.items[i]));
    }
    return CB_OK;
}

/* `pattern: {String: ...}` or `{Regex: ...}`. */
static enum cb_status read_pattern(struct cb__opening *o, const struct cb_value *value, const struct cb__pattern **out,
                                   const char **out_regex)
{
    const struct cb_value *pattern = cb_map_get(value, "pattern");
    const char *literal = text_of(pattern, "String"), *regex = text_of(pattern, "Regex");
    if (!literal && !regex) {
        return cb_fail(o->diag, CB_FORMAT, &value->at, "a `pattern` is {\"String\": ...} or {\"Regex\": ...}");
    }
    *out_regex = regex;
    return cb__pattern_create(o->tokenizer->arena, regex ? regex : literal, !regex, out, &pattern->at, o->diag);
}

static enum cb_status read_letter(struct cb__opening *o, const struct cb_value *value, const char *key, int32_t *out)
{
    const char *text = text_of(value, key);
    if (!text || !*text || text[cb__letter_bytes(*text)] != '\0') {
        return cb_fail(o->diag, CB_FORMAT, &value->at, "`%s` must be one letter", key);
    }
    cb__decode(text, out);
    return CB_OK;
}

/* ---- normalizer ---------------------------------------------------------------------------------------------------- */

enum cb_status cb__read_normalizer(struct cb__opening *o, const struct cb_value *value)
{
    static const char *const words[] = {"BertNormalizer", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Strip",
                                        "StripAccents", "Nmt", "Replace", "Prepend", "ByteLevel", "Precompiled",
                                        "Sequence"};
    enum { SEQUENCE = 13 };
    size_t type = 0;
    if (is_absent(value)) {
        return CB_OK;
    }
    CB_TRY(read_type(o, value, "normalizer", words, SEQUENCE + 1, &type));
    if (type == SEQUENCE) {
        return read_sequence(o, value, "normalizers", cb__read_normalizer);
    }
    struct cb__normal_step *step = cb__add_normal(o);
    if (!step) {
        return cb__opening_memory(o);
    }
    step->change = (enum cb__change)type;
    step->lowercase = flag_of(value, "lowercase", true);
    step->clean = flag_of(value, "clean_text", true);
    step->chinese = flag_of(value, "handle_chinese_chars", true);
    step->strip_accents = flag_of(value, "strip_accents", step->lowercase);
    step->strip_left = flag_of(value, "strip_left", true);
    step->strip_right = flag_of(value, "strip_right", true);
    const char *content = text_of(value, type == CB__CHANGE_PREPEND ? "prepend" : "content"), *regex;
    step->content = content ? content : "";
    step->content_bytes = strlen(step->content);
    if (type == CB__CHANGE_CHARSMAP) {
        const char *map = text_of(value, "precompiled_charsmap");
        return map ? cb__charsmap_create(o->tokenizer->arena, map, &step->charsmap, &value->at, o->diag)
                   : cb_fail(o->diag, CB_FORMAT, &value->at, "a Precompiled normalizer has a `precompiled_charsmap`");
    }
    return type == CB__CHANGE_REPLACE ? read_pattern(o, value, &step->pattern, &regex) : CB_OK;
}

/* ---- pre-tokenizer ------------------------------------------------------------------------------------------------- */

static enum cb_status read_behavior(struct cb__opening *o, const struct cb_value *value, enum cb__behavior *out)
{
    static const char *const words[] = {"Isolated", "Removed", "Contiguous", "MergedWithPrevious", "MergedWithNext"};
    const char *word = text_of(value, "behavior");
    for (size_t i = 0; word && i < 5; i++) {
        if (strcmp(words[i], word) == 0) {
            *out = (enum cb__behavior)i;
            return CB_OK;
        }
    }
    return cb_fail(o->diag, CB_FORMAT, &value->at, "`behavior` is one of Isolated, Removed, Contiguous,"
                   " MergedWithPrevious, MergedWithNext");
}

static enum cb_status read_metaspace(struct cb__opening *o, const struct cb_value *value, struct cb__cut_step *step)
{
    const char *scheme = text_of(value, "prepend_scheme");
    step->splits = flag_of(value, "split", true);
    step->always_prefix = flag_of(value, "add_prefix_space", true) && (!scheme || strcmp(scheme, "always") == 0);
    step->first_prefix = scheme && strcmp(scheme, "first") == 0;
    return read_letter(o, value, "replacement", &step->letter);
}

enum cb_status cb__read_pre_tokenizer(struct cb__opening *o, const struct cb_value *value)
{
    static const char *const words[] = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit", "Punctuation", "Digits", "Split",
                                        "ByteLevel", "Metaspace", "CharDelimiterSplit", "FixedLength", "Sequence"};
    enum { SEQUENCE = 10 };
    size_t type = 0;
    if (is_absent(value)) {
        return CB_OK;
    }
    CB_TRY(read_type(o, value, "pre-tokenizer", words, SEQUENCE + 1, &type));
    if (type == SEQUENCE) {
        return read_sequence(o, value, "pretokenizers", cb__read_pre_tokenizer);
    }
    struct cb__cut_step *step = cb__add_cut(o);
    if (!step) {
        return cb__opening_memory(o);
    }
    step->cut = (enum cb__cut)type;
    step->is_individual = flag_of(value, "individual_digits", false);
    step->is_inverted = flag_of(value, "invert", false);
    step->has_prefix = flag_of(value, "add_prefix_space", true);
    step->has_regex = flag_of(value, "use_regex", true);
    const char *regex = NULL;
    switch (step->cut) {
    case CB__CUT_PUNCTUATION:
        return cb_map_get(value, "behavior") ? read_behavior(o, value, &step->behavior) : CB_OK;
    case CB__CUT_SPLIT:
        CB_TRY(read_behavior(o, value, &step->behavior));
        CB_TRY(read_pattern(o, value, &step->pattern, &regex));
        /* a known pattern matches everywhere, so that matches isolated, and what is not matched removed, are the same */
        step->scan = regex && step->behavior == (step->is_inverted ? CB__REMOVED : CB__ISOLATED) ? cb__scan_of(regex) : NULL;
        return CB_OK;
    case CB__CUT_METASPACE:
        return read_metaspace(o, value, step);
    case CB__CUT_DELIMITER:
        return read_letter(o, value, "delimiter", &step->letter);
    case CB__CUT_FIXED:
        step->length = (size_t)number_of(value, "length", 5);
        return number_of(value, "length", 5) > 0 ? CB_OK
               : cb_fail(o->diag, CB_FORMAT, &value->at, "`length` must be 1 or more");
    default:
        return CB_OK;
    }
}

/* ---- post-processor ------------------------------------------------------------------------------------------------ */

static enum cb_status put_item(struct cb__opening *o, struct cb__template *template, struct cb__template_item item,
                               size_t most)
{
    if (!template->items) {
        template->items = CB_NEW_ARRAY(o->tokenizer->arena, struct cb__template_item, most);
    }
    if (!template->items || template->count == most) {
        return cb__opening_memory(o);
    }
    template->items[template->count++] = item;
    return CB_OK;
}

static enum cb_status read_template(struct cb__opening *o, const struct cb_value *list, const struct cb_value *special,
                                    struct cb__template *out)
{
    enum { MOST = 64 };
    out->is_given = true;
    for (size_t i = 0; list && list->kind == CB_KIND_LIST && i < list->as.list.count; i++) {
        const struct cb_value *item = list->as.list.items[i], *sequence = cb_map_get(item, "Sequence");
        const struct cb_value *token = cb_map_get(item, "SpecialToken"), *part = sequence ? sequence : token;
        const char *id = text_of(part, "id");
        int64_t segment = number_of(part, "type_id", 0);
        if (!id || segment < 0 || segment > 255 || i >= MOST / 2) {
            return cb_fail(o->diag, CB_FORMAT, &item->at, "an item of a template is a Sequence or a SpecialToken with an id");
        }
        if (sequence) {
            CB_TRY(put_item(o, out, (struct cb__template_item){strcmp(id, "B") == 0 ? CB__ITEM_PAIR : CB__ITEM_TEXT, 0,
                                                               (uint8_t)segment}, MOST));
            continue;
        }
        const struct cb_value *ids = cb_map_get(cb_map_get(special, id), "ids");
        for (size_t k = 0; ids && ids->kind == CB_KIND_LIST && k < ids->as.list.count; k++) {
            const struct cb_value *number = ids->as.list.items[k];
            if (number->kind != CB_KIND_INT || number->as.integer < 0 || number->as.integer >= o->tokenizer->size) {
                return cb_fail(o->diag, CB_FORMAT, &number->at, "`%s` has the number of no token", id);
            }
            CB_TRY(put_item(o, out, (struct cb__template_item){CB__ITEM_TOKEN, (uint32_t)number->as.integer,
                                                               (uint8_t)segment}, MOST));
        }
        if (!ids) {
            return cb_fail(o->diag, CB_FORMAT, &item->at, "the template's `%s` is not among its `special_tokens`", id);
        }
    }
    return CB_OK;
}

/* `sep: ["</s>", 2]`. */
static enum cb_status read_pair(struct cb__opening *o, const struct cb_value *value, const char *key, uint32_t *out)
{
    const struct cb_value *pair = cb_map_get(value, key);
    if (!pair || pair->kind != CB_KIND_LIST || pair->as.list.count != 2 || pair->as.list.items[1]->kind != CB_KIND_INT ||
        pair->as.list.items[1]->as.integer < 0 || pair->as.list.items[1]->as.integer >= o->tokenizer->size) {
        return cb_fail(o->diag, CB_FORMAT, &value->at, "`%s` is [token, number]", key);
    }
    *out = (uint32_t)pair->as.list.items[1]->as.integer;
    return CB_OK;
}

static enum cb_status read_cls_sep(struct cb__opening *o, const struct cb_value *value, bool is_roberta)
{
    uint32_t cls = 0, sep = 0;
    uint8_t second = is_roberta ? 0 : 1;
    CB_TRY(read_pair(o, value, "cls", &cls));
    CB_TRY(read_pair(o, value, "sep", &sep));
    const struct cb__template_item items[] = {{CB__ITEM_TOKEN, cls, 0}, {CB__ITEM_TEXT, 0, 0}, {CB__ITEM_TOKEN, sep, 0},
                                              {CB__ITEM_TOKEN, sep, 0}, {CB__ITEM_PAIR, 0, second},
                                              {CB__ITEM_TOKEN, sep, second}};
    for (size_t i = 0; i < 6; i++) {
        if (i < 3) {
            CB_TRY(put_item(o, &o->tokenizer->single, items[i], 8));
        }
        if (i != 3 || is_roberta) {
            CB_TRY(put_item(o, &o->tokenizer->pair, items[i], 8));
        }
    }
    o->tokenizer->single.is_given = o->tokenizer->pair.is_given = true;
    return CB_OK;
}

enum cb_status cb__read_post_processor(struct cb__opening *o, const struct cb_value *value)
{
    static const char *const words[] = {"TemplateProcessing", "BertProcessing", "RobertaProcessing", "ByteLevel", "Sequence"};
    size_t type = 0;
    if (is_absent(value)) {
        return CB_OK;
    }
    CB_TRY(read_type(o, value, "post-processor", words, 5, &type));
    if (type < 3 && o->tokenizer->single.is_given) {
        return cb_fail(o->diag, CB_UNSUPPORTED, &value->at, "two post-processors that add tokens are not supported");
    }
    switch (type) {
    case 0:
        CB_TRY(read_template(o, cb_map_get(value, "single"), cb_map_get(value, "special_tokens"), &o->tokenizer->single));
        return read_template(o, cb_map_get(value, "pair"), cb_map_get(value, "special_tokens"), &o->tokenizer->pair);
    case 1:
    case 2:
        return read_cls_sep(o, value, type == 2);
    case 3:
        return CB_OK; /* it moves offsets alone */
    default:
        return read_sequence(o, value, "processors", cb__read_post_processor);
    }
}

/* ---- decoder ------------------------------------------------------------------------------------------------------- */

enum cb_status cb__read_decoder(struct cb__opening *o, const struct cb_value *value)
{
    static const char *const words[] = {"ByteLevel", "WordPiece", "Metaspace", "ByteFallback", "Fuse", "Strip", "Replace",
                                        "BPEDecoder", "Sequence"};
    size_t type = 0;
    if (is_absent(value)) {
        return CB_OK;
    }
    CB_TRY(read_type(o, value, "decoder", words, 9, &type));
    if (type == 8) {
        return read_sequence(o, value, "decoders", cb__read_decoder);
    }
    struct cb__decode_step *step = cb__add_decode(o);
    if (!step) {
        return cb__opening_memory(o);
    }
    step->decode = (enum cb__decode)type;
    const char *text = text_of(value, type == CB__DECODE_WORDPIECE ? "prefix" : "suffix");
    const char *content = text_of(value, "content"), *scheme = text_of(value, "prepend_scheme"), *regex;
    step->text = text ? text : "";
    step->text_bytes = strlen(step->text);
    step->content = content ? content : "";
    step->content_bytes = strlen(step->content);
    step->cleans = flag_of(value, "cleanup", true);
    step->strips_first = flag_of(value, "add_prefix_space", true) && !(scheme && strcmp(scheme, "never") == 0);
    step->start = (size_t)number_of(value, "start", 0);
    step->stop = (size_t)number_of(value, "stop", 0);
    if (type == CB__DECODE_METASPACE || type == CB__DECODE_STRIP) {
        CB_TRY(read_letter(o, value, type == CB__DECODE_STRIP ? "content" : "replacement", &step->letter));
    }
    return type == CB__DECODE_REPLACE ? read_pattern(o, value, &step->pattern, &regex) : CB_OK;
}
