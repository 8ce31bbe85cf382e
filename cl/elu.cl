/* elu.cl: y = x where x > 0, else alpha (exp(x) - 1), derivative from y. Pointwise: `vec` is float, float4 or
 * float16. */

vec elu_f(vec x, float alpha)
{
    return select(expm1(x) * alpha, x, x > (vec)(0.0f));
}

vec elu_df(vec y, float alpha)
{
    return select(y + (vec)(alpha), (vec)(1.0f), y > (vec)(0.0f));
}
