/* tanh.cl: the hyperbolic tangent, derivative from y. Pointwise: `vec` is float, float4 or float16.
 * Behind 9.011 the nearest float is 1, which not every device's tanh reaches: then the gradient there would not be 0. */

vec tanh_f(vec x)
{
    return select(tanh(x), copysign((vec)(1.0f), x), fabs(x) > (vec)(9.02f));
}

vec tanh_df(vec y)
{
    return ((vec)(1.0f) - y) * ((vec)(1.0f) + y);
}
