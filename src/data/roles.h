/* roles.h: which columns of a table mean what, and one row's cells by them. */
#ifndef CAMBIUM_DATA_ROLES_H
#define CAMBIUM_DATA_ROLES_H

#include "data/csv.h"
#include "data/source.h"

#define CB__MAX_VALUES 64

/* Indices of columns; -1: there is none. */
struct cb__roles {
    int item; /* the file's name, or the text itself */
    int pair; /* of texts: the second one */
    int label, group;
    uint32_t value_count;
    int values[CB__MAX_VALUES];
    const char *value_names[CB__MAX_VALUES + 1];
};

/* By `columns:` and `group:` of the source; what they don't say has its usual name. `spec->modality` TEXT: the items are
 * texts in the table, else names of files. `at`: where the table was named. */
enum cb_status cb__roles_find(const struct cb__spec *spec, const struct cb__csv *table, struct cb__roles *out,
                              const struct cb_place *at, struct cb_diag *diag);
/* Checks one row's cells, and reads its values, roles->value_count of them. False after an error that names the line. */
bool cb__roles_row(const struct cb__csv *table, uint32_t row, const struct cb__roles *roles, bool has_texts, float *values,
                   struct cb_diag *diag);

#endif
