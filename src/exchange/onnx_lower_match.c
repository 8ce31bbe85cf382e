/* onnx_lower_match.c: what exporters write in several nodes and we have a layer for: x sigmoid(x), gelu by Erf, layernorm
 * by means and roots, x divided by its length. A pattern is found from its last node; the others fall away when nothing
 * else reads them. */
#include <math.h>
#include <string.h>

#include "exchange/onnx_lower.h"

const struct cb_onnx_node *cb__lower_made_by(const struct cb_onnx_value *value, const char *op)
{
    return value != NULL && value->constant == NULL && value->producer != NULL && strcmp(value->producer->op, op) == 0
               ? value->producer
               : NULL;
}

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-4 * fabs(b);
}

/* The other operand of a node, where one of both is a number; NULL otherwise. */
static struct cb_onnx_value *beside_number(const struct cb_onnx_node *node, double *out)
{
    for (uint32_t i = 0; node != NULL && i < 2 && node->input_count == 2; i++) {
        if (cb_onnx_constant(node, i) != NULL && !cb__lower_is_trained(cb_onnx_constant(node, i)) &&
            cb__lower_uniform(cb_onnx_constant(node, i), out)) {
            return cb_onnx_input(node, 1 - i);
        }
    }
    return NULL;
}

struct cb_onnx_value *cb__lower_scaled(const struct cb_onnx_value *value, double *factor)
{
    const struct cb_onnx_node *div = cb__lower_made_by(value, "Div");
    struct cb_onnx_value *x = beside_number(cb__lower_made_by(value, "Mul"), factor);
    if (x == NULL && div != NULL && cb_onnx_constant(div, 1) != NULL) {
        x = beside_number(div, factor);
        *factor = x != NULL ? 1.0 / *factor : 1.0;
    }
    return x;
}

/* ---- products of several factors ----------------------------------------------------------------------------------------- */

struct factors {
    struct cb_onnx_value *values[4];
    uint32_t count;
    double number;
};

static void collect(struct cb_onnx_value *value, struct factors *f, int depth)
{
    double number;
    const struct cb_onnx_node *mul = cb__lower_made_by(value, "Mul");
    struct cb_onnx_value *x = depth > 0 ? cb__lower_scaled(value, &number) : NULL;
    if (x != NULL && (depth == 4 || value->consumer_count == 1)) {
        f->number *= number;
        collect(x, f, depth - 1);
    } else if (mul != NULL && depth > 0 && (depth == 4 || value->consumer_count == 1)) {
        collect(mul->inputs[0], f, depth - 1);
        collect(mul->inputs[1], f, depth - 1);
    } else {
        if (f->count < 4) {
            f->values[f->count] = value;
        }
        f->count++;
    }
}

/* 1 + op(...): the operand of op, or NULL. */
static struct cb_onnx_value *one_plus(const struct cb_onnx_value *value, const char *op)
{
    double one;
    const struct cb_onnx_value *inner = beside_number(cb__lower_made_by(value, "Add"), &one);
    const struct cb_onnx_node *node = inner != NULL && one == 1.0 ? cb__lower_made_by(inner, op) : NULL;
    return node != NULL ? node->inputs[0] : NULL;
}

/* sqrt(2 / pi) (x + 0.044715 x^3). */
static bool is_tanh_gelu(const struct cb_onnx_value *value, const struct cb_onnx_value *x)
{
    double factor, cubic, three;
    const struct cb_onnx_value *sum = cb__lower_scaled(value, &factor);
    const struct cb_onnx_node *add = cb__lower_made_by(sum, "Add");
    for (uint32_t i = 0; add != NULL && near(factor, 0.7978845608) && i < 2; i++) {
        const struct cb_onnx_value *cube = add->inputs[i] == x ? cb__lower_scaled(add->inputs[1 - i], &cubic) : NULL;
        const struct cb_onnx_node *pow = cb__lower_made_by(cube, "Pow");
        if (pow != NULL && near(cubic, 0.044715) && pow->inputs[0] == x && cb__lower_uniform(cb_onnx_constant(pow, 1), &three) &&
            three == 3.0) {
            return true;
        }
    }
    return false;
}

static const char *word_of_product(const struct factors *f, struct cb_onnx_value **out_x)
{
    double number;
    for (uint32_t i = 0; i < 2 && f->count == 2; i++) {
        struct cb_onnx_value *x = f->values[i], *y = f->values[1 - i];
        const struct cb_onnx_node *sigmoid = cb__lower_made_by(y, "Sigmoid"), *tanh = cb__lower_made_by(y, "Tanh");
        const struct cb_onnx_node *softplus = tanh != NULL ? cb__lower_made_by(tanh->inputs[0], "Softplus") : NULL;
        const struct cb_onnx_node *hard = cb__lower_made_by(y, "HardSigmoid"), *clip = cb__lower_made_by(y, "Clip");
        *out_x = x;
        if (f->number == 1.0 && sigmoid != NULL && sigmoid->inputs[0] == x) {
            return "silu";
        }
        if (f->number == 1.0 && sigmoid != NULL && cb__lower_scaled(sigmoid->inputs[0], &number) == x && near(number, 1.702)) {
            return "quick_gelu";
        }
        if (f->number == 1.0 && softplus != NULL && softplus->inputs[0] == x) {
            return "mish";
        }
        if (f->number == 1.0 && hard != NULL && hard->inputs[0] == x && near(cb_onnx_real(hard, "alpha", 0.2), 1.0 / 6.0) &&
            cb_onnx_real(hard, "beta", 0.5) == 0.5) {
            return "hardswish";
        }
        if (clip != NULL && near(f->number, 1.0 / 6.0) && cb_onnx_constant(clip, 1) != NULL && cb_onnx_constant(clip, 2) != NULL &&
            cb_onnx_tensor_real(cb_onnx_constant(clip, 1), 0) == 0.0 && cb_onnx_tensor_real(cb_onnx_constant(clip, 2), 0) == 6.0 &&
            beside_number(cb__lower_made_by(clip->inputs[0], "Add"), &number) == x && number == 3.0) {
            return "hardswish";
        }
        const struct cb_onnx_value *erf = one_plus(y, "Erf"), *inner = one_plus(y, "Tanh");
        if (near(f->number, 0.5) && erf != NULL && cb__lower_scaled(erf, &number) == x && near(number, 0.70710678)) {
            return "gelu";
        }
        if (near(f->number, 0.5) && inner != NULL && is_tanh_gelu(inner, x)) {
            return "gelu_tanh";
        }
    }
    return NULL;
}

static enum cb_status lower_word(struct cb_lower *low, const struct cb_onnx_node *node, const struct cb_lower_match *match)
{
    struct cb_view view;
    const bool tanh = strcmp(match->word, "gelu_tanh") == 0;
    CB_TRY(cb__lower_view(low, match->inputs[0], &view));
    CB_TRY(cb__lower_map(low, &view, tanh ? "gelu" : match->word));
    if (tanh) {
        cb__lower_text(low, "approximate", "tanh");
    }
    cb__lower_set(low, cb_onnx_output(node, 0), &view);
    return CB_OK;
}

/* ---- norms ------------------------------------------------------------------------------------------------------------- */

static bool single_axis(const struct cb_onnx_node *node, int64_t *out)
{
    uint32_t count = 0;
    const int64_t *axes = cb_onnx_ints(node, "axes", &count);
    if (axes != NULL && count == 1) {
        *out = axes[0];
        return cb_onnx_int(node, "keepdims", 1) != 0;
    }
    return cb__lower_constant_ints(node, 1, out, 1, &count) && count == 1 && cb_onnx_int(node, "keepdims", 1) != 0;
}

static const struct cb_onnx_value *squared(const struct cb_onnx_value *value)
{
    double two;
    const struct cb_onnx_node *pow = cb__lower_made_by(value, "Pow"), *mul = cb__lower_made_by(value, "Mul");
    if (pow != NULL && cb__lower_uniform(cb_onnx_constant(pow, 1), &two) && two == 2.0) {
        return pow->inputs[0];
    }
    return mul != NULL && mul->inputs[0] == mul->inputs[1] ? mul->inputs[0] : NULL;
}

/* sqrt(mean(d^2) + epsilon): d; NULL when it is not that. */
static const struct cb_onnx_value *root_mean_square(const struct cb_onnx_value *value, double *epsilon, int64_t *axis)
{
    const struct cb_onnx_node *root = cb__lower_made_by(value, "Sqrt");
    const struct cb_onnx_value *sum = root != NULL ? beside_number(cb__lower_made_by(root->inputs[0], "Add"), epsilon) : NULL;
    const struct cb_onnx_node *mean = cb__lower_made_by(sum, "ReduceMean");
    return mean != NULL && *epsilon >= 1e-12 && *epsilon <= 1.0 && single_axis(mean, axis) ? squared(mean->inputs[0]) : NULL;
}

/* What divides: of Div(a, b) it is b, of Mul(a, Reciprocal(b)) too. */
static bool find_norm(const struct cb_onnx_node *node, struct cb_lower_match *match)
{
    for (uint32_t i = 0; i < 2 && node->input_count == 2; i++) {
        struct cb_onnx_value *top = node->inputs[i];
        const struct cb_onnx_value *bottom = node->inputs[1 - i];
        if (top == NULL || bottom == NULL) {
            return false;
        }
        if (strcmp(node->op, "Mul") == 0) {
            const struct cb_onnx_node *one = cb__lower_made_by(bottom, "Reciprocal");
            bottom = one != NULL ? one->inputs[0] : NULL;
        } else if (i == 1) {
            break;
        }
        int64_t axis, mean_axis;
        const struct cb_onnx_value *d = bottom != NULL ? root_mean_square(bottom, &match->numbers[0], &axis) : NULL;
        const struct cb_onnx_node *sub = cb__lower_made_by(d, "Sub"), *top_sub = cb__lower_made_by(top, "Sub");
        if (d == NULL || top->rank == 0 || cb__lower_axis(axis, top->rank) != (int64_t)top->rank - 1) {
            continue;
        }
        match->axis = axis;
        const struct cb_onnx_node *mean = sub != NULL ? cb__lower_made_by(sub->inputs[1], "ReduceMean") : NULL;
        if (sub != NULL && top_sub != NULL && mean != NULL && single_axis(mean, &mean_axis) &&
            cb__lower_axis(mean_axis, top->rank) == cb__lower_axis(axis, top->rank) && mean->inputs[0] == sub->inputs[0] &&
            (top == d || (top_sub->inputs[0] == sub->inputs[0] && top_sub->inputs[1] == sub->inputs[1]))) {
            match->word = "layernorm";
            match->inputs[0] = sub->inputs[0];
            return true;
        }
        if (d == top) {
            match->word = "rmsnorm";
            match->inputs[0] = top;
            return true;
        }
    }
    return false;
}

/* x / max(|x|, epsilon). */
static bool find_length(const struct cb_onnx_node *node, struct cb_lower_match *match)
{
    const struct cb_onnx_value *bottom = node->inputs[1];
    const struct cb_onnx_node *expand = cb__lower_made_by(bottom, "Expand");
    bottom = expand != NULL ? expand->inputs[0] : bottom;
    const struct cb_onnx_node *clip = cb__lower_made_by(bottom, "Clip");
    const struct cb_onnx_tensor *bound = clip != NULL ? cb_onnx_constant(clip, 1) : NULL;
    const struct cb_onnx_value *length = clip != NULL && cb_onnx_input(clip, 2) == NULL ? clip->inputs[0] : NULL;
    if (clip == NULL && cb__lower_made_by(bottom, "Max") != NULL) {
        length = beside_number(bottom->producer, &match->numbers[0]);
    } else if (bound != NULL) {
        match->numbers[0] = cb_onnx_tensor_real(bound, 0);
    }
    const struct cb_onnx_node *norm = cb__lower_made_by(length, "ReduceL2");
    if (norm == NULL || norm->inputs[0] != node->inputs[0] || !single_axis(norm, &match->axis) || match->numbers[0] < 1e-18 ||
        match->numbers[0] > 1.0) {
        return false;
    }
    match->inputs[0] = node->inputs[0];
    return true;
}

enum cb_status cb__lower_find_matches(struct cb_lower *low)
{
    for (uint32_t i = 0; i < low->graph->node_count; i++) {
        const struct cb_onnx_node *node = low->graph->nodes[i];
        struct cb_lower_match match = {.input_count = 1};
        const bool mul = strcmp(node->op, "Mul") == 0, div = strcmp(node->op, "Div") == 0;
        const bool product = strcmp(node->op, "MatMul") == 0 && cb__lower_find_attention(node, &match);
        if ((!mul && !div && !product) || node->output_count != 1 || node->input_count != 2 || node->outputs[0] == NULL ||
            node->inputs[0] == NULL || node->inputs[1] == NULL) {
            continue;
        }
        struct factors factors = {.number = 1.0};
        if (product) {
            match.word = "attention";
        } else {
            collect(node->outputs[0], &factors, 4);
            match.word = factors.count == 2 ? word_of_product(&factors, &match.inputs[0]) : NULL;
        }
        if (product) {
            /* found above */
        } else if (match.word != NULL) {
            match.lower = lower_word;
        } else if (find_norm(node, &match)) {
            match.lower = cb__lower_norm_match;
        } else if (div && find_length(node, &match)) {
            match.lower = cb__lower_l2_match;
        }
        if (match.lower != NULL) {
            struct cb_lower_match *kept = CB_NEW(low->arena, struct cb_lower_match);
            if (kept == NULL) {
                return cb__lower_memory(low);
            }
            *kept = match;
            low->matches[i] = kept;
        }
    }
    return CB_OK;
}
