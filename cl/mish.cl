/* mish.cl: y = x n / (n + 2), n = e (e + 2), e = exp(x), derivative from x. Pointwise: `vec` is float, float4 or
 * float16. */

/* From 20 the factor is 1 in float, below -110 exp is 0: so far nothing overflows, 0 never meets infinity. */
static vec mish_inner(vec x)
{
    return select(select(x, (vec)(-110.0f), x < (vec)(-110.0f)), (vec)(20.0f), x > (vec)(20.0f));
}

vec mish_f(vec x)
{
    const vec mish_e = exp(mish_inner(x)), mish_n = mish_e * (mish_e + (vec)(2.0f));
    return select(x, (vec)(-110.0f), x < (vec)(-110.0f)) * (mish_n / (mish_n + (vec)(2.0f)));
}

vec mish_df(vec x)
{
    const vec mish_x = mish_inner(x), mish_e = exp(mish_x), mish_n = mish_e * (mish_e + (vec)(2.0f));
    const vec mish_t = mish_n / (mish_n + (vec)(2.0f)), mish_less = (vec)(2.0f) / (mish_n + (vec)(2.0f)); /* 1 - t */
    return mish_t + mish_x * mish_less * ((vec)(1.0f) + mish_t) * (mish_e / ((vec)(1.0f) + mish_e));
}
