/* weights_match_common.h: a weights file that a test makes up, and its match onto what the test wants. */
#ifndef WEIGHTS_MATCH_COMMON_H
#define WEIGHTS_MATCH_COMMON_H

#include "weights_common.h"

#include "weights/match.h"
#include "weights/safetensors.h"

struct fixture {
    char *folder;
    char path[4096];
    struct cb_arena *arena;
    struct cb_diag *diag;
    struct cb_tensor_file *file;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->folder = make_test_folder();
    snprintf(f->path, sizeof(f->path), "%s/net.safetensors", f->folder);
    f->arena = cb_arena_create();
    f->diag = cb_diag_create();
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    cb_tensors_close(f->file);
    cb_arena_destroy(f->arena);
    cb_diag_destroy(f->diag);
    unlink(f->path);
    rmdir(f->folder);
    free(f->folder);
    free(f);
    return 0;
}

/* Writes F32 tensors whose element i is first + i, and opens the file. */
struct spec {
    const char *name;
    uint32_t rank;
    int64_t dims[CB_MAX_RANK];
    float first;
};
static void make_file(struct fixture *f, const struct spec *specs, uint32_t count, const char *format)
{
    struct cb_safetensors_entry entries[16] = {0};
    float *data[16] = {0};
    assert_true(count <= 16);
    for (uint32_t i = 0; i < count; i++) {
        int64_t elements = 1;
        for (uint32_t d = 0; d < specs[i].rank; d++) {
            elements *= specs[i].dims[d];
        }
        data[i] = malloc((size_t)elements * sizeof(float));
        for (int64_t e = 0; e < elements; e++) {
            data[i][e] = specs[i].first + (float)e;
        }
        entries[i] = (struct cb_safetensors_entry){.name = specs[i].name, .type = CB_STORED_F32, .rank = specs[i].rank,
                                                   .data = data[i]};
        memcpy(entries[i].dims, specs[i].dims, sizeof(specs[i].dims));
    }
    const struct cb_key_value metadata = {"format", format ? format : ""};
    assert_int_equal(cb_safetensors_write(f->path, entries, count, &metadata, format ? 1 : 0, NULL), CB_OK);
    for (uint32_t i = 0; i < count; i++) {
        free(data[i]);
    }
    assert_int_equal(cb_tensors_open(f->path, &f->file, NULL, NULL), CB_OK);
}

static enum cb_status match(struct fixture *f, struct cb_wanted *wanted, uint32_t count, const struct cb_name_map *maps,
                            uint32_t map_count, struct cb_load_report *report)
{
    return cb_weights_match(f->file, wanted, count, maps, map_count, f->arena, report, NULL, f->diag);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
