/* gelu.cl: y = x P(x), P(x) = erfc(-x / sqrt(2)) / 2, the normal distribution, or (1 + tanh(u)) / 2 with
 * u = sqrt(2 / pi) (x + 0.044715 x^3), which is 1 / (1 + exp(-2 u)) without the loss of digits where tanh is near -1,
 * derivative from x. Pointwise: `vec` is float, float4 or float16. */

/* Beyond 40 nothing changes in float; so far no square or cube overflows, and 0 is never multiplied by infinity. */
static vec gelu_inner(vec x)
{
    return select(select(x, (vec)(-40.0f), x < (vec)(-40.0f)), (vec)(40.0f), x > (vec)(40.0f));
}

static vec gelu_lower(vec x)
{
    return select(x, (vec)(-40.0f), x < (vec)(-40.0f));
}

/* P(-a) = exp(-a^2 / 2) t Q(t), t = 2 / (2 + a / sqrt(2)), Q the polynomial with the least relative error of degree 8, 5e-8:
 * with the built-in erfc gelu takes nearly four times as long on processors. The square's rounding is made good: a^2 / 2 may be 80. */
static vec gelu_exact_share(vec x)
{
    const vec gelu_t = (vec)(2.0f) / ((vec)(2.0f) + fabs(x) * (vec)(0.70710678f));
    const vec gelu_h = (vec)(0.5f) * x, gelu_s = gelu_h * x, gelu_rest = fma(gelu_h, x, -gelu_s);
    vec gelu_q = (vec)(-0.0296931838f);
    gelu_q = gelu_q * gelu_t + (vec)(0.143061789f);
    gelu_q = gelu_q * gelu_t + (vec)(-0.245202865f);
    gelu_q = gelu_q * gelu_t + (vec)(0.140866378f);
    gelu_q = gelu_q * gelu_t + (vec)(-0.0145741633f);
    gelu_q = gelu_q * gelu_t + (vec)(0.101876257f);
    gelu_q = gelu_q * gelu_t + (vec)(0.121417549f);
    gelu_q = gelu_q * gelu_t + (vec)(0.141206052f);
    gelu_q = gelu_q * gelu_t + (vec)(0.141042165f);
    const vec gelu_low = exp(-gelu_s) * ((vec)(1.0f) - gelu_rest) * gelu_t * gelu_q;
    return select((vec)(1.0f) - gelu_low, gelu_low, x < (vec)(0.0f));
}

static vec gelu_tanh_share(vec x)
{
    return (vec)(1.0f) / ((vec)(1.0f) + exp(x * ((vec)(-1.5957691f) + x * x * (vec)(-0.071354816f))));
}

static vec gelu_exact_f(vec x)
{
    return gelu_lower(x) * gelu_exact_share(gelu_inner(x));
}

static vec gelu_exact_df(vec x)
{
    const vec gelu_x = gelu_inner(x);
    return gelu_exact_share(gelu_x) + gelu_x * (vec)(0.39894228f) * exp(gelu_x * gelu_x * (vec)(-0.5f));
}

static vec gelu_tanh_f(vec x)
{
    return gelu_lower(x) * gelu_tanh_share(gelu_inner(x));
}

static vec gelu_tanh_df(vec x)
{
    const vec gelu_x = gelu_inner(x), gelu_p = gelu_tanh_share(gelu_x);
    const vec gelu_du = (vec)(1.5957691f) + gelu_x * gelu_x * (vec)(0.21406445f);
    return gelu_p + gelu_x * gelu_p * ((vec)(1.0f) - gelu_p) * gelu_du;
}

vec gelu_f(vec x, float approximate)
{
    return approximate != 0.0f ? gelu_tanh_f(x) : gelu_exact_f(x);
}

vec gelu_df(vec x, float approximate)
{
    return approximate != 0.0f ? gelu_tanh_df(x) : gelu_exact_df(x);
}
