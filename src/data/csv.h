/* csv.h: tables in text files: RFC 4180, with commas, semicolons or tabs (whichever the first line has most of; in a .tsv
 * file tabs), LF or CRLF, with or without a byte order mark. The first line names the columns. */
#ifndef CAMBIUM_DATA_CSV_H
#define CAMBIUM_DATA_CSV_H

#include "base/arena.h"

struct cb__csv {
    struct cb_source source; /* for places in messages */
    uint32_t column_count;
    const char **columns; /* their names */
    uint32_t row_count;
    const char **cells; /* [row_count, column_count] */
    uint32_t *lines;    /* [row_count]: the line on which a row begins, from 1 */
};

/* Reads a whole table of up to 1 GiB into the arena. Errors name the line: a row of another length than the first, a quote
 * that is never closed, letters after a closing quote, a NUL byte, two columns of one name, no rows. */
enum cb_status cb__csv_read(struct cb_arena *arena, const char *path, const struct cb_place *at, struct cb__csv *out,
                            struct cb_diag *diag);
/* JSON lines as such a table: the keys are the columns, what a line lacks is empty. Errors name the line. */
enum cb_status cb__jsonl_read(struct cb_arena *arena, const char *path, const struct cb_place *at, struct cb__csv *out,
                              struct cb_diag *diag);
/* Index of a column, -1: none of that name. */
int cb__csv_column(const struct cb__csv *table, const char *name);
/* The place of row `row`. */
struct cb_place cb__csv_place(const struct cb__csv *table, uint32_t row);

#endif
