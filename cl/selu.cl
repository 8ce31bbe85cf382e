/* selu.cl: y = s x where x > 0, else s a (exp(x) - 1), derivative from y. Pointwise: `vec` is float, float4 or
 * float16. */

#define SELU_SCALE 1.0507009873554805f
#define SELU_ALPHA 1.6732632423543772f

vec selu_f(vec x)
{
    return select(expm1(x) * (SELU_SCALE * SELU_ALPHA), x * SELU_SCALE, x > (vec)(0.0f));
}

vec selu_df(vec y)
{
    return select(y + (vec)(SELU_SCALE * SELU_ALPHA), (vec)(SELU_SCALE), y > (vec)(0.0f));
}
