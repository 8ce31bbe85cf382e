/* sigmoid.cl: y = 1 / (1 + exp(-x)), derivative from y. Pointwise: `vec` is float, float4 or float16. Where exp
 * overflows, y is 0, which is right. */

vec sigmoid_f(vec x)
{
    return (vec)(1.0f) / ((vec)(1.0f) + exp(-x));
}

vec sigmoid_df(vec y)
{
    return y * ((vec)(1.0f) - y);
}
