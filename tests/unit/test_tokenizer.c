/* test_tokenizer.c: tokenizers against the package `tokenizers` (tests/reference/make_tokenizer_references.py), spans,
 * threads, damaged files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>
#include <pthread.h>

#include "base_common.h"
#include "base/file.h"
#include "text/tokenizer.h"

#define DATA CB_SOURCE_ROOT "/tests/data/tokenizers/"

static const char *const names[] = {"uncased", "cased", "gpt2", "roberta", "llama3", "smollm", "unigram",
                                    "charsmap", "llama"};

static struct cb_tokenizer *open_one(struct fixture *f, const char *name)
{
    struct cb_tokenizer *tokenizer = NULL;
    const char *path = cb_arena_printf(f->arena, DATA "%s%s", name, strchr(name, '.') ? "" : ".json");
    if (cb_tokenizer_open(path, &tokenizer, NULL, f->diag) != CB_OK) {
        fail_msg("%s", cb_diag_text(f->diag, 0));
    }
    return tokenizer;
}

/* The lines of a file, each a JSON value. */
static struct cb_value **read_lines(struct fixture *f, const char *name, size_t *out_count)
{
    char *text = NULL;
    size_t bytes = 0, count = 0;
    const char *path = cb_arena_printf(f->arena, DATA "%s", name);
    assert_int_equal(cb_file_read(f->arena, path, 1 << 24, &text, &bytes, NULL, f->diag), CB_OK);
    struct cb_value **lines = CB_NEW_ARRAY(f->arena, struct cb_value *, 4096);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        if (cb_json_read_text(f->arena, name, line, strlen(line), &lines[count++], f->diag) != CB_OK) {
            fail_msg("%s", cb_diag_text(f->diag, 0));
        }
    }
    *out_count = count;
    return lines;
}

static void expect_ids(const char *name, const char *text, const char *what, const struct cb_value *wanted,
                       const uint32_t *ids, size_t count)
{
    bool same = wanted->as.list.count == count;
    for (size_t i = 0; same && i < count; i++) {
        same = wanted->as.list.items[i]->as.integer == (int64_t)ids[i];
    }
    if (!same) {
        struct cb_text out = {0};
        cb_value_to_json(wanted, &out);
        cb_text_add(&out, ", not");
        for (size_t i = 0; i < count; i++) {
            cb_text_addf(&out, " %u", ids[i]);
        }
        fail_msg("%s: %s of `%s`: %s", name, what, text, out.data);
    }
}

/* The tokenizer in `file` gives the ids of NAME.ids. */
static void compare(struct fixture *f, const char *file, const char *name, struct cb_value **strings, size_t string_count)
{
    struct cb_tokenizer *tokenizer = open_one(f, file);
    size_t count = 0;
    struct cb_value **rows = read_lines(f, cb_arena_printf(f->arena, "%s.ids", name), &count);
    struct cb_tokens tokens = {0}, spanned = {0};
    assert_int_equal(count, string_count);
    for (size_t i = 0; i < count; i++) {
        const char *text = strings[i]->text;
        size_t bytes = strlen(text);
        struct cb_value **row = rows[i]->as.list.items;
        struct cb_encode_options options = {.wants_spans = true};
        struct cb_text decoded = {0};
        assert_int_equal(cb_tokenizer_encode(tokenizer, text, bytes, NULL, &tokens, f->diag), CB_OK);
        expect_ids(name, text, "the ids", row[0], tokens.ids, tokens.count);
        assert_int_equal(cb_tokenizer_encode(tokenizer, text, bytes, &options, &spanned, f->diag), CB_OK);
        expect_ids(name, text, "the ids with spans", row[0], spanned.ids, spanned.count);
        for (size_t k = 0; k < spanned.count; k++) {
            assert_true(spanned.spans[k].begin <= spanned.spans[k].end && spanned.spans[k].end <= bytes);
        }
        assert_int_equal(cb_tokenizer_decode(tokenizer, tokens.ids, tokens.count, true, &decoded, f->diag), CB_OK);
        if (strcmp(decoded.data ? decoded.data : "", row[3]->text) != 0) {
            fail_msg("%s: `%s` comes back as `%s`, not `%s`", name, text, decoded.data ? decoded.data : "", row[3]->text);
        }
        cb_text_free(&decoded);
        options = (struct cb_encode_options){.max_tokens = 9, .pair = text, .pair_bytes = bytes};
        assert_int_equal(cb_tokenizer_encode(tokenizer, text, bytes, &options, &tokens, f->diag), CB_OK);
        expect_ids(name, text, "the pair", row[1], tokens.ids, tokens.count);
        for (size_t k = 0; k < tokens.count; k++) {
            assert_int_equal(tokens.segments[k], row[2]->as.list.items[k]->as.integer);
        }
    }
    cb_tokens_free(&tokens);
    cb_tokens_free(&spanned);
    cb_tokenizer_close(tokenizer);
}

static void test_same_as_originals(void **state)
{
    struct fixture *f = *state;
    size_t count = 0;
    struct cb_value **strings = read_lines(f, "strings.txt", &count);
    assert_true(count > 200);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        compare(f, names[i], names[i], strings, count);
    }
    compare(f, "smollm.gguf", "smollm", strings, count);
}

/* Without its added token, which vocab.json cannot tell: the ids of what has none in it. */
static void test_vocab_json(void **state)
{
    struct fixture *f = *state;
    struct cb_tokenizer *json = open_one(f, "gpt2"), *pair = open_one(f, "vocab.json");
    struct cb_tokens one = {0}, other = {0};
    const char *text = "The quick brown fox's 123 licenses,  na\xc3\xafve\n";
    assert_int_equal(cb_tokenizer_encode(json, text, strlen(text), NULL, &one, f->diag), CB_OK);
    assert_int_equal(cb_tokenizer_encode(pair, text, strlen(text), NULL, &other, f->diag), CB_OK);
    assert_true(one.count > 10);
    assert_int_equal(one.count, other.count);
    assert_memory_equal(one.ids, other.ids, one.count * sizeof(*one.ids));
    cb_tokens_free(&one);
    cb_tokens_free(&other);
    cb_tokenizer_close(json);
    cb_tokenizer_close(pair);
}

static void test_spans(void **state)
{
    struct fixture *f = *state;
    struct cb_tokenizer *tokenizer = open_one(f, "uncased");
    const struct cb_encode_options options = {.wants_spans = true};
    struct cb_tokens tokens = {0};
    const char text[] = "  The L\xc3\x8d" "CENSE";
    assert_int_equal(cb_tokenizer_encode(tokenizer, text, strlen(text), &options, &tokens, f->diag), CB_OK);
    assert_true(tokens.count >= 4);
    assert_int_equal(tokens.sources[0], 2); /* [CLS] */
    assert_int_equal(tokens.spans[1].begin, 2);
    assert_int_equal(tokens.spans[1].end, 5);
    assert_int_equal(tokens.spans[2].begin, 6);
    assert_int_equal(tokens.spans[tokens.count - 2].end, strlen(text));
    cb_tokens_free(&tokens);
    cb_tokenizer_close(tokenizer);
}

/* Three bytes that are no UTF-8, as Python's errors='replace' counts them: two letters (E2 82 belongs together). */
static void test_invalid_utf8(void **state)
{
    struct fixture *f = *state;
    struct cb_tokenizer *tokenizer = open_one(f, "gpt2");
    struct cb_tokens broken = {0}, repaired = {0};
    const char *bad = "a\xe2\x82 b\xff", *good = "a\xef\xbf\xbd b\xef\xbf\xbd";
    assert_int_equal(cb_tokenizer_encode(tokenizer, bad, strlen(bad), NULL, &broken, f->diag), CB_OK);
    assert_int_equal(cb_tokenizer_encode(tokenizer, good, strlen(good), NULL, &repaired, f->diag), CB_OK);
    assert_int_equal(broken.count, repaired.count);
    assert_memory_equal(broken.ids, repaired.ids, broken.count * sizeof(*broken.ids));
    cb_tokens_free(&broken);
    cb_tokens_free(&repaired);
    cb_tokenizer_close(tokenizer);
}

static void *encode_many(void *tokenizer)
{
    struct cb_tokens tokens = {0};
    uint64_t hash = 0;
    for (int i = 0; i < 2000; i++) {
        char text[64];
        int bytes = snprintf(text, sizeof(text), "word%d the License %d", i % 300, i);
        if (cb_tokenizer_encode(tokenizer, text, (size_t)bytes, NULL, &tokens, NULL) == CB_OK) {
            hash = hash * 31 + cb_hash64(tokens.ids, tokens.count * sizeof(*tokens.ids));
        }
    }
    cb_tokens_free(&tokens);
    return (void *)(uintptr_t)hash;
}

static void test_threads(void **state)
{
    struct cb_tokenizer *tokenizer = open_one(*state, "gpt2");
    pthread_t threads[4];
    void *alone = encode_many(tokenizer), *hash;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, encode_many, tokenizer), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], &hash), 0);
        assert_ptr_equal(hash, alone);
    }
    cb_tokenizer_close(tokenizer);
}

/* The files that are kept open as the same tokenizer, vocab.txt's settings too. */
static void test_files(void **state)
{
    struct fixture *f = *state;
    const char *vocab = "[UNK]\n[CLS]\n[SEP]\nab\n##C\nAb\n";
    const char *config = "{\"do_lower_case\": false, \"model_max_length\": 77}";
    const struct cb_tokenizer_file files[] = {{"vocab.txt", vocab, strlen(vocab)},
                                              {"tokenizer_config.json", config, strlen(config)}};
    struct cb_tokenizer *tokenizer = NULL, *again = NULL;
    struct cb_tokens tokens = {0};
    assert_int_equal(cb_tokenizer_open_files("kept", files, 2, &tokenizer, f->diag), CB_OK);
    assert_int_equal(cb_tokenizer_max_tokens(tokenizer), 77);
    assert_false(cb_tokenizer_is_uncased(tokenizer));
    assert_int_equal(cb_tokenizer_encode(tokenizer, "AbC x", 5, NULL, &tokens, f->diag), CB_OK);
    const uint32_t wanted[] = {1, 5, 4, 0, 2};
    assert_int_equal(tokens.count, 5);
    assert_memory_equal(tokens.ids, wanted, sizeof(wanted));
    assert_int_equal(cb_tokenizer_open_files("again", cb_tokenizer_file_at(tokenizer, 0), cb_tokenizer_file_count(tokenizer),
                                             &again, f->diag), CB_OK);
    assert_string_equal(cb_tokenizer_sha256(tokenizer), cb_tokenizer_sha256(again));
    cb_tokens_free(&tokens);
    cb_tokenizer_close(tokenizer);
    cb_tokenizer_close(again);
}

static void refuse(struct fixture *f, const char *json, const char *message)
{
    const struct cb_tokenizer_file file = {"tokenizer.json", json, strlen(json)};
    struct cb_tokenizer *tokenizer = NULL;
    cb_diag_clear(f->diag);
    assert_true(cb_tokenizer_open_files("t", &file, 1, &tokenizer, f->diag) != CB_OK);
    assert_null(tokenizer);
    if (!strstr(cb_diag_text(f->diag, 0), message)) {
        fail_msg("%s", cb_diag_text(f->diag, 0));
    }
}

static void test_refused(void **state)
{
    struct fixture *f = *state;
    refuse(f, "{}", "has no `model`");
    refuse(f, "{\"model\":{\"type\":\"WordPeace\",\"vocab\":{\"a\":0}}}", "did you mean `WordPiece`?");
    refuse(f, "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0,\"b\":0}}}", "have the same number, 0");
    refuse(f, "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":99999999}}}", "far beyond");
    refuse(f, "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"a\",\"b\"]]}}", "a merge whose parts");
    refuse(f, "{\"model\":{\"type\":\"Unigram\",\"unk_id\":5,\"vocab\":[[\"a\",0]]}}", "`unk_id` is the number of no token");
    refuse(f, "{\n \"normalizer\":{\"type\":\"Lowercas\"},\"model\":{\"vocab\":{\"a\":0}}}",
           "t/tokenizer.json:2:23: error: the normalizer `Lowercas` is not supported; did you mean `Lowercase`?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_same_as_originals), TEST(test_vocab_json), TEST(test_spans),
                                       TEST(test_invalid_utf8), TEST(test_threads), TEST(test_files),
                                       TEST(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
