/* sqrt.cl: the square root, derivative from y. Pointwise: `vec` is float, float4 or float16. */

vec sqrt_f(vec x)
{
    return sqrt(x);
}

vec sqrt_df(vec y)
{
    return (vec)(0.5f) / y;
}
