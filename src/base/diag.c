/* diag.c: the list of messages. A message is rendered when it is added, so that the source it points to may go. */
#include <cambium/status.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/utf8.h"

enum {
    MAX_ERRORS_READ = 20,     /* cb_diag_is_full */
    MAX_MESSAGES_KEPT = 1000, /* of each severity; a million bad pictures must not fill the memory */
    WINDOW_LETTERS = 96,      /* how much of a long line is shown */
};

struct message {
    enum cb_severity severity;
    char *text;
};

struct cb_diag {
    struct message *messages;
    size_t count, capacity;
    size_t counts[CB_ERROR + 1];
    enum cb_status first_status; /* of the first error, even when its message could not be kept */
};

struct cb_diag *cb_diag_create(void)
{
    return calloc(1, sizeof(struct cb_diag));
}

void cb_diag_clear(struct cb_diag *diag)
{
    for (size_t i = 0; i < diag->count; i++) {
        free(diag->messages[i].text);
    }
    free(diag->messages);
    *diag = (struct cb_diag){0};
}

void cb_diag_destroy(struct cb_diag *diag)
{
    if (diag) {
        cb_diag_clear(diag);
        free(diag);
    }
}

/* Appends `length` bytes as one line that is safe on a terminal: control characters become '?', invalid UTF-8 U+FFFD.
 * Newlines and tabs stay where `keeps_lines`; otherwise a tab becomes a blank, so that a caret stays below its letter. */
static void add_safe(struct cb_text *out, const char *piece, size_t length, bool keeps_lines)
{
    for (size_t i = 0; i < length;) {
        size_t bytes = cb__utf8_sequence(piece + i, length - i);
        unsigned char byte = (unsigned char)piece[i];
        if (bytes == 0) {
            cb_text_add(out, "\xEF\xBF\xBD");
            bytes = 1;
        } else if (keeps_lines && (byte == '\n' || byte == '\t')) {
            cb_text_add_bytes(out, piece + i, 1);
        } else if (byte < 0x20 || byte == 0x7F) {
            cb_text_add(out, byte == '\t' ? " " : "?");
        } else if (byte == 0xC2 && (unsigned char)piece[i + 1] < 0xA0) {
            cb_text_add(out, "?"); /* C1 controls: U+0080 to U+009F */
        } else {
            cb_text_add_bytes(out, piece + i, bytes);
        }
        i += bytes;
    }
}

/* Bytes of one letter as it is shown: an invalid byte counts as a letter. */
static size_t letter_bytes(const char *text, size_t available)
{
    size_t bytes = cb__utf8_sequence(text, available);
    return bytes > 0 ? bytes : 1;
}

static size_t count_letters(const char *text, size_t length)
{
    size_t letters = 0;
    for (size_t i = 0; i < length; i += letter_bytes(text + i, length - i)) {
        letters++;
    }
    return letters;
}

/* Byte offset of letter `letters` (from 0), at most `length`. */
static size_t offset_of(const char *text, size_t length, size_t letters)
{
    size_t i = 0;
    while (i < length && letters > 0) {
        i += letter_bytes(text + i, length - i);
        letters--;
    }
    return i < length ? i : length;
}

static bool find_line(const struct cb_source *source, int number, const char **out_line, size_t *out_length)
{
    const char *line = source->text, *end = source->text + source->length;
    for (int i = 1; i < number; i++) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        if (!newline) {
            return false;
        }
        line = newline + 1;
    }
    const char *newline = memchr(line, '\n', (size_t)(end - line));
    size_t length = (size_t)((newline ? newline : end) - line);
    if (length > 0 && line[length - 1] == '\r') {
        length--;
    }
    *out_line = line;
    *out_length = length;
    return true;
}

/* Bytes of the word at `text`, which the caret underlines: a quoted text, or up to a blank or a mark of YAML and JSON. */
static size_t word_bytes(const char *text, size_t length)
{
    if (length == 0) {
        return 0;
    }
    if (text[0] == '"' || text[0] == '\'') {
        const char *end = memchr(text + 1, text[0], length - 1);
        return end ? (size_t)(end - text) + 1 : 1;
    }
    size_t i = 0;
    while (i < length && !strchr(" \t,[]{}", text[i]) && text[i] != '\0' &&
           !(text[i] == ':' && (i + 1 == length || text[i + 1] == ' '))) {
        i++;
    }
    return i > 0 ? i : 1;
}

/* "   4 |   frozn: backbone" and "     |   ^~~~~". Of a long line only the part around the column is shown. */
static void add_excerpt(struct cb_text *out, const struct cb_place *at)
{
    const char *line;
    size_t length;
    if (at->line < 1 || !at->source->text || !find_line(at->source, at->line, &line, &length)) {
        return;
    }
    size_t letters = count_letters(line, length);
    size_t column = at->column > 0 ? (size_t)at->column - 1 : 0;
    if (column > letters) {
        column = letters;
    }
    size_t first = letters > WINDOW_LETTERS && column > WINDOW_LETTERS / 2 ? column - WINDOW_LETTERS / 2 : 0;
    size_t from = offset_of(line, length, first);
    size_t to = from + offset_of(line + from, length - from, WINDOW_LETTERS);
    cb_text_addf(out, "\n%4d | %s", at->line, first > 0 ? "..." : "");
    add_safe(out, line + from, to - from, false);
    cb_text_add(out, to < length ? "..." : "");
    if (at->column < 1) {
        return;
    }
    cb_text_add(out, "\n     | ");
    for (size_t i = first > 0 ? first - 3 : 0; i < column; i++) {
        cb_text_add(out, " ");
    }
    size_t caret = offset_of(line, length, column);
    size_t word = caret < to ? word_bytes(line + caret, to - caret) : 0;
    cb_text_add(out, "^");
    for (size_t i = count_letters(line + caret, word); i > 1; i--) {
        cb_text_add(out, "~");
    }
}

static void add_heading(struct cb_text *out, enum cb_severity severity, const struct cb_place *at)
{
    static const char *const WORDS[] = {[CB_NOTE] = "note", [CB_WARNING] = "warning", [CB_ERROR] = "error"};
    if (at && at->source) {
        const char *name = at->source->name ? at->source->name : "<memory>";
        add_safe(out, name, strlen(name), false);
        if (at->line > 0) {
            cb_text_addf(out, ":%d", at->line);
            if (at->column > 0) {
                cb_text_addf(out, ":%d", at->column);
            }
        }
        cb_text_add(out, ": ");
    }
    cb_text_addf(out, "%s: ", WORDS[severity]);
}

static bool keep(struct cb_diag *diag, enum cb_severity severity, char *text)
{
    if (diag->count == diag->capacity) {
        size_t capacity = diag->capacity ? diag->capacity * 2 : 8;
        struct message *messages = realloc(diag->messages, capacity * sizeof(*messages));
        if (!messages) {
            return false;
        }
        diag->messages = messages;
        diag->capacity = capacity;
    }
    diag->messages[diag->count++] = (struct message){severity, text};
    diag->counts[severity]++;
    return true;
}

static void add_message(struct cb_diag *diag, enum cb_severity severity, const struct cb_place *at, const char *fmt,
                        va_list args)
{
    if (diag->counts[severity] >= MAX_MESSAGES_KEPT) {
        return;
    }
    struct cb_text out = {0};
    char *sentence = NULL;
    int length = vasprintf(&sentence, fmt, args);
    if (length < 0) {
        return;
    }
    add_heading(&out, severity, at);
    add_safe(&out, sentence, (size_t)length, true);
    free(sentence);
    if (at && at->source) {
        add_excerpt(&out, at);
    }
    if (out.failed || !keep(diag, severity, out.data)) {
        cb_text_free(&out);
    }
}

enum cb_status cb_fail(struct cb_diag *diag, enum cb_status status, const struct cb_place *at, const char *fmt, ...)
{
    if (diag) {
        if (diag->first_status == CB_OK) {
            diag->first_status = status;
        }
        va_list args;
        va_start(args, fmt);
        add_message(diag, CB_ERROR, at, fmt, args);
        va_end(args);
    }
    return status;
}

void cb_warn(struct cb_diag *diag, const struct cb_place *at, const char *fmt, ...)
{
    if (diag) {
        va_list args;
        va_start(args, fmt);
        add_message(diag, CB_WARNING, at, fmt, args);
        va_end(args);
    }
}

void cb_note(struct cb_diag *diag, const struct cb_place *at, const char *fmt, ...)
{
    if (diag) {
        va_list args;
        va_start(args, fmt);
        add_message(diag, CB_NOTE, at, fmt, args);
        va_end(args);
    }
}

void cb_diag_attach(struct cb_diag *diag, const char *text)
{
    if (!diag || diag->count == 0 || !text || !*text) {
        return;
    }
    struct message *newest = &diag->messages[diag->count - 1];
    struct cb_text out = {0};
    cb_text_add(&out, newest->text);
    cb_text_add(&out, "\n");
    add_safe(&out, text, strlen(text), true);
    if (out.failed) {
        cb_text_free(&out);
        return;
    }
    free(newest->text);
    newest->text = out.data;
}

size_t cb_diag_count(const struct cb_diag *diag, enum cb_severity at_least)
{
    size_t count = 0;
    for (int severity = (int)at_least; severity <= CB_ERROR; severity++) {
        count += diag->counts[severity];
    }
    return count;
}

bool cb_diag_is_full(const struct cb_diag *diag)
{
    return diag && diag->counts[CB_ERROR] >= MAX_ERRORS_READ;
}

const char *cb_diag_text(struct cb_diag *diag, size_t index)
{
    return index < diag->count ? diag->messages[index].text : NULL;
}

enum cb_severity cb_diag_severity(const struct cb_diag *diag, size_t index)
{
    return index < diag->count ? diag->messages[index].severity : CB_NOTE;
}

enum cb_status cb_diag_status(const struct cb_diag *diag)
{
    return diag->first_status;
}
