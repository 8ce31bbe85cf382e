/* tanh.cl: the hyperbolic tangent, derivative from y. Pointwise: `vec` is float, float4 or float16. */

vec tanh_f(vec x)
{
    return tanh(x);
}

vec tanh_df(vec y)
{
    return ((vec)(1.0f) - y) * ((vec)(1.0f) + y);
}
