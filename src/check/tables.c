/* tables.c: whether a layer's descriptor says sound things about itself. See check.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "check/check.h"
#include "check/escape.h"

struct tables {
    const struct cb_layer *layer;
    struct cb_arena *arena;
    struct tally *tally;
};

static bool say(struct tables *t, bool is_right, const char *fmt, ...) CB_PRINTF(3, 4);
static bool say(struct tables *t, bool is_right, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = is_right ? NULL : cb_arena_vprintf(t->arena, fmt, args);
    va_end(args);
    *(is_right ? &t->tally->passed : &t->tally->failed) += 1;
    if (t->tally->report != NULL) {
        t->tally->report(t->tally->context, CB_CHECK_TABLES, is_right, text);
    }
    return is_right;
}

static size_t size_of(uint32_t type)
{
    switch (type) {
    case CB_OPT_INT: return sizeof(int64_t);
    case CB_OPT_REAL: return sizeof(double);
    case CB_OPT_BOOL: return sizeof(uint32_t);
    case CB_OPT_CHOICE: return sizeof(int32_t);
    case CB_OPT_TEXT: return sizeof(const char *);
    default: return sizeof(struct cb_list);
    }
}

static bool key_is_sound(const char *key)
{
    return key[0] >= 'a' && key[0] <= 'z' && strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(key);
}

static int32_t choice_count(const struct cb_option *o)
{
    int32_t count = 0;
    while (o->choices != NULL && o->choices[count] != NULL) {
        count++;
    }
    return count;
}

static void check_number(struct tables *t, const struct cb_option *o, double value)
{
    const bool is_bounded = o->min != 0.0 || o->max != 0.0;
    say(t, !is_bounded || (value >= o->min && value <= o->max),
        "the default of option `%s` is %g, outside its own bounds %g to %g", o->key, value, o->min, o->max);
}

/* The default lies within what the table itself allows; of a required option it is never used. */
static void check_default(struct tables *t, const struct cb_option *o)
{
    const char *field = (const char *)t->layer->defaults + o->offset;
    if ((o->flags & (CB_OPTION_REQUIRED | CB_OPTION_CLASSES)) != 0) {
        return;
    }
    if (o->type == CB_OPT_INT) {
        int64_t v;
        memcpy(&v, field, sizeof(v));
        check_number(t, o, (double)v);
    } else if (o->type == CB_OPT_REAL) {
        double v;
        memcpy(&v, field, sizeof(v));
        check_number(t, o, v);
    } else if (o->type == CB_OPT_BOOL) {
        uint32_t v;
        memcpy(&v, field, sizeof(v));
        say(t, v <= 1, "the default of option `%s` is %u, neither 0 nor 1", o->key, v);
    } else if (o->type == CB_OPT_CHOICE) {
        int32_t v;
        memcpy(&v, field, sizeof(v));
        say(t, v >= 0 && v < choice_count(o), "the default of option `%s` is number %d of its %d choices", o->key, v,
            choice_count(o));
    } else if (o->type >= CB_OPT_INTS) {
        struct cb_list list;
        memcpy(&list, field, sizeof(list));
        say(t, list.choice < choice_count(o) && (list.count == 0 || list.items != NULL) &&
                   (o->max_count == 0 || list.count <= o->max_count),
            "the default of option `%s` is no list that its table allows", o->key);
        for (uint32_t i = 0; i < list.count && list.items != NULL && o->type != CB_OPT_TEXTS; i++) {
            check_number(t, o, o->type == CB_OPT_INTS ? (double)((const int64_t *)list.items)[i]
                                                      : ((const double *)list.items)[i]);
        }
    }
}

/* The reader refuses what lies outside the bounds. */
static void check_refused(struct tables *t, const struct cb_option *o, double value)
{
    void *filled = cb_arena_alloc(t->arena, t->layer->options_size + 16);
    struct cb_value *map = cb_value_map(t->arena, NULL);
    struct cb_value *number = o->type == CB_OPT_INT && fabs(value) < 1e15 ? cb_value_int(t->arena, (int64_t)value, NULL)
                                                                          : cb_value_real(t->arena, value, NULL);
    if (filled == NULL || map == NULL || !cb_map_set(t->arena, map, o->key, number)) {
        cb__escape("out of memory");
    }
    say(t, cb_options_read(t->arena, &t->layer->options, t->layer->defaults, t->layer->options_size, map, "the layer", filled,
                           NULL, NULL) != CB_OK,
        "option `%s` takes %g, outside its bounds %g to %g", o->key, value, o->min, o->max);
}

static void check_option(struct tables *t, uint32_t index)
{
    struct cb_option o, other;
    cb_options_at(&t->layer->options, index, &o);
    say(t, key_is_sound(o.key), "the option `%s` is no word of small letters, digits and _", o.key);
    say(t, o.help[0] != '\0', "the option `%s` has no help", o.key);
    say(t, o.min <= o.max && !isnan(o.min) && !isnan(o.max), "the bounds of option `%s`, %g to %g, are the wrong way round",
        o.key, o.min, o.max);
    say(t, o.type != CB_OPT_CHOICE || choice_count(&o) > 0, "the option `%s` has no choices", o.key);
    for (uint32_t i = 0; i < index; i++) {
        cb_options_at(&t->layer->options, i, &other);
        say(t, strcmp(other.key, o.key) != 0, "two options have the name `%s`", o.key);
        say(t, o.offset >= other.offset + size_of(other.type) || other.offset >= o.offset + size_of(o.type),
            "the options `%s` and `%s` lie in the same memory: is one's type or offset wrong?", other.key, o.key);
    }
    if (!say(t, o.offset + size_of(o.type) <= t->layer->options_size,
             "the option `%s` ends at byte %zu, but the options struct has %u bytes", o.key, o.offset + size_of(o.type),
             t->layer->options_size)) {
        return;
    }
    check_default(t, &o);
    if ((o.type == CB_OPT_INT || o.type == CB_OPT_REAL) && (o.min != 0.0 || o.max != 0.0)) {
        const double step = o.type == CB_OPT_INT ? 1.0 : 1.0 + 1e-3 * fmax(fabs(o.min), fabs(o.max));
        if (fabs(o.min) < 1e15) {
            check_refused(t, &o, o.min - step);
        }
        if (fabs(o.max) < 1e15) {
            check_refused(t, &o, o.max + step);
        }
    }
}

void cb__check_tables(const struct cb_layer_type *type, struct cb_arena *arena, struct tally *tally)
{
    struct tables t = {&type->layer, arena, tally};
    const struct cb_layer *l = t.layer;
    struct cb_value *read = NULL;
    say(&t, l->summary != NULL && l->summary[0] != '\0', "there is no `summary`");
    say(&t, l->formula != NULL && l->formula[0] != '\0', "there is no `formula`");
    if (say(&t, l->example != NULL && l->example[0] != '\0', "there is no `example`")) {
        say(&t, cb_yaml_read_text(arena, "the example", l->example, strlen(l->example), &read, NULL) == CB_OK,
            "the example is no YAML: %s", l->example);
        say(&t, strstr(l->example, l->name) != NULL, "the example does not name the layer: %s", l->example);
    }
    for (uint32_t i = 0; i < l->options.count; i++) {
        check_option(&t, i);
    }
}
