/* fuse.c: which layers go into the store of the layer above them, and the OpenCL text that does it.
 *
 * A chain grows from a step whose forward variant stores through CB_STORE: while the chain's last wire has one reader in
 * the plan and is no output, that reader joins if it is an affine per channel (batchnorm in inference form), a sum whose
 * other side already exists, or a pointwise layer. When gradients are wanted, nothing may join that would need the
 * tensors inside the chain for its backward: a pointwise layer must get along with its own output, or follow a layer that
 * computes its output again in backward (PROLOGUE), and then ends the chain. Nor does anything join a layer whose own backward reads its output. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/options.h"
#include "graph/pointwise.h"
#include "graph/step.h"

static uint32_t only_reader(const struct cb_plan *plan, uint32_t wire)
{
    if (plan->consumers[wire] != 1 || plan->is_output[wire]) {
        return CB_NONE;
    }
    for (uint32_t i = 0; i < plan->net->node_count; i++) {
        for (uint32_t k = 0; plan->runs[i] && k < plan->net->nodes[i].x_count; k++) {
            if (plan->net->nodes[i].x[k] == wire) {
                return i;
            }
        }
    }
    return CB_NONE;
}

/* Frozen params and statistics: an affine that stays what it is during this plan, or is derived again by refresh. */
static bool is_affine(const struct cb_plan *plan, const struct cb_node *node)
{
    if (node->type->layer.affine == NULL || node->x_count != 1) {
        return false;
    }
    if (!plan->request.training) {
        return true;
    }
    return node->frozen;
}

static void read_pointwise_options(const struct cb_node *node, struct cb_op *op)
{
    const struct cb_layer *layer = &node->type->layer;
    for (uint32_t i = 0; i < layer->options.count && op->option_count < 16; i++) {
        struct cb_option option;
        cb_options_at(&layer->options, i, &option);
        const char *field = (const char *)node->options + option.offset;
        if (option.type == CB_OPT_REAL) {
            op->options[op->option_count++] = (float)*(const double *)(const void *)field;
        } else if (option.type == CB_OPT_INT) {
            op->options[op->option_count++] = (float)*(const int64_t *)(const void *)field;
        } else if (option.type == CB_OPT_BOOL) {
            op->options[op->option_count++] = (float)*(const uint32_t *)(const void *)field;
        } else if (option.type == CB_OPT_CHOICE) {
            op->options[op->option_count++] = (float)*(const int32_t *)(const void *)field;
        }
    }
}

/* The wire already has its value when this step runs. */
static bool exists_before(const struct cb_plan *plan, uint32_t wire, uint32_t node)
{
    return plan->is_input[wire] || (plan->net->wires[wire].node != CB_NONE && plan->net->wires[wire].node < node);
}

/* Its backward will run and reads y, which a chain would not leave in memory. */
static bool keeps_output(const struct cb_plan *plan, const struct cb_node *node)
{
    uint32_t needs = 0;
    if (!plan->request.gradients || !plan->wants_gradient[node->y[0]]) {
        return false;
    }
    for (uint32_t k = 0; k < node->x_count; k++) {
        needs |= plan->wants_gradient[node->x[k]] ? node->type->layer.dx_needs : 0;
    }
    for (uint32_t k = 0; k < node->param_count; k++) {
        needs |= plan->net->params[node->params[k]].trainable ? node->type->layer.dw_needs : 0;
    }
    return (needs & CB_NEEDS_Y) != 0;
}

static uint32_t arg_count(const struct cb_op *op)
{
    return op->kind == CB_OP_POINTWISE ? op->option_count : op->kind == CB_OP_AFFINE && !op->folded ? 2 : 1;
}

static bool computes_output_again(const struct cb_step *step)
{
    const struct cb_variant *backward = step->passes[CB_PASS_BACKWARD].variant;
    return backward != NULL && (backward->flags & CB_VARIANT_PROLOGUE) != 0;
}

bool cb__step_has_prologue(const struct cb_step *step)
{
    return computes_output_again(step) && step->op_count == 1 && step->ops[0].kind == CB_OP_POINTWISE;
}

static bool try_join(const struct cb_plan *plan, const struct cb_step *step, uint32_t wire, uint32_t reader,
                     struct cb_op *op, bool *ends)
{
    const struct cb_node *node = &plan->net->nodes[reader];
    const struct cb_layer *layer = &node->type->layer;
    bool keeps_gradient = plan->request.gradients && plan->wants_gradient[node->y[0]];
    *op = (struct cb_op){.node = reader, .in = wire, .out = node->y[0], .other = CB_NONE};
    *ends = false;
    if (layer->pointwise != NULL) {
        op->kind = CB_OP_POINTWISE;
        read_pointwise_options(node, op);
        *ends = keeps_gradient;
        return !keeps_gradient || layer->pointwise->df_reads == CB_NEEDS_Y ||
               (step->op_count == 0 && computes_output_again(step));
    }
    if (is_affine(plan, node)) {
        op->kind = CB_OP_AFFINE;
        op->folded = !plan->request.training && step->op_count == 0 && !step->is_copy &&
                     (plan->net->nodes[step->node].type->layer.flags & CB_LAYER_LINEAR) != 0;
        return true;
    }
    if ((layer->flags & CB_LAYER_SUM) != 0 && node->x_count == 2 && node->x[0] != node->x[1]) {
        op->kind = CB_OP_SUM;
        op->other = node->x[0] == wire ? node->x[1] : node->x[0];
        return exists_before(plan, op->other, step->node);
    }
    return false;
}

enum cb_status cb__plan_fuse(struct cb_plan *plan, struct cb_step *step, bool *fused_nodes, struct cb_diag *diag)
{
    const struct cb_node *node = &plan->net->nodes[step->node];
    const struct cb_variant *variant = step->passes[CB_PASS_FORWARD].variant;
    step->final_wire = node->y[0];
    step->ops = CB_NEW_ARRAY(plan->arena, struct cb_op, 32);
    if (step->ops == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    bool ends = false;
    uint32_t args = 0;
    if (step->is_copy) {
        struct cb_op *op = &step->ops[step->op_count++];
        *op = (struct cb_op){.kind = CB_OP_POINTWISE, .node = step->node, .in = node->x[0], .out = node->y[0],
                             .other = CB_NONE};
        read_pointwise_options(node, op);
        ends = plan->request.gradients && plan->wants_gradient[node->y[0]];
        args = arg_count(op);
    } else if (variant == NULL || (variant->flags & CB_VARIANT_EPILOGUE) == 0 || node->y_count != 1 ||
               keeps_output(plan, node)) {
        return CB_OK;
    }
    while (!ends && step->op_count < 31 && !plan->request.no_fusion) {
        uint32_t reader = only_reader(plan, step->final_wire);
        struct cb_op op;
        if (reader == CB_NONE || fused_nodes[reader] || !try_join(plan, step, step->final_wire, reader, &op, &ends) ||
            args + arg_count(&op) > CB_CHAIN_ARGS) {
            break;
        }
        args += arg_count(&op);
        step->ops[step->op_count++] = op;
        step->final_wire = op.out;
        fused_nodes[reader] = true;
    }
    step->passes[CB_PASS_FORWARD].takes_chain = step->op_count > 0 && !step->is_copy;
    return CB_OK;
}

/* ---- text ---------------------------------------------------------------------------------------------------------- */

static enum cb_status add_pointwise_text(struct cb_plan *plan, uint32_t node_index, struct cb_text *out,
                                         struct cb_diag *diag)
{
    const struct cb_node *node = &plan->net->nodes[node_index];
    char *path = cb_kernel_path(plan->arena, node->type->layer.name, node->type->folder);
    if (path == NULL) {
        return cb_fail(diag, CB_NOT_FOUND, &node->at, "layer `%s`: its kernel file `%s.cl` is missing", node->name,
                       node->type->layer.name);
    }
    return cb_pointwise_text(plan->arena, &node->type->layer, path, &node->at, out, diag);
}

static void add_option_list(struct cb_text *out, const struct cb_op *op, uint32_t index)
{
    for (uint32_t i = 0; i < op->option_count; i++) {
        cb_text_addf(out, ", cbe%u_o%u", index, i);
    }
}

/* The parameters of op `index`, each with a comma in front; with or without their types. */
static void add_parameters(struct cb_text *out, const struct cb_op *op, uint32_t index, bool types)
{
    const char *buffer = types ? "__global const float *" : "", *scalar = types ? "float " : "";
    switch (op->kind) {
    case CB_OP_AFFINE:
        if (!op->folded) {
            cb_text_addf(out, ", %scbe%u_s", buffer, index);
        }
        cb_text_addf(out, ", %scbe%u_t", buffer, index);
        break;
    case CB_OP_SUM:
        cb_text_addf(out, ", %scbe%u_a", buffer, index);
        break;
    case CB_OP_POINTWISE:
        for (uint32_t i = 0; i < op->option_count; i++) {
            cb_text_addf(out, ", %scbe%u_o%u", scalar, index, i);
        }
        break;
    }
}

static void add_function(struct cb_text *out, const struct cb_plan *plan, const struct cb_step *step, bool wide)
{
    const char *type = wide ? "float16" : "float";
    cb_text_addf(out, "static inline %s cb_epilogue%s(%s v, long i, long k CB_EPILOGUE_PARAMS)\n{\n", type,
                 wide ? "16" : "1", type);
    for (uint32_t n = 0; n < step->op_count; n++) {
        const struct cb_op *op = &step->ops[n];
        const char *load = wide ? "vload16(0, %s + %s)" : "%s[%s]";
        char buffer[32], first[64], second[64];
        switch (op->kind) {
        case CB_OP_AFFINE:
            snprintf(buffer, sizeof(buffer), "cbe%u_s", n);
            snprintf(first, sizeof(first), load, buffer, "k");
            snprintf(buffer, sizeof(buffer), "cbe%u_t", n);
            snprintf(second, sizeof(second), load, buffer, "k");
            if (op->folded) {
                cb_text_addf(out, "    v = v + %s;\n", second);
            } else {
                cb_text_addf(out, "    v = v * %s + %s;\n", first, second);
            }
            break;
        case CB_OP_SUM:
            snprintf(buffer, sizeof(buffer), "cbe%u_a", n);
            snprintf(first, sizeof(first), load, buffer, "i");
            cb_text_addf(out, "    v = v + %s;\n", first);
            break;
        case CB_OP_POINTWISE:
            cb_text_addf(out, "    v = %s_f__%s(v", plan->net->nodes[op->node].type->layer.name, wide ? "16" : "1");
            add_option_list(out, op, n);
            cb_text_add(out, ");\n");
            break;
        }
    }
    cb_text_add(out, "    return v;\n}\n");
}

/* Whether an output is better written past the caches than through them: a processor that writes a line through its caches
 * first reads what it overwrites. Batch 16 on 2 cores of an AMD EPYC with 32 MB of third-level cache, from 8, 16, 32 MB on,
 * never: MobileNetV2 64.0, 63.9, 66.6, 68.5 ms, ResNet-50 520, 515, 519, 525 ms; alone, a 1x1 convolution of 16 to 96
 * channels at 112 x 112 3.2 ms, not 5.2. Gradients of inputs gained nothing from it. */
#define STREAM_BYTES ((uint64_t)16 << 20)
static const char *stream_header(const struct cb_plan *plan, const struct cb_step *step)
{
    const bool is_tiled = (cb_device_get_facts(plan->device)->caps & CB_CAP_TILE) != 0;
    const uint64_t bytes = (uint64_t)cb_tensor_count(&plan->values[step->final_wire]) * sizeof(float);
    return is_tiled && bytes > STREAM_BYTES ? "#define CB_STREAM 1\n" : NULL;
}

static enum cb_status chain_header(struct cb_plan *plan, struct cb_step *step, struct cb_diag *diag)
{
    const char *stream = stream_header(plan, step);
    struct cb_text text = {0};
    enum cb_status status = CB_OK;
    if (step->op_count == 0) {
        step->chain_header = stream;
        return CB_OK;
    }
    cb_text_add(&text, stream != NULL ? stream : "");
    cb_text_add(&text, "#define CB_EPILOGUE 1\n#define CB_EPILOGUE_PARAMS ");
    for (uint32_t n = 0; n < step->op_count; n++) {
        add_parameters(&text, &step->ops[n], n, true);
    }
    cb_text_add(&text, "\n#define CB_EPILOGUE_ARGS ");
    for (uint32_t n = 0; n < step->op_count; n++) {
        add_parameters(&text, &step->ops[n], n, false);
    }
    cb_text_add(&text, "\n");
    for (uint32_t n = 0; status == CB_OK && n < step->op_count; n++) {
        bool repeated = step->ops[n].kind != CB_OP_POINTWISE;
        for (uint32_t k = 0; k < n && !repeated; k++) {
            repeated = step->ops[k].kind == CB_OP_POINTWISE &&
                       plan->net->nodes[step->ops[k].node].type == plan->net->nodes[step->ops[n].node].type;
        }
        if (!repeated) {
            status = add_pointwise_text(plan, step->ops[n].node, &text, diag);
        }
    }
    cb_text_add(&text, "#line 1 \"fused\"\n");
    add_function(&text, plan, step, false);
    add_function(&text, plan, step, true);
    if (status == CB_OK && text.failed) {
        status = cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    if (status == CB_OK) {
        step->chain_header = cb_arena_strdup(plan->arena, text.data);
    }
    cb_text_free(&text);
    return status;
}

enum cb_status cb__plan_pointwise_backward(struct cb_plan *plan, struct cb_op *op, struct cb_diag *diag)
{
    const char *name = plan->net->nodes[op->node].type->layer.name;
    struct cb_text text = {0};
    cb_text_add(&text, "#define CB_DF_PARAMS ");
    add_parameters(&text, op, 0, true);
    cb_text_addf(&text, "\n#define CB_DF1(v) %s_df__1((v)", name);
    add_option_list(&text, op, 0);
    cb_text_addf(&text, ")\n#define CB_DF16(v) %s_df__16((v)", name);
    add_option_list(&text, op, 0);
    cb_text_add(&text, ")\n");
    enum cb_status status = add_pointwise_text(plan, op->node, &text, diag);
    char *path = cb_kernel_path(plan->arena, "core/pointwise", NULL);
    if (status == CB_OK && (text.failed || path == NULL)) {
        status = cb_fail(diag, CB_NOT_FOUND, NULL, "the kernel file `core/pointwise.cl` is missing");
    }
    if (status == CB_OK) {
        status = cb_kernel_get(plan->device, text.data, path, NULL, "pointwise_backward", &op->backward, diag);
    }
    cb_text_free(&text);
    return status;
}

uint32_t cb__step_chain_args(const struct cb_step *step, struct cb_arg args[CB_CHAIN_ARGS])
{
    uint32_t count = 0;
    for (uint32_t n = 0; n < step->op_count; n++) {
        const struct cb_op *op = &step->ops[n];
        switch (op->kind) {
        case CB_OP_AFFINE:
            if (!op->folded) {
                args[count++] = (struct cb_arg)CB_A_TENSOR(&op->scale);
            }
            args[count++] = (struct cb_arg)CB_A_TENSOR(&op->shift);
            break;
        case CB_OP_SUM:
            args[count++] = (struct cb_arg)CB_A_TENSOR(op->other_tensor);
            break;
        case CB_OP_POINTWISE:
            for (uint32_t i = 0; i < op->option_count; i++) {
                args[count++] = (struct cb_arg)CB_A_F32(op->options[i]);
            }
            break;
        }
    }
    return count;
}

/* dy times the derivative at the layer's output, or at what the pointwise layer makes of it. */
static enum cb_status prologue_header(struct cb_plan *plan, struct cb_step *step, struct cb_diag *diag)
{
    const struct cb_op *op = &step->ops[0];
    const struct cb_layer *layer = &plan->net->nodes[op->node].type->layer;
    struct cb_text text = {0};
    cb_text_add(&text, "#define CB_PROLOGUE 1\n#define CB_PROLOGUE_PARAMS ");
    add_parameters(&text, op, 0, true);
    cb_text_add(&text, "\n#define CB_PROLOGUE_ARGS ");
    add_parameters(&text, op, 0, false);
    cb_text_add(&text, "\n");
    enum cb_status status = add_pointwise_text(plan, op->node, &text, diag);
    cb_text_add(&text, "#line 1 \"fused\"\n");
    for (int wide = 0; wide < 2; wide++) {
        const char *type = wide ? "float16" : "float", *width = wide ? "16" : "1";
        cb_text_addf(&text, "static inline %s cb_prologue%s(%s dy, %s v CB_PROLOGUE_PARAMS)\n{\n", type, width, type, type);
        if (layer->pointwise->df_reads == CB_NEEDS_Y) {
            cb_text_addf(&text, "    v = %s_f__%s(v", layer->name, width);
            add_option_list(&text, op, 0);
            cb_text_add(&text, ");\n");
        }
        cb_text_addf(&text, "    return dy * %s_df__%s(v", layer->name, width);
        add_option_list(&text, op, 0);
        cb_text_add(&text, ");\n}\n");
    }
    if (status == CB_OK && text.failed) {
        status = cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    if (status == CB_OK) {
        step->passes[CB_PASS_BACKWARD].header = cb_arena_strdup(plan->arena, text.data);
        step->passes[CB_PASS_BACKWARD].takes_chain = true;
    }
    cb_text_free(&text);
    return status;
}

enum cb_status cb__plan_header(struct cb_plan *plan, struct cb_step *step, struct cb_diag *diag)
{
    struct cb_step_pass *forward = &step->passes[CB_PASS_FORWARD];
    CB_TRY(chain_header(plan, step, diag));
    if (forward->variant != NULL && (forward->variant->flags & CB_VARIANT_EPILOGUE) != 0) {
        forward->header = step->chain_header;
    }
    return cb__step_has_prologue(step) ? prologue_header(plan, step, diag) : CB_OK;
}
