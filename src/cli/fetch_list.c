/* fetch_list.c: `cambium fetch --list`: the networks there are, and what was fetched from the hub. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/fetch.h"
#include "graph/family.h"
#include "train/model.h"
#include "train/times.h"
#include "weights/fetch.h"

/* A network of the list. Texts in the command's arena. */
struct row {
    const char *name, *modality, *params, *input, *licence, *source;
    int64_t param_count;
    double seconds; /* below 0: not measured */
    bool is_kept;   /* its weights are in the cache */
    struct cb_value *sources;
};

struct listing {
    struct cb_cli *cli;
    struct cb_registry *registry;
    struct cb_device *device; /* NULL: none, or nothing was ever measured */
    struct cb_times *times;
    struct row *rows;
    size_t count;
};

/* ---- what there is -------------------------------------------------------------------------------------------------- */

static const char *host_of(struct cb_arena *arena, const char *url)
{
    const char *host = strstr(url, "://");
    host = host != NULL ? host + 3 : url;
    return cb_arena_strndup(arena, host, strcspn(host, "/"));
}

/* The first source that can be downloaded, in a few words. */
static const char *short_source(struct cb_arena *arena, const struct cb_weight_source *sources, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        switch (sources[i].kind) {
        case CB_SOURCE_URL:
            return host_of(arena, sources[i].where);
        case CB_SOURCE_WHEEL:
            return cb_arena_printf(arena, "wheel %s", sources[i].where);
        case CB_SOURCE_NPM:
            return cb_arena_printf(arena, "npm %s", sources[i].where);
        default:
            break;
        }
    }
    return "no source to download from";
}

static void fill_sources(struct listing *l, const struct cb_backbone *b, struct row *row)
{
    struct cb_arena *arena = l->cli->arena;
    struct cb_weight_source *sources = NULL;
    uint32_t count = 0;
    row->sources = cb_value_list(arena, NULL);
    if (cb_starts_with(row->name, "hf:")) {
        row->source = "the hub";
        row->is_kept = true;
        (void)cb_list_append(arena, row->sources, cb_value_text(arena, row->name, NULL));
        return;
    }
    if (cb_weight_sources_read(arena, cb_map_get(b->file, "weights"), &sources, &count, NULL) != CB_OK) {
        count = 0;
    }
    row->source = short_source(arena, sources, count);
    row->is_kept = cb_fetch_is_kept(arena, b->name, sources, count, b->folder);
    for (uint32_t i = 0; i < count; i++) {
        if (sources[i].kind != CB_SOURCE_FILE) {
            const bool is_url = sources[i].kind == CB_SOURCE_URL;
            const char *text = is_url ? sources[i].where : cb_weight_source_text(arena, &sources[i]);
            (void)cb_list_append(arena, row->sources, cb_value_text(arena, text, NULL));
        }
    }
}

/* Adds the network of that name; one that cannot be read is left out. */
static void add_row(struct listing *l, const char *name)
{
    struct cb_arena *arena = l->cli->arena;
    struct cb_backbone *b = NULL;
    struct cb_model *model = NULL;
    if (cb_backbone_open(name, ".", NULL, &b, NULL) == CB_OK && cb_model_outline(b, l->registry, &model, NULL) == CB_OK) {
        struct row *row = &l->rows[l->count++];
        char shape[192], params[32];
        int64_t frozen = 0, trainable = 0;
        const struct cb_value *licence = cb_map_get(b->file, "licence");
        cb_network_count(model->net, &frozen, &trainable);
        cb_format_dims(b->contract.rank, b->contract.shape, shape);
        *row = (struct row){.name = name, .modality = cb_modality_name(b->contract.modality),
                            .params = cb_arena_strdup(arena, cb_format_count((uint64_t)(frozen + trainable), params)),
                            .input = cb_arena_strdup(arena, shape), .param_count = frozen + trainable,
                            .licence = licence != NULL && licence->text != NULL ? cb_arena_strdup(arena, licence->text) : "",
                            .seconds = cb_times_find(l->times, b)};
        fill_sources(l, b, row);
    }
    cb_model_destroy(model);
    cb_backbone_close(b);
}

/* The names of what `cambium fetch hf:...` brought here, as one would write them. */
static enum cb_status hub_names(struct cb_cli *cli, const char ***out, size_t *out_count)
{
    char *cache = cb_user_cache_folder(cli->arena), **names = NULL;
    char *folder = cache != NULL ? cb_path_join(cli->arena, cache, "weights") : NULL;
    size_t count = 0;
    *out = NULL;
    *out_count = 0;
    if (folder == NULL || !cb_path_is_folder(folder)) {
        return CB_OK;
    }
    CB_TRY(cb_folder_list(cli->arena, folder, &names, &count, NULL, cli->diag));
    *out = CB_NEW_ARRAY(cli->arena, const char *, count + 1);
    for (size_t i = 0; *out != NULL && i < count; i++) {
        char *owner = cb_starts_with(names[i], "hf--") ? names[i] + 4 : NULL;
        char *name = owner != NULL ? strstr(owner, "--") : NULL, *revision = name != NULL ? strchr(name, '@') : NULL;
        if (revision == NULL ||
            !cb_path_is_folder(cb_arena_printf(cli->arena, "%s/%s/network", folder, names[i]))) {
            continue;
        }
        *name = '\0';
        if (strcmp(revision, "@main") == 0) {
            *revision = '\0';
        }
        (*out)[(*out_count)++] = cb_arena_printf(cli->arena, "hf:%s/%s", owner, name + 2);
    }
    return *out != NULL ? CB_OK : cb_fail(cli->diag, CB_MEMORY, NULL, "out of memory");
}

/* ---- time ----------------------------------------------------------------------------------------------------------- */

/* Measures what is not known yet. One network that cannot be measured does not stop the others. */
static enum cb_status measure(struct listing *l)
{
    struct cb_watch watch = cb_cli_watch(l->cli);
    size_t wanted = 0, done = 0;
    for (size_t i = 0; i < l->count; i++) {
        wanted += l->rows[i].seconds < 0;
    }
    for (size_t i = 0; i < l->count; i++) {
        struct row *row = &l->rows[i];
        struct cb_backbone *b = NULL;
        struct cb_diag *aside = cb_diag_create();
        if (row->seconds >= 0) {
            cb_diag_destroy(aside);
            continue;
        }
        cb_watch_progress(&watch, cb_arena_printf(l->cli->arena, "timing %s", row->name), done++, wanted);
        enum cb_status status = cb_watch_cancelled(&watch) ? CB_INTERRUPTED : CB_OK;
        if (status == CB_OK && cb_backbone_open(row->name, ".", NULL, &b, aside) == CB_OK &&
            cb_times_measure(l->times, b, l->registry, l->device, &row->seconds, aside) != CB_OK) {
            row->seconds = -1.0;
            cb_note(l->cli->diag, NULL, "`%s` cannot be timed: %s", row->name,
                    aside != NULL && cb_diag_text(aside, 0) != NULL ? cb_diag_text(aside, 0) : "out of memory");
        }
        cb_backbone_close(b);
        cb_diag_destroy(aside);
        CB_TRY(status);
    }
    cb_cli_clear_progress(l->cli);
    return CB_OK;
}

/* With --time, or where something was measured before; without a device the column stays blank. */
static enum cb_status open_times(struct listing *l)
{
    if (cb_cli_has(l->cli, "--time")) {
        CB_TRY(cb_device_open(l->cli->device, &l->device, l->cli->diag));
    } else if (cb_times_exist(l->cli->arena)) {
        (void)cb_device_open(l->cli->device, &l->device, NULL);
    }
    l->times = l->device != NULL ? cb_times_open(l->cli->arena, l->device) : NULL;
    return CB_OK;
}

/* ---- showing -------------------------------------------------------------------------------------------------------- */

static void print_json(struct listing *l, const struct row *row)
{
    struct cb_arena *arena = l->cli->arena;
    struct cb_value *map = cb_value_map(arena, NULL);
    (void)cb_map_set(arena, map, "name", cb_value_text(arena, row->name, NULL));
    (void)cb_map_set(arena, map, "modality", cb_value_text(arena, row->modality, NULL));
    (void)cb_map_set(arena, map, "params", cb_value_int(arena, row->param_count, NULL));
    (void)cb_map_set(arena, map, "input", cb_value_text(arena, row->input, NULL));
    (void)cb_map_set(arena, map, "source", cb_value_text(arena, row->source, NULL));
    (void)cb_map_set(arena, map, "sources", row->sources);
    (void)cb_map_set(arena, map, "licence", cb_value_text(arena, row->licence, NULL));
    (void)cb_map_set(arena, map, "in_cache", cb_value_bool(arena, row->is_kept, NULL));
    if (row->seconds >= 0) {
        (void)cb_map_set(arena, map, "seconds", cb_value_real(arena, row->seconds, NULL));
        (void)cb_map_set(arena, map, "device", cb_value_text(arena, cb_device_get_info(l->device)->name, NULL));
    }
    cb_cli_print_json(map);
}

static int widest(int now, const char *text)
{
    return (int)strlen(text) > now ? (int)strlen(text) : now;
}

static void print_table(const struct listing *l)
{
    int name = 8, params = 6, input = 5, licence = 7;
    size_t blank = 0;
    for (size_t i = 0; i < l->count; i++) {
        const struct row *row = &l->rows[i];
        name = widest(name, row->name);
        params = widest(params, row->params);
        input = widest(input, row->input);
        licence = widest(licence, row->licence);
    }
    printf("%-*s  %-8s  %*s  %-*s  %9s  %-5s  %-*s  %s\n", name, "backbone", "modality", params, "params", input, "input",
           "ms/sample", "cache", licence, "licence", "weights from");
    for (size_t i = 0; i < l->count; i++) {
        const struct row *row = &l->rows[i];
        char time[32] = "";
        if (row->seconds >= 0) {
            snprintf(time, sizeof(time), row->seconds < 0.01 ? "%.2f" : "%.1f", row->seconds * 1e3);
        }
        blank += row->seconds < 0;
        printf("%-*s  %-8s  %*s  %-*s  %9s  %-5s  %-*s  %s\n", name, row->name, row->modality, params, row->params, input,
               row->input, time, row->is_kept ? "yes" : "", licence, row->licence, row->source);
    }
    if (l->device != NULL) {
        printf("ms/sample: one sample at a time, on %s\n", cb_device_get_info(l->device)->name);
    }
    if (blank > 0) {
        printf("`cambium fetch --list --time` measures the times that are blank on this device, once%s\n",
               l->count > 20 ? "; `--list 'resnet*' --time` only some" : "");
    }
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

/* Whether an argument wants it: its name, a pattern of names, a modality. */
static bool is_wanted(const struct cb_cli *cli, const char *name, const char *modality)
{
    for (size_t i = 0; i < cli->argument_count; i++) {
        if (cb_pattern_matches(cli->arguments[i], name) || (modality != NULL && strcmp(cli->arguments[i], modality) == 0)) {
            return true;
        }
    }
    return cli->argument_count == 0;
}

/* An argument that is a modality: then names alone do not say what is wanted. */
static bool names_a_modality(const struct cb_cli *cli)
{
    bool does = false;
    for (size_t i = 0; i < cli->argument_count; i++) {
        for (int m = CB_IMAGE; m <= CB_TENSOR; m++) {
            does = does || strcmp(cli->arguments[i], cb_modality_name((enum cb_modality)m)) == 0;
        }
    }
    return does;
}

static void fill(struct listing *l, const char *const *names, size_t count)
{
    const bool looks_inside = names_a_modality(l->cli);
    for (size_t i = 0; i < count; i++) {
        if (looks_inside || is_wanted(l->cli, names[i], NULL)) {
            const size_t before = l->count;
            add_row(l, names[i]);
            if (l->count > before && !is_wanted(l->cli, names[i], l->rows[before].modality)) {
                l->count = before;
            }
        }
    }
}

static enum cb_status list(struct listing *l)
{
    struct cb_cli *cli = l->cli;
    char *folder = cb_resource_path(cli->arena, "configs/backbones");
    const char **names, **fetched;
    size_t count, fetched_count;
    if (l->registry == NULL || folder == NULL) {
        return cb_fail(cli->diag, CB_NOT_FOUND, NULL, "configs/backbones is not found");
    }
    CB_TRY(cb_family_names(cli->arena, folder, &names, &count, cli->diag));
    CB_TRY(hub_names(cli, &fetched, &fetched_count));
    CB_TRY(open_times(l));
    l->rows = CB_NEW_ARRAY(cli->arena, struct row, count + fetched_count + 1);
    if (l->rows == NULL) {
        return cb_fail(cli->diag, CB_MEMORY, NULL, "out of memory");
    }
    fill(l, names, count);
    fill(l, fetched, fetched_count);
    if (l->count == 0 && names_a_modality(cli)) {
        return cb_fail(cli->diag, CB_NOT_FOUND, NULL, "no network here takes %s", cli->arguments[0]);
    }
    if (l->count == 0) {
        const char *nearest = cli->argument_count > 0 ? cb_nearest_of(cli->arguments[0], names, count) : NULL;
        return cb_fail(cli->diag, CB_NOT_FOUND, NULL, "no network is called `%s`%s%s%s",
                       cli->argument_count > 0 ? cli->arguments[0] : "", nearest != NULL ? "; did you mean `" : "",
                       nearest != NULL ? nearest : "", nearest != NULL ? "`?" : "");
    }
    return cb_cli_has(cli, "--time") ? measure(l) : CB_OK;
}

int cb_cli_list_networks(struct cb_cli *cli)
{
    struct listing l = {.cli = cli, .registry = cb_registry_create(&cb__host)};
    const enum cb_status status = list(&l);
    if (cli->json) {
        for (size_t i = 0; i < l.count; i++) {
            print_json(&l, &l.rows[i]);
        }
    } else if (l.count > 0) {
        print_table(&l);
    }
    cb_device_close(l.device);
    cb_registry_destroy(l.registry);
    return cb_cli_finish(cli, status);
}
