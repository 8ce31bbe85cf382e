/* clip.cl: y = min(max(x, low), high), derivative from y. Pointwise: `vec` is float, float4 or float16. */

vec clip_f(vec x, float low, float high)
{
    return select(select(x, (vec)(low), x < (vec)(low)), (vec)(high), x > (vec)(high));
}

vec clip_df(vec y, float low, float high)
{
    return select((vec)(0.0f), (vec)(1.0f), (y > (vec)(low)) & (y < (vec)(high)));
}
