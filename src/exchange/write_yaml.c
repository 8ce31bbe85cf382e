/* write_yaml.c: a flat network as the text of a network file, in the style of configs/backbones: options in flow form, name
 * and inputs below. What is written is read back, and must be the same network. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exchange/flat.h"

/* ---- values ------------------------------------------------------------------------------------------------------------ */

/* The shortest that gives the same float, as the layers' options are used. */
static void add_real(struct cb_text *out, double x)
{
    char text[40];
    if (isinf(x)) {
        cb_text_add(out, x < 0 ? "-.inf" : ".inf");
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if ((float)strtod(text, NULL) == (float)x && (digits >= 9 || fabs(strtod(text, NULL) - x) <= 1e-6 * fabs(x))) {
            break;
        }
    }
    char *e = strchr(text, 'e');
    if (e != NULL) { /* 1e-05: 1e-5 */
        char *digits = e + 2;
        while (digits[0] == '0' && digits[1] != '\0') {
            memmove(digits, digits + 1, strlen(digits));
        }
    }
    cb_text_addf(out, "%s%s", text, e == NULL && strchr(text, '.') == NULL ? ".0" : "");
}

/* A plain scalar that YAML gives back as this text. */
static bool is_plain(const char *text)
{
    static const char *const others[] = {"true", "false", "null", "True", "False", "Null", "TRUE", "FALSE", "NULL", "~"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (strcmp(text, others[i]) == 0) {
            return false;
        }
    }
    const char first = text[0];
    if (!(first == '$' || first == '_' || (first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z'))) {
        return false;
    }
    for (const char *c = text; *c != '\0'; c++) {
        if (!(*c == '$' || *c == '_' || *c == '.' || *c == '-' || (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') ||
              (*c >= 'A' && *c <= 'Z'))) {
            return false;
        }
    }
    return true;
}

static void add_text(struct cb_text *out, const char *text)
{
    if (is_plain(text)) {
        cb_text_add(out, text);
    } else {
        cb_text_add_json_string(out, text);
    }
}

static void add_value(struct cb_text *out, const struct cb_value *value)
{
    switch (value->kind) {
    case CB_KIND_BOOL:
        cb_text_add(out, value->as.boolean ? "true" : "false");
        break;
    case CB_KIND_INT:
        cb_text_addf(out, "%" PRId64, value->as.integer);
        break;
    case CB_KIND_REAL:
        add_real(out, value->as.real);
        break;
    case CB_KIND_TEXT:
        add_text(out, value->text);
        break;
    case CB_KIND_LIST:
        cb_text_add(out, "[");
        for (size_t i = 0; i < value->as.list.count; i++) {
            cb_text_add(out, i > 0 ? ", " : "");
            add_value(out, value->as.list.items[i]);
        }
        cb_text_add(out, "]");
        break;
    case CB_KIND_MAP:
        cb_text_add(out, "{");
        for (size_t i = 0; i < value->as.map.count; i++) {
            cb_text_addf(out, "%s%s: ", i > 0 ? ", " : "", value->as.map.entries[i].key);
            add_value(out, value->as.map.entries[i].value);
        }
        cb_text_add(out, "}");
        break;
    default:
        cb_text_add(out, "null");
    }
}

char *cb__flat_value_text(struct cb_arena *arena, const struct cb_value *value)
{
    struct cb_text text = {0};
    add_value(&text, value);
    char *copy = text.failed ? NULL : cb_arena_strdup(arena, text.data);
    cb_text_free(&text);
    return copy;
}

/* ---- options that are left out --------------------------------------------------------------------------------------------- */

/* Words, each between blanks; key; the value of which nothing need be said. */
static const struct {
    const char *words, *key, *value;
} defaults[] = {
    {" conv2d conv1d conv_transpose2d ", "stride", "1"},
    {" conv2d conv1d conv_transpose2d maxpool2d avgpool2d lp_pool2d ", "padding", "0"},
    {" conv2d conv1d conv_transpose2d ", "dilation", "1"},
    {" conv2d conv1d conv_transpose2d ", "groups", "1"},
    {" conv2d conv1d conv_transpose2d dense lstm gru ", "bias", "true"},
    {" lstm gru ", "bidirectional", "false"},
    {" conv_transpose2d ", "output_padding", "0"},
    {" maxpool2d avgpool2d lp_pool2d ", "ceil_mode", "false"},
    {" avgpool2d ", "count_include_pad", "true"},
    {" lp_pool2d ", "power", "2.0"},
    {" batchnorm layernorm groupnorm instancenorm ", "epsilon", "1e-5"},
    {" rmsnorm ", "epsilon", "1e-6"},
    {" l2_normalize ", "epsilon", "1e-12"},
    {" batchnorm ", "momentum", "0.1"},
    {" layernorm rmsnorm ", "scale", "true"},
    {" layernorm ", "shift", "true"},
    {" groupnorm ", "affine", "true"},
    {" instancenorm ", "affine", "false"},
    {" mean sum maximum ", "keep", "false"},
    {" slice split concat ", "axis", "-1"},
    {" slice ", "step", "1"},
    {" slice ", "from", "0"},
    {" matmul ", "transpose_a", "false"},
    {" matmul ", "transpose_b", "false"},
    {" upsample ", "align_corners", "false"},
    {" upsample ", "mode", "nearest"},
    {" pad ", "mode", "constant"},
    {" pad ", "value", "0.0"},
    {" prelu ", "per", "channel"},
    {" broadcast_param ", "as", "addend"},
    {" class_token ", "tokens", "1"},
    {" leaky_relu ", "negative_slope", "0.01"},
    {" elu celu ", "alpha", "1.0"},
    {" scale_shift ", "scale", "1.0"},
    {" scale_shift ", "shift", "0.0"},
};

const char *cb__flat_default(const char *word, const char *key)
{
    char between[80];
    snprintf(between, sizeof between, " %s ", word);
    for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++) {
        if (strcmp(defaults[i].key, key) == 0 && strstr(defaults[i].words, between) != NULL) {
            return defaults[i].value;
        }
    }
    return NULL;
}

struct cb_value *cb__flat_options(struct cb_arena *arena, const char *word, const struct cb_value *options)
{
    struct cb_value *out = cb_value_map(arena, NULL);
    const struct cb_value *kernel = cb_map_get(options, "kernel");
    const char *kernel_text = kernel != NULL ? cb__flat_value_text(arena, kernel) : NULL;
    for (size_t i = 0; out != NULL && i < options->as.map.count; i++) {
        const struct cb_entry *entry = &options->as.map.entries[i];
        const char *text = cb__flat_value_text(arena, entry->value), *usual = cb__flat_default(word, entry->key);
        if (text == NULL) {
            return NULL;
        }
        if (strcmp(entry->key, "stride") == 0 && strstr(word, "pool2d") != NULL) {
            usual = kernel_text;
        }
        if (usual != NULL && strcmp(text, usual) == 0) {
            continue;
        }
        if (strcmp(word, "conv2d") == 0 && strcmp(entry->key, "filters") == 0) {
            const struct cb_value *groups = cb_map_get(options, "groups");
            if (groups != NULL && groups->kind == CB_KIND_TEXT && strcmp(groups->text, "depthwise") == 0) {
                continue;
            }
        }
        if (!cb_map_set(arena, out, entry->key, entry->value)) {
            return NULL;
        }
    }
    return out;
}

/* ---- items ----------------------------------------------------------------------------------------------------------- */

struct cb_flat_item *cb__flat_push(struct cb_arena *arena, struct cb_flat_items *list)
{
    if (list->count == list->capacity) {
        const uint32_t capacity = list->capacity > 0 ? 2 * list->capacity : 16;
        struct cb_flat_item *more = CB_NEW_ARRAY(arena, struct cb_flat_item, capacity);
        if (more == NULL) {
            return NULL;
        }
        if (list->count > 0) {
            memcpy(more, list->items, list->count * sizeof(*more));
        }
        list->items = more;
        list->capacity = capacity;
    }
    list->items[list->count] = (struct cb_flat_item){0};
    return &list->items[list->count++];
}

static bool same_wire(struct cb_flat_wire a, struct cb_flat_wire b)
{
    return a.layer == b.layer && a.output == b.output;
}

const char *cb__flat_wire_name(struct cb_flat *flat, struct cb_flat_wire wire, const char *prefix, struct cb_flat_wire outside)
{
    if (prefix[0] != '\0' && same_wire(wire, outside)) {
        return "input";
    }
    const char *name = wire.layer < 0 ? flat->input_names[-1 - wire.layer] : flat->layers[wire.layer].name;
    name = cb_starts_with(name, prefix) ? name + strlen(prefix) : name;
    return wire.output > 0 ? cb_arena_printf(flat->arena, "%s.%u", name, (unsigned)wire.output) : name;
}

bool cb__flat_item(struct cb_flat *flat, const struct cb_flat_layer *layer, const char *prefix, struct cb_flat_wire above,
                   struct cb_flat_wire outside, struct cb_flat_items *list)
{
    struct cb_flat_item *item = cb__flat_push(flat->arena, list);
    if (item == NULL) {
        return false;
    }
    item->word = layer->word;
    item->name = layer->name + strlen(prefix);
    item->options = cb__flat_options(flat->arena, layer->word, layer->options);
    item->frozen = layer->frozen;
    if (item->options == NULL) {
        return false;
    }
    if (layer->input_count == 1 && same_wire(layer->inputs[0], above)) {
        return true;
    }
    item->inputs = CB_NEW_ARRAY(flat->arena, const char *, (size_t)layer->input_count + 1);
    if (item->inputs == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < layer->input_count; i++) {
        item->inputs[i] = cb__flat_wire_name(flat, layer->inputs[i], prefix, outside);
        if (item->inputs[i] == NULL) {
            return false;
        }
    }
    item->input_count = layer->input_count;
    return true;
}

bool cb__flat_plain(struct cb_flat *flat, struct cb_flat_file *file)
{
    struct cb_flat_wire above = {-1, 0};
    for (uint32_t i = 0; i < flat->layer_count; i++) {
        if (!cb__flat_item(flat, &flat->layers[i], "", above, above, &file->layers)) {
            return false;
        }
        above = (struct cb_flat_wire){(int32_t)i, 0};
    }
    return true;
}

/* ---- text -------------------------------------------------------------------------------------------------------------- */

static void add_item(struct cb_text *out, const struct cb_flat_item *item, const char *indent)
{
    const bool has_options = item->options != NULL && item->options->as.map.count > 0;
    const bool has_more = item->name != NULL || item->input_count > 0 || item->repeat > 0 || item->frozen;
    cb_text_addf(out, "%s%s- %s%s", item->space ? "\n" : "", indent, item->word, has_options || has_more ? ":" : "");
    if (has_options) {
        cb_text_add(out, " ");
        add_value(out, item->options);
    }
    cb_text_add(out, "\n");
    if (item->name != NULL) {
        cb_text_addf(out, "%s  name: ", indent);
        add_text(out, item->name);
        cb_text_add(out, "\n");
    }
    if (item->input_count == 1) {
        cb_text_addf(out, "%s  inputs: ", indent);
        add_text(out, item->inputs[0]);
        cb_text_add(out, "\n");
    } else if (item->input_count > 1) {
        cb_text_addf(out, "%s  inputs: [", indent);
        for (uint32_t i = 0; i < item->input_count; i++) {
            cb_text_add(out, i > 0 ? ", " : "");
            add_text(out, item->inputs[i]);
        }
        cb_text_add(out, "]\n");
    }
    if (item->repeat > 0 && item->start > 0) {
        cb_text_addf(out, "%s  start: %" PRId64 "\n", indent, item->start);
    }
    if (item->repeat > 0) {
        cb_text_addf(out, "%s  repeat: %" PRId64 "\n", indent, item->repeat);
    }
    if (item->frozen) {
        cb_text_addf(out, "%s  frozen: true\n", indent);
    }
}

/* Its last key, `scale`, stands on a line of its own. */
static void add_contract(struct cb_text *out, const struct cb_value *contract)
{
    const size_t count = contract->as.map.count;
    cb_text_add(out, "{");
    for (size_t i = 0; i < count; i++) {
        const struct cb_entry *entry = &contract->as.map.entries[i];
        const bool alone = strcmp(entry->key, "scale") == 0 && i > 0;
        cb_text_addf(out, "%s%s: ", i == 0 ? "" : alone ? ",\n        " : ", ", entry->key);
        add_value(out, entry->value);
    }
    cb_text_add(out, "}");
}

char *cb__flat_write(struct cb_flat *flat, const struct cb_flat_file *file)
{
    struct cb_text out = {0};
    cb_text_add(&out, flat->comment != NULL ? flat->comment : "");
    cb_text_add(&out, "name: ");
    add_text(&out, flat->name);
    if (flat->input_count == 1 && strcmp(flat->input_names[0], "x") == 0) {
        cb_text_add(&out, "\ninput: ");
        add_contract(&out, flat->contracts[0]);
        cb_text_add(&out, "\n");
    } else {
        cb_text_add(&out, "\ninputs:\n");
        for (uint32_t i = 0; i < flat->input_count; i++) {
            cb_text_addf(&out, "  %s: ", flat->input_names[i]);
            add_contract(&out, flat->contracts[i]);
            cb_text_add(&out, "\n");
        }
    }
    for (uint32_t b = 0; b < file->block_count; b++) {
        const struct cb_flat_block *block = &file->blocks[b];
        cb_text_addf(&out, "%s  %s:%s%s\n", b == 0 ? "\nblocks:\n" : "", block->word, block->comment != NULL ? " # " : "",
                     block->comment != NULL ? block->comment : "");
        if (block->parameters != NULL && block->parameters->as.map.count > 0) {
            cb_text_add(&out, "    parameters: ");
            add_value(&out, block->parameters);
            cb_text_add(&out, "\n");
        }
        cb_text_add(&out, "    layers:\n");
        for (uint32_t i = 0; i < block->list.count; i++) {
            add_item(&out, &block->list.items[i], "      ");
        }
    }
    cb_text_add(&out, "\nlayers:\n");
    for (uint32_t i = 0; i < file->layers.count; i++) {
        add_item(&out, &file->layers.items[i], "  ");
    }
    cb_text_add(&out, "output: ");
    add_text(&out, file->output);
    cb_text_add(&out, "\n");
    char *copy = out.failed ? NULL : cb_arena_strdup(flat->arena, out.data);
    cb_text_free(&out);
    return copy;
}

/* ---- reading back --------------------------------------------------------------------------------------------------------- */

/* The network of a text, written out: the same for two texts that mean the same. */
static enum cb_status canonical(struct cb_flat *flat, const char *yaml, struct cb_text *out, struct cb_diag *diag)
{
    struct cb_registry *registry = cb_registry_create(&cb__host);
    struct cb_network *net = registry != NULL ? cb_network_create(registry, flat->name) : NULL;
    struct cb_value *file = NULL;
    enum cb_status status = net != NULL ? CB_OK : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    if (status == CB_OK) {
        status = cb_yaml_read_text(net->arena, "the network as imported", yaml, strlen(yaml), &file, diag);
    }
    if (status == CB_OK) {
        status = cb_network_read(net, file, NULL, ".", diag);
    }
    if (status == CB_OK) {
        const struct cb_value *value = cb_network_to_value(net, net->arena);
        if (value != NULL) {
            cb_value_to_json(value, out);
        }
        status = value != NULL && !out->failed ? CB_OK : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    cb_network_destroy(net);
    cb_registry_destroy(registry);
    return status;
}

enum cb_status cb_flat_yaml(struct cb_flat *flat, bool *out_folded, const char **out_yaml, struct cb_diag *diag)
{
    struct cb_flat_file plain = {0}, folded = {0};
    plain.output = folded.output = cb__flat_wire_name(flat, flat->output, "", flat->output);
    const char *flat_text = plain.output != NULL && cb__flat_plain(flat, &plain) ? cb__flat_write(flat, &plain) : NULL;
    if (flat_text == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    struct cb_text one = {0}, two = {0};
    const enum cb_status status = canonical(flat, flat_text, &one, diag);
    const char *folded_text = status == CB_OK && cb__flat_fold(flat, &folded) ? cb__flat_write(flat, &folded) : NULL;
    *out_folded = false;
    *out_yaml = flat_text;
    if (folded_text != NULL) {
        struct cb_diag *aside = cb_diag_create(); /* a folded file that is wrong is no fault of the user's: the flat one is taken */
        if (aside != NULL && canonical(flat, folded_text, &two, aside) == CB_OK && strcmp(one.data, two.data) == 0) {
            *out_folded = folded.block_count > 0;
            *out_yaml = folded_text;
        }
        cb_diag_destroy(aside);
    }
    cb_text_free(&one);
    cb_text_free(&two);
    return status;
}
