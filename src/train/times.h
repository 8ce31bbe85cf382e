/* times.h: how long a network takes for one sample on a device, remembered in the user's cache, so that the list of networks
 * can show what was once measured.
 *
 *     CACHE/times/HASH-OF-DEVICE.json   {"format": "cambium times", "device": KEY of cb_device_key,
 *                                        "times": {NAME: {"network": HASH, "seconds": number, "date": "2026-03-01"}}}
 * A time counts for the device, driver and kernels of its file, and for a network whose description has that hash. A file
 * that is damaged or of another device is as if it were not there. Writing takes a lock, so that of two processes that
 * measure at once nothing is lost. */
#ifndef CAMBIUM_TRAIN_TIMES_H
#define CAMBIUM_TRAIN_TIMES_H

#include "base/arena.h"
#include "device/device.h"
#include "train/model.h"

struct cb_times;

/* True when anything was ever measured in this cache: else there is no need to open a device in order to look. */
bool cb_times_exist(struct cb_arena *arena);
/* The times of a device; in the arena. NULL when memory is exhausted or there is no cache. */
struct cb_times *cb_times_open(struct cb_arena *arena, const struct cb_device *device);
/* Seconds for one sample; below 0: not measured. `times` may be NULL. */
double cb_times_find(const struct cb_times *times, const struct cb_backbone *backbone);
/* Measures the network with random values for about a third of a second beyond what its first run takes, and keeps that. */
enum cb_status cb_times_measure(struct cb_times *times, const struct cb_backbone *backbone, struct cb_registry *registry,
                                struct cb_device *device, double *out_seconds, struct cb_diag *diag);

#endif
