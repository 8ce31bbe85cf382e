/* feature_file.h: features of a frozen prefix that an earlier run computed, kept in the user's cache, so that a second run
 * over the same pictures begins behind the prefix at once.
 *
 * Where: CACHE/features/KEY, one file per prefix. KEY is the SHA-256 of all that its features depend on but the samples
 * (cb_feature_key). Each record has a sample's id: the SHA-256 of its file and its preparation, and for a changed view of
 * the change too; so a record serves every split, every order, and every data set that holds the picture.
 * Layout: 32 bytes of header (magic, floats of a row), then records in ascending order of their ids: 64 characters of id,
 * 8 bytes of checksum (cb_hash64 of the row), the row. A record whose checksum is wrong does not exist.
 * Concurrency: readers map a file that is never changed, only replaced (rename); writers hold CACHE/features.lock, read the
 * file again and add to it what it lacks.
 * Limit: all files together stay below CAMBIUM_FEATURES_MB (1024 unless it is set; 0 turns the cache off); the one that was
 * not used for the longest time goes first. What cannot be read or written is computed: there are no errors. */
#ifndef CAMBIUM_TRAIN_FEATURE_FILE_H
#define CAMBIUM_TRAIN_FEATURE_FILE_H

#include "train/engine.h"

struct cb_feature_file;

/* The key of the engine's prefix: layers, options, params and state, wires, contract, device, kernels, plugins. */
void cb_feature_key(const struct cb_engine *engine, char hex[65]);
/* The id of a sample in a view (0: as it is); false when it cannot be read. */
bool cb_feature_id(const struct cb_engine *engine, uint32_t sample, uint32_t view, char hex[65]);

/* `row`: floats of a sample. NULL when there is no cache. */
struct cb_feature_file *cb_feature_file_open(const char *key, size_t row);
bool cb_feature_file_find(struct cb_feature_file *file, const char *id, float *out_row);
/* Remembers a row (copied) for cb_feature_file_save; drops it when memory is short. */
void cb_feature_file_add(struct cb_feature_file *file, const char *id, const float *row);
void cb_feature_file_save(struct cb_feature_file *file);
void cb_feature_file_close(struct cb_feature_file *file); /* accepts NULL; what was not saved is lost */

#endif
