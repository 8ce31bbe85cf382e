/* blocks.c: tensors whose elements are stored together in blocks, widened as ggml does (dequantize_row_* in its
 * ggml-quants.c; the same arithmetic in the same order, so the same bits).
 *
 * A block of 32 has one half-precision scale `d`, some a minimum `m`, then its elements in 4, 5 or 8 bits; a block of
 * 256 has scales of its own for each 16 or 32, themselves in 4, 6 or 8 bits. Within a byte the low bits are elements of
 * the first half of a run, the high bits those of the second. */
#include "weights/internal.h"

static float half_at(const unsigned char *from)
{
    return cb__f32_of_f16((uint16_t)(from[0] | from[1] << 8));
}

/* ---- blocks of 32 ------------------------------------------------------------------------------------------------ */

static void widen_q4_0(const unsigned char *block, float *out)
{
    float d = half_at(block);
    for (int i = 0; i < 16; i++) {
        out[i] = d * (float)((block[2 + i] & 15) - 8);
        out[16 + i] = d * (float)((block[2 + i] >> 4) - 8);
    }
}

static void widen_q4_1(const unsigned char *block, float *out)
{
    float d = half_at(block);
    float m = half_at(block + 2);
    for (int i = 0; i < 16; i++) {
        out[i] = d * (float)(block[4 + i] & 15) + m;
        out[16 + i] = d * (float)(block[4 + i] >> 4) + m;
    }
}

/* Element i of a block whose fifth bits lie in `high` and whose others follow. */
static int five_bits(const unsigned char *high, int i)
{
    const unsigned char *low = high + 4;
    int bits = i < 16 ? low[i] & 15 : low[i - 16] >> 4;
    return bits | (high[i / 8] >> i % 8 & 1) << 4;
}

static void widen_q5_0(const unsigned char *block, float *out)
{
    float d = half_at(block);
    for (int i = 0; i < 32; i++) {
        out[i] = d * (float)(five_bits(block + 2, i) - 16);
    }
}

static void widen_q5_1(const unsigned char *block, float *out)
{
    float d = half_at(block);
    float m = half_at(block + 2);
    for (int i = 0; i < 32; i++) {
        out[i] = d * (float)five_bits(block + 4, i) + m;
    }
}

static void widen_q8_0(const unsigned char *block, float *out)
{
    float d = half_at(block);
    for (int i = 0; i < 32; i++) {
        out[i] = (float)(int8_t)block[2 + i] * d;
    }
}

/* ---- blocks of 256 ----------------------------------------------------------------------------------------------- */

/* scales[16] (4 bits a scale, 4 a minimum), elements[64] (2 bits), d, dmin. */
static void widen_q2_k(const unsigned char *block, float *out)
{
    float d = half_at(block + 80);
    float dmin = half_at(block + 82);
    for (int i = 0; i < 256; i++) {
        unsigned char scale = block[i / 16];
        int bits = block[16 + i / 128 * 32 + i % 32] >> i / 32 % 4 * 2 & 3;
        out[i] = d * (float)(scale & 15) * (float)bits - dmin * (float)(scale >> 4);
    }
}

/* high[32] (a bit an element), elements[64] (2 bits), scales[12] (6 bits each: 4 low ones, then 2 high ones), d. */
static void widen_q3_k(const unsigned char *block, float *out)
{
    const unsigned char *scales = block + 96;
    float d = half_at(block + 108);
    for (int i = 0; i < 256; i++) {
        int s = i / 16;
        int low = scales[s % 8] >> s / 8 * 4 & 15;
        float scale = d * (float)((low | (scales[8 + s % 4] >> s / 4 * 2 & 3) << 4) - 32);
        int bits = block[32 + i / 128 * 32 + i % 32] >> i / 32 % 4 * 2 & 3;
        out[i] = scale * (float)(bits - (block[i % 32] >> i / 32 & 1 ? 0 : 4));
    }
}

/* Eight scales and eight minima of 6 bits in 12 bytes. */
static void six_bit_scales(const unsigned char *packed, int i, int *out_scale, int *out_minimum)
{
    if (i < 4) {
        *out_scale = packed[i] & 63;
        *out_minimum = packed[4 + i] & 63;
    } else {
        *out_scale = (packed[4 + i] & 15) | (packed[i - 4] >> 6) << 4;
        *out_minimum = packed[4 + i] >> 4 | (packed[i] >> 6) << 4;
    }
}

/* d, dmin, scales[12], then for Q5_K high[32] (a bit an element), elements[128] (4 bits). */
static void widen_q45_k(const unsigned char *block, const unsigned char *high, const unsigned char *elements, float *out)
{
    float d = half_at(block);
    float dmin = half_at(block + 2);
    for (int run = 0; run < 8; run++) {
        int scale, minimum;
        six_bit_scales(block + 4, run, &scale, &minimum);
        float by = d * (float)scale;
        float less = dmin * (float)minimum;
        for (int i = 0; i < 32; i++) {
            int bits = elements[run / 2 * 32 + i] >> run % 2 * 4 & 15;
            bits |= high ? (high[i] >> run & 1) << 4 : 0;
            out[run * 32 + i] = by * (float)bits - less;
        }
    }
}

static void widen_q4_k(const unsigned char *block, float *out)
{
    widen_q45_k(block, NULL, block + 16, out);
}

static void widen_q5_k(const unsigned char *block, float *out)
{
    widen_q45_k(block, block + 16, block + 48, out);
}

/* low[128] (4 bits), high[64] (2 bits), scales[16] (8 bits), d. */
static void widen_q6_k(const unsigned char *block, float *out)
{
    float d = half_at(block + 208);
    for (int i = 0; i < 256; i++) {
        int low = block[i / 128 * 64 + i % 64] >> i / 64 % 2 * 4 & 15;
        int high = block[128 + i / 128 * 32 + i % 32] >> i / 32 % 4 * 2 & 3;
        out[i] = d * (float)(int8_t)block[192 + i / 16] * (float)((low | high << 4) - 32);
    }
}

/* ---- runs of elements -------------------------------------------------------------------------------------------- */

static void (*const widen_block[CB_STORED_COUNT])(const unsigned char *block, float *out) = {
    [CB_STORED_Q4_0] = widen_q4_0, [CB_STORED_Q4_1] = widen_q4_1, [CB_STORED_Q5_0] = widen_q5_0,
    [CB_STORED_Q5_1] = widen_q5_1, [CB_STORED_Q8_0] = widen_q8_0, [CB_STORED_Q2_K] = widen_q2_k,
    [CB_STORED_Q3_K] = widen_q3_k, [CB_STORED_Q4_K] = widen_q4_k, [CB_STORED_Q5_K] = widen_q5_k,
    [CB_STORED_Q6_K] = widen_q6_k,
};

void cb__widen_blocks(enum cb_stored type, const unsigned char *data, int64_t from, int64_t stride, int64_t count,
                      float *out)
{
    int64_t elements = cb_stored_block(type);
    int64_t bytes = (int64_t)cb_stored_size(type, (uint64_t)elements);
    float block[CB_MAX_BLOCK];
    int64_t in_block = -1; /* which one that is */
    for (int64_t i = 0; i < count;) {
        int64_t at = from + i * stride;
        if (stride == 1 && at % elements == 0 && count - i >= elements) {
            widen_block[type](data + at / elements * bytes, out + i);
            i += elements;
            continue;
        }
        if (at / elements != in_block) {
            in_block = at / elements;
            widen_block[type](data + in_block * bytes, block);
        }
        out[i++] = block[at % elements];
    }
}
