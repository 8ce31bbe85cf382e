/* quick_gelu.cl: y = x / (1 + exp(-1.702 x)), derivative from x. Pointwise: `vec` is float, float4 or float16. */

vec quick_gelu_f(vec x)
{
    return x / ((vec)(1.0f) + exp((vec)(-1.702f) * x));
}

vec quick_gelu_df(vec x)
{
    const vec quick_gelu_s = (vec)(1.0f) / ((vec)(1.0f) + exp((vec)(-1.702f) * x));
    return quick_gelu_s * ((vec)(1.0f) + (vec)(1.702f) * x * ((vec)(1.0f) - quick_gelu_s));
}
