/* test_onnx_graph.c: shapes, branches, functions, external data, the batch; and what is said of models that are wrong. */
#include "onnx_common.h"

static struct cb_onnx_graph *simplified(const char *name, const struct cb_onnx_options *options)
{
    struct cb_onnx_graph *graph = open_model(name);
    struct cb_diag *diag = cb_diag_create();
    if (cb_onnx_simplify(graph, options, diag) != CB_OK) {
        fail_msg("%s", first_message(diag));
    }
    cb_diag_destroy(diag);
    return graph;
}

static void assert_shape(const struct cb_onnx_value *value, const char *expected)
{
    char shape[512];
    if (strcmp(cb_onnx_format_shape(value, shape), expected) != 0) {
        fail_msg("`%s` is %s, not %s", value->name, shape, expected);
    }
}

/* Shapes of two batch sizes, as ONNX's reference evaluator found them, made one with N. */
static void test_shapes(void **state)
{
    (void)state;
    struct cb_onnx_graph *graph = simplified("shapes.onnx", NULL);
    FILE *expected = fopen(ONNX "shapes.txt", "r");
    assert_non_null(expected);
    char *line = NULL;
    size_t capacity = 0;
    uint32_t i = 0;
    for (; getline(&line, &capacity, expected) > 0; i++) {
        char *rest = line;
        char *name = strsep(&rest, " ");
        rest[strcspn(rest, "\n")] = '\0';
        assert_true(i < graph->output_count);
        assert_string_equal(graph->outputs[i].name, name);
        assert_shape(graph->outputs[i].value, rest);
    }
    assert_int_equal(i, graph->output_count);
    free(line);
    fclose(expected);
    cb_onnx_close(graph);
}

/* A shape that depends on N alone, and what is the same for every sample. */
static void test_batch(void **state)
{
    (void)state;
    struct cb_onnx_graph *graph = simplified("shapes.onnx", NULL);
    const struct cb_onnx_value *shape = NULL, *token = NULL;
    for (uint32_t i = 0; i < graph->output_count; i++) {
        shape = strcmp(graph->outputs[i].name, "Concat58_0") == 0 ? graph->outputs[i].value : shape;
        token = strcmp(graph->outputs[i].name, "Expand53_0") == 0 ? graph->outputs[i].value : token;
    }
    assert_non_null(shape);
    assert_non_null(shape->elements);
    assert_null(shape->constant);
    assert_int_equal(shape->elements[0].batch, 2);
    assert_int_equal(shape->elements[0].fixed, 0);
    assert_int_equal(shape->elements[3].fixed, 11);
    assert_true(token->is_repeated);
    assert_int_equal(token->constant->dims[0], 1);
    assert_true(cb_onnx_tensor_real(token->constant, 5) == 1);
    cb_onnx_close(graph);

    graph = simplified("fixed_batch.onnx", NULL);
    assert_int_equal(graph->batch, 2);
    assert_int_equal(graph->node_count, 5);
    assert_shape(graph->nodes[0]->outputs[0], "[5, N, 12]");
    assert_shape(graph->nodes[1]->outputs[0], "[5, 4N, 3]");
    assert_shape(graph->nodes[3]->outputs[0], "[N, 4, 5, 3]");
    assert_shape(graph->outputs[0].value, "[N, 60]");
    cb_onnx_close(graph);
    graph = simplified("fixed_constants.onnx", NULL);
    assert_true(graph->nodes[0]->inputs[0]->is_repeated);
    assert_shape(graph->nodes[0]->outputs[0], "[N, 4, 12]");
    assert_shape(graph->nodes[1]->inputs[1], "[N, 5, 12]");
    assert_true(cb_onnx_tensor_real(graph->nodes[1]->inputs[1]->constant, 59) == 59);
    assert_shape(graph->nodes[1]->outputs[0], "[N, 14, 12]");
    assert_shape(graph->nodes[3]->outputs[0], "[12N]");
    assert_string_equal(graph->nodes[4]->op, "Reshape");
    assert_shape(graph->outputs[0].value, "[N, 12, 1, 1]");
    cb_onnx_close(graph);
    graph = simplified("fixed_indices.onnx", NULL);
    assert_shape(graph->outputs[0].value, "[N, 3, 12]");
    assert_int_equal(graph->outputs[0].value->type, CB_ONNX_BOOL);
    cb_onnx_close(graph);
    graph = simplified("fixed_batch.onnx", &(struct cb_onnx_options){.keep_batch = true});
    assert_shape(graph->outputs[0].value, "[2, 60]");
    cb_onnx_close(graph);
}

static void test_branches_and_functions(void **state)
{
    (void)state;
    struct cb_onnx_graph *graph = simplified("branch.onnx", NULL);
    assert_int_equal(graph->node_count, 2);
    assert_string_equal(graph->nodes[0]->op, "Squeeze");
    assert_shape(graph->outputs[0].value, "[N, 3]");
    assert_ptr_equal(graph->nodes[0]->outputs[0]->consumers[0], graph->nodes[1]);
    cb_onnx_close(graph);

    graph = simplified("function.onnx", NULL);
    assert_int_equal(graph->node_count, 4);
    assert_string_equal(graph->nodes[0]->name, "first/inner/sum");
    assert_string_equal(graph->nodes[1]->name, "first/leaky");
    assert_true(cb_onnx_real(graph->nodes[1], "alpha", 0) == 0.5);
    assert_true(cb_onnx_real(graph->nodes[3], "alpha", 0) == 0.25);
    assert_ptr_equal(graph->nodes[2]->inputs[0], graph->nodes[1]->outputs[0]);
    assert_int_equal(graph->nodes[1]->outputs[0]->consumer_count, 2); /* the sum of it with itself */
    cb_onnx_close(graph);
}

static void test_external(void **state)
{
    (void)state;
    struct cb_onnx_graph *graph = simplified("external.onnx", NULL);
    const struct cb_onnx_tensor *w = cb_onnx_constant(graph->nodes[0], 1);
    assert_true(cb_onnx_tensor_real(w, 0) == 1.5 && cb_onnx_tensor_real(w, 2) == 3.25);
    cb_onnx_close(graph);
}

static void test_sizes(void **state)
{
    (void)state;
    const struct cb_onnx_size sizes[] = {{"height", 48}, {"x:3", 32}};
    struct cb_onnx_graph *graph = simplified("open_sizes.onnx", &(struct cb_onnx_options){sizes, 2, false});
    assert_shape(graph->outputs[0].value, "[N, 3, 48, 32]");
    cb_onnx_close(graph);
}

/* Every one is refused, with the file, the node where there is one, and the reason. */
static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *file, *says;
        enum cb_status status;
    } cases[] = {
        {"opset6", "is written in opset 6 of ONNX; 7 to 27 are read", CB_UNSUPPORTED},
        {"opset99", "is written in opset 99 of ONNX; 7 to 27 are read", CB_UNSUPPORTED},
        {"circle", "node `first` (Add): input `b` is made by a later node", CB_FORMAT},
        {"missing", "node `sum` (Add): nothing makes its input `weigth`; the nearest name is `weight`", CB_FORMAT},
        {"twice", "two values are named `y`", CB_FORMAT},
        {"no_output", "nothing makes the model's output `z`", CB_FORMAT},
        {"misfit", "node `sum` (Add): the shapes of its inputs cannot be broadcast to each other (`x` [N, 3], `w` [4])",
         CB_MISMATCH},
        {"loop", "node `loop` (Loop): it runs a graph of its own (`body`)", CB_UNSUPPORTED},
        {"branch_of_input", "node `branch` (If): which branch it takes depends on the input (`x`)", CB_UNSUPPORTED},
        {"short", "tensor `w` [3] of float needs 12 bytes, but has 8", CB_FORMAT},
        {"huge", "tensor `w` has a size that overflows", CB_FORMAT},
        {"float8", "tensor `w` has the type FLOAT8E4M3FN, which is not read", CB_UNSUPPORTED},
        {"external_past", "tensor `w` ends past the end of `beside.bin`: 12 bytes at byte 12 of 20", CB_FORMAT},
        {"external_up", "tensor `w` has its values in `../onnx/beside.bin`, outside of the model's folder", CB_FORMAT},
        {"external_root", "tensor `w` has its values in `/dev/zero`, outside of the model's folder", CB_FORMAT},
        {"external_missing", "besides.bin` does not exist; did you mean `beside.bin`?", CB_NOT_FOUND},
        {"external_bad", "tensor `w` has `8x` as the offset of its external data", CB_FORMAT},
        {"open_sizes", "leaves sizes of its inputs open: give them with --size height,width=...", CB_INVALID},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cb_onnx_graph *graph = NULL;
        struct cb_diag *diag = cb_diag_create();
        char path[4096];
        snprintf(path, sizeof(path), "%s%s.onnx", ONNX, cases[i].file);
        enum cb_status status = cb_onnx_open(path, &graph, NULL, diag);
        if (status == CB_OK) {
            status = cb_onnx_simplify(graph, NULL, diag);
        }
        assert_says(diag, cases[i].says);
        assert_int_equal(status, cases[i].status);
        cb_onnx_close(graph);
        cb_diag_destroy(diag);
    }
    const struct cb_onnx_size sizes[] = {{"heigth", 48}};
    struct cb_onnx_graph *graph = open_model("open_sizes.onnx");
    struct cb_diag *diag = cb_diag_create();
    assert_int_equal(cb_onnx_simplify(graph, &(struct cb_onnx_options){sizes, 1, false}, diag), CB_INVALID);
    assert_says(diag, "no input has a dim named `heigth`; did you mean `height`?");
    cb_onnx_close(graph);
    cb_diag_destroy(diag);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),   cmocka_unit_test(test_batch), cmocka_unit_test(test_branches_and_functions),
        cmocka_unit_test(test_external), cmocka_unit_test(test_sizes), cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
