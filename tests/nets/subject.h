/* subject.h: a network with a reference's weights, inputs and labels, which formula.h makes. Include it behind cmocka.h. */
#ifndef CAMBIUM_TESTS_SUBJECT_H
#define CAMBIUM_TESTS_SUBJECT_H

#include "base/file.h"
#include "formula.h"
#include "graph/family.h"
#include "graph/plan.h"
#include "reference.h"

#define MAX_INPUTS 4

struct world {
    struct cb_arena *arena;
    struct cb_diag *diag;
    struct cb_registry *registry;
    struct cb_device *device;
};
static struct world world;

/* Fails the test with everything that was reported. */
static inline void must(enum cb_status status)
{
    if (status == CB_OK) {
        return;
    }
    for (size_t i = 0; cb_diag_text(world.diag, i) != NULL; i++) {
        fprintf(stderr, "%s\n", cb_diag_text(world.diag, i));
    }
    fail_msg("%s", cb_status_name(status));
}

struct subject {
    const char *name;
    const struct cb_value *reference;
    struct cb_network *net;
    int64_t batch, classes;
    uint32_t targets; /* wire */
    uint32_t losses;  /* wire */
    void *inputs[MAX_INPUTS]; /* what goes into net->inputs[i] */
    uint64_t input_bytes[MAX_INPUTS];
    uint32_t input_count;
    int32_t *labels;
    float **weights; /* of each param, from the formula */
};

/* The last that has params: behind it there may be an activation and a pooling. */
static inline uint32_t last_node(const struct subject *s)
{
    uint32_t output = s->net->wires[s->net->backbone_output].node;
    for (uint32_t i = 0; i < s->net->param_count; i++) {
        if (s->net->params[i].node == output) {
            return output;
        }
    }
    return s->net->params[s->net->param_count - 1].node;
}

/* Computed once and kept: a network may have a hundred million. */
static inline void set_weights(struct subject *s)
{
    const struct cb_value *variances = get(s->reference, "variances");
    uint32_t output_node = last_node(s);
    const bool is_first = s->weights == NULL;
    s->weights = is_first ? calloc(s->net->param_count, sizeof(*s->weights)) : s->weights;
    assert_non_null(s->weights);
    for (uint32_t i = 0; i < s->net->param_count; i++) {
        struct cb_param *param = &s->net->params[i];
        const size_t bytes = (size_t)param->count * sizeof(float);
        if (is_first) {
            const struct cb_value *variance = cb_map_get(variances, s->net->nodes[param->node].name);
            formula_set_param(param, param->node == output_node, variance != NULL ? number(variance) : 1.0);
            s->weights[i] = malloc(bytes);
            assert_non_null(s->weights[i]);
            memcpy(s->weights[i], param->host, bytes);
        }
        memcpy(param->host, s->weights[i], bytes);
    }
}

static inline void count_params(const struct subject *s)
{
    int64_t values = 0, states = 0;
    for (uint32_t i = 0; i < s->net->param_count; i++) {
        *(s->net->params[i].is_state ? &states : &values) += s->net->params[i].count;
    }
    assert_int_equal(values, (int64_t)number(get(s->reference, "param_values")));
    assert_int_equal(states, (int64_t)number(get(s->reference, "state_values")));
}

/* How many tokens of each sample are real: what the reference says, else all. */
static inline int32_t *make_lengths(const struct subject *s)
{
    const struct cb_value *list = cb_map_get(s->reference, "lengths");
    int32_t *lengths = malloc((size_t)s->batch * sizeof(*lengths));
    int64_t all = 0;
    for (uint32_t i = 0; i < s->net->input_count; i++) {
        const struct cb_wire *input = &s->net->wires[s->net->inputs[i]];
        all = input->lengths != 0 ? input->shape.dims[1] : all;
    }
    assert_non_null(lengths);
    for (int64_t n = 0; n < s->batch; n++) {
        lengths[n] = list != NULL ? (int32_t)number_at(list, (size_t)n) : (int32_t)all;
    }
    return lengths;
}

/* Inputs of integers hold numbers below `ids`; the name of all values is `pictures`, with the input's number behind it
 * from the second on. */
static inline void make_inputs(struct subject *s)
{
    const char *key = get(s->reference, "pictures")->text;
    assert_true(s->net->input_count <= MAX_INPUTS);
    assert_true(cb_map_get(s->reference, "lengths") == NULL || s->net->lengths != CB_NONE);
    for (uint32_t i = 0; i < s->net->input_count; i++) {
        struct cb_tensor x = s->net->wires[s->net->inputs[i]].shape;
        char name[64];
        x.dims[0] = s->batch;
        snprintf(name, sizeof(name), i > 0 ? "%s.%u" : "%s", key, i);
        s->input_bytes[i] = (uint64_t)cb_tensor_count(&x) * sizeof(float);
        if (s->net->inputs[i] == s->net->lengths) {
            s->inputs[i] = make_lengths(s);
            continue;
        }
        s->inputs[i] = malloc(s->input_bytes[i]);
        assert_non_null(s->inputs[i]);
        if (x.dtype == CB_I32) {
            formula_ids(s->inputs[i], name, &x, (uint64_t)number(get(s->reference, "ids")));
        } else if (x.rank == 4) {
            formula_pictures(s->inputs[i], name, x.dims[0], x.dims[1], x.dims[2], x.dims[3]);
        } else {
            formula_values(s->inputs[i], name, cb_tensor_count(&x));
        }
    }
    s->input_count = s->net->input_count;
}

/* A network for tests alone, beside this file, or a backbone. */
static inline struct cb_value *read_network_file(const char *name)
{
    char path[1024], *found;
    const char *member = NULL;
    struct cb_value *file, *settled;
    snprintf(path, sizeof(path), "%s/tests/nets/%s.yaml", CB_SOURCE_ROOT, name);
    if (cb_path_exists(path)) {
        must(cb_yaml_read_file(world.arena, path, &file, world.diag));
    } else {
        must(cb_family_find(world.arena, CB_SOURCE_ROOT "/configs/backbones", name, &found, &file, &member, world.diag));
    }
    must(cb_family_settle(world.arena, file, member, &settled, world.diag));
    return settled;
}

static inline void open_subject(struct subject *s, const char *name)
{
    char path[1024];
    struct cb_value *reference, *file = read_network_file(name);
    snprintf(path, sizeof(path), "%s/tests/nets/%s.json", CB_SOURCE_ROOT, name);
    if (!cb_path_exists(path)) {
        snprintf(path, sizeof(path), "%s/tests/nets/zoo/%s.json", CB_SOURCE_ROOT, name);
    }
    must(cb_json_read_file(world.arena, path, &reference, world.diag));
    const struct cb_value *size = cb_map_get(reference, "size"); /* of pictures */
    int64_t pixels[2] = {0, 0};
    for (size_t i = 0; size != NULL && i < 2; i++) {
        pixels[i] = (int64_t)number_at(size, i);
    }
    *s = (struct subject){.name = name, .reference = reference, .batch = (int64_t)number(get(reference, "batch"))};
    s->net = cb_network_create(world.registry, name);
    assert_non_null(s->net);
    must(cb_network_read(s->net, file, size != NULL ? pixels : NULL, CB_SOURCE_ROOT "/configs/backbones", world.diag));
    const struct cb_tensor *scores = &s->net->wires[s->net->backbone_output].shape;
    assert_int_equal(scores->rank, 2);
    make_inputs(s);
    s->classes = scores->dims[1];

    uint32_t node;
    must(cb_network_add_input(s->net, "targets", CB_I32, 1, (int64_t[]){1}, NULL, &s->targets, world.diag));
    must(cb_network_add_layer(s->net, "cross_entropy", "loss", NULL,
                              (uint32_t[]){s->net->backbone_output, s->targets}, 2, true, NULL, &node, world.diag));
    s->losses = s->net->nodes[node].y[0];
    count_params(s);

    s->labels = malloc((size_t)s->batch * sizeof(int32_t));
    assert_non_null(s->labels);
    for (int64_t n = 0; n < s->batch; n++) {
        s->labels[n] = (int32_t)number_at(get(reference, "labels"), (size_t)n);
    }
}

static inline void close_subject(struct subject *s)
{
    for (uint32_t i = 0; i < s->net->param_count; i++) {
        free(s->weights[i]);
    }
    free(s->weights);
    cb_network_destroy(s->net);
    for (uint32_t i = 0; i < s->input_count; i++) {
        free(s->inputs[i]);
    }
    free(s->labels);
}

#endif
