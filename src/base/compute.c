/* compute.c: the operators and functions of expressions. See expression.h. */
#include <math.h>
#include <string.h>

#include "base/expression_internal.h"
#include "base/text.h"

static enum cb_status give(struct cb_value *value, const struct cb_place *at, struct cb_value **out, struct cb_diag *diag)
{
    *out = value;
    return value != NULL ? CB_OK : cb_fail(diag, CB_MEMORY, at, "out of memory");
}

bool cb__values_equal(const struct cb_value *a, const struct cb_value *b)
{
    double x, y;
    if (cb_value_number(a, &x) && cb_value_number(b, &y)) {
        return a->kind == CB_KIND_INT && b->kind == CB_KIND_INT ? a->as.integer == b->as.integer : x == y;
    }
    if (a->kind != b->kind) {
        return false;
    }
    switch (a->kind) {
    case CB_KIND_NULL:
        return true;
    case CB_KIND_BOOL:
        return a->as.boolean == b->as.boolean;
    case CB_KIND_TEXT:
        return strcmp(a->text, b->text) == 0;
    case CB_KIND_LIST:
        for (size_t i = 0; i < a->as.list.count && a->as.list.count == b->as.list.count; i++) {
            if (!cb__values_equal(a->as.list.items[i], b->as.list.items[i])) {
                return false;
            }
        }
        return a->as.list.count == b->as.list.count;
    default:
        return false;
    }
}

static bool integer_result(const char *operator, int64_t a, int64_t b, int64_t *out, const char **error)
{
    *error = NULL;
    switch (operator[0]) {
    case '+':
        return !__builtin_add_overflow(a, b, out);
    case '-':
        return !__builtin_sub_overflow(a, b, out);
    case '*':
        if (operator[1] == '*') {
            *out = 1;
            for (int64_t i = 0; i < b; i++) {
                if (__builtin_mul_overflow(*out, a, out)) {
                    return false;
                }
                if (*out == 0 || (*out == 1 && a == 1)) {
                    break;
                }
                if (i > 64) { /* only -1 comes here */
                    *out = b % 2 == 0 ? 1 : -1;
                    break;
                }
            }
            return true;
        }
        return !__builtin_mul_overflow(a, b, out);
    default: { /* // and % */
        if (b == 0) {
            *error = "a division by zero";
            return false;
        }
        if (a == INT64_MIN && b == -1) {
            return false;
        }
        const bool is_down = a % b != 0 && (a % b < 0) != (b < 0);
        *out = operator[0] == '/' ? a / b - is_down : a % b + (is_down ? b : 0);
        return true;
    }
    }
}

static double real_result(const char *operator, double a, double b)
{
    switch (operator[0]) {
    case '+':
        return a + b;
    case '-':
        return a - b;
    case '*':
        return operator[1] == '*' ? pow(a, b) : a * b;
    case '/':
        return operator[1] == '/' ? floor(a / b) : a / b;
    default:
        return a - b * floor(a / b);
    }
}

static enum cb_status join_lists(struct cb_arena *arena, const struct cb_value *a, const struct cb_value *b,
                                 const struct cb_place *at, struct cb_value **out, struct cb_diag *diag)
{
    struct cb_value *list = cb_value_list(arena, at);
    const struct cb_value *both[2] = {a, b};
    if (a->as.list.count + b->as.list.count > CB__EXPRESSION_MAX_ITEMS) {
        return cb_fail(diag, CB_INVALID, at, "a list of more than %d", CB__EXPRESSION_MAX_ITEMS);
    }
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < both[side]->as.list.count; i++) {
            if (!cb_list_append(arena, list, both[side]->as.list.items[i])) {
                return cb_fail(diag, CB_MEMORY, at, "out of memory");
            }
        }
    }
    return give(list, at, out, diag);
}

enum cb_status cb__compute(struct cb_arena *arena, const char *operator, const struct cb_value *a, const struct cb_value *b,
                           const struct cb_place *at, struct cb_value **out, struct cb_diag *diag)
{
    double x, y;
    if (operator[0] == '+' && a->kind == CB_KIND_LIST && b->kind == CB_KIND_LIST) {
        return join_lists(arena, a, b, at, out, diag);
    }
    if (operator[0] == '+' && a->kind == CB_KIND_TEXT && b->kind == CB_KIND_TEXT) {
        char *joined = cb_arena_printf(arena, "%s%s", a->text, b->text);
        return give(joined != NULL ? cb_value_text(arena, joined, at) : NULL, at, out, diag);
    }
    if (!cb_value_number(a, &x) || !cb_value_number(b, &y)) {
        return cb_fail(diag, CB_INVALID, at, "`%s` needs numbers on both sides, not %s and %s", operator, cb_kind_name(a->kind), cb_kind_name(b->kind));
    }
    const bool divides = operator[0] == '/' || operator[0] == '%';
    const bool is_real = strcmp(operator, "/") == 0 || (operator[1] == '*' && y < 0);
    if (a->kind == CB_KIND_INT && b->kind == CB_KIND_INT && !is_real) {
        int64_t result;
        const char *error;
        if (!integer_result(operator, a->as.integer, b->as.integer, &result, &error)) {
            return cb_fail(diag, CB_INVALID, at, "%s", error != NULL ? error : "the result does not fit in 64 bits");
        }
        return give(cb_value_int(arena, result, at), at, out, diag);
    }
    const double result = real_result(operator, x, y);
    if ((divides && y == 0) || !isfinite(result)) {
        return cb_fail(diag, CB_INVALID, at, "%s", divides && y == 0 ? "a division by zero" : "the result is not a finite number");
    }
    return give(cb_value_real(arena, result, at), at, out, diag);
}

/* ---- functions ----------------------------------------------------------------------------------------------------- */

struct call {
    struct cb_arena *arena;
    const struct cb_value *arguments; /* a list */
    const struct cb_place *at;
    struct cb_diag *diag;
};

static const struct cb_value *argument(const struct call *c, size_t i)
{
    return c->arguments->as.list.items[i];
}

static enum cb_status number_needed(const struct call *c, const char *name, const struct cb_value *value)
{
    return cb_fail(c->diag, CB_INVALID, c->at, "`%s` takes numbers, not %s", name, cb_kind_name(value->kind));
}

/* The one list that is the argument, or the arguments as a list. */
static const struct cb_value *as_list(const struct call *c)
{
    const bool is_list = c->arguments->as.list.count == 1 && argument(c, 0)->kind == CB_KIND_LIST;
    return is_list ? argument(c, 0) : c->arguments;
}

/* min, max */
static enum cb_status extreme(const struct call *c, const char *name, struct cb_value **out)
{
    const struct cb_value *list = as_list(c);
    if (list->as.list.count == 0) {
        return cb_fail(c->diag, CB_INVALID, c->at, "`%s` of nothing", name);
    }
    *out = list->as.list.items[0];
    for (size_t i = 0; i < list->as.list.count; i++) {
        double best, x;
        if (!cb_value_number(*out, &best) || !cb_value_number(list->as.list.items[i], &x)) {
            return number_needed(c, name, list->as.list.items[i]);
        }
        *out = (name[1] == 'i' ? x < best : x > best) ? list->as.list.items[i] : *out;
    }
    return CB_OK;
}

static enum cb_status sum(const struct call *c, struct cb_value **out)
{
    const struct cb_value *list = as_list(c);
    CB_TRY(give(cb_value_int(c->arena, 0, c->at), c->at, out, c->diag));
    for (size_t i = 0; i < list->as.list.count; i++) {
        CB_TRY(cb__compute(c->arena, "+", *out, list->as.list.items[i], c->at, out, c->diag));
    }
    return CB_OK;
}

static enum cb_status range(const struct call *c, struct cb_value **out)
{
    const bool has_first = c->arguments->as.list.count == 2;
    const struct cb_value *end = argument(c, has_first ? 1 : 0);
    if (end->kind != CB_KIND_INT || argument(c, 0)->kind != CB_KIND_INT) {
        return cb_fail(c->diag, CB_INVALID, c->at, "`range` takes integers");
    }
    const int64_t first = has_first ? argument(c, 0)->as.integer : 0;
    if (end->as.integer > first && (uint64_t)end->as.integer - (uint64_t)first > CB__EXPRESSION_MAX_ITEMS) {
        return cb_fail(c->diag, CB_INVALID, c->at, "a list of more than %d", CB__EXPRESSION_MAX_ITEMS);
    }
    CB_TRY(give(cb_value_list(c->arena, c->at), c->at, out, c->diag));
    for (int64_t i = first; i < end->as.integer; i++) {
        if (!cb_list_append(c->arena, *out, cb_value_int(c->arena, i, c->at))) {
            return cb_fail(c->diag, CB_MEMORY, c->at, "out of memory");
        }
    }
    return CB_OK;
}

static enum cb_status integer_of(const struct call *c, double x, struct cb_value **out)
{
    if (!(fabs(x) < 0x1p62)) {
        return cb_fail(c->diag, CB_INVALID, c->at, "the result does not fit in 64 bits");
    }
    return give(cb_value_int(c->arena, (int64_t)x, c->at), c->at, out, c->diag);
}

static enum cb_status divisible(const struct call *c, struct cb_value **out)
{
    double x, d;
    if (!cb_value_number(argument(c, 0), &x) || !cb_value_number(argument(c, 1), &d) || !(d >= 1)) {
        return cb_fail(c->diag, CB_INVALID, c->at, "`divisible` takes a number and a divisor of at least 1");
    }
    const double nearest = fmax(d, floor((x + d / 2) / d) * d);
    return integer_of(c, nearest < 0.9 * x ? nearest + d : nearest, out);
}

static enum cb_status absolute(const struct call *c, struct cb_value **out)
{
    const struct cb_value *x = argument(c, 0);
    if (x->kind == CB_KIND_INT && x->as.integer > INT64_MIN) {
        return give(cb_value_int(c->arena, x->as.integer < 0 ? -x->as.integer : x->as.integer, c->at), c->at, out, c->diag);
    }
    return x->kind == CB_KIND_REAL ? give(cb_value_real(c->arena, fabs(x->as.real), c->at), c->at, out, c->diag)
                                   : number_needed(c, "abs", x);
}

/* int, round, floor, ceil: integers of a number. Halves are rounded to even, as Python does. */
static enum cb_status rounded(const struct call *c, const char *name, struct cb_value **out)
{
    double x;
    if (!cb_value_number(argument(c, 0), &x)) {
        return number_needed(c, name, argument(c, 0));
    }
    if (argument(c, 0)->kind == CB_KIND_INT) {
        return give(cb_value_clone(c->arena, argument(c, 0)), c->at, out, c->diag);
    }
    return integer_of(c, name[0] == 'i' ? trunc(x) : name[0] == 'r' ? nearbyint(x) : name[0] == 'f' ? floor(x) : ceil(x), out);
}

static enum cb_status length_of(const struct call *c, struct cb_value **out)
{
    const struct cb_value *all = argument(c, 0);
    if (all->kind != CB_KIND_LIST && all->kind != CB_KIND_MAP) {
        return cb_fail(c->diag, CB_INVALID, c->at, "`len` takes a list, not %s", cb_kind_name(all->kind));
    }
    const size_t count = all->kind == CB_KIND_LIST ? all->as.list.count : all->as.map.count;
    return give(cb_value_int(c->arena, (int64_t)count, c->at), c->at, out, c->diag);
}

static const struct {
    const char *name;
    size_t least, most; /* arguments */
} functions[] = {{"min", 1, 1000}, {"max", 1, 1000}, {"abs", 1, 1},   {"int", 1, 1},  {"round", 1, 1},     {"floor", 1, 1},
                 {"ceil", 1, 1},   {"len", 1, 1},    {"sum", 1, 1000}, {"range", 1, 2}, {"divisible", 2, 2}};
#define FUNCTION_COUNT (sizeof(functions) / sizeof(functions[0]))

static const char *function_name(const void *context, size_t i)
{
    (void)context;
    return i < FUNCTION_COUNT ? functions[i].name : NULL;
}

enum cb_status cb__call_function(struct cb_arena *arena, const char *name, size_t length, const struct cb_value *arguments,
                                 const struct cb_place *at, struct cb_value **out, struct cb_diag *diag)
{
    const struct call call = {arena, arguments, at, diag};
    const size_t given = arguments->as.list.count;
    char *word = cb_arena_printf(arena, "%.*s", (int)(length < 64 ? length : 64), name);
    size_t i = 0;
    if (word == NULL) {
        return cb_fail(diag, CB_MEMORY, at, "out of memory");
    }
    while (i < FUNCTION_COUNT && strcmp(functions[i].name, word) != 0) {
        i++;
    }
    if (i == FUNCTION_COUNT) {
        const char *nearest = cb_nearest(word, function_name, NULL);
        return cb_fail(diag, CB_INVALID, at, "there is no function `%s`%s%s%s", word,
                       nearest != NULL ? "; did you mean `" : "", nearest != NULL ? nearest : "",
                       nearest != NULL ? "`?" : "");
    }
    if (given < functions[i].least || given > functions[i].most) {
        return cb_fail(diag, CB_INVALID, at, "`%s` takes %zu%s, not %zu", word, functions[i].least,
                       functions[i].most == functions[i].least ? "" : functions[i].most == 2 ? " or 2" : " and more", given);
    }
    switch (i) {
    case 0:
    case 1:
        return extreme(&call, word, out);
    case 2:
        return absolute(&call, out);
    case 7:
        return length_of(&call, out);
    case 8:
        return sum(&call, out);
    case 9:
        return range(&call, out);
    case 10:
        return divisible(&call, out);
    default:
        return rounded(&call, word, out);
    }
}
