/* swoosh.cl: s = 1 / (1 + exp(-beta x)); y = x s; dy/dx = s + beta y (1 - s).
 *
 * `vec` is float, float4 or float16, whichever kernel this goes into: write what OpenCL C allows for all three, and
 * select(a, b, condition) in place of `if`. Options follow x as floats, in the order of the table. Every name that is
 * defined here begins with swoosh_. */

vec swoosh_f(vec x, float beta)
{
    return x / (1.0f + exp(-beta * x));
}

vec swoosh_df(vec x, float beta)
{
    const vec s = 1.0f / (1.0f + exp(-beta * x));
    return s + beta * x * s * (1.0f - s);
}
