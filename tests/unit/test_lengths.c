/* Lengths of sequences: carried from layer to layer, dropped where the tokens are no longer those, kept when layers are
 * cut away, refused in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "graph/network.h"

struct fixture {
    struct cb_arena *arena;
    struct cb_diag *diag;
    struct cb_registry *registry;
    struct cb_network *net;
    uint32_t lengths;
};

static int setup(void **state)
{
    static const char text[] = "inputs: {ids: {modality: text, shape: [6]}, marks: {modality: tensor, shape: [6, 4]}}\n"
                               "layers:\n"
                               "  - embedding: {num_embeddings: 9, embedding_dim: 4}\n    name: table\n"
                               "  - add:\n    name: sum\n    inputs: [table, marks]\n"
                               "  - add:\n    name: other\n    inputs: [marks, table]\n"
                               "  - pad: {padding: [1, 0]}\n    name: longer\n    inputs: sum\n"
                               "  - mean: {axes: 1}\n    name: mean\n    inputs: sum\n"
                               "  - layernorm:\n    name: norm\n    inputs: sum\n";
    static struct fixture f;
    struct cb_value *file;
    f = (struct fixture){.arena = cb_arena_create(), .diag = cb_diag_create(), .registry = cb_registry_create(&cb__host)};
    f.net = cb_network_create(f.registry, "n");
    *state = &f;
    assert_int_equal(cb_yaml_read_text(f.arena, "n.yaml", text, strlen(text), &file, f.diag), CB_OK);
    assert_int_equal(cb_network_read(f.net, file, NULL, ".", f.diag), CB_OK);
    f.lengths = f.net->lengths;
    assert_int_not_equal(f.lengths, CB_NONE);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    cb_network_destroy(f->net);
    cb_registry_destroy(f->registry);
    cb_diag_destroy(f->diag);
    cb_arena_destroy(f->arena);
    return 0;
}

/* The name of the wire with the lengths of `wire`; "none". */
static const char *lengths_of(const struct fixture *f, const char *wire)
{
    const uint32_t lengths = f->net->wires[cb_network_find_wire(f->net, wire)].lengths;
    return lengths == 0 ? "none" : f->net->wires[f->net->inputs[lengths - 1]].name;
}

static void follow_the_first_input(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(lengths_of(f, "ids"), "lengths");
    assert_string_equal(lengths_of(f, "table"), "lengths"); /* an axis more */
    assert_string_equal(lengths_of(f, "sum"), "lengths");
    assert_string_equal(lengths_of(f, "norm"), "lengths");
    assert_string_equal(lengths_of(f, "marks"), "none");
    assert_string_equal(lengths_of(f, "other"), "none");  /* its first input is as long as it is */
    assert_string_equal(lengths_of(f, "longer"), "none"); /* other tokens */
    assert_string_equal(lengths_of(f, "mean"), "none");   /* no tokens */
}

static void reach_layers_that_come_later(void **state)
{
    struct fixture *f = *state;
    uint32_t node, wire = cb_network_find_wire(f->net, "norm");
    assert_int_equal(cb_network_add_layer(f->net, "relu", "late", NULL, &wire, 1, true, NULL, &node, f->diag), CB_OK);
    assert_string_equal(lengths_of(f, "late"), "lengths");
}

static void outlive_a_cut(void **state)
{
    struct fixture *f = *state;
    uint32_t wire;
    assert_int_equal(cb_network_cut(f->net, "norm", NULL, &wire, f->diag), CB_OK);
    assert_int_equal(cb_network_find_node(f->net, "mean"), CB_NONE);
    assert_string_equal(f->net->wires[wire].name, "sum");
    assert_string_equal(lengths_of(f, "sum"), "lengths");
    assert_string_equal(f->net->wires[f->net->lengths].name, "lengths");
}

static void are_whole_numbers_of_sequences(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(cb_network_set_lengths(f->net, f->net->inputs[0], f->net->inputs[1], f->diag), CB_INVALID);
    assert_non_null(strstr(cb_diag_text(f->diag, 0), "`marks` can't be the lengths of `ids`"));
    assert_int_equal(cb_network_set_lengths(f->net, f->lengths, f->lengths, f->diag), CB_INVALID);
    assert_int_equal(cb_network_set_lengths(f->net, cb_network_find_wire(f->net, "sum"), f->lengths, f->diag), CB_INVALID);
    assert_string_equal(lengths_of(f, "ids"), "lengths");
}

/* A network may say itself which of its inputs is called so. */
static void are_not_added_twice(void **state)
{
    static const char text[] = "inputs: {ids: {modality: text, shape: [6]}, lengths: {modality: tensor, shape: [6, 4]}}\n"
                               "layers:\n"
                               "  - embedding: {num_embeddings: 9, embedding_dim: 4}\n"
                               "  - add:\n    inputs: [embedding, lengths]\n";
    struct fixture *f = *state;
    struct cb_value *file;
    struct cb_network *net = cb_network_create(f->registry, "own");
    assert_int_equal(cb_yaml_read_text(f->arena, "n.yaml", text, strlen(text), &file, f->diag), CB_OK);
    assert_int_equal(cb_network_read(net, file, NULL, ".", f->diag), CB_OK);
    assert_int_equal(net->input_count, 2);
    assert_int_equal(net->lengths, CB_NONE);
    cb_network_destroy(net);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(follow_the_first_input), TEST(reach_layers_that_come_later),
                                       TEST(outlive_a_cut), TEST(are_whole_numbers_of_sequences),
                                       TEST(are_not_added_twice)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
