/* test_torchfile.c: files of torch.save: the same values as PyTorch, and nothing else than dicts of tensors. */
#include "weights_common.h"

static void files_of_pytorch_read_to_the_same_bits(void **state)
{
    (void)state;
    static const char *const names[] = {"net_zip.pth", "net_stream.pth", "net_protocol4.pth", "types.pth",
                                        "net_stream_protocol4.pth", "checkpoint.pth", "parameters.pth"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        compare_with_expected(names[i]);
    }
}

static struct cb_tensor_file *open_data(const char *path)
{
    struct cb_tensor_file *file = NULL;
    assert_int_equal(cb_tensors_open(path, &file, NULL, NULL), CB_OK);
    return file;
}

static void the_form_and_the_wrapper_are_said(void **state)
{
    (void)state;
    struct cb_tensor_file *zip = open_data(DATA "net_zip.pth");
    assert_string_equal(cb_tensors_format(zip), "PyTorch (zip)");
    assert_null(cb_tensors_wrapper(zip));
    cb_tensors_close(zip);
    struct cb_tensor_file *stream = open_data(DATA "net_stream.pth");
    assert_string_equal(cb_tensors_format(stream), "PyTorch (stream)");
    cb_tensors_close(stream);
    struct cb_tensor_file *checkpoint = open_data(DATA "checkpoint.pth");
    assert_string_equal(cb_tensors_wrapper(checkpoint), "state_dict");
    assert_null(cb_tensors_find(checkpoint, "epoch"));
    cb_tensors_close(checkpoint);
}

static void integers_are_read_as_they_are(void **state)
{
    (void)state;
    struct cb_tensor_file *file = open_data(DATA "types.pth");
    struct cb_diag *diag = cb_diag_create();
    int64_t values[5];
    assert_int_equal(cb_tensors_read_i64(file, cb_tensors_find(file, "i64"), values, diag), CB_OK);
    static const int64_t expected[5] = {0, -1, (INT64_C(1) << 53) + 1, INT64_MIN, INT64_MAX};
    assert_memory_equal(values, expected, sizeof(expected));
    assert_int_equal(cb_tensors_read_i64(file, cb_tensors_find(file, "bool"), values, diag), CB_OK);
    assert_int_equal(values[0] * 100 + values[1] * 10 + values[2], 101);
    assert_int_equal(cb_tensors_read_i64(file, cb_tensors_find(file, "f32"), values, diag), CB_MISMATCH);
    assert_says(diag, "tensor `f32` in `" DATA "types.pth` has type F32 where integers are wanted");
    cb_diag_destroy(diag);
    cb_tensors_close(file);
}

/* fc.weight is the transpose of tied.weight in one storage: reading either through the other's view must agree. */
static void views_are_read_in_any_order(void **state)
{
    (void)state;
    static const char *const files[] = {DATA "net_zip.pth", DATA "net_stream.pth"};
    for (size_t f = 0; f < 2; f++) {
        struct cb_tensor_file *file = open_data(files[f]);
        struct cb_tensor_entry fc = *cb_tensors_find(file, "fc.weight");
        const struct cb_tensor_entry *tied = cb_tensors_find(file, "tied.weight");
        assert_int_equal(fc.storage, tied->storage);
        float transposed[24], straight[24];
        int64_t swap = fc.dims[0];
        fc.dims[0] = fc.dims[1];
        fc.dims[1] = swap;
        swap = fc.strides[0];
        fc.strides[0] = fc.strides[1];
        fc.strides[1] = swap;
        assert_int_equal(cb_tensors_read_f32(file, &fc, transposed, NULL), CB_OK);
        assert_int_equal(cb_tensors_read_f32(file, tied, straight, NULL), CB_OK);
        assert_memory_equal(transposed, straight, sizeof(straight));

        struct cb_tensor_entry rows;
        float two[12];
        assert_int_equal(cb_tensors_rows(tied, 1, 2, &rows, NULL), CB_OK);
        assert_int_equal(cb_tensors_read_f32(file, &rows, two, NULL), CB_OK);
        assert_memory_equal(two, straight + 6, sizeof(two));
        assert_int_equal(cb_tensors_rows(tied, 3, 2, &rows, NULL), CB_INVALID);
        cb_tensors_close(file);
    }
}

static void a_view_outside_its_storage_is_refused(void **state)
{
    (void)state;
    struct cb_tensor_file *file = open_data(DATA "net_stream.pth");
    struct cb_diag *diag = cb_diag_create();
    struct cb_tensor_entry entry = *cb_tensors_find(file, "conv1.bias");
    float values[4];
    entry.offset = 1;
    assert_int_equal(cb_tensors_read_f32(file, &entry, values, diag), CB_INVALID);
    assert_says(diag, "tensor `conv1.bias` [4] reaches outside its storage");
    entry.offset = 0;
    entry.strides[0] = INT64_MAX / 2;
    assert_int_equal(cb_tensors_read_f32(file, &entry, values, diag), CB_INVALID);
    cb_diag_destroy(diag);
    cb_tensors_close(file);
}

static void expect_refusal(const char *path, enum cb_status status, const char *sentence)
{
    struct cb_diag *diag = cb_diag_create();
    struct cb_tensor_file *file = NULL;
    enum cb_status got = cb_tensors_open(path, &file, NULL, diag);
    if (got != status) {
        fail_msg("%s: status %s, not %s; %s", path, cb_status_name(got), cb_status_name(status), first_message(diag));
    }
    assert_null(file);
    assert_says(diag, sentence);
    cb_diag_destroy(diag);
}

static void other_things_that_torch_saves_are_refused(void **state)
{
    (void)state;
    expect_refusal(DATA "module.pth", CB_FORMAT,
                   "pickle byte 2: the file wants `torch.nn.modules.linear.Linear`; nothing in it is executed");
    expect_refusal(DATA "foreign_global.pth", CB_FORMAT, "the file wants `__builtin__.complex`");
    expect_refusal(DATA "list.pth", CB_FORMAT, "does not hold a dict of tensors but a list");
    expect_refusal(DATA "no_tensors.pth", CB_FORMAT,
                   "holds no tensors at its top or under `state_dict` or `model`; its keys are `epoch`, `note`");
    expect_refusal(DATA "script.pt", CB_UNSUPPORTED, "is a TorchScript program, not a state dict");
}

/* What else people save: every tensor of it as PyTorch reads it. */
static void what_people_save_reads_to_the_same_bits(void **state)
{
    (void)state;
    static const struct {
        const char *file, *wrapper, *beside;
        uint32_t count;
    } files[] = {
        {"views.pth", NULL, NULL, 9},
        {"views_stream.pth", NULL, NULL, 9},
        {"settings.pth", "model", NULL, 2},
        {"settings_protocol4.pth", "model", NULL, 2},
        {"deep.pth", "model.state_dict", NULL, 2},
        {"ema.pth", "params", "`params_ema`", 2},
        {"only.pth", "encoder", NULL, 2},
        {"several.pth", NULL, NULL, 4},
        {"parallel.pth", "state_dict", NULL, 2},
        {"metadata.pth", NULL, NULL, 2},
        {"newer.pth", NULL, NULL, 4},
        {"newer_stream.pth", NULL, NULL, 4},
        {"kinds.pth", NULL, NULL, 5},
        {"numbers.pth", NULL, NULL, 2},
        {"aligned.pth", NULL, NULL, 2},
    };
    struct cb_tensor_file *reference = open_data(DATA "torch/reference.safetensors");
    for (size_t f = 0; f < sizeof(files) / sizeof(files[0]); f++) {
        char path[4096], name[256];
        snprintf(path, sizeof(path), DATA "torch/%s", files[f].file);
        struct cb_tensor_file *file = open_data(path);
        assert_int_equal(cb_tensors_count(file), files[f].count);
        const char *wrapper = cb_tensors_wrapper(file), *beside = cb_tensors_beside(file);
        assert_string_equal(wrapper ? wrapper : "none", files[f].wrapper ? files[f].wrapper : "none");
        assert_string_equal(beside ? beside : "none", files[f].beside ? files[f].beside : "none");
        for (uint32_t t = 0; t < files[f].count; t++) {
            const struct cb_tensor_entry *entry = cb_tensors_at(file, t);
            snprintf(name, sizeof(name), "%s/%s", files[f].file, entry->name);
            const struct cb_tensor_entry *wanted = cb_tensors_find(reference, name);
            float values[64] = {0}, expected[64] = {0};
            if (!wanted || entry->count != wanted->count || entry->count > 64 || entry->rank != wanted->rank ||
                memcmp(entry->dims, wanted->dims, entry->rank * sizeof(int64_t)) != 0) {
                fail_msg("%s is not as it should be", name);
            }
            assert_int_equal(cb_tensors_read_f32(file, entry, values, NULL), CB_OK);
            assert_int_equal(cb_tensors_read_f32(reference, wanted, expected, NULL), CB_OK);
            if (memcmp(values, expected, sizeof(values)) != 0) {
                fail_msg("%s differs", name);
            }
        }
        cb_tensors_close(file);
    }
    cb_tensors_close(reference);
}

static void what_cannot_be_weights_is_explained(void **state)
{
    (void)state;
#define NO DATA "torch/no_"
    expect_refusal(NO "complex.pth", CB_FORMAT, "`torch.ComplexFloatStorage`: complex numbers, which are not read");
    expect_refusal(NO "complex32.pth", CB_FORMAT, "a tensor has the type `torch.complex32`, which is not read");
    expect_refusal(NO "quantised.pth", CB_FORMAT, "a quantised tensor, which is not read; save the model before it is");
    expect_refusal(NO "sparse.pth", CB_FORMAT, "a sparse tensor, which is not read; save t.to_dense()");
    expect_refusal(NO "meta.pth", CB_FORMAT, "a tensor on the `meta` device, which has a shape but no values");
    expect_refusal(NO "negated.pth", CB_FORMAT, "a negated or conjugated view, which is not read");
    expect_refusal(NO "fnuz.pth", CB_FORMAT, "a tensor has the type `torch.float8_e4m3fnuz`, which is not read");
    expect_refusal(NO "tensor.pth", CB_FORMAT, "does not hold a dict of tensors but a single tensor (save one with");
    expect_refusal(NO "numpy.pth", CB_FORMAT, "its keys are `w`; among its values is a `numpy._core.multiarray`");
    expect_refusal(NO "model.pth", CB_FORMAT, "the file wants `torch.nn.modules.linear.Linear`; nothing in it is executed,"
                   " and only dicts of tensors are read (save one with torch.save(model.state_dict(), ...))");
    expect_refusal(NO "huge.pth", CB_FORMAT, "tensors that repeat their storage have over 67108864 elements");
#undef NO
}

/* ---- hostile streams, built by hand ----------------------------------------------------------------------------- */

#define HEAD                                                                                       \
    "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19." /* the magic number */                             \
    "\x80\x02M\xe9\x03."                                        /* 1001 */                         \
    "\x80\x02}X\x0d\0\0\0little_endian\x88s."                   /* {little_endian: True} */
#define STORAGE(count) "(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0kX\x03\0\0\0cpu" count "NtQ"
#define VIEW(offset, count)                                                                        \
    "(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0kX\x03\0\0\0cpuK\x04(X\x01\0\0\0v" offset count "ttQ"
#define TENSOR(storage, rest) "ctorch._utils\n_rebuild_tensor_v2\n(" storage rest "\x89NtR"

/* {"w": one float of storage "k"}, and the list of storages with 1.0f */
#define ONE_TENSOR "}X\x01\0\0\0w" TENSOR(STORAGE("K\x01"), "K\0K\x01\x85K\x01\x85") "s."
#define ITS_DATA "]X\x01\0\0\0ka." "\x01\0\0\0\0\0\0\0\0\0\x80\x3f"

static const struct {
    const char *what;
    const char *object; /* of the fourth pickle, and what follows */
    size_t bytes;
    enum cb_status status;
    const char *sentence;
} streams[] = {
#define S(text) text, sizeof(text) - 1
    {"a right one", S(ONE_TENSOR ITS_DATA), CB_OK, ""},
    {"a view of a storage", S("}X\x01\0\0\0w" TENSOR(VIEW("K\x02", "K\x02"), "K\0K\x01\x85K\x01\x85") "s."
      "]X\x01\0\0\0ka." "\x04\0\0\0\0\0\0\0" "\0\0\0\0" "\0\0\0\0" "\0\0\x80\x3f" "\0\0\0\0"), CB_OK, ""},
    {"Python 2's OrderedDict", S("ccollections\nOrderedDict\n](](X\x01\0\0\0w" TENSOR(STORAGE("K\x01"),
      "K\0K\x01\x85K\x01\x85") "ee\x85R." ITS_DATA), CB_OK, ""},
    {"a view outside", S("}X\x01\0\0\0w" TENSOR(VIEW("K\x03", "K\x02"), "K\0K\x01\x85K\x01\x85") "s."), CB_FORMAT,
     "the view of storage `k` does not lie in it"},
    {"outside a view", S("}X\x01\0\0\0w" TENSOR(VIEW("K\x01", "K\x02"), "K\0K\x03\x85K\x01\x85") "s."), CB_FORMAT,
     "a tensor [3] at 0 reaches outside its storage of 2 elements"},
    {"system", S("cos\nsystem\n(X\x04\0\0\0truetR."), CB_FORMAT, "pickle byte 45: the file wants `os.system`"},
    {"system by way of a harmless class", S("cargparse\nNamespace\n)\x81}X\x01\0\0\0xcos\nsystem\nX\x04\0\0\0true\x85Rsb."),
     CB_FORMAT, "the file wants `os.system`"},
    {"a neighbour of a harmless class", S("cargparse\nArgumentParser\n)\x81."), CB_FORMAT,
     "the file wants `argparse.ArgumentParser`"},
    {"builtins", S("c__builtin__\neval\nX\x01\0\0\0x\x85R."), CB_FORMAT, "the file wants `__builtin__.eval`"},
    {"harmless things", S("}(X\x01\0\0\0acargparse\nNamespace\n)\x81}X\x01\0\0\0xK\x01sb"
     "X\x01\0\0\0w" TENSOR(STORAGE("K\x01"), "K\0K\x01\x85K\x01\x85") "u." ITS_DATA), CB_OK, ""},
    {"a circle of dicts", S("}q\0X\x01\0\0\0ah\0sX\x01\0\0\0bh\0s." "]."), CB_FORMAT, "holds no tensors at its top"},
    {"opcode", S("i"), CB_FORMAT, "pickle byte 45: opcode INST has no place in a dict of tensors"},
    {"newobj", S("ccollections\nOrderedDict\n)\x81."), CB_FORMAT, "opcode NEWOBJ has no place"},
    {"no opcode", S("\xff"), CB_FORMAT, "pickle byte 45: 0xff is no opcode"},
    {"protocol", S("\x80\x09."), CB_FORMAT, "protocol 9 is not known"},
    {"underflow", S("s."), CB_FORMAT, "the stack has too few values"},
    {"empty", S("."), CB_FORMAT, "the stack has too few values"},
    {"below a mark", S("}(s."), CB_FORMAT, "the stack has too few values"},
    {"no mark", S("}u."), CB_FORMAT, "there is no mark on the stack"},
    {"odd items", S("}(K\x01u."), CB_FORMAT, "values are put into something that is not a dict"},
    {"append to dict", S("}K\x01" "a."), CB_FORMAT, "values are put into something that is not a list"},
    {"memo unset", S("h\x07."), CB_FORMAT, "memo number 7 was never set"},
    {"memo jump", S("}r\xff\xff\xff\xff."), CB_FORMAT, "memo number 4294967295 cannot be right"},
    {"long text", S("X\xff\xff\xff\xff" "a"), CB_FORMAT, "the file ends within the pickle"},
    {"huge text", S("\x8d\xff\xff\xff\xff\xff\xff\xff\xff" "a"), CB_FORMAT, "the file ends within the pickle"},
    {"call of a dict", S("})R."), CB_FORMAT, "REDUCE calls something that is not a function with a tuple"},
    {"call of a storage class", S("ctorch\nFloatStorage\n)R."), CB_FORMAT, "`FloatStorage` is not a function"},
    {"build of a list", S("]}b."), CB_FORMAT, "BUILD is read for an OrderedDict only"},
    {"module", S("(X\x06\0\0\0moduleNNNtQ."), CB_FORMAT, "the file holds a whole Python module"},
    {"other id", S("(X\x05\0\0\0othertQ."), CB_FORMAT, "a persistent id is not that of a storage"},
    {"id no tuple", S("K\x01Q."), CB_FORMAT, "a persistent id is not a tuple that begins with a text"},
    {"negative storage", S(STORAGE("J\xff\xff\xff\xff") "."), CB_FORMAT, "a storage is not named by type, key"},
    {"overflowing storage", S(STORAGE("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f") "."), CB_FORMAT,
     "the size of storage `k` overflows"},
    {"two sizes", S("(" STORAGE("K\x01") STORAGE("K\x02") "t."), CB_FORMAT, "storage `k` has two types or sizes"},
    {"reaches outside", S("}X\x01\0\0\0w" TENSOR(STORAGE("K\x04"), "K\x02K\x03\x85K\x01\x85") "s."), CB_FORMAT,
     "a tensor [3] at 2 reaches outside its storage of 4 elements"},
    {"negative stride", S("}X\x01\0\0\0w" TENSOR(STORAGE("K\x04"), "K\x03K\x03\x85J\xff\xff\xff\xff\x85") "s."),
     CB_FORMAT, "size and stride are not two tuples of up to 8 counts"},
    {"stride overflow", S("}X\x01\0\0\0w" TENSOR(STORAGE("K\x04"), "K\0K\x03K\x03\x86\x8a\x08\0\0\0\0\0\0\0\x60"
     "\x8a\x08\0\0\0\0\0\0\0\x60\x86") "s."), CB_FORMAT, "reaches outside its storage of 4 elements"},
    {"dims overflow", S("}X\x01\0\0\0w" TENSOR(STORAGE("K\x04"), "K\0\x8a\x05\0\0\0\0\x01\x8a\x05\0\0\0\0\x01\x86"
     "K\0K\0\x86") "s."), CB_FORMAT, "size and stride are not two tuples"},
    {"rank 9", S("}X\x01\0\0\0w" TENSOR(STORAGE("K\x01"), "K\0(K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01t"
     "(K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01t") "s."), CB_FORMAT, "tuples of up to 8 counts"},
    {"no data", S(ONE_TENSOR "]."), CB_FORMAT,
     "has no data for storage `k`"},
    {"data twice", S(ONE_TENSOR "](X\x01\0\0\0kX\x01\0\0\0ke."
     "\x01\0\0\0\0\0\0\0\0\0\x80\x3f"), CB_FORMAT, "storage `k` is in the list twice"},
    {"unknown key", S("}." "](X\x01\0\0\0ze."), CB_FORMAT, "storage `z` is in the list but no tensor uses it"},
    {"wrong count", S(ONE_TENSOR "]X\x01\0\0\0ka."
     "\x02\0\0\0\0\0\0\0\0\0\x80\x3f"), CB_FORMAT, "has 2 elements at byte"},
    {"a name with a zero", S("}X\x03\0\0\0w\0w" TENSOR(STORAGE("K\x01"), "K\0K\x01\x85K\x01\x85") "s." ITS_DATA),
     CB_FORMAT, "a tensor has no text for its name"},
    {"one name twice", S("}(X\x01\0\0\0w" TENSOR(STORAGE("K\x01"), "K\0K\x01\x85K\x01\x85") "X\x01\0\0\0w"
     TENSOR(STORAGE("K\x01"), "K\0K\x01\x85K\x01\x85") "u." ITS_DATA), CB_FORMAT,
     "has two tensors named `w`"},
#undef S
};

static void hostile_streams_are_refused_in_words(void **state)
{
    (void)state;
    char *folder = make_test_folder();
    char path[4096];
    snprintf(path, sizeof(path), "%s/hostile.pth", folder);
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        unsigned char bytes[1024];
        size_t head = sizeof(HEAD) - 1;
        assert_int_equal(head, 45);
        memcpy(bytes, HEAD, head);
        memcpy(bytes + head, streams[i].object, streams[i].bytes);
        write_file(path, bytes, head + streams[i].bytes);
        if (streams[i].status == CB_OK) {
            struct cb_tensor_file *file = open_data(path);
            float value = 0;
            assert_int_equal(cb_tensors_read_f32(file, cb_tensors_at(file, 0), &value, NULL), CB_OK);
            assert_true(value == 1.0f);
            cb_tensors_close(file);
        } else {
            expect_refusal(path, streams[i].status, streams[i].sentence);
        }
    }
    unlink(path);
    rmdir(folder);
    free(folder);
}

/* A short pickle that would build without end: one long list of pairs, made into an OrderedDict again and again. */
static void a_pickle_cannot_grow_beyond_its_bounds(void **state)
{
    (void)state;
    enum { PAIRS = 8000, CALLS = 4000 };
    static const char pair[] = "NN\x86";
    static const char call[] = "h\x01h\x00\x85R0";
    char *folder = make_test_folder();
    char path[4096];
    snprintf(path, sizeof(path), "%s/bomb.pth", folder);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fwrite(HEAD, 1, sizeof(HEAD) - 1, f);
    static const char list_begins[] = "]q\x00(";
    fwrite(list_begins, 1, sizeof(list_begins) - 1, f);
    for (int i = 0; i < PAIRS; i++) {
        fwrite(pair, 1, sizeof(pair) - 1, f);
    }
    static const char global[] = "eccollections\nOrderedDict\nq\x01";
    fwrite(global, 1, sizeof(global) - 1, f);
    for (int i = 0; i < CALLS; i++) {
        fwrite(call, 1, sizeof(call) - 1, f);
    }
    fputs("}.", f);
    assert_int_equal(fclose(f), 0);
    expect_refusal(path, CB_FORMAT, "there are over 16000000 items");
    unlink(path);
    rmdir(folder);
    free(folder);
}

/* A file cut anywhere is refused, unless what is cut off is not needed (nothing here). */
static void cut_files_are_refused(void **state)
{
    (void)state;
    char *folder = make_test_folder();
    char path[4096];
    snprintf(path, sizeof(path), "%s/cut.pth", folder);
    static const char *const names[] = {DATA "net_stream.pth", DATA "net_zip.pth"};
    for (size_t n = 0; n < 2; n++) {
        size_t bytes;
        unsigned char *data = read_whole(names[n], &bytes);
        for (size_t cut = 0; cut < bytes; cut += n == 0 ? 1 : 7) {
            struct cb_tensor_file *file = NULL;
            write_file(path, data, cut);
            if (cb_tensors_open(path, &file, NULL, NULL) == CB_OK) {
                cb_tensors_close(file);
                fail_msg("%s cut to %zu bytes was accepted", names[n], cut);
            }
        }
        free(data);
    }
    unlink(path);
    rmdir(folder);
    free(folder);
}

/* One changed byte never crashes; a changed value in a zip is found by its checksum. */
static void changed_bytes_do_no_harm(void **state)
{
    (void)state;
    char *folder = make_test_folder();
    char path[4096];
    snprintf(path, sizeof(path), "%s/changed.pth", folder);
    static const char *const names[] = {DATA "net_stream.pth", DATA "checkpoint.pth"};
    unsigned refused = 0;
    for (size_t n = 0; n < 2; n++) {
        size_t bytes;
        unsigned char *data = read_whole(names[n], &bytes);
        for (size_t i = 0; i < bytes; i++) {
            struct cb_tensor_file *file = NULL;
            unsigned char old = data[i];
            data[i] ^= (unsigned char)(1u << (i % 8)) | 0x40;
            write_file(path, data, bytes);
            data[i] = old;
            if (cb_tensors_open(path, &file, NULL, NULL) != CB_OK) {
                refused++;
                continue;
            }
            for (uint32_t t = 0; t < cb_tensors_count(file); t++) {
                const struct cb_tensor_entry *entry = cb_tensors_at(file, t);
                if (entry->count < 100000) {
                    float *values = malloc((entry->count + 1) * sizeof(float));
                    refused += cb_tensors_read_f32(file, entry, values, NULL) != CB_OK;
                    free(values);
                }
            }
            cb_tensors_close(file);
        }
        free(data);
    }
    assert_true(refused > 1000);
    unlink(path);
    rmdir(folder);
    free(folder);
}

static void what_people_have_instead_of_weights_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *content, *sentence;
    } strangers[] = {
        {"", "is empty"},
        {"<!DOCTYPE html>\n<html>", "is a web page, not weights: the download went wrong"},
        {"version https://git-lfs.github.com/spec/v1\noid sha256:0", "is a Git LFS pointer, not the file itself"},
        {"GGUF\x03", "is cut short or lies: it ends within its header"},
        {"\x80\x04K\x01.", "is a pickle, but not one that torch.save wrote"},
        {"PK\x03\x04 and then nothing", "is a damaged zip archive"},
        {"hello", "is not a weights file that Cambium reads"},
    };
    char *folder = make_test_folder();
    char path[4096];
    snprintf(path, sizeof(path), "%s/stranger.bin", folder);
    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
        write_file(path, strangers[i].content, strlen(strangers[i].content));
        expect_refusal(path, CB_FORMAT, strangers[i].sentence);
    }
    unlink(path);
    struct cb_tensor_file *file = NULL;
    assert_int_not_equal(cb_tensors_open(path, &file, NULL, NULL), CB_OK);
    rmdir(folder);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_of_pytorch_read_to_the_same_bits),
        cmocka_unit_test(the_form_and_the_wrapper_are_said),
        cmocka_unit_test(integers_are_read_as_they_are),
        cmocka_unit_test(views_are_read_in_any_order),
        cmocka_unit_test(a_view_outside_its_storage_is_refused),
        cmocka_unit_test(other_things_that_torch_saves_are_refused),
        cmocka_unit_test(what_people_save_reads_to_the_same_bits),
        cmocka_unit_test(what_cannot_be_weights_is_explained),
        cmocka_unit_test(hostile_streams_are_refused_in_words),
        cmocka_unit_test(a_pickle_cannot_grow_beyond_its_bounds),
        cmocka_unit_test(cut_files_are_refused),
        cmocka_unit_test(changed_bytes_do_no_harm),
        cmocka_unit_test(what_people_have_instead_of_weights_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
