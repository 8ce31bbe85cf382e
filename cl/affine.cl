/* affine.cl: y = scale x + shift. Pointwise: `vec` is float, float4 or float16. */

vec affine_f(vec x, float scale, float shift)
{
    return fma(x, (vec)(scale), (vec)(shift));
}

vec affine_df(vec x, float scale, float shift)
{
    return (vec)(scale);
}
