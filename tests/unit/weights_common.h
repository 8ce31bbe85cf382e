/* weights_common.h: what the tests of src/weights share: the committed files, and what PyTorch read from them. */
#ifndef WEIGHTS_COMMON_H
#define WEIGHTS_COMMON_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "weights/tensors.h"

#define DATA CB_SOURCE_ROOT "/tests/data/weights/"

/* The first message of the list, "" when there is none. */
static inline const char *first_message(struct cb_diag *diag)
{
    const char *text = cb_diag_text(diag, 0);
    return text ? text : "";
}

static inline void assert_says(struct cb_diag *diag, const char *sentence)
{
    if (!strstr(first_message(diag), sentence)) {
        fail_msg("expected a message with\n    %s\nnot\n    %s", sentence, first_message(diag));
    }
}

static inline uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

/* A new folder for a test's files, removed by hand; the caller frees the name. */
static inline char *make_test_folder(void)
{
    const char *root = getenv("TMPDIR");
    char *name = NULL;
    assert_true(asprintf(&name, "%s/cambium-test-XXXXXX", root && *root ? root : P_tmpdir) > 0);
    assert_non_null(mkdtemp(name));
    return name;
}

static inline void write_file(const char *path, const void *data, size_t bytes)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, bytes, f), bytes);
    assert_int_equal(fclose(f), 0);
}

static inline unsigned char *read_whole(const char *path, size_t *out_bytes)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    long bytes = ftell(f);
    assert_true(bytes >= 0);
    rewind(f);
    unsigned char *data = malloc((size_t)bytes + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, (size_t)bytes, f), bytes);
    fclose(f);
    *out_bytes = (size_t)bytes;
    return data;
}

/* Compares every tensor of DATA/name with the line that PyTorch wrote about it in expected.txt (make_weights_files.py),
 * bit for bit, and that there are no others. */
static inline void compare_with_expected(const char *name)
{
    struct cb_diag *diag = cb_diag_create();
    struct cb_tensor_file *file = NULL;
    char path[4096];
    snprintf(path, sizeof(path), "%s%s", DATA, name);
    if (cb_tensors_open(path, &file, NULL, diag) != CB_OK) {
        fail_msg("%s", first_message(diag));
    }
    FILE *expected = fopen(DATA "expected.txt", "r");
    assert_non_null(expected);
    char *line = NULL;
    size_t capacity = 0;
    uint32_t seen = 0;
    while (getline(&line, &capacity, expected) > 0) {
        char *rest = line;
        if (strcmp(strsep(&rest, " "), name) != 0) {
            continue;
        }
        const char *tensor = strsep(&rest, " ");
        const char *type = strsep(&rest, " ");
        const char *dims = strsep(&rest, " \n");
        const struct cb_tensor_entry *entry = cb_tensors_find(file, tensor);
        if (!entry) {
            fail_msg("%s has no tensor %s", name, tensor);
            break;
        }
        assert_string_equal(cb_stored_name(entry->type), type);
        char shape[192], tight[192] = "";
        cb_format_dims(entry->rank, entry->dims, shape);
        for (size_t i = 0, j = 0; shape[i]; i++) {
            if (shape[i] != ' ') {
                tight[j++] = shape[i];
                tight[j] = '\0';
            }
        }
        assert_string_equal(tight, dims);

        float *values = malloc((entry->count + 1) * sizeof(float));
        assert_int_equal(cb_tensors_read_f32(file, entry, values, diag), CB_OK);
        for (uint64_t i = 0; i < entry->count; i++) {
            const char *word = strsep(&rest, " \n");
            assert_non_null(word);
            float value = strtof(word, NULL);
            if (bits_of(values[i]) != bits_of(value)) {
                fail_msg("%s: %s[%llu] is %a, not %a", name, tensor, (unsigned long long)i, values[i], value);
            }
        }
        free(values);
        seen++;
    }
    free(line);
    fclose(expected);
    assert_true(seen > 0);
    assert_int_equal(seen, cb_tensors_count(file));
    cb_tensors_close(file);
    cb_diag_destroy(diag);
}

#endif
