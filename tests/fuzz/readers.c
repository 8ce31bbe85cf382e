/* readers.c: what is run on mutated files. A new reader: a function and a line in the table at the end, a line with its
 * corpus in meson.build. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/value.h"
#include "data/csv.h"
#include "data/image.h"
#include "exchange/onnx.h"
#include "fuzz.h"
#include "text/tokenizer.h"
#include "weights/tensors.h"

/* ---- weights: whatever cb_tensors_open recognises ---------------------------------------------------------------- */

/* Values of one tensor; of a large one (a view that repeats its storage) a few. */
static void read_tensor(struct cb_tensor_file *file, const struct cb_tensor_entry *entry, float *values, size_t room)
{
    static int64_t integers[64];
    struct cb_tensor_entry part = *entry;
    if (entry->count <= room) {
        (void)cb_tensors_read_f32(file, entry, values, NULL);
        struct cb_tensor_entry turned = *entry;
        for (uint32_t i = 0; i < entry->rank; i++) {
            turned.dims[i] = entry->dims[entry->rank - 1 - i];
            turned.strides[i] = entry->strides[entry->rank - 1 - i];
        }
        (void)cb_tensors_read_f32(file, &turned, values, NULL);
    } else if (cb_tensors_rows(entry, entry->dims[0] - 1, 1, &part, NULL) == CB_OK && part.count <= room) {
        (void)cb_tensors_read_f32(file, &part, values, NULL);
    }
    if (entry->count <= 64) {
        (void)cb_tensors_read_i64(file, entry, integers, NULL);
    }
}

static uint64_t read_facts(const struct cb_tensor_file *file)
{
    uint64_t sum = 0;
    for (uint32_t k = 0; k < cb_tensors_fact_count(file); k++) {
        const struct cb_fact *fact = cb_tensors_fact_at(file, k);
        for (uint64_t i = 0; i < fact->count && i < 1000; i++) {
            size_t bytes;
            const char *text = cb_fact_text(fact, i, &bytes);
            for (size_t c = 0; text && c < bytes; c++) {
                sum += (unsigned char)text[c];
            }
            sum += (uint64_t)cb_fact_integer(fact, i) + (cb_fact_real(fact, i) > 0);
        }
    }
    for (uint32_t k = 0; k < cb_tensors_metadata_count(file); k++) {
        sum += strlen(cb_tensors_metadata_at(file, k)->key) + strlen(cb_tensors_metadata_at(file, k)->value);
    }
    return sum;
}

static volatile uint64_t sink; /* what is read must not be optimised away */

static bool run_weights(const struct fuzz_input *input)
{
    enum { ROOM = 1 << 16 };
    static float values[ROOM];
    struct cb_tensor_file *file = NULL;
    struct cb_diag *diag = cb_diag_create();
    if (cb_tensors_open(input->path, &file, NULL, diag) != CB_OK) {
        if (!cb_diag_text(diag, 0)) {
            abort(); /* every refusal says why */
        }
        cb_diag_destroy(diag);
        return false;
    }
    for (uint32_t i = 0; i < cb_tensors_count(file) && i < 1000; i++) {
        const struct cb_tensor_entry *entry = cb_tensors_at(file, i);
        if (cb_tensors_find(file, entry->name) != entry) {
            abort();
        }
        read_tensor(file, entry, values, ROOM);
    }
    sink = read_facts(file);
    cb_tensors_close(file);
    cb_diag_destroy(diag);
    return true;
}

/* ---- others ------------------------------------------------------------------------------------------------------ */

typedef enum cb_status read_text_fn(struct cb_arena *arena, const char *name, const char *text, size_t length,
                                    struct cb_value **out, struct cb_diag *diag);

static bool run_text(const struct fuzz_input *input, read_text_fn *read)
{
    struct cb_arena *arena = cb_arena_create();
    struct cb_diag *diag = cb_diag_create();
    struct cb_value *value = NULL;
    enum cb_status status = read(arena, "input", (const char *)input->data, input->bytes, &value, diag);
    if (status != CB_OK && !cb_diag_text(diag, 0)) {
        abort();
    }
    cb_diag_destroy(diag);
    cb_arena_destroy(arena);
    return status == CB_OK;
}

static bool run_yaml(const struct fuzz_input *input)
{
    return run_text(input, cb_yaml_read_text);
}

static bool run_json(const struct fuzz_input *input)
{
    return run_text(input, cb_json_read_text);
}

static bool run_csv(const struct fuzz_input *input)
{
    struct cb_arena *arena = cb_arena_create();
    struct cb_diag *diag = cb_diag_create();
    struct cb__csv table;
    enum cb_status status = cb__csv_read(arena, input->path, NULL, &table, diag);
    if (status == CB_OK) {
        for (uint64_t i = 0; i < (uint64_t)table.row_count * table.column_count; i++) {
            sink += strlen(table.cells[i]);
        }
    } else if (!cb_diag_text(diag, 0)) {
        abort();
    }
    cb_diag_destroy(diag);
    cb_arena_destroy(arena);
    return status == CB_OK;
}

static bool run_image(const struct fuzz_input *input)
{
    struct cb_diag *diag = cb_diag_create();
    struct cb_image image = {0};
    enum cb_status status = cb_image_decode(input->data, input->bytes, "input", &image, diag);
    if (status == CB_OK) {
        uint64_t bytes = (uint64_t)image.width * image.height * image.channels;
        sink += bytes ? image.data[0] + image.data[bytes - 1] : 0;
    } else if (!cb_diag_text(diag, 0)) {
        abort();
    }
    cb_image_free(&image);
    cb_diag_destroy(diag);
    return status == CB_OK;
}

static bool run_onnx(const struct fuzz_input *input)
{
    struct cb_diag *diag = cb_diag_create();
    struct cb_onnx_graph *graph = NULL;
    const struct cb_onnx_options options = {0};
    enum cb_status status = cb_onnx_open(input->path, &graph, NULL, diag);
    status = status == CB_OK ? cb_onnx_simplify(graph, &options, diag) : status;
    if (status != CB_OK && !cb_diag_text(diag, 0)) {
        abort();
    }
    cb_onnx_close(graph);
    cb_diag_destroy(diag);
    return status == CB_OK;
}

/* A tokenizer.json, or, where the file is no JSON, a vocab.txt; what is accepted encodes a text, and decodes it. */
static bool run_tokenizer(const struct fuzz_input *input)
{
    static const char text[] = "The  \xe4\xb8\xad na\xc3\xafve <s> e\xcc\x81 [MASK] \xff\xe2\x82 don't 123 \xf0\x9f\x98\x80\xef\xac\x81";
    const struct cb_tokenizer_file file = {input->bytes > 0 && input->data[0] == '{' ? "tokenizer.json" : "vocab.txt",
                                           (const char *)input->data, input->bytes};
    const struct cb_encode_options options = {.wants_spans = true};
    struct cb_tokenizer *tokenizer = NULL;
    struct cb_tokens tokens = {0};
    struct cb_text decoded = {0};
    if (cb_tokenizer_open_files("fuzz", &file, 1, &tokenizer, NULL) != CB_OK) {
        return false;
    }
    if (cb_tokenizer_encode(tokenizer, text, sizeof(text) - 1, &options, &tokens, NULL) == CB_OK) {
        (void)cb_tokenizer_decode(tokenizer, tokens.ids, tokens.count, false, &decoded, NULL);
    }
    cb_text_free(&decoded);
    cb_tokens_free(&tokens);
    cb_tokenizer_close(tokenizer);
    return true;
}

/* Deflate makes at most 1032 bytes of one; a tree of JSON or YAML takes some hundred bytes for each letter. */
const struct fuzz_reader fuzz_readers[] = {
    {"weights", run_weights, 4 << 20, 1100},
    {"yaml", run_yaml, 8 << 20, 2000}, /* aliases may repeat what they stand for, up to a million nodes */
    {"json", run_json, 4 << 20, 1000},
    {"csv", run_csv, 4 << 20, 200},
    {"image", run_image, 0, 0}, /* up to 100 megapixels */
    {"onnx", run_onnx, 16 << 20, 1100},
    {"tokenizer", run_tokenizer, 16 << 20, 2000},
    {NULL, NULL, 0, 0},
};
