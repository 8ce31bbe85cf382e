/* split.c: which samples train, which test, which validate. See split.h. */
#include "data/split.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/dataset_internal.h"

/* ---- random order ------------------------------------------------------------------------------------------------------ */

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void cb_shuffle(uint64_t seed, uint64_t stream, uint32_t *items, uint32_t count)
{
    uint64_t state = seed;
    state = splitmix(&state) ^ stream;
    (void)splitmix(&state);
    for (uint32_t i = count; i > 1; i--) {
        uint64_t limit = UINT64_MAX / i * i, draw; /* reject the uneven end: every order equally likely */
        do {
            draw = splitmix(&state);
        } while (draw >= limit);
        uint32_t k = (uint32_t)(draw % i), swap = items[i - 1];
        items[i - 1] = items[k];
        items[k] = swap;
    }
}

/* ---- choices ------------------------------------------------------------------------------------------------------------ */

enum role { TEST, VALIDATION, TRAIN, ROLE_COUNT };
static const char *const role_keys[] = {"test", "validation", "train"};
enum { STREAM_CHOICE = 1, STREAM_FOLD = 100 };

enum kind { CHOICE_DEFAULT, CHOICE_PER_CLASS, CHOICE_FRACTION, CHOICE_SPLIT, CHOICE_FILES, CHOICE_FOLDS, CHOICE_REST,
            CHOICE_NONE, CHOICE_SOURCE };

struct choice {
    enum kind kind;
    const struct cb_value *value;
    int64_t number;
    double fraction;
    const char *text;
};

struct splitting {
    struct cb_arena *arena;
    const struct cb_dataset *dataset;
    struct choice choices[ROLE_COUNT];
    uint8_t *taken;   /* per sample: role + 1, or 0 */
    int64_t *totals;  /* per class: samples that random choices begin with; fractions are of these */
    struct cb_diag *diag;
};

static enum cb_status read_map(struct splitting *s, enum role role, const struct cb_value *value, struct choice *out)
{
    static const char *const keys[] = {"per_class", "fraction", "split", "files", "folds"};
    static const enum kind kinds[] = {CHOICE_PER_CLASS, CHOICE_FRACTION, CHOICE_SPLIT, CHOICE_FILES, CHOICE_FOLDS};
    if (!cb_expect_keys(value, keys, 5, "in a choice of samples", s->diag)) {
        return CB_INVALID;
    }
    if (value->as.map.count != 1) {
        return cb_fail(s->diag, CB_INVALID, &value->at, "`%s` must hold one of per_class, fraction, split, files, folds",
                       role_keys[role]);
    }
    const struct cb_value *v = value->as.map.entries[0].value;
    for (int i = 0; i < 5; i++) {
        out->kind = strcmp(value->as.map.entries[0].key, keys[i]) == 0 ? kinds[i] : out->kind;
    }
    bool ok = true;
    switch (out->kind) {
    case CHOICE_PER_CLASS:
    case CHOICE_FOLDS:
        ok = v->kind == CB_KIND_INT && v->as.integer >= (out->kind == CHOICE_FOLDS ? 2 : 1) && v->as.integer <= 1000000000;
        out->number = ok ? v->as.integer : 0;
        break;
    case CHOICE_FRACTION:
        ok = cb_value_number(v, &out->fraction) && out->fraction > 0 && out->fraction < 1;
        break;
    default:
        ok = v->kind == CB_KIND_TEXT;
        out->text = v->text;
        break;
    }
    if (!ok) {
        return cb_fail(s->diag, CB_INVALID, &v->at, "`%s` must be %s", value->as.map.entries[0].key,
                       out->kind == CHOICE_PER_CLASS ? "an integer of at least 1"
                       : out->kind == CHOICE_FOLDS   ? "an integer of at least 2"
                       : out->kind == CHOICE_FRACTION ? "a number between 0 and 1"
                                                      : "a text");
    }
    if (out->kind == CHOICE_FOLDS && role != TEST) {
        return cb_fail(s->diag, CB_INVALID, &value->at, "`folds` is a choice of `test`");
    }
    if (out->kind == CHOICE_PER_CLASS && s->dataset->target != CB_TARGET_CLASSES) {
        return cb_fail(s->diag, CB_MISMATCH, &value->at, "`per_class` needs classes, but the labels are values");
    }
    return CB_OK;
}

static enum cb_status read_choice(struct splitting *s, enum role role)
{
    const struct cb_value *value = cb_map_get(s->dataset->map, role_keys[role]);
    struct choice *out = &s->choices[role];
    out->value = value;
    if (value == NULL || value->kind == CB_KIND_NULL) {
        return CB_OK;
    }
    if (value->kind == CB_KIND_MAP && cb__is_source(value)) {
        out->kind = CHOICE_SOURCE;
        return CB_OK;
    }
    if (value->kind == CB_KIND_MAP) {
        return read_map(s, role, value, out);
    }
    if (value->kind == CB_KIND_TEXT && strcmp(value->text, "rest") == 0) {
        out->kind = CHOICE_REST;
        return CB_OK;
    }
    if (value->kind == CB_KIND_TEXT && strcmp(value->text, "none") == 0 && role != TRAIN) {
        out->kind = CHOICE_NONE;
        return CB_OK;
    }
    return cb_fail(s->diag, CB_INVALID, &value->at,
                   "`%s` must be a choice ({per_class: 10}, {fraction: 0.8}, {split: train}, {files: list.txt}, rest%s) or "
                   "a source of its own", role_keys[role], role == TRAIN ? "" : ", none");
}

static bool has_part(const struct cb_dataset *d, enum cb_part part)
{
    for (uint32_t i = 0; i < d->count; i++) {
        if (d->parts[i] == part) {
            return true;
        }
    }
    return false;
}

/* What nothing was said of: the parts that the folder has, else everything trains. */
static enum cb_status fill_defaults(struct splitting *s)
{
    static const enum cb_part parts[] = {CB_PART_TEST, CB_PART_VALIDATION, CB_PART_TRAIN};
    static const char *const names[] = {"test", "validation", "train"};
    uint32_t rests = 0;
    for (int role = 0; role < ROLE_COUNT; role++) {
        struct choice *c = &s->choices[role];
        if (c->kind == CHOICE_DEFAULT && has_part(s->dataset, parts[role])) {
            c->kind = CHOICE_SPLIT;
            c->text = names[role];
        } else if (c->kind == CHOICE_DEFAULT) {
            c->kind = role == TRAIN ? CHOICE_REST : CHOICE_NONE;
            c->number = -1; /* by default: a test that is none is cross-validated */
        }
        rests += c->kind == CHOICE_REST && c->value != NULL;
    }
    struct choice *train = &s->choices[TRAIN];
    if (train->kind == CHOICE_REST && train->value == NULL && rests > 0) {
        return cb_fail(s->diag, CB_INVALID, &s->dataset->map->at, "`rest` needs a choice of what trains: say `train: "
                                                                 "{per_class: 10}`, for example");
    }
    if (rests > 1) {
        return cb_fail(s->diag, CB_INVALID, &s->dataset->map->at, "only one of `train`, `test`, `validation` can be `rest`");
    }
    return CB_OK;
}

/* ---- taking -------------------------------------------------------------------------------------------------------------- */

static bool is_free(const struct splitting *s, uint32_t i)
{
    return s->taken[i] == 0 && !cb_dataset_is_bad(s->dataset, i) && i < s->dataset->private_->main_count;
}

static enum cb_status take_part(struct splitting *s, enum role role)
{
    static const char *const names[] = {"train", "test", "validation"};
    static const char *const other[] = {"train", "test", "val"};
    const struct choice *c = &s->choices[role];
    int part = -1;
    uint32_t count = 0;
    for (int i = 0; i < 3; i++) {
        part = strcmp(c->text, names[i]) == 0 || strcmp(c->text, other[i]) == 0 ? i : part;
    }
    for (uint32_t i = 0; part >= 0 && i < s->dataset->private_->main_count; i++) {
        if (s->dataset->parts[i] == CB_PART_TRAIN + part && is_free(s, i)) {
            s->taken[i] = (uint8_t)(role + 1);
            count++;
        }
    }
    if (count == 0) {
        return cb_fail(s->diag, CB_NOT_FOUND, c->value != NULL ? &c->value->at : &s->dataset->map->at,
                       "the data has no part `%s`", c->text);
    }
    return CB_OK;
}

static void take_source(struct splitting *s, enum role role)
{
    static const enum cb_part parts[] = {CB_PART_TEST, CB_PART_VALIDATION, CB_PART_TRAIN};
    const struct cb_dataset *d = s->dataset;
    uint32_t from = s->choices[TRAIN].kind == CHOICE_SOURCE && role == TRAIN ? 0 : d->private_->main_count;
    for (uint32_t i = from; i < d->count; i++) {
        if (d->parts[i] == parts[role] && s->taken[i] == 0 && !cb_dataset_is_bad(d, i)) {
            s->taken[i] = (uint8_t)(role + 1);
        }
    }
}

struct name_entry {
    const char *name;
    uint32_t sample;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct name_entry *)a)->name, ((const struct name_entry *)b)->name);
}

/* Lines name files relative to the images' folder: the end of a path, at a separator. */
static enum cb_status take_files(struct splitting *s, enum role role)
{
    const struct choice *c = &s->choices[role];
    const struct cb_value *images = cb_map_get(s->dataset->map, "images");
    char *path = cb_path_join(s->arena, s->dataset->private_->folder, c->text), *text;
    char *root = images != NULL && images->text != NULL
                     ? cb_path_join(s->arena, s->dataset->private_->folder, images->text)
                     : NULL;
    size_t bytes;
    uint32_t count = s->dataset->private_->main_count, used = 0;
    CB_TRY(cb_file_read(s->arena, path, 64u << 20, &text, &bytes, &c->value->at, s->diag));
    struct name_entry *names = CB_NEW_ARRAY(s->arena, struct name_entry, count + 1);
    size_t root_length = root != NULL ? strlen(root) : 0;
    if (names == NULL) {
        return cb_fail(s->diag, CB_MEMORY, NULL, "out of memory");
    }
    while (root_length > 0 && root[root_length - 1] == '/') {
        root[--root_length] = '\0';
    }
    for (uint32_t i = 0; i < count; i++) {
        const char *name = cb_dataset_path(s->dataset, i);
        if (name != NULL && root != NULL && cb_starts_with(name, root) && name[root_length] == '/') {
            name += root_length + strspn(name + root_length, "/");
        }
        if (name != NULL) {
            names[used++] = (struct name_entry){cb_arena_strdup(s->arena, name), i};
        }
    }
    qsort(names, used, sizeof(*names), by_text);
    int line = 0;
    for (char *at = text; at != NULL && *at != '\0';) {
        char *end = strchr(at, '\n');
        line++;
        if (end != NULL) {
            *end = '\0';
        }
        at[strcspn(at, "\r")] = '\0';
        struct name_entry key = {at, 0};
        struct name_entry *found = at[0] != '\0' ? bsearch(&key, names, used, sizeof(*names), by_text) : NULL;
        if (at[0] != '\0' && found == NULL) {
            struct cb_source source = {.name = path};
            struct cb_place place = {&source, line, 1};
            return cb_fail(s->diag, CB_NOT_FOUND, &place, "the data has no file `%s`", at);
        }
        if (found != NULL && is_free(s, found->sample)) {
            s->taken[found->sample] = (uint8_t)(role + 1);
        }
        at = end != NULL ? end + 1 : NULL;
    }
    return CB_OK;
}

static uint32_t class_of(const struct cb_dataset *d, uint32_t sample)
{
    return d->labels != NULL ? (uint32_t)d->labels[sample] : 0;
}

static uint32_t group_of(const struct cb_dataset *d, uint32_t sample)
{
    return d->groups != NULL ? (uint32_t)d->groups[sample] : sample;
}

static uint32_t class_count_of(const struct cb_dataset *d)
{
    return d->target == CB_TARGET_CLASSES ? d->class_count : 1;
}

/* Free samples in random order. Without groups each class keeps its own stream, so that adding one class leaves the
 * choice of the others as it was. */
static uint32_t *shuffled(struct splitting *s, uint32_t *out_count)
{
    const struct cb_dataset *d = s->dataset;
    uint32_t *items = CB_NEW_ARRAY(s->arena, uint32_t, d->count + 1), count = 0;
    for (uint32_t k = 0; items != NULL && k < class_count_of(d); k++) {
        uint32_t first = count;
        for (uint32_t i = 0; i < d->private_->main_count; i++) {
            if (is_free(s, i) && class_of(d, i) == k) {
                items[count++] = i;
            }
        }
        cb_shuffle(d->seed, ((uint64_t)STREAM_CHOICE << 32) + k, items + first, count - first);
    }
    if (items != NULL && d->groups != NULL) {
        cb_shuffle(d->seed, (uint64_t)STREAM_CHOICE << 33, items, count);
    }
    *out_count = count;
    return items;
}

/* How many of each class are wanted. */
static enum cb_status wanted_of(struct splitting *s, enum role role, int64_t *wanted)
{
    const struct cb_dataset *d = s->dataset;
    const struct choice *c = &s->choices[role];
    uint32_t classes = class_count_of(d);
    struct cb_text short_ones = {0};
    for (uint32_t i = 0; i < d->private_->main_count; i++) {
        wanted[class_of(d, i)] += is_free(s, i);
    }
    for (uint32_t k = 0; k < classes; k++) {
        if (c->kind == CHOICE_FRACTION) {
            int64_t share = (int64_t)floor((double)s->totals[k] * c->fraction + 0.5);
            wanted[k] = share < wanted[k] ? share : wanted[k];
            continue;
        }
        if (wanted[k] < c->number) {
            cb_text_addf(&short_ones, "%s`%s` has %" PRId64, short_ones.length > 0 ? ", " : "", d->classes[k], wanted[k]);
        }
        wanted[k] = c->number;
    }
    enum cb_status status = CB_OK;
    if (short_ones.length > 0) {
        status = cb_fail(s->diag, CB_INVALID, &c->value->at, "`%s` wants %" PRId64 " of each class, but %s", role_keys[role],
                         c->number, short_ones.data);
    }
    cb_text_free(&short_ones);
    return status;
}

static enum cb_status take_random(struct splitting *s, enum role role)
{
    const struct cb_dataset *d = s->dataset;
    uint32_t count;
    uint32_t *order = shuffled(s, &count);
    int64_t *wanted = CB_NEW_ARRAY(s->arena, int64_t, class_count_of(d) + 1);
    if (order == NULL || wanted == NULL) {
        return cb_fail(s->diag, CB_MEMORY, NULL, "out of memory");
    }
    CB_TRY(wanted_of(s, role, wanted));
    for (uint32_t i = 0; i < count; i++) {
        if (!is_free(s, order[i]) || wanted[class_of(d, order[i])] <= 0) {
            continue;
        }
        for (uint32_t k = 0; k < d->private_->main_count; k++) { /* the whole group comes along */
            uint32_t other = d->groups != NULL ? k : order[i];
            if (is_free(s, other) && group_of(d, other) == group_of(d, order[i])) {
                s->taken[other] = (uint8_t)(role + 1);
                wanted[class_of(d, other)]--;
            }
            if (d->groups == NULL) {
                break;
            }
        }
    }
    return CB_OK;
}

static enum cb_status take(struct splitting *s, enum role role)
{
    switch (s->choices[role].kind) {
    case CHOICE_SPLIT:
        return take_part(s, role);
    case CHOICE_FILES:
        return take_files(s, role);
    case CHOICE_SOURCE:
        take_source(s, role);
        return CB_OK;
    case CHOICE_PER_CLASS:
    case CHOICE_FRACTION:
        return take_random(s, role);
    default:
        return CB_OK;
    }
}

static bool is_fixed(enum kind kind)
{
    return kind == CHOICE_SPLIT || kind == CHOICE_FILES || kind == CHOICE_SOURCE;
}

static enum cb_status collect(struct splitting *s, enum role role, struct cb_indices *out)
{
    const struct cb_dataset *d = s->dataset;
    out->items = CB_NEW_ARRAY(s->arena, uint32_t, d->count + 1);
    if (out->items == NULL) {
        return cb_fail(s->diag, CB_MEMORY, NULL, "out of memory");
    }
    for (uint32_t i = 0; i < d->count; i++) {
        if (s->choices[role].kind == CHOICE_REST && is_free(s, i)) {
            s->taken[i] = (uint8_t)(role + 1);
        }
        if (s->taken[i] == role + 1) {
            out->items[out->count++] = i;
        }
    }
    return CB_OK;
}

enum cb_status cb_split_make(struct cb_arena *arena, const struct cb_dataset *dataset, struct cb_split *out,
                             struct cb_diag *diag)
{
    struct splitting s = {.arena = arena, .dataset = dataset, .diag = diag};
    struct cb_split split = {0};
    s.taken = CB_NEW_ARRAY(arena, uint8_t, dataset->count + 1);
    s.totals = CB_NEW_ARRAY(arena, int64_t, class_count_of(dataset) + 1);
    if (s.taken == NULL || s.totals == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    for (int role = 0; role < ROLE_COUNT; role++) {
        CB_TRY(read_choice(&s, (enum role)role));
    }
    CB_TRY(fill_defaults(&s));
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; pass == 1 && i < dataset->private_->main_count; i++) {
            s.totals[class_of(dataset, i)] += is_free(&s, i);
        }
        for (int role = 0; role < ROLE_COUNT; role++) {
            if (is_fixed(s.choices[role].kind) == (pass == 0)) {
                CB_TRY(take(&s, (enum role)role));
            }
        }
    }
    CB_TRY(collect(&s, TEST, &split.test));
    CB_TRY(collect(&s, VALIDATION, &split.validation));
    CB_TRY(collect(&s, TRAIN, &split.train));
    split.has_test = split.test.count > 0;
    split.has_validation = split.validation.count > 0;
    for (uint32_t i = 0; i < dataset->count; i++) {
        split.unused += s.taken[i] == 0 && !cb_dataset_is_bad(dataset, i);
    }
    const struct choice *test = &s.choices[TEST];
    if (split.train.count == 0) {
        return cb_fail(diag, CB_INVALID, &dataset->map->at, "no samples are left to train on");
    }
    if (!split.has_test && test->kind != CHOICE_NONE && test->kind != CHOICE_FOLDS) {
        return cb_fail(diag, CB_INVALID, &dataset->map->at, "no samples are left to test on");
    }
    if (test->kind == CHOICE_FOLDS || (test->kind == CHOICE_NONE && test->value == NULL)) {
        uint32_t folds = test->kind == CHOICE_FOLDS ? (uint32_t)test->number : 5;
        split.fold_count = cb_split_max_folds(dataset, &split.train, folds);
        if (split.fold_count < 2 || (test->kind == CHOICE_FOLDS && split.fold_count < folds)) {
            return cb_fail(diag, CB_INVALID, test->value != NULL ? &test->value->at : &dataset->map->at,
                           "cross-validation in %u folds needs %u samples (or groups) of each class; or say `test: none`",
                           folds, folds < 2 ? 2 : test->kind == CHOICE_FOLDS ? folds : 2);
        }
    }
    *out = split;
    return CB_OK;
}

/* ---- folds --------------------------------------------------------------------------------------------------------------- */

uint32_t cb_split_max_folds(const struct cb_dataset *d, const struct cb_indices *pool, uint32_t wanted)
{
    uint32_t classes = class_count_of(d), least = wanted;
    int64_t *last = calloc(pool->count + 1u, sizeof(*last));
    for (uint32_t k = 0; last != NULL && k < classes; k++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < pool->count; i++) {
            if (class_of(d, pool->items[i]) != k) {
                continue;
            }
            bool seen = false;
            for (uint32_t n = 0; d->groups != NULL && n < count && !seen; n++) {
                seen = last[n] == d->groups[pool->items[i]];
            }
            if (!seen) {
                last[count++] = group_of(d, pool->items[i]);
            }
            if (count >= wanted) {
                break;
            }
        }
        least = count < least ? count : least;
    }
    free(last);
    return least;
}

enum cb_status cb_split_fold(struct cb_arena *arena, const struct cb_dataset *d, const struct cb_indices *pool,
                             uint32_t fold_count, uint32_t fold, uint64_t seed, struct cb_indices *out_train,
                             struct cb_indices *out_test, struct cb_diag *diag)
{
    uint32_t *order = CB_NEW_ARRAY(arena, uint32_t, pool->count + 1);
    uint32_t *fold_of = CB_NEW_ARRAY(arena, uint32_t, d->count + 1);
    out_train->items = CB_NEW_ARRAY(arena, uint32_t, pool->count + 1);
    out_test->items = CB_NEW_ARRAY(arena, uint32_t, pool->count + 1);
    if (order == NULL || fold_of == NULL || out_train->items == NULL || out_test->items == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    if (cb_split_max_folds(d, pool, fold_count) < fold_count) {
        return cb_fail(diag, CB_INVALID, NULL, "a class has fewer than %u samples (or groups): too few for %u folds",
                       fold_count, fold_count);
    }
    memset(fold_of, 0xff, d->count * sizeof(*fold_of));
    uint32_t next = 0; /* goes round over all classes, so that folds are of equal size too */
    for (uint32_t k = 0; k < class_count_of(d); k++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < pool->count; i++) {
            if (class_of(d, pool->items[i]) == k) {
                order[count++] = pool->items[i];
            }
        }
        cb_shuffle(seed, ((uint64_t)STREAM_FOLD << 32) + k, order, count);
        for (uint32_t i = 0; i < count; i++) {
            if (fold_of[order[i]] != UINT32_MAX) {
                continue;
            }
            for (uint32_t n = 0; d->groups != NULL && n < pool->count; n++) {
                if (d->groups[pool->items[n]] == d->groups[order[i]]) {
                    fold_of[pool->items[n]] = next % fold_count;
                }
            }
            fold_of[order[i]] = next++ % fold_count;
        }
    }
    out_train->count = out_test->count = 0;
    for (uint32_t i = 0; i < pool->count; i++) {
        struct cb_indices *to = fold_of[pool->items[i]] == fold ? out_test : out_train;
        to->items[to->count++] = pool->items[i];
    }
    return CB_OK;
}
