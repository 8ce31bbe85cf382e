/* status.c: the name, the sentence and the exit code of each status, all from the one list in status.h. */
#include <cambium/status.h>

struct status_row {
    const char *name;
    const char *sentence;
    int exit_code;
};

static const struct status_row STATUS_ROWS[] = {
#define STATUS_ROW(name, exit_code, sentence) {#name, sentence, exit_code},
    CB_STATUS_LIST(STATUS_ROW)
#undef STATUS_ROW
};

/* A plugin may return any number: what is not in the list counts as CB_INTERNAL. */
static const struct status_row *row_of(enum cb_status status)
{
    size_t i = (size_t)status;
    return &STATUS_ROWS[i < sizeof(STATUS_ROWS) / sizeof(STATUS_ROWS[0]) ? i : (size_t)CB_INTERNAL];
}

const char *cb_status_name(enum cb_status status)
{
    return row_of(status)->name;
}

const char *cb_status_sentence(enum cb_status status)
{
    return row_of(status)->sentence;
}

int cb_status_exit_code(enum cb_status status)
{
    return row_of(status)->exit_code;
}
