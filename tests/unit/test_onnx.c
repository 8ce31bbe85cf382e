/* test_onnx.c: models of ONNX as they are read: types, metadata, and what damaged and hostile files say. */
#include "onnx_common.h"

/* Every type, as bytes and as a list, against what NumPy put there. */
static void test_types(void **state)
{
    (void)state;
    struct cb_onnx_graph *graph = open_model("types.onnx");
    FILE *expected = fopen(ONNX "types.txt", "r");
    assert_non_null(expected);
    char *line = NULL;
    size_t capacity = 0;
    int seen = 0;
    while (getline(&line, &capacity, expected) > 0) {
        char *rest = line;
        const struct cb_onnx_value *value = find_value(graph, strsep(&rest, " "));
        assert_string_equal(cb_onnx_type_name(value->type), strsep(&rest, " \n"));
        assert_non_null(value->constant);
        float *all = malloc((size_t)value->constant->count * sizeof(float));
        cb_onnx_tensor_f32(value->constant, all);
        for (int64_t i = 0; i < value->constant->count; i++) {
            double real = strtod(strsep(&rest, " \n"), NULL);
            assert_true(cb_onnx_tensor_real(value->constant, i) == real);
            assert_true(all[i] == (float)real);
            if (real == (double)(int64_t)real && real < 1e18) {
                assert_int_equal(cb_onnx_tensor_int(value->constant, i), (int64_t)real);
            }
        }
        free(all);
        seen++;
    }
    free(line);
    fclose(expected);
    assert_int_equal(seen, 25);
    assert_string_equal(cb_onnx_metadata(graph->metadata, graph->metadata_count, "labels"), "one,two");
    assert_int_equal(graph->input_count, 1);
    assert_int_equal(graph->inputs[0].value->dims[0].fixed, -1);
    assert_string_equal(graph->inputs[0].value->symbols[0], "batch");
    assert_int_equal(graph->opset, 17);
    cb_onnx_close(graph);
}

/* Opens the bytes as a model, whatever comes of it. */
static enum cb_status open_bytes(const char *path, const unsigned char *data, size_t bytes)
{
    write_file(path, data, bytes);
    struct cb_onnx_graph *graph = NULL;
    struct cb_diag *diag = cb_diag_create();
    enum cb_status status = cb_onnx_open(path, &graph, NULL, diag);
    assert_true((status == CB_OK) == (graph != NULL));
    assert_true(status == CB_OK || strstr(first_message(diag), path));
    cb_onnx_close(graph);
    cb_diag_destroy(diag);
    return status;
}

static void test_truncations(void **state)
{
    (void)state;
    size_t bytes;
    unsigned char *data = read_whole(ONNX "types.onnx", &bytes);
    char *folder = make_test_folder();
    char *path = NULL;
    assert_true(asprintf(&path, "%s/cut.onnx", folder) > 0);
    for (size_t length = 0; length < bytes; length++) {
        open_bytes(path, data, length);
    }
    assert_int_equal(open_bytes(path, data, bytes), CB_OK);
    cb_remove_tree(folder, NULL);
    free(path);
    free(folder);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_truncations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
