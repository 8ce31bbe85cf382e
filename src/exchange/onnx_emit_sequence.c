/* onnx_emit_sequence.c: layers of sequences [N,T,C] as ONNX nodes: tokens, positions, attention. */
#include "exchange/onnx_emit.h"

#include <math.h>

static void emit_embedding(struct cb_emit *e)
{
    const struct cb_param *w = cb__emit_param(e, "w");
    const char *table = cb__emit_vector(e, w, 2, w->decl.dims);
    cb__emit_y(
        e, 0,
        cb__emit_op(e, "Gather", CB_DRAFT_IN(table, cb__emit_x(e, 0, CB_LAST)), CB_DRAFT_PLAIN),
        CB_LAST);
}

/* Rows of x [N,T,C] at the places [N,M]. */
static void emit_gather(struct cb_emit *e)
{
    const int64_t last = -1;
    const char *places = cb__emit_unsqueeze(e, cb__emit_x(e, 1, CB_LAST), 1, &last);
    cb__emit_y(e, 0,
               cb__emit_op(e, "GatherND", CB_DRAFT_IN(cb__emit_x(e, 0, CB_LAST), places),
                           CB_DRAFT_WITH(CB_DRAFT_INT("batch_dims", 1))),
               CB_LAST);
}

/* ---- one token of each sequence, or their mean
 * ------------------------------------------------------------------- */

/* A whole number that every sample has: [] int64. */
static const char *whole(struct cb_emit *e, const char *name, int64_t value)
{
    int64_t *data = CB_NEW(e->draft.arena, int64_t);
    const char *full = cb_arena_printf(e->draft.arena, "%s/%s", e->node->name, name);
    if (data == NULL || full == NULL) {
        return cb__draft_no_memory(&e->draft);
    }
    *data = value;
    return cb__draft_initializer(&e->draft, full, CB_DRAFT_I64, 0, NULL, data);
}

/* The token at a fixed place. */
static void token_at(struct cb_emit *e, int64_t place)
{
    cb__emit_y(e, 0,
               cb__emit_op(e, "Gather",
                           CB_DRAFT_IN(cb__emit_x(e, 0, CB_LAST), whole(e, "place", place)),
                           CB_DRAFT_WITH(CB_DRAFT_INT("axis", 1))),
               CB_LAST);
}

/* The trained tokens [K,C] in front of each sequence's own. */
static void emit_class_token(struct cb_emit *e)
{
    const struct cb_param *w = cb__emit_param(e, "w");
    const int64_t dims[3] = {1, w->decl.dims[0], w->decl.dims[1]};
    const char *x = cb__emit_x(e, 0, CB_LAST),
               *shape = cb__emit_op(e, "Shape", CB_DRAFT_IN(x), CB_DRAFT_PLAIN);
    const char *shapes[2] = {cb__emit_slice(e, shape, 0, 0, 1, 1),
                             cb__emit_ints(e, "tokens", 2, dims + 1)};
    const char *wanted =
        cb__emit_op(e, "Concat", shapes, 2, CB_DRAFT_WITH(CB_DRAFT_INT("axis", 0)));
    const char *tokens = cb__emit_op(
        e, "Expand", CB_DRAFT_IN(cb__emit_vector(e, w, 3, dims), wanted), CB_DRAFT_PLAIN);
    cb__emit_y(
        e, 0,
        cb__emit_op(e, "Concat", CB_DRAFT_IN(tokens, x), CB_DRAFT_WITH(CB_DRAFT_INT("axis", 1))),
        CB_LAST);
}

static void emit_first_token(struct cb_emit *e)
{
    token_at(e, 0);
}

/* lengths - 1, within the sequence. */
static void emit_last_token(struct cb_emit *e)
{
    const int64_t tokens = cb__emit_x_shape(e, 0)->dims[1], last = -1;
    const char *lengths = cb__emit_lengths(e, 0);
    if (lengths == NULL) {
        token_at(e, tokens - 1);
        return;
    }
    const char *before =
        cb__emit_op(e, "Sub", CB_DRAFT_IN(lengths, whole(e, "one", 1)), CB_DRAFT_PLAIN);
    const char *place = cb__emit_op(
        e, "Clip", CB_DRAFT_IN(before, whole(e, "first", 0), whole(e, "last", tokens - 1)),
        CB_DRAFT_PLAIN);
    cb__emit_y(
        e, 0,
        cb__emit_op(e, "GatherND",
                    CB_DRAFT_IN(cb__emit_x(e, 0, CB_LAST), cb__emit_unsqueeze(e, place, 1, &last)),
                    CB_DRAFT_WITH(CB_DRAFT_INT("batch_dims", 1))),
        CB_LAST);
}

/* [N,T]: whether a token is real. */
static const char *real_tokens(struct cb_emit *e, const char *lengths, int64_t tokens)
{
    int64_t *places = CB_NEW_ARRAY(e->draft.arena, int64_t, (size_t)tokens);
    const int64_t last = -1;
    for (int64_t t = 0; places != NULL && t < tokens; t++) {
        places[t] = t;
    }
    if (places == NULL) {
        return cb__draft_no_memory(&e->draft);
    }
    return cb__emit_op(e, "Less",
                       CB_DRAFT_IN(cb__emit_ints(e, "places", (size_t)tokens, places),
                                   cb__emit_unsqueeze(e, lengths, 1, &last)),
                       CB_DRAFT_PLAIN);
}

static void emit_mean_tokens(struct cb_emit *e)
{
    const int64_t tokens = cb__emit_x_shape(e, 0)->dims[1], axis = 1, last = -1;
    const char *x = cb__emit_x(e, 0, CB_LAST), *lengths = cb__emit_lengths(e, 0);
    if (lengths == NULL) {
        cb__emit_y(e, 0,
                   cb__emit_op(
                       e, "ReduceMean", CB_DRAFT_IN(x),
                       CB_DRAFT_WITH(CB_DRAFT_INTS("axes", 1, &axis), CB_DRAFT_INT("keepdims", 0))),
                   CB_LAST);
        return;
    }
    const char *bounded =
        cb__emit_op(e, "Clip", CB_DRAFT_IN(lengths, whole(e, "least", 0), whole(e, "most", tokens)),
                    CB_DRAFT_PLAIN);
    const char *is_real = cb__emit_unsqueeze(e, real_tokens(e, bounded, tokens), 1, &last);
    const char *kept = cb__emit_op(
        e, "Where", CB_DRAFT_IN(is_real, x, cb__emit_scalar(e, "zero", 0.0)), CB_DRAFT_PLAIN);
    const char *sum = cb__emit_op(e, "ReduceSum", CB_DRAFT_IN(kept, cb__emit_one_int(e, "axes", 1)),
                                  CB_DRAFT_WITH(CB_DRAFT_INT("keepdims", 0)));
    const char *divisor =
        cb__emit_op(e, "Max", CB_DRAFT_IN(bounded, whole(e, "one", 1)), CB_DRAFT_PLAIN);
    const char *count = cb__emit_op(e, "Cast", CB_DRAFT_IN(divisor),
                                    CB_DRAFT_WITH(CB_DRAFT_INT("to", CB_DRAFT_F32)));
    cb__emit_y(e, 0,
               cb__emit_op(e, "Div", CB_DRAFT_IN(sum, cb__emit_unsqueeze(e, count, 1, &last)),
                           CB_DRAFT_PLAIN),
               CB_LAST);
}

/* ---- positions
 * ---------------------------------------------------------------------------------------------------
 */

enum { HALVES_OF_POSITIONS = 0 }; /* `layout` of positions: halves, interleaved */

static void emit_position_learned(struct cb_emit *e)
{
    const struct cb_param *w = cb__emit_param(e, "w");
    const int64_t tokens = cb__emit_x_shape(e, 0)->dims[1];
    const char *table = cb__emit_vector(e, w, 2, w->decl.dims);
    const int64_t start = cb__emit_integer(e, "start");
    table = tokens < w->decl.dims[0] ? cb__emit_slice(e, table, 0, start, start + tokens, 1) : table;
    cb__emit_y(e, 0,
               cb__emit_op(e, "Add", CB_DRAFT_IN(cb__emit_x(e, 0, CB_LAST), table), CB_DRAFT_PLAIN),
               CB_LAST);
}

/* The sine (place 0) or cosine (1) channel of pair i among `channels` in the layout. */
static int64_t channel_of(int64_t layout, int64_t pair, int64_t which, int64_t pairs)
{
    return layout == HALVES_OF_POSITIONS ? which * pairs + pair : 2 * pair + which;
}

static void emit_position_sinusoidal(struct cb_emit *e)
{
    const struct cb_tensor *x = cb__emit_x_shape(e, 0);
    const int64_t tokens = x->dims[1], channels = x->dims[2], pairs = (channels + 1) / 2;
    const int64_t layout = cb__emit_integer(e, "layout"), dims[2] = {tokens, channels};
    const double base = cb__emit_real(e, "base");
    float *table = cb__emit_room(e, tokens * channels);
    for (int64_t i = 0; table != NULL && i < tokens * pairs; i++) {
        const double angle =
            (double)(i / pairs) * pow(base, -2.0 * (double)(i % pairs) / (double)channels);
        for (int64_t which = 0; which < 2; which++) {
            const int64_t c = channel_of(layout, i % pairs, which, pairs);
            if (c < channels) {
                table[i / pairs * channels + c] = (float)(which == 0 ? sin(angle) : cos(angle));
            }
        }
    }
    const char *rows = cb__emit_floats(e, "positions", 2, dims, table);
    cb__emit_y(e, 0,
               cb__emit_op(e, "Add", CB_DRAFT_IN(cb__emit_x(e, 0, CB_LAST), rows), CB_DRAFT_PLAIN),
               CB_LAST);
}

/* ---- rotary
 * ------------------------------------------------------------------------------------------------------
 */

/* [T,1,D/2] cosines or sines of the angles of each pair at each position. */
static const char *angles(struct cb_emit *e, const char *name, int64_t tokens, int64_t pairs,
                          double (*f)(double))
{
    const double base = cb__emit_real(e, "base");
    const int64_t dims[3] = {tokens, 1, pairs};
    float *values = cb__emit_room(e, tokens * pairs);
    for (int64_t i = 0; values != NULL && i < tokens * pairs; i++) {
        values[i] = (float)f((double)(i / pairs) * pow(base, -(double)(i % pairs) / (double)pairs));
    }
    return cb__emit_floats(e, name, 3, dims, values);
}

/* a * b + sign * c * d */
static const char *turned(struct cb_emit *e, const char *a, const char *b, const char *op,
                          const char *c, const char *d)
{
    const char *first = cb__emit_op(e, "Mul", CB_DRAFT_IN(a, b), CB_DRAFT_PLAIN);
    return cb__emit_op(e, op,
                       CB_DRAFT_IN(first, cb__emit_op(e, "Mul", CB_DRAFT_IN(c, d), CB_DRAFT_PLAIN)),
                       CB_DRAFT_PLAIN);
}

/* The turning channels of [N,T,heads,D]: pairs lie half of D apart, or side by side. */
static const char *turn_pairs(struct cb_emit *e, const char *x, int64_t tokens, int64_t heads,
                              int64_t turning)
{
    const bool is_halves = cb__emit_integer(e, "layout") == HALVES_OF_POSITIONS;
    const int64_t pairs = turning / 2, last = -1;
    const char *cosine = angles(e, "cos", tokens, pairs, cos),
               *sine = angles(e, "sin", tokens, pairs, sin);
    const char *a, *b;
    if (is_halves) {
        a = cb__emit_slice(e, x, 3, 0, pairs, 1);
        b = cb__emit_slice(e, x, 3, pairs, turning, 1);
    } else {
        a = cb__emit_slice(e, x, 3, 0, turning, 2);
        b = cb__emit_slice(e, x, 3, 1, turning, 2);
    }
    const char *y[2] = {turned(e, a, cosine, "Sub", b, sine), turned(e, b, cosine, "Add", a, sine)};
    if (is_halves) {
        return cb__emit_op(e, "Concat", y, 2, CB_DRAFT_WITH(CB_DRAFT_INT("axis", -1)));
    }
    const int64_t dims[3] = {tokens, heads, turning};
    y[0] = cb__emit_unsqueeze(e, y[0], 1, &last);
    y[1] = cb__emit_unsqueeze(e, y[1], 1, &last);
    return cb__emit_reshape(
        e, cb__emit_op(e, "Concat", y, 2, CB_DRAFT_WITH(CB_DRAFT_INT("axis", -1))), 3, dims);
}

static void emit_rotary(struct cb_emit *e)
{
    const struct cb_tensor *x = cb__emit_x_shape(e, 0);
    const int64_t heads = cb__emit_integer(e, "heads"), size = x->dims[2] / heads,
                  all = cb__emit_integer(e, "rotary_dim");
    const int64_t turning = all > 0 ? all : size, split[3] = {x->dims[1], heads, size};
    const char *parts = cb__emit_reshape(e, cb__emit_x(e, 0, CB_LAST), 3, split);
    const char *first = turning < size ? cb__emit_slice(e, parts, 3, 0, turning, 1) : parts;
    const char *y = turn_pairs(e, first, x->dims[1], heads, turning);
    if (turning < size) {
        const char *rest = cb__emit_slice(e, parts, 3, turning, size, 1);
        y = cb__emit_op(e, "Concat", CB_DRAFT_IN(y, rest), CB_DRAFT_WITH(CB_DRAFT_INT("axis", -1)));
    }
    cb__emit_y(e, 0, cb__emit_reshape(e, y, 2, x->dims + 1), CB_LAST);
}

/* ---- attention
 * ---------------------------------------------------------------------------------------------------
 */

/* T queries, S keys; G heads of keys and values, each for R heads of queries; D, E: channels of a
 * head. */
struct attention {
    int64_t t, s, g, r, d, e;
    uint32_t rank; /* of the scores: [N,G,T,S], or with R > 1 [N,G,R,T,S] */
};

static struct attention attention_of(const struct cb_emit *e)
{
    const int64_t *q = cb__emit_x_shape(e, 0)->dims, *k = cb__emit_x_shape(e, 1)->dims,
                  *v = cb__emit_x_shape(e, 2)->dims;
    const int64_t heads = cb__emit_integer(e, "heads"),
                  shared = cb__emit_integer(e, "key_value_heads");
    struct attention a = {
        .t = q[1], .s = k[1], .g = shared > 0 ? shared : heads, .d = q[2] / heads};
    a.r = heads / a.g;
    a.e = v[2] / a.g;
    a.rank = a.r > 1 ? 5 : 4;
    return a;
}

/* q [N,T,HD] to [N,G,T,D], or [N,G,R,T,D]. */
static const char *queries(struct cb_emit *e, const struct attention *a)
{
    static const int64_t plain[] = {0, 2, 1, 3}, grouped[] = {0, 2, 3, 1, 4};
    const int64_t dims[4] = {a->t, a->g, a->r > 1 ? a->r : a->d, a->d};
    const char *parts = cb__emit_reshape(e, cb__emit_x(e, 0, CB_LAST), a->rank - 1, dims);
    return cb__emit_transpose(e, parts, a->rank, a->r > 1 ? grouped : plain);
}

/* k or v [N,S,G*size] to [N,G,size,S] or [N,G,S,size], with an axis for R where there is one. */
static const char *memory(struct cb_emit *e, const struct attention *a, uint32_t input,
                          int64_t size, bool is_turned)
{
    static const int64_t keys[] = {0, 2, 3, 1}, values[] = {0, 2, 1, 3}, axis = 2;
    const int64_t dims[3] = {a->s, a->g, size};
    const char *parts = cb__emit_reshape(e, cb__emit_x(e, input, CB_LAST), 3, dims);
    const char *x = cb__emit_transpose(e, parts, 4, is_turned ? keys : values);
    return a->r > 1 ? cb__emit_unsqueeze(e, x, 1, &axis) : x;
}

/* [T,S]: 0 where a query sees the key, else -infinity; the last query sees all. */
static const char *causal_mask(struct cb_emit *e, const struct attention *a)
{
    const int64_t dims[2] = {a->t, a->s};
    float *values = cb__emit_room(e, a->t * a->s);
    for (int64_t i = 0; values != NULL && i < a->t * a->s; i++) {
        values[i] = i % a->s > i / a->s + a->s - a->t ? -INFINITY : 0.0f;
    }
    return cb__emit_floats(e, "causal", 2, dims, values);
}

/* The fourth input, [N,T,S] or [N,H,T,S], with the scores' axes. */
static const char *given_mask(struct cb_emit *e, const struct attention *a)
{
    static const int64_t axes[] = {1, 2};
    const char *mask = cb__emit_x(e, 3, CB_LAST);
    if (cb__emit_x_shape(e, 3)->rank == 3) {
        return cb__emit_unsqueeze(e, mask, a->rank - 3, axes);
    }
    const int64_t dims[4] = {a->g, a->r, a->t, a->s};
    return a->r > 1 && cb__emit_x_shape(e, 3)->dims[1] > 1 ? cb__emit_reshape(e, mask, 4, dims)
           : a->r > 1                                      ? cb__emit_unsqueeze(e, mask, 1, axes)
                                                           : mask;
}

/* What lies behind the length is not looked at, whatever it holds: its scores are -infinity, its
 * values 0. */
static const char *real_scores(struct cb_emit *e, const struct attention *a, const char *scores,
                               const char *lengths)
{
    static const int64_t axes[] = {1, 2, 3};
    const char *is_real = cb__emit_unsqueeze(e, real_tokens(e, lengths, a->s), a->rank - 2, axes);
    return cb__emit_op(e, "Where",
                       CB_DRAFT_IN(is_real, scores, cb__emit_scalar(e, "unseen", -INFINITY)),
                       CB_DRAFT_PLAIN);
}

static const char *real_values(struct cb_emit *e, const struct attention *a, const char *values,
                               const char *lengths)
{
    static const int64_t plain[] = {1, 3}, grouped[] = {1, 2, 4};
    const char *is_real = cb__emit_unsqueeze(e, real_tokens(e, lengths, a->s), a->rank - 2,
                                             a->r > 1 ? grouped : plain);
    return cb__emit_op(e, "Where", CB_DRAFT_IN(is_real, values, cb__emit_scalar(e, "nothing", 0.0)),
                       CB_DRAFT_PLAIN);
}

static const char *masked(struct cb_emit *e, const struct attention *a, const char *scores,
                          bool *out_may_see_nothing)
{
    const char *lengths = cb__emit_lengths(e, 1);
    const bool is_causal = cb__emit_integer(e, "causal") != 0;
    if (is_causal) {
        scores = cb__emit_op(e, "Add", CB_DRAFT_IN(scores, causal_mask(e, a)), CB_DRAFT_PLAIN);
    }
    if (e->node->x_count > 3) {
        scores = cb__emit_op(e, "Add", CB_DRAFT_IN(scores, given_mask(e, a)), CB_DRAFT_PLAIN);
    }
    if (lengths != NULL) {
        scores = real_scores(e, a, scores, lengths);
    }
    *out_may_see_nothing = lengths != NULL || e->node->x_count > 3 || (is_causal && a->t > a->s);
    return scores;
}

static void emit_attention(struct cb_emit *e)
{
    static const int64_t plain[] = {0, 2, 1, 3}, grouped[] = {0, 3, 1, 2, 4};
    const struct attention a = attention_of(e);
    const double given = cb__emit_real(e, "scale");
    bool may_see_nothing;
    const char *scale = cb__emit_scalar(e, "scale", given > 0.0 ? given : 1.0 / sqrt((double)a.d));
    const char *product = cb__emit_op(
        e, "MatMul", CB_DRAFT_IN(queries(e, &a), memory(e, &a, 1, a.d, true)), CB_DRAFT_PLAIN);
    const char *scores = cb__emit_op(e, "Mul", CB_DRAFT_IN(product, scale), CB_DRAFT_PLAIN);
    scores = masked(e, &a, scores, &may_see_nothing);
    const char *shares =
        cb__emit_op(e, "Softmax", CB_DRAFT_IN(scores), CB_DRAFT_WITH(CB_DRAFT_INT("axis", -1)));
    if (may_see_nothing) { /* softmax of nothing but -infinity is no number; such a query gives
                              zeros */
        const char *is_nothing = cb__emit_op(e, "IsNaN", CB_DRAFT_IN(shares), CB_DRAFT_PLAIN);
        shares = cb__emit_op(e, "Where",
                             CB_DRAFT_IN(is_nothing, cb__emit_scalar(e, "nothing", 0.0), shares),
                             CB_DRAFT_PLAIN);
    }
    const char *values = memory(e, &a, 2, a.e, false), *lengths = cb__emit_lengths(e, 1);
    values = lengths != NULL ? real_values(e, &a, values, lengths) : values;
    const char *y = cb__emit_op(e, "MatMul", CB_DRAFT_IN(shares, values), CB_DRAFT_PLAIN);
    y = cb__emit_transpose(e, y, a.rank, a.r > 1 ? grouped : plain);
    cb__emit_y(e, 0, cb__emit_reshape(e, y, 2, cb__emit_y_shape(e, 0)->dims + 1), CB_LAST);
}

const struct cb_emission_entry cb__emit_sequence_table[] = {
    {"embedding", emit_embedding},
    {"gather", emit_gather},
    {"class_token", emit_class_token},
    {"first_token", emit_first_token},
    {"last_token", emit_last_token},
    {"mean_tokens", emit_mean_tokens},
    {"position_learned", emit_position_learned},
    {"position_sinusoidal", emit_position_sinusoidal},
    {"rotary", emit_rotary},
    {"attention", emit_attention},
    {NULL, NULL},
};
