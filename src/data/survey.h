/* survey.h: what is in a dataset, for people: counts, sizes, files that cannot be read, pictures that are there twice. */
#ifndef CAMBIUM_DATA_SURVEY_H
#define CAMBIUM_DATA_SURVEY_H

#include "data/dataset.h"

/* How one picture becomes another. */
enum cb_twin { CB_TWIN_SAME, CB_TWIN_MIRRORED, CB_TWIN_UPSIDE_DOWN, CB_TWIN_TURNED };

/* The two samples show the same pixels (`same`), left and right exchanged, up and down exchanged, or both. */
struct cb_duplicate {
    uint32_t first, second; /* samples, first < second */
    enum cb_twin kind;
    bool classes_differ;
};

struct cb_unreadable {
    uint32_t sample;
    const char *reason;
};

struct cb_survey {
    uint32_t readable;
    uint32_t grey, rgb, rgba; /* readable ones by their channels */
    uint32_t min_width, max_width, median_width, min_height, max_height, median_height;
    uint32_t duplicate_count;
    const struct cb_duplicate *duplicates; /* by first, then second */
    uint32_t unreadable_count;
    const struct cb_unreadable *unreadable;
};

const char *cb_twin_name(enum cb_twin kind); /* "the same", "mirrored", "upside down", "turned by 180 degrees" */

/* Decodes every picture of the dataset (opened with or without a contract). Pixels are compared after transparent ones
 * were laid on the background and grey was told from colour, whatever the file format. Results in the arena. Unreadable
 * files are results, not errors. INTERRUPTED when `progress` (may be NULL) says so. */
enum cb_status cb_dataset_survey(struct cb_arena *arena, struct cb_dataset *dataset, cb_progress progress,
                                 void *context, struct cb_survey *out, struct cb_diag *diag);

#endif
