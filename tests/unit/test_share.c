/* One param in two layers: counted once, written back, kept when its first layer is cut away, refused in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "graph/network.h"

#define INPUT "input: {modality: image, shape: [8, 8, 4], scale: {mean: [0], std: [1]}}\n"
#define TWO INPUT "layers:\n  - conv2d: {filters: 4, kernel: 3, padding: 1}\n    name: a\n" \
                  "  - conv2d: {filters: 4, kernel: 3, padding: 1}\n    name: b\n    share: "

struct fixture {
    struct cb_arena *arena;
    struct cb_diag *diag;
    struct cb_registry *registry;
    struct cb_network *net;
};

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){.arena = cb_arena_create(), .diag = cb_diag_create(), .registry = cb_registry_create(&cb__host)};
    *state = &f;
    return f.arena == NULL || f.diag == NULL || f.registry == NULL;
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

static enum cb_status read_network(struct fixture *f, const char *text)
{
    struct cb_value *file;
    cb_network_destroy(f->net);
    f->net = cb_network_create(f->registry, "n");
    assert_int_equal(cb_yaml_read_text(f->arena, "n.yaml", text, strlen(text), &file, f->diag), CB_OK);
    return cb_network_read(f->net, file, NULL, ".", f->diag);
}

static void is_one_param(void **state)
{
    struct fixture *f = *state;
    int64_t frozen, trainable;
    assert_int_equal(read_network(f, TWO "{w: a.w}\n  - batchnorm:\n    name: c\n"), CB_OK);
    assert_int_equal(f->net->nodes[1].params[0], f->net->nodes[0].params[0]);
    assert_int_equal(cb_network_find_param(f->net, "b.w"), CB_NONE);
    assert_string_equal(f->net->params[f->net->nodes[1].params[1]].name, "b.b");
    assert_string_equal(f->net->params[f->net->nodes[2].states[1]].name, "c.var");
    cb_network_count(f->net, &frozen, &trainable);
    assert_int_equal(frozen + trainable, 3 * 3 * 4 * 4 + 4 + 4 + 8);
}

static void is_written_back(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_network(f, TWO "{w: a.w, b: a.b}\n"), CB_OK);
    struct cb_value *file = cb_network_to_value(f->net, f->arena);
    assert_non_null(file);
    struct cb_network *again = cb_network_create(f->registry, "n");
    assert_int_equal(cb_network_read(again, file, NULL, ".", f->diag), CB_OK);
    assert_int_equal(again->param_count, 2);
    assert_int_equal(again->nodes[1].params[1], again->nodes[0].params[1]);
    cb_network_destroy(again);
}

/* Both read the input; `a` is cut away, `b` stays and owns the filters from then on. */
static void outlives_its_layer(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_network(f, TWO "{w: a.w}\n    inputs: input\n"), CB_OK);
    uint32_t keep = cb_network_find_wire(f->net, "b");
    cb_network_prune(f->net, &keep, 1);
    assert_int_equal(f->net->node_count, 1);
    assert_int_equal(f->net->param_count, 2);
    assert_string_equal(f->net->params[f->net->nodes[0].params[0]].name, "b.w");
    assert_int_equal(f->net->params[f->net->nodes[0].params[0]].node, 0);
}

static void freezes_in_both_or_neither(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_network(f, TWO "{w: a.w}\n"), CB_OK);
    struct cb_value *one = cb_value_list(f->arena, NULL);
    assert_true(cb_list_append(f->arena, one, cb_value_text(f->arena, "b", NULL)));
    assert_int_equal(cb_network_freeze(f->net, one, CB_BATCHNORM_FROZEN, f->diag), CB_INVALID);
    assert_non_null(strstr(cb_diag_text(f->diag, 0), "share `a.w`, but only `b` is frozen: freeze both or neither"));
    assert_int_equal(cb_network_freeze(f->net, NULL, CB_BATCHNORM_FROZEN, f->diag), CB_OK);
}

static void refuse(struct fixture *f, const char *text, const char *words)
{
    cb_diag_destroy(f->diag);
    f->diag = cb_diag_create();
    assert_int_not_equal(read_network(f, text), CB_OK);
    if (strstr(cb_diag_text(f->diag, 0), words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", cb_diag_text(f->diag, 0), words);
    }
}

static void refuses_in_words(void **state)
{
    struct fixture *f = *state;
    refuse(f, TWO "{w: a.v}\n", "`share` names `a.v`, but no layer above has that param; did you mean `a.w`?");
    refuse(f, TWO "{v: a.w}\n", "`share` names `v`, but layer `b` (conv2d) has no such param");
    refuse(f, TWO "{w: a.b}\n",
           "`w` of layer `b` is [3, 3, 4, 4], but `a.b` is [4]: only params of one shape can be shared");
    refuse(f, TWO "a.w\n", "`share` must be a map");
    refuse(f, TWO "{w: [a]}\n", "`share` takes the name of a param");
    refuse(f, INPUT "blocks:\n  k: {layers: [relu]}\nlayers:\n  - k:\n    share: {w: a.w}\n",
           "`share` is for layers; `k` is a block");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(is_one_param), TEST(is_written_back), TEST(outlives_its_layer),
                                       TEST(freezes_in_both_or_neither), TEST(refuses_in_words)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
