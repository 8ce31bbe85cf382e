/* test_onnx.c: models of ONNX as they are read: types, metadata, and what damaged and hostile files say. */
#include "onnx_common.h"

#include "base/text.h"

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

/* Opens and simplifies the bytes as a model, whatever comes of it: no crash, and a sentence where it fails. */
struct scratch {
    char *folder, *path;
};

static enum cb_status open_bytes(const struct scratch *scratch, const void *data, size_t bytes)
{
    const char *path = scratch->path;
    write_file(path, data, bytes);
    struct cb_onnx_graph *graph = NULL;
    struct cb_diag *diag = cb_diag_create();
    enum cb_status status = cb_onnx_open(path, &graph, NULL, diag);
    assert_true((status == CB_OK) == (graph != NULL));
    if (status == CB_OK) {
        status = cb_onnx_simplify(graph, NULL, diag);
    }
    if (status != CB_OK && !strstr(first_message(diag), scratch->folder)) { /* of the model, or of a file beside it */
        fail_msg("the message names no file: %s", first_message(diag));
    }
    cb_onnx_close(graph);
    cb_diag_destroy(diag);
    return status;
}

static struct scratch make_scratch(void)
{
    struct scratch scratch = {.folder = make_test_folder()};
    char *beside = NULL;
    size_t bytes;
    unsigned char *data = read_whole(ONNX "beside.bin", &bytes);
    assert_true(asprintf(&scratch.path, "%s/model.onnx", scratch.folder) > 0);
    assert_true(asprintf(&beside, "%s/beside.bin", scratch.folder) > 0);
    write_file(beside, data, bytes);
    free(beside);
    free(data);
    return scratch;
}

static void drop_scratch(struct scratch *scratch)
{
    cb_remove_tree(scratch->folder, NULL);
    free(scratch->path);
    free(scratch->folder);
}

static const char *const small_models[] = {"types", "branch", "function", "fixed_batch", "external", "misfit"};
enum { SMALL_MODELS = sizeof(small_models) / sizeof(small_models[0]) };

static unsigned char *read_model(const char *name, size_t *out_bytes)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s%s.onnx", ONNX, name);
    return read_whole(path, out_bytes);
}

static void test_truncations(void **state)
{
    (void)state;
    struct scratch scratch = make_scratch();
    for (size_t i = 0; i < SMALL_MODELS; i++) {
        size_t bytes;
        unsigned char *data = read_model(small_models[i], &bytes);
        for (size_t length = 0; length < bytes; length++) {
            open_bytes(&scratch, data, length);
        }
        free(data);
    }
    drop_scratch(&scratch);
}

/* 6,000 models with one to four bytes changed, and some with a part taken out; always the same ones. */
static void test_mutations(void **state)
{
    (void)state;
    struct scratch scratch = make_scratch();
    uint64_t random = 20240607;
    size_t fine = 0;
    for (int round = 0; round < 6000; round++) {
        size_t bytes;
        unsigned char *data = read_model(small_models[round % SMALL_MODELS], &bytes);
        for (int i = 0; i < 1 + round / SMALL_MODELS % 4; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            size_t at = (size_t)(random >> 33) % bytes;
            data[at] = random >> 20 & 1 ? (unsigned char)(random >> 24) : data[at] ^ (unsigned char)(1u << (random >> 60 & 7));
        }
        if (round % 5 == 0) {
            size_t at = (size_t)(random >> 17) % bytes, length = (size_t)(random >> 7) % 16;
            length = length < bytes - at ? length : bytes - at;
            memmove(data + at, data + at + length, bytes - at - length);
            bytes -= length;
        }
        fine += open_bytes(&scratch, data, bytes) == CB_OK;
        free(data);
    }
    assert_true(fine > 300 && fine < 5700); /* many changes hit names and values alone */
    drop_scratch(&scratch);
}

static void put_length(struct cb_text *out, int field, const struct cb_text *content)
{
    unsigned char head[12];
    size_t length = content->length, at = 0;
    head[at++] = (unsigned char)(field << 3 | 2);
    do {
        head[at++] = (unsigned char)((length & 127) | (length > 127 ? 128 : 0));
        length >>= 7;
    } while (length);
    cb_text_add_bytes(out, head, at);
    cb_text_add_bytes(out, content->data, content->length);
}

/* A graph in an attribute of a node in a graph ..., far deeper than a stack is: GraphProto.node = 1, NodeProto.attribute
 * = 5, AttributeProto.g = 6; ModelProto.graph = 7. */
static void test_depth(void **state)
{
    (void)state;
    static const int fields[] = {6, 5, 1};
    struct scratch scratch = make_scratch();
    for (int depth = 30; depth < 6000; depth *= 10) {
        struct cb_text inner = {0};
        cb_text_add(&inner, "");
        for (int i = 0; i < depth; i++) {
            struct cb_text outer = {0};
            put_length(&outer, fields[i % 3], &inner);
            cb_text_free(&inner);
            inner = outer;
        }
        struct cb_text model = {0};
        put_length(&model, 7, &inner);
        assert_int_equal(open_bytes(&scratch, model.data, model.length), CB_FORMAT);
        struct cb_diag *diag = cb_diag_create();
        struct cb_onnx_graph *graph = NULL;
        assert_int_equal(cb_onnx_open(scratch.path, &graph, NULL, diag), CB_FORMAT);
        assert_says(diag, depth > 64 ? "messages are nested too deep" : "no version");
        cb_diag_destroy(diag);
        cb_text_free(&inner);
        cb_text_free(&model);
    }
    drop_scratch(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_truncations),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
