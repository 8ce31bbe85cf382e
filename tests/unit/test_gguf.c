/* test_gguf.c: GGUF files: the same values as the format's own package, through every view, and damaged ones refused. */
#include "weights_common.h"

static struct cb_tensor_file *open_data(const char *path)
{
    struct cb_tensor_file *file = NULL;
    struct cb_diag *diag = cb_diag_create();
    if (cb_tensors_open(path, &file, NULL, diag) != CB_OK) {
        fail_msg("%s", first_message(diag));
    }
    cb_diag_destroy(diag);
    return file;
}

static float *read_entry(struct cb_tensor_file *file, const struct cb_tensor_entry *entry)
{
    float *values = malloc((entry->count + 1) * sizeof(float));
    assert_non_null(values);
    assert_int_equal(cb_tensors_read_f32(file, entry, values, NULL), CB_OK);
    return values;
}

/* Every tensor of `path` against gguf.quants.dequantize, bit for bit, whole, in rows and transposed. */
static void compare_all(const char *path)
{
    struct cb_tensor_file *file = open_data(path);
    struct cb_tensor_file *reference = open_data(DATA "types_gguf.safetensors");
    assert_string_equal(cb_tensors_format(file), "GGUF");
    assert_int_equal(cb_tensors_count(file), 16);
    assert_int_equal(cb_tensors_count(reference), 16);
    for (uint32_t t = 0; t < cb_tensors_count(file); t++) {
        const struct cb_tensor_entry *entry = cb_tensors_at(file, t);
        const struct cb_tensor_entry *wanted = cb_tensors_find(reference, entry->name);
        assert_non_null(wanted);
        assert_int_equal(entry->rank, wanted->rank);
        assert_memory_equal(entry->dims, wanted->dims, entry->rank * sizeof(int64_t));
        float *values = read_entry(file, entry);
        float *expected = read_entry(reference, wanted);
        for (uint64_t i = 0; i < entry->count; i++) {
            if (bits_of(values[i]) != bits_of(expected[i])) {
                fail_msg("%s[%llu] is %a, not %a", entry->name, (unsigned long long)i, values[i], expected[i]);
            }
        }
        struct cb_tensor_entry row;
        uint64_t row_count = entry->count / (uint64_t)entry->dims[0];
        for (int64_t i = 0; i < entry->dims[0]; i++) {
            assert_int_equal(cb_tensors_rows(entry, i, 1, &row, NULL), CB_OK);
            float *part = read_entry(file, &row);
            assert_memory_equal(part, expected + (uint64_t)i * row_count, row_count * sizeof(float));
            free(part);
        }
        if (entry->rank == 2) {
            struct cb_tensor_entry turned = *entry;
            turned.dims[0] = entry->dims[1];
            turned.dims[1] = entry->dims[0];
            turned.strides[0] = entry->strides[1];
            turned.strides[1] = entry->strides[0];
            float *transposed = read_entry(file, &turned);
            for (int64_t i = 0; i < turned.dims[0]; i++) {
                for (int64_t j = 0; j < turned.dims[1]; j++) {
                    assert_int_equal(bits_of(transposed[i * turned.dims[1] + j]),
                                     bits_of(expected[j * turned.dims[0] + i]));
                }
            }
            free(transposed);
            /* every third column from the fifth on */
            struct cb_tensor_entry some = *entry;
            some.offset = 5;
            some.dims[1] = (entry->dims[1] - 5 + 2) / 3;
            some.strides[1] = 3;
            some.count = (uint64_t)(some.dims[0] * some.dims[1]);
            float *picked = entry->dims[1] > 8 ? read_entry(file, &some) : NULL;
            for (int64_t i = 0; picked && i < some.dims[0]; i++) {
                for (int64_t j = 0; j < some.dims[1]; j++) {
                    assert_int_equal(bits_of(picked[i * some.dims[1] + j]),
                                     bits_of(expected[i * entry->dims[1] + 5 + 3 * j]));
                }
            }
            free(picked);
        }
        free(values);
        free(expected);
    }
    cb_tensors_close(file);
    cb_tensors_close(reference);
}

static void every_type_reads_to_the_bits_of_its_own_package(void **state)
{
    (void)state;
    compare_all(DATA "types.gguf");
}

static void version_2_and_another_alignment(void **state)
{
    (void)state;
    compare_all(DATA "types_v2.gguf");
}

static void a_view_beyond_the_blocks_is_refused(void **state)
{
    (void)state;
    struct cb_tensor_file *file = open_data(DATA "types.gguf");
    struct cb_diag *diag = cb_diag_create();
    struct cb_tensor_entry entry = *cb_tensors_find(file, "q4_k");
    float out[4];
    entry.rank = 1;
    entry.dims[0] = 4;
    entry.strides[0] = 1;
    entry.offset = entry.count - 3;
    entry.count = 4;
    assert_int_equal(cb_tensors_read_f32(file, &entry, out, diag), CB_INVALID);
    assert_says(diag, "tensor `q4_k` [4] reaches outside its storage");
    assert_int_equal(cb_tensors_read_i64(file, cb_tensors_find(file, "q8_0"), NULL, diag), CB_MISMATCH);
    cb_diag_destroy(diag);
    cb_tensors_close(file);
}

static void assert_text(const struct cb_fact *fact, uint64_t i, const char *expected)
{
    size_t bytes;
    const char *text = cb_fact_text(fact, i, &bytes);
    assert_non_null(text);
    assert_int_equal(bytes, strlen(expected));
    assert_memory_equal(text, expected, bytes);
}

static void values_have_their_types(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        enum cb_fact_kind kind;
        int64_t integer;
        double real;
        const char *text;
    } singles[] = {
        {"v.u8", CB_FACT_INTEGER, 255, 255, "255"},
        {"v.i8", CB_FACT_INTEGER, -128, -128, "-128"},
        {"v.u16", CB_FACT_INTEGER, 65535, 65535, "65535"},
        {"v.i16", CB_FACT_INTEGER, -32768, -32768, "-32768"},
        {"v.u32", CB_FACT_INTEGER, UINT32_MAX, UINT32_MAX, "4294967295"},
        {"v.i32", CB_FACT_INTEGER, INT32_MIN, INT32_MIN, "-2147483648"},
        {"v.u64", CB_FACT_INTEGER, INT64_MAX, 18446744073709551615.0, "18446744073709551615"},
        {"v.i64", CB_FACT_INTEGER, INT64_MIN, -9223372036854775808.0, "-9223372036854775808"},
        {"v.f32", CB_FACT_REAL, 0, 0.1f, "0.100000001"},
        {"v.f64", CB_FACT_REAL, 0, 0.1, "0.1"},
        {"v.yes", CB_FACT_BOOL, 1, 1, "true"},
        {"v.no", CB_FACT_BOOL, 0, 0, "false"},
    };
    struct cb_tensor_file *file = open_data(DATA "types.gguf");
    for (size_t i = 0; i < sizeof(singles) / sizeof(singles[0]); i++) {
        const struct cb_fact *fact = cb_tensors_fact(file, singles[i].key);
        assert_non_null(fact);
        assert_int_equal(fact->kind, singles[i].kind);
        assert_false(fact->is_list);
        assert_int_equal(cb_fact_integer(fact, 0), singles[i].integer);
        assert_true(cb_fact_real(fact, 0) == singles[i].real);
        assert_string_equal(cb_tensors_metadata(file, singles[i].key), singles[i].text);
        assert_int_equal(cb_fact_integer(fact, 1), 0); /* there is no second */
    }
    assert_string_equal(cb_tensors_metadata(file, "general.name"), "a small file");
    assert_text(cb_tensors_fact(file, "general.architecture"), 0, "llama");
    assert_null(cb_tensors_fact(file, "general.nothing"));
    assert_null(cb_tensors_metadata(file, "tokenizer.ggml.tokens"));
    cb_tensors_close(file);
}

static void a_tokenizer_is_read_from_its_lists(void **state)
{
    (void)state;
    static const char *const tokens[] = {"<unk>", "\xc4\xa0the", "", "\xc3\xbc", "a b"};
    static const float scores[] = {0, -1.5f, 2.25f, -3, 1e-3f};
    static const int64_t types[] = {3, 1, 1, 1, 6};
    struct cb_tensor_file *file = open_data(DATA "types.gguf");
    const struct cb_fact *words = cb_tensors_fact(file, "tokenizer.ggml.tokens");
    const struct cb_fact *ranks = cb_tensors_fact(file, "tokenizer.ggml.scores");
    const struct cb_fact *kinds = cb_tensors_fact(file, "tokenizer.ggml.token_type");
    const struct cb_fact *merges = cb_tensors_fact(file, "tokenizer.ggml.merges");
    assert_true(words && ranks && kinds && merges && words->is_list && ranks->is_list);
    assert_int_equal(words->count, 5);
    assert_int_equal(words->kind, CB_FACT_TEXT);
    for (uint64_t i = 0; i < 5; i++) {
        assert_text(words, i, tokens[i]);
        assert_true(cb_fact_real(ranks, i) == scores[i]);
        assert_int_equal(cb_fact_integer(kinds, i), types[i]);
    }
    size_t bytes;
    assert_null(cb_fact_text(words, 5, &bytes));
    assert_null(cb_fact_text(ranks, 0, &bytes));
    assert_int_equal(merges->count, 2);
    assert_text(merges, 1, "th e");
    assert_int_equal(cb_fact_integer(cb_tensors_fact(file, "v.flags"), 2), 1);
    cb_tensors_close(file);
}

/* ---- damage ------------------------------------------------------------------------------------------------------ */

struct builder {
    unsigned char data[1024];
    size_t bytes;
};

static void put(struct builder *b, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        b->data[b->bytes++] = (unsigned char)(value >> 8 * i);
    }
}

static void put_text(struct builder *b, const char *text)
{
    put(b, strlen(text), 8);
    memcpy(b->data + b->bytes, text, strlen(text));
    b->bytes += strlen(text);
}

static void put_header(struct builder *b, uint32_t version, uint64_t tensors, uint64_t values)
{
    memcpy(b->data, "GGUF", 4);
    b->bytes = 4;
    put(b, version, 4);
    put(b, tensors, 8);
    put(b, values, 8);
}

static void put_tensor(struct builder *b, const char *name, uint32_t rank, uint64_t dim, uint32_t type, uint64_t offset)
{
    put_text(b, name);
    put(b, rank, 4);
    for (uint32_t i = 0; i < rank; i++) {
        put(b, dim, 8);
    }
    put(b, type, 4);
    put(b, offset, 8);
}

static void refused(const struct builder *b, enum cb_status expected, const char *sentence)
{
    char *folder = make_test_folder();
    char path[4096];
    snprintf(path, sizeof(path), "%s/a.gguf", folder);
    write_file(path, b->data, b->bytes);
    struct cb_diag *diag = cb_diag_create();
    struct cb_tensor_file *file = NULL;
    enum cb_status status = cb_tensors_open(path, &file, NULL, diag);
    assert_says(diag, sentence);
    assert_int_equal(status, expected);
    assert_null(file);
    cb_diag_destroy(diag);
    unlink(path);
    rmdir(folder);
    free(folder);
}

static void headers_that_lie_are_refused(void **state)
{
    (void)state;
    struct builder b = {0};
    put_header(&b, 1, 0, 0);
    refused(&b, CB_UNSUPPORTED, "version 1 of GGUF is not read");
    put_header(&b, 0x03000000, 0, 0);
    refused(&b, CB_UNSUPPORTED, "it is big-endian, which is not read");
    put_header(&b, 9, 0, 0);
    refused(&b, CB_UNSUPPORTED, "it has a version of GGUF that is not known");
    put_header(&b, 3, UINT64_MAX, 0);
    refused(&b, CB_FORMAT, "18446744073709551615 tensors and 0 values do not fit into 24 bytes");
    put_header(&b, 3, 0, 0);
    b.bytes -= 2;
    refused(&b, CB_FORMAT, "is cut short or lies: it ends within its header, at byte 16");
}

static void values_that_lie_are_refused(void **state)
{
    (void)state;
    struct builder b = {0};
    put_header(&b, 3, 0, 1);
    put(&b, UINT64_MAX, 8);
    put(&b, 0, 8);
    refused(&b, CB_FORMAT, "it ends within a key");
    put_header(&b, 3, 0, 1);
    put_text(&b, "a.key");
    put(&b, 77, 4);
    refused(&b, CB_FORMAT, "`a.key` has a type that is not known, 77");
    put_header(&b, 3, 0, 1);
    put_text(&b, "a.list");
    put(&b, 9, 4);
    put(&b, 9, 4);
    put(&b, 1, 8);
    refused(&b, CB_UNSUPPORTED, "`a.list` is a list of lists, which is not read");
    put_header(&b, 3, 0, 1);
    put_text(&b, "a.list");
    put(&b, 9, 4);
    put(&b, 12, 4);
    put(&b, UINT64_C(1) << 61, 8);
    refused(&b, CB_FORMAT, "it ends within a.list");
    put_header(&b, 3, 0, 1);
    put_text(&b, "a.list");
    put(&b, 9, 4);
    put(&b, 8, 4);
    put(&b, UINT64_C(1) << 60, 8);
    refused(&b, CB_FORMAT, "it ends within a.list");
    put_header(&b, 3, 0, 2);
    for (int i = 0; i < 2; i++) {
        put_text(&b, "a.twin");
        put(&b, 4, 4);
        put(&b, 1, 4);
    }
    refused(&b, CB_FORMAT, "has two values named `a.twin`");
    put_header(&b, 3, 0, 1);
    put_text(&b, "split.count");
    put(&b, 2, 4);
    put(&b, 3, 2);
    refused(&b, CB_UNSUPPORTED, "is one of 3 parts of a GGUF file; join them with `gguf-split --merge` first");
    put_header(&b, 3, 1, 1);
    put_text(&b, "general.alignment");
    put(&b, 4, 4);
    put(&b, 0, 4);
    put(&b, 0, 8);
    refused(&b, CB_FORMAT, "an alignment of 0 bytes is not one that GGUF allows");
}

static void tensors_that_lie_are_refused(void **state)
{
    (void)state;
    struct builder b = {0};
    put_header(&b, 3, 1, 0);
    put_tensor(&b, "w", 1, 32, 19, 0);
    refused(&b, CB_UNSUPPORTED, "tensor `w` has the type IQ1_S, which is not read");
    put_header(&b, 3, 1, 0);
    put_tensor(&b, "w", 1, 32, 99, 0);
    refused(&b, CB_FORMAT, "tensor `w` has a type that is not known, 99");
    put_header(&b, 3, 1, 0);
    put_tensor(&b, "w", 9, 1, 0, 0);
    refused(&b, CB_UNSUPPORTED, "tensor `w` has 9 dimensions; at most 8 are read");
    put_header(&b, 3, 1, 0);
    put_tensor(&b, "w", 2, UINT64_C(1) << 40, 0, 0);
    refused(&b, CB_FORMAT, "the size of tensor `w` [1099511627776, 1099511627776] overflows");
    put_header(&b, 3, 1, 0);
    put_tensor(&b, "w", 1, UINT64_MAX, 0, 0);
    refused(&b, CB_FORMAT, "the size of tensor `w` [-1] overflows");
    put_header(&b, 3, 1, 0);
    put_tensor(&b, "w", 1, 33, 8, 0);
    refused(&b, CB_FORMAT, "tensor `w` [33] of Q8_0 has rows that are not whole blocks of 32");
    put_header(&b, 3, 1, 0);
    put_tensor(&b, "w", 1, 1, 0, 4);
    refused(&b, CB_FORMAT, "tensor `w` begins at byte 4 of the data, which is no multiple of 32");
    put_header(&b, 3, 1, 0);
    put_tensor(&b, "w", 1, 100, 0, 0);
    put(&b, 0, 8);
    refused(&b, CB_FORMAT, "tensor `w` needs 400 bytes at byte 0 of its ");
    put_header(&b, 3, 2, 0);
    put_tensor(&b, "w", 1, 16, 0, 0);
    put_tensor(&b, "v", 1, 1, 0, 32);
    b.bytes = 512;
    refused(&b, CB_FORMAT, "tensors `w` and `v` share bytes");
    put_header(&b, 3, 2, 0);
    put_tensor(&b, "w", 1, 1, 0, 0);
    put_tensor(&b, "w", 1, 1, 0, 32);
    b.bytes = 512;
    refused(&b, CB_FORMAT, "has two tensors named `w`");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_reads_to_the_bits_of_its_own_package),
        cmocka_unit_test(version_2_and_another_alignment),
        cmocka_unit_test(a_view_beyond_the_blocks_is_refused),
        cmocka_unit_test(values_have_their_types),
        cmocka_unit_test(a_tokenizer_is_read_from_its_lists),
        cmocka_unit_test(headers_that_lie_are_refused),
        cmocka_unit_test(values_that_lie_are_refused),
        cmocka_unit_test(tensors_that_lie_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
