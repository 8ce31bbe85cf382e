/* Sounds against other programs: every kind of file that is read, mixed, resampled, cut, trimmed, and how loud they are. The
 * files and what is expected of them: tests/reference/make_sound_files.py. Then damaged ones: whatever a file says, it is
 * read or refused, and no memory is taken for what isn't there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "audio/sound.h"

#define SOUNDS CB_SOURCE_ROOT "/tests/data/sounds/"

static void path_of(char path[512], const char *name)
{
    snprintf(path, 512, SOUNDS "%s", name);
}

static bool has_libraries(void)
{
#if defined(CB_HAVE_SNDFILE) && defined(CB_HAVE_SOXR)
    return true;
#else
    return false;
#endif
}

static void test_expected(void **state)
{
    (void)state;
    if (!has_libraries()) {
        skip();
    }
    FILE *lines = fopen(SOUNDS "expected.txt", "r"), *bytes = fopen(SOUNDS "expected.bin", "rb");
    assert_non_null(lines);
    assert_non_null(bytes);
    char name[64];
    unsigned rate, middle, trim, given_rate, cases = 0;
    unsigned long most, count;
    while (fscanf(lines, "%63s %u %lu %u %u %u %lu", name, &rate, &most, &middle, &trim, &given_rate, &count) == 7) {
        char path[512];
        path_of(path, name);
        struct cb_sound sound = {0};
        struct cb__why why;
        struct cb_sound_request request = {rate, most, middle ? CB_SOUND_MIDDLE : CB_SOUND_BEGINNING, false};
        if (!cb__sound_read(path, &request, &sound, &why)) {
            fail_msg("%s %s", name, why.text);
        }
        if (trim > 0) {
            cb_sound_trim(&sound, trim);
        }
        assert_int_equal(sound.rate, given_rate);
        if (sound.count != count) {
            fail_msg("%s at %u: %lu samples instead of %lu", name, rate, (unsigned long)sound.count, count);
        }
        float *expected = malloc(count * sizeof(float));
        assert_int_equal(fread(expected, sizeof(float), count, bytes), count);
        double largest = 0.0;
        for (unsigned long i = 0; i < count; i++) {
            largest = fmax(largest, fabs(sound.samples[i] - expected[i]));
        }
        if (!(largest < 2e-6)) {
            fail_msg("%s at %u, %lu samples: off by %g", name, rate, most, largest);
        }
        free(expected);
        cb_sound_free(&sound);
        cases++;
    }
    assert_int_equal(fgetc(bytes), EOF); /* all of them were compared */
    assert_int_equal(cases, 27);
    fclose(lines);
    fclose(bytes);
}

static void test_loudness(void **state)
{
    (void)state;
    if (!has_libraries()) {
        skip();
    }
    FILE *lines = fopen(SOUNDS "loudness.txt", "r");
    assert_non_null(lines);
    char name[64];
    double expected;
    unsigned cases = 0;
    while (fscanf(lines, "%63s %lf", name, &expected) == 2) {
        char path[512];
        path_of(path, name);
        struct cb_sound sound = {0};
        struct cb__why why;
        assert_true(cb__sound_read(path, &(struct cb_sound_request){0}, &sound, &why));
        const double loudness = cb_sound_loudness(&sound);
        if (!(fabs(loudness - expected) < 0.02)) {
            fail_msg("%s: %g LUFS instead of %g", name, loudness, expected);
        }
        cb_sound_free(&sound);
        cases++;
    }
    assert_int_equal(cases, 2);
    fclose(lines);
    float zeros[8000] = {0};
    assert_true(isinf(cb_sound_loudness(&(struct cb_sound){zeros, 8000, 16000})));
    assert_true(isinf(cb_sound_loudness(&(struct cb_sound){zeros, 1, 16000})));
}

static void refused(const char *path, const struct cb_sound_request *request, const char *part)
{
    struct cb_sound sound = {0};
    struct cb__why why = {0};
    if (cb__sound_read(path, request, &sound, &why)) {
        fail_msg("`%s` was read", path);
    }
    assert_null(sound.samples);
    if (!strstr(why.text, part)) {
        fail_msg("`%s` %s", path, why.text);
    }
}

static void test_refused(void **state)
{
    (void)state;
    const struct cb_sound_request all = {0}, never = {.rate = 16000, .never_resample = true}, slow = {.rate = 10};
    char path[512];
    path_of(path, "mono8k.wav");
    if (!has_libraries()) {
        refused(path, &(struct cb_sound_request){.rate = 16000}, "and this build has no lib");
        return;
    }
    refused(path, &never, "has 8000 samples a second, but the network takes 16000 (`resample: never`)");
    refused(path, &slow, "has 8000 samples a second, too far from the 10 that are wanted");
    path_of(path, "nan.wav");
    refused(path, &all, "is a damaged sound: a sample is no finite number");
    path_of(path, "expected.txt");
    refused(path, &all, "is no sound that can be read (WAV, FLAC, OGG or MP3)");
    path_of(path, "nothing.wav");
    refused(path, &all, "cannot be opened");
    refused(SOUNDS, &all, "is a folder, not a sound");
    refused("/dev/zero", &all, "is no regular file, not a sound");
}

/* ---- damaged files ---- */

static char scratch[] = "/tmp/cambium-sound-XXXXXX";

static void put(const void *data, size_t bytes)
{
    FILE *file = fopen(scratch, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    fclose(file);
}

/* Read or refused; never more than the file can hold. */
static bool try_it(size_t bytes)
{
    struct cb_sound sound = {0};
    struct cb__why why = {0};
    const bool ok = cb__sound_read(scratch, &(struct cb_sound_request){.rate = 16000, .most = 100000, .part = CB_SOUND_MIDDLE},
                                   &sound, &why);
    assert_true(ok ? sound.count >= 1 && sound.count <= 100000 : why.text[0] != '\0' && why.status != CB_OK);
    (void)bytes;
    for (uint64_t i = 0; i < sound.count; i++) {
        assert_true(isfinite(sound.samples[i]));
    }
    cb_sound_free(&sound);
    return ok;
}

static unsigned open_files(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder && readdir(folder)) {
        count++;
    }
    if (folder) {
        closedir(folder);
    }
    return count;
}

static void test_damaged(void **state)
{
    (void)state;
    if (!has_libraries()) {
        skip();
    }
    static const char *const names[] = {"mono8k.wav", "stereo22k.flac", "mono16k.ogg", "mono16k.mp3", "float48k.wav"};
    const int fd = mkstemp(scratch);
    assert_true(fd >= 0);
    close(fd);
    const unsigned before = open_files();
    uint64_t random = 88172645463325252u;
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++) {
        char path[512];
        path_of(path, names[n]);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        static uint8_t whole[1 << 16], copy[1 << 16];
        const size_t bytes = fread(whole, 1, sizeof whole, file);
        fclose(file);
        for (int i = 0; i < 150; i++) { /* most of the damage at the beginning, where the sizes are */
            memcpy(copy, whole, bytes);
            for (int k = 0; k < 1 + i % 4; k++) {
                random ^= random << 13, random ^= random >> 7, random ^= random << 17;
                copy[random % (i % 3 ? 64 : bytes)] = (uint8_t)(random >> 32);
            }
            put(copy, bytes);
            try_it(bytes);
        }
        for (size_t cut = 0; cut < 200; cut += 7) {
            put(whole, cut);
            try_it(cut);
        }
    }
    assert_int_equal(open_files(), before); /* also those that were refused are closed */
    unlink(scratch);
}

/* A header that promises two gigabytes of samples, or a thousand channels, over a few bytes. */
static void test_absurd_headers(void **state)
{
    (void)state;
    if (!has_libraries()) {
        skip();
    }
    uint8_t wav[64] = "RIFF\xff\xff\xff\x7fWAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data\xff\xff\xff\x7f";
    strcpy(scratch + strlen(scratch) - 6, "XXXXXX");
    const int fd = mkstemp(scratch);
    assert_true(fd >= 0);
    close(fd);
    struct rlimit limit, old;
    getrlimit(RLIMIT_AS, &old);
    limit = old;
    limit.rlim_cur = (rlim_t)2 << 30; /* a reader that believed the header would not get its memory */
    setrlimit(RLIMIT_AS, &limit);
    put(wav, sizeof wav);
    assert_true(try_it(sizeof wav)); /* ten samples are there */
    wav[22] = 0xff, wav[23] = 0x03; /* 1023 channels */
    put(wav, sizeof wav);
    try_it(sizeof wav);
    wav[22] = 1, wav[23] = 0;
    wav[24] = wav[25] = wav[26] = 0xff; /* 16,777,215 samples a second */
    put(wav, sizeof wav);
    assert_false(try_it(sizeof wav));
    wav[24] = wav[25] = wav[26] = 0; /* none */
    put(wav, sizeof wav);
    assert_false(try_it(sizeof wav));
    setrlimit(RLIMIT_AS, &old);
    unlink(scratch);
}

/* Two hours, of which the file system stores nothing: only the part that is wanted is read. */
static void test_two_hours(void **state)
{
    (void)state;
    if (!has_libraries()) {
        skip();
    }
    const uint32_t data = 2u * 44100u * 7200u, size = data + 36;
    uint8_t wav[44] = "RIFF....WAVEfmt \x10\0\0\0\x01\0\x01\0\x44\xac\0\0\x88\x58\x01\0\x02\0\x10\0data....";
    for (int i = 0; i < 4; i++) {
        wav[4 + i] = (uint8_t)(size >> 8 * i);
        wav[40 + i] = (uint8_t)(data >> 8 * i);
    }
    strcpy(scratch + strlen(scratch) - 6, "XXXXXX");
    const int fd = mkstemp(scratch);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, wav, sizeof wav), sizeof wav);
    assert_int_equal(ftruncate(fd, 44 + (off_t)data), 0);
    const int16_t loud[2] = {16384, 16384};
    assert_int_equal(pwrite(fd, loud, sizeof loud, 44 + 2 * (off_t)44100 * 3600), sizeof loud);
    close(fd);
    struct cb_sound sound = {0};
    struct cb__why why;
    struct cb_sound_request request = {16000, 16000, CB_SOUND_MIDDLE, false};
    assert_true(cb__sound_read(scratch, &request, &sound, &why));
    assert_int_equal(sound.count, 16000);
    float largest = 0.0f;
    uint64_t at = 0;
    for (uint64_t i = 0; i < sound.count; i++) {
        at = sound.samples[i] > largest ? i : at;
        largest = fmaxf(largest, sound.samples[i]);
    }
    assert_int_equal(at, 8000); /* the second that lies around the middle: its click is in its middle */
    cb_sound_free(&sound);
    struct cb_sound_info info;
    assert_true(cb__sound_look(scratch, &info, &why));
    assert_int_equal(info.frames, 44100 * 7200);
    unlink(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expected),       cmocka_unit_test(test_loudness), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_damaged), cmocka_unit_test(test_absurd_headers), cmocka_unit_test(test_two_hours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
