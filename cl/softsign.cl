/* softsign.cl: y = x / (1 + |x|), derivative from y. Pointwise: `vec` is float, float4 or float16. */

vec softsign_f(vec x)
{
    const vec softsign_limit = (vec)(1e30f); /* infinity / infinity would be NaN */
    const vec softsign_x = select(x, copysign(softsign_limit, x), fabs(x) > softsign_limit);
    return softsign_x / ((vec)(1.0f) + fabs(softsign_x));
}

vec softsign_df(vec y)
{
    const vec softsign_less = (vec)(1.0f) - fabs(y);
    return softsign_less * softsign_less;
}
