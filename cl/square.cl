/* square.cl: y = x^2, derivative from x. Pointwise: `vec` is float, float4 or float16. */

vec square_f(vec x)
{
    return x * x;
}

vec square_df(vec x)
{
    return x + x;
}
