/* clip.cl: y = min(max(x, low), high), derivative from y. Pointwise: `vec` is float, float4 or float16. */

vec clip_f(vec x, float low, float high)
{
    return select(select(x, (vec)(low), x < (vec)(low)), (vec)(high), x > (vec)(high));
}

/* A bound that is left out is infinite, and cuts off nothing, infinity neither. */
vec clip_df(vec y, float low, float high)
{
    const ivec clip_above = low == -INFINITY ? y == y : y > (vec)(low);
    const ivec clip_below = high == INFINITY ? y == y : y < (vec)(high);
    return select((vec)(0.0f), (vec)(1.0f), clip_above & clip_below);
}
