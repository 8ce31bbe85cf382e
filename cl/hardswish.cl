/* hardswish.cl: y = x * min(max(x + 3, 0), 6) / 6, derivative from x: 0 up to -3, x / 3 + 1/2, 1 from 3. Pointwise:
 * `vec` is float, float4 or float16. NaN stays NaN. */

vec hardswish_f(vec x)
{
    const vec hardswish_middle = x * (x + (vec)(3.0f)) * (vec)(1.0f / 6.0f);
    return select(select(hardswish_middle, (vec)(0.0f), x < (vec)(-3.0f)), x, x > (vec)(3.0f));
}

vec hardswish_df(vec x)
{
    const vec hardswish_middle = x * (vec)(1.0f / 3.0f) + (vec)(0.5f);
    return select(select(hardswish_middle, (vec)(0.0f), x <= (vec)(-3.0f)), (vec)(1.0f), x >= (vec)(3.0f));
}
