/* resample.h: another sample rate by libsoxr, high quality, block by block. */
#ifndef CAMBIUM_AUDIO_RESAMPLE_H
#define CAMBIUM_AUDIO_RESAMPLE_H

#include "base/why.h"

struct cb__resampler;

/* NULL with a reason: no memory, or no libsoxr in this build. */
struct cb__resampler *cb__resampler_create(uint32_t from_rate, uint32_t to_rate, struct cb__why *why);
void cb__resampler_destroy(struct cb__resampler *resampler); /* accepts NULL */
/* Takes some of `in` (NULL: the end has come) and gives what is ready, at most `room` samples. */
bool cb__resampler_run(struct cb__resampler *resampler, const float *in, size_t count, size_t *out_taken, float *out,
                       size_t room, size_t *out_given, struct cb__why *why);

#endif
