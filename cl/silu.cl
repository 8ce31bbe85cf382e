/* silu.cl: y = x / (1 + exp(-x)), derivative from x. Pointwise: `vec` is float, float4 or float16. */

vec silu_f(vec x)
{
    return x / ((vec)(1.0f) + exp(-x));
}

vec silu_df(vec x)
{
    const vec silu_s = (vec)(1.0f) / ((vec)(1.0f) + exp(-x));
    return silu_s * ((vec)(1.0f) + x * ((vec)(1.0f) - silu_s));
}
