/* data_common.h: what the tests of src/data share: a folder of their own, small files in it, and data sections of YAML
 * that are opened there. Include after cmocka.h. */
#ifndef CAMBIUM_TESTS_DATA_COMMON_H
#define CAMBIUM_TESTS_DATA_COMMON_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "data/dataset.h"

struct fixture {
    struct cb_arena *arena;
    struct cb_diag *diag;
    char *folder;
};

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    const char *root = getenv("TMPDIR");
    f->arena = cb_arena_create();
    f->diag = cb_diag_create();
    f->folder = cb_arena_printf(f->arena, "%s/cambium-test-XXXXXX", root && *root ? root : P_tmpdir);
    *state = f;
    return f->folder && mkdtemp(f->folder) && f->diag ? 0 : -1;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    enum cb_status status = cb_remove_tree(f->folder, f->diag);
    cb_diag_destroy(f->diag);
    cb_arena_destroy(f->arena);
    free(f);
    return status == CB_OK ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static inline void must(struct fixture *f, enum cb_status status)
{
    if (status != CB_OK) {
        fail_msg("%s: %s", cb_status_name(status),
                 cb_diag_count(f->diag, CB_NOTE) ? cb_diag_text(f->diag, 0) : "(no message)");
    }
}

/* A file in the test's folder, with the folders that it needs. */
static inline void put_bytes(struct fixture *f, const char *name, const void *data, size_t bytes)
{
    char *path = cb_path_join(f->arena, f->folder, name);
    char *parent = cb_arena_strdup(f->arena, path);
    *strrchr(parent, '/') = '\0';
    must(f, cb_make_folders(parent, f->diag));
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

static inline void put_text(struct fixture *f, const char *name, const char *text)
{
    put_bytes(f, name, text, strlen(text));
}

/* A grey picture of one value. */
static inline void put_picture(struct fixture *f, const char *name, uint8_t value)
{
    uint8_t pixels[12];
    memset(pixels, value, sizeof(pixels));
    put_bytes(f, name, "", 0);
    must(f, cb_image_write_png(cb_path_join(f->arena, f->folder, name),
                               &(struct cb_image){.width = 4, .height = 3, .channels = 1, .data = pixels}, f->diag));
}

/* `counts[k]` pictures each in the folders a, b, c, ... below `folder`; the value of a picture is its number over all. */
static inline void put_classes(struct fixture *f, const char *folder, const int *counts, int classes)
{
    int value = 0;
    for (int k = 0; k < classes; k++) {
        for (int i = 0; i < counts[k]; i++) {
            put_picture(f, cb_arena_printf(f->arena, "%s/%c/%d.png", folder, 'a' + k, i + 1), (uint8_t)value++);
        }
    }
}

/* A contract for tiny grey pictures. */
static inline struct cb_contract grey_contract(void)
{
    return (struct cb_contract){.name = "x", .modality = CB_IMAGE, .rank = 3, .shape = {3, 4, 1}, .mean = {0}, .std = {1},
                                .resize = CB_RESIZE_SQUASH};
}

static inline enum cb_status try_open(struct fixture *f, const char *yaml, const struct cb_contract *contract,
                                      struct cb_dataset **out)
{
    struct cb_value *value = NULL;
    must(f, cb_yaml_read_text(f->arena, "t.yaml", yaml, strlen(yaml), &value, f->diag));
    return cb_dataset_open(f->arena, value, f->folder, contract, out, f->diag);
}

static inline struct cb_dataset *open_data(struct fixture *f, const char *yaml)
{
    struct cb_contract contract = grey_contract();
    struct cb_dataset *dataset = NULL;
    must(f, try_open(f, yaml, &contract, &dataset));
    return dataset;
}

/* The one error of the list contains `words`; the list is then empty. */
static inline void expect_words(struct fixture *f, const char *words)
{
    assert_true(cb_diag_count(f->diag, CB_ERROR) >= 1);
    if (!strstr(cb_diag_text(f->diag, 0), words)) {
        fail_msg("expected a message with\n    %s\nnot\n    %s", words, cb_diag_text(f->diag, 0));
    }
    cb_diag_clear(f->diag);
}

#endif
