/* scale_shift.cl: y = scale x + shift. Pointwise: `vec` is float, float4 or float16. */

vec scale_shift_f(vec x, float scale, float shift)
{
    return fma(x, (vec)(scale), (vec)(shift));
}

vec scale_shift_df(vec x, float scale, float shift)
{
    return (vec)(scale);
}
