/* optimizer.cl: one step of gradient descent over the whole trainable range of params. See src/train/optimizer.h.
 *
 * The range is cut into tiles that lie within one param each. A work-group takes a tile: on CPU-class devices one
 * work-item in vectors of 16, elsewhere 64 neighbours in vectors of 4 (CB_WIDTH).
 *
 * A step is three launches and no word to the host:
 *     optimizer_norm    sums[tile] = sum of (grad_scale g)^2
 *     optimizer_clip    norm = sqrt(sum of sums), in order, compensated; the factor for the gradients; all finite?
 *     optimizer_sgd or optimizer_adam
 *
 * tiles: offsets [tiles] and counts [tiles] in floats, rates [tiles] = (share of the rate, 1 where weights decay).
 * state[5]: norm and clip factor (as float bits), steps skipped, last step skipped, a value that was checked is not
 * finite. */
#ifndef CB_WIDTH
#define CB_WIDTH 16
#endif

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define VEC JOIN(float, CB_WIDTH)
#define LOAD(p) JOIN(vload, CB_WIDTH)(0, (p))
#define STORE(v, p) JOIN(vstore, CB_WIDTH)((v), 0, (p))

#define STATE_NORM 0
#define STATE_FACTOR 1
#define STATE_SKIPPED 2
#define STATE_LAST_SKIPPED 3
#define STATE_BAD 4

static inline float sum_of4(float4 v)
{
    return (v.x + v.y) + (v.z + v.w);
}

#if CB_WIDTH == 16
static inline float sum_of(float16 v)
{
    return sum_of4((v.lo.lo + v.lo.hi) + (v.hi.lo + v.hi.hi));
}
#else
#define sum_of(v) sum_of4(v)
#endif

/* Adds what the work-items of a group hold, in order; the result is the first one's. */
static inline float sum_of_group(float mine, __local float *scratch)
{
    const uint item = get_local_id(0), items = get_local_size(0);
    scratch[item] = mine;
    barrier(CLK_LOCAL_MEM_FENCE);
    float sum = 0.0f;
    if (item == 0) {
        for (uint i = 0; i < items; i++) {
            sum += scratch[i];
        }
    }
    return sum;
}

/* scratch: a float for each work-item of a group. */
__kernel void optimizer_norm(__global float *sums, __global const float *grads, __global const long *offsets,
                             __global const int *counts, __global const float2 *rates, int tiles, float grad_scale,
                             __local float *scratch)
{
    const int tile = (int)get_group_id(0);
    if (tile >= tiles) {
        return;
    }
    const int count = rates[tile].x == 0.0f ? 0 : counts[tile];
    __global const float *g = grads + offsets[tile];
    VEC lanes = (VEC)(0.0f);
    float rest = 0.0f;
    const int item = (int)get_local_id(0), items = (int)get_local_size(0), whole = count / CB_WIDTH * CB_WIDTH;
    for (int i = item * CB_WIDTH; i < whole; i += items * CB_WIDTH) {
        const VEC v = LOAD(g + i) * grad_scale;
        lanes += v * v;
    }
    for (int i = whole + item; i < count; i += items) {
        const float v = g[i] * grad_scale;
        rest += v * v;
    }
    const float sum = sum_of_group(sum_of(lanes) + rest, scratch);
    if (item == 0) {
        sums[tile] = sum;
    }
}

/* One work-group. clip: the largest norm, 0 for none. The factor is PyTorch's clip_grad_norm_. */
__kernel void optimizer_clip(__global int *state, __global const float *sums, int tiles, float clip,
                             __local float *scratch)
{
    const int item = (int)get_local_id(0), items = (int)get_local_size(0);
    const int share = (tiles + items - 1) / items;
    const int begin = min(item * share, tiles), end = min(begin + share, tiles);
    float sum = 0.0f, lost = 0.0f; /* Kahan 1965 */
    for (int i = begin; i < end; i++) {
        const float add = sums[i] - lost;
        const float next = sum + add;
        lost = (next - sum) - add;
        sum = next;
    }
    const float total = sum_of_group(sum, scratch);
    if (item == 0) {
        const int bad = !isfinite(total) || state[STATE_BAD] != 0;
        const float norm = sqrt(total);
        state[STATE_NORM] = as_int(norm);
        state[STATE_FACTOR] = as_int(clip > 0.0f ? fmin(1.0f, clip / (norm + 1e-6f)) : 1.0f);
        state[STATE_SKIPPED] += bad;
        state[STATE_LAST_SKIPPED] = bad;
        state[STATE_BAD] = 0;
    }
}

/* One work-group: notes a value that is not finite for the next step. Work-items that find one write the same. */
__kernel void optimizer_check(__global int *state, __global const float *values, long count)
{
    for (long i = get_local_id(0); i < count; i += get_local_size(0)) {
        if (!isfinite(values[i])) {
            state[STATE_BAD] = 1;
        }
    }
}

/* v = momentum v + (g + decay p);  p -= rate v, or with Nesterov's look ahead p -= rate (g + decay p + momentum v).
 * velocity may be NULL when momentum is 0. */
#define SGD_STEP(load, store, type, i)                                                             \
    {                                                                                              \
        const type p = load(params + (i));                                                         \
        type step = load(grads + (i)) * scale + decay * p;                                         \
        if (momentum > 0.0f) {                                                                     \
            const type v = momentum * load(velocity + (i)) + step;                                 \
            store(v, velocity + (i));                                                              \
            step = nesterov ? step + momentum * v : v;                                             \
        }                                                                                          \
        store(p - rate * step, params + (i));                                                      \
    }

#define LOAD1(p) (*(p))
#define STORE1(v, p) (*(p) = (v))

__kernel void optimizer_sgd(__global float *params, __global float *velocity, __global const float *grads,
                            __global const long *offsets, __global const int *counts, __global const float2 *rates,
                            __global const int *state, int tiles, float grad_scale, float full_rate,
                            float weight_decay, float momentum, int nesterov)
{
    const int tile = (int)get_group_id(0);
    if (tile >= tiles || state[STATE_LAST_SKIPPED] != 0 || rates[tile].x == 0.0f) {
        return;
    }
    const float scale = grad_scale * as_float(state[STATE_FACTOR]);
    const float rate = full_rate * rates[tile].x, decay = weight_decay * rates[tile].y;
    const int count = counts[tile], whole = count / CB_WIDTH * CB_WIDTH;
    const int item = (int)get_local_id(0), items = (int)get_local_size(0);
    params += offsets[tile];
    grads += offsets[tile];
    if (momentum > 0.0f) {
        velocity += offsets[tile];
    }
    for (int i = item * CB_WIDTH; i < whole; i += items * CB_WIDTH) {
        SGD_STEP(LOAD, STORE, VEC, i)
    }
    for (int i = whole + item; i < count; i += items) {
        SGD_STEP(LOAD1, STORE1, float, i)
    }
}

/* m += (1 - beta1)(g - m);  v = beta2 v + (1 - beta2) g^2;  p -= rate m / (sqrt(v) root_scale + epsilon)
 * with rate divided by 1 - beta1^t (rate_scale is its reciprocal) and root_scale = 1 / sqrt(1 - beta2^t). gain1 and
 * gain2 are 1 - beta1 and 1 - beta2, which a float cannot subtract to enough digits. Weight decay shrinks p before
 * (decoupled: AdamW) or is added to g (Adam). */
#define ADAM_STEP(load, store, type, i)                                                            \
    {                                                                                              \
        const type old = load(params + (i));                                                       \
        const type g = load(grads + (i)) * scale + coupled * old;                                  \
        type m = load(means + (i));                                                                \
        m += gain1 * (g - m);                                                                      \
        const type v = beta2 * load(variances + (i)) + gain2 * g * g;                              \
        store(m, means + (i));                                                                     \
        store(v, variances + (i));                                                                 \
        store(old * keep - corrected * m / (sqrt(v) * root_scale + epsilon), params + (i));        \
    }

__kernel void optimizer_adam(__global float *params, __global float *means, __global float *variances,
                             __global const float *grads, __global const long *offsets, __global const int *counts,
                             __global const float2 *rates, __global const int *state, int tiles, float grad_scale,
                             float full_rate, float weight_decay, int decoupled, float gain1, float beta2,
                             float gain2, float epsilon, float rate_scale, float root_scale)
{
    const int tile = (int)get_group_id(0);
    if (tile >= tiles || state[STATE_LAST_SKIPPED] != 0 || rates[tile].x == 0.0f) {
        return;
    }
    const float scale = grad_scale * as_float(state[STATE_FACTOR]);
    const float rate = full_rate * rates[tile].x, decay = weight_decay * rates[tile].y;
    const float keep = decoupled ? 1.0f - rate * decay : 1.0f, coupled = decoupled ? 0.0f : decay;
    const float corrected = rate * rate_scale;
    const int count = counts[tile], whole = count / CB_WIDTH * CB_WIDTH;
    const int item = (int)get_local_id(0), items = (int)get_local_size(0);
    params += offsets[tile];
    means += offsets[tile];
    variances += offsets[tile];
    grads += offsets[tile];
    for (int i = item * CB_WIDTH; i < whole; i += items * CB_WIDTH) {
        ADAM_STEP(LOAD, STORE, VEC, i)
    }
    for (int i = whole + item; i < count; i += items) {
        ADAM_STEP(LOAD1, STORE1, float, i)
    }
}
