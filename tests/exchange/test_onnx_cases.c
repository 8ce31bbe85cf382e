/* test_onnx_cases.c: ONNX's own test data (libonnx-testdata), case by case.
 *
 *     test_onnx_cases DATA TABLE [CASE...]
 *
 * DATA is the folder with node/, pytorch-converted/, ...; each case is a model with inputs and the outputs that ONNX's
 * reference gives for them. Three ways are tried, and the first that works counts:
 *   batch  the model's first axis is N, as in models that people download; inputs of integers, and all but the first of
 *          one operator, become constants (they are weights, axes, shapes)
 *   one    the whole input is one sample, so that an operator may work on the first axis too
 *   fold   all inputs become constants: what is computed before there is a network
 * Outputs must be right to 1e-3 of the largest and 1e-5 more (1e-4 is what ONNX's own runner allows beside its rounding in
 * half precision). An output that is wrong, whatever the way, fails the test, as does a case that TABLE, a line each
 * `CASE<tab>WAY` or `CASE<tab>refused<tab>REASON`, has otherwise. Without a table (`-`) the lines are printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <unistd.h>

#include "exchange/import.h"
#include "exchange/onnx.h"
#include "graph/plan.h"
#include "onnx_cases.h"

#define MAX_PORTS 32

enum way { WAY_BATCH, WAY_ONE, WAY_FOLD, WAYS };
static const char *const way_names[] = {"batch", "one", "fold"};

struct test_case {
    const char *folder;
    struct values inputs[MAX_PORTS], outputs[MAX_PORTS];
    uint32_t input_count, output_count;
    Onnx__ModelProto *model;
};

struct world {
    struct cb_registry *registry;
    struct cb_device *device;
    char temporary[256];
};

/* ---- a case -------------------------------------------------------------------------------------------------------- */

/* FOLDER/test_data_set_0/KIND_0.pb and so on; false where one is no tensor of numbers. */
static bool read_ports(const char *folder, const char *kind, struct values *ports, uint32_t *out_count)
{
    *out_count = 0;
    for (uint32_t i = 0; i < MAX_PORTS; i++) {
        char path[1024];
        snprintf(path, sizeof(path), "%s/test_data_set_0/%s_%u.pb", folder, kind, i);
        if (!cb_path_exists(path)) {
            return true;
        }
        Onnx__TensorProto *tensor = read_tensor(path);
        const bool ok = tensor != NULL && tensor_values(tensor, &ports[i]);
        if (tensor != NULL) {
            onnx__tensor_proto__free_unpacked(tensor, NULL);
        }
        if (!ok) {
            return false;
        }
        *out_count = i + 1;
    }
    return true;
}

static void close_case(struct test_case *c)
{
    for (uint32_t i = 0; i < MAX_PORTS; i++) {
        free_values(&c->inputs[i]);
        free_values(&c->outputs[i]);
    }
    if (c->model != NULL) {
        onnx__model_proto__free_unpacked(c->model, NULL);
    }
}

static int32_t declared_type(const Onnx__ValueInfoProto *info)
{
    return info->type != NULL && info->type->tensor_type != NULL ? info->type->tensor_type->elem_type : 0;
}

static bool open_case(const char *folder, struct test_case *c)
{
    char path[1024];
    struct cb_mapping file;
    *c = (struct test_case){.folder = folder};
    snprintf(path, sizeof(path), "%s/model.onnx", folder);
    if (cb_file_map(path, &file, NULL, NULL) != CB_OK) {
        return false;
    }
    c->model = onnx__model_proto__unpack(NULL, file.bytes, file.data);
    cb_file_unmap(&file);
    if (c->model == NULL || !read_ports(folder, "input", c->inputs, &c->input_count) ||
        !read_ports(folder, "output", c->outputs, &c->output_count) || c->output_count == 0) {
        return false;
    }
    for (uint32_t i = 0; i < c->output_count && i < c->model->graph->n_output; i++) {
        for (int64_t k = 0; c->outputs[i].type == 4 && declared_type(c->model->graph->output[i]) == 16 && k < c->outputs[i].count;
             k++) {
            const uint32_t bits = (uint32_t)c->outputs[i].data[k] << 16;
            float x;
            memcpy(&x, &bits, sizeof(x));
            c->outputs[i].data[k] = (double)x; /* which older versions of ONNX cut off instead of rounding */
            c->outputs[i].is_bfloat16 = true;
        }
    }
    return true;
}

/* Which of the graph's inputs become constants. */
static bool is_constant(const struct test_case *c, uint32_t i, enum way way)
{
    const bool is_real = c->inputs[i].type == 1 || c->inputs[i].type == 10 || c->inputs[i].type == 11;
    const Onnx__GraphProto *graph = c->model->graph;
    static const char *const of_two[] = {"Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Sum", "Mean", "Concat", "MatMul",
                                         "PRelu"};
    bool takes_two = graph->n_node != 1;
    for (size_t k = 0; k < sizeof(of_two) / sizeof(of_two[0]) && !takes_two; k++) {
        takes_two = strcmp(graph->node[0]->op_type, of_two[k]) == 0;
    }
    return way == WAY_FOLD || !is_real || (i > 0 && !takes_two);
}

/* Writes the model with those inputs as initializers. */
static bool write_model(const struct test_case *c, enum way way, const char *path)
{
    Onnx__GraphProto *graph = c->model->graph;
    const size_t before = graph->n_initializer;
    Onnx__TensorProto **all = calloc(before + MAX_PORTS, sizeof(*all)), **old = graph->initializer;
    for (size_t i = 0; i < before; i++) {
        all[i] = old[i];
    }
    graph->initializer = all;
    for (uint32_t i = 0; i < c->input_count && i < graph->n_input; i++) {
        char file[1024];
        if (is_constant(c, i, way)) {
            snprintf(file, sizeof(file), "%s/test_data_set_0/input_%u.pb", c->folder, i);
            Onnx__TensorProto *tensor = read_tensor(file);
            free(tensor->name);
            tensor->name = strdup(graph->input[i]->name);
            if (tensor->data_type == 4) { /* bfloat16 stands in these files as the bits */
                tensor->data_type = declared_type(graph->input[i]);
            }
            all[graph->n_initializer++] = tensor;
        }
    }
    const size_t bytes = onnx__model_proto__get_packed_size(c->model);
    unsigned char *packed = malloc(bytes + 1);
    onnx__model_proto__pack(c->model, packed);
    FILE *f = fopen(path, "wb");
    const bool ok = f != NULL && fwrite(packed, 1, bytes, f) == bytes;
    if (f != NULL) {
        fclose(f);
    }
    free(packed);
    for (size_t i = before; i < graph->n_initializer; i++) {
        onnx__tensor_proto__free_unpacked(all[i], NULL);
    }
    free(all);
    graph->initializer = old;
    graph->n_initializer = before;
    return ok;
}

/* ---- comparing ------------------------------------------------------------------------------------------------------ */

/* Where a case has the batch: in front, but behind the steps and directions of a recurrent node's [T,N,C], [D,N,H], [T,D,N,H]. */
static uint32_t batch_axis(const struct test_case *c, const struct values *values)
{
    const Onnx__NodeProto *node = c->model->graph->node[0];
    for (size_t i = 0; i < node->n_attribute; i++) {
        if (strcmp(node->attribute[i]->name, "layout") == 0 && node->attribute[i]->i != 0) {
            return 0;
        }
    }
    return (strcmp(node->op_type, "LSTM") == 0 || strcmp(node->op_type, "GRU") == 0) && values->rank >= 3 ? values->rank - 2 : 0;
}

/* The values with that axis in front; the caller frees them. */
static double *batch_first(const struct test_case *c, const struct values *values, enum way way)
{
    const uint32_t axis = way == WAY_BATCH ? batch_axis(c, values) : 0;
    double *out = malloc(((size_t)values->count + 1) * sizeof(double));
    int64_t outer = 1, inner = 1, n = 1;
    for (uint32_t i = 0; i < values->rank; i++) {
        *(i < axis ? &outer : i == axis ? &n : &inner) *= values->dims[i];
    }
    for (int64_t i = 0; i < values->count; i++) {
        out[((i / inner % n) * outer + i / inner / n) * inner + i % inner] = values->data[i];
    }
    return out;
}

/* Returns NULL, or what is wrong. */
static const char *compare(const struct values *wanted, const double *got, int64_t count)
{
    static char text[160];
    double largest = 0.0;
    if (count != wanted->count) {
        snprintf(text, sizeof(text), "WRONG: %lld values, not %lld", (long long)count, (long long)wanted->count);
        return text;
    }
    for (int64_t i = 0; i < count; i++) {
        largest = isfinite(wanted->data[i]) ? fmax(largest, fabs(wanted->data[i])) : largest;
    }
    for (int64_t i = 0; i < count; i++) {
        const double w = wanted->data[i], g = got[i];
        const bool same = (isnan(w) && isnan(g)) || w == g ||
                          fabs(w - g) <= 1e-3 * largest + 1e-5 + (wanted->is_bfloat16 ? 0.008 * fabs(w) : 0);
        if (!same) {
            snprintf(text, sizeof(text), "WRONG: value %lld is %g, not %g", (long long)i, g, w);
            return text;
        }
    }
    return NULL;
}

static const char *first_error(struct cb_diag *diag)
{
    static char text[512];
    snprintf(text, sizeof(text), "%s", cb_diag_text(diag, 0) != NULL ? cb_diag_text(diag, 0) : "?");
    text[strcspn(text, "\n\t")] = '\0';
    const char *own = strstr(text, "model.onnx` "); /* the file itself, whose folder is another each time */
    if (own != NULL) {
        return own + strlen("model.onnx` ");
    }
    const char *file = strstr(text, "`: "), *error = strncmp(text, "error: `", 8) == 0 && file != NULL ? file + 3 : text;
    return strncmp(error, "error: ", 7) == 0 ? error + 7 : error;
}

/* ---- the ways -------------------------------------------------------------------------------------------------------- */

static const char *run_fold(const struct test_case *c, const char *path, struct cb_diag *diag)
{
    struct cb_onnx_graph *graph;
    const struct cb_onnx_options options = {.keep_batch = true};
    const char *said = NULL;
    if (cb_onnx_open(path, &graph, NULL, diag) != CB_OK) {
        return first_error(diag);
    }
    if (cb_onnx_simplify(graph, &options, diag) != CB_OK) {
        said = first_error(diag);
    }
    for (uint32_t i = 0; said == NULL && i < graph->output_count && i < c->output_count; i++) {
        const struct cb_onnx_tensor *constant = graph->outputs[i].value->constant;
        if (constant == NULL) {
            const struct cb_onnx_node *node = graph->outputs[i].value->producer;
            static char text[128];
            snprintf(text, sizeof(text), "`%s` is not computed ahead", node != NULL ? node->op : "?");
            said = text;
            break;
        }
        double *got = malloc(((size_t)constant->count + 1) * sizeof(double));
        for (int64_t k = 0; k < constant->count; k++) {
            got[k] = cb_onnx_type_is_real(constant->type) ? cb_onnx_tensor_real(constant, k)
                                                          : (double)cb_onnx_tensor_int(constant, k);
        }
        said = compare(&c->outputs[i], got, constant->count);
        free(got);
    }
    cb_onnx_close(graph);
    return said;
}

static enum cb_status fill_params(struct cb_network *net, const struct cb_imported *imported, struct cb_diag *diag)
{
    for (uint32_t i = 0; i < net->param_count; i++) {
        const struct cb_safetensors_entry *found = NULL;
        for (uint32_t k = 0; k < imported->entry_count && found == NULL; k++) {
            found = strcmp(imported->entries[k].name, net->params[i].name) == 0 ? &imported->entries[k] : NULL;
        }
        if (found == NULL) {
            return cb_fail(diag, CB_INTERNAL, NULL, "WRONG: the param `%s` has no tensor", net->params[i].name);
        }
        memcpy(net->params[i].host, found->data, (size_t)net->params[i].count * sizeof(float));
    }
    return cb_network_freeze(net, NULL, CB_BATCHNORM_FROZEN, diag);
}

/* Writes the inputs that are no constants into the plan, in their order. */
static enum cb_status write_inputs(const struct world *w, const struct test_case *c, enum way way, struct cb_network *net,
                                   struct cb_plan *plan, int64_t n, struct cb_diag *diag)
{
    uint32_t port = 0;
    for (uint32_t i = 0; i < c->input_count; i++) {
        if (is_constant(c, i, way) || port >= net->input_count) {
            continue;
        }
        const uint32_t wire = net->inputs[port++];
        const struct cb_tensor *to = cb_plan_tensor(plan, wire);
        if (to == NULL) {
            continue; /* nothing reads it */
        }
        struct cb_tensor shape = net->wires[wire].shape;
        shape.dims[0] = n;
        if (cb_tensor_count(&shape) != c->inputs[i].count) {
            return cb_fail(diag, CB_INTERNAL, NULL, "WRONG: the input `%s` has another size", net->wires[wire].name);
        }
        float *x = malloc(((size_t)c->inputs[i].count + 1) * sizeof(float));
        double *moved = batch_first(c, &c->inputs[i], way);
        for (int64_t k = 0; k < c->inputs[i].count; k++) {
            x[k] = (float)moved[k];
        }
        free(moved);
        const enum cb_status status = cb_buffer_write(w->device, to->buffer, 0, x,
                                                      (uint64_t)c->inputs[i].count * sizeof(float), diag);
        free(x);
        CB_TRY(status);
    }
    return CB_OK;
}

static const char *run_plan(const struct world *w, const struct test_case *c, enum way way, struct cb_network *net,
                            struct cb_diag *diag)
{
    struct cb_store *store = NULL;
    struct cb_plan *plan = NULL;
    const int64_t n = way == WAY_ONE ? 1 : c->inputs[0].rank > 0 ? c->inputs[0].dims[batch_axis(c, &c->inputs[0])] : 1;
    const struct cb_plan_request request = {.batch = n > 0 ? n : 1, .outputs = &net->backbone_output, .output_count = 1};
    const struct cb_plan_run run = {.n = n};
    const char *said = NULL;
    if (cb_store_create(net, w->device, false, &store, diag) != CB_OK ||
        cb_plan_create(store, &request, &plan, diag) != CB_OK ||
        write_inputs(w, c, way, net, plan, n, diag) != CB_OK || cb_plan_forward(plan, &run, diag) != CB_OK) {
        said = first_error(diag);
    } else {
        struct cb_tensor y = net->wires[net->backbone_output].shape;
        y.dims[0] = n;
        const int64_t count = cb_tensor_count(&y);
        float *values = calloc((size_t)count + 1, sizeof(float));
        double *got = calloc((size_t)count + 1, sizeof(double));
        if (cb_buffer_read(w->device, cb_plan_tensor(plan, net->backbone_output)->buffer, 0, values,
                           (uint64_t)count * sizeof(float), diag) != CB_OK) {
            said = first_error(diag);
        }
        for (int64_t i = 0; i < count; i++) {
            got[i] = y.dtype == CB_I32 ? (double)((int32_t *)(void *)values)[i] : (double)values[i];
        }
        struct values wanted = c->outputs[0];
        wanted.data = batch_first(c, &c->outputs[0], way);
        said = said != NULL ? said : compare(&wanted, got, count);
        free(wanted.data);
        free(values);
        free(got);
    }
    cb_plan_destroy(plan);
    cb_store_destroy(store);
    return said;
}

static const char *run_network(const struct world *w, const struct test_case *c, enum way way, const char *path,
                               struct cb_diag *diag)
{
    const struct cb_import_request request = {.path = path, .name = "case", .file_order = true, .one_sample = way == WAY_ONE};
    struct cb_imported *imported = cb_imported_create("case");
    struct cb_network *net = cb_network_create(w->registry, "case");
    struct cb_value *file = NULL;
    const char *said = NULL;
    bool has_input = false;
    for (uint32_t i = 0; i < c->input_count; i++) {
        has_input = has_input || !is_constant(c, i, way);
    }
    if (!has_input || (way == WAY_BATCH && (c->inputs[0].rank < 2 || c->inputs[0].dims[0] < 1))) {
        said = "no input with a batch";
    } else if (c->output_count > 1 && c->model->graph->n_node == 1 && strcmp(c->model->graph->node[0]->op_type, "Dropout") != 0 &&
               strcmp(c->model->graph->node[0]->op_type, "MaxPool") != 0) {
        said = "several outputs";
    } else if (cb_import_onnx(&request, imported, diag) != CB_OK) {
        said = first_error(diag);
    } else if (cb_yaml_read_text(imported->arena, "case", imported->yaml, strlen(imported->yaml), &file, diag) != CB_OK ||
               cb_network_read(net, file, NULL, ".", diag) != CB_OK || fill_params(net, imported, diag) != CB_OK) {
        said = first_error(diag);
    } else {
        said = run_plan(w, c, way, net, diag);
    }
    cb_network_destroy(net);
    cb_imported_destroy(imported);
    return said;
}

/* ---- all cases ------------------------------------------------------------------------------------------------------- */

/* The line of the table for a case, without its name. */
static void judge(const struct world *w, const char *folder, char out[700])
{
    struct test_case c;
    char reason[520] = "";
    snprintf(out, 700, "refused\tits data are no tensors of numbers");
    if (!open_case(folder, &c)) {
        close_case(&c);
        return;
    }
    for (int way = 0; way < WAYS; way++) {
        char path[300];
        struct cb_diag *diag = cb_diag_create();
        snprintf(path, sizeof(path), "%s/model.onnx", w->temporary);
        const char *said = !write_model(&c, (enum way)way, path) ? "cannot write"
                           : way == WAY_FOLD                     ? run_fold(&c, path, diag)
                                                                 : run_network(w, &c, (enum way)way, path, diag);
        if (said == NULL || strncmp(said, "WRONG", 5) == 0) {
            snprintf(out, 700, "%s%s%s", said == NULL ? "" : said, said == NULL ? "" : " by ", way_names[way]);
            cb_diag_destroy(diag);
            break;
        }
        if (reason[0] == '\0' || strncmp(reason, "no input", 8) == 0) { /* the most telling: of the first way that had a try */
            snprintf(reason, sizeof(reason), "%s", said);
        }
        snprintf(out, 700, "refused\t%s", reason);
        cb_diag_destroy(diag);
    }
    close_case(&c);
}

static char *read_table(const char *path)
{
    struct cb_mapping file = {0};
    char *text = NULL;
    if (strcmp(path, "-") == 0) {
        return strdup("");
    }
    if (cb_file_map(path, &file, NULL, NULL) == CB_OK) {
        text = malloc(file.bytes + 2);
        memcpy(text + 1, file.data, file.bytes);
        text[0] = '\n';
        text[file.bytes + 1] = '\0';
    }
    cb_file_unmap(&file);
    return text;
}

int main(int argc, char **argv)
{
    static const char *const sets[] = {"node", "pytorch-converted", "pytorch-operator", "simple"};
    struct world w = {.registry = cb_registry_create(&cb__host)};
    struct cb_arena *arena = cb_arena_create();
    struct cb_diag *diag = cb_diag_create();
    uint32_t passed = 0, refused = 0, wrong = 0, other = 0;
    if (argc < 3 || !cb_path_is_folder(argv[1])) {
        printf("skipped: no test cases of ONNX\n");
        return 77;
    }
    if (cb_device_open(NULL, &w.device, diag) != CB_OK) {
        printf("skipped: no OpenCL device\n");
        return 77;
    }
    char *table = read_table(argv[2]);
    snprintf(w.temporary, sizeof(w.temporary), "%s/cambium-onnx-XXXXXX", getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    if (table == NULL || mkdtemp(w.temporary) == NULL) {
        printf("cannot read the table or make a folder\n");
        return 1;
    }
    for (size_t s = 0; s < sizeof(sets) / sizeof(sets[0]); s++) {
        char **names, *folder = cb_path_join(arena, argv[1], sets[s]);
        size_t count = 0;
        if (cb_folder_list(arena, folder, &names, &count, NULL, diag) != CB_OK) {
            continue;
        }
        for (size_t i = 0; i < count; i++) {
            char line[900], verdict[700], found[1000];
            bool is_chosen = argc == 3;
            for (int k = 3; k < argc; k++) {
                is_chosen = is_chosen || strcmp(argv[k], names[i]) == 0;
            }
            if (!is_chosen) {
                continue;
            }
            judge(&w, cb_path_join(arena, folder, names[i]), verdict);
            snprintf(line, sizeof(line), "%s/%s\t%s", sets[s], names[i], verdict);
            snprintf(found, sizeof(found), "\n%s\n", line);
            const bool is_refused = strncmp(verdict, "refused", 7) == 0, is_wrong = strncmp(verdict, "WRONG", 5) == 0;
            refused += is_refused;
            wrong += is_wrong;
            passed += !is_refused && !is_wrong;
            other += table[0] != '\0' && strstr(table, found) == NULL;
            if (table[0] == '\0' || is_wrong || strstr(table, found) == NULL) {
                printf("%s\n", line);
                fflush(stdout);
            }
        }
    }
    char *model = cb_path_join(arena, w.temporary, "model.onnx");
    unlink(model);
    rmdir(w.temporary);
    printf("# %u pass, %u are refused, %u are wrong, %u differ from the table\n", passed, refused, wrong, other);
    free(table);
    cb_device_close(w.device);
    cb_registry_destroy(w.registry);
    cb_diag_destroy(diag);
    cb_arena_destroy(arena);
    return wrong + other > 0;
}
