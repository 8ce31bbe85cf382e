/* mutate.c: what may happen to a file: flipped bits, cuts, insertions, numbers at their extremes, pieces of another. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "fuzz.h"

uint64_t fuzz_next(struct fuzz_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t fuzz_below(struct fuzz_random *random, uint64_t limit)
{
    return limit ? fuzz_next(random) % limit : 0;
}

struct buffer {
    unsigned char *data;
    size_t bytes;
};

/* Replaces `length` bytes at `at` by `with`. */
static void replace(struct buffer *b, size_t at, size_t length, const void *with, size_t with_bytes)
{
    unsigned char *data = malloc(b->bytes - length + with_bytes + 1);
    if (!data) {
        abort();
    }
    memcpy(data, b->data, at);
    if (with_bytes > 0) {
        memcpy(data + at, with, with_bytes);
    }
    memcpy(data + at + with_bytes, b->data + at + length, b->bytes - at - length);
    free(b->data);
    b->data = data;
    b->bytes = b->bytes - length + with_bytes;
}

/* Mostly in the first kilobyte, where headers are, and in the last, where zips have their directory. */
static size_t somewhere(struct fuzz_random *random, const struct buffer *b)
{
    size_t window = b->bytes < 1024 ? b->bytes : 1024;
    switch (fuzz_below(random, 4)) {
    case 0:
        return fuzz_below(random, window);
    case 1:
        return b->bytes - window + fuzz_below(random, window);
    default:
        return fuzz_below(random, b->bytes);
    }
}

static void flip_bits(struct fuzz_random *random, struct buffer *b)
{
    for (uint64_t n = 1 + fuzz_below(random, 3); n > 0 && b->bytes > 0; n--) {
        b->data[somewhere(random, b)] ^= (unsigned char)(1u << fuzz_below(random, 8));
    }
}

static void set_byte(struct fuzz_random *random, struct buffer *b)
{
    if (b->bytes > 0) {
        b->data[somewhere(random, b)] = (unsigned char)fuzz_next(random);
    }
}

static void cut(struct fuzz_random *random, struct buffer *b)
{
    size_t at = fuzz_below(random, b->bytes + 1);
    size_t most = b->bytes - at < 64 && fuzz_below(random, 2) ? b->bytes - at : fuzz_below(random, 33);
    replace(b, at, most < b->bytes - at ? most : b->bytes - at, NULL, 0);
}

static void truncate_end(struct fuzz_random *random, struct buffer *b)
{
    b->bytes = fuzz_below(random, b->bytes + 1);
}

static void insert(struct fuzz_random *random, struct buffer *b)
{
    unsigned char noise[32];
    size_t count = 1 + fuzz_below(random, sizeof(noise));
    bool is_run = fuzz_below(random, 2);
    unsigned char byte = (unsigned char)fuzz_next(random);
    for (size_t i = 0; i < count; i++) {
        noise[i] = is_run ? byte : (unsigned char)fuzz_next(random);
    }
    replace(b, fuzz_below(random, b->bytes + 1), 0, noise, count);
}

/* A field of 1, 2, 4 or 8 bytes set to what breaks sums and products. */
static void extreme_number(struct fuzz_random *random, struct buffer *b)
{
    static const uint64_t values[] = {
        0, 1, 2, 3, 7, 8, 16, 31, 64, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 0x7fffffff, 0x80000000u, 0xffffffffu,
        UINT64_C(0x100000000), UINT64_C(0x3fffffffffffffff), UINT64_C(0x4000000000000000), INT64_MAX,
        UINT64_C(0x8000000000000000), UINT64_MAX - 7, UINT64_MAX - 1, UINT64_MAX};
    size_t width = (size_t)1 << fuzz_below(random, 4);
    if (b->bytes < width) {
        return;
    }
    size_t at = somewhere(random, b);
    at = at > b->bytes - width ? b->bytes - width : at;
    uint64_t kind = fuzz_below(random, 8);
    uint64_t value = kind == 0   ? b->bytes + fuzz_below(random, 3) - 1
                     : kind == 1 ? b->data[at] + fuzz_below(random, 9) - 4
                                 : values[fuzz_below(random, sizeof(values) / sizeof(values[0]))];
    bool is_big = fuzz_below(random, 4) == 0;
    for (size_t i = 0; i < width; i++) {
        b->data[at + (is_big ? width - 1 - i : i)] = (unsigned char)(value >> 8 * i);
    }
}

/* A number in a text (a JSON header, a shape) replaced by one that breaks sums and products. */
static void extreme_digits(struct fuzz_random *random, struct buffer *b)
{
    static const char *const texts[] = {"0", "-1", "1", "2", "255", "65536", "2147483648", "4294967296", "1e999", "0.5",
                                        "9223372036854775807", "18446744073709551616", "4611686018427387904", "1000000",
                                        "99999999999999999999999999", "true", "null", "\"1\"", "[]", "{}"};
    size_t at = somewhere(random, b);
    while (at < b->bytes && (b->data[at] < '0' || b->data[at] > '9')) {
        at++;
    }
    size_t length = 0;
    while (at + length < b->bytes && b->data[at + length] >= '0' && b->data[at + length] <= '9') {
        length++;
    }
    const char *text = texts[fuzz_below(random, sizeof(texts) / sizeof(texts[0]))];
    if (length > 0) {
        replace(b, at, length, text, strlen(text));
    }
}

/* A piece of the file once more, elsewhere: items that stand twice, tables that go on. */
static void repeat_piece(struct fuzz_random *random, struct buffer *b)
{
    unsigned char piece[256];
    size_t length = fuzz_below(random, sizeof(piece)) + 1;
    if (b->bytes < length) {
        return;
    }
    memcpy(piece, b->data + fuzz_below(random, b->bytes - length + 1), length);
    size_t at = fuzz_below(random, b->bytes + 1);
    bool is_over = fuzz_below(random, 2) && b->bytes - at >= length;
    replace(b, at, is_over ? length : 0, piece, length);
}

/* The beginning of this file and the end of another, or a piece of the other in the middle. */
static void splice(struct fuzz_random *random, struct buffer *b, const struct fuzz_file *other)
{
    size_t at = fuzz_below(random, b->bytes + 1);
    size_t from = fuzz_below(random, 2) ? (at < other->bytes ? at : other->bytes) : fuzz_below(random, other->bytes + 1);
    if (fuzz_below(random, 2)) {
        replace(b, at, b->bytes - at, other->data + from, other->bytes - from);
        return;
    }
    size_t length = fuzz_below(random, other->bytes - from + 1);
    size_t over = length < b->bytes - at ? length : b->bytes - at;
    replace(b, at, fuzz_below(random, 2) ? over : 0, other->data + from, length);
}

unsigned char *fuzz_mutate(struct fuzz_random *random, const struct fuzz_file *files, size_t count, size_t *out_bytes,
                           size_t *out_from)
{
    *out_from = fuzz_below(random, count);
    const struct fuzz_file *file = &files[*out_from];
    struct buffer b = {.data = malloc(file->bytes + 1), .bytes = file->bytes};
    if (!b.data) {
        abort();
    }
    memcpy(b.data, file->data, file->bytes);
    for (uint64_t n = 1 + fuzz_below(random, 4); n > 0; n--) {
        switch (fuzz_below(random, 12)) {
        case 0:
        case 1:
            flip_bits(random, &b);
            break;
        case 2:
            set_byte(random, &b);
            break;
        case 3:
            cut(random, &b);
            break;
        case 4:
            truncate_end(random, &b);
            break;
        case 5:
            insert(random, &b);
            break;
        case 6:
        case 7:
            extreme_number(random, &b);
            break;
        case 8:
        case 9:
            extreme_digits(random, &b);
            break;
        case 10:
            repeat_piece(random, &b);
            break;
        default:
            splice(random, &b, &files[fuzz_below(random, count)]);
            break;
        }
    }
    if (fuzz_below(random, 4) > 0) {
        fuzz_repair_zip(b.data, b.bytes);
    }
    *out_bytes = b.bytes;
    return b.data;
}

/* ---- zips -------------------------------------------------------------------------------------------------------- */

static uint32_t number_at(const unsigned char *from, int bytes)
{
    uint32_t value = 0;
    for (int i = bytes; i-- > 0;) {
        value = value << 8 | from[i];
    }
    return value;
}

static void put_number(unsigned char *to, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        to[i] = (unsigned char)(value >> 8 * i);
    }
}

/* The entry of the directory at `entry`: 20 its compressed size, 42 where its own header lies (APPNOTE.TXT, 4.3.12). */
static void repair_member(unsigned char *data, size_t bytes, unsigned char *entry)
{
    uint64_t at = number_at(entry + 42, 4);
    uint64_t length = number_at(entry + 20, 4);
    if (number_at(entry + 10, 2) != 0 || at + 30 > bytes || memcmp(data + at, "PK\3\4", 4) != 0) {
        return;
    }
    uint64_t begin = at + 30 + number_at(data + at + 26, 2) + number_at(data + at + 28, 2);
    if (begin > bytes || length > bytes - begin) {
        return;
    }
    uint32_t sum = (uint32_t)crc32(0, data + begin, (uInt)length);
    put_number(entry + 16, sum);
    put_number(data + at + 14, sum);
    if (bytes - begin - length >= 8 && memcmp(data + begin + length, "PK\7\10", 4) == 0) {
        put_number(data + begin + length + 4, sum);
    }
}

void fuzz_repair_zip(unsigned char *data, size_t bytes)
{
    if (bytes < 4 || memcmp(data, "PK\3\4", 4) != 0) {
        return;
    }
    for (size_t i = 0; i + 46 <= bytes; i++) {
        if (memcmp(data + i, "PK\1\2", 4) == 0) {
            repair_member(data, bytes, data + i);
        }
    }
}
