/* relu.cl: y = max(x, 0), derivative from y. Pointwise: `vec` is float, float4 or float16. NaN stays NaN. */

vec relu_f(vec x)
{
    return select(x, (vec)(0.0f), x < (vec)(0.0f));
}

vec relu_df(vec y)
{
    return select((vec)(1.0f), (vec)(0.0f), y <= (vec)(0.0f));
}
