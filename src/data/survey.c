/* survey.c: looking at every picture of a dataset. See survey.h. */
#include "data/survey.h"

#include <stdlib.h>
#include <string.h>

#include "data/threads.h"

struct look {
    bool readable;
    uint32_t width, height, channels;
    uint64_t hash[4]; /* of the pixels as enum cb_twin has them */
    char *reason;
};

struct work {
    struct cb_dataset *dataset;
    struct look *looks;
};

const char *cb_twin_name(enum cb_twin kind)
{
    static const char *const names[] = {"the same", "mirrored", "upside down", "turned by 180 degrees"};
    return names[kind];
}

/* FNV-1a over the pixels in the order of the twin, after width and height. */
static uint64_t hash_of(const struct cb_image *image, enum cb_twin kind)
{
    bool mirrored = kind == CB_TWIN_MIRRORED || kind == CB_TWIN_TURNED;
    bool flipped = kind == CB_TWIN_UPSIDE_DOWN || kind == CB_TWIN_TURNED;
    uint64_t hash = 0xcbf29ce484222325u ^ ((uint64_t)image->width << 32 | image->height);
    for (uint32_t y = 0; y < image->height; y++) {
        const uint8_t *row = image->data + (size_t)(flipped ? image->height - 1 - y : y) * image->width * 3;
        for (uint32_t x = 0; x < image->width; x++) {
            const uint8_t *pixel = row + (size_t)(mirrored ? image->width - 1 - x : x) * 3;
            for (int c = 0; c < 3; c++) {
                hash = (hash ^ pixel[c]) * 0x100000001b3u;
            }
        }
    }
    return hash;
}

static bool look_at(void *context, uint32_t i)
{
    struct work *w = context;
    struct look *look = &w->looks[i];
    struct cb_image image = {0};
    struct cb_diag *diag = cb_diag_create();
    if (cb_dataset_image(w->dataset, i, &image, diag) == CB_OK) {
        look->width = image.width;
        look->height = image.height;
        look->channels = image.channels;
        look->readable = cb_image_convert(&image, 3, w->dataset->background);
        for (int k = 0; k < 4 && look->readable; k++) {
            look->hash[k] = hash_of(&image, (enum cb_twin)k);
        }
    } else {
        const char *text = cb_diag_text(diag, 0);
        look->reason = strdup(text != NULL ? text : "cannot be read");
    }
    cb_image_free(&image);
    cb_diag_destroy(diag);
    return true;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t middle(const struct look *looks, uint32_t count, bool width, uint32_t *room, uint32_t *least,
                       uint32_t *most)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (looks[i].readable) {
            room[n++] = width ? looks[i].width : looks[i].height;
        }
    }
    qsort(room, n, sizeof(*room), by_number);
    *least = n > 0 ? room[0] : 0;
    *most = n > 0 ? room[n - 1] : 0;
    return n > 0 ? room[n / 2] : 0;
}

struct key {
    uint64_t hash;
    uint32_t sample;
};

static int by_hash(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    if (x->hash != y->hash) {
        return x->hash < y->hash ? -1 : 1;
    }
    return x->sample < y->sample ? -1 : x->sample > y->sample;
}

/* The first sample whose pixels are `hash`; UINT32_MAX when there is none. */
static uint32_t find(const struct key *keys, uint32_t count, uint64_t hash)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (keys[mid].hash < hash) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < count && keys[low].hash == hash ? keys[low].sample : UINT32_MAX;
}

static bool find_duplicates(struct cb_arena *arena, const struct cb_dataset *d, const struct look *looks,
                            struct cb_survey *out)
{
    struct key *keys = calloc(d->count + 1u, sizeof(*keys));
    struct cb_duplicate *found = CB_NEW_ARRAY(arena, struct cb_duplicate, d->count + 1);
    uint32_t count = 0;
    if (keys == NULL || found == NULL) {
        free(keys);
        return false;
    }
    for (uint32_t i = 0; i < d->count; i++) {
        if (looks[i].readable) {
            keys[count++] = (struct key){looks[i].hash[0], i};
        }
    }
    qsort(keys, count, sizeof(*keys), by_hash);
    for (uint32_t i = 0; i < d->count; i++) {
        for (int k = 0; looks[i].readable && k < 4; k++) {
            uint32_t first = find(keys, count, looks[i].hash[k]);
            if (first >= i) {
                continue;
            }
            found[out->duplicate_count++] = (struct cb_duplicate){
                .first = first, .second = i, .kind = (enum cb_twin)k,
                .classes_differ = d->labels != NULL && d->labels[first] != d->labels[i]};
            break;
        }
    }
    out->duplicates = found;
    free(keys);
    return true;
}

static bool summarise(struct cb_arena *arena, const struct cb_dataset *d, const struct look *looks,
                      struct cb_survey *out)
{
    struct cb_unreadable *unreadable = CB_NEW_ARRAY(arena, struct cb_unreadable, d->count + 1);
    uint32_t *room = calloc(d->count + 1u, sizeof(*room));
    bool ok = unreadable != NULL && room != NULL;
    for (uint32_t i = 0; ok && i < d->count; i++) {
        if (!looks[i].readable) {
            unreadable[out->unreadable_count++] = (struct cb_unreadable){
                i, cb_arena_strdup(arena, looks[i].reason != NULL ? looks[i].reason : "out of memory")};
            continue;
        }
        out->readable++;
        out->grey += looks[i].channels == 1;
        out->rgb += looks[i].channels == 3;
        out->rgba += looks[i].channels == 4;
    }
    if (ok) {
        out->unreadable = unreadable;
        out->median_width = middle(looks, d->count, true, room, &out->min_width, &out->max_width);
        out->median_height = middle(looks, d->count, false, room, &out->min_height, &out->max_height);
        ok = find_duplicates(arena, d, looks, out);
    }
    free(room);
    return ok;
}

enum cb_status cb_dataset_survey(struct cb_arena *arena, struct cb_dataset *dataset, cb_progress progress, void *context,
                                 struct cb_survey *out, struct cb_diag *diag)
{
    struct work work = {.dataset = dataset, .looks = calloc(dataset->count + 1u, sizeof(struct look))};
    struct cb_survey survey = {0};
    enum cb_status status = CB_OK;
    if (work.looks == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    if (!cb__parallel(dataset->count, look_at, &work, progress, context)) {
        status = CB_INTERRUPTED;
    } else if (!summarise(arena, dataset, work.looks, &survey)) {
        status = cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    } else {
        *out = survey;
    }
    for (uint32_t i = 0; i < dataset->count; i++) {
        free(work.looks[i].reason);
    }
    free(work.looks);
    return status;
}
