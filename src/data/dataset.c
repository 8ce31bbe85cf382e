/* dataset.c: joins the sources of `data:` to one numbered list with one list of classes. */
#include "data/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/data_keys.h"
#include "data/dataset_internal.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* A source of the task with the role that its place gives it. */
struct origin {
    struct cb__draft draft;
    struct cb_place at;
    enum cb_part part; /* CB_PART_ANY: the main one */
    const char *key;   /* "data", "train", ... */
};

static enum cb_status no_memory(struct cb_diag *diag)
{
    return cb_fail(diag, CB_MEMORY, NULL, "out of memory while listing the data");
}

static void release_source(void *object)
{
    struct cb__source *source = object;
    source->type->release(source);
}

static enum cb_status read_origin(struct cb_arena *arena, const struct cb__spec *spec, const char *key,
                                  enum cb_part part, struct origin *out, struct cb_diag *diag)
{
    char where[32];
    *out = (struct origin){.draft = {.arena = arena}, .at = spec->map->at, .part = part, .key = key};
    snprintf(where, sizeof where, "in `%s`", key);
    if (part != CB_PART_ANY && !cb_expect_known(spec->map, cb__source_keys, where, diag)) {
        return CB_INVALID;
    }
    enum cb_status status = cb__source_read(spec, &out->draft, diag);
    struct cb__source *source = (struct cb__source *)out->draft.source;
    if (source && source->type->release && !cb_arena_on_destroy(arena, release_source, source)) {
        return no_memory(diag);
    }
    return status;
}

/* The main source and those under train, test and validation. At least one. */
static enum cb_status read_origins(struct cb_arena *arena, const struct cb__spec *spec, struct origin *origins,
                                   uint32_t *out_count, struct cb_diag *diag)
{
    static const struct {
        const char *key;
        enum cb_part part;
    } own[] = {{"train", CB_PART_TRAIN}, {"test", CB_PART_TEST}, {"validation", CB_PART_VALIDATION}};
    uint32_t count = 0;
    enum cb_status status = CB_OK;
    const struct cb_value *train = cb_map_get(spec->map, "train");
    if (cb__is_source(spec->map) || !train || !cb__is_source(train)) {
        status = read_origin(arena, spec, "data", CB_PART_ANY, &origins[count++], diag);
    }
    for (size_t i = 0; i < COUNT_OF(own); i++) {
        struct cb__spec part = *spec;
        part.map = cb_map_get(spec->map, own[i].key);
        if (part.map && cb__is_source(part.map)) {
            enum cb_status result = read_origin(arena, &part, own[i].key, own[i].part, &origins[count++], diag);
            status = status == CB_OK ? result : status;
        }
    }
    *out_count = count;
    return status;
}

static enum cb_target target_of(const struct cb__draft *draft)
{
    return draft->value_count                        ? CB_TARGET_VALUES
           : draft->count > 0 && draft->labels[0]    ? CB_TARGET_CLASSES
                                                     : CB_TARGET_NONE;
}

/* All sources must be of one kind: pictures or tensors, classes or as many values. */
static enum cb_status check_alike(const struct origin *origins, uint32_t count, struct cb_diag *diag)
{
    static const char *const words[] = {"no labels", "classes", "values"};
    for (uint32_t i = 1; i < count; i++) {
        const struct cb__draft *a = &origins[0].draft, *b = &origins[i].draft;
        const char *what = cb__source_what(a->source), *other = cb__source_what(b->source);
        if (strcmp(what, other) != 0) {
            return cb_fail(diag, CB_MISMATCH, &origins[i].at, "`%s` holds %s, but `%s` holds %s", origins[0].key, what,
                           origins[i].key, other);
        }
        if (target_of(a) != target_of(b) || a->value_count != b->value_count) {
            return cb_fail(diag, CB_MISMATCH, &origins[i].at, "`%s` has %s, but `%s` has %s%s", origins[0].key,
                           words[target_of(a)], origins[i].key, words[target_of(b)],
                           target_of(a) == target_of(b) ? " of another number" : "");
        }
    }
    return CB_OK;
}

static int find_name(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* How the classes of the first source become those of the dataset. */
struct classes {
    uint32_t all_count, count;
    const char **all;   /* of the first source, in its order */
    const char **names; /* the dataset's */
    int32_t *map;       /* [all_count]: the dataset's class, -1: left out */
};

/* `classes:` chooses and orders, or gives names to numbers. */
static enum cb_status choose_classes(const struct cb__settings *settings, bool is_numbered, struct classes *classes,
                                     struct cb_diag *diag)
{
    const struct cb_value *list = settings->classes;
    uint32_t count = (uint32_t)list->as.list.count;
    uint32_t known = 0;
    for (uint32_t i = 0; i < count; i++) {
        known += find_name(classes->all, classes->all_count, settings->class_names[i]) >= 0;
    }
    classes->count = count;
    classes->names = settings->class_names;
    if (is_numbered && known < count) {
        if (count != classes->all_count) {
            return cb_fail(diag, CB_MISMATCH, &list->at, "`classes` names %u classes, but the labels are 0 to %u: give "
                           "each number a name, or choose among the numbers", count, classes->all_count - 1);
        }
        return CB_OK; /* names in the order of the numbers */
    }
    for (uint32_t i = 0; i < classes->all_count; i++) {
        classes->map[i] = find_name(settings->class_names, count, classes->all[i]);
    }
    enum cb_status status = CB_OK;
    for (uint32_t i = 0; i < count && known < count; i++) {
        const char *name = settings->class_names[i];
        if (find_name(classes->all, classes->all_count, name) < 0) {
            const char *near = cb_nearest_of(name, classes->all, classes->all_count);
            status = cb_fail(diag, CB_NOT_FOUND, &list->as.list.items[i]->at, "the data have no class `%s`%s%s%s", name,
                             near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
        }
    }
    return status;
}

static enum cb_status find_classes(struct cb_arena *arena, const struct cb__draft *draft,
                                   const struct cb__settings *settings, struct classes *classes, struct cb_diag *diag)
{
    classes->all = draft->classes;
    classes->all_count = draft->class_count;
    if (!draft->classes) {
        int32_t *unused = CB_NEW_ARRAY(arena, int32_t, (size_t)draft->count + 1);
        if (!unused || !cb__index_texts(arena, draft->labels, draft->count, unused, &classes->all,
                                        &classes->all_count)) {
            return no_memory(diag);
        }
    }
    classes->names = classes->all;
    classes->count = classes->all_count;
    classes->map = CB_NEW_ARRAY(arena, int32_t, (size_t)classes->all_count + 1);
    if (!classes->map) {
        return no_memory(diag);
    }
    for (uint32_t i = 0; i < classes->all_count; i++) {
        classes->map[i] = (int32_t)i;
    }
    return settings->classes ? choose_classes(settings, draft->is_numbered, classes, diag) : CB_OK;
}

/* The dataset's class of each of the draft's samples, -1: left out. */
static enum cb_status label_samples(const struct origin *origin, const struct classes *classes, int32_t *labels,
                                    struct cb_diag *diag)
{
    const struct cb__draft *draft = &origin->draft;
    const char **distinct;
    uint32_t count;
    if (!cb__index_texts(draft->arena, draft->labels, draft->count, labels, &distinct, &count)) {
        return no_memory(diag);
    }
    int32_t *map = CB_NEW_ARRAY(draft->arena, int32_t, (size_t)count + 1);
    if (!map) {
        return no_memory(diag);
    }
    enum cb_status status = CB_OK;
    for (uint32_t i = 0; i < count && !(status != CB_OK && cb_diag_is_full(diag)); i++) {
        int known = find_name(classes->all, classes->all_count, distinct[i]);
        if (known < 0) {
            const char *near = cb_nearest_of(distinct[i], classes->all, classes->all_count);
            status = cb_fail(diag, CB_MISMATCH, &origin->at, "`%s` has a class `%s` that the training data do not have"
                             "%s%s%s", origin->key, distinct[i], near ? "; the nearest is `" : "", near ? near : "",
                             near ? "`" : "");
        }
        map[i] = known < 0 ? -1 : classes->map[known];
    }
    for (uint32_t i = 0; i < draft->count; i++) {
        labels[i] = labels[i] < 0 ? -1 : map[labels[i]];
    }
    return status;
}

/* The arrays of the dataset while they are filled. */
struct columns {
    int32_t *labels;
    float *values;
    uint8_t *parts;
    uint32_t *items;
    const char **groups;
    bool has_groups;
};

/* Adds the draft's samples, those of classes that are left out excepted. `labels` as label_samples gives them. */
static void append(struct cb_dataset *dataset, const struct origin *origin, const int32_t *labels,
                   struct columns *columns)
{
    const struct cb__draft *draft = &origin->draft;
    size_t width = draft->value_count;
    for (uint32_t i = 0; i < draft->count; i++) {
        if (dataset->target == CB_TARGET_CLASSES && labels[i] < 0) {
            continue;
        }
        uint32_t to = dataset->count++;
        columns->items[to] = draft->items[i];
        columns->groups[to] = draft->groups[i];
        columns->has_groups |= draft->groups[i] != NULL;
        columns->parts[to] = (uint8_t)(origin->part == CB_PART_ANY ? draft->parts[i] : origin->part);
        columns->labels[to] = dataset->target == CB_TARGET_CLASSES ? labels[i] : -1;
        if (width) {
            memcpy(columns->values + to * width, draft->values + i * width, width * sizeof(float));
        }
    }
}

/* Numbers the groups; a sample without one is a group of its own. */
static bool number_groups(struct cb_dataset *dataset, struct cb_arena *arena, const char *const *groups)
{
    const char **distinct;
    uint32_t next;
    int32_t *numbers = CB_NEW_ARRAY(arena, int32_t, (size_t)dataset->count + 1);
    if (!numbers || !cb__index_texts(arena, groups, dataset->count, numbers, &distinct, &next)) {
        return false;
    }
    for (uint32_t i = 0; i < dataset->count; i++) {
        numbers[i] = numbers[i] < 0 ? (int32_t)next++ : numbers[i];
    }
    dataset->groups = numbers;
    return true;
}

static enum cb_status join(struct cb_dataset *dataset, struct origin *origins, uint32_t count,
                           const struct cb__settings *settings, struct cb_diag *diag)
{
    struct cb_dataset_private *private = dataset->private_;
    struct cb_arena *arena = private->arena;
    struct classes classes = {0};
    struct columns columns = {0};
    size_t total = 1;
    for (uint32_t i = 0; i < count; i++) {
        total += origins[i].draft.count;
    }
    dataset->target = target_of(&origins[0].draft);
    if (dataset->target == CB_TARGET_CLASSES) {
        CB_TRY(find_classes(arena, &origins[0].draft, settings, &classes, diag));
    } else if (settings->classes) {
        return cb_fail(diag, CB_MISMATCH, &settings->classes->at, "`classes` names classes, but the data have %s",
                       dataset->target == CB_TARGET_VALUES ? "values" : "no labels");
    }
    int32_t *labels = CB_NEW_ARRAY(arena, int32_t, total);
    columns.labels = CB_NEW_ARRAY(arena, int32_t, total);
    columns.parts = CB_NEW_ARRAY(arena, uint8_t, total);
    columns.items = CB_NEW_ARRAY(arena, uint32_t, total);
    columns.groups = CB_NEW_ARRAY(arena, const char *, total);
    dataset->value_count = origins[0].draft.value_count;
    dataset->value_names = origins[0].draft.value_names;
    columns.values = CB_NEW_ARRAY(arena, float, total * (dataset->value_count ? dataset->value_count : 1));
    if (!labels || !columns.labels || !columns.parts || !columns.items || !columns.groups || !columns.values) {
        return no_memory(diag);
    }
    enum cb_status status = CB_OK;
    for (uint32_t i = 0; i < count; i++) {
        if (dataset->target == CB_TARGET_CLASSES) {
            enum cb_status result = label_samples(&origins[i], &classes, labels, diag);
            status = status == CB_OK ? result : status;
        }
        private->sources[i] = origins[i].draft.source;
        private->first[i] = dataset->count;
        append(dataset, &origins[i], labels, &columns);
        private->first[i + 1] = dataset->count;
    }
    CB_TRY(status);
    private->source_count = count;
    private->main_count = origins[0].part == CB_PART_ANY ? private->first[1] : 0;
    private->items = columns.items;
    private->labels = columns.labels;
    dataset->class_count = classes.count;
    dataset->classes = classes.names;
    dataset->labels = dataset->target == CB_TARGET_CLASSES ? columns.labels : NULL;
    dataset->values = dataset->target == CB_TARGET_VALUES ? columns.values : NULL;
    dataset->parts = columns.parts;
    if (columns.has_groups && !number_groups(dataset, arena, columns.groups)) {
        return no_memory(diag);
    }
    return CB_OK;
}

static void add_field(struct cb_dataset *dataset, struct cb_field *fields, const char *name, enum cb_dtype dtype,
                      uint32_t rank, const int64_t *dims)
{
    struct cb_field *field = &fields[dataset->field_count++];
    *field = (struct cb_field){.name = name, .dtype = dtype, .rank = rank, .bytes = dtype == CB_U8 ? 1 : 4};
    for (uint32_t i = 0; i < rank; i++) {
        field->dims[i] = dims[i];
        field->bytes *= (uint64_t)dims[i];
    }
}

/* What each sample yields; nothing without a contract, tensors excepted. Of a text also what kind of token each is, and how
 * many there are, for the networks that ask for it. */
static enum cb_status set_fields(struct cb_dataset *dataset, struct cb_diag *diag)
{
    const struct cb__source *source = dataset->private_->sources[0];
    const struct cb_contract *contract = &dataset->contract;
    struct cb_field *fields = CB_NEW_ARRAY(dataset->private_->arena, struct cb_field, CB__TEXT_FIELDS);
    if (!fields) {
        return no_memory(diag);
    }
    dataset->fields = fields;
    if (source->type->tensor && !source->has_ids) {
        *fields = source->field;
        dataset->field_count = 1;
    } else if (contract->rank > 0 && contract->modality == CB_TEXT) {
        add_field(dataset, fields, contract->name, CB_I32, 1, contract->shape);
        add_field(dataset, fields, "segments", CB_I32, 1, contract->shape);
        add_field(dataset, fields, "lengths", CB_I32, 0, contract->shape);
    } else if (contract->rank > 0) {
        add_field(dataset, fields, contract->name, contract->modality == CB_IMAGE ? CB_U8 : CB_F32, contract->rank,
                  contract->shape);
    }
    for (uint32_t i = 0; i < dataset->field_count; i++) {
        dataset->private_->row_bytes += fields[i].bytes;
    }
    return CB_OK;
}

enum cb_status cb_dataset_open(struct cb_arena *arena, const struct cb_value *data, const char *folder,
                               const struct cb_contract *contract, struct cb_dataset **out, struct cb_diag *diag)
{
    struct cb_dataset *dataset = CB_NEW(arena, struct cb_dataset);
    struct cb_dataset_private *private = CB_NEW(arena, struct cb_dataset_private);
    struct cb__settings settings;
    struct origin origins[CB__MAX_SOURCES];
    uint32_t count;
    if (!dataset || !private) {
        return no_memory(diag);
    }
    if (!cb_expect_kind(data, CB_KIND_MAP, "`data`", diag)) {
        return CB_INVALID;
    }
    dataset->private_ = private;
    private->arena = arena;
    private->folder = cb_arena_strdup(arena, folder);
    private->cache_limit = CB_DATASET_CACHE_BYTES;
    bool ok = cb__settings_read(arena, data, contract, dataset, &settings, diag);
    private->skips_bad = settings.skips_bad;
    struct cb__spec spec = {data, private->folder, contract ? &dataset->contract : NULL, settings.skips_bad};
    CB_TRY(read_origins(arena, &spec, origins, &count, diag));
    if (!ok) {
        return CB_INVALID;
    }
    CB_TRY(check_alike(origins, count, diag));
    CB_TRY(join(dataset, origins, count, &settings, diag));
    CB_TRY(set_fields(dataset, diag));
    if (!cb__samples_init(dataset)) {
        return no_memory(diag);
    }
    *out = dataset;
    return CB_OK;
}

enum cb_status cb__dataset_of(struct cb_arena *arena, const struct cb__source *source, uint32_t count,
                              const struct cb_contract *contract, struct cb_dataset **out, struct cb_diag *diag)
{
    struct cb_dataset *dataset = CB_NEW(arena, struct cb_dataset);
    struct cb_dataset_private *private = CB_NEW(arena, struct cb_dataset_private);
    struct cb_value *map = cb_value_map(arena, NULL);
    uint8_t *parts = CB_NEW_ARRAY(arena, uint8_t, (size_t)count + 1);
    uint32_t *items = CB_NEW_ARRAY(arena, uint32_t, (size_t)count + 1);
    struct cb__settings settings;
    if (!dataset || !private || !map || !parts || !items) {
        return no_memory(diag);
    }
    for (uint32_t i = 0; i < count; i++) {
        items[i] = i;
    }
    dataset->private_ = private;
    dataset->count = count;
    dataset->parts = parts;
    *private = (struct cb_dataset_private){.arena = arena, .folder = ".", .source_count = 1, .main_count = count,
                                           .cache_limit = CB_DATASET_CACHE_BYTES, .items = items};
    private->sources[0] = source;
    private->first[1] = count;
    if (!cb__settings_read(arena, map, contract, dataset, &settings, diag)) {
        return CB_INVALID;
    }
    CB_TRY(set_fields(dataset, diag));
    if (!cb__samples_init(dataset)) {
        return no_memory(diag);
    }
    *out = dataset;
    return CB_OK;
}

enum cb_status cb_dataset_open_path(struct cb_arena *arena, const char *path, const struct cb_contract *contract,
                                    struct cb_dataset **out, struct cb_diag *diag)
{
    static const char *const tables[] = {".csv", ".tsv", ".jsonl"};
    struct cb_value *map = cb_value_map(arena, NULL);
    bool has_text = contract && contract->rank > 0 && contract->modality == CB_TEXT;
    for (size_t i = 0; i < COUNT_OF(tables); i++) {
        has_text = has_text || cb_ends_with(path, tables[i]);
    }
    const char *key = cb_ends_with(path, ".safetensors") ? "tensors" : has_text ? "text" : "images";
    if (!map || !cb_map_set(arena, map, key, cb_value_text(arena, path, NULL))) {
        return no_memory(diag);
    }
    return cb_dataset_open(arena, map, ".", contract, out, diag);
}

enum cb_status cb_dataset_use_classes(struct cb_dataset *dataset, const char *const *classes, uint32_t class_count,
                                      struct cb_diag *diag)
{
    struct cb_dataset_private *private = dataset->private_;
    const struct cb_place *at = &dataset->map->at;
    if (dataset->target != CB_TARGET_CLASSES) {
        return cb_fail(diag, CB_MISMATCH, at, "the model tells %u classes apart, but the data have %s", class_count,
                       dataset->target == CB_TARGET_VALUES ? "values" : "no labels");
    }
    int32_t *map = CB_NEW_ARRAY(private->arena, int32_t, (size_t)dataset->class_count + 1);
    const char **names = CB_NEW_ARRAY(private->arena, const char *, class_count);
    if (!map || !names) {
        return no_memory(diag);
    }
    enum cb_status status = CB_OK;
    for (uint32_t i = 0; i < dataset->class_count; i++) {
        map[i] = find_name(classes, class_count, dataset->classes[i]);
        if (map[i] < 0 && cb_dataset_class_size(dataset, i) > 0) {
            const char *near = cb_nearest_of(dataset->classes[i], classes, class_count);
            status = cb_fail(diag, CB_MISMATCH, at, "the data have a class `%s` that the model does not know%s%s%s",
                             dataset->classes[i], near ? "; the nearest that it knows is `" : "", near ? near : "",
                             near ? "`" : "");
        }
    }
    CB_TRY(status);
    for (uint32_t i = 0; i < dataset->count; i++) {
        private->labels[i] = map[private->labels[i]];
    }
    for (uint32_t i = 0; i < class_count; i++) {
        names[i] = cb_arena_strdup(private->arena, classes[i]);
        if (!names[i]) {
            return no_memory(diag);
        }
    }
    dataset->classes = names;
    dataset->class_count = class_count;
    return CB_OK;
}

uint32_t cb_dataset_class_size(const struct cb_dataset *dataset, uint32_t class_)
{
    uint32_t size = 0;
    for (uint32_t i = 0; dataset->labels && i < dataset->count; i++) {
        size += dataset->labels[i] == (int32_t)class_;
    }
    return size;
}
