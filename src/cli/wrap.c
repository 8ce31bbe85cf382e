/* wrap.c: see wrap.h. */
#include "cli/wrap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LEAST_TEXT 20 /* columns that a line has at least, however far it is indented */

int cb_wrap_width(void)
{
    const char *said = getenv("COLUMNS");
    struct winsize size = {0};
    if (said != NULL && atoi(said) > 0) {
        return atoi(said);
    }
    return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/* How many bytes of `text` (which holds no newline, `length` bytes) go on a line of `room` columns: up to a space, or a
 * whole word that is longer than that. */
static size_t fitting(const char *text, size_t length, int room)
{
    size_t best = 0;
    for (size_t i = 0, column = 0; i <= length; i++) {
        if (i == length || text[i] == ' ') {
            if (column > (size_t)room && best > 0) {
                return best;
            }
            best = i;
        }
        column += i < length && ((unsigned char)text[i] & 0xc0) != 0x80; /* characters, not bytes */
    }
    return best;
}

void cb_wrap_print(const char *text, int column, int indent)
{
    const int width = cb_wrap_width();
    for (;;) {
        const size_t length = strcspn(text, "\n");
        const int left = width - column, room = width == 0 ? 1 << 30 : left > LEAST_TEXT ? left : LEAST_TEXT;
        const size_t taken = fitting(text, length, room);
        printf("%.*s\n", (int)taken, text);
        text += taken;
        text += strspn(text, " ");
        if (*text == '\n') {
            text++; /* what is indented by hand stays indented */
        }
        if (*text == '\0') {
            return;
        }
        printf("%*s", indent, "");
        column = indent;
    }
}
