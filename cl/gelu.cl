/* gelu.cl: y = x P(x), P(x) = erfc(-x / sqrt(2)) / 2, the normal distribution, or (1 + tanh(u)) / 2 with
 * u = sqrt(2 / pi) (x + 0.044715 x^3), which is 1 / (1 + exp(-2 u)) without the loss of digits where tanh is near -1,
 * derivative from x. Pointwise: `vec` is float, float4 or float16. */

/* P(x) - 1/2 and P(x) + x P'(x) - 1/2 are odd, and flat within 2e-8 from 5.5 and 5.9 on: x times a quotient of polynomials
 * in x^2 with the least absolute error (7e-9, 1e-7 before rounding; 2e-7, 3e-7 after). On processors that takes half the
 * time of an exponential with a polynomial, a sixth of that of the built-in erfc, which keep more digits far below 0,
 * where y is nearly 0. */
static vec gelu_polynomial(vec u, float c0, float c1, float c2, float c3, float c4, float c5)
{
    return ((((c5 * u + (vec)(c4)) * u + (vec)(c3)) * u + (vec)(c2)) * u + (vec)(c1)) * u + (vec)(c0);
}

static vec gelu_within(vec x, float limit)
{
    const vec gelu_x = select(x, (vec)(-limit), x < (vec)(-limit));
    return select(gelu_x, (vec)(limit), gelu_x > (vec)(limit));
}

static vec gelu_exact_f(vec x)
{
    const vec gelu_x = gelu_within(x, 5.5f), gelu_u = gelu_x * gelu_x;
    const vec gelu_p = gelu_polynomial(gelu_u, 0.398942232f, 0.0338527821f, 0.00467726961f, 1.68827086e-4f,
                                       6.35213109e-6f, 2.27493260e-8f);
    const vec gelu_q = gelu_polynomial(gelu_u, 1.0f, 0.251522243f, 0.0286459494f, 1.88445288e-3f, 7.36479706e-5f,
                                       1.19750371e-6f);
    const vec gelu_share = gelu_x * gelu_p / gelu_q + (vec)(0.5f);
    return select(x * gelu_share, (vec)(0.0f), x < (vec)(-5.5f));
}

static vec gelu_exact_df(vec x)
{
    const vec gelu_x = gelu_within(x, 5.9f), gelu_u = gelu_x * gelu_x;
    const vec gelu_p = gelu_polynomial(gelu_u, 0.797885358f, -0.0309958123f, 0.0142303035f, 1.92213793e-05f, 3.59559417e-05f, 1.92929065e-07f);
    const vec gelu_q = gelu_polynomial(gelu_u, 1.0f, 0.294494092f, 0.0409802273f, 0.00352303637f, 0.000192036736f, 8.95241283e-06f);
    return gelu_x * gelu_p / gelu_q + (vec)(0.5f);
}

/* Beyond 40 nothing changes in float; so far no square or cube overflows, and 0 is never multiplied by infinity. */
static vec gelu_inner(vec x)
{
    return gelu_within(x, 40.0f);
}

static vec gelu_lower(vec x)
{
    return select(x, (vec)(-40.0f), x < (vec)(-40.0f));
}

static vec gelu_tanh_share(vec x)
{
    return (vec)(1.0f) / ((vec)(1.0f) + exp(x * ((vec)(-1.5957691f) + x * x * (vec)(-0.071354816f))));
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
