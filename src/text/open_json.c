/* open_json.c: `tokenizer.json`: added tokens and the model; its other parts are read in read_steps.c. */
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

/* `vocab` of WordPiece and BPE: a map from tokens to numbers. */
static enum cb_status put_map(struct cb__opening *o, const struct cb_value *vocab)
{
    for (size_t i = 0; i < vocab->as.map.count; i++) {
        const struct cb_entry *entry = &vocab->as.map.entries[i];
        if (entry->value->kind != CB_KIND_INT || entry->value->as.integer < 0) {
            return cb_fail(o->diag, CB_FORMAT, &entry->value->at, "token `%s` needs a number from 0 on", entry->key);
        }
        CB_TRY(cb__put_token(o, (uint64_t)entry->value->as.integer, entry->key, strlen(entry->key), 0,
                             vocab->as.map.count, &entry->at));
    }
    return CB_OK;
}

/* `vocab` of unigram: a list of [token, score]. */
static enum cb_status put_list(struct cb__opening *o, const struct cb_value *vocab)
{
    double least = 0;
    for (size_t i = 0; i < vocab->as.list.count; i++) {
        const struct cb_value *item = vocab->as.list.items[i];
        double score;
        if (item->kind != CB_KIND_LIST || item->as.list.count != 2 || item->as.list.items[0]->kind != CB_KIND_TEXT ||
            !cb_value_number(item->as.list.items[1], &score)) {
            return cb_fail(o->diag, CB_FORMAT, &item->at, "a token of a unigram model is [text, score]");
        }
        const char *text = item->as.list.items[0]->text;
        CB_TRY(cb__put_token(o, i, text, strlen(text), score, vocab->as.list.count, &item->at));
        least = i == 0 || score < least ? score : least;
    }
    o->tokenizer->unknown_score = least - 10; /* kUnkPenalty */
    return CB_OK;
}

/* A merge: ["a", "b"], or "a b" as older files have it. */
static enum cb_status put_merge(struct cb__opening *o, const struct cb_value *item, uint32_t rank)
{
    struct cb_tokenizer *t = o->tokenizer;
    const char *parts[2] = {NULL, NULL};
    size_t bytes[2] = {0, 0};
    char joined[4096];
    if (item->kind == CB_KIND_LIST && item->as.list.count == 2) {
        for (int i = 0; i < 2; i++) {
            parts[i] = item->as.list.items[i]->kind == CB_KIND_TEXT ? item->as.list.items[i]->text : NULL;
            bytes[i] = parts[i] ? strlen(parts[i]) : 0;
        }
    } else if (item->kind == CB_KIND_TEXT && strchr(item->text, ' ')) {
        const char *blank = strchr(item->text, ' ');
        parts[0] = item->text;
        bytes[0] = (size_t)(blank - item->text);
        parts[1] = strchr(blank + 1, ' ') ? NULL : blank + 1;
        bytes[1] = strlen(blank + 1);
    }
    if (!parts[0] || !parts[1] || bytes[0] + bytes[1] > sizeof(joined)) {
        return cb_fail(o->diag, CB_FORMAT, &item->at, "a merge is two tokens");
    }
    size_t skip = t->prefix && bytes[1] >= strlen(t->prefix) ? strlen(t->prefix) : 0;
    memcpy(joined, parts[0], bytes[0]);
    memcpy(joined + bytes[0], parts[1] + skip, bytes[1] - skip);
    uint32_t left = cb__trie_find(&t->trie, parts[0], bytes[0]), right = cb__trie_find(&t->trie, parts[1], bytes[1]);
    uint32_t both = cb__trie_find(&t->trie, joined, bytes[0] + bytes[1] - skip);
    if (left == CB_NO_TOKEN || right == CB_NO_TOKEN || both == CB_NO_TOKEN) {
        return cb_fail(o->diag, CB_FORMAT, &item->at, "a merge whose parts, or what they make, the vocabulary lacks");
    }
    cb__merges_put(t, left, right, rank, both);
    return CB_OK;
}

static enum cb_status read_bpe(struct cb__opening *o, const struct cb_value *model)
{
    struct cb_tokenizer *t = o->tokenizer;
    const struct cb_value *merges = cb_map_get(model, "merges");
    const char *prefix = text_of(model, "continuing_subword_prefix"), *suffix = text_of(model, "end_of_word_suffix");
    double dropout = 0;
    if (cb_map_get(model, "dropout") && cb_value_number(cb_map_get(model, "dropout"), &dropout) && dropout > 0) {
        cb_warn(o->diag, &cb_map_get(model, "dropout")->at, "merges that are left out by chance are not supported:"
                " all are made");
    }
    t->model = CB__MODEL_BPE;
    t->prefix = prefix && *prefix ? prefix : NULL;
    t->suffix = suffix && *suffix ? suffix : NULL;
    t->fuses_unknown = flag_of(model, "fuse_unk", false);
    t->has_byte_fallback = flag_of(model, "byte_fallback", false);
    t->ignores_merges = flag_of(model, "ignore_merges", false);
    if (!merges || merges->kind != CB_KIND_LIST) {
        return cb_fail(o->diag, CB_FORMAT, &model->at, "a BPE model has a list of `merges`");
    }
    CB_TRY(cb__merges_reserve(o, merges->as.list.count));
    for (size_t i = 0; i < merges->as.list.count; i++) {
        CB_TRY(put_merge(o, merges->as.list.items[i], (uint32_t)i));
    }
    return CB_OK;
}

static enum cb_status read_unknown(struct cb__opening *o, const struct cb_value *model)
{
    struct cb_tokenizer *t = o->tokenizer;
    const struct cb_value *id = cb_map_get(model, "unk_id");
    const char *word = text_of(model, "unk_token");
    if (t->model == CB__MODEL_UNIGRAM) {
        if (id && id->kind == CB_KIND_INT) {
            if (id->as.integer < 0 || id->as.integer >= t->size) {
                return cb_fail(o->diag, CB_FORMAT, &id->at, "`unk_id` is the number of no token");
            }
            t->unknown = (uint32_t)id->as.integer;
        }
    } else if (word) {
        t->unknown = cb__trie_find(&t->trie, word, strlen(word));
    }
    t->special[CB_SPECIAL_UNKNOWN] = t->unknown;
    return CB_OK;
}

static enum cb_status read_model(struct cb__opening *o, const struct cb_value *model)
{
    static const char *const kinds[] = {"WordPiece", "BPE", "Unigram"};
    struct cb_tokenizer *t = o->tokenizer;
    const struct cb_value *vocab = model ? cb_map_get(model, "vocab") : NULL;
    const char *type = model ? text_of(model, "type") : NULL;
    if (!vocab || (vocab->kind != CB_KIND_MAP && vocab->kind != CB_KIND_LIST)) {
        return cb_fail(o->diag, CB_FORMAT, model ? &model->at : o->at, "`%s` has no `model` with a `vocab`", o->name);
    }
    type = type ? type : vocab->kind == CB_KIND_LIST ? "Unigram" : cb_map_get(model, "merges") ? "BPE" : "WordPiece";
    if (strcmp(type, "WordPiece") != 0 && strcmp(type, "BPE") != 0 && strcmp(type, "Unigram") != 0) {
        const char *nearest = cb_nearest_of(type, kinds, 3);
        return cb_fail(o->diag, CB_UNSUPPORTED, &cb_map_get(model, "type")->at, "the model `%s` is not known%s%s%s", type,
                       nearest ? "; did you mean `" : "; WordPiece, BPE and Unigram are", nearest ? nearest : "",
                       nearest ? "`?" : "");
    }
    if ((strcmp(type, "Unigram") == 0) != (vocab->kind == CB_KIND_LIST)) {
        return cb_fail(o->diag, CB_FORMAT, &vocab->at, "the `vocab` of a %s model is %s", type,
                       vocab->kind == CB_KIND_LIST ? "a map" : "a list");
    }
    CB_TRY(vocab->kind == CB_KIND_LIST ? put_list(o, vocab) : put_map(o, vocab));
    CB_TRY(cb__build_trie(o));
    if (*type == 'B') {
        CB_TRY(read_bpe(o, model));
    } else if (*type == 'U') {
        t->model = CB__MODEL_UNIGRAM;
        t->has_byte_fallback = flag_of(model, "byte_fallback", false);
    } else {
        const struct cb_value *most = cb_map_get(model, "max_input_chars_per_word");
        const char *continuing = text_of(model, "continuing_subword_prefix");
        t->model = CB__MODEL_WORDPIECE;
        t->continuing = continuing ? continuing : "##";
        t->most_letters = most && most->kind == CB_KIND_INT && most->as.integer >= 0 ? (size_t)most->as.integer : 100;
    }
    return read_unknown(o, model);
}

static enum cb_status read_added(struct cb__opening *o, const struct cb_value *list)
{
    for (size_t i = 0; list && list->kind == CB_KIND_LIST && i < list->as.list.count; i++) {
        const struct cb_value *item = list->as.list.items[i];
        const char *content = text_of(item, "content");
        if (!content) {
            return cb_fail(o->diag, CB_FORMAT, &item->at, "an added token has a text, `content`");
        }
        bool is_special = flag_of(item, "special", false);
        CB_TRY(cb__put_added(o, content, strlen(content),
                             (struct cb__added_flags){.is_single_word = flag_of(item, "single_word", false),
                                                      .takes_left = flag_of(item, "lstrip", false),
                                                      .takes_right = flag_of(item, "rstrip", false),
                                                      .is_normalized = flag_of(item, "normalized", !is_special),
                                                      .is_special = is_special}));
    }
    return CB_OK;
}

enum cb_status cb__open_json(struct cb__opening *o, const struct cb_value *root)
{
    CB_TRY(read_model(o, cb_map_get(root, "model")));
    CB_TRY(cb__read_normalizer(o, cb_map_get(root, "normalizer")));
    CB_TRY(cb__read_pre_tokenizer(o, cb_map_get(root, "pre_tokenizer")));
    CB_TRY(read_added(o, cb_map_get(root, "added_tokens")));
    CB_TRY(cb__read_post_processor(o, cb_map_get(root, "post_processor")));
    return cb__read_decoder(o, cb_map_get(root, "decoder"));
}
