/* feature_file.c: see feature_file.h. */
#include "train/feature_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/options.h"

#define MAGIC "cambium features 1\n"
#define HEADER_BYTES 32
#define ROW_AT 24 /* of the header: floats of a row, 32 bits */
#define ID_BYTES 64
#define RECORD_BYTES(row) (ID_BYTES + 8 + (row) * sizeof(float))

struct cb_feature_file {
    struct cb_arena *arena;
    char *folder, *path, *lock;
    size_t row;
    uint64_t limit; /* bytes of all files */
    struct cb_mapping mapping;
    size_t count;   /* records in the mapping */
    unsigned char **added;
    size_t added_count, added_room;
};

/* ---- keys ------------------------------------------------------------------------------------------------------------- */

static void add_text(struct cb_sha256 *sha, const char *text)
{
    cb_sha256_add(sha, text, strlen(text) + 1);
}

static void add_json(struct cb_sha256 *sha, const struct cb_value *value)
{
    struct cb_text text = {0};
    if (value != NULL) {
        cb_value_to_json(value, &text);
    }
    add_text(sha, text.data != NULL ? text.data : "");
    cb_text_free(&text);
}

static void add_shape(struct cb_sha256 *sha, const struct cb_network *net, const uint32_t *wires, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct cb_tensor *shape = &net->wires[wires[i]].shape;
        cb_sha256_add(sha, &wires[i], sizeof(wires[i]));
        cb_sha256_add(sha, shape->dims, shape->rank * sizeof(shape->dims[0]));
    }
}

static void add_values(struct cb_sha256 *sha, const struct cb_network *net, const uint32_t *params, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct cb_param *param = &net->params[params[i]];
        cb_sha256_add(sha, param->host, (size_t)param->count * sizeof(float));
    }
}

/* A layer: its type, the plugin's file and kernels, its options, what it reads and makes, its values. */
static void add_node(struct cb_sha256 *sha, const struct cb_network *net, const struct cb_node *node,
                     struct cb_arena *arena)
{
    const struct cb_layer *layer = &node->type->layer;
    struct stat info;
    add_text(sha, layer->name);
    if (node->type->path != NULL && stat(node->type->path, &info) == 0) {
        const int64_t facts[3] = {info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
        cb_sha256_add(sha, facts, sizeof(facts));
    }
    const char *kernel = cb_kernel_path(arena, layer->name, node->type->folder), *text = "", *shown;
    size_t bytes = 0;
    if (kernel != NULL && cb_kernel_read(arena, kernel, NULL, &text, &bytes, &shown, NULL) == CB_OK) {
        cb_sha256_add(sha, text, bytes);
    }
    add_json(sha, layer->options_size > 0
                      ? cb_options_to_value(arena, &layer->options, layer->defaults, node->options, true)
                      : NULL);
    add_shape(sha, net, node->x, node->x_count);
    add_shape(sha, net, node->y, node->y_count);
    add_values(sha, net, node->params, node->param_count);
    add_values(sha, net, node->states, node->state_count);
}

void cb_feature_key(const struct cb_engine *e, char hex[65])
{
    const struct cb_network *net = e->model->net;
    struct cb_sha256 *sha = cb_sha256_create();
    struct cb_arena *arena = cb_arena_create();
    hex[0] = '\0';
    if (sha == NULL || arena == NULL) {
        cb_arena_destroy(arena);
        return;
    }
    add_text(sha, MAGIC CB_VERSION);
    add_text(sha, cb_device_key(e->device));
    add_json(sha, cb_contract_to_value(arena, &e->model->contract));
    if (net->avoid_count > 0) { /* other variants round otherwise */
        add_json(sha, cb__network_avoid_value(net, arena));
    }
    add_json(sha, cb_tuning_to_value(e->tuning, arena)); /* likewise those that were measured */
    for (uint32_t i = 0; i < net->node_count; i++) {
        if (e->prefix[i]) {
            add_node(sha, net, &net->nodes[i], arena);
        }
    }
    cb_sha256_add(sha, e->features.wires, e->features.wire_count * sizeof(e->features.wires[0]));
    cb_sha256_finish(sha, hex);
    cb_arena_destroy(arena);
}

bool cb_feature_id(const struct cb_engine *e, uint32_t sample, uint32_t view, char hex[65])
{
    if (cb_dataset_hash(e->dataset, &sample, 1, hex, NULL) != CB_OK) {
        return false;
    }
    struct cb_sha256 *sha = view > 0 ? cb_sha256_create() : NULL;
    if (view > 0 && sha == NULL) {
        return false;
    }
    if (view > 0) { /* a change is drawn from these */
        const uint64_t draw[3] = {e->seed, view, sample};
        add_text(sha, hex);
        cb_sha256_add(sha, draw, sizeof(draw));
        add_json(sha, e->dataset->augment);
        cb_sha256_finish(sha, hex);
    }
    return true;
}

/* ---- reading ---------------------------------------------------------------------------------------------------------- */

static uint64_t limit_bytes(void)
{
    const char *text = getenv("CAMBIUM_FEATURES_MB");
    return (text != NULL && *text != '\0' ? strtoull(text, NULL, 10) : 1024) << 20;
}

/* Maps the file when it is one of ours, with rows of this length. */
static void map_file(struct cb_feature_file *f)
{
    const size_t record = RECORD_BYTES(f->row);
    uint32_t row = 0;
    f->count = 0;
    if (cb_file_bytes(f->path) <= HEADER_BYTES || cb_file_map(f->path, &f->mapping, NULL, NULL) != CB_OK) {
        return;
    }
    if (f->mapping.bytes > HEADER_BYTES) {
        memcpy(&row, f->mapping.data + ROW_AT, sizeof(row));
    }
    if (row == f->row && memcmp(f->mapping.data, MAGIC, sizeof(MAGIC)) == 0 &&
        (f->mapping.bytes - HEADER_BYTES) % record == 0) {
        f->count = (f->mapping.bytes - HEADER_BYTES) / record;
    }
}

static void unmap_file(struct cb_feature_file *f)
{
    cb_file_unmap(&f->mapping);
    f->mapping = (struct cb_mapping){0};
    f->count = 0;
}

struct cb_feature_file *cb_feature_file_open(const char *key, size_t row)
{
    uint64_t limit = limit_bytes();
    struct cb_arena *arena = limit > 0 && key[0] != '\0' && row > 0 && row < UINT32_MAX ? cb_arena_create() : NULL;
    char *cache = arena != NULL ? cb_user_cache_folder(arena) : NULL;
    struct cb_feature_file *f = cache != NULL ? CB_NEW(arena, struct cb_feature_file) : NULL;
    if (f == NULL) {
        cb_arena_destroy(arena);
        return NULL;
    }
    *f = (struct cb_feature_file){.arena = arena, .row = row, .limit = limit};
    f->folder = cb_path_join(arena, cache, "features");
    f->lock = cb_path_join(arena, cache, "features.lock");
    f->path = f->folder != NULL ? cb_path_join(arena, f->folder, key) : NULL;
    if (f->lock == NULL || f->path == NULL) {
        cb_arena_destroy(arena);
        return NULL;
    }
    map_file(f);
    if (f->count > 0) {
        (void)utimensat(AT_FDCWD, f->path, NULL, 0); /* used now */
    }
    return f;
}

static const unsigned char *find_record(const struct cb_feature_file *f, const char *id)
{
    size_t low = 0, high = f->count, record = RECORD_BYTES(f->row);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const unsigned char *at = f->mapping.data + HEADER_BYTES + middle * record;
        int order = memcmp(at, id, ID_BYTES);
        if (order == 0) {
            return at;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return NULL;
}

static bool is_sound(const struct cb_feature_file *f, const unsigned char *record)
{
    uint64_t checksum;
    memcpy(&checksum, record + ID_BYTES, sizeof(checksum));
    return checksum == cb_hash64(record + ID_BYTES + 8, f->row * sizeof(float));
}

bool cb_feature_file_find(struct cb_feature_file *f, const char *id, float *out_row)
{
    const unsigned char *record = find_record(f, id);
    if (record == NULL || !is_sound(f, record)) {
        return false;
    }
    memcpy(out_row, record + ID_BYTES + 8, f->row * sizeof(float));
    return true;
}

/* ---- writing ---------------------------------------------------------------------------------------------------------- */

void cb_feature_file_add(struct cb_feature_file *f, const char *id, const float *row)
{
    if (f->added_count == f->added_room) {
        size_t room = f->added_room > 0 ? f->added_room * 2 : 256;
        unsigned char **larger = realloc(f->added, room * sizeof(*larger));
        if (larger == NULL) {
            return;
        }
        f->added = larger;
        f->added_room = room;
    }
    unsigned char *record = malloc(RECORD_BYTES(f->row));
    if (record == NULL) {
        return;
    }
    uint64_t checksum = cb_hash64(row, f->row * sizeof(float));
    memcpy(record, id, ID_BYTES);
    memcpy(record + ID_BYTES, &checksum, sizeof(checksum));
    memcpy(record + ID_BYTES + 8, row, f->row * sizeof(float));
    f->added[f->added_count++] = record;
}

static int by_id(const void *a, const void *b)
{
    return memcmp(*(const unsigned char *const *)a, *(const unsigned char *const *)b, ID_BYTES);
}

/* Old records that are sound and new ones, each id once. */
static bool write_all(struct cb_feature_file *f)
{
    const size_t record = RECORD_BYTES(f->row);
    const unsigned char **all = malloc((f->count + f->added_count) * sizeof(*all));
    struct cb_atomic_file file = {0};
    unsigned char header[HEADER_BYTES] = MAGIC;
    const uint32_t row = (uint32_t)f->row;
    size_t count = 0;
    for (size_t i = 0; all != NULL && i < f->count; i++) {
        const unsigned char *old = f->mapping.data + HEADER_BYTES + i * record;
        if (is_sound(f, old)) {
            all[count++] = old;
        }
    }
    for (size_t i = 0; all != NULL && i < f->added_count; i++) {
        all[count++] = f->added[i];
    }
    if (all == NULL || HEADER_BYTES + count * record > f->limit || cb_make_folders(f->folder, NULL) != CB_OK ||
        cb_atomic_open(&file, f->path, NULL) != CB_OK) {
        free(all);
        return false;
    }
    qsort(all, count, sizeof(*all), by_id);
    memcpy(header + ROW_AT, &row, sizeof(row));
    bool ok = fwrite(header, sizeof(header), 1, file.stream) == 1;
    for (size_t i = 0; ok && i < count; i++) {
        bool twice = i > 0 && memcmp(all[i - 1], all[i], ID_BYTES) == 0;
        ok = twice || fwrite(all[i], record, 1, file.stream) == 1;
    }
    free(all);
    if (!ok) {
        cb_atomic_abandon(&file);
        return false;
    }
    return cb_atomic_commit(&file, NULL) == CB_OK;
}

/* Removes the files that were not used for the longest time until the rest is below the limit. */
static void tidy(const struct cb_feature_file *f)
{
    struct cb_arena *arena = cb_arena_create();
    char **names = NULL;
    size_t count = 0;
    uint64_t total = 0;
    if (arena == NULL || cb_folder_list(arena, f->folder, &names, &count, NULL, NULL) != CB_OK) {
        count = 0;
    }
    for (size_t round = 0; round <= count; round++) {
        const char *oldest = NULL;
        struct timespec when = {0};
        total = 0;
        for (size_t i = 0; i < count; i++) {
            char *path = cb_path_join(arena, f->folder, names[i]);
            struct stat info;
            if (path == NULL || stat(path, &info) != 0) {
                continue;
            }
            total += (uint64_t)info.st_size;
            bool older = oldest == NULL || info.st_mtim.tv_sec < when.tv_sec ||
                         (info.st_mtim.tv_sec == when.tv_sec && info.st_mtim.tv_nsec < when.tv_nsec);
            if (older && strcmp(path, f->path) != 0) {
                oldest = path;
                when = info.st_mtim;
            }
        }
        if (total <= f->limit || oldest == NULL || remove(oldest) != 0) {
            break;
        }
    }
    cb_arena_destroy(arena);
}

static void forget_added(struct cb_feature_file *f)
{
    for (size_t i = 0; i < f->added_count; i++) {
        free(f->added[i]);
    }
    f->added_count = 0;
}

void cb_feature_file_save(struct cb_feature_file *f)
{
    struct cb_lock lock;
    if (f->added_count == 0 || cb_lock_take(&lock, f->lock, NULL) != CB_OK) {
        return;
    }
    unmap_file(f); /* another process may have added to it */
    map_file(f);
    if (write_all(f)) {
        tidy(f);
        unmap_file(f);
        map_file(f);
    }
    cb_lock_release(&lock);
    forget_added(f);
}

void cb_feature_file_close(struct cb_feature_file *f)
{
    if (f == NULL) {
        return;
    }
    forget_added(f);
    free(f->added);
    unmap_file(f);
    cb_arena_destroy(f->arena);
}
