/* Datasets: each kind of source yields the samples, labels and pixels that its files hold. All files are written here, byte
 * by byte; nothing of the program writes them but plain PNG pictures (compared with Pillow in test_image.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <zlib.h>

#include "data/csv.h"
#include "data_common.h"

static void read_sample(struct fixture *f, struct cb_dataset *d, uint32_t sample, void *out)
{
    must(f, cb_dataset_read(d, sample, &out, f->diag));
}

/* The one value of a sample's pixels (they are of one colour). */
static int value_of(struct fixture *f, struct cb_dataset *d, uint32_t sample)
{
    uint8_t pixels[12];
    read_sample(f, d, sample, pixels);
    for (int i = 1; i < 12; i++) {
        assert_int_equal(pixels[i], pixels[0]);
    }
    return pixels[0];
}

/* ---- folders ---- */

static void a_folder_per_class(void **state)
{
    struct fixture *f = *state;
    put_picture(f, "pics/zebra/2.png", 2);
    put_picture(f, "pics/zebra/10.PNG", 10);
    put_picture(f, "pics/ape/deep/er/1.png", 1);
    put_picture(f, "pics/ape/0.png", 0);
    put_text(f, "pics/ape/notes.txt", "not a picture");
    put_text(f, "pics/readme.md", "neither");
    put_picture(f, "pics/zebra/.hidden.png", 99);
    struct cb_dataset *d = open_data(f, "{images: pics}");
    assert_int_equal(d->count, 4);
    assert_int_equal(d->class_count, 2);
    assert_string_equal(d->classes[0], "ape");
    assert_string_equal(d->classes[1], "zebra");
    static const int values[] = {0, 1, 2, 10}, labels[] = {0, 0, 1, 1};
    for (uint32_t i = 0; i < 4; i++) { /* natural order: 2 before 10 */
        assert_int_equal(value_of(f, d, i), values[i]);
        assert_int_equal(d->labels[i], labels[i]);
    }
    assert_int_equal(cb_dataset_class_size(d, 1), 2);
}

static void classes_are_chosen_and_ordered(void **state)
{
    struct fixture *f = *state;
    static const int counts[3] = {2, 3, 1};
    put_classes(f, "pics", counts, 3);
    struct cb_dataset *d = open_data(f, "{images: pics, classes: [c, a]}"), *none = NULL;
    assert_int_equal(d->count, 3);
    assert_string_equal(d->classes[0], "c");
    assert_int_equal(d->labels[0], 1);
    assert_int_equal(d->labels[2], 0);
    assert_int_equal(value_of(f, d, 2), 5);
    struct cb_contract contract = grey_contract();
    assert_int_equal(try_open(f, "{images: pics, classes: [c, aa]}", &contract, &none), CB_NOT_FOUND);
    expect_words(f, "the data have no class `aa`");
    assert_null(none);
}

static void parts_by_their_usual_names(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"train", "valid", "test", "Training", "validation", "testing"};
    static const enum cb_part parts[] = {CB_PART_TRAIN, CB_PART_VALIDATION, CB_PART_TEST};
    for (int set = 0; set < 2; set++) {
        char *root = cb_arena_printf(f->arena, "set%d", set);
        for (int i = 0; i < 3; i++) {
            put_picture(f, cb_arena_printf(f->arena, "%s/%s/a/1.png", root, names[set * 3 + i]), 1);
            put_picture(f, cb_arena_printf(f->arena, "%s/%s/b/1.png", root, names[set * 3 + i]), 2);
        }
        struct cb_dataset *d = open_data(f, cb_arena_printf(f->arena, "{images: %s}", root));
        int seen[4] = {0};
        assert_int_equal(d->count, 6);
        assert_int_equal(d->class_count, 2);
        for (uint32_t i = 0; i < 6; i++) {
            seen[d->parts[i]]++;
        }
        for (int i = 0; i < 3; i++) {
            assert_int_equal(seen[parts[i]], 2);
        }
    }
}

static void empty_classes_and_folders(void **state)
{
    struct fixture *f = *state;
    struct cb_contract contract = grey_contract();
    struct cb_dataset *d = NULL;
    put_picture(f, "pics/a/1.png", 1);
    put_text(f, "pics/b/notes.txt", "");
    assert_int_not_equal(try_open(f, "{images: pics}", &contract, &d), CB_OK);
    expect_words(f, "pics/b");
    put_picture(f, "loose/1.png", 1);
    assert_int_equal(try_open(f, "{images: loose}", &contract, &d), CB_INVALID);
    expect_words(f, "holds 1 picture but no folder per class");
    assert_int_equal(try_open(f, "{images: nowhere}", &contract, &d), CB_NOT_FOUND);
    expect_words(f, "nowhere` does not exist");
    assert_null(d);
}

/* ---- tables ---- */

static struct cb__csv *read_csv(struct fixture *f, const char *text)
{
    struct cb__csv *table = CB_NEW(f->arena, struct cb__csv);
    put_text(f, "t.csv", text);
    must(f, cb__csv_read(f->arena, cb_path_join(f->arena, f->folder, "t.csv"), NULL, table, f->diag));
    return table;
}

static const char *cell(const struct cb__csv *table, uint32_t row, uint32_t column)
{
    return table->cells[row * table->column_count + column];
}

static void tables_as_programs_write_them(void **state)
{
    struct fixture *f = *state;
    static const char text[] = "\xef\xbb\xbf\"path\",label,\"a \"\"note\"\"\"\r\n"
                               "one.png,cat,\"red, green\r\nand blue\"\r\n"
                               "\"two, too.png\",\"do\"\"g\",\r\n"
                               "\r\n"
                               "three.png,Gürteltier, spaces stay ";
    struct cb__csv *t = read_csv(f, text);
    assert_int_equal(t->column_count, 3);
    assert_string_equal(t->columns[0], "path");
    assert_string_equal(t->columns[2], "a \"note\"");
    assert_int_equal(t->row_count, 3);
    assert_string_equal(cell(t, 0, 2), "red, green\r\nand blue");
    assert_string_equal(cell(t, 1, 0), "two, too.png");
    assert_string_equal(cell(t, 1, 1), "do\"g");
    assert_string_equal(cell(t, 1, 2), "");
    assert_string_equal(cell(t, 2, 1), "Gürteltier");
    assert_string_equal(cell(t, 2, 2), " spaces stay ");
    static const uint32_t lines[] = {2, 4, 6};
    assert_memory_equal(t->lines, lines, sizeof(lines));
    assert_int_equal(cb__csv_column(t, "label"), 1);
    assert_int_equal(cb__csv_column(t, "nothing"), -1);

    t = read_csv(f, "a;b,c;d\n1,5;2;3\n"); /* semicolons, decimal commas */
    assert_int_equal(t->column_count, 3);
    assert_string_equal(cell(t, 0, 0), "1,5");
    t = read_csv(f, "a\tb\n1\t2\r3\t4"); /* tabs, an old Macintosh's line ends */
    assert_int_equal(t->row_count, 2);
    assert_string_equal(cell(t, 1, 1), "4");
}

static void damaged_tables(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"a,b\n1,2\n1,2,3\n", "t.csv:3:1"},
        {"a,b\n1,\"2\n3,4\n", "t.csv:2:1: error: a quote is opened here and never closed"},
        {"a,b\n1,\"2\"x\n", "t.csv:2:1: error: letters stand behind a closing quote"},
        {"a,a\n1,2\n", "`a`"},
        {"a,b\n", "has no rows"},
        {"", "is empty"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cb__csv table = {0};
        put_text(f, "t.csv", cases[i].text);
        assert_int_not_equal(cb__csv_read(f->arena, cb_path_join(f->arena, f->folder, "t.csv"), NULL, &table, f->diag),
                             CB_OK);
        expect_words(f, cases[i].words);
    }
}

static void pictures_of_a_table(void **state)
{
    struct fixture *f = *state;
    put_picture(f, "p/x.png", 1);
    put_picture(f, "p/sub/y, z.png", 2);
    put_picture(f, "p/w.png", 3);
    put_text(f, "l.csv", "image,kind,grams,who\nx.png,10,1.5,ann\n\"sub/y, z.png\",9,-2e1,\nw.png,10, 0 ,ann\n");
    struct cb_dataset *d = open_data(f, "{images: p, labels: l.csv, columns: {label: kind}, group: who}");
    assert_int_equal(d->count, 3);
    assert_string_equal(d->classes[0], "9"); /* natural order of the texts */
    assert_string_equal(d->classes[1], "10");
    assert_int_equal(d->labels[0], 1);
    assert_int_equal(d->labels[1], 0);
    assert_int_equal(value_of(f, d, 1), 2);
    assert_int_equal(d->groups[0], d->groups[2]);
    assert_int_not_equal(d->groups[0], d->groups[1]);

    d = open_data(f, "{images: p, labels: l.csv, columns: {file: image, value: grams}}");
    assert_int_equal(d->target, CB_TARGET_VALUES);
    assert_null(d->labels);
    assert_true(d->values[0] == 1.5f && d->values[1] == -20.0f && d->values[2] == 0.0f);
    d = open_data(f, "{images: p, labels: l.csv, columns: {value: [grams, kind]}}");
    assert_int_equal(d->value_count, 2);
    assert_true(d->values[2] == -20.0f && d->values[3] == 9.0f);

    struct cb_contract contract = grey_contract();
    struct cb_dataset *none = NULL;
    assert_int_not_equal(try_open(f, "{images: p, labels: l.csv, columns: {label: kin}}", &contract, &none), CB_OK);
    expect_words(f, "did you mean `kind`?");
    put_text(f, "m.csv", "file,label\nx.png,1\ngone.png,2\n");
    assert_int_equal(try_open(f, "{images: p, labels: m.csv, bad_files: fail}", &contract, &none), CB_NOT_FOUND);
    expect_words(f, "m.csv:3:1: error: `");
    assert_null(none);
    d = open_data(f, "{images: p, labels: m.csv}"); /* skip is the default */
    assert_int_equal(d->count, 1);
}

/* ---- IDX, sheets, tensors ---- */

static size_t idx_pictures(uint8_t *to, uint8_t first)
{
    static const uint8_t header[] = {0, 0, 8, 3, 0, 0, 0, 5, 0, 0, 0, 3, 0, 0, 0, 4};
    memcpy(to, header, sizeof(header));
    for (int i = 0; i < 60; i++) {
        to[sizeof(header) + i] = (uint8_t)(first + i / 12);
    }
    return sizeof(header) + 60;
}

static void put_gzip(struct fixture *f, const char *name, const void *data, size_t bytes)
{
    put_bytes(f, name, "", 0);
    gzFile file = gzopen(cb_path_join(f->arena, f->folder, name), "wb");
    assert_int_equal(gzwrite(file, data, (unsigned)bytes), (int)bytes);
    assert_int_equal(gzclose(file), Z_OK);
}

static const uint8_t idx_labels[] = {0, 0, 8, 1, 0, 0, 0, 5, 3, 0, 1, 3, 2};

static void expect_idx(struct fixture *f, struct cb_dataset *d, int first)
{
    assert_int_equal(d->count, 5);
    assert_int_equal(d->class_count, 4);
    assert_string_equal(d->classes[3], "3");
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(d->labels[i], idx_labels[8 + i]);
        assert_int_equal(value_of(f, d, i), first + (int)i);
    }
}

static void idx_plain_and_gzipped(void **state)
{
    struct fixture *f = *state;
    uint8_t data[128];
    size_t bytes = idx_pictures(data, 40);
    put_bytes(f, "p.idx3", data, bytes);
    put_bytes(f, "l.idx1", idx_labels, sizeof(idx_labels));
    put_gzip(f, "p.idx3.gz", data, bytes);
    put_gzip(f, "l.gz", idx_labels, sizeof(idx_labels));
    expect_idx(f, open_data(f, "{images: p.idx3, labels: l.idx1}"), 40);
    expect_idx(f, open_data(f, "{images: p.idx3.gz, labels: l.gz}"), 40);
    struct cb_dataset *d = open_data(f, "{images: p.idx3, labels: l.gz, classes: [zero, one, two, three]}");
    assert_string_equal(d->classes[3], "three");

    put_bytes(f, "m/train-images-idx3-ubyte", data, bytes);
    put_gzip(f, "m/train-labels-idx1-ubyte.gz", idx_labels, sizeof(idx_labels));
    put_gzip(f, "m/t10k-images-idx3-ubyte.gz", data, idx_pictures(data, 90));
    put_bytes(f, "m/t10k-labels.idx1-ubyte", idx_labels, sizeof(idx_labels));
    d = open_data(f, "{images: m}");
    assert_int_equal(d->count, 10);
    assert_int_equal(value_of(f, d, 4), 44);
    assert_int_equal(value_of(f, d, 5), 90);
    assert_int_equal(d->parts[4], CB_PART_TRAIN);
    assert_int_equal(d->parts[5], CB_PART_TEST);

    struct cb_contract contract = grey_contract();
    struct cb_dataset *none = NULL;
    put_bytes(f, "short.idx3", data, bytes - 1);
    assert_int_equal(try_open(f, "{images: short.idx3, labels: l.idx1}", &contract, &none), CB_FORMAT);
    expect_words(f, "its header promises 60 bytes, and 59 follow");
    put_gzip(f, "short.gz", data, bytes - 1);
    assert_int_equal(try_open(f, "{images: short.gz, labels: l.idx1}", &contract, &none), CB_FORMAT);
    expect_words(f, "its header promises 60 bytes, and it ends before");
    assert_int_equal(try_open(f, "{images: l.idx1, labels: l.idx1}", &contract, &none), CB_FORMAT);
    expect_words(f, "holds no pictures");
}

static void a_sheet_of_tiles(void **state)
{
    struct fixture *f = *state;
    uint8_t pixels[6 * 12]; /* 2 x 3 tiles of 3 x 4 */
    for (int y = 0; y < 6; y++) {
        for (int x = 0; x < 12; x++) {
            pixels[y * 12 + x] = (uint8_t)(y / 3 * 3 + x / 4);
        }
    }
    put_text(f, "sheet.png", "");
    must(f, cb_image_write_png(cb_path_join(f->arena, f->folder, "sheet.png"),
                               &(struct cb_image){.width = 12, .height = 6, .channels = 1, .data = pixels}, f->diag));
    struct cb_dataset *d = open_data(f, "{images: sheet.png, sheet: {tile: [3, 4], classes: 2}}"), *none = NULL;
    assert_int_equal(d->count, 6);
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(value_of(f, d, i), (int)i);
        assert_int_equal(d->labels[i], (int)i / 3);
    }
    assert_non_null(strstr(cb_dataset_name(d, 4), "sheet.png, tile 4"));
    struct cb_contract contract = grey_contract();
    assert_int_equal(try_open(f, "{images: sheet.png, sheet: {tile: [4, 4], classes: 2}}", &contract, &none), CB_MISMATCH);
    expect_words(f, "tiles of 4 x 4 (height x width) do not fill it");
    assert_int_equal(try_open(f, "{images: sheet.png, sheet: {tile: [3, 4], classes: 4}}", &contract, &none), CB_MISMATCH);
    expect_words(f, "has 6 tiles, which 4 classes cannot share equally");
}

static void put_tensors(struct fixture *f, const char *name, const char *header, const void *data, size_t bytes)
{
    char file[1024] = {0};
    size_t length = strlen(header);
    file[0] = (char)(length & 255);
    file[1] = (char)(length >> 8);
    memcpy(file + 8, header, length);
    memcpy(file + 8 + length, data, bytes);
    put_bytes(f, name, file, 8 + length + bytes);
}

static void tensors_of_a_file(void **state)
{
    struct fixture *f = *state;
    struct {
        float x[6];
        int64_t y[3];
        float v[3];
    } data = {{1, -2, 3.5f, 4, 5, 6e-3f}, {2, 0, 2}, {0.5f, -1, 7}};
    put_tensors(f, "c.safetensors", "{\"x\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[0,24]},"
                                    "\"y\":{\"dtype\":\"I64\",\"shape\":[3],\"data_offsets\":[24,48]}}", &data, 48);
    put_tensors(f, "v.safetensors", "{\"x\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[0,24]},"
                                    "\"z\":{\"dtype\":\"I64\",\"shape\":[3],\"data_offsets\":[24,48]},"
                                    "\"y\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[48,60]}}", &data, 60);
    struct cb_contract contract = {.name = "x", .modality = CB_TENSOR, .rank = 1, .shape = {2}};
    struct cb_dataset *d = NULL, *none = NULL;
    must(f, try_open(f, "{tensors: c.safetensors, shuffle: false}", &contract, &d));
    assert_int_equal(d->count, 3);
    assert_int_equal(d->class_count, 3);
    assert_false(d->shuffle);
    float row[2];
    read_sample(f, d, 2, row);
    assert_true(row[0] == 5.0f && row[1] == 6e-3f && d->labels[2] == 2 && d->labels[1] == 0);
    must(f, try_open(f, "{tensors: v.safetensors}", &contract, &d));
    assert_int_equal(d->target, CB_TARGET_VALUES);
    assert_true(d->values[1] == -1.0f);
    contract.shape[0] = 3;
    assert_int_equal(try_open(f, "{tensors: c.safetensors}", &contract, &none), CB_MISMATCH);
    expect_words(f, "has the shape [2], but the network's input `x` takes [3]");
}

/* ---- bad files ---- */

static void put_bad_ones(struct fixture *f)
{
    static const int counts[2] = {3, 3};
    put_classes(f, "pics", counts, 2);
    put_text(f, "pics/a/2.png", "this is no picture");
    put_text(f, "pics/b/3.png", "");
}

static void bad_files_are_named_and_counted(void **state)
{
    struct fixture *f = *state;
    put_bad_ones(f);
    struct cb_dataset *d = open_data(f, "{images: pics}");
    must(f, cb_dataset_prepare(d, NULL, NULL, f->diag));
    assert_int_equal(cb_dataset_bad_count(d), 2);
    assert_true(cb_dataset_is_bad(d, 1) && cb_dataset_is_bad(d, 5));
    assert_false(cb_dataset_is_bad(d, 0));
    assert_int_equal(cb_diag_count(f->diag, CB_WARNING), 2);
    assert_int_equal(cb_diag_count(f->diag, CB_ERROR), 0);
    assert_non_null(strstr(cb_diag_text(f->diag, 0), "pics/a/2.png` is no picture that can be read"));
    assert_non_null(strstr(cb_diag_text(f->diag, 1), "pics/b/3.png` is empty (0 bytes)"));
    cb_diag_clear(f->diag);

    d = open_data(f, "{images: pics, bad_files: fail}");
    assert_int_equal(cb_dataset_prepare(d, NULL, NULL, f->diag), CB_FORMAT);
    assert_int_equal(cb_diag_count(f->diag, CB_ERROR), 2);
}

/* What a set of samples is, its hash says: pixels, labels, preparation. */
static void hashes_follow_the_data(void **state)
{
    struct fixture *f = *state;
    static const int counts[2] = {3, 3};
    static const char *const other[] = {"{images: pics, resize: pad}", "{images: pics, resize: pad, size: 5}",
                                        "{images: pics, background: black}", "{images: pics, classes: [b, a]}"};
    static const uint32_t all[] = {0, 1, 2, 3, 4, 5};
    char first[65], again[65];
    put_classes(f, "pics", counts, 2);
    must(f, cb_dataset_hash(open_data(f, "{images: pics}"), all, 6, first, f->diag));
    must(f, cb_dataset_hash(open_data(f, "{images: pics, seed: 3}"), all, 6, again, f->diag));
    assert_string_equal(first, again);
    for (size_t i = 0; i < 4; i++) {
        must(f, cb_dataset_hash(open_data(f, other[i]), all, 6, again, f->diag));
        assert_string_not_equal(first, again);
    }
    must(f, cb_dataset_hash(open_data(f, "{images: pics}"), all, 5, again, f->diag));
    assert_string_not_equal(first, again);
    put_picture(f, "pics/a/1.png", 77);
    must(f, cb_dataset_hash(open_data(f, "{images: pics}"), all, 6, again, f->diag));
    assert_string_not_equal(first, again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_folder_per_class),
        TEST(classes_are_chosen_and_ordered),
        TEST(parts_by_their_usual_names),
        TEST(empty_classes_and_folders),
        TEST(tables_as_programs_write_them),
        TEST(damaged_tables),
        TEST(pictures_of_a_table),
        TEST(idx_plain_and_gzipped),
        TEST(a_sheet_of_tiles),
        TEST(tensors_of_a_file),
        TEST(bad_files_are_named_and_counted),
        TEST(hashes_follow_the_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
