/* sound.c: a part of a sound file as samples of one channel: open, seek, read a block, mix, resample, until there are
 * enough. See sound.h. */
#include "audio/sound.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audio/resample.h"

#define BLOCK_FLOATS 65536 /* of all channels, that are read at a time */
#define MARGIN_SAMPLES 4096u /* before a part that begins in the middle: more than the resampling filter reaches back */

bool cb_sound_has_extension(const char *name)
{
    static const char *const endings[] = {".wav", ".flac", ".ogg", ".oga", ".mp3", ".opus", ".aiff", ".aif", ".au", ".w64",
                                          ".caf"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof endings[0]; i++) {
        if (strcasecmp(dot, endings[i]) == 0) {
            return true;
        }
    }
    return false;
}

void cb_sound_free(struct cb_sound *sound)
{
    free(sound->samples);
    *sound = (struct cb_sound){0};
}

#ifdef CB_HAVE_SNDFILE

#include <sndfile.h>

struct reader {
    SNDFILE *file;
    struct cb_sound_info info;
    float *block, *mixed; /* [BLOCK_FLOATS]: all channels; one */
};

/* A regular file's descriptor; -1 after an error. */
static int open_file(const char *path, struct cb__why *why)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not make it wait */
    if (fd < 0) {
        cb__because(why, errno == ENOENT ? CB_NOT_FOUND : CB_IO, "cannot be opened: %s", strerror(errno));
        return -1;
    }
    bool ok = true;
    if (fstat(fd, &info) != 0) {
        ok = cb__because(why, CB_IO, "cannot be read: %s", strerror(errno));
    } else if (!S_ISREG(info.st_mode)) {
        ok = cb__because(why, CB_INVALID, "is %s, not a sound", S_ISDIR(info.st_mode) ? "a folder" : "no regular file");
    } else if (info.st_size == 0) {
        ok = cb__because(why, CB_FORMAT, "is empty (0 bytes)");
    }
    if (!ok) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool check_info(const SF_INFO *info, struct cb__why *why)
{
    if (info->channels < 1 || info->channels > 1024) {
        return cb__because(why, CB_FORMAT, "is a damaged sound: it says that it has %d channels", info->channels);
    }
    if (info->samplerate < (int)CB_SOUND_MIN_RATE || info->samplerate > (int)CB_SOUND_MAX_RATE) {
        return cb__because(why, CB_UNSUPPORTED, "says that it has %d samples a second; %u to %u are read", info->samplerate,
                           CB_SOUND_MIN_RATE, CB_SOUND_MAX_RATE);
    }
    return true;
}

static void reader_close(struct reader *reader)
{
    if (reader->file) {
        sf_close(reader->file);
    }
    free(reader->block);
    *reader = (struct reader){0};
}

static bool reader_open(struct reader *reader, const char *path, struct cb__why *why)
{
    *reader = (struct reader){0};
    int fd = open_file(path, why);
    if (fd < 0) {
        return false;
    }
    SF_INFO info = {0};
    reader->file = sf_open_fd(fd, SFM_READ, &info, SF_TRUE);
    if (!reader->file) {
        const int error = sf_error(NULL);
        if (error == SF_ERR_UNRECOGNISED_FORMAT) {
            return cb__because(why, CB_FORMAT, "is no sound that can be read (WAV, FLAC, OGG or MP3)");
        }
        return cb__because(why, error == SF_ERR_UNSUPPORTED_ENCODING ? CB_UNSUPPORTED : CB_FORMAT,
                           "is a damaged sound, or of a kind that is not read: %s", sf_error_number(error));
    }
    if (!check_info(&info, why)) {
        reader_close(reader);
        return false;
    }
    const bool is_known = info.frames > 0 && info.frames < SF_COUNT_MAX;
    reader->info = (struct cb_sound_info){(uint32_t)info.samplerate, (uint32_t)info.channels,
                                          is_known ? (uint64_t)info.frames : 0};
    return true;
}

/* The next block as one channel; `*out_count` 0: the end. */
static bool reader_next(struct reader *reader, size_t *out_count, struct cb__why *why)
{
    const uint32_t channels = reader->info.channels;
    const sf_count_t got = sf_readf_float(reader->file, reader->block, BLOCK_FLOATS / channels);
    if (got < 0 || sf_error(reader->file) != SF_ERR_NO_ERROR) {
        return cb__because(why, CB_FORMAT, "is a damaged sound: %s", sf_strerror(reader->file));
    }
    for (size_t i = 0; i < (size_t)got; i++) {
        double sum = 0.0;
        for (uint32_t c = 0; c < channels; c++) {
            sum += reader->block[i * channels + c];
        }
        reader->mixed[i] = (float)(sum / channels);
        if (!isfinite(reader->mixed[i])) {
            return cb__because(why, CB_FORMAT, "is a damaged sound: a sample is no finite number");
        }
    }
    *out_count = (size_t)got;
    return true;
}

bool cb__sound_look(const char *path, struct cb_sound_info *out, struct cb__why *why)
{
    struct reader reader;
    if (!reader_open(&reader, path, why)) {
        return false;
    }
    *out = reader.info;
    reader_close(&reader);
    return true;
}

/* ---- the samples that are wanted ---- */

struct collector {
    float *samples;
    uint64_t count, room, skip, most; /* `skip` samples come before the part that is wanted */
    bool is_bounded;                  /* more than `most` are left, else refused */
};

static bool make_room(struct collector *c, struct cb__why *why)
{
    uint64_t room = c->room ? c->room * 2 : 16384;
    room = room > c->most + 1 ? c->most + 1 : room;
    float *larger = realloc(c->samples, room * sizeof(float));
    if (!larger) {
        return cb__because(why, CB_MEMORY, "does not fit into memory (%llu MB so far)",
                           (unsigned long long)(c->room * sizeof(float) >> 20));
    }
    c->samples = larger;
    c->room = room;
    return true;
}

static bool is_full(const struct collector *c)
{
    return c->is_bounded && c->count >= c->most;
}

static bool collect(struct collector *c, const float *from, size_t count, struct cb__why *why)
{
    const size_t skipped = c->skip < count ? (size_t)c->skip : count;
    c->skip -= skipped;
    from += skipped;
    count -= skipped;
    if (c->is_bounded && count > c->most - c->count) {
        count = (size_t)(c->most - c->count);
    } else if (!c->is_bounded && count > c->most - c->count) {
        return cb__because(why, CB_UNSUPPORTED, "is longer than the %u samples that are read at once: cut it", c->most > 0
                           ? (unsigned)c->most : 0);
    }
    while (c->room - c->count < count) {
        if (!make_room(c, why)) {
            return false;
        }
    }
    if (count > 0) {
        memcpy(c->samples + c->count, from, count * sizeof(float));
        c->count += count;
    }
    return true;
}

/* One block through the resampler; `in` NULL: what is left in it. */
static bool resample_block(struct cb__resampler *resampler, const float *in, size_t count, struct collector *c,
                           struct cb__why *why)
{
    float out[8192];
    size_t given = sizeof out / sizeof out[0];
    while ((count > 0 || given == sizeof out / sizeof out[0]) && !is_full(c)) {
        size_t taken = 0;
        if (!cb__resampler_run(resampler, in, count, &taken, out, sizeof out / sizeof out[0], &given, why) ||
            !collect(c, out, given, why)) {
            return false;
        }
        in = in ? in + taken : NULL;
        count -= in ? taken : 0;
        if (in && taken == 0 && given == 0) {
            break; /* it can't be, but would never end */
        }
    }
    return true;
}

static bool read_all(struct reader *reader, struct cb__resampler *resampler, struct collector *c, struct cb__why *why)
{
    reader->block = malloc(2 * BLOCK_FLOATS * sizeof(float));
    if (!reader->block) {
        return cb__because(why, CB_MEMORY, "cannot be read: out of memory");
    }
    reader->mixed = reader->block + BLOCK_FLOATS;
    size_t count = 1;
    while (count > 0 && !is_full(c)) {
        if (!reader_next(reader, &count, why)) {
            return false;
        }
        if (count == 0 ? resampler && !resample_block(resampler, NULL, 0, c, why)
                       : resampler ? !resample_block(resampler, reader->mixed, count, c, why)
                                   : !collect(c, reader->mixed, count, why)) {
            return false;
        }
    }
    return true;
}

/* ---- where to begin ---- */

static uint64_t greatest_divisor(uint64_t a, uint64_t b)
{
    while (b) {
        const uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Goes to the middle of a longer file, a little before the part that is wanted, and to a frame that lies on a sample of the
 * other rate, so that the part is the same as that of the whole sound. */
static void seek(struct reader *reader, uint32_t rate, struct collector *c)
{
    const uint64_t from = reader->info.rate, divisor = greatest_divisor(from, rate);
    const uint64_t from_step = from / divisor, to_step = rate / divisor;
    if (reader->info.frames / from_step > UINT64_MAX / 2 / to_step) {
        return; /* no such length is true */
    }
    const uint64_t total = reader->info.frames / from_step * to_step + reader->info.frames % from_step * to_step / from_step;
    if (!c->is_bounded || total <= c->most) {
        return;
    }
    const uint64_t first = (total - c->most) / 2;
    const uint64_t margin = MARGIN_SAMPLES * (rate > from ? rate / from + 1 : 1);
    const uint64_t steps = first > margin ? (first - margin) / to_step : 0;
    const bool is_there = steps > 0 && sf_seek(reader->file, (sf_count_t)(steps * from_step), SEEK_SET) >= 0;
    c->skip = is_there ? first - steps * to_step : first;
    if (steps > 0 && !is_there) {
        sf_seek(reader->file, 0, SEEK_SET); /* then what is before it is read, too */
    }
}

static bool check_rates(const struct reader *reader, const struct cb_sound_request *request, uint32_t rate,
                        struct cb__why *why)
{
    const uint32_t from = reader->info.rate, larger = from > rate ? from : rate, smaller = from > rate ? rate : from;
    if (from != rate && request->never_resample) {
        return cb__because(why, CB_MISMATCH, "has %u samples a second, but the network takes %u (`resample: never`)", from,
                           rate);
    }
    if (larger / CB_SOUND_MAX_RATIO > smaller) {
        return cb__because(why, CB_UNSUPPORTED, "has %u samples a second, too far from the %u that are wanted", from, rate);
    }
    return true;
}

bool cb__sound_read(const char *path, const struct cb_sound_request *request, struct cb_sound *out, struct cb__why *why)
{
    struct reader reader;
    if (!reader_open(&reader, path, why)) {
        return false;
    }
    const uint32_t rate = request->rate ? request->rate : reader.info.rate;
    struct cb__resampler *resampler = NULL;
    struct collector c = {.most = request->most ? request->most : CB_SOUND_MAX_SAMPLES, .is_bounded = request->most > 0};
    bool ok = check_rates(&reader, request, rate, why);
    if (ok && rate != reader.info.rate) {
        resampler = cb__resampler_create(reader.info.rate, rate, why);
        ok = resampler != NULL;
    }
    if (ok && request->part == CB_SOUND_MIDDLE) {
        seek(&reader, rate, &c);
    }
    ok = ok && read_all(&reader, resampler, &c, why);
    if (ok && c.count == 0) {
        ok = cb__because(why, CB_FORMAT, "is a sound without a sample");
    }
    cb__resampler_destroy(resampler);
    reader_close(&reader);
    if (!ok) {
        free(c.samples);
        return false;
    }
    *out = (struct cb_sound){c.samples, c.count, rate};
    return true;
}

#else

bool cb__sound_look(const char *path, struct cb_sound_info *out, struct cb__why *why)
{
    (void)path, (void)out;
    return cb__because(why, CB_UNSUPPORTED, "is a sound, and this build has no libsndfile: install it and build again");
}

bool cb__sound_read(const char *path, const struct cb_sound_request *request, struct cb_sound *out, struct cb__why *why)
{
    struct cb_sound_info info;
    (void)request, (void)out;
    return cb__sound_look(path, &info, why);
}

#endif
