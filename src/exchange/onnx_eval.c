/* onnx_eval.c: arithmetic on constants, element by element. Reals are computed in double and rounded once to the type
 * of the output, which for float is what computing in float gives (sums, products, quotients, roots). */
#include <math.h>
#include <string.h>

#include "exchange/onnx_work.h"

struct cb_onnx_tensor *cb__onnx_make_output(struct cb__onnx_work *w, uint32_t i)
{
    const struct cb__onnx_arg *out = &w->out[i];
    int64_t count;
    if (!out->has_shape || !cb__onnx_count(out->rank, out->dims, &count) || count > w->max_count) {
        return NULL;
    }
    struct cb_onnx_tensor *tensor = cb__onnx_make_tensor(w->graph, out->type, out->rank, out->dims);
    if (tensor) {
        const struct cb_onnx_value *value = cb_onnx_output(w->node, i);
        tensor->name = value ? value->name : w->node->name;
        w->out[i].tensor = tensor;
    }
    return tensor;
}

struct cb_onnx_tensor *cb__onnx_view_output(struct cb__onnx_work *w, uint32_t i)
{
    const struct cb__onnx_arg *out = &w->out[i];
    struct cb_onnx_tensor *view = cb__onnx_view(w->graph, w->in[0].tensor);
    if (!view || !out->has_shape || !cb__onnx_count(out->rank, out->dims, &view->count)) {
        return NULL;
    }
    view->rank = out->rank;
    memcpy(view->dims, out->dims, out->rank * sizeof(int64_t));
    cb__onnx_dense_strides(view);
    w->out[i].tensor = view;
    return view;
}

/* The tensor as if it had the shape of output 0: strides of 0 along what is broadcast. */
static void spread(const struct cb__onnx_work *w, const struct cb_onnx_tensor *tensor, struct cb_onnx_tensor *out)
{
    const struct cb__onnx_arg *target = &w->out[0];
    uint32_t shift = target->rank - tensor->rank;
    *out = *tensor;
    out->rank = target->rank;
    for (uint32_t i = 0; i < target->rank; i++) {
        bool is_own = i >= shift && tensor->dims[i - shift] == target->dims[i];
        out->dims[i] = target->dims[i];
        out->strides[i] = is_own ? tensor->strides[i - shift] : 0;
    }
}

/* ---- one input ------------------------------------------------------------------------------------------------- */

static double sign(double x)
{
    return (double)((x > 0) - (x < 0));
}

static double reciprocal(double x)
{
    return 1 / x;
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double relu(double x)
{
    return x > 0 ? x : 0;
}

static double negate(double x)
{
    return -x;
}

static double softplus(double x)
{
    return log1p(exp(-fabs(x))) + (x > 0 ? x : 0);
}

static double softsign(double x)
{
    return x / (1 + fabs(x));
}

static const struct {
    const char *name;
    double (*apply)(double x);
} unary[] = {{"Neg", negate}, {"Abs", fabs}, {"Sqrt", sqrt}, {"Floor", floor}, {"Ceil", ceil}, {"Round", rint},
             {"Exp", exp}, {"Log", log}, {"Reciprocal", reciprocal}, {"Sign", sign}, {"Erf", erf},
             {"Sigmoid", sigmoid}, {"Tanh", tanh}, {"Relu", relu}, {"Sin", sin}, {"Cos", cos}, {"Tan", tan},
             {"Asin", asin}, {"Acos", acos}, {"Atan", atan}, {"Sinh", sinh}, {"Cosh", cosh}, {"Asinh", asinh},
             {"Acosh", acosh}, {"Atanh", atanh}, {"Softplus", softplus}, {"Softsign", softsign}};

/* Integers where the operator has them; wraps as two's complement does. */
static int64_t unary_int(const char *op, int64_t x)
{
    switch (op[0]) {
    case 'N': return op[2] == 't' ? x == 0 : (int64_t)(0 - (uint64_t)x); /* Not, Neg */
    case 'A': return x < 0 ? (int64_t)(0 - (uint64_t)x) : x;
    case 'S': return (x > 0) - (x < 0);
    default: return x > 0 ? x : 0; /* Relu */
    }
}

bool cb__onnx_eval_unary(struct cb__onnx_work *w)
{
    const struct cb_onnx_tensor *x = w->in[0].tensor;
    const char *op = w->node->op;
    double (*apply)(double x) = NULL;
    for (size_t i = 0; i < sizeof(unary) / sizeof(unary[0]); i++) {
        apply = strcmp(op, unary[i].name) == 0 ? unary[i].apply : apply;
    }
    bool is_real = cb_onnx_type_is_real(x->type);
    bool has_int = strcmp(op, "Not") == 0 || strcmp(op, "Neg") == 0 || strcmp(op, "Abs") == 0 ||
                   strcmp(op, "Sign") == 0 || strcmp(op, "Relu") == 0;
    if (is_real ? !apply : !has_int || x->type == CB_ONNX_UINT64) {
        return false;
    }
    struct cb_onnx_tensor *y = cb__onnx_make_output(w, 0);
    struct cb__onnx_walk walk;
    cb__onnx_walk_begin(&walk, x);
    for (int64_t i = 0; y && i < y->count; i++) {
        if (is_real) {
            cb__onnx_store_real(y, i, apply(cb__onnx_load_real(x, walk.offset)));
        } else {
            cb__onnx_store_int(y, i, unary_int(op, cb__onnx_load_int(x, walk.offset)));
        }
        cb__onnx_walk_next(&walk);
    }
    return y;
}

/* ---- two inputs ------------------------------------------------------------------------------------------------ */

enum operation { ADD, SUB, MUL, DIV, MOD, FMOD, POW, MIN, MAX, AND, OR, XOR, EQUAL, LESS, GREATER, LESS_EQUAL,
                 GREATER_EQUAL, PRELU, NO_OPERATION };

static enum operation operation_of(const struct cb_onnx_node *node)
{
    static const char *const names[] = {"Add", "Sub", "Mul", "Div", "Mod", "", "Pow", "Min", "Max", "And", "Or", "Xor",
                                        "Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "PRelu"};
    for (int i = 0; i < NO_OPERATION; i++) {
        if (strcmp(node->op, names[i]) == 0) {
            return i == MOD && cb_onnx_int(node, "fmod", 0) ? FMOD : (enum operation)i;
        }
    }
    return strcmp(node->op, "Sum") == 0 || strcmp(node->op, "Mean") == 0 ? ADD : NO_OPERATION;
}

static double real_of(enum operation operation, double a, double b)
{
    switch (operation) {
    case ADD: return a + b;
    case SUB: return a - b;
    case MUL: return a * b;
    case DIV: return a / b;
    case FMOD: return fmod(a, b);
    case POW: return pow(a, b);
    case MIN: return a < b || isnan(a) ? a : b;
    case MAX: return a > b || isnan(a) ? a : b;
    case EQUAL: return a == b;
    case LESS: return a < b;
    case GREATER: return a > b;
    case LESS_EQUAL: return a <= b;
    case GREATER_EQUAL: return a >= b;
    case PRELU: return a < 0 ? a * b : a;
    default: return 0;
    }
}

/* False: there is no such number (division by zero). */
static bool int_of(enum operation operation, int64_t a, int64_t b, int64_t *out)
{
    if ((operation == DIV || operation == MOD || operation == FMOD) && (b == 0 || (a == INT64_MIN && b == -1))) {
        return false;
    }
    switch (operation) {
    case ADD: *out = (int64_t)((uint64_t)a + (uint64_t)b); return true;
    case SUB: *out = (int64_t)((uint64_t)a - (uint64_t)b); return true;
    case MUL: *out = (int64_t)((uint64_t)a * (uint64_t)b); return true;
    case DIV: *out = a / b; return true;
    case FMOD: *out = a % b; return true;
    case MOD: *out = a % b + (a % b != 0 && (a < 0) != (b < 0) ? b : 0); return true; /* the divisor's sign */
    case MIN: *out = a < b ? a : b; return true;
    case MAX: *out = a > b ? a : b; return true;
    case AND: *out = a && b; return true;
    case OR: *out = a || b; return true;
    case XOR: *out = !a != !b; return true;
    case EQUAL: *out = a == b; return true;
    case LESS: *out = a < b; return true;
    case GREATER: *out = a > b; return true;
    case LESS_EQUAL: *out = a <= b; return true;
    case GREATER_EQUAL: *out = a >= b; return true;
    case PRELU: *out = a < 0 ? (int64_t)((uint64_t)a * (uint64_t)b) : a; return true;
    default: *out = (int64_t)pow((double)a, (double)b); return fabs(pow((double)a, (double)b)) < 9e15;
    }
}

/* Integers with a real exponent are computed as reals. Numbers over 2^63 would compare wrongly. */
static bool combine(struct cb__onnx_work *w, enum operation operation, const struct cb_onnx_tensor *a,
                    const struct cb_onnx_tensor *b, struct cb_onnx_tensor *y)
{
    struct cb_onnx_tensor wide_a, wide_b;
    struct cb__onnx_walk at_a, at_b;
    bool is_real = cb_onnx_type_is_real(a->type) || cb_onnx_type_is_real(b->type);
    bool is_wide = !is_real && (a->type == CB_ONNX_UINT64 || b->type == CB_ONNX_UINT64) && operation > MUL;
    if (operation == NO_OPERATION || (is_real && operation == MOD) || a->type == CB_ONNX_STRING) {
        return false;
    }
    spread(w, a, &wide_a);
    spread(w, b, &wide_b);
    cb__onnx_walk_begin(&at_a, &wide_a);
    cb__onnx_walk_begin(&at_b, &wide_b);
    for (int64_t i = 0; i < y->count; i++) {
        if (is_real) {
            cb__onnx_store_real(y, i, real_of(operation, cb__onnx_load_real(a, at_a.offset),
                                              cb__onnx_load_real(b, at_b.offset)));
        } else {
            int64_t left = cb__onnx_load_int(a, at_a.offset), right = cb__onnx_load_int(b, at_b.offset), integer;
            if ((is_wide && (left < 0 || right < 0)) || !int_of(operation, left, right, &integer)) {
                return false;
            }
            cb__onnx_store_int(y, i, integer);
        }
        cb__onnx_walk_next(&at_a);
        cb__onnx_walk_next(&at_b);
    }
    return true;
}

bool cb__onnx_eval_binary(struct cb__onnx_work *w)
{
    struct cb_onnx_tensor *y = w->in_count == 2 ? cb__onnx_make_output(w, 0) : NULL;
    return y && combine(w, operation_of(w->node), w->in[0].tensor, w->in[1].tensor, y);
}

bool cb__onnx_eval_many(struct cb__onnx_work *w)
{
    struct cb_onnx_tensor *y = w->in_count > 0 ? cb__onnx_make_output(w, 0) : NULL;
    struct cb_onnx_tensor first;
    if (!y) {
        return false;
    }
    spread(w, w->in[0].tensor, &first);
    struct cb__onnx_walk walk;
    cb__onnx_walk_begin(&walk, &first);
    for (int64_t i = 0; i < y->count; i++) {
        if (cb_onnx_type_is_real(y->type)) {
            cb__onnx_store_real(y, i, cb__onnx_load_real(&first, walk.offset));
        } else {
            cb__onnx_store_int(y, i, cb__onnx_load_int(&first, walk.offset));
        }
        cb__onnx_walk_next(&walk);
    }
    for (uint32_t i = 1; i < w->in_count; i++) {
        if (!combine(w, operation_of(w->node), y, w->in[i].tensor, y)) {
            return false;
        }
    }
    for (int64_t i = 0; strcmp(w->node->op, "Mean") == 0 && i < y->count; i++) {
        cb__onnx_store_real(y, i, cb__onnx_load_real(y, i) / w->in_count);
    }
    return true;
}

/* ---- others ---------------------------------------------------------------------------------------------------- */

static void copy_element(const struct cb_onnx_tensor *from, int64_t offset, struct cb_onnx_tensor *to, int64_t i)
{
    size_t size = cb_onnx_type_bytes(to->type);
    memcpy((unsigned char *)to->data + (size_t)i * size, from->data + offset * (int64_t)size, size);
}

bool cb__onnx_eval_where(struct cb__onnx_work *w)
{
    struct cb_onnx_tensor wide[3];
    struct cb__onnx_walk at[3];
    struct cb_onnx_tensor *y = w->in_count == 3 ? cb__onnx_make_output(w, 0) : NULL;
    if (!y || w->in[1].type != w->in[2].type) {
        return false;
    }
    for (int i = 0; i < 3; i++) {
        spread(w, w->in[i].tensor, &wide[i]);
        cb__onnx_walk_begin(&at[i], &wide[i]);
    }
    for (int64_t i = 0; i < y->count; i++) {
        int chosen = cb__onnx_load_int(&wide[0], at[0].offset) ? 1 : 2;
        copy_element(&wide[chosen], at[chosen].offset, y, i);
        for (int j = 0; j < 3; j++) {
            cb__onnx_walk_next(&at[j]);
        }
    }
    return true;
}

/* Bounds are inputs since opset 11, attributes before. */
bool cb__onnx_eval_clip(struct cb__onnx_work *w)
{
    const struct cb_onnx_tensor *x = w->in[0].tensor;
    double low = cb_onnx_real(w->node, "min", -INFINITY), high = cb_onnx_real(w->node, "max", INFINITY);
    low = w->in_count > 1 && w->in[1].tensor ? cb_onnx_tensor_real(w->in[1].tensor, 0) : low;
    high = w->in_count > 2 && w->in[2].tensor ? cb_onnx_tensor_real(w->in[2].tensor, 0) : high;
    struct cb_onnx_tensor *y = cb__onnx_make_output(w, 0);
    struct cb__onnx_walk walk;
    cb__onnx_walk_begin(&walk, x);
    for (int64_t i = 0; y && i < y->count; i++) {
        double value = cb__onnx_load_real(x, walk.offset);
        if (value < low || value > high) {
            double bound = value < low && !(low > high) ? low : high;
            cb__onnx_store_real(y, i, bound);
        } else {
            copy_element(x, walk.offset, y, i);
        }
        cb__onnx_walk_next(&walk);
    }
    return y;
}

bool cb__onnx_eval_cast(struct cb__onnx_work *w)
{
    const struct cb_onnx_tensor *x = w->in[0].tensor;
    if (x->type == CB_ONNX_STRING) {
        return false;
    }
    if (x->type == w->out[0].type) {
        w->out[0].tensor = x;
        return true;
    }
    struct cb_onnx_tensor *y = cb__onnx_make_output(w, 0);
    bool is_real = cb_onnx_type_is_real(x->type);
    struct cb__onnx_walk walk;
    cb__onnx_walk_begin(&walk, x);
    for (int64_t i = 0; y && i < y->count; i++) {
        if (is_real || (x->type == CB_ONNX_UINT64 && cb_onnx_type_is_real(y->type))) {
            cb__onnx_store_real(y, i, cb__onnx_load_real(x, walk.offset));
        } else {
            cb__onnx_store_int(y, i, cb__onnx_load_int(x, walk.offset));
        }
        cb__onnx_walk_next(&walk);
    }
    return y;
}

/* Sums in double. Only reals, and only where both are stored in the same type. */
bool cb__onnx_eval_matmul(struct cb__onnx_work *w)
{
    const struct cb_onnx_tensor *a = w->in[0].tensor, *b = w->in[1].tensor;
    int64_t work;
    if (a->rank < 2 || b->rank < 2 || a->type == CB_ONNX_UINT64 || w->in_count != 2 || a->type != b->type ||
        w->out[0].rank < 2 || !cb__onnx_count(w->out[0].rank, w->out[0].dims, &work)) {
        return false;
    }
    int64_t inner = a->dims[a->rank - 1];
    if (!cb__onnx_spend(w->graph, cb__onnx_times(work, inner))) {
        return false;
    }
    struct cb_onnx_tensor *y = cb__onnx_make_output(w, 0);
    struct cb__onnx_walk walk; /* over the output; its strides only count */
    if (!y) {
        return false;
    }
    cb__onnx_walk_begin(&walk, y);
    for (int64_t i = 0; i < y->count; i++) {
        int64_t at_a = walk.index[y->rank - 2] * a->strides[a->rank - 2];
        int64_t at_b = walk.index[y->rank - 1] * b->strides[b->rank - 1];
        for (uint32_t axis = 0; axis + 2 < y->rank; axis++) {
            uint32_t in_a = axis + a->rank - y->rank, in_b = axis + b->rank - y->rank;
            at_a += axis + a->rank >= y->rank && a->dims[in_a] > 1 ? walk.index[axis] * a->strides[in_a] : 0;
            at_b += axis + b->rank >= y->rank && b->dims[in_b] > 1 ? walk.index[axis] * b->strides[in_b] : 0;
        }
        double sum = 0;
        for (int64_t k = 0; k < inner; k++) {
            sum += cb__onnx_load_real(a, at_a + k * a->strides[a->rank - 1]) *
                   cb__onnx_load_real(b, at_b + k * b->strides[b->rank - 2]);
        }
        cb__onnx_store_real(y, i, sum);
        cb__onnx_walk_next(&walk);
    }
    return true;
}
