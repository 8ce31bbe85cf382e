/* test_arrays.c: files of NumPy (npy, npz): the same values as NumPy's, and no pickle. */
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

/* Every array of `path` is in arrays_npz.safetensors under its name. Returns how many. */
static uint32_t compare_arrays(const char *path, const char *format)
{
    struct cb_tensor_file *file = open_data(path);
    struct cb_tensor_file *reference = open_data(DATA "arrays_npz.safetensors");
    assert_string_equal(cb_tensors_format(file), format);
    for (uint32_t t = 0; t < cb_tensors_count(file); t++) {
        const struct cb_tensor_entry *entry = cb_tensors_at(file, t);
        const struct cb_tensor_entry *wanted = cb_tensors_find(reference, entry->name);
        if (!wanted) {
            fail_msg("%s has an array %s that NumPy does not have", path, entry->name);
            break;
        }
        assert_int_equal(entry->rank, wanted->rank);
        assert_memory_equal(entry->dims, wanted->dims, entry->rank * sizeof(int64_t));
        float *values = malloc((entry->count + 1) * sizeof(float));
        float *expected = malloc((entry->count + 1) * sizeof(float));
        assert_true(values && expected);
        assert_int_equal(cb_tensors_read_f32(file, entry, values, NULL), CB_OK);
        assert_int_equal(cb_tensors_read_f32(reference, wanted, expected, NULL), CB_OK);
        if (entry->count > 0 && memcmp(values, expected, entry->count * sizeof(float)) != 0) {
            fail_msg("%s: array %s differs", path, entry->name);
        }
        free(values);
        free(expected);
    }
    uint32_t count = cb_tensors_count(file);
    cb_tensors_close(file);
    cb_tensors_close(reference);
    return count;
}

static void every_type_and_order_reads_to_the_same_bits(void **state)
{
    (void)state;
    assert_int_equal(compare_arrays(DATA "arrays.npz", "NumPy (npz)"), 16);
    assert_int_equal(compare_arrays(DATA "arrays_deflated.npz", "NumPy (npz)"), 16);
    assert_int_equal(compare_arrays(DATA "fortran.npy", "NumPy (npy)"), 1);
    assert_int_equal(compare_arrays(DATA "version2.npy", "NumPy (npy)"), 1);
}

static void integers_are_read_as_they_are(void **state)
{
    (void)state;
    struct cb_tensor_file *file = open_data(DATA "arrays_deflated.npz");
    int64_t values[12];
    assert_int_equal(cb_tensors_read_i64(file, cb_tensors_find(file, "i8"), values, NULL), CB_OK);
    assert_true(values[0] == INT64_MAX && values[1] == INT64_MIN);
    struct cb_diag *diag = cb_diag_create();
    assert_int_equal(cb_tensors_read_i64(file, cb_tensors_find(file, "u8"), values, diag), CB_MISMATCH);
    assert_says(diag, "has values over 2^63");
    cb_diag_destroy(diag);
    cb_tensors_close(file);
}

static void refused(const char *path, enum cb_status expected, const char *sentence)
{
    struct cb_diag *diag = cb_diag_create();
    struct cb_tensor_file *file = NULL;
    enum cb_status status = cb_tensors_open(path, &file, NULL, diag);
    assert_says(diag, sentence);
    assert_int_equal(status, expected);
    assert_null(file);
    cb_diag_destroy(diag);
}

static void what_is_not_numbers_is_refused(void **state)
{
    (void)state;
    refused(DATA "objects.npz", CB_UNSUPPORTED, "array `things` has the type `|O`, an array of objects: they are a"
            " pickle, and nothing is executed");
    refused(DATA "complex.npy", CB_UNSUPPORTED, "array `complex` has the type `<c8`, complex numbers");
    refused(DATA "texts.npy", CB_UNSUPPORTED, "array `texts` has the type `<U2`, texts");
    refused(DATA "records.npy", CB_UNSUPPORTED, "array `records` has records, which are not read");
    refused(DATA "big_endian.npy", CB_UNSUPPORTED, "is big-endian (`>f4`), which is not read; save it with"
            " .astype('<f4')");
}

static void headers_that_lie_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        enum cb_status status;
        const char *sentence;
    } cases[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", CB_OK, NULL},
        {"{\"shape\": (2L,), 'descr': '<f4',\n'fortran_order': True , }  \n", CB_OK, NULL},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", CB_FORMAT, "array `a` [3] of F32 needs 12 bytes, but"
         " has 8"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4611686018427387904)}", CB_FORMAT,
         "the size of array `a` [4611686018427387904, 4611686018427387904] overflows"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", CB_FORMAT, "that is not a count"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", CB_FORMAT, "that is not a count"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,", CB_FORMAT, "that is not a count"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2 2)}", CB_FORMAT, "has a shape that does not end"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': 2}", CB_FORMAT, "has no shape"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,2)}", CB_UNSUPPORTED, "over 8 dimensions"},
        {"{'descr': '<f4', 'shape': (2,)}", CB_FORMAT, "lacks `descr`, `fortran_order` or `shape`"},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", CB_FORMAT, "that has no place there"},
        {"{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}", CB_FORMAT, "is not a dict"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} + exit()", CB_FORMAT, "goes on after its dict"},
        {"{'descr': '<f3', 'fortran_order': False, 'shape': (2,)}", CB_UNSUPPORTED, "type `<f3`, which is not read"},
        {"{'descr': '', 'fortran_order': False, 'shape': (2,)}", CB_UNSUPPORTED, "type ``, which is not read"},
        {"{'descr': '|V2', 'fortran_order': False, 'shape': (4,)}", CB_UNSUPPORTED, "perhaps of a bfloat16"},
        {"", CB_FORMAT, "lacks `descr`"},
    };
    char *folder = make_test_folder();
    char path[4096];
    snprintf(path, sizeof(path), "%s/a.npy", folder);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned char data[256] = "\x93NUMPY\x01";
        size_t length = strlen(cases[i].header);
        data[8] = (unsigned char)length;
        memcpy(data + 10, cases[i].header, length);
        write_file(path, data, 10 + length + 8);
        if (cases[i].sentence) {
            refused(path, cases[i].status, cases[i].sentence);
        } else {
            cb_tensors_close(open_data(path));
        }
    }
    unsigned char beyond[] = "\x93NUMPY\x01\x00\xff\xff{}";
    write_file(path, beyond, sizeof(beyond));
    refused(path, CB_FORMAT, "is too long");
    beyond[9] = 1;
    write_file(path, beyond, sizeof(beyond));
    refused(path, CB_FORMAT, "is cut short");
    beyond[6] = 4;
    write_file(path, beyond, sizeof(beyond));
    refused(path, CB_FORMAT, "does not begin as one of NumPy does");
    unlink(path);
    rmdir(folder);
    free(folder);
}

static void a_damaged_member_is_noticed(void **state)
{
    (void)state;
    size_t bytes;
    unsigned char *data = read_whole(DATA "arrays.npz", &bytes);
    char *folder = make_test_folder();
    char path[4096];
    snprintf(path, sizeof(path), "%s/a.npz", folder);
    unsigned char *f2 = memmem(data, bytes, "(3, 5)", 6);
    assert_non_null(f2);
    unsigned char *values = memchr(f2, '\n', bytes - (size_t)(f2 - data));
    assert_non_null(values);
    values[3] ^= 1;
    write_file(path, data, bytes);
    struct cb_tensor_file *file = open_data(path);
    struct cb_diag *diag = cb_diag_create();
    float out[15];
    assert_int_equal(cb_tensors_read_f32(file, cb_tensors_find(file, "f2"), out, diag), CB_FORMAT);
    assert_says(diag, "storage `f2` in `");
    assert_says(diag, "is damaged: CRC error");
    cb_diag_destroy(diag);
    cb_tensors_close(file);
    free(data);
    unlink(path);
    rmdir(folder);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_and_order_reads_to_the_same_bits),
        cmocka_unit_test(integers_are_read_as_they_are),
        cmocka_unit_test(what_is_not_numbers_is_refused),
        cmocka_unit_test(headers_that_lie_are_refused),
        cmocka_unit_test(a_damaged_member_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
