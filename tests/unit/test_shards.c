/* test_shards.c: weights in several files behind an index, and folders of weights. */
#include "weights_common.h"

#include <sys/stat.h>

static void equals_the_whole(const char *path, const char *format)
{
    struct cb_diag *diag = cb_diag_create();
    struct cb_tensor_file *file = NULL, *whole = NULL;
    if (cb_tensors_open(path, &file, NULL, diag) != CB_OK) {
        fail_msg("%s", first_message(diag));
    }
    assert_int_equal(cb_tensors_open(DATA "net.safetensors", &whole, NULL, NULL), CB_OK);
    assert_string_equal(cb_tensors_format(file), format);
    assert_int_equal(cb_tensors_count(file), cb_tensors_count(whole));
    for (uint32_t i = 0; i < cb_tensors_count(whole); i++) {
        const struct cb_tensor_entry *wanted = cb_tensors_at(whole, i);
        const struct cb_tensor_entry *entry = cb_tensors_find(file, wanted->name);
        assert_non_null(entry);
        float a[256] = {0}, b[256] = {0};
        assert_true(entry->count == wanted->count && entry->count <= 256);
        assert_int_equal(cb_tensors_read_f32(whole, wanted, a, NULL), CB_OK);
        assert_int_equal(cb_tensors_read_f32(file, entry, b, NULL), CB_OK);
        assert_memory_equal(a, b, sizeof(a));
    }
    cb_tensors_close(file);
    cb_tensors_close(whole);
    cb_diag_destroy(diag);
}

static void an_index_opens_as_one_file(void **state)
{
    (void)state;
    equals_the_whole(DATA "sharded/model.safetensors.index.json", "safetensors, sharded");
    equals_the_whole(DATA "sharded/pytorch_model.bin.index.json", "PyTorch, sharded");
    equals_the_whole(DATA "sharded", "safetensors, sharded");
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

static void put_copy(const char *from, const char *folder, const char *name)
{
    char path[4096];
    size_t bytes;
    unsigned char *data = read_whole(from, &bytes);
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    write_file(path, data, bytes);
    free(data);
}

static void indices_that_lie_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *index;
        enum cb_status status;
        const char *sentence;
    } cases[] = {
        {"{\"weight_map\": {\"conv1.weight\": \"../a.safetensors\"}}", CB_FORMAT,
         "tensor `conv1.weight` would be in `../a.safetensors`, which leads out of the folder"},
        {"{\"weight_map\": {\"w\": \"x/../../a\"}}", CB_FORMAT, "which leads out of the folder"},
        {"{\"weight_map\": {\"w\": \"/etc/passwd\"}}", CB_FORMAT, "which leads out of the folder"},
        {"{\"weight_map\": {\"w\": \"..\\\\a\"}}", CB_FORMAT, "which leads out of the folder"},
        {"{\"weight_map\": {\"w\": \"~/a\"}}", CB_FORMAT, "which leads out of the folder"},
        {"{\"weight_map\": {\"w\": \"\"}}", CB_FORMAT, "which leads out of the folder"},
        {"{\"weight_map\": {\"w\": 1}}", CB_FORMAT, "the file of tensor `w` is not a text"},
        {"{\"weight_map\": {}}", CB_FORMAT, "its `weight_map` is empty"},
        {"{\"weight_map\": [\"a\"]}", CB_FORMAT, "it has no `weight_map`"},
        {"{\"hidden_size\": 768}", CB_FORMAT, "is JSON, but not the index of sharded weights"},
        {"{\"weight_map\": {\"w\": \"a.safetensors\", ", CB_FORMAT, ":1:"},
        {"{\"weight_map\": {\"w\": \"a.safetensors\", \"w\": \"a.safetensors\"}}", CB_FORMAT, "duplicate object key"},
        {"{\"weight_map\": {\"w\": \"nothing.safetensors\"}}", CB_NOT_FOUND,
         "names `nothing.safetensors`, which is not beside it (1 of 1 files)"},
        {"{\"weight_map\": {\"w\": \"i.json\"}}", CB_FORMAT, "is named by the index of sharded weights, but it holds no"
         " tensors"},
        {"{\"weight_map\": {\"absent\": \"a.safetensors\"}}", CB_FORMAT,
         "tensor `absent` should be in `a.safetensors`, which does not have it"},
        {"{\"weight_map\": {\"conv1.weight\": \"a.safetensors\", \"fc.weight\": \"b.safetensors\"}}", CB_FORMAT,
         "is in `a.safetensors` and in `b.safetensors`"},
        {"{\"weight_map\": {\"conv1.weight\": \"./a.safetensors\"}}", CB_OK, NULL},
    };
    char *folder = make_test_folder();
    char path[4096];
    put_copy(DATA "net.safetensors", folder, "a.safetensors");
    put_copy(DATA "net.safetensors", folder, "b.safetensors");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(path, sizeof(path), "%s/i.json", folder);
        write_file(path, cases[i].index, strlen(cases[i].index));
        if (cases[i].sentence) {
            refused(path, cases[i].status, cases[i].sentence);
        } else {
            equals_the_whole(path, "safetensors, sharded");
        }
    }
    unlink(path);
    refused(folder, CB_INVALID, "has 2 weights files, among them `a.safetensors` and `b.safetensors`");
    snprintf(path, sizeof(path), "%s/b.safetensors", folder);
    unlink(path);
    equals_the_whole(folder, "safetensors");
    snprintf(path, sizeof(path), "%s/a.safetensors", folder);
    unlink(path);
    refused(folder, CB_NOT_FOUND, "has no weights: no `model.safetensors`");
    rmdir(folder);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_index_opens_as_one_file),
        cmocka_unit_test(indices_that_lie_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
