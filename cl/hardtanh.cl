/* hardtanh.cl: y = min(max(x, min_val), max_val), derivative from y. Pointwise: `vec` is float, float4 or float16. */

vec hardtanh_f(vec x, float min_val, float max_val)
{
    return select(select(x, (vec)(min_val), x < (vec)(min_val)), (vec)(max_val), x > (vec)(max_val));
}

vec hardtanh_df(vec y, float min_val, float max_val)
{
    return select((vec)(0.0f), (vec)(1.0f), (y > (vec)(min_val)) & (y < (vec)(max_val)));
}
