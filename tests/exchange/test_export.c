/* Exported files, read back by protobuf-c: nodes, the order of weights, what is folded, int8,
 * names, metadata. No ONNX runtime and no device is needed; compare_export.py runs the files where
 * there is one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "exchange/import.h"
#include "exchange/onnx_write.h"

static const char network[] =
    "name: tiny\n"
    "input: {modality: image, shape: [6, 8, 3], scale: {mean: [10, 20, 30], std: [2]}, resize: "
    "crop, crop_fraction: 0.5}\n"
    "layers:\n"
    "  - conv2d: {filters: 4, kernel: [1, 2], stride: 2, padding: same, bias: false}\n"
    "    name: conv\n"
    "  - batchnorm\n"
    "  - relu\n"
    "  - dropout: {rate: 0.5}\n"
    "  - flatten\n"
    "  - dense: {units: 2}\n"
    "    name: head\n";

struct world {
    struct cb_arena *arena;
    struct cb_diag *diag;
    struct cb_registry *registry;
    char folder[64];
};

struct exported {
    struct world *world;
    struct cb_model model;
    struct cb_onnx_request request;
    struct cb_onnx_summary summary;
    Onnx__ModelProto *file;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    w->arena = cb_arena_create();
    w->diag = cb_diag_create();
    w->registry = cb_registry_create(&cb__host);
    strcpy(w->folder, "/tmp/cambium-export-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    (void)cb_remove_tree(w->folder, NULL);
    cb_registry_destroy(w->registry);
    cb_diag_destroy(w->diag);
    cb_arena_destroy(w->arena);
    free(w);
    return 0;
}

static void must(struct world *w, enum cb_status status)
{
    if (status != CB_OK) {
        fail_msg("%s", cb_diag_text(w->diag, 0));
    }
}

/* Param values by their place in the list: 1, 2, 3 ... divided by 8. */
static void number_params(struct cb_network *net)
{
    for (uint32_t i = 0; i < net->param_count; i++) {
        for (int64_t k = 0; k < net->params[i].count; k++) {
            net->params[i].host[k] = (float)(k + 1) / 8.0f;
        }
    }
}

static void open_network(struct exported *x, struct world *w, const char *text, const char *link)
{
    static const char *const classes[] = {"a \"b\"", "c"};
    struct cb_value *file;
    struct cb_network *net = cb_network_create(w->registry, "tiny");
    must(w, cb_yaml_read_text(w->arena, "tiny.yaml", text, strlen(text), &file, w->diag));
    must(w, cb_network_read(net, file, NULL, ".", w->diag));
    number_params(net);
    x->world = w;
    x->model = (struct cb_model){.net = net,
                                 .input = net->inputs[0],
                                 .scores = net->backbone_output,
                                 .target = CB_NONE,
                                 .features = CB_NONE,
                                 .link = link,
                                 .background = CB_WHITE};
    if (link != NULL) {
        x->model.classes = classes;
        x->model.class_count = x->model.outputs = 2;
    }
    x->model.contract = *net->wires[net->inputs[0]].contract;
    x->request.path = cb_path_join(w->arena, w->folder, "tiny.onnx");
}

static void write_and_read(struct exported *x)
{
    struct world *w = x->world;
    char *data;
    size_t bytes;
    must(w, cb_onnx_write(&x->model, &x->request, &x->summary, w->diag));
    must(w, cb_file_read(w->arena, x->request.path, 1 << 24, &data, &bytes, NULL, w->diag));
    x->file = onnx__model_proto__unpack(NULL, bytes, (const uint8_t *)data);
    assert_non_null(x->file);
}

static void close_network(struct exported *x)
{
    onnx__model_proto__free_unpacked(x->file, NULL);
    cb_network_destroy(x->model.net);
}

static void expect_operators(const struct exported *x, const char *const *names)
{
    const Onnx__GraphProto *g = x->file->graph;
    size_t count = 0;
    for (; names[count] != NULL; count++) {
        assert_true(count < g->n_node);
        assert_string_equal(g->node[count]->op_type, names[count]);
    }
    assert_int_equal(g->n_node, count);
}

static const Onnx__TensorProto *tensor(const struct exported *x, const char *name)
{
    const Onnx__GraphProto *g = x->file->graph;
    for (size_t i = 0; i < g->n_initializer; i++) {
        if (strcmp(g->initializer[i]->name, name) == 0) {
            return g->initializer[i];
        }
    }
    fail_msg("there is no initializer %s", name);
    return NULL;
}

static float value(const struct exported *x, const char *name, size_t i)
{
    float v;
    const Onnx__TensorProto *t = tensor(x, name);
    assert_true((i + 1) * sizeof(v) <= t->raw_data.len);
    memcpy(&v, t->raw_data.data + i * sizeof(v), sizeof(v));
    return v;
}

static const Onnx__AttributeProto *attribute(const Onnx__NodeProto *node, const char *name)
{
    for (size_t i = 0; i < node->n_attribute; i++) {
        if (strcmp(node->attribute[i]->name, name) == 0) {
            return node->attribute[i];
        }
    }
    fail_msg("%s has no attribute %s", node->name, name);
    return NULL;
}

static const char *property(const struct exported *x, const char *key)
{
    for (size_t i = 0; i < x->file->n_metadata_props; i++) {
        if (strcmp(x->file->metadata_props[i]->key, key) == 0) {
            return x->file->metadata_props[i]->value;
        }
    }
    fail_msg("there is no property %s", key);
    return NULL;
}

static void nodes(void **state)
{
    static const char *const operators[] = {"Conv", "Relu",    "Transpose", "Reshape",
                                            "Gemm", "Softmax", NULL};
    struct exported x = {0};
    open_network(&x, *state, network, "softmax");
    write_and_read(&x);
    const Onnx__GraphProto *g = x.file->graph;
    expect_operators(&x, operators);
    assert_int_equal(x.file->ir_version, 8);
    assert_int_equal(x.file->opset_import[0]->version, 17);
    assert_string_equal(x.file->producer_name, "cambium");
    assert_string_equal(g->node[0]->name, "conv/Conv");
    /* 6 x 8 at stride 2, `same` for a filter of 1 x 2: nothing is missing */
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(attribute(g->node[0], "pads")->ints[i], 0);
    }
    assert_int_equal(g->n_input, 1);
    assert_string_equal(g->input[0]->name, "input");
    const Onnx__TensorShapeProto *shape = g->input[0]->type->tensor_type->shape;
    assert_string_equal(shape->dim[0]->dim_param, "N");
    assert_int_equal(shape->dim[1]->dim_value, 3);
    assert_int_equal(shape->dim[2]->dim_value, 6);
    assert_int_equal(shape->dim[3]->dim_value, 8);
    assert_int_equal(g->n_output, 2);
    assert_string_equal(g->output[0]->name, "logits");
    assert_string_equal(g->output[1]->name, "probabilities");
    close_network(&x);
}

/* Ours is w[0,j,c,k] = (1 + (j 3 + c) 4 + k) / 8 and batchnorm's w, b, mean, var are (k + 1) / 8
 * all: the file has [k,c,0,j], times w / sqrt(var + epsilon). */
static void weights(void **state)
{
    struct exported x = {0};
    open_network(&x, *state, network, "softmax");
    write_and_read(&x);
    for (int k = 0; k < 4; k++) {
        const double v = (k + 1) / 8.0, root = v + 1e-5;
        double scale = v; /* w / sqrt(var + epsilon): squared below */
        for (int c = 0; c < 3; c++) {
            for (int j = 0; j < 2; j++) {
                const double ours = (1 + (j * 3 + c) * 4 + k) / 8.0;
                const double got =
                    (double)value(&x, "conv.weight", (size_t)((k * 3 + c) * 2 + j)) / ours;
                assert_float_equal(got * got * root, scale * scale, 1e-6);
            }
        }
    }
    /* the dense layer's weights are [K,C]: ours [C,K] is (1 + c 2 + k) / 8 */
    assert_int_equal(tensor(&x, "head.weight")->dims[0], 2);
    assert_float_equal((double)value(&x, "head.weight", 1), 3.0 / 8.0, 0.0);
    assert_int_equal(x.summary.folded_count, 1);
    close_network(&x);
}

static void unfolded(void **state)
{
    static const char *const operators[] = {
        "Conv", "BatchNormalization", "Relu", "Transpose", "Reshape", "Gemm", NULL};
    struct exported x = {.request = {.keep_affine = true}};
    open_network(&x, *state, network, NULL);
    write_and_read(&x);
    expect_operators(&x, operators);
    assert_float_equal((double)value(&x, "conv.weight", 1), 13.0 / 8.0, 0.0); /* k 0, c 0, j 1 */
    assert_string_equal(x.file->graph->output[0]->name, "output");
    close_network(&x);
}

static void bytes_in(void **state)
{
    static const char *const operators[] = {"Cast", "Sub",       "Div",     "Transpose", "Conv",
                                            "Relu", "Transpose", "Reshape", "Gemm",      NULL};
    struct exported x = {.request = {.from_bytes = true}};
    open_network(&x, *state, network, NULL);
    write_and_read(&x);
    expect_operators(&x, operators);
    const Onnx__TypeProto__Tensor *input = x.file->graph->input[0]->type->tensor_type;
    assert_int_equal(input->elem_type, ONNX__TENSOR_PROTO__DATA_TYPE__UINT8);
    assert_int_equal(input->shape->dim[3]->dim_value, 3);
    assert_float_equal((double)value(&x, "scaling/mean", 2), 30.0, 0.0);
    close_network(&x);
}

static void int8(void **state)
{
    static const char *const operators[] = {
        "DequantizeLinear", "Conv", "Relu", "Transpose", "Reshape",
        "DequantizeLinear", "Gemm", NULL};
    struct exported x = {0};
    struct cb_quantised *quantised;
    uint64_t count;
    open_network(&x, *state, network, NULL);
    x.model.net->params[0].host[3] = -x.model.net->params[0].host[3];
    x.model.net->params[1].host[0] =
        -x.model.net->params[1].host[0]; /* batchnorm's scale of channel 0: turns its sign */
    must(*state, cb_onnx_quantise(&x.model, &quantised, &count, x.world->diag));
    assert_int_equal(count, 2 * 3 * 4 + 48 * 2);
    x.request.quantised = quantised;
    write_and_read(&x);
    expect_operators(&x, operators);
    const Onnx__TensorProto *q = tensor(&x, "conv.weight_int8");
    assert_int_equal(q->data_type, ONNX__TENSOR_PROTO__DATA_TYPE__INT8);
    assert_int_equal(attribute(x.file->graph->node[0], "axis")->i, 0);
    assert_int_equal((int8_t)q->raw_data.data[5],
                     -127); /* k 0, the last c and j: the largest, turned */
    assert_int_equal((int8_t)q->raw_data.data[3 * 6], -21); /* k 3, c 0, j 0: -4/8 of 24/8 */
    assert_true(value(&x, "conv.weight_scale", 0) > 0.0f);
    assert_float_equal((double)x.model.net->params[0].host[20], 21.0 / 8.0,
                       1e-6); /* the largest stays what it is */
    close_network(&x);
}

static void metadata(void **state)
{
    struct exported x = {0};
    open_network(&x, *state, network, "softmax");
    write_and_read(&x);
    assert_string_equal(property(&x, "labels"), "[\"a \\\"b\\\"\", \"c\"]");
    assert_string_equal(property(&x, "backbone"), "tiny");
    const char *p = property(&x, "preprocessing");
    assert_non_null(strstr(p, "\"size\": [6, 8]"));
    assert_non_null(strstr(p, "\"crop_fraction\": 0.5"));
    assert_non_null(strstr(p, "\"channels\": \"RGB\""));
    assert_non_null(strstr(x.file->doc_string, "mean 10, 20, 30, std 2"));
    /* the contract reads back */
    struct cb_value *map;
    struct cb_contract contract = {0};
    const char *yaml = property(&x, "contract");
    must(*state,
         cb_yaml_read_text(x.world->arena, "contract", yaml, strlen(yaml), &map, x.world->diag));
    must(*state, cb_contract_read(cb_map_get(map, "input"), &contract, x.world->diag));
    assert_int_equal(contract.shape[1], 8);
    assert_float_equal(contract.mean[2], 30.0, 0.0);
    assert_int_equal(contract.resize, CB_RESIZE_CROP);
    close_network(&x);
}

static void data_beside(void **state)
{
    struct exported x = {.request = {.data_beside = true}};
    open_network(
        &x, *state,
        "input: {modality: tensor, shape: [32]}\nlayers: [{dense: {units: 16}, name: d}]\n", NULL);
    write_and_read(&x);
    const Onnx__TensorProto *w = tensor(&x, "d.weight");
    assert_int_equal(w->data_location, ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL);
    assert_int_equal(w->raw_data.len, 0);
    assert_string_equal(w->external_data[0]->value, "tiny.onnx.data");
    assert_string_equal(w->external_data[2]->value, "2048");
    assert_int_equal(cb_file_bytes(x.summary.data_path), 2048);
    assert_int_equal(tensor(&x, "d.bias")->raw_data.len, 64); /* small ones stay */
    close_network(&x);
}

/* A loss stands for what ONNX has no words for: it is named, and nothing is written. */
static void refused(void **state)
{
    struct world *w = *state;
    struct exported x = {0};
    open_network(&x, w,
                 "input: {modality: tensor, shape: [3]}\nlayers: [{dense: {units: 3}, name: d}]\n",
                 NULL);
    uint32_t target, node;
    must(w, cb_network_add_input(x.model.net, "y", CB_F32, 2, (int64_t[]){1, 3}, NULL, &target,
                                 w->diag));
    must(w,
         cb_network_add_layer(x.model.net, "mse", "off", NULL, (uint32_t[]){x.model.scores, target},
                              2, true, NULL, &node, w->diag));
    x.model.scores = x.model.net->nodes[node].y[0];
    assert_int_equal(cb_onnx_write(&x.model, &x.request, &x.summary, w->diag), CB_UNSUPPORTED);
    assert_non_null(strstr(cb_diag_text(w->diag, 0), "layer `off` (`mse`) cannot be exported"));
    assert_false(cb_path_exists(x.request.path));
    cb_network_destroy(x.model.net);
}

/* What is imported again has the same names, values, contract and labels. */
static void imported_again(void **state)
{
    struct world *w = *state;
    struct exported x = {.request = {.keep_affine = true}};
    open_network(&x, w, network, "softmax");
    write_and_read(&x);
    const struct cb_import_request request = {.path = x.request.path, .name = "again"};
    struct cb_imported *again = cb_imported_create("again");
    must(w, cb_import_onnx(&request, again, w->diag));
    const struct cb_network *net = x.model.net;
    assert_int_equal(again->entry_count, net->param_count);
    for (uint32_t i = 0; i < net->param_count; i++) {
        const struct cb_safetensors_entry *entry = NULL;
        for (uint32_t k = 0; k < again->entry_count; k++) {
            entry = strcmp(again->entries[k].name, net->params[i].name) == 0 ? &again->entries[k]
                                                                             : entry;
        }
        if (entry == NULL) {
            fail_msg("%s is lost", net->params[i].name);
            return;
        }
        assert_memory_equal(entry->data, net->params[i].host,
                            (size_t)net->params[i].count * sizeof(float));
    }
    struct cb_value *file;
    struct cb_contract contract = {0};
    must(w, cb_yaml_read_text(w->arena, "again.yaml", again->yaml, strlen(again->yaml), &file,
                              w->diag));
    must(w, cb_contract_read(cb_map_get(file, "input"), &contract, w->diag));
    assert_int_equal(contract.shape[0], 6);
    assert_float_equal(contract.mean[1], 20.0, 0.0);
    assert_float_equal(contract.crop_fraction, 0.5, 0.0);
    const struct cb_value *labels = cb_map_get(file, "labels");
    assert_non_null(labels);
    assert_int_equal(labels->as.list.count, 2);
    assert_string_equal(labels->as.list.items[0]->text, "a \"b\"");
    cb_imported_destroy(again);
    close_network(&x);
}

/* int8 weights are imported as the numbers that they stand for, to the last bit of the scale. */
static void int8_imported(void **state)
{
    struct world *w = *state;
    struct exported x = {.request = {.keep_affine = true}};
    struct cb_quantised *quantised;
    uint64_t count;
    open_network(&x, w, network, NULL);
    must(w, cb_onnx_quantise(&x.model, &quantised, &count, w->diag));
    x.request.quantised = quantised;
    write_and_read(&x);
    const struct cb_import_request request = {.path = x.request.path, .name = "again"};
    struct cb_imported *again = cb_imported_create("again");
    must(w, cb_import_onnx(&request, again, w->diag));
    bool found = false;
    for (uint32_t k = 0; k < again->entry_count; k++) {
        if (strcmp(again->entries[k].name, "conv.w") == 0) {
            assert_memory_equal(again->entries[k].data, x.model.net->params[0].host,
                                24 * sizeof(float));
            found = true;
        }
    }
    assert_true(found);
    cb_imported_destroy(again);
    close_network(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nodes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(weights, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unfolded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bytes_in, set_up, tear_down),
        cmocka_unit_test_setup_teardown(int8, set_up, tear_down),
        cmocka_unit_test_setup_teardown(metadata, set_up, tear_down),
        cmocka_unit_test_setup_teardown(data_beside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(imported_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(int8_imported, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
