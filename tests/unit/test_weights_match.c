/* test_weights_match.c: tensors of foreign names and layouts onto a network's params. */
#include "weights_match_common.h"

static void filters_and_matrices_come_out_channels_last(void **state)
{
    struct fixture *f = *state;
    enum { K = 5, C = 3, KH = 2, KW = 4 };
    const struct spec specs[] = {
        {"conv.weight", 4, {K, C, KH, KW}, 0.0f},   {"conv1d.weight", 3, {K, C, KW}, 1000.0f},
        {"fc.weight", 2, {K, C}, 2000.0f},          {"fc.bias", 1, {K}, 3000.0f},
        {"fc1x1.weight", 4, {K, C, 1, 1}, 4000.0f}, {"point.weight", 2, {K, C}, 5000.0f},
        {"table.weight", 2, {K, C}, 6000.0f},
    };
    make_file(f, specs, 7, NULL);
    float conv[KH * KW * C * K], conv1d[KW * C * K], fc[C * K], bias[K], fc1x1[C * K], point[C * K], table[K * C];
    struct cb_wanted wanted[] = {
        {"conv.w", "conv", "weight", CB_PARAM_FILTER, 4, {KH, KW, C, K}, conv, false, false, NULL, 0, NULL, NULL},
        {"conv1d.w", "conv1d", "weight", CB_PARAM_FILTER, 3, {KW, C, K}, conv1d, false, false, NULL, 0, NULL, NULL},
        {"fc.w", "fc", "weight", CB_PARAM_MATRIX, 2, {C, K}, fc, false, false, NULL, 0, NULL, NULL},
        {"fc.b", "fc", "bias", CB_PARAM_VECTOR, 1, {K}, bias, false, false, NULL, 0, NULL, NULL},
        {"fc1x1.w", "fc1x1", "weight", CB_PARAM_MATRIX, 2, {C, K}, fc1x1, false, false, NULL, 0, NULL, NULL},
        {"point.w", "point", "weight", CB_PARAM_FILTER, 4, {1, 1, C, K}, point, false, false, NULL, 0, NULL, NULL},
        {"table.w", "table", "weight", CB_PARAM_TABLE, 2, {K, C}, table, false, false, NULL, 0, NULL, NULL},
    };
    struct cb_load_report report;
    assert_int_equal(match(f, wanted, 7, NULL, 0, &report), CB_OK);
    assert_int_equal(report.kept.count, 7);
    assert_int_equal(report.unused.count + report.missing.count + report.replaced.count + report.mismatched.count, 0);
    for (int k = 0; k < K; k++) {
        assert_true(bias[k] == 3000.0f + (float)k);
        for (int c = 0; c < C; c++) {
            assert_true(fc[c * K + k] == 2000.0f + (float)(k * C + c));
            assert_true(fc1x1[c * K + k] == 4000.0f + (float)(k * C + c));
            assert_true(point[c * K + k] == 5000.0f + (float)(k * C + c));
            assert_true(table[k * C + c] == 6000.0f + (float)(k * C + c));
            for (int x = 0; x < KW; x++) {
                assert_true(conv1d[(x * C + c) * K + k] == 1000.0f + (float)((k * C + c) * KW + x));
                for (int y = 0; y < KH; y++) {
                    assert_true(conv[((y * KW + x) * C + c) * K + k] == (float)(((k * C + c) * KH + y) * KW + x));
                }
            }
        }
    }
}

/* Behind a flatten the rows of a dense layer are in the order H, W, C here and C, H, W there; timm's VGG has the same
 * values as a filter. */
static void a_dense_layer_behind_a_flatten_is_reordered(void **state)
{
    struct fixture *f = *state;
    enum { K = 7, C = 2, H = 3, W = 5 };
    const struct spec specs[] = {{"fc.weight", 2, {K, C * H * W}, 0.0f}, {"conv.weight", 4, {K, C, H, W}, 0.0f}};
    make_file(f, specs, 2, NULL);
    const int64_t chw[3] = {C, H, W};
    float fc[H * W * C * K], conv[H * W * C * K];
    struct cb_wanted wanted[] = {
        {"fc.w", "fc", "weight", CB_PARAM_MATRIX, 2, {H * W * C, K}, fc, false, false, chw, 0, NULL, NULL},
        {"conv.w", "conv", "weight", CB_PARAM_MATRIX, 2, {H * W * C, K}, conv, false, false, chw, 0, NULL, NULL},
    };
    struct cb_load_report report;
    assert_int_equal(match(f, wanted, 2, NULL, 0, &report), CB_OK);
    for (int k = 0; k < K; k++) {
        for (int c = 0; c < C; c++) {
            for (int h = 0; h < H; h++) {
                for (int w = 0; w < W; w++) {
                    float expected = (float)(k * C * H * W + (c * H + h) * W + w);
                    assert_true(fc[((h * W + w) * C + c) * K + k] == expected);
                    assert_true(conv[((h * W + w) * C + c) * K + k] == expected);
                }
            }
        }
    }
}

/* A matrix larger than the squares in which it is transposed. */
static void large_matrices_are_transposed_whole(void **state)
{
    struct fixture *f = *state;
    enum { K = 67, C = 131 };
    const struct spec specs[] = {{"fc.weight", 2, {K, C}, 0.0f}};
    make_file(f, specs, 1, NULL);
    static float fc[C * K];
    struct cb_wanted wanted = {"fc.w", "fc", "weight", CB_PARAM_MATRIX, 2, {C, K}, fc, false, false, NULL,
                               0,      NULL, NULL};
    struct cb_load_report report;
    assert_int_equal(match(f, &wanted, 1, NULL, 0, &report), CB_OK);
    for (int k = 0; k < K; k++) {
        for (int c = 0; c < C; c++) {
            assert_true(fc[c * K + k] == (float)(k * C + c));
        }
    }
}

static void our_own_files_are_taken_as_they_are(void **state)
{
    struct fixture *f = *state;
    const struct spec specs[] = {{"fc.w", 2, {2, 2}, 1.0f}, {"fc.weight", 2, {2, 2}, 100.0f}};
    make_file(f, specs, 2, "cambium");
    float fc[4];
    struct cb_wanted wanted = {"fc.w", "fc", "weight", CB_PARAM_MATRIX, 2, {2, 2}, fc, false, false, NULL,
                               0,      NULL, NULL};
    struct cb_load_report report;
    assert_int_equal(match(f, &wanted, 1, NULL, 0, &report), CB_OK);
    const float straight[4] = {1, 2, 3, 4};
    assert_memory_equal(fc, straight, sizeof(straight));
    assert_string_equal(wanted.from, "fc.w");
    assert_int_equal(report.unused.count, 1);
    assert_string_equal(report.unused.names[0], "fc.weight");
}

static void foreign_names_win_over_our_own_in_foreign_files(void **state)
{
    struct fixture *f = *state;
    const struct spec specs[] = {{"fc.w", 2, {2, 2}, 1.0f}, {"fc.weight", 2, {2, 2}, 100.0f}};
    make_file(f, specs, 2, NULL);
    float fc[4];
    struct cb_wanted wanted = {"fc.w", "fc", "weight", CB_PARAM_MATRIX, 2, {2, 2}, fc, false, false, NULL,
                               0,      NULL, NULL};
    struct cb_load_report report;
    assert_int_equal(match(f, &wanted, 1, NULL, 0, &report), CB_OK);
    const float transposed[4] = {100, 102, 101, 103};
    assert_memory_equal(fc, transposed, sizeof(transposed));
}

static const struct cb_name_rule lite_rules[] = {
    {"conv_stem", "_conv_stem"}, {"bn1", "_bn0"}, {"bn2", "_bn1"},
    {"blocks.*.conv_pw", "_blocks.*._project_conv"}, {"blocks.3", "_blocks.3"}, {"", "everything"},
};
static const struct cb_name_map lite_map = {"lite", lite_rules, 6, NULL, 0};
static const struct cb_name_map equal_map = {"equal", NULL, 0, NULL, 0};

static void the_most_exact_rule_names_a_layer(void **state)
{
    struct fixture *f = *state;
    static const char *const pairs[][2] = {
        {"conv_stem", "_conv_stem"},
        {"conv_stem.inner", "_conv_stem.inner"},
        {"blocks.11.conv_pw", "_blocks.11._project_conv"},
        {"blocks.3.conv_pw", "_blocks.3._project_conv"},
        {"blocks.3.bn", "_blocks.3.bn"},
        {"conv_stems", "everything.conv_stems"},
        {"blocks.11.conv_pwl", "everything.blocks.11.conv_pwl"},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        assert_string_equal(cb_name_map_apply(f->arena, &lite_map, pairs[i][0]), pairs[i][1]);
    }
    assert_null(cb_name_map_apply(f->arena, &equal_map, "conv_stem"));
}

/* blocks.1 is left and taken up again; stem.1.x has as many parts and fits no rule. */
static const char *const running_layers[] = {"stem.1.x", "blocks.0.0.dw", "blocks.0.0.pw", "blocks.1.0.pw", "blocks.1.1.pw",
                                             "blocks.2.a.pw", "blocks.1.0.dw", "blocks.2.b.dw", "blocks.2.b.pw", "fc"};

static void a_running_number_counts_the_blocks(void **state)
{
    struct fixture *f = *state;
    static const char *const cases[][4] = {
        /* ours, theirs, layer, its name there */
        {"blocks.*.*", "features.#", "blocks.0.0.dw", "features.0.dw"},
        {"blocks.*.*", "features.#1.conv", "blocks.1.0.dw", "features.2.conv.dw"},
        {"blocks.*.*", "features.#1.conv", "blocks.1.1.pw", "features.3.conv.pw"},
        {"blocks.*.*", "features.#10", "blocks.2.b.pw", "features.14.pw"},
        {"blocks.*.*.pw", "_blocks.#._project", "blocks.2.b.pw", "_blocks.4._project"},
        {"blocks.*.*", "stages.#1.*", "blocks.2.b.pw", "stages.3.b.pw"},
        {"blocks.*.*", "layer.#-1", "blocks.1.0.pw", "layer.0.pw"},
        {"blocks.*.*", "layer.#-2+3-x", "blocks.1.1.pw", "layer.4-x.pw"},
        {"blocks.*.*", "stages.#1+2.*", "blocks.2.b.pw", "stages.5.b.pw"},
        {"blocks.*.*", "stages.*.#", "blocks.2.b.pw", "stages.2.1.pw"},
        {"blocks.*.*", "stages.*.#", "blocks.1.0.dw", "stages.1.0.dw"},
        {"blocks.*.*", "trunk.block#1.block##-#", "blocks.2.b.dw", "trunk.block3.block3-1.dw"},
        {"blocks.1.*", "features.#2", "blocks.1.1.pw", "features.3.pw"},
        {"blocks.*", "features.#", "blocks.2.a.pw", "features.2.a.pw"},
        {"*.*.*", "all.#", "blocks.0.0.dw", "all.1.dw"},
        {"blocks.*.*", "#", "blocks.2.b.dw", "4.dw"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct cb_name_rule rule = {cases[i][0], cases[i][1]};
        const struct cb_name_map map = {"m", &rule, 1, running_layers,
                                        sizeof(running_layers) / sizeof(running_layers[0])};
        assert_string_equal(cb_name_map_apply(f->arena, &map, cases[i][2]), cases[i][3]);
    }
}

/* The numbers come from the order of what is wanted, also where a param is not in the file or replaced. */
static void running_numbers_follow_the_wanted_params(void **state)
{
    struct fixture *f = *state;
    const struct spec specs[] = {{"f.1.a.weight", 1, {2}, 1.0f}, {"f.2.a.weight", 1, {2}, 10.0f},
                                 {"f.3.a.weight", 1, {2}, 20.0f}};
    make_file(f, specs, 3, NULL);
    float out[3][2];
    struct cb_wanted wanted[] = {
        {"b.x.a.w", "b.x.a", "weight", CB_PARAM_VECTOR, 1, {2}, out[0], false, false, NULL, 0, NULL, NULL},
        {"b.x.c.w", "b.x.c", "weight", CB_PARAM_VECTOR, 1, {2}, NULL, true, false, NULL, 0, NULL, NULL},
        {"b.y.a.w", "b.y.a", "weight", CB_PARAM_VECTOR, 1, {2}, out[1], false, true, NULL, 0, NULL, NULL},
        {"b.z.a.w", "b.z.a", "weight", CB_PARAM_VECTOR, 1, {2}, out[2], false, false, NULL, 0, NULL, NULL},
    };
    const struct cb_name_rule rules[] = {{"b.*", "f.#1"}};
    const struct cb_name_map map = {"m", rules, 1, NULL, 0};
    struct cb_load_report report;
    assert_int_equal(match(f, wanted, 4, &map, 1, &report), CB_OK);
    assert_true(out[0][0] == 1.0f && out[2][1] == 21.0f);
    assert_int_equal(report.replaced.count, 1);
    assert_int_equal(report.unused.count, 0);
}

static void the_map_that_finds_the_most_is_taken(void **state)
{
    struct fixture *f = *state;
    const struct spec specs[] = {{"module._bn0.weight", 1, {2}, 1.0f}, {"module._bn1.weight", 1, {2}, 10.0f},
                                 {"module._bn1.num_batches_tracked", 0, {0}, 0.0f}, {"module._fc.bias", 1, {2}, 20.0f}};
    make_file(f, specs, 4, NULL);
    float bn1[2], bn2[2];
    struct cb_wanted wanted[] = {
        {"bn1.scale", "bn1", "weight", CB_PARAM_VECTOR, 1, {2}, bn1, false, false, NULL, 0, NULL, NULL},
        {"bn2.scale", "bn2", "weight", CB_PARAM_VECTOR, 1, {2}, bn2, false, false, NULL, 0, NULL, NULL},
    };
    const struct cb_name_map maps[] = {equal_map, lite_map};
    struct cb_load_report report;
    assert_int_equal(match(f, wanted, 2, maps, 2, &report), CB_OK);
    assert_true(bn1[1] == 2.0f && bn2[0] == 10.0f);
    assert_string_equal(report.map, "lite");
    assert_string_equal(report.prefix, "module.");
    assert_int_equal(report.unused.count, 1);

    struct cb_text text = {0};
    cb_load_report_print(&report, true, &text);
    char expected[8192];
    snprintf(expected, sizeof(expected),
             "%s (safetensors, without `module.`, names of lite): 2 tensors kept, 0 replaced, 0 missing, 1 unused\n"
             "  kept       bn1.scale\n"
             "             bn2.scale\n"
             "  unused     module._fc.bias\n", f->path);
    assert_string_equal(text.data, expected);
    cb_text_free(&text);
    assert_ptr_equal(cb_name_map_find(maps, 2, "lite"), &maps[1]);
    assert_null(cb_name_map_find(maps, 2, "timm"));
}

/* A tensor that has no layer of its own there, and dims of 1 besides: ConvNeXt's scale in torchvision. */
static void a_rule_may_name_a_param(void **state)
{
    struct fixture *f = *state;
    const struct spec specs[] = {{"f.1.scale", 3, {2, 1, 1}, 1.0f}, {"f.1.norm.weight", 1, {2}, 10.0f},
                                 {"token", 3, {1, 1, 2}, 20.0f}, {"f.1.table", 3, {1, 2, 2}, 30.0f}};
    make_file(f, specs, 4, NULL);
    float out[4][4];
    struct cb_wanted wanted[] = {
        {"b.0.scale.w", "b.0.scale", "gamma", CB_PARAM_VECTOR, 1, {2}, out[0], false, false, NULL, 0, NULL, NULL},
        {"b.0.norm.w", "b.0.norm", "weight", CB_PARAM_VECTOR, 1, {2}, out[1], false, false, NULL, 0, NULL, NULL},
        {"token.w", "token", "weight", CB_PARAM_VECTOR, 1, {2}, out[2], false, false, NULL, 0, NULL, NULL},
        {"b.0.t.w", "b.0.t", "weight", CB_PARAM_TABLE, 2, {2, 2}, out[3], false, false, NULL, 0, NULL, NULL},
    };
    const struct cb_name_rule rules[] = {{"b.*", "f.#1"}, {"b.*.scale.w", "f.#1.scale"}, {"token.w", "token"},
                                         {"b.*.t.w", "f.#1.table"}, {"b.*.*.*", "never.#"}};
    const struct cb_name_map map = {"m", rules, 5, NULL, 0};
    struct cb_load_report report;
    assert_int_equal(match(f, wanted, 4, &map, 1, &report), CB_OK);
    assert_true(out[0][1] == 2.0f && out[1][0] == 10.0f && out[2][1] == 21.0f && out[3][3] == 33.0f);

    const struct spec wrong = {"token", 3, {2, 1, 2}, 0.0f};
    cb_tensors_close(f->file);
    make_file(f, &wrong, 1, NULL);
    assert_int_equal(match(f, &wanted[2], 1, &map, 1, &report), CB_MISMATCH);
    assert_says(f->diag, "tensor `token` [2, 1, 2] does not fit `token.w` [2]");
}

/* Ours called bn1 must not get the file's bn1 when the map gives that to another. */
static void one_tensor_never_goes_to_two_params(void **state)
{
    struct fixture *f = *state;
    const struct spec specs[] = {{"bn1.weight", 1, {2}, 1.0f}, {"stem.weight", 1, {2}, 1.0f}};
    make_file(f, specs, 2, NULL);
    const struct cb_name_rule rules[] = {{"bn2", "bn1"}, {"conv", "stem"}};
    const struct cb_name_map map = {"m", rules, 2, NULL, 0};
    float out[3][2];
    struct cb_wanted wanted[] = {
        {"conv.w", "conv", "weight", CB_PARAM_VECTOR, 1, {2}, out[0], false, false, NULL, 0, NULL, NULL},
        {"bn2.w", "bn2", "weight", CB_PARAM_VECTOR, 1, {2}, out[1], false, false, NULL, 0, NULL, NULL},
        {"bn1.w", "bn1", "weight", CB_PARAM_VECTOR, 1, {2}, out[2], false, false, NULL, 0, NULL, NULL},
    };
    struct cb_load_report report;
    assert_int_equal(match(f, wanted, 3, &map, 1, &report), CB_MISMATCH);
    assert_says(f->diag, "tensor `bn1.weight` would go to `bn2.w` and to `bn1.w`");
}

static void another_shape_is_an_error_that_names_both(void **state)
{
    struct fixture *f = *state;
    const struct spec specs[] = {{"fc.weight", 2, {1000, 3}, 0.0f}, {"fc.bias", 1, {1000}, 0.0f}};
    make_file(f, specs, 2, NULL);
    float w[30], b[10];
    w[0] = -7.0f;
    struct cb_wanted wanted[] = {
        {"fc.w", "fc", "weight", CB_PARAM_MATRIX, 2, {3, 10}, w, false, false, NULL, 0, NULL, NULL},
        {"fc.b", "fc", "bias", CB_PARAM_VECTOR, 1, {10}, b, false, false, NULL, 0, NULL, NULL},
    };
    struct cb_load_report report;
    assert_int_equal(match(f, wanted, 2, NULL, 0, &report), CB_MISMATCH);
    assert_says(f->diag, "tensor `fc.weight` [1000, 3] does not fit `fc.w` [3, 10], which would be [10, 3] there");
    assert_non_null(strstr(cb_diag_text(f->diag, 1), "tensor `fc.bias` [1000] does not fit `fc.b` [10]"));
    assert_int_equal(report.mismatched.count, 2);
    assert_true(w[0] == -7.0f);

    wanted[0].replaced = wanted[1].replaced = true;
    cb_diag_clear(f->diag);
    assert_int_equal(match(f, wanted, 2, NULL, 0, &report), CB_OK);
    assert_int_equal(report.replaced.count, 2);
    assert_int_equal(report.unused.count, 0);
    assert_int_equal(wanted[0].status, CB_MATCH_REPLACED);
    assert_null(cb_diag_text(f->diag, 0));
}

/* [3, 1] and [1, 3] have the same values in the same order and are still not the same filter. */
static void a_filter_of_another_orientation_does_not_fit(void **state)
{
    struct fixture *f = *state;
    const struct spec specs[] = {{"c.weight", 4, {2, 2, 1, 3}, 0.0f}};
    make_file(f, specs, 1, NULL);
    float w[12];
    struct cb_wanted wanted = {"c.w", "c",  "weight", CB_PARAM_FILTER, 4, {3, 1, 2, 2}, w, false, false, NULL,
                               0,     NULL, NULL};
    struct cb_load_report report;
    assert_int_equal(match(f, &wanted, 1, NULL, 0, &report), CB_MISMATCH);
}

static void what_is_missing_is_named(void **state)
{
    struct fixture *f = *state;
    const struct spec specs[] = {{"other.weight", 1, {2}, 0.0f}};
    make_file(f, specs, 1, NULL);
    float out[2] = {5.0f, 6.0f};
    struct cb_wanted wanted[] = {
        {"a.w", "a", "weight", CB_PARAM_VECTOR, 1, {2}, out, false, false, NULL, 0, NULL, NULL},
        {"b.w", "b", NULL, CB_PARAM_VECTOR, 1, {2}, out, true, false, NULL, 0, NULL, NULL},
    };
    struct cb_load_report report;
    assert_int_equal(match(f, wanted, 2, NULL, 0, &report), CB_MISMATCH);
    assert_says(f->diag, "has no tensor for 1 of 2 params: `a.w` (neither `a.weight` nor `a.w` is there); its own begin"
                         " with `other.weight`");
    assert_int_equal(report.missing.count, 2);
    wanted[0].optional = true;
    assert_int_equal(match(f, wanted, 2, NULL, 0, &report), CB_OK);
    assert_true(out[0] == 5.0f);
    assert_string_equal(wanted[1].reason, "`b.w` is not there");
}

static void name_maps_are_read_from_yaml(void **state)
{
    struct fixture *f = *state;
    static const char text[] = "timm: {}\n"
                               "torchvision:\n"
                               "  conv_stem: features.0.0\n"
                               "  blocks.*: features.*.conv\n";
    struct cb_value *value;
    struct cb_name_map *maps;
    uint32_t count;
    assert_int_equal(cb_yaml_read_text(f->arena, "names.yaml", text, sizeof(text) - 1, &value, f->diag), CB_OK);
    assert_int_equal(cb_name_maps_read(f->arena, value, &maps, &count, f->diag), CB_OK);
    assert_int_equal(count, 2);
    assert_string_equal(maps[0].label, "timm");
    assert_int_equal(maps[0].count, 0);
    assert_string_equal(cb_name_map_apply(f->arena, &maps[1], "blocks.7.bn"), "features.7.conv.bn");

    static const char wrong[] = "x: {a.*: b, c: {d: e}}\n";
    assert_int_equal(cb_yaml_read_text(f->arena, "names.yaml", wrong, sizeof(wrong) - 1, &value, f->diag), CB_OK);
    assert_int_equal(cb_name_maps_read(f->arena, value, &maps, &count, f->diag), CB_INVALID);
    assert_says(f->diag, "names.yaml:1:10: error: `a.*` and `b` must have the same number of `*`");
    assert_int_equal(cb_diag_count(f->diag, CB_ERROR), 2);
}

static void name_rules_whose_signs_do_not_fit_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const cases[][2] = {
        {"x: {a.*.*: b.*}", "`a.*.*` and `b.*` must have the same number of `*`"},
        {"x: {a: 'b.#'}", "`#` in `b.#` numbers what `*` stands for, but `a` has no `*`"},
        {"x: {a.*: 'b.#.#'}", "`a.*` and `b.#.#` must have the same number of `*` or `#`"},
        {"x: {a.*.*.*: 'b.#.*'}", "`a.*.*.*` and `b.#.*` must have the same number of `*` or `#`"},
        {"x: {a.*.*: 'b.##.#'}", "`##` in `b.##.#` has no `#` before it whose number it could repeat"},
        {"x: {a.*: [b.*, b]}", "`a.*` and `b` must have the same number of `*`"},
        {"x: {a: []}", "`a` must be the name of a layer, or a list of several, not a list"},
        {"x: {a.*: 'b.#1000000'}", "`#1000000` in `b.#1000000` must stay below 1000000"},
        {"x: {a.*: 'b.#1+99999999999999999999'}", "`#1+99999999999999999999` in"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cb_value *value;
        struct cb_name_map *maps;
        uint32_t count;
        cb_diag_clear(f->diag);
        assert_int_equal(cb_yaml_read_text(f->arena, "n.yaml", cases[i][0], strlen(cases[i][0]), &value, f->diag), CB_OK);
        assert_int_equal(cb_name_maps_read(f->arena, value, &maps, &count, f->diag), CB_INVALID);
        assert_says(f->diag, cases[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(filters_and_matrices_come_out_channels_last),
        TEST(a_dense_layer_behind_a_flatten_is_reordered),
        TEST(large_matrices_are_transposed_whole),
        TEST(our_own_files_are_taken_as_they_are),
        TEST(foreign_names_win_over_our_own_in_foreign_files),
        TEST(the_most_exact_rule_names_a_layer),
        TEST(a_running_number_counts_the_blocks),
        TEST(running_numbers_follow_the_wanted_params),
        TEST(a_rule_may_name_a_param),
        TEST(the_map_that_finds_the_most_is_taken),
        TEST(one_tensor_never_goes_to_two_params),
        TEST(another_shape_is_an_error_that_names_both),
        TEST(a_filter_of_another_orientation_does_not_fit),
        TEST(what_is_missing_is_named),
        TEST(name_maps_are_read_from_yaml),
        TEST(name_rules_whose_signs_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
