/* relu6.cl: y = min(max(x, 0), 6), derivative from y. Pointwise: `vec` is float, float4 or float16. NaN stays NaN. */

vec relu6_f(vec x)
{
    const vec relu6_low = select(x, (vec)(0.0f), x < (vec)(0.0f));
    return select(relu6_low, (vec)(6.0f), relu6_low > (vec)(6.0f));
}

vec relu6_df(vec y)
{
    return select((vec)(0.0f), (vec)(1.0f), (y > (vec)(0.0f)) & (y < (vec)(6.0f)));
}
