/* flat_tidy.c: neighbours in a flat network that one layer of ours does together: an addend per channel behind a layer that
 * may have a bias, a factor and an addend behind a norm without its own; reshapes of reshapes. */
#include <string.h>

#include "exchange/onnx_lower.h"

static struct cb_flat_layer *above(struct cb_flat *flat, const struct cb_flat_layer *layer)
{
    const struct cb_flat_wire wire = layer->inputs[0];
    return layer->input_count == 1 && wire.layer >= 0 && wire.output == 0 && flat->layers[wire.layer].uses == 1
               ? &flat->layers[wire.layer]
               : NULL;
}

static bool is_off(const struct cb_flat_layer *layer, const char *key)
{
    const struct cb_value *value = cb_map_get(layer->options, key);
    return value != NULL && value->kind == CB_KIND_BOOL && !value->as.boolean;
}

/* All that read `from` read `to` instead. */
static void replace(struct cb_flat *flat, uint32_t from, struct cb_flat_wire to)
{
    for (uint32_t i = 0; i < flat->layer_count; i++) {
        for (uint32_t k = 0; k < flat->layers[i].input_count; k++) {
            struct cb_flat_wire *wire = &flat->layers[i].inputs[k];
            if (wire->layer == (int32_t)from && wire->output == 0) {
                *wire = to;
            }
        }
    }
    if (flat->output.layer == (int32_t)from) {
        flat->output = to;
    }
}

/* The param "w" of `from`, a vector, becomes `name` of `to`. */
static void move_param(struct cb_flat_layer *to, const char *name, struct cb_flat_layer *from)
{
    struct cb_flat_param *param = from->params, **end = &to->params;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    param->name = name;
    param->next = NULL;
    *end = param;
    from->params = NULL;
}

static bool set(struct cb_flat *flat, struct cb_flat_layer *layer, const char *key)
{
    struct cb_value *yes = cb_value_bool(flat->arena, true, NULL);
    return yes != NULL && cb_map_set(flat->arena, layer->options, key, yes);
}

static bool is(const struct cb_flat_layer *layer, const char *word)
{
    return strcmp(layer->word, word) == 0;
}

/* An addend per channel: into the bias of the layer above. */
static bool take_addend(struct cb_flat *flat, uint32_t i)
{
    struct cb_flat_layer *layer = &flat->layers[i], *host = above(flat, layer);
    if (host == NULL || layer->params->rank != 1 || layer->params->dims[0] == 1) {
        return true;
    }
    const char *key = NULL;
    if ((is(host, "dense") || is(host, "conv2d") || is(host, "conv1d") || is(host, "conv_transpose2d")) && is_off(host, "bias")) {
        key = "bias";
    } else if (is(host, "layernorm") && is_off(host, "shift")) {
        key = "shift";
    } else if (is(host, "layer_scale") && host->params->dims[0] == layer->params->dims[0]) { /* groupnorm, then both */
        struct cb_flat_layer *norm = above(flat, host);
        if (norm != NULL && is(norm, "groupnorm") && is_off(norm, "affine")) {
            const struct cb_flat_wire to = host->inputs[0];
            if (!set(flat, norm, "affine")) {
                return false;
            }
            move_param(norm, "w", host);
            move_param(norm, "b", layer);
            replace(flat, i, to);
        }
        return true;
    }
    if (key == NULL) {
        return true;
    }
    move_param(host, "b", layer);
    replace(flat, i, layer->inputs[0]);
    return set(flat, host, key);
}

static bool take_factor(struct cb_flat *flat, uint32_t i)
{
    struct cb_flat_layer *layer = &flat->layers[i], *host = above(flat, layer);
    if (host == NULL || (!is(host, "layernorm") && !is(host, "rmsnorm")) || !is_off(host, "scale") ||
        (is(host, "layernorm") && !is_off(host, "shift"))) {
        return true;
    }
    move_param(host, "w", layer);
    replace(flat, i, layer->inputs[0]);
    return set(flat, host, "scale");
}

bool cb__flat_tidy(struct cb_flat *flat)
{
    bool ok = true;
    for (uint32_t i = 0; ok && i < flat->layer_count; i++) {
        struct cb_flat_layer *layer = &flat->layers[i];
        struct cb_flat_layer *host = layer->input_count == 1 ? above(flat, layer) : NULL;
        const struct cb_value *as = cb_map_get(layer->options, "as");
        if (is(layer, "broadcast_param") && as != NULL && strcmp(as->text, "addend") == 0) {
            ok = take_addend(flat, i);
        } else if (is(layer, "layer_scale")) {
            ok = take_factor(flat, i);
        } else if (host != NULL && (is(layer, "reshape") || is(layer, "flatten")) && (is(host, "reshape") || is(host, "flatten"))) {
            layer->inputs[0] = host->inputs[0];
        }
    }
    return ok;
}
