/* exp.cl: y = e^x, derivative from y. Pointwise: `vec` is float, float4 or float16. */

vec exp_f(vec x)
{
    return exp(x);
}

vec exp_df(vec y)
{
    return y;
}
