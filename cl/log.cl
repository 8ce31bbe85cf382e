/* log.cl: the natural logarithm, derivative from x. Pointwise: `vec` is float, float4 or float16. */

vec log_f(vec x)
{
    return log(x);
}

vec log_df(vec x)
{
    return (vec)(1.0f) / x;
}
