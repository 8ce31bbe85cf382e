/* lora.c: see lora.h. */
#include "train/lora.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/options.h"

#define MAX_RANK 4096

static const char file[] = "configs/defaults/lora.yaml";

static enum cb_status no_memory(struct cb_diag *diag)
{
    return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
}

/* ---- the task's words ------------------------------------------------------------------------------------------------ */

static bool read_real(const struct cb_value *map, const char *key, double least, double most, double *out,
                      struct cb_diag *diag)
{
    const struct cb_value *value = cb_map_get(map, key);
    double number;
    if (value == NULL) {
        return true;
    }
    if (!cb_value_number(value, &number) || !(number >= least && number <= most)) {
        (void)cb_fail(diag, CB_INVALID, &value->at, "`%s` of `lora` must be a number from %g to %g", key, least, most);
        return false;
    }
    *out = number;
    return true;
}

static bool read_layers(const struct cb_value *value, struct cb_lora *out, struct cb_diag *diag)
{
    bool ok = value->kind == CB_KIND_LIST && value->as.list.count > 0;
    for (size_t i = 0; ok && i < value->as.list.count; i++) {
        ok = value->as.list.items[i]->kind == CB_KIND_TEXT;
    }
    if (!ok && !(value->kind == CB_KIND_TEXT && strcmp(value->text, "linear") == 0)) {
        (void)cb_fail(diag, CB_INVALID, &value->at, "`layers` of `lora` must be `linear`, which are all, or a list of names");
        return false;
    }
    out->layers = ok ? value : NULL;
    return true;
}

enum cb_status cb_lora_read(const struct cb_value *map, struct cb_lora *out, struct cb_diag *diag)
{
    static const char *const keys[] = {"rank", "alpha", "layers", "dropout"};
    *out = (struct cb_lora){.rank = 8, .alpha = 16.0, .at = map->at};
    if (!cb_expect_kind(map, CB_KIND_MAP, "`lora`", diag)) {
        return CB_INVALID;
    }
    const struct cb_value *rank = cb_map_get(map, "rank"), *layers = cb_map_get(map, "layers");
    bool ok = rank == NULL || (rank->kind == CB_KIND_INT && rank->as.integer >= 1 && rank->as.integer <= MAX_RANK);
    if (!ok) {
        (void)cb_fail(diag, CB_INVALID, &rank->at, "`rank` of `lora` must be a whole number from 1 to %d", MAX_RANK);
    } else if (rank != NULL) {
        out->rank = rank->as.integer;
    }
    ok = cb_expect_keys(map, keys, 4, "in `lora`", diag) && ok;
    ok = read_real(map, "alpha", 1e-6, 1e6, &out->alpha, diag) && ok;
    ok = read_real(map, "dropout", 0.0, 0.99, &out->dropout, diag) && ok;
    ok = (layers == NULL || read_layers(layers, out, diag)) && ok;
    return ok ? CB_OK : CB_INVALID;
}

/* ---- which layers ---------------------------------------------------------------------------------------------------- */

static bool is_linear(const struct cb_network *net, uint32_t i)
{
    const struct cb_node *node = &net->nodes[i];
    return (node->type->layer.flags & CB_LAYER_LINEAR) != 0 && node->param_count > 0 &&
           net->params[node->params[0]].decl.role == CB_PARAM_MATRIX && net->params[node->params[0]].node == i;
}

static bool is_named(const char *pattern, const char *name)
{
    const char *last = strrchr(name, '.');
    return cb_pattern_matches(pattern, name) || (last != NULL && cb_pattern_matches(pattern, last + 1));
}

struct search {
    const struct cb_network *net;
};

static const char *linear_name(const void *context, size_t i)
{
    const struct cb_network *net = ((const struct search *)context)->net;
    while (i < net->node_count && !is_linear(net, (uint32_t)i)) {
        i++; /* a name twice does no harm */
    }
    return i < net->node_count ? net->nodes[i].name : NULL;
}

/* Marks the layers that get an addition. */
static enum cb_status choose(const struct cb_network *net, const struct cb_lora *lora, const char *spared, bool *chosen,
                             struct cb_diag *diag)
{
    const size_t pattern_count = lora->layers != NULL ? lora->layers->as.list.count : 1;
    for (size_t p = 0; p < pattern_count; p++) {
        const struct cb_value *pattern = lora->layers != NULL ? lora->layers->as.list.items[p] : NULL;
        bool found = false;
        for (uint32_t i = 0; i < net->node_count; i++) {
            const char *name = net->nodes[i].name;
            if (is_linear(net, i) && (pattern == NULL || is_named(pattern->text, name)) &&
                (spared == NULL || strcmp(name, spared) != 0)) {
                chosen[i] = found = true;
            }
        }
        if (!found) {
            struct search search = {net};
            const char *nearest = pattern != NULL ? cb_nearest(pattern->text, linear_name, &search) : NULL;
            return cb_fail(diag, CB_NOT_FOUND, pattern != NULL ? &pattern->at : &lora->at,
                           "`lora` finds no linear layer%s%s%s in `%s`%s%s%s", pattern != NULL ? " `" : "",
                           pattern != NULL ? pattern->text : "", pattern != NULL ? "`" : "", net->name,
                           nearest != NULL ? "; did you mean `" : "", nearest != NULL ? nearest : "",
                           nearest != NULL ? "`?" : "");
        }
    }
    return CB_OK;
}

/* ---- rewriting ------------------------------------------------------------------------------------------------------- */

struct rewriting {
    struct cb_arena *arena;
    const struct cb_network *net;
    const struct cb_lora *lora;
    const bool *chosen;
    const char *sum; /* the word of the layer that adds */
};

/* What is called `name` in a list of inputs is the sum now, where there is one. */
static const char *now(const struct rewriting *r, const char *name)
{
    for (uint32_t i = 0; i < r->net->node_count; i++) {
        if (r->chosen[i] && strcmp(r->net->nodes[i].name, name) == 0) {
            return cb_arena_printf(r->arena, "%s.lora.sum", name);
        }
    }
    return name;
}

static bool rename_inputs(const struct rewriting *r, struct cb_value *item)
{
    struct cb_value *inputs = cb_map_get(item, "inputs");
    for (size_t i = 0; inputs != NULL && i < inputs->as.list.count; i++) {
        inputs->as.list.items[i] = cb_value_text(r->arena, now(r, inputs->as.list.items[i]->text), NULL);
        if (inputs->as.list.items[i] == NULL) {
            return false;
        }
    }
    return true;
}

static struct cb_value *make_item(const struct rewriting *r, const char *word, struct cb_value *options, const char *name,
                                  const char *first, const char *second)
{
    struct cb_value *item = cb_value_map(r->arena, NULL), *inputs = cb_value_list(r->arena, NULL);
    bool ok = item != NULL && inputs != NULL && name != NULL && cb_map_set(r->arena, item, word, options) &&
              cb_map_set(r->arena, item, "name", cb_value_text(r->arena, name, NULL)) &&
              cb_list_append(r->arena, inputs, cb_value_text(r->arena, first, NULL)) &&
              (second == NULL || cb_list_append(r->arena, inputs, cb_value_text(r->arena, second, NULL))) &&
              cb_map_set(r->arena, item, "inputs", inputs);
    return ok ? item : NULL;
}

/* The layer's item, and behind it, where it was chosen, the block and the sum. */
static bool add_items(const struct rewriting *r, uint32_t node, struct cb_value *item, struct cb_value *layers)
{
    struct cb_arena *arena = r->arena;
    if (!rename_inputs(r, item) || !cb_list_append(arena, layers, item)) {
        return false;
    }
    if (!r->chosen[node]) {
        return true;
    }
    const char *name = r->net->nodes[node].name;
    const struct cb_param *w = &r->net->params[r->net->nodes[node].params[0]];
    char *beside = cb_arena_printf(arena, "%s.lora", name), *sum = cb_arena_printf(arena, "%s.lora.sum", name);
    struct cb_value *options = cb_value_map(arena, NULL);
    bool ok = options != NULL &&
              cb_map_set(arena, options, "units", cb_value_int(arena, w->decl.dims[w->decl.rank - 1], NULL)) &&
              cb_map_set(arena, options, "rank", cb_value_int(arena, r->lora->rank, NULL)) &&
              cb_map_set(arena, options, "alpha", cb_value_real(arena, r->lora->alpha, NULL)) &&
              cb_map_set(arena, options, "dropout", cb_value_real(arena, r->lora->dropout, NULL));
    struct cb_value *input = cb_map_get(item, "inputs")->as.list.items[0];
    struct cb_value *block = ok ? make_item(r, "lora", options, beside, input->text, NULL) : NULL;
    struct cb_value *added = ok ? make_item(r, r->sum, cb_value_map(arena, NULL), sum, name, beside) : NULL;
    return block != NULL && added != NULL && cb_list_append(arena, layers, block) && cb_list_append(arena, layers, added);
}

static enum cb_status read_words(struct cb_arena *arena, struct cb_value **out_block, const char **out_sum,
                                 struct cb_diag *diag)
{
    char *path = cb_resource_path(arena, file);
    struct cb_value *root;
    if (path == NULL) {
        return cb_fail(diag, CB_NOT_FOUND, NULL, "`%s`, a part of Cambium, is missing: is it installed whole?", file);
    }
    CB_TRY(cb_yaml_read_file(arena, path, &root, diag));
    struct cb_value *sum = cb_map_get(root, "adds");
    *out_block = cb_map_get(root, "block");
    if (*out_block == NULL || sum == NULL || sum->kind != CB_KIND_TEXT) {
        return cb_fail(diag, CB_INVALID, &root->at, "`%s` needs `block` and `adds`", file);
    }
    *out_sum = sum->text;
    return CB_OK;
}

enum cb_status cb_lora_rewrite(const struct cb_network *net, const struct cb_lora *lora, const char *spared,
                               struct cb_arena *arena, struct cb_value **out, uint32_t *out_count, struct cb_diag *diag)
{
    bool *chosen = CB_NEW_ARRAY(arena, bool, (size_t)net->node_count + 1);
    struct rewriting r = {.arena = arena, .net = net, .lora = lora, .chosen = chosen};
    struct cb_value *block = NULL, *blocks = cb_value_map(arena, NULL), *layers = cb_value_list(arena, NULL);
    struct cb_value *map = cb_network_to_value(net, arena);
    if (chosen == NULL || blocks == NULL || layers == NULL || map == NULL) {
        return no_memory(diag);
    }
    CB_TRY(read_words(arena, &block, &r.sum, diag));
    CB_TRY(choose(net, lora, spared, chosen, diag));
    const struct cb_value *old = cb_map_get(map, "layers");
    bool ok = cb_map_set(arena, blocks, "lora", block);
    *out_count = 0;
    for (uint32_t i = 0; ok && i < net->node_count && i < old->as.list.count; i++) {
        ok = add_items(&r, i, old->as.list.items[i], layers);
        *out_count += chosen[i];
    }
    const struct cb_value *output = cb_map_get(map, "output");
    ok = ok && cb_map_set(arena, map, "blocks", blocks) && cb_map_set(arena, map, "layers", layers) &&
         (output == NULL || cb_map_set(arena, map, "output", cb_value_text(arena, now(&r, output->text), NULL)));
    *out = map;
    return ok ? CB_OK : no_memory(diag);
}

/* ---- in a network ---------------------------------------------------------------------------------------------------- */

static bool is_added(const char *name)
{
    return strstr(name, ".lora.") != NULL;
}

void cb_lora_prepare(struct cb_network *net)
{
    for (uint32_t i = 0; i < net->node_count; i++) {
        struct cb_node *node = &net->nodes[i];
        node->added = is_added(node->name);
        if (node->added && cb_ends_with(node->name, ".lora.up") && node->param_count > 0) {
            struct cb_param_decl *decl = &net->params[node->params[0]].decl;
            decl->init = CB_INIT_CONSTANT;
            decl->value = 0.0;
        }
    }
}

bool cb_lora_is_in(const struct cb_network *net)
{
    bool found = false;
    for (uint32_t i = 0; i < net->node_count; i++) {
        found = found || cb_ends_with(net->nodes[i].name, ".lora.sum");
    }
    return found;
}

static const struct cb_node *find(const struct cb_network *net, const char *sum, size_t length, const char *part)
{
    char *name = cb_arena_printf(net->arena, "%.*s%s", (int)length, sum, part);
    const uint32_t i = name != NULL ? cb_network_find_node(net, name) : CB_NONE;
    return i != CB_NONE ? &net->nodes[i] : NULL;
}

/* The layer's one option. */
static double factor_of(const struct cb_network *net, const struct cb_node *node)
{
    const struct cb_layer *layer = &node->type->layer;
    const struct cb_value *map = cb_options_to_value(net->arena, &layer->options, layer->defaults, node->options, false);
    double factor = 1.0;
    (void)(map != NULL && map->as.map.count > 0 && cb_value_number(map->as.map.entries[0].value, &factor));
    return factor;
}

/* w += factor A B */
static void add_product(struct cb_param *w, const struct cb_param *a, const struct cb_param *b, double factor)
{
    const int64_t channels = a->decl.dims[0], rank = a->decl.dims[1], units = b->decl.dims[1];
    for (int64_t c = 0; c < channels; c++) {
        for (int64_t k = 0; k < units; k++) {
            double sum = 0.0;
            for (int64_t r = 0; r < rank; r++) {
                sum += (double)a->host[c * rank + r] * b->host[r * units + k];
            }
            w->host[c * units + k] = (float)(w->host[c * units + k] + factor * sum);
        }
    }
}

static void read_instead(struct cb_network *net, uint32_t old, uint32_t wire)
{
    for (uint32_t i = 0; i < net->node_count; i++) {
        for (uint32_t k = 0; k < net->nodes[i].x_count; k++) {
            net->nodes[i].x[k] = net->nodes[i].x[k] == old ? wire : net->nodes[i].x[k];
        }
    }
    net->backbone_output = net->backbone_output == old ? wire : net->backbone_output;
}

enum cb_status cb_lora_merge(struct cb_network *net, uint32_t *keep, uint32_t keep_count, struct cb_diag *diag)
{
    const char **names = CB_NEW_ARRAY(net->arena, const char *, (size_t)keep_count + 1);
    if (names == NULL) {
        return no_memory(diag);
    }
    for (uint32_t i = 0; i < net->node_count; i++) {
        const struct cb_node *sum = &net->nodes[i];
        if (!cb_ends_with(sum->name, ".lora.sum")) {
            continue;
        }
        const size_t length = strlen(sum->name) - strlen(".lora.sum");
        const struct cb_node *base = find(net, sum->name, length, ""), *down = find(net, sum->name, length, ".lora.down");
        const struct cb_node *up = find(net, sum->name, length, ".lora.up");
        const struct cb_node *scaled = find(net, sum->name, length, ".lora.scaled");
        if (base == NULL || down == NULL || up == NULL || scaled == NULL) {
            return cb_fail(diag, CB_FORMAT, NULL, "`%s` lacks the layers that it sums", sum->name);
        }
        struct cb_param *w = &net->params[base->params[0]];
        const struct cb_param *a = &net->params[down->params[0]], *b = &net->params[up->params[0]];
        if (w->decl.rank != 2 || a->decl.rank != 2 || b->decl.rank != 2 || a->decl.dims[0] != w->decl.dims[0] ||
            b->decl.dims[0] != a->decl.dims[1] || b->decl.dims[1] != w->decl.dims[1]) {
            return cb_fail(diag, CB_MISMATCH, NULL, "what `%s` adds does not fit `%s`", sum->name, base->name);
        }
        add_product(w, a, b, factor_of(net, scaled));
        read_instead(net, sum->y[0], base->y[0]);
        for (uint32_t k = 0; k < keep_count; k++) {
            keep[k] = keep[k] == sum->y[0] ? base->y[0] : keep[k];
        }
    }
    for (uint32_t k = 0; k < keep_count; k++) {
        names[k] = net->wires[keep[k]].name;
    }
    cb_network_prune(net, keep, keep_count);
    for (uint32_t k = 0; k < keep_count; k++) {
        keep[k] = cb_network_find_wire(net, names[k]);
    }
    return CB_OK;
}
