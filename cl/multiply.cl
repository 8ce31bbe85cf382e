/* multiply.cl: y = a b; da = dy b by the same kernel; db = sum over places of dy a.
 * a, y, dy, da: [samples, places, C]; b, db: [samples, C]. y may be a. Sums over places are taken in runs of 64.
 * Plain: a work-item an element of the output; tile: about MULTIPLY_TILE elements, or 64 channels of a sample's sum. */

#ifndef MULTIPLY_TILE
#define MULTIPLY_TILE 16384
#endif
#define RUN 64

__kernel void multiply_forward(__global float *y, __global const float *a, __global const float *b, long samples,
                               long places, int C, int accumulate)
{
    const int c = get_global_id(0);
    const long row = get_global_id(1); /* sample * places + place */
    if (c >= C || row >= samples * places) {
        return;
    }
    const long i = row * C + c;
    const float v = a[i] * b[row / places * C + c];
    y[i] = accumulate ? y[i] + v : v;
}

__kernel void multiply_forward_tile(__global float *y, __global const float *a, __global const float *b, long samples,
                                    long places, int C, int accumulate)
{
    const long item_rows = max(MULTIPLY_TILE / C, 1);
    const long begin = get_global_id(0) * item_rows;
    if (begin >= samples * places) {
        return;
    }
    const long end = min(begin + item_rows, samples * places);
    for (long row = begin; row < end; row++) {
        __global const float *gate = b + row / places * C;
        const long at = row * C;
        int c = 0;
        for (; c + 16 <= C; c += 16) {
            const float16 v = vload16(0, a + at + c) * vload16(0, gate + c);
            vstore16(accumulate ? vload16(0, y + at + c) + v : v, 0, y + at + c);
        }
        for (; c < C; c++) {
            const float v = a[at + c] * gate[c];
            y[at + c] = accumulate ? y[at + c] + v : v;
        }
    }
}

static float dgate_one(__global const float *dy, __global const float *a, long places, int C)
{
    float sum = 0.0f;
    for (long done = 0; done < places; done += RUN) {
        const long end = min(done + RUN, places);
        float run = 0.0f;
        for (long p = done; p < end; p++) {
            run += dy[p * C] * a[p * C];
        }
        sum += run;
    }
    return sum;
}

__kernel void multiply_dgate(__global float *db, __global const float *dy, __global const float *a, long samples,
                             long places, int C, int accumulate)
{
    const int c = get_global_id(0);
    const long sample = get_global_id(1);
    if (c >= C || sample >= samples) {
        return;
    }
    const float sum = dgate_one(dy + sample * places * C + c, a + sample * places * C + c, places, C);
    db[sample * C + c] = accumulate ? db[sample * C + c] + sum : sum;
}

__kernel void multiply_dgate_tile(__global float *db, __global const float *dy, __global const float *a, long samples,
                                  long places, int C, int accumulate)
{
    const int first = get_global_id(0) * 64;
    const long sample = get_global_id(1);
    if (first >= C || sample >= samples) {
        return;
    }
    dy += sample * places * C;
    a += sample * places * C;
    db += sample * C;
    const int last = min(first + 64, C);
    int c = first;
    for (; c + 16 <= last; c += 16) {
        float16 sum = (float16)(0.0f);
        for (long done = 0; done < places; done += RUN) {
            const long end = min(done + RUN, places);
            float16 run = (float16)(0.0f);
            for (long p = done; p < end; p++) {
                run += vload16(0, dy + p * C + c) * vload16(0, a + p * C + c);
            }
            sum += run;
        }
        vstore16(accumulate ? vload16(0, db + c) + sum : sum, 0, db + c);
    }
    for (; c < last; c++) {
        const float sum = dgate_one(dy + c, a + c, places, C);
        db[c] = accumulate ? db[c] + sum : sum;
    }
}
