/* bench.c: `cambium bench [NAME...]`: how fast this device is, and how near its own bounds each kernel and network comes. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "cli/commands.h"
#include "train/model.h"
#include "train/timing.h"

static const struct cb_flag flags[] = {
    {"--cases", "FILE", "instead of configs/bench/standard.yaml"},
    {"--seconds", "S", "how long each is repeated (default 0.5; networks four times as long)"},
    {"--work", "WHAT", "only `forward`, `gradients` or `step`"},
    {"--variants", NULL, "say at the end of each line which variants ran, and in how many steps"},
    {"--tune", NULL, "time nothing: measure the variants of every layer and keep which are fastest (docs/variants.md)"},
    {"--compare", "FILE", "beside an earlier run's --json lines: how many times as fast"},
    {NULL, NULL, NULL},
};

static const char *const work_names[] = {"forward", "gradients", "step"};

struct bench {
    struct cb_cli *cli;
    struct cb_device *device;
    struct cb_device_bounds bounds;
    struct cb_registry *registry;
    const char *only; /* one of work_names; NULL: all */
    struct cb_value *earlier; /* list of lines; NULL: nothing to compare with */
    double seconds;
    bool shows_variants, tunes;
    struct cb_tuning *tuning; /* the table of measured variants; NULL: none */
    size_t seen;              /* classes of it that were printed */
    const char *heading;      /* of the table that is being printed */
};

/* What is measured: a row of the table. */
struct row {
    const char *family, *name;
    enum cb_timing_work work;
    int64_t batch;
    struct cb_network_work amount;
    struct cb_timing timing;
};

/* ---- showing --------------------------------------------------------------------------------------------------------- */

/* The shortest time that the bounds allow: as if Winograd and caches did not exist. */
static double bound_of(const struct bench *b, const struct row *r)
{
    const bool is_network = strcmp(r->family, "network") == 0;
    const double arithmetic = r->amount.operations / b->bounds.operations, memory = r->amount.bytes / b->bounds.bytes;
    return is_network || arithmetic > memory ? arithmetic : memory;
}

/* The median of the same row in the earlier run; 0 when it has none. */
static double earlier_median(const struct bench *b, const struct row *r)
{
    for (size_t i = 0; b->earlier != NULL && i < b->earlier->as.list.count; i++) {
        const struct cb_value *line = b->earlier->as.list.items[i], *median = cb_map_get(line, "median");
        const struct cb_value *family = cb_map_get(line, "family"), *name = cb_map_get(line, "name");
        const struct cb_value *work = cb_map_get(line, "work");
        double value;
        if (family != NULL && name != NULL && work != NULL && strcmp(family->text, r->family) == 0 &&
            strcmp(name->text, r->name) == 0 && strcmp(work->text, work_names[r->work]) == 0 && median != NULL &&
            cb_value_number(median, &value)) {
            return value;
        }
    }
    return 0.0;
}

static void put_real(struct cb_arena *arena, struct cb_value *map, const char *key, double value)
{
    (void)cb_map_set(arena, map, key, cb_value_real(arena, value, NULL));
}

static void print_json(struct bench *b, const struct row *r)
{
    struct cb_arena *arena = b->cli->arena;
    struct cb_value *map = cb_value_map(arena, NULL);
    (void)cb_map_set(arena, map, "family", cb_value_text(arena, r->family, NULL));
    (void)cb_map_set(arena, map, "name", cb_value_text(arena, r->name, NULL));
    (void)cb_map_set(arena, map, "work", cb_value_text(arena, work_names[r->work], NULL));
    (void)cb_map_set(arena, map, "batch", cb_value_int(arena, r->batch, NULL));
    put_real(arena, map, "median", r->timing.median);
    put_real(arena, map, "least", r->timing.least);
    put_real(arena, map, "most", r->timing.most);
    (void)cb_map_set(arena, map, "runs", cb_value_int(arena, r->timing.runs, NULL));
    put_real(arena, map, "samples_per_second", (double)r->batch / r->timing.median);
    put_real(arena, map, "operations", r->amount.operations);
    put_real(arena, map, "bytes", r->amount.bytes);
    (void)cb_map_set(arena, map, "variants",
                     cb_value_text(arena, r->timing.variants != NULL ? r->timing.variants : "", NULL));
    put_real(arena, map, "of_bound", bound_of(b, r) / r->timing.median);
    (void)cb_map_set(arena, map, "device_bytes", cb_value_int(arena, (int64_t)r->timing.device_bytes, NULL));
    cb_cli_print_json(map);
}

/* A class of measured variants: `winograd 312.4 us, direct 701.1 us, plain 12001.0 us`, the fastest first. */
static void print_class(const struct cb_value *entry)
{
    const struct cb_value *times = cb_map_get(entry, "microseconds"), *wrong = cb_map_get(entry, "wrong");
    bool is_printed[64] = {false};
    const size_t count = times->as.map.count < 64 ? times->as.map.count : 64;
    printf("%s\n   ", cb_map_get(entry, "class")->text);
    for (size_t i = 0; i < count; i++) {
        size_t next = 0;
        double least = INFINITY, value;
        for (size_t k = 0; k < count; k++) {
            if (!is_printed[k] && cb_value_number(times->as.map.entries[k].value, &value) && value <= least) {
                next = k;
                least = value;
            }
        }
        const char *name = times->as.map.entries[next].key;
        is_printed[next] = true;
        printf("%s %s%s %.1f us", i > 0 ? "," : "", name, cb_map_get(wrong, name) != NULL ? " (wrong)" : "", least);
    }
    printf("\n");
}

/* The classes that were measured or found since the last row. */
static void print_classes(struct bench *b)
{
    const struct cb_value *seen = cb_tuning_seen(b->tuning);
    for (; seen != NULL && b->seen < seen->as.list.count; b->seen++) {
        if (b->cli->json) {
            cb_cli_print_json(seen->as.list.items[b->seen]);
        } else {
            print_class(seen->as.list.items[b->seen]);
        }
    }
    fflush(stdout);
}

static void print_row(struct bench *b, const struct row *r)
{
    char rate[48] = "";
    const double earlier = earlier_median(b, r);
    if (b->tunes) {
        print_classes(b);
        return;
    }
    if (b->cli->json) {
        print_json(b, r);
        return;
    }
    if (b->heading == NULL || strcmp(b->heading, r->family) != 0) {
        printf("\n%-36s %-10s %10s %10s  %-14s %s%s\n", r->family, "", "median", "least", "rate", "of the bound",
               b->earlier != NULL ? "  times as fast" : "");
        b->heading = r->family;
    }
    if (strcmp(r->family, "network") == 0) {
        snprintf(rate, sizeof(rate), "%.1f samples/s", (double)r->batch / r->timing.median);
    } else if (r->amount.operations > 0) {
        snprintf(rate, sizeof(rate), "%.1f GFLOP/s", r->amount.operations / r->timing.median * 1e-9);
    } else {
        snprintf(rate, sizeof(rate), "%.1f GB/s", r->amount.bytes / r->timing.median * 1e-9);
    }
    printf("%-36s %-10s %7.3f ms %7.3f ms  %-16s %4.0f%%", r->name, work_names[r->work], r->timing.median * 1e3,
           r->timing.least * 1e3, rate, 100.0 * bound_of(b, r) / r->timing.median);
    if (earlier > 0) {
        printf("  %14.2f", earlier / r->timing.median);
    }
    printf("%s%s\n", b->shows_variants ? "  " : "", b->shows_variants && r->timing.variants != NULL ? r->timing.variants : "");
    fflush(stdout);
}

static void print_bounds(struct bench *b)
{
    const struct cb_device_info *info = cb_device_get_info(b->device);
    if (!b->cli->json) {
        printf("%s, %s %s: %.0f GFLOP/s, %.1f GB/s measured\n", info->name, info->platform, info->driver,
               b->bounds.operations * 1e-9, b->bounds.bytes * 1e-9);
        return;
    }
    struct cb_arena *arena = b->cli->arena;
    struct cb_value *map = cb_value_map(arena, NULL);
    (void)cb_map_set(arena, map, "device", cb_value_text(arena, info->name, NULL));
    (void)cb_map_set(arena, map, "platform", cb_value_text(arena, info->platform, NULL));
    (void)cb_map_set(arena, map, "driver", cb_value_text(arena, info->driver, NULL));
    (void)cb_map_set(arena, map, "version", cb_value_text(arena, CB_VERSION, NULL));
    put_real(arena, map, "operations_per_second", b->bounds.operations);
    put_real(arena, map, "bytes_per_second", b->bounds.bytes);
    cb_cli_print_json(map);
}

/* ---- kernels --------------------------------------------------------------------------------------------------------- */

static bool is_wanted(const struct bench *b, const char *family, const char *name)
{
    for (size_t i = 0; i < b->cli->argument_count; i++) {
        if (strcmp(b->cli->arguments[i], family) == 0 || strcmp(b->cli->arguments[i], name) == 0) {
            return true;
        }
    }
    return b->cli->argument_count == 0;
}

static bool does(const struct bench *b, enum cb_timing_work work)
{
    return b->only == NULL || strcmp(b->only, work_names[work]) == 0;
}

static enum cb_status read_case(struct bench *b, const struct cb_value *value, struct row *row, struct cb_network **out_net,
                                uint32_t *out_wire)
{
    static const char *const keys[] = {"name", "batch", "input", "operations", "layers"};
    struct cb_diag *diag = b->cli->diag;
    if (!cb_expect_kind(value, CB_KIND_MAP, "a case", diag) || !cb_expect_keys(value, keys, 5, "in a case", diag)) {
        return CB_INVALID;
    }
    const struct cb_value *name = cb_map_get(value, "name"), *batch = cb_map_get(value, "batch");
    const struct cb_value *input = cb_map_get(value, "input"), *layers = cb_map_get(value, "layers");
    int64_t dims[CB_MAX_RANK] = {1};
    bool is_whole = name != NULL && name->kind == CB_KIND_TEXT && batch != NULL && batch->kind == CB_KIND_INT &&
                    batch->as.integer > 0 && input != NULL && input->kind == CB_KIND_LIST &&
                    input->as.list.count < CB_MAX_RANK && layers != NULL;
    for (size_t i = 0; is_whole && i < input->as.list.count; i++) {
        is_whole = input->as.list.items[i]->kind == CB_KIND_INT && input->as.list.items[i]->as.integer > 0;
        dims[i + 1] = is_whole ? input->as.list.items[i]->as.integer : 1;
    }
    if (!is_whole) {
        return cb_fail(diag, CB_INVALID, &value->at, "a case has `name`, `batch`, `input` (a list of sizes without N) and "
                                                     "`layers`");
    }
    uint32_t wire;
    row->name = name->text;
    row->batch = batch->as.integer;
    *out_net = cb_network_create(b->registry, "bench");
    if (*out_net == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    CB_TRY(cb_network_add_input(*out_net, "input", CB_F32, (uint32_t)input->as.list.count + 1, dims, NULL, &wire, diag));
    return cb_network_read_layers(*out_net, layers, "", wire, true, out_wire, diag);
}

static enum cb_status time_case(struct bench *b, const char *family, const struct cb_value *value, enum cb_timing_work work)
{
    struct row row = {.family = family, .work = work};
    struct cb_network *net = NULL;
    uint32_t wire;
    double operations;
    if (!does(b, work)) {
        return CB_OK;
    }
    enum cb_status status = read_case(b, value, &row, &net, &wire);
    if (status == CB_OK && is_wanted(b, family, row.name)) {
        row.amount = cb_network_work(net, wire, work, row.batch);
        const struct cb_value *given = cb_map_get(value, "operations");
        if (given != NULL && cb_value_number(given, &operations)) { /* backward: two products for each of forward */
            row.amount.operations = operations * (double)row.batch * (work == CB_TIMING_INFERENCE ? 1.0 : 3.0);
        }
        status = cb_network_time(net, b->device, wire, work, row.batch, b->tuning, b->tunes ? -1.0 : b->seconds, &row.timing,
                                 b->cli->diag);
        if (status == CB_OK) {
            print_row(b, &row);
        }
    }
    cb_network_destroy(net);
    return status;
}

static enum cb_status time_kernels(struct bench *b, const struct cb_value *families)
{
    if (families != NULL && !cb_expect_kind(families, CB_KIND_MAP, "`kernels`", b->cli->diag)) {
        return CB_INVALID;
    }
    for (size_t f = 0; families != NULL && f < families->as.map.count; f++) {
        const struct cb_entry *family = &families->as.map.entries[f];
        if (!cb_expect_kind(family->value, CB_KIND_LIST, "a family", b->cli->diag)) {
            return CB_INVALID;
        }
        for (size_t i = 0; i < family->value->as.list.count; i++) {
            CB_TRY(time_case(b, family->key, family->value->as.list.items[i], CB_TIMING_INFERENCE));
            CB_TRY(time_case(b, family->key, family->value->as.list.items[i], CB_TIMING_GRADIENTS));
        }
    }
    return CB_OK;
}

/* ---- networks -------------------------------------------------------------------------------------------------------- */

static enum cb_status time_network(struct bench *b, const char *name, int64_t batch, enum cb_timing_work work)
{
    struct cb_backbone *backbone = NULL;
    struct cb_model *model = NULL;
    struct row row = {.family = "network", .work = work, .batch = batch};
    if (!does(b, work)) {
        return CB_OK;
    }
    row.name = cb_arena_printf(b->cli->arena, "%s, batch %lld", name, (long long)batch);
    enum cb_status status = cb_backbone_open(name, ".", NULL, &backbone, b->cli->diag);
    status = status == CB_OK ? cb_model_from_backbone(backbone, b->registry, NULL, true, &model, b->cli->diag) : status;
    if (status == CB_OK) {
        row.amount = cb_network_work(model->net, model->scores, work, batch);
        status = cb_network_time(model->net, b->device, model->scores, work, batch, b->tuning,
                                 b->tunes ? -1.0 : 4.0 * b->seconds, &row.timing,
                                 b->cli->diag);
    }
    if (status == CB_OK) {
        print_row(b, &row);
    }
    cb_model_destroy(model);
    cb_backbone_close(backbone);
    return status;
}

static enum cb_status time_networks(struct bench *b, const struct cb_value *list)
{
    static const char *const keys[] = {"name", "batches"};
    for (size_t i = 0; list != NULL && list->kind == CB_KIND_LIST && i < list->as.list.count; i++) {
        const struct cb_value *item = list->as.list.items[i], *name = cb_map_get(item, "name");
        const struct cb_value *batches = cb_map_get(item, "batches");
        if (!cb_expect_kind(item, CB_KIND_MAP, "a network", b->cli->diag) ||
            !cb_expect_keys(item, keys, 2, "in `networks`", b->cli->diag)) {
            return CB_INVALID;
        }
        if (name == NULL || name->kind != CB_KIND_TEXT || batches == NULL || batches->kind != CB_KIND_LIST) {
            return cb_fail(b->cli->diag, CB_INVALID, &item->at, "a network has `name` and `batches`, a list");
        }
        for (size_t k = 0; is_wanted(b, "network", name->text) && k < batches->as.list.count; k++) {
            const struct cb_value *batch = batches->as.list.items[k];
            if (batch->kind != CB_KIND_INT || batch->as.integer < 1) {
                return cb_fail(b->cli->diag, CB_INVALID, &batch->at, "a batch must be an integer of at least 1");
            }
            CB_TRY(time_network(b, name->text, batch->as.integer, CB_TIMING_INFERENCE));
            if (k + 1 == batches->as.list.count) {
                CB_TRY(time_network(b, name->text, batch->as.integer, CB_TIMING_STEP));
            }
        }
    }
    return CB_OK;
}

/* ---- the command ----------------------------------------------------------------------------------------------------- */

/* A file of JSON lines as a list. */
static enum cb_status read_lines(struct cb_cli *cli, const char *path, struct cb_value **out)
{
    char *text;
    size_t length;
    CB_TRY(cb_file_read(cli->arena, path, 64u << 20, &text, &length, NULL, cli->diag));
    *out = cb_value_list(cli->arena, NULL);
    for (char *line = text; *out != NULL && line < text + length;) {
        const size_t size = strcspn(line, "\n");
        struct cb_value *value;
        if (size > 0) {
            CB_TRY(cb_json_read_text(cli->arena, path, line, size, &value, cli->diag));
            (void)cb_list_append(cli->arena, *out, value);
        }
        line += size + 1;
    }
    return *out != NULL ? CB_OK : cb_fail(cli->diag, CB_MEMORY, NULL, "out of memory");
}

/* Every name on the command line is a family, a case or a network of the file. */
static enum cb_status check_names(const struct bench *b, const struct cb_value *file)
{
    const char *names[256] = {"network"};
    size_t count = 1;
    const struct cb_value *families = cb_map_get(file, "kernels"), *networks = cb_map_get(file, "networks");
    for (size_t f = 0; families != NULL && families->kind == CB_KIND_MAP && f < families->as.map.count; f++) {
        const struct cb_value *cases = families->as.map.entries[f].value;
        names[count++ % 256] = families->as.map.entries[f].key;
        for (size_t i = 0; cases->kind == CB_KIND_LIST && i < cases->as.list.count; i++) {
            const struct cb_value *name = cb_map_get(cases->as.list.items[i], "name");
            names[count++ % 256] = name != NULL && name->kind == CB_KIND_TEXT ? name->text : "";
        }
    }
    for (size_t i = 0; networks != NULL && networks->kind == CB_KIND_LIST && i < networks->as.list.count; i++) {
        const struct cb_value *name = cb_map_get(networks->as.list.items[i], "name");
        names[count++ % 256] = name != NULL && name->kind == CB_KIND_TEXT ? name->text : "";
    }
    count = count < 256 ? count : 256;
    for (size_t i = 0; i < b->cli->argument_count; i++) {
        const char *wanted = b->cli->arguments[i];
        size_t k = 0;
        while (k < count && strcmp(names[k], wanted) != 0) {
            k++;
        }
        const char *nearest = k == count ? cb_nearest_of(wanted, names, count) : NULL;
        if (k == count) {
            return cb_fail(b->cli->diag, CB_NOT_FOUND, NULL, "nothing to time is called `%s`%s%s%s", wanted,
                           nearest != NULL ? "; did you mean `" : "", nearest != NULL ? nearest : "",
                           nearest != NULL ? "`?" : "");
        }
    }
    return CB_OK;
}

static void say(void *context, const char *sentence)
{
    const struct bench *b = context;
    cb_note(b->cli->diag, NULL, "%s", sentence);
    cb_cli_flush(b->cli);
}

static enum cb_status bench(struct bench *b, const char *path)
{
    static const char *const keys[] = {"kernels", "networks"};
    struct cb_value *file;
    CB_TRY(cb_yaml_read_file(b->cli->arena, path, &file, b->cli->diag));
    if (!cb_expect_kind(file, CB_KIND_MAP, "a file of cases", b->cli->diag) ||
        !cb_expect_keys(file, keys, 2, "in a file of cases", b->cli->diag)) {
        return CB_INVALID;
    }
    CB_TRY(check_names(b, file));
    b->registry = cb_registry_create(&cb__host);
    if (b->registry == NULL) {
        return cb_fail(b->cli->diag, CB_MEMORY, NULL, "out of memory");
    }
    b->tuning = cb_tuning_open(b->device, NULL, b->cli->diag);
    cb_tuning_listen(b->tuning, say, b);
    if (b->tunes) {
        if (cb_tuning_path(b->tuning) == NULL) {
            return cb_fail(b->cli->diag, CB_INVALID, NULL, "--tune has nowhere to write: CAMBIUM_TUNING is `off`, or there is "
                                                           "no folder for the user's cache");
        }
        cb_tuning_measure(b->tuning, INFINITY);
    } else {
        CB_TRY(cb_device_measure(b->device, &b->bounds, b->cli->diag));
        print_bounds(b);
    }
    CB_TRY(time_kernels(b, cb_map_get(file, "kernels")));
    CB_TRY(time_networks(b, cb_map_get(file, "networks")));
    if (b->tunes && !b->cli->json) {
        printf("%zu classes of layers in %s\n", b->seen, cb_tuning_path(b->tuning));
    }
    return CB_OK;
}

static int run(struct cb_cli *cli)
{
    struct bench b = {.cli = cli};
    const char *path = cb_cli_value(cli, "--cases"), *earlier = cb_cli_value(cli, "--compare");
    enum cb_status status = CB_OK;
    if (!cb_cli_number(cli, "--seconds", 0.0, 3600.0, 0.5, &b.seconds)) {
        return 2;
    }
    b.tunes = cb_cli_has(cli, "--tune");
    b.shows_variants = cb_cli_has(cli, "--variants");
    b.only = cb_cli_value(cli, "--work");
    if (b.only != NULL && strcmp(b.only, "forward") != 0 && strcmp(b.only, "gradients") != 0 && strcmp(b.only, "step") != 0) {
        status = cb_fail(cli->diag, CB_INVALID, NULL, "--work takes `forward`, `gradients` or `step`, not `%s`", b.only);
    }
    path = path != NULL ? path : cb_resource_path(cli->arena, "configs/bench/standard.yaml");
    if (status == CB_OK && path == NULL) {
        status = cb_fail(cli->diag, CB_NOT_FOUND, NULL, "configs/bench/standard.yaml is not installed");
    }
    status = status == CB_OK && earlier != NULL ? read_lines(cli, earlier, &b.earlier) : status;
    status = status == CB_OK ? cb_cli_open_device(cli, &b.device) : status;
    status = status == CB_OK ? bench(&b, path) : status;
    cb_tuning_close(b.tuning);
    cb_registry_destroy(b.registry);
    cb_cli_close_device(b.device);
    return cb_cli_finish(cli, status);
}

const struct cb_command cb_command_bench = {
    .name = "bench",
    .usage = "bench [FAMILY|NETWORK...]",
    .summary = "how fast this device is: kernels and networks beside its own bounds",
    .flags = flags,
    .help = "First the bounds are measured: fused multiply-adds in registers, and a copy that no cache holds. Each line then\n"
            "gives the median and the least time of a run, what that makes per second, and which part of the bound it is:\n"
            "the time that the operations or the bytes need at least (more than 100% is possible: Winograd multiplies less,\n"
            "and caches hold small tensors). `forward` is inference, `gradients` forward and backward to input and params,\n"
            "`step` a training step of all layers with AdamW. All on random values.\n\n"
            "--tune measures instead which variant of each layer is fastest, in each pass, and keeps it in the user's cache\n"
            "(CAMBIUM_TUNING=FILE: there; off: nowhere), where every later command finds it.\n\n"
            "  cambium bench --json > before.jsonl      then, after a change:\n"
            "  cambium bench --compare before.jsonl\n",
    .run = run,
};
