/* test_weights_parts.c: name rules of params, params that a file has in several tensors, or at another size. */
#include <math.h>

#include "weights_match_common.h"

/* Param names give whole tensor names; a `*` may be a piece of a part. */
static void rules_of_params_name_whole_tensors(void **state)
{
    struct fixture *f = *state;
    static const struct cb_name_rule rules[] = {
        {"token.w", "embeddings.class"}, {"b.*.qkv.w", "layer_*.in_proj_weight"}, {"b.*", "layer_*"},
        {"b.*.mlp", "layer_*.0"},        {"s.*", "scales.*"},
    };
    static const char *const cases[][4] = {
        /* layer, param, foreign, its name there */
        {"token", "token.w", "weight", "embeddings.class"},
        {"b.3.qkv", "b.3.qkv.w", "weight", "layer_3.in_proj_weight"},
        {"b.3.qkv", "b.3.qkv.b", "bias", "layer_3.qkv.bias"},
        {"b.3.mlp.fc", "b.3.mlp.fc.w", "weight", "layer_3.0.fc.weight"},
        {"s.w", "s.w.w", "gamma", "scales.w.gamma"}, /* the `*` stands for a layer, never for a param */
        {"s", "s.w", "gamma", NULL}, /* no rule: the caller's own names are left */
    };
    const struct cb_name_map map = {"m", rules, 5, NULL, 0};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *name = cb_name_map_tensor(f->arena, &map, cases[i][0], cases[i][1], cases[i][2], 0);
        assert_true((name == NULL) == (cases[i][3] == NULL));
        if (name != NULL) {
            assert_string_equal(name, cases[i][3]);
        }
        assert_null(cb_name_map_tensor(f->arena, &map, cases[i][0], cases[i][1], cases[i][2], 1));
    }
}

/* `qkv` of one input channel pair and outputs 1 + 2 + 1, which the file has as q, k and v; element i of each is first + i. */
static const struct spec part_specs[] = {
    {"a.0.q.weight", 2, {1, 2}, 10.0f}, {"a.0.k.weight", 2, {2, 2}, 20.0f}, {"a.0.v.weight", 2, {1, 2}, 30.0f},
    {"a.0.q.bias", 1, {1}, 1.0f},       {"a.0.k.bias", 1, {2}, 2.0f},       {"a.0.v.bias", 1, {1}, 4.0f},
};
static const char part_yaml[] = "m: {b.*.qkv: [a.*.q, a.*.k, a.*.v]}";

static const struct cb_name_map *part_map(struct fixture *f)
{
    struct cb_value *value;
    struct cb_name_map *maps;
    uint32_t count;
    assert_int_equal(cb_yaml_read_text(f->arena, "n.yaml", part_yaml, strlen(part_yaml), &value, f->diag), CB_OK);
    assert_int_equal(cb_name_maps_read(f->arena, value, &maps, &count, f->diag), CB_OK);
    assert_int_equal(count, 1);
    return maps;
}

static void a_param_may_come_in_several_tensors(void **state)
{
    struct fixture *f = *state;
    float w[8], b[4];
    struct cb_wanted wanted[] = {
        {"b.0.qkv.w", "b.0.qkv", "weight", CB_PARAM_MATRIX, 2, {2, 4}, w, false, false, NULL, 0, NULL, NULL},
        {"b.0.qkv.b", "b.0.qkv", "bias", CB_PARAM_VECTOR, 1, {4}, b, false, false, NULL, 0, NULL, NULL},
    };
    struct cb_load_report report;
    make_file(f, part_specs, 6, NULL);
    assert_int_equal(match(f, wanted, 2, part_map(f), 1, &report), CB_OK);
    const float joined[8] = {10, 20, 22, 30, 11, 21, 23, 31}, biases[4] = {1, 2, 3, 4};
    assert_memory_equal(w, joined, sizeof(joined));
    assert_memory_equal(b, biases, sizeof(biases));
    assert_int_equal(report.kept.count, 2);
    assert_int_equal(report.unused.count, 0);
}

static void parts_that_do_not_fit_are_refused(void **state)
{
    struct fixture *f = *state;
    struct spec specs[6];
    float w[8], b[4];
    struct cb_wanted wanted[] = {
        {"b.0.qkv.w", "b.0.qkv", "weight", CB_PARAM_MATRIX, 2, {2, 4}, w, false, false, NULL, 0, NULL, NULL},
        {"b.0.qkv.b", "b.0.qkv", "bias", CB_PARAM_VECTOR, 1, {4}, b, false, false, NULL, 0, NULL, NULL},
    };
    struct cb_load_report report;
    memcpy(specs, part_specs, sizeof(specs));
    specs[2].dims[0] = 2; /* one output too many */
    specs[4].dims[0] = 1; /* one too few */
    make_file(f, specs, 6, NULL);
    assert_int_equal(match(f, wanted, 2, part_map(f), 1, &report), CB_MISMATCH);
    assert_says(f->diag, "tensor `a.0.v.weight` [2, 2] does not fit `b.0.qkv.w` [2, 4], which would be [4, 2] there");
    assert_string_equal(wanted[1].reason, "tensor `a.0.v.bias` [1] does not fit `b.0.qkv.b` [4]");
    wanted[0].replaced = wanted[1].replaced = true; /* then nothing of them is left over */
    cb_diag_clear(f->diag);
    assert_int_equal(match(f, wanted, 2, part_map(f), 1, &report), CB_OK);
    assert_int_equal(report.unused.count, 0);
}

static void a_missing_part_is_named(void **state)
{
    struct fixture *f = *state;
    float w[8];
    struct cb_wanted wanted[] = {
        {"b.0.qkv.w", "b.0.qkv", "weight", CB_PARAM_MATRIX, 2, {2, 4}, w, false, false, NULL, 0, NULL, NULL},
    };
    struct cb_load_report report;
    make_file(f, part_specs, 2, NULL);
    assert_int_equal(match(f, wanted, 1, part_map(f), 1, &report), CB_MISMATCH);
    assert_says(f->diag, "`b.0.qkv.w` (its part `a.0.v.weight` is not there)");
}

/* A class token's position, then a grid: from 3 x 3 squares 0, 1, 4, ..., 64 as
 * torch.nn.functional.interpolate(squares, (2, 4), mode="bicubic") of PyTorch 2.15 gives them in double precision. */
static void positions_of_another_grid_are_resampled(void **state)
{
    struct fixture *f = *state;
    static const float squares[10] = {-5, 0, 1, 4, 9, 16, 25, 36, 49, 64};
    static const float expected[9] = {-5,           0.935634613f, 2.00832748f,  4.96921158f, 7.68448257f,
                                      29.3485451f, 36.2582741f,  48.344265f, 56.8965721f};
    const int64_t dims[3] = {1, 10, 1}, grid[3] = {1, 2, 4};
    const struct cb_safetensors_entry entry = {.name = "pos.weight", .type = CB_STORED_F32, .rank = 3, .data = squares,
                                               .dims = {dims[0], dims[1], dims[2]}};
    assert_int_equal(cb_safetensors_write(f->path, &entry, 1, NULL, 0, NULL), CB_OK);
    assert_int_equal(cb_tensors_open(f->path, &f->file, NULL, NULL), CB_OK);
    float out[9];
    struct cb_wanted wanted = {"pos.w", "pos", "weight", CB_PARAM_TABLE, 2, {9, 1}, out, false, false, grid, 0, NULL, NULL};
    struct cb_load_report report;
    assert_int_equal(match(f, &wanted, 1, NULL, 0, &report), CB_OK);
    for (int i = 0; i < 9; i++) {
        assert_true(fabsf(out[i] - expected[i]) < 1e-5f);
    }
    assert_int_equal(report.changed.count, 1);
    assert_string_equal(report.changed.names[0], "`pos.w`: a grid of 3 x 3 resampled to 2 x 4");

    wanted.hidden_dims = (const int64_t[]){0, 3, 3}; /* nothing in front: 10 places are no square */
    assert_int_equal(match(f, &wanted, 1, NULL, 0, &report), CB_MISMATCH);
    assert_says(f->diag, "tensor `pos.weight` [1, 10, 1] does not fit `pos.w` [9, 1]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rules_of_params_name_whole_tensors),
        TEST(a_param_may_come_in_several_tensors),
        TEST(parts_that_do_not_fit_are_refused),
        TEST(a_missing_part_is_named),
        TEST(positions_of_another_grid_are_resampled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
