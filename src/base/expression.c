/* expression.c: see expression.h. A parser that computes as it reads, one function for each level of precedence. */
#include "base/expression.h"

#include <string.h>

#include "base/expression_internal.h"
#include "base/number.h"

#define MAX_DEPTH 40

struct parser {
    struct cb_arena *arena;
    const char *begin, *at; /* at: the next letter */
    struct cb_place place;  /* of `begin` */
    const struct cb_names *names;
    struct cb_diag *diag;
    int depth;
    bool skips; /* within the branch of an `if` that is not taken: names are not looked up, nothing is computed */
};

static struct cb_place here(const struct parser *p)
{
    struct cb_place place = p->place;
    place.column += (int)(p->at - p->begin);
    return place;
}

#define FAIL(p, ...)                                                                                                       \
    do {                                                                                                                   \
        const struct cb_place failed_at = here(p);                                                                         \
        return cb_fail((p)->diag, CB_INVALID, &failed_at, __VA_ARGS__);                                                    \
    } while (0)

static enum cb_status no_memory(const struct parser *p)
{
    return cb_fail(p->diag, CB_MEMORY, &p->place, "out of memory");
}

static enum cb_status give(const struct parser *p, struct cb_value *value, struct cb_value **out)
{
    *out = value;
    return value != NULL ? CB_OK : no_memory(p);
}

/* ---- letters ------------------------------------------------------------------------------------------------------- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void skip_space(struct parser *p)
{
    while (*p->at == ' ' || *p->at == '\t' || *p->at == '\n') {
        p->at++;
    }
}

/* Takes `symbol` where it stands next; a word only as a whole. */
static bool take(struct parser *p, const char *symbol)
{
    skip_space(p);
    const size_t length = strlen(symbol);
    if (strncmp(p->at, symbol, length) != 0 ||
        (is_letter(symbol[0]) && (is_letter(p->at[length]) || is_digit(p->at[length])))) {
        return false;
    }
    p->at += length;
    return true;
}

static enum cb_status truth(struct parser *p, const struct cb_value *value, bool *out)
{
    if (!p->skips && value->kind != CB_KIND_BOOL) {
        FAIL(p, "true or false is needed here, not %s", cb_kind_name(value->kind));
    }
    *out = !p->skips && value->as.boolean;
    return CB_OK;
}

static enum cb_status compute(struct parser *p, const char *operator, const struct cb_value *a, const struct cb_value *b,
                              struct cb_value **out)
{
    const struct cb_place at = here(p);
    return p->skips ? CB_OK : cb__compute(p->arena, operator, a, b, &at, out, p->diag);
}

/* ---- the levels, from the tightest to the loosest ------------------------------------------------------------------- */

static enum cb_status read_choice(struct parser *p, struct cb_value **out);

/* Values up to `close`, into a list. */
static enum cb_status read_items(struct parser *p, const char *close, struct cb_value **out)
{
    struct cb_value *list = cb_value_list(p->arena, &p->place), *item = NULL;
    if (list == NULL) {
        return no_memory(p);
    }
    while (!take(p, close)) {
        if (list->as.list.count > 0 && !take(p, ",")) {
            FAIL(p, "a comma or `%s` is missing here", close);
        }
        if (list->as.list.count > 0 && take(p, close)) {
            break;
        }
        CB_TRY(read_choice(p, &item));
        if (list->as.list.count == CB__EXPRESSION_MAX_ITEMS || !cb_list_append(p->arena, list, item)) {
            FAIL(p, "a list of more than %d", CB__EXPRESSION_MAX_ITEMS);
        }
    }
    *out = list;
    return CB_OK;
}

static enum cb_status read_quoted(struct parser *p, struct cb_value **out)
{
    const char quote = *p->at++, *end = strchr(p->at, quote);
    if (end == NULL) {
        FAIL(p, "this text has no end: a %c is missing", quote);
    }
    char *text = cb_arena_printf(p->arena, "%.*s", (int)(end - p->at), p->at);
    p->at = end + 1;
    return give(p, text != NULL ? cb_value_text(p->arena, text, &p->place) : NULL, out);
}

static enum cb_status read_digits(struct parser *p, struct cb_value **out)
{
    char digits[64];
    size_t length = 0;
    const char *end = p->at;
    while (is_digit(*end) || *end == '.' || is_letter(*end) ||
           ((*end == '-' || *end == '+') && (end[-1] == 'e' || end[-1] == 'E'))) {
        end++;
    }
    length = (size_t)(end - p->at);
    if (length < sizeof(digits)) {
        memcpy(digits, p->at, length);
        digits[length] = '\0';
        int64_t integer;
        double real;
        const enum cb__number kind = cb__read_number(digits, &integer, &real);
        if (kind == CB__NUMBER_INT || kind == CB__NUMBER_REAL) {
            p->at = end;
            return give(p, kind == CB__NUMBER_INT ? cb_value_int(p->arena, integer, &p->place)
                                                  : cb_value_real(p->arena, real, &p->place), out);
        }
    }
    FAIL(p, "`%.*s` is no number", (int)(length < 40 ? length : 40), p->at);
}

static enum cb_status read_word(struct parser *p, struct cb_value **out)
{
    const struct cb_place place = here(p);
    const char *begin = p->at;
    while (is_letter(*p->at) || is_digit(*p->at) || (*p->at == '.' && is_letter(p->at[1]))) {
        p->at++;
    }
    const size_t length = (size_t)(p->at - begin);
    skip_space(p);
    if (*p->at == '(') {
        struct cb_value *arguments = NULL;
        p->at++;
        CB_TRY(read_items(p, ")", &arguments));
        return p->skips ? CB_OK : cb__call_function(p->arena, begin, length, arguments, &place, out, p->diag);
    }
    if (p->skips) {
        return CB_OK;
    }
    const struct cb_value *found = NULL;
    CB_TRY(p->names->find(p->names->context, begin, length, &place, &found, p->diag));
    return give(p, cb_value_clone(p->arena, found), out);
}

static enum cb_status read_atom(struct parser *p, struct cb_value **out)
{
    static const char *const constants[] = {"true", "false", "null"};
    struct cb_value *nothing = cb_value_clone(p->arena, &(struct cb_value){.kind = CB_KIND_NULL, .at = p->place});
    if (nothing == NULL) {
        return no_memory(p);
    }
    *out = nothing; /* also of what is skipped */
    for (int i = 0; i < 3; i++) {
        if (take(p, constants[i])) {
            return i == 2 ? CB_OK : give(p, cb_value_bool(p->arena, i == 0, &p->place), out);
        }
    }
    skip_space(p);
    if (take(p, "(")) {
        CB_TRY(read_choice(p, out));
        if (!take(p, ")")) {
            FAIL(p, "a `)` is missing here");
        }
        return CB_OK;
    }
    if (take(p, "[")) {
        return read_items(p, "]", out);
    }
    if (*p->at == '\'' || *p->at == '"') {
        return read_quoted(p, out);
    }
    if (is_digit(*p->at) || *p->at == '.') {
        return read_digits(p, out);
    }
    if (is_letter(*p->at)) {
        return read_word(p, out);
    }
    if (*p->at == '\0') {
        FAIL(p, "the expression `%s` ends where a value is missing", p->begin);
    }
    FAIL(p, "a value is missing before `%.12s`", p->at);
}

static enum cb_status read_indexed(struct parser *p, struct cb_value **out)
{
    CB_TRY(read_atom(p, out));
    while (take(p, "[")) {
        struct cb_value *index = NULL;
        CB_TRY(read_choice(p, &index));
        if (!take(p, "]")) {
            FAIL(p, "a `]` is missing here");
        }
        if (p->skips) {
            continue;
        }
        const struct cb_value *list = *out;
        if (list->kind != CB_KIND_LIST || index->kind != CB_KIND_INT) {
            FAIL(p, "[...] takes an integer behind a list, not %s behind %s", cb_kind_name(index->kind),
                 cb_kind_name(list->kind));
        }
        const int64_t count = (int64_t)list->as.list.count;
        const int64_t i = index->as.integer < 0 ? index->as.integer + count : index->as.integer;
        if (i < 0 || i >= count) {
            FAIL(p, "the list has %lld elements, there is no [%lld]", (long long)count, (long long)index->as.integer);
        }
        *out = list->as.list.items[i];
    }
    return CB_OK;
}

static enum cb_status read_sign(struct parser *p, struct cb_value **out);

static enum cb_status read_power(struct parser *p, struct cb_value **out)
{
    struct cb_value *right = NULL;
    CB_TRY(read_indexed(p, out));
    if (!take(p, "**")) {
        return CB_OK;
    }
    CB_TRY(read_sign(p, &right));
    return compute(p, "**", *out, right, out);
}

/* Every way into an expression within another passes here: depth is counted at this level. */
static enum cb_status read_sign(struct parser *p, struct cb_value **out)
{
    if (p->depth == MAX_DEPTH) {
        FAIL(p, "the expression is more than %d levels deep", MAX_DEPTH);
    }
    p->depth++;
    enum cb_status status;
    if (take(p, "-")) {
        status = read_sign(p, out);
        struct cb_value *zero = status == CB_OK ? cb_value_int(p->arena, 0, &p->place) : NULL;
        status = status != CB_OK ? status : zero != NULL ? compute(p, "-", zero, *out, out) : no_memory(p);
    } else {
        status = read_power(p, out);
    }
    p->depth--;
    return status;
}

/* Left-associative operators of one level; the longer of two that begin alike stands first. */
static enum cb_status read_level(struct parser *p, const char *const *operators,
                                 enum cb_status (*next)(struct parser *, struct cb_value **), struct cb_value **out)
{
    CB_TRY(next(p, out));
    for (;;) {
        size_t i = 0;
        skip_space(p);
        while (operators[i] != NULL && !(strncmp(p->at, "**", 2) != 0 && take(p, operators[i]))) {
            i++;
        }
        if (operators[i] == NULL) {
            return CB_OK;
        }
        struct cb_value *right = NULL;
        CB_TRY(next(p, &right));
        CB_TRY(compute(p, operators[i], *out, right, out));
    }
}

static enum cb_status read_product(struct parser *p, struct cb_value **out)
{
    static const char *const operators[] = {"//", "*", "/", "%", NULL};
    return read_level(p, operators, read_sign, out);
}

static enum cb_status read_sum(struct parser *p, struct cb_value **out)
{
    static const char *const operators[] = {"+", "-", NULL};
    return read_level(p, operators, read_product, out);
}

static enum cb_status read_comparison(struct parser *p, struct cb_value **out)
{
    static const char *const operators[] = {"==", "!=", "<=", ">=", "<", ">", NULL};
    struct cb_value *right = NULL;
    size_t i = 0;
    CB_TRY(read_sum(p, out));
    while (operators[i] != NULL && !take(p, operators[i])) {
        i++;
    }
    if (operators[i] == NULL) {
        return CB_OK;
    }
    CB_TRY(read_sum(p, &right));
    if (p->skips) {
        return CB_OK;
    }
    double a, b;
    bool result = i == 0 ? cb__values_equal(*out, right) : !cb__values_equal(*out, right);
    if (i > 1) {
        if (!cb_value_number(*out, &a) || !cb_value_number(right, &b)) {
            FAIL(p, "`%s` compares numbers, not %s and %s", operators[i], cb_kind_name((*out)->kind),
                 cb_kind_name(right->kind));
        }
        result = i == 2 ? a <= b : i == 3 ? a >= b : i == 4 ? a < b : a > b;
    }
    return give(p, cb_value_bool(p->arena, result, &p->place), out);
}

static enum cb_status read_not(struct parser *p, struct cb_value **out)
{
    int count = 0;
    while (take(p, "not")) {
        count++;
    }
    CB_TRY(read_comparison(p, out));
    if (count == 0 || p->skips) {
        return CB_OK;
    }
    bool is_true = false;
    CB_TRY(truth(p, *out, &is_true));
    return give(p, cb_value_bool(p->arena, is_true != (count % 2 == 1), &p->place), out);
}

/* `and` (or `or`): the right side is skipped where the left one decides. */
static enum cb_status read_logic(struct parser *p, const char *word, bool decides,
                                 enum cb_status (*next)(struct parser *, struct cb_value **), struct cb_value **out)
{
    CB_TRY(next(p, out));
    while (take(p, word)) {
        struct cb_value *right = NULL;
        bool left = false;
        CB_TRY(truth(p, *out, &left));
        const bool skipped = p->skips;
        p->skips = skipped || left == decides;
        CB_TRY(next(p, &right));
        const bool takes_left = p->skips;
        p->skips = skipped;
        bool is_true = false;
        CB_TRY(truth(p, takes_left ? *out : right, &is_true));
        *out = takes_left ? *out : right;
    }
    return CB_OK;
}

static enum cb_status read_and(struct parser *p, struct cb_value **out)
{
    return read_logic(p, "and", false, read_not, out);
}

static enum cb_status read_or(struct parser *p, struct cb_value **out)
{
    return read_logic(p, "or", true, read_and, out);
}

/* Where the `if` of the choice that begins here stands; NULL: it is none. */
static const char *find_if(const struct parser *p)
{
    int depth = 0;
    for (const char *c = p->at; *c != '\0' && depth >= 0; c++) {
        const bool is_word = is_letter(*c) && (c == p->begin || !(is_letter(c[-1]) || is_digit(c[-1])));
        if (*c == '\'' || *c == '"') {
            c = strchr(c + 1, *c);
            if (c == NULL) {
                return NULL;
            }
        } else if (*c == '(' || *c == '[') {
            depth++;
        } else if (*c == ')' || *c == ']') {
            depth--;
        } else if (depth == 0 && *c == ',') {
            return NULL;
        } else if (depth == 0 && is_word && strncmp(c, "if", 2) == 0 && !is_letter(c[2]) && !is_digit(c[2])) {
            return c;
        } else if (depth == 0 && is_word && strncmp(c, "else", 4) == 0 && !is_letter(c[4]) && !is_digit(c[4])) {
            return NULL;
        }
    }
    return NULL;
}

/* The condition is read first, so that only the value that is chosen is computed. */
static enum cb_status read_choice(struct parser *p, struct cb_value **out)
{
    const char *first = p->at, *word = find_if(p), *end;
    const bool skipped = p->skips;
    struct cb_value *condition = NULL, *other = NULL;
    bool is_true = false;
    if (word == NULL) {
        return read_or(p, out);
    }
    p->at = word + 2;
    CB_TRY(read_or(p, &condition));
    CB_TRY(truth(p, condition, &is_true));
    if (!take(p, "else")) {
        FAIL(p, "`a if c else b` lacks its `else`");
    }
    p->skips = skipped || is_true;
    CB_TRY(read_choice(p, &other));
    end = p->at;
    p->at = first;
    p->skips = skipped || !is_true;
    CB_TRY(read_or(p, out));
    p->skips = skipped;
    skip_space(p);
    if (p->at != word) {
        FAIL(p, "`%.12s` does not belong to the expression before it", p->at);
    }
    p->at = end;
    *out = is_true ? *out : other;
    return CB_OK;
}

enum cb_status cb__expression_prefix(struct cb_arena *arena, const char *text, const struct cb_place *at,
                                     const struct cb_names *names, struct cb_value **out, const char **out_end,
                                     struct cb_diag *diag)
{
    struct parser p = {.arena = arena, .begin = text, .at = text, .names = names, .diag = diag};
    if (at != NULL) {
        p.place = *at;
    }
    struct cb_value *value = NULL;
    CB_TRY(read_choice(&p, &value));
    skip_space(&p);
    if (out_end == NULL && *p.at != '\0') {
        FAIL(&p, "`%.12s` does not belong to the expression before it", p.at);
    }
    if (out_end != NULL) {
        *out_end = p.at;
    }
    *out = value;
    return CB_OK;
}

enum cb_status cb_expression_read(struct cb_arena *arena, const char *text, const struct cb_place *at,
                                  const struct cb_names *names, struct cb_value **out, struct cb_diag *diag)
{
    return cb__expression_prefix(arena, text, at, names, out, NULL, diag);
}
