/* structure_align.c: which group of a file is which layer of a network: by order, by numbers in names, by exclusion. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "weights/structure.h"

static void take(struct cb__structure *s, uint32_t group, uint32_t layer)
{
    s->group_of[layer] = group;
    s->layer_of[group] = layer;
}

/* ---- in order ------------------------------------------------------------------------------------------------------ */

/* What moves as one: a layer, or a layer and the normalisation behind it. */
struct unit {
    uint32_t first, second; /* second: CB__NONE, or first + 1 */
};
struct sequence {
    struct unit *units;
    uint32_t count;
};

static void add_unit(struct sequence *sequence, uint32_t i, bool joins)
{
    struct unit *last = sequence->count > 0 ? &sequence->units[sequence->count - 1] : NULL;
    if (joins && last != NULL && last->second == CB__NONE && last->first + 1 == i) {
        last->second = i;
    } else {
        sequence->units[sequence->count++] = (struct unit){i, CB__NONE};
    }
}

/* The free groups and layers, in order; with `pairs` each run of vectors joins the layer before it, if that has others. */
static void make_sequences(const struct cb__structure *s, bool pairs, struct sequence *file, struct sequence *net)
{
    file->count = net->count = 0;
    for (uint32_t i = 0; i < s->group_count; i++) {
        if (s->layer_of[i] == CB__NONE) {
            add_unit(file, i, pairs && i > 0 && s->groups[i].is_vectors && !s->groups[i - 1].is_vectors);
        }
    }
    for (uint32_t i = 0; i < s->layer_count; i++) {
        if (s->group_of[i] == CB__NONE) {
            add_unit(net, i, pairs && i > 0 && s->layers[i].is_vectors && !s->layers[i - 1].is_vectors);
        }
    }
}

static bool unit_fits(const struct cb__structure *s, const struct unit *group, const struct unit *layer)
{
    if ((group->second == CB__NONE) != (layer->second == CB__NONE)) {
        return false;
    }
    return cb__fits(s, group->first, layer->first) &&
           (group->second == CB__NONE || cb__fits(s, group->second, layer->second));
}

/* Longest common sequences of the first i and j units, and of those from i and j on. */
struct table {
    uint32_t *before, *after;
    size_t columns;
};

static void fill_table(const struct cb__structure *s, const struct sequence *file, const struct sequence *net,
                       struct table *t)
{
    for (uint32_t i = 1; i <= file->count; i++) {
        for (uint32_t j = 1; j <= net->count; j++) {
            uint32_t *cell = &t->before[i * t->columns + j];
            uint32_t up = cell[-(ptrdiff_t)t->columns], left = cell[-1];
            *cell = up > left ? up : left;
            if (unit_fits(s, &file->units[i - 1], &net->units[j - 1]) && cell[-(ptrdiff_t)t->columns - 1] >= *cell) {
                *cell = cell[-(ptrdiff_t)t->columns - 1] + 1;
            }
        }
    }
    for (uint32_t i = file->count; i-- > 0;) {
        for (uint32_t j = net->count; j-- > 0;) {
            uint32_t *cell = &t->after[i * t->columns + j];
            uint32_t down = cell[t->columns], right = cell[1];
            *cell = down > right ? down : right;
            if (unit_fits(s, &file->units[i], &net->units[j]) && cell[t->columns + 1] >= *cell) {
                *cell = cell[t->columns + 1] + 1;
            }
        }
    }
}

static bool is_on_a_longest(const struct cb__structure *s, const struct sequence *file, const struct sequence *net,
                            const struct table *t, uint32_t i, uint32_t j)
{
    return unit_fits(s, &file->units[i], &net->units[j]) &&
           t->before[i * t->columns + j] + 1 + t->after[(i + 1) * t->columns + j + 1] == t->after[0];
}

/* Takes the pairs of the one longest sequence; where there are several, the pairs that all of them share. */
static void take_sequence(struct cb__structure *s, const struct sequence *file, const struct sequence *net,
                          const struct table *t, uint32_t *uses)
{
    for (uint32_t i = 0; i < file->count; i++) {
        uses[i] = 0;
        for (uint32_t j = 0; j < net->count; j++) {
            uses[i] += is_on_a_longest(s, file, net, t, i, j);
        }
    }
    for (uint32_t j = 0; j < net->count; j++) {
        uint32_t found = CB__NONE, ways = 0;
        for (uint32_t i = 0; i < file->count; i++) {
            if (is_on_a_longest(s, file, net, t, i, j)) {
                found = i;
                ways++;
            }
        }
        const struct unit *layer = &net->units[j];
        if (ways == 0) {
            continue;
        }
        const struct unit *group = &file->units[found];
        if (ways > 1 || uses[found] > 1) {
            s->is_doubtful[layer->first] = true;
            if (layer->second != CB__NONE) {
                s->is_doubtful[layer->second] = true;
            }
            continue;
        }
        take(s, group->first, layer->first);
        if (layer->second != CB__NONE) {
            take(s, group->second, layer->second);
        }
    }
}

static bool is_whole(const struct cb__structure *s)
{
    for (uint32_t j = 0; j < s->layer_count; j++) {
        if (s->group_of[j] == CB__NONE) {
            return false;
        }
    }
    return true;
}

static enum cb_status align(struct cb__structure *s, bool pairs, struct cb_diag *diag)
{
    struct sequence file = {calloc((size_t)s->group_count + 1, sizeof(struct unit)), 0};
    struct sequence net = {calloc((size_t)s->layer_count + 1, sizeof(struct unit)), 0};
    struct table t = {0};
    uint32_t *uses = calloc((size_t)s->group_count + 1, sizeof(*uses));
    enum cb_status status = CB_OK;
    if (file.units != NULL && net.units != NULL) {
        make_sequences(s, pairs, &file, &net);
        t.columns = (size_t)net.count + 1;
        t.before = calloc(((size_t)file.count + 1) * t.columns, sizeof(uint32_t));
        t.after = calloc(((size_t)file.count + 1) * t.columns, sizeof(uint32_t));
    }
    if (t.before != NULL && t.after != NULL && uses != NULL) {
        fill_table(s, &file, &net, &t);
        take_sequence(s, &file, &net, &t, uses);
    } else {
        status = cb_fail(diag, CB_MEMORY, NULL, "no memory to compare %u layers with %u", s->group_count, s->layer_count);
    }
    free(file.units);
    free(net.units);
    free(t.before);
    free(t.after);
    free(uses);
    return status;
}

enum cb_status cb__align_in_order(struct cb__structure *s, struct cb_diag *diag)
{
    CB_TRY(align(s, true, diag));
    cb__align_rest(s);
    if (is_whole(s)) {
        return CB_OK;
    }
    /* Pairs that do not meet their like, as where all normalisations stand behind all convolutions: one by one. */
    bool is_settled = false;
    for (uint32_t j = 0; j < s->layer_count; j++) {
        is_settled = is_settled || s->is_doubtful[j];
    }
    if (!is_settled) {
        CB_TRY(align(s, false, diag));
        cb__align_rest(s);
    }
    return CB_OK;
}

/* ---- by exclusion -------------------------------------------------------------------------------------------------- */

/* The only free group that fits the layer; CB__NONE: none or several. */
static uint32_t only_group(const struct cb__structure *s, uint32_t layer, uint32_t *out_count)
{
    uint32_t found = CB__NONE;
    *out_count = 0;
    for (uint32_t i = 0; i < s->group_count; i++) {
        if (s->layer_of[i] == CB__NONE && cb__fits(s, i, layer)) {
            found = i;
            ++*out_count;
        }
    }
    return found;
}

static uint32_t count_layers(const struct cb__structure *s, uint32_t group)
{
    uint32_t count = 0;
    for (uint32_t j = 0; j < s->layer_count; j++) {
        count += s->group_of[j] == CB__NONE && cb__fits(s, group, j);
    }
    return count;
}

void cb__align_rest(struct cb__structure *s)
{
    bool goes_on = true;
    while (goes_on) {
        goes_on = false;
        for (uint32_t j = 0; j < s->layer_count; j++) {
            uint32_t ways;
            uint32_t group = s->group_of[j] == CB__NONE ? only_group(s, j, &ways) : CB__NONE;
            if (group != CB__NONE && ways == 1 && count_layers(s, group) == 1) {
                take(s, group, j);
                goes_on = true;
            }
        }
    }
}

/* ---- by numbers ---------------------------------------------------------------------------------------------------- */

/* True when two names first differ in a number: then that says which comes first. */
static bool differs_in_number(const char *a, const char *b)
{
    size_t same = 0;
    while (a[same] != '\0' && a[same] == b[same]) {
        same++;
    }
    while (same > 0 && isdigit((unsigned char)a[same - 1])) {
        same--;
    }
    return isdigit((unsigned char)a[same]) && isdigit((unsigned char)b[same]);
}

static int by_natural_name(const void *a, const void *b, void *context)
{
    const struct cb__structure *s = context;
    return cb_natural_compare(s->groups[*(const uint32_t *)a].name, s->groups[*(const uint32_t *)b].name);
}

/* Groups that fit the same layers as group `like`, and only they fit those: all of them, sorted by name. */
static bool list_class(struct cb__structure *s, uint32_t like, uint32_t *groups, uint32_t *out_groups, uint32_t *layers,
                       uint32_t *out_layers)
{
    uint32_t group_count = 0, layer_count = 0;
    for (uint32_t j = 0; j < s->layer_count; j++) {
        if (s->group_of[j] == CB__NONE && cb__fits(s, like, j)) {
            layers[layer_count++] = j;
        }
    }
    for (uint32_t i = 0; i < s->group_count; i++) {
        uint32_t shared = 0;
        for (uint32_t k = 0; k < layer_count && s->layer_of[i] == CB__NONE; k++) {
            shared += cb__fits(s, i, layers[k]);
        }
        if (shared == 0) {
            continue;
        }
        if (shared != layer_count || count_layers(s, i) != layer_count) {
            return false;
        }
        groups[group_count++] = i;
    }
    qsort_r(groups, group_count, sizeof(*groups), by_natural_name, s);
    *out_groups = group_count;
    *out_layers = layer_count;
    return true;
}

static bool is_numbered(const struct cb__structure *s, const uint32_t *groups, uint32_t count)
{
    for (uint32_t k = 1; k < count; k++) {
        if (!differs_in_number(s->groups[groups[k - 1]].name, s->groups[groups[k]].name)) {
            return false;
        }
    }
    return true;
}

enum cb_status cb__align_by_numbers(struct cb__structure *s, struct cb_diag *diag)
{
    uint32_t *groups = calloc((size_t)s->group_count + 1, sizeof(*groups));
    uint32_t *layers = calloc((size_t)s->layer_count + 1, sizeof(*layers));
    enum cb_status status = CB_OK;
    if (groups == NULL || layers == NULL) {
        status = cb_fail(diag, CB_MEMORY, NULL, "no memory to compare %u layers with %u", s->group_count, s->layer_count);
    }
    for (uint32_t i = 0; status == CB_OK && i < s->group_count; i++) {
        uint32_t group_count, layer_count;
        if (s->layer_of[i] != CB__NONE || !list_class(s, i, groups, &group_count, layers, &layer_count)) {
            continue;
        }
        if (group_count == layer_count && is_numbered(s, groups, group_count)) {
            for (uint32_t k = 0; k < group_count; k++) {
                take(s, groups[k], layers[k]);
            }
        } else {
            for (uint32_t k = 0; k < layer_count; k++) {
                s->is_doubtful[layers[k]] = true;
            }
        }
    }
    free(groups);
    free(layers);
    if (status == CB_OK) {
        cb__align_rest(s);
    }
    return status;
}
