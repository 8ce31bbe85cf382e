/* tuning.h: which variant of a layer was measured to be the fastest on a device, so that plans can take it instead of the
 * first one of the layer's table.
 *
 * What is measured is a class: the layer's type, the pass, the sizes of its inputs with N rounded up to a power of two, and
 * the options that were given: "conv2d forward 16x56x56x64 filters=64 kernel=3 padding=1". Each candidate is first compared
 * with the plain form on a few samples of made-up values; one that differs is never taken, and said. A candidate replaces
 * the first of the table only where it is faster by more than the noise.
 *
 * The file, CACHE/tuning/DEVICE-HASH.json (or the one that CAMBIUM_TUNING names; `off`: none), is for one device:
 *     {"format": "cambium tuning", "version": 1, "device", "platform", "driver", "kernels", "cambium",
 *      "measured": {CLASS: {"date", "batch", "source", "microseconds": {VARIANT: number}, "wrong": {VARIANT: why}}}}
 * It may be carried to another machine and committed. A file that is damaged or of another device, driver or version of
 * the kernels is not used, which is a note and no error. Writing takes a lock, reads what is there, adds what is new and
 * renames: of two processes that write at once nothing is lost.
 *
 * Nothing is measured unless it is asked for (cb_tuning_measure). With a table a result depends, in its last bits, on what
 * was measured; a run therefore keeps the table that it began with in its checkpoint (cb_tuning_to_value) and goes on
 * with that (cb_tuning_pin). */
#ifndef CAMBIUM_GRAPH_TUNING_H
#define CAMBIUM_GRAPH_TUNING_H

#include "base/value.h"
#include "device/device.h"

struct cb_tuning;

/* The table of a device. `path` NULL: as above. Notes go to `diag`. NULL when memory is exhausted: every function here
 * accepts NULL. */
struct cb_tuning *cb_tuning_open(struct cb_device *device, const char *path, struct cb_diag *diag);
void cb_tuning_close(struct cb_tuning *tuning);
/* Plans that are made from now on measure what the table lacks, each for about `seconds` (a measurement that has begun is
 * finished), its costliest layers first, and write it to the file. 0: nothing. */
void cb_tuning_measure(struct cb_tuning *tuning, double seconds);
/* Who hears of variants that give other results, and of what is measured; `sentence` begins in lower case. */
void cb_tuning_listen(struct cb_tuning *tuning, void (*say)(void *context, const char *sentence), void *context);
/* The classes that were measured or looked up since the table was opened, each with its entry and "class"; in order. */
const struct cb_value *cb_tuning_seen(const struct cb_tuning *tuning);
/* NULL: there is no file. */
const char *cb_tuning_path(const struct cb_tuning *tuning);

/* The table as the file has it; NULL for an empty one. In the arena. */
struct cb_value *cb_tuning_to_value(const struct cb_tuning *tuning, struct cb_arena *arena);
/* From now on the table is `value` (as cb_tuning_to_value made it; NULL: empty) and nothing is measured. */
enum cb_status cb_tuning_pin(struct cb_tuning *tuning, const struct cb_value *value, struct cb_diag *diag);

/* ---- for plans ---- */

struct cb_plan;
/* The entry of a class; NULL: not measured. `source`: hash of the layer's kernel file now. */
const struct cb_value *cb__tuning_find(struct cb_tuning *tuning, const char *key, const char *source);
/* Seconds of a variant in an entry; infinite where it was not measured or is wrong. */
double cb__tuning_seconds(const struct cb_value *entry, const char *variant);
bool cb__tuning_is_wrong(const struct cb_value *entry, const char *variant);
bool cb__tuning_is_empty(const struct cb_tuning *tuning);
bool cb__tuning_has_time(const struct cb_tuning *tuning);
/* A plan begins: its time runs from here. */
void cb__tuning_start(struct cb_tuning *tuning);
void cb__tuning_add(struct cb_tuning *tuning, const char *key, struct cb_value *entry);
struct cb_arena *cb__tuning_arena(struct cb_tuning *tuning);
/* Writes what was added since the last time; failing is a sentence to the listener, not an error. */
void cb__tuning_save(struct cb_tuning *tuning);

#endif
