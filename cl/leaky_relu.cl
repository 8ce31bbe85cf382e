/* leaky_relu.cl: y = x where x > 0, else negative_slope x, derivative from y. Pointwise: `vec` is float, float4 or
 * float16. */

vec leaky_relu_f(vec x, float negative_slope)
{
    return select(x, x * negative_slope, x < (vec)(0.0f));
}

vec leaky_relu_df(vec y, float negative_slope)
{
    return select((vec)(negative_slope), (vec)(1.0f), y > (vec)(0.0f));
}
