/* test_huggingface.c: folders of the Hugging Face hub: the network from config.json by what a family says of it, the input
 * contract from the folder's own files, labels, and thousands of damaged configurations. */
#include "weights_common.h"

#include <math.h>
#include <sys/stat.h>

#include "base/file.h"
#include "exchange/import.h"

struct fixture {
    char *folder; /* holds home/configs/backbones/toy.yaml, model/ */
    struct cb_arena *arena;
    struct cb_diag *diag;
    struct cb_imported *imported;
};

/* A family of one convolution and a classifier. */
static const char family[] =
    "# A toy.\n"
    "name: toy\n"
    "input: {modality: image, shape: [8, 8, 3], scale: {mean: [127.5], std: [127.5]}, resize: pad}\n"
    "parameters:\n"
    "  width: null # of the convolution\n"
    "  kernel: 3\n"
    "  file: null\n"
    "models:\n"
    "  toy_small: {width: 4, file: toy.pth}\n"
    "layers:\n"
    "  - conv2d: {filters: $width, kernel: $kernel}\n"
    "    name: stem\n"
    "  - relu\n"
    "  - global_avgpool\n"
    "  - dense: {units: 10}\n"
    "    name: classifier\n"
    "output: classifier\n"
    "weights:\n"
    "  - {file: $file}\n"
    "names:\n"
    "  transformers: {stem: toy.embeddings, classifier: classifier}\n"
    "huggingface:\n"
    "  toy:\n"
    "    parameters: {width: \"$(hidden_sizes[0] // 2)\", kernel: $kernel_size}\n"
    "    defaults: {kernel_size: 3, hidden_act: relu}\n"
    "    needs: [\"hidden_act == 'relu'\", {\"len(hidden_sizes) == 1\": it has several stages}]\n"
    "  toy_pair: {config: vision_config, parameters: {width: $hidden_size}}\n"
    "  timm: {tf_toy: toy_small}\n";

static char *path_of(struct fixture *f, const char *name)
{
    return cb_arena_printf(f->arena, "%s/%s", f->folder, name);
}

static void put(struct fixture *f, const char *name, const char *text)
{
    write_file(path_of(f, name), text, strlen(text));
}

static void put_weights(struct fixture *f, int64_t width, int64_t outputs)
{
    static const float zeros[4096];
    const struct cb_safetensors_entry entries[] = {
        {"classifier.bias", CB_STORED_F32, 1, {outputs}, zeros},
        {"classifier.weight", CB_STORED_F32, 2, {outputs, width}, zeros},
        {"toy.embeddings.bias", CB_STORED_F32, 1, {width}, zeros},
        {"toy.embeddings.weight", CB_STORED_F32, 4, {width, 3, 3, 3}, zeros},
    };
    assert_int_equal(cb_safetensors_write(path_of(f, "model/model.safetensors"), entries, 4, NULL, 0, NULL), CB_OK);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->folder = make_test_folder();
    f->arena = cb_arena_create();
    f->diag = cb_diag_create();
    assert_int_equal(cb_make_folders(path_of(f, "home/configs/backbones"), NULL), CB_OK);
    assert_int_equal(cb_make_folders(path_of(f, "model"), NULL), CB_OK);
    put(f, "home/configs/backbones/toy.yaml", family);
    assert_int_equal(setenv("CAMBIUM_HOME", path_of(f, "home"), 1), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    unsetenv("CAMBIUM_HOME");
    cb_imported_destroy(f->imported);
    assert_int_equal(cb_remove_tree(f->folder, NULL), CB_OK);
    cb_arena_destroy(f->arena);
    cb_diag_destroy(f->diag);
    free(f->folder);
    free(f);
    return 0;
}

/* Reads the folder anew and, where that works, writes it. */
static enum cb_status import(struct fixture *f, bool writes)
{
    const struct cb_import_request request = {.path = path_of(f, "model"), .name = "mine"};
    cb_imported_destroy(f->imported);
    f->imported = cb_imported_create("mine");
    cb_diag_clear(f->diag);
    enum cb_status status = cb_import_folder(&request, f->imported, f->diag);
    return status == CB_OK && writes ? cb_import_write(f->imported, path_of(f, "out"), true, f->diag) : status;
}

static void the_family_says_how_a_configuration_is_read(void **state)
{
    struct fixture *f = *state;
    put(f, "model/config.json", "{\"model_type\": \"toy\", \"architectures\": [\"ToyForImageClassification\"], "
                                "\"hidden_sizes\": [12], \"num_labels\": 3, "
                                "\"id2label\": {\"1\": \"dog, hound\", \"0\": \"cat\", \"2\": \"yes\"}}");
    put_weights(f, 6, 3);
    if (import(f, true) != CB_OK) {
        fail_msg("%s", first_message(f->diag));
    }
    assert_int_equal(f->imported->entry_count, 4);
    assert_int_equal(f->imported->random.count, 0);
    assert_string_equal(f->imported->matched_by, "names of transformers");
    assert_int_equal(f->imported->output.dims[1], 3);

    size_t bytes;
    char *yaml = (char *)read_whole(path_of(f, "out/mine.yaml"), &bytes);
    yaml[bytes] = '\0';
    const char expected[] =
        "# model (ToyForImageClassification), a folder of the Hugging Face hub, by cambium import.\n"
        "#\n"
        "# A toy.\n"
        "name: mine\n"
        "input: {modality: image, shape: [8, 8, 3], scale: {mean: [127.5, 127.5, 127.5], std: [127.5, 127.5, 127.5]},\n"
        "        resize: pad, filter: bilinear}\n"
        "parameters:\n"
        "  width: 6 # of the convolution\n"
        "  kernel: 3\n"
        "layers:\n"
        "  - conv2d: {filters: $width, kernel: $kernel}\n"
        "    name: stem\n"
        "  - relu\n"
        "  - global_avgpool\n"
        "  - dense: {units: 3}\n"
        "    name: classifier\n"
        "output: classifier\n"
        "\n"
        "labels: [cat, \"dog, hound\", \"yes\"]\n";
    if (strncmp(yaml, expected, strlen(expected)) != 0) {
        fail_msg("the network file is\n%s", yaml);
    }
    free(yaml);
}

static void assert_refused(struct fixture *f, const char *config, enum cb_status status, const char *sentence)
{
    put(f, "model/config.json", config);
    assert_int_equal(import(f, false), status);
    assert_says(f->diag, sentence);
}

static void what_cannot_be_is_said(void **state)
{
    struct fixture *f = *state;
    put_weights(f, 6, 3);
    assert_refused(f, "{\"model_type\": \"gpt2\", \"architectures\": [\"GPT2LMHeadModel\"]}", CB_UNSUPPORTED,
                   "no family here is a network of the model type `gpt2` (GPT2LMHeadModel); known are toy, toy_pair.");
    assert_refused(f, "{\"model_type\": \"toy\"}", CB_FORMAT, "has no `hidden_sizes`, which a `toy` needs");
    assert_refused(f, "{\"model_type\": \"toy\", \"hidden_sizes\": [12], \"hidden_act\": \"gelu\"}", CB_UNSUPPORTED,
                   "this `toy` is not supported: it must hold that `hidden_act == 'relu'`");
    assert_refused(f, "{\"model_type\": \"toy\", \"hidden_sizes\": [12, 12]}", CB_UNSUPPORTED,
                   "this `toy` is not supported: it has several stages");
    assert_refused(f, "{\"hidden_sizes\": [12]}", CB_FORMAT, "says neither `model_type` (transformers) nor `architecture`");
    assert_refused(f, "[1]", CB_FORMAT, "must be a map, not a list");
    assert_refused(f, "{\"architecture\": \"toy_smal\"}", CB_NOT_FOUND, "did you mean `toy_small`?");
    assert_refused(f, "{\"model_type\": \"toy\", \"hidden_sizes\": [16]}", CB_MISMATCH, "does not fit `stem.w`");
    unlink(path_of(f, "model/model.safetensors"));
    assert_refused(f, "{\"model_type\": \"toy\", \"hidden_sizes\": [12]}", CB_NOT_FOUND, "holds no weights: none of model.saf");
    unlink(path_of(f, "model/config.json"));
    assert_int_equal(import(f, false), CB_NOT_FOUND);
    assert_says(f->diag, "holds no config.json");
}

static void a_network_within_another_has_its_own_map(void **state)
{
    struct fixture *f = *state;
    put_weights(f, 5, 10);
    put(f, "model/config.json", "{\"model_type\": \"toy_pair\", \"vision_config\": {\"hidden_size\": 5}}");
    assert_int_equal(import(f, true), CB_OK);
    assert_int_equal(f->imported->output.dims[1], 10);
}

static void folders_of_timm_name_a_network(void **state)
{
    struct fixture *f = *state;
    put_weights(f, 4, 10);
    put(f, "model/config.json",
        "{\"architecture\": \"tf_toy.in1k\", \"num_classes\": 10, \"pretrained_cfg\": {\"input_size\": [3, 12, 16], "
        "\"interpolation\": \"bicubic\", \"crop_pct\": 0.95, \"crop_mode\": \"center\", \"mean\": [0.485, 0.456, 0.406], "
        "\"std\": [0.229, 0.224, 0.225]}}");
    if (import(f, true) != CB_OK) {
        fail_msg("%s", first_message(f->diag));
    }
    const struct cb_contract *c = &f->imported->contract;
    assert_true(c->shape[0] == 12 && c->shape[1] == 16 && c->shape[2] == 3);
    assert_true(c->resize == CB_RESIZE_CROP && c->filter == CB_FILTER_BICUBIC && c->crop_fraction == 0.95);
    assert_true(c->mean[0] == 123.675 && c->std[2] == 57.375); /* exactly */
}

/* ---- preprocessor_config.json ---------------------------------------------------------------------------------------- */

struct input_case {
    const char *json;
    int64_t height, width;
    enum cb_resize resize;
    enum cb_filter filter;
    double fraction, mean, std; /* of the first channel */
};

static const struct input_case input_cases[] = {
    /* ViT: squashed to the size */
    {"{\"size\": {\"height\": 16, \"width\": 24}, \"resample\": 2, \"do_rescale\": true, \"rescale_factor\": "
     "0.00392156862745098, \"do_normalize\": true, \"image_mean\": [0.5, 0.5, 0.5], \"image_std\": [0.5, 0.5, 0.5]}",
     16, 24, CB_RESIZE_SQUASH, CB_FILTER_BILINEAR, 0, 127.5, 127.5},
    /* DINOv2: the shorter side to 32, then cut to 28 */
    {"{\"size\": {\"shortest_edge\": 32}, \"crop_size\": {\"height\": 28, \"width\": 28}, \"do_center_crop\": true, "
     "\"resample\": 3, \"do_normalize\": true, \"image_mean\": [0.485, 0.456, 0.406], \"image_std\": [0.229, 0.224, 0.225]}",
     28, 28, CB_RESIZE_CROP, CB_FILTER_BICUBIC, 0.875, 123.675, 58.395},
    /* ConvNeXt: the shorter side to size / crop_pct, then cut; from 384 on squashed */
    {"{\"size\": {\"shortest_edge\": 28}, \"crop_pct\": 0.875, \"resample\": 3, \"image_mean\": [0.5, 0.5, 0.5], "
     "\"image_std\": [0.25, 0.25, 0.25]}", 28, 28, CB_RESIZE_CROP, CB_FILTER_BICUBIC, 0.875, 127.5, 63.75},
    {"{\"size\": {\"shortest_edge\": 384}, \"crop_pct\": 0.875, \"image_mean\": [0.5, 0.5, 0.5], "
     "\"image_std\": [0.5, 0.5, 0.5]}", 384, 384, CB_RESIZE_SQUASH, CB_FILTER_BILINEAR, 0, 127.5, 127.5},
    /* an old file: numbers for sizes */
    {"{\"size\": 30, \"crop_size\": 20, \"do_center_crop\": true, \"do_normalize\": true, \"image_mean\": [0, 0, 0], "
     "\"image_std\": [1, 1, 1]}", 20, 20, CB_RESIZE_CROP, CB_FILTER_BILINEAR, 20.0 / 30.0, 0, 255},
    /* cut without another size: as it comes */
    {"{\"size\": {\"height\": 20, \"width\": 20}, \"crop_size\": {\"height\": 20, \"width\": 20}, \"do_center_crop\": true}",
     20, 20, CB_RESIZE_SQUASH, CB_FILTER_BILINEAR, 0, 0, 255},
    /* not scaled at all; then EfficientNet's: value / 127.5 - 1 */
    {"{\"size\": {\"height\": 20, \"width\": 20}, \"do_rescale\": false, \"do_normalize\": false, \"resample\": 0}", 20, 20,
     CB_RESIZE_SQUASH, CB_FILTER_NEAREST, 0, 0, 1},
    {"{\"size\": {\"height\": 20, \"width\": 20}, \"rescale_factor\": 0.00784313725490196, \"rescale_offset\": true, "
     "\"do_normalize\": false}", 20, 20, CB_RESIZE_SQUASH, CB_FILTER_BILINEAR, 0, 127.5, 127.5},
};

static void the_input_contract_is_the_folders(void **state)
{
    struct fixture *f = *state;
    put_weights(f, 6, 10);
    put(f, "model/config.json", "{\"model_type\": \"toy\", \"hidden_sizes\": [12], \"image_size\": 40}");
    assert_int_equal(import(f, true), CB_OK);
    assert_int_equal(f->imported->contract.shape[0], 40); /* without a preprocessor */
    for (size_t i = 0; i < sizeof(input_cases) / sizeof(input_cases[0]); i++) {
        const struct input_case *k = &input_cases[i];
        put(f, "model/preprocessor_config.json", k->json);
        if (import(f, true) != CB_OK) {
            fail_msg("case %zu: %s", i, first_message(f->diag));
        }
        const struct cb_contract *c = &f->imported->contract;
        if (c->shape[0] != k->height || c->shape[1] != k->width || c->resize != k->resize || c->filter != k->filter ||
            (k->resize == CB_RESIZE_CROP && fabs(c->crop_fraction - k->fraction) > 1e-9) ||
            fabs(c->mean[0] - k->mean) > 1e-9 || fabs(c->std[0] - k->std) > 1e-9) {
            fail_msg("case %zu: %lld x %lld, resize %d, filter %d, fraction %g, mean %.17g, std %.17g", i,
                     (long long)c->shape[0], (long long)c->shape[1], (int)c->resize, (int)c->filter, c->crop_fraction,
                     c->mean[0], c->std[0]);
        }
    }
    put(f, "model/preprocessor_config.json", "{\"do_normalize\": true, \"image_mean\": [0.5], \"image_std\": [0.5, 0.5]}");
    assert_int_equal(import(f, false), CB_FORMAT);
    assert_says(f->diag, "`image_mean` and `image_std` must be numbers, one for each of 3 channels");
    put(f, "model/preprocessor_config.json", "{\"do_normalize\": true, \"image_mean\": 0.5, \"image_std\": 0}");
    assert_int_equal(import(f, false), CB_FORMAT);
    assert_says(f->diag, "numbers that make no sense");
}

/* ---- damage ---------------------------------------------------------------------------------------------------------- */

static uint32_t next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Cuts, doubles, or changes letters, or puts in a word that JSON knows. */
static size_t damage(char *text, size_t length, size_t capacity, uint32_t *random)
{
    static const char *const words[] = {"null", "-1", "1e400", "9223372036854775807", "[]", "{}", "\"\"", "true", "0.0",
                                        "[[[[", "\\u0000", "99999999999999999999", "{\"a\":", "-0", "\"height\""};
    for (uint32_t times = next(random) % 3 + 1; times > 0 && length > 1; times--) {
        const size_t at = next(random) % length, end = at + next(random) % (length - at);
        if (next(random) % 3 == 0) {
            memmove(text + at, text + end, length - end);
            length -= end - at;
        } else if (next(random) % 2 == 0) {
            text[at] = (char)(next(random) % 95 + 32);
        } else {
            const char *word = words[next(random) % (sizeof(words) / sizeof(words[0]))];
            const size_t bytes = strlen(word);
            if (length + bytes < capacity) {
                memmove(text + at + bytes, text + at, length - at);
                memcpy(text + at, word, bytes);
                length += bytes;
            }
        }
    }
    return length;
}

static void damaged_configurations_are_refused_or_taken_never_worse(void **state)
{
    struct fixture *f = *state;
    static const char config[] = "{\"model_type\": \"toy\", \"hidden_sizes\": [12], \"kernel_size\": 3, \"image_size\": 8, "
                                 "\"num_channels\": 3, \"id2label\": {\"0\": \"a\", \"1\": \"b\", \"2\": \"c\"}}";
    static const char other[] = "{\"size\": {\"shortest_edge\": 10}, \"crop_size\": {\"height\": 8, \"width\": 8}, "
                                "\"do_center_crop\": true, \"resample\": 3, \"image_mean\": [0.5, 0.5, 0.5], "
                                "\"image_std\": [0.5, 0.5, 0.5], \"do_rescale\": true, \"rescale_factor\": 0.003921}";
    uint32_t random = 1;
    int taken = 0;
    put_weights(f, 6, 3);
    for (int i = 0; i < 4000; i++) {
        char first[1024], second[1024];
        memcpy(first, config, sizeof(config));
        memcpy(second, other, sizeof(other));
        const size_t a = i % 2 == 0 ? damage(first, sizeof(config) - 1, sizeof(first), &random) : sizeof(config) - 1;
        const size_t b = i % 2 == 1 ? damage(second, sizeof(other) - 1, sizeof(second), &random) : sizeof(other) - 1;
        write_file(path_of(f, "model/config.json"), first, a);
        write_file(path_of(f, "model/preprocessor_config.json"), second, b);
        const enum cb_status status = import(f, false);
        taken += status == CB_OK;
        if (status != CB_OK && *first_message(f->diag) == '\0') {
            fail_msg("status %d without a word for %.*s", (int)status, (int)a, first);
        }
        assert_int_not_equal(status, CB_INTERNAL);
    }
    assert_true(taken > 100); /* some damage does no harm: then it is really read */
}

/* Weights of the toy with more tensors than it has places for, by name in order. */
static void put_more_weights(struct fixture *f, const char *first, const char *second)
{
    static const float zeros[4096];
    struct cb_safetensors_entry entries[] = {
        {"classifier.bias", CB_STORED_F32, 1, {10}, zeros},
        {"classifier.weight", CB_STORED_F32, 2, {10, 4}, zeros},
        {"toy.embeddings.bias", CB_STORED_F32, 1, {4}, zeros},
        {"toy.embeddings.weight", CB_STORED_F32, 4, {4, 3, 3, 3}, zeros},
        {first, CB_STORED_F32, 1, {4}, zeros},
        {second, CB_STORED_F32, 1, {4}, zeros},
    };
    assert_int_equal(cb_safetensors_write(path_of(f, "model/model.safetensors"), entries, 6, NULL, 0, NULL), CB_OK);
}

static void a_network_with_more_in_its_blocks_is_another(void **state)
{
    struct fixture *f = *state;
    put(f, "model/config.json", "{\"architecture\": \"tf_toy\", \"model_args\": {\"init_values\": 1e-5}}");
    put_more_weights(f, "toy.more.0.gamma", "toy.more.1.gamma");
    assert_int_equal(import(f, false), CB_UNSUPPORTED);
    assert_non_null(strstr(first_message(f->diag), "`toy.more.*.gamma` in its blocks (2 tensors"));
    put_more_weights(f, "toy.more.0.attn_mask", "toy.more.1.attn_mask"); /* made again from the sizes */
    assert_int_equal(import(f, false), CB_OK);
}

static void a_part_that_is_not_taken_is_said(void **state)
{
    struct fixture *f = *state;
    bool is_said = false;
    put(f, "model/config.json", "{\"architecture\": \"tf_toy\"}");
    put_more_weights(f, "aux.0.bias", "aux.1.bias");
    assert_int_equal(import(f, false), CB_OK);
    assert_int_equal(f->imported->unused.count, 2);
    for (uint32_t i = 0; i < f->imported->notes.count; i++) {
        is_said = is_said || strstr(f->imported->notes.names[i], "of `aux` nothing was taken (2 tensors)") != NULL;
    }
    assert_true(is_said);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_network_with_more_in_its_blocks_is_another),
        TEST(a_part_that_is_not_taken_is_said),
        TEST(the_family_says_how_a_configuration_is_read),
        TEST(what_cannot_be_is_said),
        TEST(a_network_within_another_has_its_own_map),
        TEST(folders_of_timm_name_a_network),
        TEST(the_input_contract_is_the_folders),
        TEST(damaged_configurations_are_refused_or_taken_never_worse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
