/* check.h: `cambium plugin check`: the properties that every layer must have (checks.h), on cases that are made up from the
 * layer's own tables: shapes from one element to odd sizes and channel counts that no vector width divides, ranks 1 to 4
 * as `infer` accepts them, options at their defaults, as the example and the trials have them, and at their bounds. */
#ifndef CAMBIUM_CHECK_CHECK_H
#define CAMBIUM_CHECK_CHECK_H

#include "check/checks.h"

struct cb_layer_check {
    bool is_small; /* a few small cases, without central differences: for a simulator */
    bool is_short; /* few cases: a quick look */
    bool is_exact; /* no guard words: a simulator watches the ends of the tensors itself */
    char *stage;   /* CB__STAGE_BYTES that outlive a crash, or NULL: what runs now, in words */
    /* Called for every comparison: `text` says what is wrong; where nothing is, it is NULL or a remark. */
    void (*report)(void *context, enum cb_check check, bool is_right, const char *text);
    void *context;
};

/* What plugins get while they are checked: the registry that gave `type` must be created with it. */
extern const struct cb_host *const cb_layer_check_host;

/* Checks one layer on one device. CB_OK also where checks failed: `report` heard of them. `out_cases`: how many cases. */
enum cb_status cb_layer_check(const struct cb_layer_check *request, const struct cb_layer_type *type,
                              struct cb_device *device, uint32_t *out_cases, struct cb_diag *diag);

/* ---- its parts ---- */

/* tables.c: name, texts, option table. */
void cb__check_tables(const struct cb_layer_type *type, struct cb_arena *arena, struct tally *tally);
/* release.c: makes, prepares, runs and releases the layer of a case many times. */
void cb__check_release(const struct layer_case *c, struct cb_device *device, const struct cb_layer_type *type,
                       struct cb_diag *diag, struct tally *tally);
/* cases.c: calls `each` with every case, in an arena that lives for that call. A case whose options were not asked for by
 * the layer (bounds) is left out where the layer refuses it. */
struct case_request {
    const struct cb_layer_type *type;
    struct cb_device *device;
    struct cb_diag *diag;
    bool is_small, is_short;
    struct tally *tally;
    void (*each)(void *context, const struct layer_case *c, struct cb_arena *arena);
    void *context;
};
void cb__cases_make(const struct case_request *request);

#endif
