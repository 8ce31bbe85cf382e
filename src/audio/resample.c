/* resample.c: libsoxr behind resample.h; a build without it says so. */
#include "audio/resample.h"

#ifdef CB_HAVE_SOXR

#include <soxr.h>

struct cb__resampler *cb__resampler_create(uint32_t from_rate, uint32_t to_rate, struct cb__why *why)
{
    soxr_error_t error = NULL;
    soxr_io_spec_t io = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
    soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
    soxr_runtime_spec_t runtime = soxr_runtime_spec(1);
    soxr_t soxr = soxr_create(from_rate, to_rate, 1, &error, &io, &quality, &runtime);
    if (error || !soxr) {
        cb__because(why, CB_MEMORY, "cannot be resampled from %u to %u samples a second: %s", from_rate, to_rate,
                    error ? error : "out of memory");
        return NULL;
    }
    return (struct cb__resampler *)soxr;
}

void cb__resampler_destroy(struct cb__resampler *resampler)
{
    if (resampler) {
        soxr_delete((soxr_t)resampler);
    }
}

bool cb__resampler_run(struct cb__resampler *resampler, const float *in, size_t count, size_t *out_taken, float *out,
                       size_t room, size_t *out_given, struct cb__why *why)
{
    size_t taken = 0, given = 0;
    soxr_error_t error = soxr_process((soxr_t)resampler, in, count, &taken, out, room, &given);
    if (error) {
        return cb__because(why, CB_MEMORY, "cannot be resampled: %s", error);
    }
    *out_taken = taken;
    *out_given = given;
    return true;
}

#else

struct cb__resampler *cb__resampler_create(uint32_t from_rate, uint32_t to_rate, struct cb__why *why)
{
    cb__because(why, CB_UNSUPPORTED, "has %u samples a second instead of %u, and this build has no libsoxr to resample it: "
                "install it and build again", from_rate, to_rate);
    return NULL;
}

void cb__resampler_destroy(struct cb__resampler *resampler)
{
    (void)resampler;
}

bool cb__resampler_run(struct cb__resampler *resampler, const float *in, size_t count, size_t *out_taken, float *out,
                       size_t room, size_t *out_given, struct cb__why *why)
{
    (void)resampler, (void)in, (void)count, (void)out_taken, (void)out, (void)room, (void)out_given;
    return cb__because(why, CB_UNSUPPORTED, "cannot be resampled: this build has no libsoxr");
}

#endif
