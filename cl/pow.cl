/* pow.cl: y = x^exponent, derivative from x. Pointwise: `vec` is float, float4 or float16. The commonest exponents are
 * cheap, and roots give NaN for -infinity too, which pow does not. */

vec pow_to(vec x, float exponent)
{
    if (exponent == 1.0f) {
        return x;
    }
    if (exponent == 2.0f) {
        return x * x;
    }
    if (exponent == 0.5f) {
        return sqrt(x);
    }
    return exponent == -0.5f ? (vec)(1.0f) / sqrt(x) : pow(x, (vec)(exponent));
}

vec pow_f(vec x, float exponent)
{
    return pow_to(x, exponent);
}

vec pow_df(vec x, float exponent)
{
    return exponent == 0.0f ? (vec)(0.0f) : (vec)(exponent) * pow_to(x, exponent - 1.0f);
}
