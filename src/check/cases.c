/* cases.c: cases out of a layer's own tables. See check.h.
 *
 * Options: nothing given (where nothing is required), what the example and the trials give, then one option after the
 * other at its bounds, choices and flags. Shapes: a fixed list, first for one input, then for what more inputs may be to
 * it; sequences a second time with lengths. What `infer` refuses is no case; a layer that takes none of them is told so. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "check/check.h"
#include "check/escape.h"

#define MAX_SETS 96
#define MAX_PAIRS 24 /* of options that are changed together */

struct shape {
    uint32_t rank;
    int64_t dims[CB_MAX_RANK];
};

/* One element, odd sizes, channels of 1, 3, 5, 16, 32 and 33. */
static const struct shape shapes[] = {
    {4, {2, 5, 7, 3}}, {4, {1, 1, 1, 1}}, {4, {2, 6, 6, 16}}, {4, {2, 9, 10, 32}}, {4, {3, 6, 4, 5}}, {3, {2, 5, 3}},
    {3, {1, 1, 1}},    {3, {3, 6, 16}},   {2, {3, 7}},        {2, {1, 1}},         {2, {4, 16}},      {2, {5, 33}},
    {3, {2, 7, 6}},    {2, {4, 1}},          {4, {2, 14, 7, 6}},
};

/* For what only many elements show: work-groups beyond the first, sums in parts. */
static const struct shape large_shapes[] = {{4, {3, 37, 29, 19}}, {3, {3, 131, 60}}, {2, {37, 1031}}};

/* What a further input may be beside the first, [N,...,C]. */
enum relation { SAME, NUMBERS, NUMBER_COLUMN, VALUES, GATE, GATE_FLAT, TRANSPOSED, RELATION_COUNT };

static struct shape related(const struct shape *x, enum relation r)
{
    struct shape s = *x;
    switch (r) {
    case NUMBERS:
    case VALUES:
        s.rank = 1;
        break;
    case NUMBER_COLUMN:
        s.rank = 2;
        s.dims[1] = 1;
        break;
    case GATE:
        for (uint32_t i = 1; i + 1 < s.rank; i++) {
            s.dims[i] = 1;
        }
        break;
    case GATE_FLAT:
        s.rank = x->rank < 2 ? x->rank : 2;
        s.dims[s.rank - 1] = x->dims[x->rank - 1];
        break;
    case TRANSPOSED:
        if (s.rank >= 2) {
            s.dims[s.rank - 1] = x->dims[x->rank - 2];
            s.dims[s.rank - 2] = x->dims[x->rank - 1];
        }
        break;
    default:
        break;
    }
    return s;
}

struct maker {
    const struct case_request *request;
    struct cb_arena *arena; /* of the option sets */
    const struct cb_value *sets[MAX_SETS];
    bool is_asked[MAX_SETS];    /* the layer itself names these options: it must take them somewhere */
    bool has_gradient[MAX_SETS]; /* far bounds of reals may leave what central differences can see */
    uint32_t set_count, case_count;
    uint32_t edge_count, edges_of_set; /* cases with edges so far, and of this set of options: a few are enough */
    char refusal[1024]; /* what the layer said to the first shape */
};

/* ---- options ---- */

static void add_set(struct maker *m, struct cb_value *map, bool is_asked, bool has_gradient)
{
    if (m->set_count < MAX_SETS) {
        m->sets[m->set_count] = map;
        m->is_asked[m->set_count] = is_asked;
        m->has_gradient[m->set_count++] = has_gradient;
    }
}

/* An example may speak of 30522 words of 768 numbers; 48 of 48 show the same, and 48 has many divisors. */
static struct cb_value *shrunk(struct maker *m, const struct cb_value *map)
{
    struct cb_value *copy = cb_value_clone(m->arena, map);
    if (copy == NULL) {
        cb__escape("out of memory");
    }
    for (size_t i = 0; i < copy->as.map.count; i++) {
        struct cb_value *v = copy->as.map.entries[i].value;
        if (v->kind == CB_KIND_INT && v->as.integer > 64) {
            copy->as.map.entries[i].value = cb_value_int(m->arena, 48, NULL);
        }
    }
    return copy;
}

/* The options behind every mention of the layer's word in a tree of YAML. */
static void find_sets(struct maker *m, struct cb_value *value)
{
    const char *word = m->request->type->layer.name;
    for (size_t i = 0; value != NULL && value->kind == CB_KIND_LIST && i < value->as.list.count; i++) {
        find_sets(m, value->as.list.items[i]);
    }
    for (size_t i = 0; value != NULL && value->kind == CB_KIND_MAP && i < value->as.map.count; i++) {
        const struct cb_entry *e = &value->as.map.entries[i];
        if (strcmp(e->key, word) == 0 && e->value->kind == CB_KIND_MAP) {
            add_set(m, shrunk(m, e->value), true, true);
        } else {
            find_sets(m, e->value);
        }
    }
}

static void find_sets_in_text(struct maker *m, const char *text)
{
    struct cb_value *read = NULL;
    if (text != NULL && cb_yaml_read_text(m->arena, "the example", text, strlen(text), &read, NULL) == CB_OK) {
        find_sets(m, read);
    }
}

static void add_changed(struct maker *m, const struct cb_value *base, const char *key, struct cb_value *value,
                        bool has_gradient)
{
    struct cb_value *map = base != NULL ? cb_value_clone(m->arena, base) : cb_value_map(m->arena, NULL);
    if (map == NULL || value == NULL || !cb_map_set(m->arena, map, key, value)) {
        cb__escape("out of memory");
    }
    add_set(m, map, false, has_gradient);
}

/* Sizes that a test can carry; bounds of 1e9 cannot be tried. */
static void add_integers(struct maker *m, const struct cb_value *base, const struct cb_option *o)
{
    const bool is_bounded = o->min != 0.0 || o->max != 0.0;
    const double least = is_bounded && o->min > -64.0 ? o->min : 0.0;
    const double tried[] = {least, least + 1.0, least + 2.0, is_bounded && o->max <= 64.0 ? o->max : least + 4.0, -1.0};
    for (size_t i = 0; i < sizeof(tried) / sizeof(tried[0]) - (least < -1.0); i++) {
        if (!is_bounded || (tried[i] >= o->min && tried[i] <= o->max)) {
            add_changed(m, base, o->key, cb_value_int(m->arena, (int64_t)tried[i], NULL), true);
        }
    }
}

static void add_reals(struct maker *m, const struct cb_value *base, const struct cb_option *o)
{
    const double bounds[] = {o->min, o->max};
    for (int i = 0; i < 2 && (o->min != 0.0 || o->max != 0.0); i++) {
        if (bounds[i] == 0.0 || (fabs(bounds[i]) >= 1e-3 && fabs(bounds[i]) <= 1e3)) {
            add_changed(m, base, o->key, cb_value_real(m->arena, bounds[i], NULL), fabs(bounds[i]) <= 10.0);
        }
    }
    const double middle = 0.3 * o->min + 0.7 * o->max;
    if (o->max - o->min > 0.0 && fabs(middle) <= 10.0) {
        add_changed(m, base, o->key, cb_value_real(m->arena, middle, NULL), true);
    }
}

/* Two numbers that differ: what belongs to the height must not serve the width. */
static void add_pair(struct maker *m, const struct cb_value *base, const struct cb_option *o)
{
    struct cb_value *list = cb_value_list(m->arena, NULL);
    const int64_t least = o->min > 1.0 ? (int64_t)o->min : 1;
    if (o->max_count == 1 || (o->max != 0.0 && o->max < (double)(least + 1))) {
        return;
    }
    if (list == NULL || !cb_list_append(m->arena, list, cb_value_int(m->arena, least + 1, NULL)) ||
        !cb_list_append(m->arena, list, cb_value_int(m->arena, least, NULL))) {
        cb__escape("out of memory");
    }
    add_changed(m, base, o->key, list, true);
}

static void add_bounds(struct maker *m, const struct cb_value *base, const struct cb_option *o)
{
    for (int i = 0; o->choices != NULL && o->choices[i] != NULL && i < 6; i++) {
        add_changed(m, base, o->key, cb_value_text(m->arena, o->choices[i], NULL), true);
    }
    if (o->type == CB_OPT_INT) {
        add_integers(m, base, o);
    } else if (o->type == CB_OPT_REAL) {
        add_reals(m, base, o);
    } else if (o->type == CB_OPT_BOOL) {
        add_changed(m, base, o->key, cb_value_bool(m->arena, true, NULL), true);
        add_changed(m, base, o->key, cb_value_bool(m->arena, false, NULL), true);
    } else if (o->type == CB_OPT_INTS) {
        add_pair(m, base, o);
        for (int64_t v = (int64_t)o->min; v <= 3 && (double)v >= o->min && (o->max == 0.0 || (double)v <= o->max); v++) {
            add_changed(m, base, o->key, cb_value_int(m->arena, v, NULL), true);
        }
    }
}

static struct cb_value *reals(struct maker *m, const struct cb_option *o, uint32_t count)
{
    static const double shares[] = {0.7, 0.4, 0.9, 0.2, 0.6, 0.3, 0.8}; /* of the way from bound to bound, or themselves */
    const bool is_between = (o->min != 0.0 || o->max != 0.0) && o->max - o->min <= 10.0;
    struct cb_value *list = cb_value_list(m->arena, NULL);
    for (uint32_t i = 0; i < count; i++) {
        const double v = is_between ? o->min + (o->max - o->min) * shares[i] : fmax(o->min, 0.0) + shares[i];
        if (list == NULL || !cb_list_append(m->arena, list, cb_value_real(m->arena, v, NULL))) {
            cb__escape("out of memory");
        }
    }
    return list;
}

/* One or two values that are neither the default nor a bound: where a factor is forgotten, the default of 1 hides it.
 * Numbers for channels come as 3 and as 7: shapes of both are tried. */
static uint32_t usual_values(struct maker *m, const struct cb_option *o, struct cb_value *out[2])
{
    const char *field = (const char *)m->request->type->layer.defaults + o->offset;
    const bool is_bounded = o->min != 0.0 || o->max != 0.0;
    double real;
    int64_t integer;
    int32_t choice;
    uint32_t flag;
    switch (o->type) {
    case CB_OPT_REAL:
        memcpy(&real, field, sizeof(real));
        real = real == 0.0 ? 0.3 : 0.6 * real;
        out[0] = cb_value_real(m->arena, real, NULL);
        return !is_bounded || (real >= o->min && real <= o->max) ? 1 : 0;
    case CB_OPT_INT:
        memcpy(&integer, field, sizeof(integer));
        out[0] = cb_value_int(m->arena, integer + 1, NULL);
        return integer < 64 && (!is_bounded || ((double)integer + 1 <= o->max && (double)integer + 1 >= o->min)) ? 1 : 0;
    case CB_OPT_BOOL:
        memcpy(&flag, field, sizeof(flag));
        out[0] = cb_value_bool(m->arena, flag == 0, NULL);
        return 1;
    case CB_OPT_CHOICE:
        memcpy(&choice, field, sizeof(choice));
        out[0] = cb_value_text(m->arena, o->choices[choice == 0 && o->choices[1] != NULL ? 1 : 0], NULL);
        return 1;
    case CB_OPT_REALS:
        out[0] = reals(m, o, 3);
        out[1] = reals(m, o, 7);
        return o->max_count == 0 || o->max_count >= 7 ? 2 : o->max_count >= 3 ? 1 : 0;
    default:
        return 0;
    }
}

/* Each option off its default, and two at a time: what they do may meet in one formula. */
static void add_usual(struct maker *m, const struct cb_value *base)
{
    const struct cb_array *table = &m->request->type->layer.options;
    uint32_t pairs = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        struct cb_option a, b;
        struct cb_value *first[2], *second[2];
        cb_options_at(table, i, &a);
        for (uint32_t n = (a.flags & CB_OPTION_CLASSES) != 0 ? 0 : usual_values(m, &a, first); n-- > 0;) {
            add_changed(m, base, a.key, first[n], true);
            const struct cb_value *with_first = m->sets[m->set_count - 1];
            for (uint32_t j = i + 1; j < table->count; j++) {
                cb_options_at(table, j, &b);
                for (uint32_t k = (b.flags & CB_OPTION_CLASSES) != 0 ? 0 : usual_values(m, &b, second); k-- > 0;) {
                    if (pairs++ < MAX_PAIRS) {
                        add_changed(m, with_first, b.key, second[k], true);
                    }
                }
            }
        }
    }
}

static void make_sets(struct maker *m)
{
    const struct cb_layer *l = &m->request->type->layer;
    struct cb_option o;
    const char *required = NULL, *classes = NULL;
    for (uint32_t i = 0; i < l->options.count; i++) {
        cb_options_at(&l->options, i, &o);
        required = (o.flags & CB_OPTION_REQUIRED) != 0 ? o.key : required;
        classes = (o.flags & CB_OPTION_CLASSES) != 0 ? o.key : classes;
    }
    if (classes != NULL) {
        add_changed(m, NULL, classes, cb_value_int(m->arena, 5, NULL), true);
    } else if (required == NULL) {
        add_set(m, NULL, true, true);
    }
    find_sets_in_text(m, l->example);
    for (uint32_t i = 0; i < l->trials.count; i++) {
        find_sets_in_text(m, *(const char *const *)((const char *)l->trials.items + (size_t)i * l->trials.stride));
    }
    const uint32_t asked = m->set_count;
    if (asked == 0) {
        cb__escape("the option `%s` is required: give an `example` that names it", required);
    }
    for (uint32_t i = 0; i < l->options.count && !m->request->is_small && !m->request->is_short; i++) {
        cb_options_at(&l->options, i, &o);
        add_bounds(m, m->sets[0], &o);
    }
    if (!m->request->is_small && !m->request->is_short) {
        add_usual(m, m->sets[0]);
    }
}

/* ---- inputs ---- */

/* What values an input has; the later ones serve layers that are not defined everywhere (log, a probability). */
enum range { AROUND_ZERO, ABOVE_ZERO, BELOW_ONE, RANGE_COUNT };

static struct array draw(struct cb_arena *arena, const struct shape *shape, uint32_t dtype, enum range range, uint32_t seed)
{
    struct array a = cb__array_make(arena, dtype, shape->rank, shape->dims);
    if (dtype == CB_I32) {
        for (int64_t i = 0; i < a.count; i++) {
            a.at.i[i] = range == AROUND_ZERO ? (int32_t)(cb_hash64(&(uint64_t){(uint64_t)i + seed}, 8) >> 20 & 1) + 1 : 0;
        }
        return a;
    }
    cb__array_fill_random(&a, seed, 1.0);
    for (int64_t i = 0; i < a.count; i++) {
        const float v = a.at.f[i], off = v < 0.0f ? -0.05f : 0.05f; /* away from kinks at zero */
        a.at.f[i] = range == AROUND_ZERO ? 1.5f * v + off : range == ABOVE_ZERO ? 1.0f + 0.6f * v : 0.5f + 0.4f * v;
    }
    return a;
}

static void name_case(struct layer_case *c, struct cb_arena *arena)
{
    struct cb_text text = {0};
    for (uint32_t i = 0; i < c->x_count; i++) {
        cb_text_addf(&text, "%s[", i == 0 ? "input " : ", ");
        for (uint32_t d = 0; d < c->x[i].rank; d++) {
            cb_text_addf(&text, "%s%lld", d > 0 ? "," : "", (long long)c->x[i].dims[d]);
        }
        cb_text_add(&text, c->x[i].dtype == CB_I32 ? "] of integers" : "]");
    }
    if (c->options != NULL && c->options->as.map.count > 0) {
        cb_text_add(&text, ", options ");
        cb_value_to_json(c->options, &text);
    }
    cb_text_add(&text, c->training ? ", training" : "");
    if (c->lengths != NULL) {
        cb_text_add(&text, ", lengths ");
        cb_value_to_json(c->lengths, &text);
    }
    const char *name = text.failed ? NULL : cb_arena_strdup(arena, text.data);
    c->name = name != NULL ? name : "a case";
    cb_text_free(&text);
}

/* The first row is whole, the second half padding, of the others one position is real. None is empty: what a layer makes of
 * nothing is its own. */
static const struct cb_value *lengths_of(struct cb_arena *arena, const struct array *x)
{
    struct cb_value *list = cb_value_list(arena, NULL);
    for (int64_t n = 0; n < x->dims[0]; n++) {
        const int64_t length = n == 0 ? x->dims[1] : n == 1 ? (x->dims[1] + 1) / 2 : 1;
        if (list == NULL || !cb_list_append(arena, list, cb_value_int(arena, length, NULL))) {
            cb__escape("out of memory");
        }
    }
    return list;
}

/* Hands the case on; sequences and rows of tokens once more with lengths. */
static void hand_on(struct maker *m, struct layer_case *c, struct cb_arena *arena)
{
    const struct case_request *q = m->request;
    const struct array *x = &c->x[0];
    bool is_sequence = x->rank == (x->dtype == CB_I32 ? 2u : 3u) && x->dims[0] > 1 && x->dims[1] > 1;
    for (uint32_t i = 1; i < c->x_count; i++) {
        is_sequence = is_sequence && (c->x[i].rank < 2 || c->x[i].dims[1] == x->dims[1]);
    }
    m->case_count++;
    q->each(q->context, c, arena);
    if (is_sequence && (!c->training || c->is_usual)) {
        c->lengths = lengths_of(arena, x);
        c->has_edges = false;
        name_case(c, arena);
        q->each(q->context, c, arena);
    }
}

static bool wants_edges(const struct maker *m, uint32_t set)
{
    const struct case_request *q = m->request;
    if (q->is_small) {
        return false;
    }
    return m->is_asked[set] ? m->edge_count < (q->is_short ? 1u : 4u) : m->has_gradient[set] && m->edges_of_set < 1;
}

/* Draws, tries, and hands the case on. False when the layer refuses it. */
static bool make_case(struct maker *m, uint32_t set, const struct shape *x, uint32_t count, enum relation second,
                      enum relation third, uint32_t first_dtype)
{
    const struct case_request *q = m->request;
    const struct cb_layer *l = &q->type->layer;
    bool is_taken = false;
    for (int training = 0; training < 2; training++) {
        const bool differs = (l->flags & (CB_LAYER_RANDOM | CB_LAYER_MODE_DEPENDENT)) != 0;
        for (enum range range = AROUND_ZERO; range < RANGE_COUNT && (training == 0 || differs); range++) {
            struct cb_arena *arena = cb_arena_create();
            if (arena == NULL) {
                cb__escape("out of memory");
            }
            struct layer_case c = {.layer = l->name, .options = m->sets[set], .x_count = count, .training = training != 0,
                                   .tolerance = 1e-5, .is_spread = true, .is_made = true, .is_usual = m->is_asked[set], .seed = 7, .step = 3,
                                   .has_edges = range == AROUND_ZERO && wants_edges(m, set),
                                   .gradient_check = !q->is_small && m->has_gradient[set]};
            if (first_dtype == CB_I32 && !m->is_asked[set]) {
                c.gradient_check = false; /* an option may leave a row without gradient on purpose (padding_idx) */
            }
            for (uint32_t i = 0; i < count; i++) {
                const enum relation r = i == 0 ? SAME : i == 1 ? second : third;
                const struct shape s = related(x, r);
                const bool is_number = i == 0 ? first_dtype == CB_I32 : r == NUMBERS || r == NUMBER_COLUMN;
                c.x[i] = draw(arena, &s, is_number ? CB_I32 : CB_F32, range, 11 + i);
            }
            if ((l->flags & CB_LAYER_FITTED) != 0) {
                c.fit[0] = draw(arena, x, CB_F32, range, 17);
                c.fit_count = 1;
            }
            name_case(&c, arena);
            const char *why = NULL;
            const enum cb_status status = cb__case_try(&c, q->device, q->type, arena, q->diag, q->tally, true, &why);
            const bool is_last = range + 1 == RANGE_COUNT;
            if (status == CB_OK || (status == CB_NUMERIC && is_last && m->is_asked[set])) {
                m->edge_count += c.has_edges && m->is_asked[set];
                m->edges_of_set += c.has_edges;
                hand_on(m, &c, arena);
            } else if (m->refusal[0] == '\0') {
                snprintf(m->refusal, sizeof(m->refusal), "%s, to %s", why, c.name);
            }
            is_taken = is_taken || status == CB_OK || status == CB_NUMERIC;
            cb_arena_destroy(arena);
            if (status != CB_NUMERIC) {
                range = RANGE_COUNT; /* finite, or refused for its shape */
                break;
            }
        }
    }
    return is_taken;
}

/* All ways in which further inputs may follow a first of this shape. */
static bool make_inputs(struct maker *m, uint32_t set, const struct shape *x, uint32_t first_dtype)
{
    const struct cb_layer *l = &m->request->type->layer;
    const uint32_t most = l->max_inputs < 3 ? l->max_inputs : l->min_inputs > 3 ? l->min_inputs : 3;
    bool is_taken = false;
    for (uint32_t count = l->min_inputs > 0 ? l->min_inputs : 1; count <= most; count++) {
        uint32_t taken = 0;
        for (enum relation second = SAME; second < (count > 1 ? RELATION_COUNT : 1) && taken < 3; second++) {
            for (enum relation third = SAME; third < (count > 2 ? GATE : 1) && taken < 3; third++) {
                taken += make_case(m, set, x, count, second, third, first_dtype);
            }
        }
        is_taken = is_taken || taken > 0;
    }
    return is_taken;
}

void cb__cases_make(const struct case_request *request)
{
    struct maker m = {.request = request, .arena = cb_arena_create()};
    const uint32_t shape_count = (uint32_t)(sizeof(shapes) / sizeof(shapes[0]));
    if (m.arena == NULL) {
        cb__escape("out of memory");
    }
    make_sets(&m);
    for (uint32_t set = 0; set < m.set_count; set++) {
        const uint32_t enough = request->is_small ? 2 : request->is_short ? 4 : m.is_asked[set] ? shape_count : 2;
        uint32_t taken = 0;
        m.edges_of_set = 0;
        for (uint32_t i = 0; i < shape_count && taken < enough; i++) {
            if (request->is_small && (i == 2 || i == 3)) {
                continue;
            }
            bool is_taken = make_inputs(&m, set, &shapes[i], CB_F32);
            is_taken = is_taken || make_inputs(&m, set, &shapes[i], CB_I32);
            taken += is_taken;
        }
    }
    for (size_t i = 0; i < sizeof(large_shapes) / sizeof(large_shapes[0]) && !request->is_small && !request->is_short; i++) {
        (void)make_inputs(&m, 0, &large_shapes[i], CB_F32);
    }
    if (m.case_count == 0) {
        char why[1024];
        snprintf(why, sizeof(why), "%s", m.refusal);
        cb_arena_destroy(m.arena);
        cb__escape("the layer takes none of the shapes from [1] to [2,9,10,32]; it said: %s", why);
    }
    cb_arena_destroy(m.arena);
}
