/* hardsigmoid.cl: y = min(max(x / 6 + 1/2, 0), 1), derivative from y. Pointwise: `vec` is float, float4 or float16. */

vec hardsigmoid_f(vec x)
{
    const vec hardsigmoid_y = (x + (vec)(3.0f)) * (vec)(1.0f / 6.0f);
    return select(select(hardsigmoid_y, (vec)(0.0f), x <= (vec)(-3.0f)), (vec)(1.0f), x >= (vec)(3.0f));
}

vec hardsigmoid_df(vec y)
{
    return select((vec)(0.0f), (vec)(1.0f / 6.0f), (y > (vec)(0.0f)) & (y < (vec)(1.0f)));
}
