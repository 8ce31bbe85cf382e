/* trial_pointwise.cl: for the checks of src/check: y = f(x) and dx = dy df(x or y) with `vec` of WIDTH lanes.
 * The header that src/check/pointwise.c makes defines
 * TRIAL_F, TRIAL_DF and OPTIONS. A work-item takes WIDTH neighbours; what is missing at the end is 1. */

/* Not an array of vec: the last vector is not whole. */
static vec gather(__global const float *p, long n)
{
    float lanes[WIDTH];
    for (int i = 0; i < WIDTH; i++) {
        lanes[i] = i < n ? p[i] : 1.0f;
    }
#if WIDTH == 16
    return vload16(0, lanes);
#elif WIDTH == 4
    return vload4(0, lanes);
#else
    return lanes[0];
#endif
}

static void scatter(vec v, float *lanes)
{
#if WIDTH == 16
    vstore16(v, 0, lanes);
#elif WIDTH == 4
    vstore4(v, 0, lanes);
#else
    lanes[0] = v;
#endif
}

__kernel void trial_forward(__global float *y, __global const float *x, long n OPTIONS)
{
    const long first = (long)get_global_id(0) * WIDTH;
    if (first >= n) {
        return;
    }
    float lanes[WIDTH];
    scatter(TRIAL_F(gather(x + first, n - first)), lanes);
    for (int i = 0; i < WIDTH && first + i < n; i++) {
        y[first + i] = lanes[i];
    }
}

__kernel void trial_dx(__global float *dx, __global const float *dy, __global const float *xy, long n,
                       int accumulate OPTIONS)
{
    const long first = (long)get_global_id(0) * WIDTH;
    if (first >= n) {
        return;
    }
    float lanes[WIDTH];
    scatter(TRIAL_DF(gather(xy + first, n - first)), lanes);
    for (int i = 0; i < WIDTH && first + i < n; i++) {
        const float g = dy[first + i] * lanes[i];
        dx[first + i] = accumulate ? dx[first + i] + g : g;
    }
}
