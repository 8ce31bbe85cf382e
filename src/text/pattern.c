/* pattern.c: regular expressions of tokenizer.json. Those that many tokenizers use are matched by hand (scan.c); a
 * literal text is looked for as it is; any other goes to PCRE2, where Cambium is built with it, in the meaning that
 * Oniguruma, which the originals use, gives it: \s is White_Space, a class's && is refused. */
#include "text/internal.h"

#ifdef CB_HAVE_PCRE2
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#endif

#define MAX_PATTERN 4096u

struct cb__pattern {
    const char *literal; /* NULL: none */
    size_t literal_bytes;
    cb__scan scan; /* NULL: none */
#ifdef CB_HAVE_PCRE2
    pcre2_code *code;
#endif
};

#ifdef CB_HAVE_PCRE2
static void release_code(void *code)
{
    pcre2_code_free(code);
}

/* Oniguruma's \s and \h in PCRE2's words; NULL when memory is exhausted, or where a construct means another thing. */
static char *translate(struct cb_arena *arena, const char *pattern, const char **out_refused)
{
    struct cb_text text = {0};
    bool in_class = false;
    for (const char *p = pattern; *p && !*out_refused; p++) {
        if (*p == '\\' && p[1] != '\0') {
            char one[3] = {p[0], p[1], '\0'};
            const char *other = p[1] == 's' ? "\\p{White_Space}" : p[1] == 'S' ? "\\P{White_Space}" : one;
            *out_refused = strchr("hHRXOyYKGmM", p[1]) ? one[1] == 'h' ? "\\h" : "an escape of Oniguruma's" : NULL;
            cb_text_add(&text, other);
            p++;
            continue;
        }
        if (in_class && *p == '&' && p[1] == '&') {
            *out_refused = "&&";
        } else if (in_class && *p == '[' && p[1] != ':') {
            *out_refused = "a class within a class";
        }
        if (*p == '[') {
            in_class = true;
            if (p[1] == '^') {
                cb_text_add(&text, "[");
                p++;
            }
        } else if (*p == ']') {
            in_class = false;
        }
        cb_text_add_bytes(&text, p, 1);
    }
    char *copy = text.failed || *out_refused ? NULL : cb_arena_strdup(arena, text.data ? text.data : "");
    cb_text_free(&text);
    return copy;
}

static enum cb_status compile(struct cb_arena *arena, const char *text, struct cb__pattern *pattern,
                              const struct cb_place *at, struct cb_diag *diag)
{
    const char *refused = NULL;
    char *translated = translate(arena, text, &refused);
    int code;
    PCRE2_SIZE offset;
    if (refused) {
        return cb_fail(diag, CB_UNSUPPORTED, at, "the pattern `%s` uses %s, which is not supported", text, refused);
    }
    if (!translated) {
        return cb_fail(diag, CB_MEMORY, at, "out of memory while reading a pattern");
    }
    pattern->code = pcre2_compile((PCRE2_SPTR)translated, PCRE2_ZERO_TERMINATED,
                                  PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK | PCRE2_NEVER_BACKSLASH_C, &code, &offset,
                                  NULL);
    if (!pattern->code) {
        PCRE2_UCHAR why[160];
        pcre2_get_error_message(code, why, sizeof(why));
        return cb_fail(diag, CB_UNSUPPORTED, at, "the pattern `%s` is not understood: %s", text, (const char *)why);
    }
    (void)pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE); /* slower without, but the same */
    return cb_arena_on_destroy(arena, release_code, pattern->code)
               ? CB_OK : cb_fail(diag, CB_MEMORY, at, "out of memory while reading a pattern");
}

static bool find_compiled(const struct cb__pattern *pattern, const char *text, size_t bytes, size_t from,
                          size_t *out_begin, size_t *out_end, bool *out_failed)
{
    pcre2_match_data *match = pcre2_match_data_create_from_pattern(pattern->code, NULL);
    int found = match ? pcre2_match(pattern->code, (PCRE2_SPTR)text, bytes, from, PCRE2_NO_UTF_CHECK, match, NULL)
                      : PCRE2_ERROR_NOMEMORY;
    if (found >= 0) {
        const PCRE2_SIZE *places = pcre2_get_ovector_pointer(match);
        *out_begin = places[0];
        *out_end = places[1] > places[0] ? places[1] : places[0];
    }
    *out_failed |= found < 0 && found != PCRE2_ERROR_NOMATCH;
    pcre2_match_data_free(match);
    return found >= 0;
}
#endif

enum cb_status cb__pattern_create(struct cb_arena *arena, const char *text, bool is_literal,
                                  const struct cb__pattern **out, const struct cb_place *at, struct cb_diag *diag)
{
    struct cb__pattern *pattern = CB_NEW(arena, struct cb__pattern);
    if (!pattern) {
        return cb_fail(diag, CB_MEMORY, at, "out of memory while reading a pattern");
    }
    *out = pattern;
    if (strlen(text) > MAX_PATTERN) {
        return cb_fail(diag, CB_UNSUPPORTED, at, "a pattern of %zu letters; at most %u are read", strlen(text),
                       MAX_PATTERN);
    }
    if (is_literal || text[strcspn(text, "\\^$.|?*+()[]{}")] == '\0') {
        pattern->literal = cb_arena_strdup(arena, text);
        pattern->literal_bytes = strlen(text);
        return pattern->literal ? CB_OK : cb_fail(diag, CB_MEMORY, at, "out of memory while reading a pattern");
    }
    pattern->scan = cb__scan_of(text);
    if (pattern->scan) {
        return CB_OK;
    }
#ifdef CB_HAVE_PCRE2
    return compile(arena, text, pattern, at, diag);
#else
    return cb_fail(diag, CB_UNSUPPORTED, at, "the pattern `%s` is none of those known by heart, and this Cambium was"
                   " built without PCRE2, which reads others", text);
#endif
}

bool cb__pattern_find(const struct cb__pattern *pattern, const char *text, size_t bytes, size_t from,
                      size_t *out_begin, size_t *out_end, bool *out_failed)
{
    if (pattern->literal) {
        const char *found = pattern->literal_bytes == 0 || from >= bytes ? NULL
                            : memmem(text + from, bytes - from, pattern->literal, pattern->literal_bytes);
        if (!found) {
            return false;
        }
        *out_begin = (size_t)(found - text);
        *out_end = *out_begin + pattern->literal_bytes;
        return true;
    }
    if (pattern->scan) {
        *out_begin = from;
        *out_end = from < bytes ? pattern->scan(text, bytes, from) : from;
        return from < bytes;
    }
#ifdef CB_HAVE_PCRE2
    return find_compiled(pattern, text, bytes, from, out_begin, out_end, out_failed);
#else
    *out_failed = true;
    return false;
#endif
}
