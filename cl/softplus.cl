/* softplus.cl: y = (max(z, 0) + log(1 + exp(-|z|))) / beta, z = beta x; x where z > threshold, derivative from x.
 * Pointwise: `vec` is float, float4 or float16. */

vec softplus_f(vec x, float beta, float threshold)
{
    const vec softplus_z = x * beta;
    const vec softplus_y = (fmax(softplus_z, (vec)(0.0f)) + log1p(exp(-fabs(softplus_z)))) / beta;
    return select(softplus_y, x, softplus_z > (vec)(threshold));
}

vec softplus_df(vec x, float beta, float threshold)
{
    const vec softplus_z = x * beta;
    return select((vec)(1.0f) / ((vec)(1.0f) + exp(-softplus_z)), (vec)(1.0f), softplus_z > (vec)(threshold));
}
