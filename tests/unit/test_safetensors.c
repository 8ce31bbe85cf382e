/* test_safetensors.c: reading and writing safetensors against files of its own library, and every way to be wrong. */
#include "weights_common.h"

#include <signal.h>
#include <sys/resource.h>

#include "weights/safetensors.h"

struct folder {
    char *name;
    char path[4096];
};

static int make_folder(void **state)
{
    struct folder *folder = calloc(1, sizeof(*folder));
    folder->name = make_test_folder();
    snprintf(folder->path, sizeof(folder->path), "%s/x.safetensors", folder->name);
    *state = folder;
    return 0;
}

static int remove_folder(void **state)
{
    struct folder *folder = *state;
    unlink(folder->path);
    assert_int_equal(rmdir(folder->name), 0); /* nothing else may have been left there */
    free(folder->name);
    free(folder);
    return 0;
}

static void files_of_the_library_read_to_the_same_bits(void **state)
{
    (void)state;
    compare_with_expected("net.safetensors");
    compare_with_expected("types.safetensors");
}

static void metadata_is_read(void **state)
{
    (void)state;
    struct cb_tensor_file *file = NULL;
    assert_int_equal(cb_tensors_open(DATA "types.safetensors", &file, NULL, NULL), CB_OK);
    assert_int_equal(cb_tensors_metadata_count(file), 2);
    assert_string_equal(cb_tensors_metadata(file, "origin"), "make_weights_files.py");
    assert_string_equal(cb_tensors_metadata(file, "text"), "\xc3\xbc \"quoted\"\n");
    assert_null(cb_tensors_metadata(file, "nothing"));
    int64_t values[3];
    assert_int_equal(cb_tensors_read_i64(file, cb_tensors_find(file, "u64"), values, NULL), CB_OK);
    assert_true(values[2] == INT64_MAX);
    cb_tensors_close(file);
}

/* The tensors of net.safetensors in the order in which the library writes them. */
static uint32_t entries_of(struct cb_tensor_file *file, struct cb_safetensors_entry *entries, uint32_t most)
{
    assert_true(cb_tensors_count(file) <= most);
    for (uint32_t i = 0; i < cb_tensors_count(file); i++) {
        const struct cb_tensor_entry *from = cb_tensors_at(file, i);
        void *data = calloc(from->count + 1, 8);
        if (from->type == CB_STORED_I64) {
            assert_int_equal(cb_tensors_read_i64(file, from, data, NULL), CB_OK);
        } else {
            assert_int_equal(from->type, CB_STORED_F32);
            assert_int_equal(cb_tensors_read_f32(file, from, data, NULL), CB_OK);
        }
        entries[i] =
            (struct cb_safetensors_entry){.name = from->name, .type = from->type, .rank = from->rank, .data = data};
        memcpy(entries[i].dims, from->dims, sizeof(from->dims));
    }
    return cb_tensors_count(file);
}

static void writing_gives_the_bytes_that_the_library_gives(void **state)
{
    struct folder *folder = *state;
    struct cb_tensor_file *file = NULL;
    struct cb_safetensors_entry entries[16];
    assert_int_equal(cb_tensors_open(DATA "net.safetensors", &file, NULL, NULL), CB_OK);
    uint32_t count = entries_of(file, entries, 16);
    struct cb_safetensors_entry first = entries[0]; /* the only one of 8 bytes: it must come first again */
    memmove(entries, entries + 1, (count - 1) * sizeof(entries[0]));
    entries[count - 1] = first;
    assert_int_equal(cb_safetensors_write(folder->path, entries, count, NULL, 0, NULL), CB_OK);

    size_t got_bytes, expected_bytes;
    unsigned char *got = read_whole(folder->path, &got_bytes);
    unsigned char *expected = read_whole(DATA "net.safetensors", &expected_bytes);
    assert_int_equal(got_bytes, expected_bytes);
    assert_memory_equal(got, expected, expected_bytes);
    free(got);
    free(expected);
    for (uint32_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)entries[i].data);
    }
    cb_tensors_close(file);
}

static void metadata_and_odd_names_survive_a_round_trip(void **state)
{
    struct folder *folder = *state;
    const float values[2] = {1.5f, -0.0f};
    const uint8_t bytes[3] = {1, 2, 255};
    const struct cb_safetensors_entry entries[] = {
        {"a \"name\"\\ with\ttab", CB_STORED_U8, 1, {3}, bytes},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x8c\xb1", CB_STORED_F32, 2, {1, 2}, values},
        {"nothing", CB_STORED_F16, 2, {0, 7}, NULL},
    };
    const struct cb_key_value metadata[] = {{"format", "cambium"}, {"", "line\nline\x01"}};
    assert_int_equal(cb_safetensors_write(folder->path, entries, 3, metadata, 2, NULL), CB_OK);
    struct cb_tensor_file *file = NULL;
    assert_int_equal(cb_tensors_open(folder->path, &file, NULL, NULL), CB_OK);
    assert_int_equal(cb_tensors_count(file), 3);
    assert_string_equal(cb_tensors_metadata(file, "format"), "cambium");
    assert_string_equal(cb_tensors_metadata(file, ""), "line\nline\x01");
    float got[3];
    assert_int_equal(cb_tensors_read_f32(file, cb_tensors_find(file, entries[1].name), got, NULL), CB_OK);
    assert_int_equal(bits_of(got[1]), 0x80000000u);
    assert_int_equal(cb_tensors_read_f32(file, cb_tensors_find(file, entries[0].name), got, NULL), CB_OK);
    assert_true(got[2] == 255.0f);
    assert_int_equal(cb_tensors_find(file, "nothing")->bytes, 0);
    cb_tensors_close(file);

    size_t size;
    unsigned char *raw = read_whole(folder->path, &size);
    assert_int_equal(raw[0] % 8, 0); /* the values are aligned */
    free(raw);
}

static void what_cannot_be_written_is_refused_and_leaves_no_file(void **state)
{
    struct folder *folder = *state;
    const float value = 1.0f;
    const struct cb_safetensors_entry twice[] = {{"w", CB_STORED_F32, 0, {0}, &value},
                                                 {"w", CB_STORED_F32, 0, {0}, &value}};
    const struct cb_safetensors_entry reserved = {"__metadata__", CB_STORED_F32, 0, {0}, &value};
    const struct cb_safetensors_entry negative = {"w", CB_STORED_F32, 1, {-1}, &value};
    const struct cb_safetensors_entry huge = {"w", CB_STORED_F64, 2, {INT64_C(1) << 31, INT64_C(1) << 31}, &value};
    const struct cb_safetensors_entry surrogate = {"\xed\xa0\x80", CB_STORED_F32, 0, {0}, &value};
    const struct cb_key_value keys[] = {{"k", "1"}, {"k", "2"}};
    struct cb_diag *diag = cb_diag_create();
    assert_int_equal(cb_safetensors_write(folder->path, twice, 2, NULL, 0, diag), CB_INVALID);
    assert_says(diag, "two tensors would be named `w`");
    assert_int_equal(cb_safetensors_write(folder->path, &reserved, 1, NULL, 0, NULL), CB_INVALID);
    assert_int_equal(cb_safetensors_write(folder->path, &negative, 1, NULL, 0, NULL), CB_INVALID);
    assert_int_equal(cb_safetensors_write(folder->path, &huge, 1, NULL, 0, NULL), CB_INVALID);
    assert_int_equal(cb_safetensors_write(folder->path, &surrogate, 1, NULL, 0, NULL), CB_INVALID);
    cb_diag_clear(diag);
    assert_int_equal(cb_safetensors_write(folder->path, twice, 1, keys, 2, diag), CB_INVALID);
    assert_says(diag, "the metadata has `k` twice");
    cb_diag_clear(diag);
    assert_int_not_equal(access(folder->path, F_OK), 0);
    cb_diag_destroy(diag);
}

/* As on a full disk: writing fails half-way; what was there before stays. */
static void a_failed_write_leaves_the_old_file(void **state)
{
    struct folder *folder = *state;
    static const float values[100000];
    const struct cb_safetensors_entry small = {"w", CB_STORED_F32, 1, {2}, values};
    const struct cb_safetensors_entry large = {"w", CB_STORED_F32, 1, {100000}, values};
    assert_int_equal(cb_safetensors_write(folder->path, &small, 1, NULL, 0, NULL), CB_OK);
    struct rlimit old, limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    limit = old;
    limit.rlim_cur = 65536;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    struct cb_diag *diag = cb_diag_create();
    enum cb_status status = cb_safetensors_write(folder->path, &large, 1, NULL, 0, diag);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(status, CB_IO);
    assert_says(diag, "File too large");
    cb_diag_destroy(diag);
    struct cb_tensor_file *file = NULL;
    assert_int_equal(cb_tensors_open(folder->path, &file, NULL, NULL), CB_OK);
    assert_int_equal(cb_tensors_find(file, "w")->count, 2);
    cb_tensors_close(file);
}

/* ---- damaged files ---------------------------------------------------------------------------------------------- */

#define T(name, type, shape, begin, end)                                                           \
    "\"" name "\":{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

static const struct {
    const char *header;
    size_t value_bytes;
    enum cb_status status;
    const char *sentence;
} headers[] = {
    {"{" T("w", "F32", "[2]", "0", "8") "}", 8, CB_OK, ""},
    {"{}", 0, CB_OK, ""},
    {"{" T("w", "F32", "[2]", "0", "8") "}        ", 8, CB_OK, ""},
    {"{" T("b", "F32", "[1]", "8", "12") "," T("w", "F32", "[2]", "0", "8") "}", 12, CB_OK,
     ""}, /* any order of names */
    {"{" T("e", "F32", "[0]", "0", "0") "," T("w", "F32", "[1]", "0", "4") "," T("f", "U8", "[3,0]", "4", "4") "}", 4,
     CB_OK, ""},
    {" {}", 0, CB_FORMAT, "a safetensors header begins with `{`, this one does not"},
    {"", 0, CB_FORMAT, "a safetensors header begins with `{`"},
    {"{", 0, CB_FORMAT, "its header is not valid JSON"},
    {"{}x", 0, CB_FORMAT, "its header is not valid JSON"},
    {"{\"\xff\":1}", 0, CB_FORMAT, "its header is not valid JSON"},
    {"{" T("w", "F32", "[1]", "0", "4") "," T("w", "F32", "[1]", "4", "8") "}", 8, CB_FORMAT,
     "its header is not valid JSON: duplicate object key"},
    {"{\"w\":1}", 0, CB_FORMAT, "tensor `w` has no `dtype`"},
    {"{\"w\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, CB_FORMAT, "tensor `w` has no `shape`"},
    {"{\"w\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, CB_FORMAT, "tensor `w` has no `data_offsets` of two counts"},
    {"{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4, CB_FORMAT,
     "no `data_offsets` of two counts"},
    {"{" T("w", "F32", "[1]", "-4", "0") "}", 4, CB_FORMAT, "no `data_offsets` of two counts"},
    {"{" T("w", "F32", "[1]", "0", "4.0") "}", 4, CB_FORMAT, "no `data_offsets` of two counts"},
    {"{" T("w", "F32", "[1]", "0", "99999999999999999999") "}", 4, CB_FORMAT, "its header is not valid JSON"},
    {"{" T("w", "F32", "[-1]", "0", "4") "}", 4, CB_FORMAT, "tensor `w` has a dimension that is not a count"},
    {"{" T("w", "F32", "[1.5]", "0", "4") "}", 4, CB_FORMAT, "tensor `w` has a dimension that is not a count"},
    {"{" T("w", "F32", "[1,1,1,1,1,1,1,1,1]", "0", "4") "}", 4, CB_UNSUPPORTED, "tensor `w` has 9 dimensions"},
    {"{" T("w", "C64", "[1]", "0", "8") "}", 8, CB_UNSUPPORTED, "tensor `w` has the type `C64`, which is not read"},
    {"{" T("w", "F32", "[3]", "0", "8") "}", 8, CB_FORMAT,
     "tensor `w` [3] of F32 needs 12 bytes, but its offsets give 8"},
    {"{" T("w", "F32", "[1]", "4", "0") "}", 4, CB_FORMAT, "tensor `w` ends before it begins, at 0 and 4"},
    {"{" T("w", "F64", "[4294967296,2147483648]", "0", "0") "}", 0, CB_FORMAT,
     "the size of tensor `w` [4294967296, 2147483648] overflows"},
    {"{" T("w", "U8", "[4294967296,4294967296]", "0", "0") "}", 0, CB_FORMAT, "overflows"},
    {"{" T("w", "F32", "[2]", "0", "8") "}", 7, CB_FORMAT, "is cut short or lies: tensor `w` ends at byte 8 of 7"},
    {"{" T("w", "F32", "[2]", "0", "8") "}", 9, CB_FORMAT, "has 1 bytes that belong to no tensor at its end"},
    {"{}", 4, CB_FORMAT, "has 4 bytes that belong to no tensor at its end"},
    {"{" T("a", "F32", "[1]", "0", "4") "," T("b", "F32", "[1]", "8", "12") "}", 12, CB_FORMAT,
     "tensor `b` begins at byte 8, a hole after byte 4"},
    {"{" T("a", "F32", "[2]", "0", "8") "," T("b", "F32", "[1]", "4", "8") "}", 8, CB_FORMAT,
     "tensor `b` begins at byte 4, inside the one that ends at byte 8"},
    {"{" T("a", "F32", "[1]", "4", "8") "}", 8, CB_FORMAT, "tensor `a` begins at byte 4, a hole after byte 0"},
    {"{\"__metadata__\":{\"k\":1}}", 0, CB_FORMAT, "`__metadata__` has a value that is not text, under `k`"},
    {"{\"__metadata__\":[]}", 0, CB_FORMAT, "`__metadata__` must be a map of texts"},
};

static void write_raw(const char *path, uint64_t header_bytes, const char *header, size_t length, size_t value_bytes)
{
    unsigned char *file = calloc(8 + length + value_bytes, 1);
    for (int i = 0; i < 8; i++) {
        file[i] = (unsigned char)(header_bytes >> (8 * i));
    }
    memcpy(file + 8, header, length);
    write_file(path, file, 8 + length + value_bytes);
    free(file);
}

static void expect_open(const char *path, const char *what, enum cb_status status, const char *sentence)
{
    struct cb_diag *diag = cb_diag_create();
    struct cb_tensor_file *file = NULL;
    enum cb_status got = cb_tensors_open(path, &file, NULL, diag);
    if (got != status) {
        fail_msg("%s: status %s, not %s; %s", what, cb_status_name(got), cb_status_name(status), first_message(diag));
    }
    if (status != CB_OK) {
        assert_says(diag, sentence);
        assert_null(file);
    }
    cb_tensors_close(file);
    cb_diag_destroy(diag);
}

static void every_rule_of_the_specification_is_enforced(void **state)
{
    struct folder *folder = *state;
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        write_raw(folder->path, strlen(headers[i].header), headers[i].header, strlen(headers[i].header),
                  headers[i].value_bytes);
        expect_open(folder->path, headers[i].header, headers[i].status, headers[i].sentence);
    }
    write_raw(folder->path, 3, "{}", 2, 0);
    expect_open(folder->path, "long", CB_FORMAT, "is cut short or lies: its header has 3 bytes, the file 2 after");
    write_raw(folder->path, UINT64_MAX, "{}", 2, 0);
    expect_open(folder->path, "huge", CB_FORMAT, "its header would have 18446744073709551615 bytes; at most 100000000");
    write_raw(folder->path, 100000001, "{}", 2, 0);
    expect_open(folder->path, "over the limit", CB_FORMAT, "its header would have 100000001 bytes");
    write_file(folder->path, "\x02\0\0", 3);
    expect_open(folder->path, "short", CB_FORMAT, "has 3 bytes, too few for a safetensors file");
    write_file(folder->path, "", 0);
    expect_open(folder->path, "empty", CB_FORMAT, "is empty");
}

static void cut_and_changed_files_do_no_harm(void **state)
{
    struct folder *folder = *state;
    size_t bytes;
    unsigned char *data = read_whole(DATA "types.safetensors", &bytes);
    for (size_t cut = 0; cut < bytes; cut++) {
        struct cb_tensor_file *file = NULL;
        write_file(folder->path, data, cut);
        if (cb_tensors_open(folder->path, &file, NULL, NULL) == CB_OK) {
            cb_tensors_close(file);
            fail_msg("a file cut to %zu bytes was accepted", cut);
        }
    }
    unsigned refused = 0;
    for (size_t i = 0; i < 8 + 984; i++) {
        struct cb_tensor_file *file = NULL;
        unsigned char old = data[i];
        data[i] = (unsigned char)(old ^ (1u << (i % 7)));
        write_file(folder->path, data, bytes);
        data[i] = old;
        if (cb_tensors_open(folder->path, &file, NULL, NULL) != CB_OK) {
            refused++;
            continue;
        }
        for (uint32_t t = 0; t < cb_tensors_count(file); t++) {
            float values[512];
            const struct cb_tensor_entry *entry = cb_tensors_at(file, t);
            assert_true(entry->count <= 512);
            assert_int_equal(cb_tensors_read_f32(file, entry, values, NULL), CB_OK);
        }
        cb_tensors_close(file);
    }
    assert_true(refused > 500);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_of_the_library_read_to_the_same_bits),
        cmocka_unit_test(metadata_is_read),
        cmocka_unit_test_setup_teardown(writing_gives_the_bytes_that_the_library_gives, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(metadata_and_odd_names_survive_a_round_trip, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(what_cannot_be_written_is_refused_and_leaves_no_file, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_failed_write_leaves_the_old_file, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(every_rule_of_the_specification_is_enforced, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(cut_and_changed_files_do_no_harm, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
