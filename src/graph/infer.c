/* infer.c: asks a plugin for shapes and params, and checks what it answers; the host table. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "graph/core.h"
#include "graph/descriptor.h"

#define MAX_DIM ((int64_t)1 << 40)
#define MAX_COUNT ((int64_t)1 << 44)

/* ---- host functions --------------------------------------------------------------------------------------------- */

static enum cb_status host_fail(struct cb_core *core, enum cb_status status, const char *option, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt != NULL ? fmt : "the plugin did not say what is wrong", args);
    va_end(args);
    const struct cb_node *node = core->node;
    const struct cb_place *at = &node->at;
    const struct cb_value *value = option != NULL ? cb_map_get(node->options_value, option) : NULL;
    if (value != NULL) {
        at = &value->at;
    }
    return cb_fail(core->diag, status == CB_OK ? CB_INVALID : status, at->source != NULL ? at : NULL,
                   "layer `%s` (%s): %s", node->name, node->type->layer.name, text);
}

/* True when dims are positive and their product is bounded. */
static bool dims_are_sound(uint32_t rank, const int64_t *dims)
{
    int64_t count = 1;
    if (rank > CB_MAX_RANK || dims == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < rank; i++) {
        if (dims[i] < 1 || dims[i] > MAX_DIM || count > MAX_COUNT / dims[i]) {
            return false;
        }
        count *= dims[i];
    }
    return true;
}

static enum cb_status declare_tensor(struct cb_core *core, struct cb_declared *slot, uint32_t dtype, uint32_t rank,
                                     const int64_t *dims, const char *what)
{
    if (!dims_are_sound(rank, dims)) {
        struct cb_text text = {0};
        for (uint32_t i = 0; dims != NULL && i < rank && i < CB_MAX_RANK; i++) {
            cb_text_addf(&text, "%s%" PRId64, i > 0 ? ", " : "", dims[i]);
        }
        enum cb_status status = host_fail(core, CB_MISMATCH, NULL, "%s would have the shape [%s], which is impossible",
                                          what, text.data != NULL ? text.data : "");
        cb_text_free(&text);
        return status;
    }
    if (dtype > CB_U8) {
        return host_fail(core, CB_INVALID, NULL, "%s would have the data type %u, which there is not", what, dtype);
    }
    slot->dtype = dtype;
    slot->rank = rank;
    memcpy(slot->dims, dims, rank * sizeof(*dims));
    slot->set = true;
    return CB_OK;
}

static enum cb_status host_output(struct cb_core *core, uint32_t index, uint32_t dtype, uint32_t rank,
                                  const int64_t *dims)
{
    if (core->inference == NULL || index >= core->node->type->layer.output_count) {
        return host_fail(core, CB_INVALID, NULL, "the plugin declares output %u, which it does not have", index);
    }
    if (core->inference->outputs[index].set) {
        return host_fail(core, CB_INVALID, NULL, "the plugin declares output %u twice", index);
    }
    return declare_tensor(core, &core->inference->outputs[index], dtype, rank, dims, "its output");
}

/* A tensor in a file is LAYER.NAME, whether trained or not. */
static bool has_name(const struct cb_inference *i, const char *name)
{
    for (uint32_t k = 0; k < i->param_count; k++) {
        if (strcmp(i->params[k].name, name) == 0) {
            return true;
        }
    }
    for (uint32_t k = 0; k < i->state_count; k++) {
        if (strcmp(i->states[k].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static enum cb_status add_decl(struct cb_core *core, struct cb_param_decl *table, uint32_t *count, uint32_t capacity,
                               const struct cb_param_decl *decl)
{
    if (table == NULL || *count == capacity) {
        return host_fail(core, CB_INVALID, NULL, "the plugin declares too many params, or declares them outside infer");
    }
    if (decl == NULL || decl->struct_size < offsetof(struct cb_param_decl, fan_out) + sizeof(decl->fan_out) ||
        decl->name == NULL || decl->role > CB_PARAM_TABLE || decl->init > CB_INIT_NORMAL) {
        return host_fail(core, CB_INVALID, NULL, "the plugin declares a param without struct_size or name, or of unknown "
                         "role or initialiser");
    }
    if (has_name(core->inference, decl->name)) {
        return host_fail(core, CB_INVALID, NULL, "the plugin declares two params or states of the name `%s`", decl->name);
    }
    struct cb_param_decl copy = {0};
    size_t bytes = decl->struct_size < sizeof(copy) ? decl->struct_size : sizeof(copy);
    memcpy(&copy, decl, bytes);
    if (!dims_are_sound(copy.rank, copy.dims)) {
        return host_fail(core, CB_MISMATCH, NULL, "`%s` would have an impossible shape", decl->name);
    }
    if (copy.grid[0] < 0 || copy.grid[1] < 0 || (copy.grid[0] > 0 && copy.grid[1] > copy.dims[0] / copy.grid[0])) {
        return host_fail(core, CB_MISMATCH, NULL, "the grid of `%s` is larger than its table", decl->name);
    }
    table[(*count)++] = copy;
    return CB_OK;
}

static enum cb_status host_param(struct cb_core *core, const struct cb_param_decl *decl)
{
    struct cb_inference *i = core->inference;
    return i != NULL ? add_decl(core, i->params, &i->param_count, sizeof(i->params) / sizeof(i->params[0]), decl)
                     : add_decl(core, NULL, NULL, 0, decl);
}

static enum cb_status host_state(struct cb_core *core, const struct cb_param_decl *decl)
{
    struct cb_inference *i = core->inference;
    return i != NULL ? add_decl(core, i->states, &i->state_count, sizeof(i->states) / sizeof(i->states[0]), decl)
                     : add_decl(core, NULL, NULL, 0, decl);
}

static enum cb_status host_saved(struct cb_core *core, uint32_t dtype, uint32_t rank, const int64_t *dims)
{
    struct cb_inference *i = core->inference;
    if (i == NULL || i->saved_count == sizeof(i->saved) / sizeof(i->saved[0])) {
        return host_fail(core, CB_INVALID, NULL, "the plugin keeps too many tensors, or outside infer");
    }
    return declare_tensor(core, &i->saved[i->saved_count++], dtype, rank, dims, "a kept tensor");
}

const struct cb_host cb__host = {
    .struct_size = sizeof(struct cb_host),
    .abi = CB_ABI,
    .fail = host_fail,
    .output = host_output,
    .param = host_param,
    .state = host_state,
    .saved = host_saved,
    .kernel = cb__host_kernel,
    .workspace = cb__host_workspace,
    .derived = cb__host_derived,
    .launch = cb__host_launch,
    .gemm = cb__host_gemm,
    .fill = cb__host_fill,
    .copy = cb__host_copy,
    .device = cb__host_device,
};

/* ---- asking ------------------------------------------------------------------------------------------------------ */

/* A shape that does not fit has two sides: where each input comes from and what it is. */
static void note_inputs(const struct cb_network *net, const struct cb_node *node, const struct cb_tensor *const *x,
                        struct cb_diag *diag)
{
    for (uint32_t i = 0; i < node->x_count; i++) {
        const struct cb_wire *wire = &net->wires[node->x[i]];
        const struct cb_node *from = wire->node != CB_NONE ? &net->nodes[wire->node] : NULL;
        struct cb_text shape = {0};
        cb_text_add(&shape, "[N");
        for (uint32_t d = 1; d < x[i]->rank; d++) {
            cb_text_addf(&shape, ", %" PRId64, x[i]->dims[d]);
        }
        cb_text_add(&shape, "]");
        const char *dims = shape.data != NULL && !shape.failed ? shape.data : "";
        if (from != NULL) {
            cb_note(diag, from->at.source != NULL ? &from->at : NULL, "input %u of `%s` is layer `%s` (%s), %s", i + 1,
                    node->name, from->name, from->type->layer.name, dims);
        } else {
            cb_note(diag, NULL, "input %u of `%s` is the network's input `%s`, %s", i + 1, node->name, wire->name, dims);
        }
        cb_text_free(&shape);
    }
}

/* Ids taken for values would give numbers without a meaning, and no sign of it. */
static enum cb_status check_dtypes(struct cb_core *core, const struct cb_tensor *const *x)
{
    for (uint32_t i = 0; i < core->node->x_count; i++) {
        if (!cb__layer_takes(&core->node->type->layer, i, x[i]->dtype)) {
            return host_fail(core, CB_MISMATCH, NULL, "input %u holds whole numbers (ids), but it computes with values; "
                             "an embedding turns ids into values", i + 1);
        }
    }
    return CB_OK;
}

/* All of them; with FEWER_OUTPUTS those up to the last declared. */
static enum cb_status count_outputs(struct cb_core *core, struct cb_inference *out)
{
    const struct cb_layer *layer = &core->node->type->layer;
    out->output_count = layer->output_count;
    while ((layer->flags & CB_LAYER_FEWER_OUTPUTS) != 0 && out->output_count > 1 &&
           !out->outputs[out->output_count - 1].set) {
        out->output_count--;
    }
    for (uint32_t i = 0; i < out->output_count; i++) {
        if (!out->outputs[i].set) {
            return host_fail(core, CB_INVALID, NULL, "the plugin did not declare output %u", i);
        }
    }
    return CB_OK;
}

enum cb_status cb__network_infer(const struct cb_network *net, const struct cb_node *node,
                                 const struct cb_tensor *const *x, struct cb_inference *out, struct cb_diag *diag)
{
    const struct cb_layer *layer = &node->type->layer;
    struct cb_core core = {.net = net, .node = node, .diag = diag, .inference = out};
    struct cb_instance in = {
        .struct_size = sizeof(in), .host = &cb__host, .core = &core, .name = node->name, .options = node->options,
        .x_count = node->x_count, .x = (struct cb_tensor *const *)x,
    };
    size_t errors = diag != NULL ? cb_diag_count(diag, CB_ERROR) : 0;
    memset(out, 0, sizeof(*out));
    enum cb_status status = check_dtypes(&core, x);
    if (status == CB_OK && layer->check != NULL) {
        status = layer->check(&in);
    }
    if (status == CB_OK && layer->pointwise != NULL && layer->infer == NULL) {
        status = host_output(&core, 0, x[0]->dtype, x[0]->rank, x[0]->dims);
    } else if (status == CB_OK) {
        status = layer->infer(&in);
    }
    if (status != CB_OK) {
        if (diag != NULL && cb_diag_count(diag, CB_ERROR) == errors) {
            /* What it returned may be no status at all. */
            return host_fail(&core, status == CB_MISMATCH || status == CB_UNSUPPORTED ? status : CB_INVALID, NULL,
                             "the plugin refused without saying why");
        }
        if (status == CB_MISMATCH) {
            note_inputs(net, node, x, diag);
        }
        return status;
    }
    return count_outputs(&core, out);
}
