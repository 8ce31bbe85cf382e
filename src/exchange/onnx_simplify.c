/* onnx_simplify.c: one walk over the nodes: branches taken, constants computed, shapes found, what does nothing goes. */
#include <inttypes.h>
#include <string.h>

#include "exchange/onnx_work.h"

const int64_t cb__onnx_lane_batch[CB__ONNX_LANES] = {1, 10007, 20011};

enum { MAX_SYMBOLIC = 65536, MAX_CONSTANT = 1 << 28 };

struct simplifier {
    struct cb_onnx_graph *graph;
    struct cb_diag *diag;
    struct cb__onnx_nodes kept;
    int64_t file_batch;
    struct cb__onnx_work work;
    uint32_t in_room, out_room;
};

static struct cb_onnx_value *follow(struct cb_onnx_value *value)
{
    while (value && value->alias) {
        value = value->alias;
    }
    return value;
}

/* ---- a node at a batch size ------------------------------------------------------------------------------------ */

static bool is_constant(const struct cb_onnx_value *value)
{
    return value->constant && !value->is_repeated;
}

static void set_input(const struct cb_onnx_value *value, int lane, struct cb__onnx_arg *out)
{
    *out = (struct cb__onnx_arg){0};
    if (!value) {
        return;
    }
    out->type = value->type;
    out->has_shape = value->has_shape;
    out->rank = value->rank;
    for (uint32_t i = 0; i < value->rank; i++) {
        out->dims[i] = cb__onnx_plus(value->dims[i].fixed,
                                     cb__onnx_times(value->dims[i].batch, cb__onnx_lane_batch[lane]));
    }
    out->is_fixed = is_constant(value);
    out->tensor = out->is_fixed || (value->is_repeated && lane == 0) ? value->constant : value->lanes[lane];
}

static enum cb_status set_work(struct simplifier *s, const struct cb_onnx_node *node, int lane, bool is_quiet)
{
    struct cb__onnx_work *w = &s->work;
    if (node->input_count > s->in_room || !w->in) {
        s->in_room = 2 * node->input_count + 16;
        w->in = CB_NEW_ARRAY(s->graph->arena, struct cb__onnx_arg, s->in_room);
    }
    if (node->output_count > s->out_room || !w->out) {
        s->out_room = 2 * node->output_count + 16;
        w->out = CB_NEW_ARRAY(s->graph->arena, struct cb__onnx_arg, s->out_room);
    }
    if (!w->in || !w->out) {
        return cb__onnx_no_memory(s->graph, s->diag);
    }
    w->graph = s->graph;
    w->node = node;
    w->in_count = node->input_count;
    w->out_count = node->output_count;
    w->opset = node->version;
    w->batch = cb__onnx_lane_batch[lane];
    w->file_batch = s->file_batch;
    w->max_count = MAX_SYMBOLIC;
    w->diag = is_quiet ? NULL : s->diag;
    for (uint32_t i = 0; i < w->in_count; i++) {
        set_input(node->inputs[i], lane, &w->in[i]);
    }
    memset(w->out, 0, w->out_count * sizeof(*w->out));
    return CB_OK;
}

/* ---- shapes ---------------------------------------------------------------------------------------------------- */

/* fixed + batch * N from two points, and a third to be sure; false when there is no such dim. */
static bool join_numbers(const int64_t at[CB__ONNX_LANES], bool has_first, struct cb_onnx_dim *out)
{
    const int64_t *n = cb__onnx_lane_batch;
    int64_t rise, fixed, again;
    if (__builtin_sub_overflow(at[2], at[1], &rise) || rise % (n[2] - n[1]) != 0) {
        return false;
    }
    int64_t slope = rise / (n[2] - n[1]);
    if (__builtin_sub_overflow(at[1], slope * n[1], &fixed) || __builtin_add_overflow(fixed, slope * n[0], &again)) {
        return false;
    }
    *out = (struct cb_onnx_dim){fixed, slope};
    return !has_first || again == at[0];
}

static void join_shape(const struct cb__onnx_arg *one, const struct cb__onnx_arg *two, struct cb_onnx_value *value)
{
    value->type = one->type;
    value->has_shape = one->has_shape && two->has_shape && one->rank == two->rank;
    value->rank = value->has_shape ? one->rank : 0;
    for (uint32_t i = 0; i < value->rank; i++) {
        int64_t at[CB__ONNX_LANES] = {0, one->dims[i], two->dims[i]};
        if (!join_numbers(at, false, &value->dims[i])) {
            value->has_shape = false;
        }
    }
}

static enum cb_status infer(struct simplifier *s, const struct cb_onnx_node *node,
                            const struct cb__onnx_operator *operator)
{
    CB_TRY(set_work(s, node, 1, false));
    CB_TRY(operator->infer(&s->work));
    struct cb__onnx_arg *first = cb_arena_copy(s->graph->arena, s->work.out, node->output_count * sizeof(*first));
    if (!first) {
        return cb__onnx_no_memory(s->graph, s->diag);
    }
    CB_TRY(set_work(s, node, 2, false));
    CB_TRY(operator->infer(&s->work));
    for (uint32_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i]) {
            join_shape(&first[i], &s->work.out[i], node->outputs[i]);
        }
    }
    return CB_OK;
}

/* ---- folding --------------------------------------------------------------------------------------------------- */

enum knowledge { UNKNOWN, KNOWN_REPEATED, KNOWN_BY_BATCH, KNOWN };

/* Rows of a table that the file trains are trained too, whatever the value is called. */
static void name_source(struct simplifier *s, const struct cb_onnx_node *node)
{
    const struct cb_onnx_tensor *from = cb_onnx_constant(node, 0);
    if (from && strcmp(node->op, "Gather") == 0 && s->work.out[0].tensor) {
        struct cb_onnx_tensor *made = cb_arena_copy(s->graph->arena, s->work.out[0].tensor, sizeof(*made));
        if (made) {
            made->source = from->source ? from->source : from->name;
            s->work.out[0].tensor = made;
        }
    }
}

/* What is known of a node's inputs: all their values; all for each batch size; all, but some are repeated N times. */
static enum knowledge look_at_inputs(const struct cb_onnx_node *node, const struct cb__onnx_operator *operator)
{
    enum knowledge least = KNOWN;
    for (uint32_t i = 0; i < node->input_count; i++) {
        const struct cb_onnx_value *value = node->inputs[i];
        enum knowledge is = KNOWN;
        if (!value || is_constant(value)) {
            continue;
        }
        if (operator->flags & CB__ONNX_BY_SHAPE) {
            is = value->has_shape ? KNOWN_BY_BATCH : UNKNOWN;
        } else if (value->is_repeated) {
            is = KNOWN_REPEATED;
        } else {
            is = value->lanes[0] ? KNOWN_BY_BATCH : UNKNOWN;
        }
        least = is < least ? is : least;
    }
    return least;
}

static bool eval_at(struct simplifier *s, const struct cb_onnx_node *node, const struct cb__onnx_operator *operator,
                    int lane)
{
    return set_work(s, node, lane, true) == CB_OK && operator->infer(&s->work) == CB_OK && operator->eval(&s->work);
}

static enum cb_status fold_constant(struct simplifier *s, struct cb_onnx_node *node,
                                    const struct cb__onnx_operator *operator, bool *out_done)
{
    CB_TRY(set_work(s, node, 0, false));
    s->work.file_batch = 0;
    s->work.max_count = MAX_CONSTANT;
    CB_TRY(operator->infer(&s->work));
    *out_done = operator->eval(&s->work);
    name_source(s, node);
    for (uint32_t i = 0; i < node->output_count && *out_done; i++) {
        *out_done = !node->outputs[i] || s->work.out[i].tensor;
    }
    for (uint32_t i = 0; i < node->output_count && *out_done; i++) {
        if (node->outputs[i]) {
            cb__onnx_set_constant(node->outputs[i], s->work.out[i].tensor);
            node->outputs[i]->producer = NULL;
        }
    }
    return CB_OK;
}

static bool is_same_tensor(const struct cb_onnx_tensor *a, const struct cb_onnx_tensor *b)
{
    if (a->type != b->type || a->rank != b->rank || memcmp(a->dims, b->dims, a->rank * sizeof(int64_t)) != 0 ||
        a->count > MAX_SYMBOLIC) {
        return false;
    }
    for (int64_t i = 0; i < a->count; i++) {
        if (cb_onnx_type_is_real(a->type) ? cb_onnx_tensor_real(a, i) != cb_onnx_tensor_real(b, i)
                                          : cb_onnx_tensor_int(a, i) != cb_onnx_tensor_int(b, i)) {
            return false;
        }
    }
    return true;
}

/* An integer value that depends on N: its elements, where each is fixed + batch * N. */
static void join_elements(struct simplifier *s, struct cb_onnx_value *value)
{
    int64_t count = value->lanes[0]->count;
    if (cb_onnx_type_is_real(value->type) || count > CB_MAX_RANK * 8) {
        return;
    }
    struct cb_onnx_dim *elements = CB_NEW_ARRAY(s->graph->arena, struct cb_onnx_dim, (size_t)count);
    for (int64_t i = 0; elements && i < count; i++) {
        int64_t at[CB__ONNX_LANES];
        for (int lane = 0; lane < CB__ONNX_LANES; lane++) {
            at[lane] = cb_onnx_tensor_int(value->lanes[lane], i);
        }
        if (!join_numbers(at, true, &elements[i])) {
            return;
        }
    }
    value->elements = elements;
}

/* The outputs' shapes are there and do not depend on N. */
static bool fold_by_batch(struct simplifier *s, struct cb_onnx_node *node, const struct cb__onnx_operator *operator)
{
    const struct cb_onnx_tensor *(*made)[CB__ONNX_LANES] =
        cb_arena_array(s->graph->arena, node->output_count, sizeof(*made));
    for (int lane = 0; lane < CB__ONNX_LANES; lane++) {
        if (!made || !eval_at(s, node, operator, lane)) {
            return false;
        }
        for (uint32_t i = 0; i < node->output_count; i++) {
            made[i][lane] = s->work.out[i].tensor;
            if (node->outputs[i] && (!made[i][lane] || made[i][lane]->count > MAX_SYMBOLIC)) {
                return false;
            }
        }
    }
    for (uint32_t i = 0; i < node->output_count; i++) {
        struct cb_onnx_value *value = node->outputs[i];
        if (!value) {
            continue;
        }
        value->producer = NULL;
        if (is_same_tensor(made[i][1], made[i][2])) {
            cb__onnx_set_constant(value, made[i][1]);
            continue;
        }
        memcpy(value->lanes, made[i], sizeof(value->lanes));
        join_elements(s, value);
    }
    return true;
}

/* [N, ...] with the same for every sample: computed for one. Of values that depend on N only those may take part that
 * say how large things are. */
static bool fold_repeated(struct simplifier *s, struct cb_onnx_node *node, const struct cb__onnx_operator *operator)
{
    struct cb_onnx_value *value = cb_onnx_output(node, 0);
    if (!(operator->flags & CB__ONNX_SAMPLEWISE) || node->output_count != 1 || !value ||
        !cb_onnx_dim_is_batch(value, 0)) {
        return false;
    }
    for (uint32_t i = 1; i < value->rank; i++) {
        if (value->dims[i].batch != 0) {
            return false;
        }
    }
    for (uint32_t i = 0; i < node->input_count; i++) {
        if (node->inputs[i] && node->inputs[i]->lanes[0] && !(operator->shape_inputs >> i & 1)) {
            return false;
        }
    }
    if (!eval_at(s, node, operator, 0) || !s->work.out[0].tensor || s->work.out[0].tensor->dims[0] != 1) {
        return false;
    }
    name_source(s, node);
    value->constant = s->work.out[0].tensor;
    value->is_repeated = true;
    value->producer = NULL;
    return true;
}

static bool depends_on_batch(const struct cb_onnx_node *node)
{
    for (uint32_t i = 0; i < node->output_count; i++) {
        const struct cb_onnx_value *value = node->outputs[i];
        for (uint32_t axis = 0; value && axis < value->rank; axis++) {
            if (value->dims[axis].batch != 0) {
                return true;
            }
        }
        if (value && !value->has_shape) {
            return true;
        }
    }
    return false;
}

/* ---- one node -------------------------------------------------------------------------------------------------- */

static enum cb_status walk_nodes(struct simplifier *s, struct cb_onnx_node *const *nodes, uint32_t count);

static enum cb_status take_branch(struct simplifier *s, struct cb_onnx_node *node)
{
    const struct cb_onnx_tensor *condition = cb_onnx_constant(node, 0);
    if (!condition || condition->count != 1) {
        return cb_onnx_fail(s->graph, node, CB_UNSUPPORTED, s->diag,
                            "which branch it takes depends on the input (`%s`); only conditions that are constant, or "
                            "depend on shapes, are read", cb_onnx_input(node, 0) ? node->inputs[0]->name : "");
    }
    const char *name = cb_onnx_tensor_int(condition, 0) ? "then_branch" : "else_branch";
    const struct cb_onnx_attribute *branch = cb_onnx_attribute(node, name);
    if (!branch || branch->kind != CB_ONNX_A_GRAPH) {
        return cb_onnx_fail(s->graph, node, CB_FORMAT, s->diag, "it has no `%s`", name);
    }
    struct cb__onnx_nodes nodes = {0};
    struct cb_onnx_value **outputs = CB_NEW_ARRAY(s->graph->arena, struct cb_onnx_value *, node->output_count);
    if (!outputs) {
        return cb__onnx_no_memory(s->graph, s->diag);
    }
    CB_TRY(cb__onnx_add_branch(s->graph, node, branch->graph, &nodes, outputs, s->diag));
    CB_TRY(walk_nodes(s, nodes.items, nodes.count));
    for (uint32_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i]) {
            node->outputs[i]->alias = follow(outputs[i]);
        }
    }
    return CB_OK;
}

static enum cb_status check_subgraphs(struct simplifier *s, const struct cb_onnx_node *node)
{
    for (uint32_t i = 0; i < node->attribute_count; i++) {
        if (node->attributes[i].kind == CB_ONNX_A_GRAPH) {
            return cb_onnx_fail(s->graph, node, CB_UNSUPPORTED, s->diag,
                                "it runs a graph of its own (`%s`), which is not read; only If is, where its condition "
                                "is constant", node->attributes[i].name);
        }
    }
    return CB_OK;
}

/* Computes what can be; `*out_done`: the node is not needed any more. */
static enum cb_status fold_and_infer(struct simplifier *s, struct cb_onnx_node *node, bool *out_done)
{
    cb__onnx_unpick(s->graph, node, s->file_batch);
    const struct cb__onnx_operator *operator = cb__onnx_operator(node);
    *out_done = false;
    if (!operator) {
        return CB_OK;
    }
    cb__onnx_repeat_constants(s->graph, node, operator, s->file_batch);
    enum knowledge is = operator->eval ? look_at_inputs(node, operator) : UNKNOWN;
    /* A batch that the file has as a number may be written into the shape of an Expand. */
    bool may_have_batch = is == KNOWN && s->file_batch > 1 && operator->eval == cb__onnx_eval_expand;
    if (is == KNOWN && !may_have_batch) {
        CB_TRY(fold_constant(s, node, operator, out_done));
    }
    if (*out_done) {
        return CB_OK;
    }
    CB_TRY(infer(s, node, operator));
    if (may_have_batch && !depends_on_batch(node)) {
        return fold_constant(s, node, operator, out_done);
    }
    is = may_have_batch ? KNOWN_REPEATED : is;
    if (is == KNOWN_BY_BATCH && !depends_on_batch(node)) {
        *out_done = fold_by_batch(s, node, operator);
    }
    if (!*out_done && (is == KNOWN_BY_BATCH || is == KNOWN_REPEATED)) {
        *out_done = fold_repeated(s, node, operator);
    }
    return CB_OK;
}

static enum cb_status walk_node(struct simplifier *s, struct cb_onnx_node *node)
{
    bool is_done;
    for (uint32_t i = 0; i < node->input_count; i++) {
        node->inputs[i] = follow(node->inputs[i]);
    }
    if (*node->domain == '\0' && strcmp(node->op, "If") == 0) {
        return take_branch(s, node);
    }
    CB_TRY(check_subgraphs(s, node));
    if (!cb__onnx_does_nothing(node)) {
        CB_TRY(fold_and_infer(s, node, &is_done));
        if (is_done) {
            return CB_OK;
        }
    }
    if (cb__onnx_does_nothing(node)) {
        node->outputs[0]->alias = node->inputs[0];
        return CB_OK;
    }
    if (*node->domain == '\0' && cb__onnx_is_guarded_softmax(node)) {
        node->outputs[0]->alias = node->inputs[2];
        return CB_OK;
    }
    return cb__onnx_append(s->graph, &s->kept, node) ? CB_OK : cb__onnx_no_memory(s->graph, s->diag);
}

static enum cb_status walk_nodes(struct simplifier *s, struct cb_onnx_node *const *nodes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        CB_TRY(walk_node(s, nodes[i]));
    }
    return CB_OK;
}

enum cb_status cb_onnx_simplify(struct cb_onnx_graph *graph, const struct cb_onnx_options *options,
                                struct cb_diag *diag)
{
    struct simplifier s = {.graph = graph, .diag = diag};
    CB_TRY(cb__onnx_resolve_inputs(graph, options, diag));
    s.file_batch = options && options->keep_batch ? 0 : graph->batch;
    CB_TRY(walk_nodes(&s, graph->nodes, graph->node_count));
    graph->nodes = s.kept.items;
    graph->node_count = s.kept.count;
    for (uint32_t i = 0; i < graph->output_count; i++) {
        graph->outputs[i].value = follow(graph->outputs[i].value);
    }
    return cb__onnx_tidy(graph, diag);
}
