/* sound.h: sounds from files: WAV, FLAC, OGG, MP3 and what else libsndfile reads, mixed to one channel by the mean and
 * brought to a sample rate by libsoxr. What a file is, its content says, never its name.
 *
 * Only the part that is wanted is read, block by block, so that neither a recording of hours nor a header that promises
 * them takes memory; a damaged or cut-off file is an error. A build without libsndfile or libsoxr says so when one of them
 * is needed. All functions may be called from several threads at once. */
#ifndef CAMBIUM_AUDIO_SOUND_H
#define CAMBIUM_AUDIO_SOUND_H

#include "base/why.h"

#define CB_SOUND_MIN_RATE 1000u
#define CB_SOUND_MAX_RATE 1000000u
#define CB_SOUND_MAX_RATIO 256u             /* between a file's rate and the one that is wanted */
#define CB_SOUND_MAX_SAMPLES (1u << 28)     /* that are read at once: four and a half hours at 16 kHz */

/* One channel, -1 to 1. */
struct cb_sound {
    float *samples; /* [count], malloc'd; cb_sound_free */
    uint64_t count;
    uint32_t rate; /* samples a second */
};

/* What a file says of itself. */
struct cb_sound_info {
    uint32_t rate, channels;
    uint64_t frames; /* samples of each channel; 0: it doesn't say */
};

enum cb_sound_part { CB_SOUND_BEGINNING, CB_SOUND_MIDDLE };

struct cb_sound_request {
    uint32_t rate; /* samples a second; 0: the file's */
    uint64_t most; /* samples at that rate; 0: all, of which more than CB_SOUND_MAX_SAMPLES are refused */
    enum cb_sound_part part; /* of a longer sound; of one whose file doesn't say how long it is, the beginning */
    bool never_resample;     /* a file of another rate is refused */
};

/* True for names that end like a sound that can be read (.wav .flac .ogg .mp3 ..., any case). */
bool cb_sound_has_extension(const char *name);
/* FORMAT: damaged or no sound; UNSUPPORTED: a kind that this build cannot read, too long. On failure `*out` is untouched. */
bool cb__sound_look(const char *path, struct cb_sound_info *out, struct cb__why *why);
bool cb__sound_read(const char *path, const struct cb_sound_request *request, struct cb_sound *out, struct cb__why *why);
void cb_sound_free(struct cb_sound *sound); /* accepts an all-zero one */

/* Removes what is quieter than `db` decibels below the loudest frame (2048 samples around every 512th, root mean square) at
 * both ends, as librosa.effects.trim does. A silent sound stays. */
void cb_sound_trim(struct cb_sound *sound, double db);
/* The loudness in LUFS of ITU-R BS.1770-4, gated; of a sound shorter than 400 milliseconds that of all of it. -INFINITY:
 * silence, or too soft to count. */
double cb_sound_loudness(const struct cb_sound *sound);

#endif
