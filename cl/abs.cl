/* abs.cl: y = |x|, derivative from x. Pointwise: `vec` is float, float4 or float16. */

vec abs_f(vec x)
{
    return fabs(x);
}

vec abs_df(vec x)
{
    return sign(x);
}
