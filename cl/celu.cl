/* celu.cl: y = x where x > 0, else alpha (exp(x / alpha) - 1), derivative from y. Pointwise: `vec` is float, float4
 * or float16. */

vec celu_f(vec x, float alpha)
{
    return select(expm1(x / alpha) * alpha, x, x > (vec)(0.0f));
}

vec celu_df(vec y, float alpha)
{
    return select((vec)(1.0f) + y / alpha, (vec)(1.0f), y > (vec)(0.0f));
}
