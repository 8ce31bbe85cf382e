/* write.c: value trees as JSON (in one line, or indented) and as YAML (block style) that the readers of this program read back. */
#include "base/value.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"

static void add_indent(struct cb_text *out, unsigned levels)
{
    for (unsigned i = 0; i < levels; i++) {
        cb_text_add(out, "  ");
    }
}

/* ---- JSON ------------------------------------------------------------------------------------------------------ */

/* JSON has no infinity and no NaN: both become null. */
static void add_json_real(struct cb_text *out, double real)
{
    if (isfinite(real)) {
        cb__add_real(out, real);
    } else {
        cb_text_add(out, "null");
    }
}

void cb_value_to_json(const struct cb_value *value, struct cb_text *out)
{
    switch (value->kind) {
    case CB_KIND_NULL:
        cb_text_add(out, "null");
        break;
    case CB_KIND_BOOL:
        cb_text_add(out, value->as.boolean ? "true" : "false");
        break;
    case CB_KIND_INT:
        cb_text_addf(out, "%lld", (long long)value->as.integer);
        break;
    case CB_KIND_REAL:
        add_json_real(out, value->as.real);
        break;
    case CB_KIND_TEXT:
        cb_text_add_json_string(out, value->text);
        break;
    case CB_KIND_LIST:
        cb_text_add(out, "[");
        for (size_t i = 0; i < value->as.list.count; i++) {
            cb_text_add(out, i > 0 ? ", " : "");
            cb_value_to_json(value->as.list.items[i], out);
        }
        cb_text_add(out, "]");
        break;
    case CB_KIND_MAP:
        cb_text_add(out, "{");
        for (size_t i = 0; i < value->as.map.count; i++) {
            cb_text_add(out, i > 0 ? ", " : "");
            cb_text_add_json_string(out, value->as.map.entries[i].key);
            cb_text_add(out, ": ");
            cb_value_to_json(value->as.map.entries[i].value, out);
        }
        cb_text_add(out, "}");
        break;
    }
}

/* True when the value was added in one line that ends before column `width`. */
static bool add_in_one_line(const struct cb_value *value, size_t column, size_t width, struct cb_text *out)
{
    const size_t before = out->length;
    cb_value_to_json(value, out);
    if (out->failed || out->length - before + column <= width) {
        return true;
    }
    out->length = before;
    out->data[before] = '\0';
    return false;
}

static void add_json_lines(const struct cb_value *value, unsigned levels, size_t column, size_t width, struct cb_text *out)
{
    const bool is_list = value->kind == CB_KIND_LIST, is_map = value->kind == CB_KIND_MAP;
    if (add_in_one_line(value, column, is_list || is_map ? width : SIZE_MAX, out)) {
        return;
    }
    const size_t count = is_list ? value->as.list.count : value->as.map.count;
    cb_text_add(out, is_list ? "[\n" : "{\n");
    for (size_t i = 0; i < count && !out->failed; i++) {
        const size_t begin = out->length;
        add_indent(out, levels + 1);
        if (is_map) {
            cb_text_add_json_string(out, value->as.map.entries[i].key);
            cb_text_add(out, ": ");
        }
        add_json_lines(is_list ? value->as.list.items[i] : value->as.map.entries[i].value, levels + 1, out->length - begin + 1,
                       width, out);
        cb_text_add(out, i + 1 < count ? ",\n" : "\n");
    }
    add_indent(out, levels);
    cb_text_add(out, is_list ? "]" : "}");
}

void cb_value_to_json_lines(const struct cb_value *value, struct cb_text *out)
{
    add_json_lines(value, 0, 0, 120, out);
}

/* ---- YAML ------------------------------------------------------------------------------------------------------ */

/* Words that a plain scalar may not be, here or for readers of YAML 1.1. */
static bool is_reserved(const char *text)
{
    static const char *const WORDS[] = {"null", "true", "false", "yes", "no", "on", "off", "~"};
    for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++) {
        if (strcasecmp(text, WORDS[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Letters, digits and a few marks that mean nothing to YAML, and no form of a number: everything else is quoted. */
static bool is_plain_safe(const char *text)
{
    static const char SAFE[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+ ";
    size_t length = strlen(text);
    int64_t integer;
    double real;
    if (length == 0 || strspn(text, SAFE) != length || is_reserved(text)) {
        return false;
    }
    bool begins_plain = strchr("-+. ", text[0]) == NULL || (text[0] == '.' && (text[1] == '/' || text[1] == '.'));
    return begins_plain && text[length - 1] != ' ' && !cb_starts_with(text, "...") &&
           cb__read_number(text, &integer, &real) == CB__NUMBER_NONE;
}

static void add_yaml_text(struct cb_text *out, const char *text)
{
    if (is_plain_safe(text)) {
        cb_text_add(out, text);
    } else {
        cb_text_add_json_string(out, text); /* JSON's strings are YAML's double-quoted scalars */
    }
}

static bool is_scalar(const struct cb_value *value)
{
    return value->kind != CB_KIND_LIST && value->kind != CB_KIND_MAP;
}

/* Lists of scalars are written in one line, [1, 2]; empty collections too. */
static bool fits_in_line(const struct cb_value *value)
{
    if (is_scalar(value)) {
        return true;
    }
    if (value->kind == CB_KIND_MAP) {
        return value->as.map.count == 0;
    }
    for (size_t i = 0; i < value->as.list.count; i++) {
        if (!is_scalar(value->as.list.items[i])) {
            return false;
        }
    }
    return true;
}

static void add_in_line(struct cb_text *out, const struct cb_value *value)
{
    switch (value->kind) {
    case CB_KIND_TEXT:
        add_yaml_text(out, value->text);
        break;
    case CB_KIND_BOOL:
    case CB_KIND_INT:
    case CB_KIND_REAL: /* as written: 007 may be meant as a text */
        if (value->text) {
            cb_text_add(out, value->text);
        } else if (value->kind == CB_KIND_REAL) {
            cb__add_real(out, value->as.real);
        } else {
            cb_value_to_json(value, out);
        }
        break;
    case CB_KIND_LIST:
        cb_text_add(out, "[");
        for (size_t i = 0; i < value->as.list.count; i++) {
            cb_text_add(out, i > 0 ? ", " : "");
            add_in_line(out, value->as.list.items[i]);
        }
        cb_text_add(out, "]");
        break;
    case CB_KIND_MAP:
        cb_text_add(out, "{}");
        break;
    default:
        cb_value_to_json(value, out);
        break;
    }
}

/* Writes a list or map that does not fit in a line, each entry indented by `levels`. The first line's indentation is
 * already there when `has_indent`: after "- ". */
static void add_block(struct cb_text *out, const struct cb_value *value, unsigned levels, bool has_indent)
{
    bool is_map = value->kind == CB_KIND_MAP;
    size_t count = is_map ? value->as.map.count : value->as.list.count;
    for (size_t i = 0; i < count; i++) {
        const struct cb_value *child = is_map ? value->as.map.entries[i].value : value->as.list.items[i];
        if (i > 0 || !has_indent) {
            add_indent(out, levels);
        }
        if (is_map) {
            add_yaml_text(out, value->as.map.entries[i].key);
            cb_text_add(out, ":");
        } else {
            cb_text_add(out, "-");
        }
        if (fits_in_line(child)) {
            cb_text_add(out, " ");
            add_in_line(out, child);
            cb_text_add(out, "\n");
        } else if (is_map) {
            cb_text_add(out, "\n");
            add_block(out, child, levels + 1, false);
        } else {
            cb_text_add(out, " ");
            add_block(out, child, levels + 1, true);
        }
    }
}

void cb_value_to_yaml(const struct cb_value *value, struct cb_text *out)
{
    if (fits_in_line(value)) {
        add_in_line(out, value);
        cb_text_add(out, "\n");
    } else {
        add_block(out, value, 0, false);
    }
}
