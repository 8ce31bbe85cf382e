/* pow.cl: y = x^exponent, derivative from x. Pointwise: `vec` is float, float4 or float16. */

vec pow_f(vec x, float exponent)
{
    return pow(x, (vec)(exponent));
}

vec pow_df(vec x, float exponent)
{
    return select((vec)(exponent) * pow(x, (vec)(exponent - 1.0f)), (vec)(0.0f), (vec)(exponent) == (vec)(0.0f));
}
