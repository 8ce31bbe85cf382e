/* text.c: the growing text, JSON strings, small questions about strings, and quantities as people write them. */
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* Room for `bytes` more and the NUL. */
static bool reserve(struct cb_text *text, size_t bytes)
{
    if (text->failed || bytes >= SIZE_MAX - text->length) {
        text->failed = true;
        return false;
    }
    size_t needed = text->length + bytes + 1;
    if (needed <= text->capacity) {
        return true;
    }
    size_t capacity = text->capacity < 64 ? 64 : text->capacity;
    while (capacity < needed) {
        capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
    }
    char *data = realloc(text->data, capacity);
    if (!data) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->capacity = capacity;
    return true;
}

void cb_text_add_bytes(struct cb_text *text, const void *data, size_t bytes)
{
    if (!reserve(text, bytes)) {
        return;
    }
    if (bytes > 0) {
        memcpy(text->data + text->length, data, bytes);
    }
    text->length += bytes;
    text->data[text->length] = '\0';
}

void cb_text_add(struct cb_text *text, const char *piece)
{
    cb_text_add_bytes(text, piece, strlen(piece));
}

void cb_text_addf(struct cb_text *text, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int length = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (length < 0) {
        text->failed = true;
        return;
    }
    if (!reserve(text, (size_t)length)) {
        return;
    }
    va_start(args, fmt);
    vsnprintf(text->data + text->length, (size_t)length + 1, fmt, args);
    va_end(args);
    text->length += (size_t)length;
}

static void add_json_escape(struct cb_text *text, unsigned char byte)
{
    static const char *const SHORT_ESCAPES[128] = {
        ['"'] = "\\\"", ['\\'] = "\\\\", ['\b'] = "\\b", ['\f'] = "\\f",
        ['\n'] = "\\n", ['\r'] = "\\r",  ['\t'] = "\\t",
    };
    if (SHORT_ESCAPES[byte]) {
        cb_text_add(text, SHORT_ESCAPES[byte]);
    } else {
        cb_text_addf(text, "\\u%04x", (unsigned)byte);
    }
}

/* The code point of a valid sequence of two or three bytes. */
static unsigned code_point(const char *sequence, size_t length)
{
    const unsigned char *byte = (const unsigned char *)sequence;
    return length == 2 ? (byte[0] & 0x1Fu) << 6 | (byte[1] & 0x3Fu)
                       : (byte[0] & 0x0Fu) << 12 | (byte[1] & 0x3Fu) << 6 | (byte[2] & 0x3Fu);
}

/* Letters that a terminal, JavaScript or YAML would take for a control or the end of a line. */
static bool needs_escape(unsigned code)
{
    return (code >= 0x80 && code < 0xA0) || code == 0x2028 || code == 0x2029 || code == 0xFEFF || code == 0xFFFE ||
           code == 0xFFFF;
}

void cb_text_add_json_string(struct cb_text *text, const char *piece)
{
    size_t left = strlen(piece);
    cb_text_add(text, "\"");
    while (left > 0) {
        size_t length = cb__utf8_sequence(piece, left);
        unsigned char byte = (unsigned char)piece[0];
        if (length == 0) {
            cb_text_add(text, "\xEF\xBF\xBD");
            length = 1;
        } else if (length == 1 && (byte < 0x20 || byte == '"' || byte == '\\' || byte == 0x7F)) {
            add_json_escape(text, byte);
        } else if ((length == 2 || length == 3) && needs_escape(code_point(piece, length))) {
            cb_text_addf(text, "\\u%04x", code_point(piece, length));
        } else {
            cb_text_add_bytes(text, piece, length);
        }
        piece += length;
        left -= length;
    }
    cb_text_add(text, "\"");
}

void cb_text_free(struct cb_text *text)
{
    free(text->data);
    *text = (struct cb_text){0};
}

bool cb_starts_with(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

bool cb_ends_with(const char *text, const char *ending)
{
    size_t text_length = strlen(text), ending_length = strlen(ending);
    return text_length >= ending_length && strcmp(text + text_length - ending_length, ending) == 0;
}

uint64_t cb_hash64(const void *data, size_t bytes)
{
    const unsigned char *byte = data;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < bytes; i++) {
        hash = (hash ^ byte[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* One decimal and the largest unit that keeps the number at 1 or more after rounding. */
static void format_scaled(uint64_t count, const char *const units[], char out[32])
{
    double scaled = (double)count;
    size_t unit = 0;
    while (scaled >= 999.95 && units[unit + 1]) {
        scaled /= 1000.0;
        unit++;
    }
    int tenths = (int)(scaled * 10.0 + 0.5); /* no locale's decimal comma */
    snprintf(out, 32, "%d.%d %s", tenths / 10, tenths % 10, units[unit]);
}

char *cb_format_count(uint64_t count, char out[32])
{
    static const char *const UNITS[] = {"", "k", "M", "G", "T", "P", "E", NULL};
    if (count < 1000) {
        snprintf(out, 32, "%d", (int)count);
    } else {
        format_scaled(count, UNITS, out);
    }
    return out;
}

char *cb_format_bytes(uint64_t bytes, char out[32])
{
    static const char *const UNITS[] = {"", "kB", "MB", "GB", "TB", "PB", "EB", NULL};
    if (bytes < 1000) {
        snprintf(out, 32, "%d B", (int)bytes);
    } else {
        format_scaled(bytes, UNITS, out);
    }
    return out;
}

char *cb_format_seconds(double seconds, char out[32])
{
    if (!(seconds >= 0) || seconds > 1e9) { /* also NaN */
        snprintf(out, 32, "?");
    } else if (seconds < 0.9995) {
        snprintf(out, 32, "%d ms", (int)(seconds * 1e3 + 0.5));
    } else if (seconds < 59.95) {
        int tenths = (int)(seconds * 10.0 + 0.5);
        snprintf(out, 32, "%d.%d s", tenths / 10, tenths % 10);
    } else {
        long long whole = (long long)(seconds + 0.5);
        if (whole < 3600) {
            snprintf(out, 32, "%lld min %lld s", whole / 60, whole % 60);
        } else if (whole < 48 * 3600) {
            snprintf(out, 32, "%lld h %lld min", whole / 3600, whole % 3600 / 60);
        } else {
            snprintf(out, 32, "%lld d %lld h", whole / 86400, whole % 86400 / 3600);
        }
    }
    return out;
}
