/* test_onnx_fold.c: constants as cb_onnx_simplify computes them, against ONNX's reference evaluator, at several opsets. */
#include <math.h>

#include "onnx_common.h"

/* Reals may differ in the last places: the evaluator computes in float, in another order. */
static void compare(const char *model, const char *name, const struct cb_onnx_tensor *got,
                    const struct cb_onnx_tensor *expected)
{
    if (!got) {
        fail_msg("%s: %s is not computed", model, name);
        return;
    }
    bool is_same = got->type == expected->type && got->rank == expected->rank;
    for (uint32_t i = 0; i < expected->rank && is_same; i++) {
        is_same = got->dims[i] == expected->dims[i];
    }
    if (!is_same) {
        fail_msg("%s: %s has another type or shape: %s of rank %u, not %s of rank %u", model, name,
                 cb_onnx_type_name(got->type), got->rank, cb_onnx_type_name(expected->type), expected->rank);
    }
    for (int64_t i = 0; i < expected->count; i++) {
        double a = cb_onnx_tensor_real(got, i), b = cb_onnx_tensor_real(expected, i);
        bool is_near = cb_onnx_type_is_real(expected->type) ? fabs(a - b) <= 2e-6 * (fabs(b) + 1e-3) || a == b
                                                            : cb_onnx_tensor_int(got, i) == cb_onnx_tensor_int(expected, i);
        if (!is_near) {
            fail_msg("%s: %s[%lld] is %.9g, not %.9g", model, name, (long long)i, a, b);
        }
    }
}

static void test_fold(void **state)
{
    const char *const *model = (const char *const *)state; /* the initial state is the name */
    char name[64], expected_name[64];
    snprintf(name, sizeof(name), "%s.onnx", *model);
    snprintf(expected_name, sizeof(expected_name), "%s_expected.onnx", *model);
    struct cb_onnx_graph *graph = open_model(name), *expected = open_model(expected_name);
    struct cb_diag *diag = cb_diag_create();
    if (cb_onnx_simplify(graph, NULL, diag) != CB_OK) {
        fail_msg("%s", first_message(diag));
    }
    assert_true(graph->output_count > 70);
    for (uint32_t i = 0; i < graph->output_count; i++) {
        compare(*model, graph->outputs[i].name, graph->outputs[i].value->constant,
                find_value(expected, graph->outputs[i].name)->constant);
    }
    assert_int_equal(graph->node_count, 0);
    cb_diag_destroy(diag);
    cb_onnx_close(graph);
    cb_onnx_close(expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"opset 9", test_fold, NULL, NULL, "fold9"},
        {"opset 13", test_fold, NULL, NULL, "fold13"},
        {"opset 18", test_fold, NULL, NULL, "fold18"},
        {"opset 21", test_fold, NULL, NULL, "fold21"},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
