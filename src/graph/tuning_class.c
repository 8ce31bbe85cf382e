/* tuning_class.c: what a measurement of a variant holds for (tuning.h), and finding it for a layer of a plan. */
#include <string.h>

#include "base/file.h"
#include "base/options.h"
#include "graph/step.h"
#include "graph/tuning.h"

static int64_t power_of_two(int64_t n)
{
    int64_t p = 1;
    while (p < n) {
        p *= 2;
    }
    return p;
}

static void add_scalar(struct cb_text *out, const struct cb_value *value)
{
    if (value->kind == CB_KIND_TEXT) {
        cb_text_add(out, value->text);
    } else {
        cb_value_to_json(value, out);
    }
}

static void add_options(struct cb_text *out, struct cb_arena *arena, const struct cb_node *node)
{
    const struct cb_layer *layer = &node->type->layer;
    const struct cb_value *map = layer->options_size > 0 ? cb_options_to_value(arena, &layer->options, layer->defaults,
                                                                               node->options, false) : NULL;
    for (size_t i = 0; map != NULL && i < map->as.map.count; i++) {
        const struct cb_value *value = map->as.map.entries[i].value;
        cb_text_addf(out, " %s=", map->as.map.entries[i].key);
        if (value->kind != CB_KIND_LIST) {
            add_scalar(out, value);
        }
        for (size_t k = 0; value->kind == CB_KIND_LIST && k < value->as.list.count; k++) {
            cb_text_add(out, k > 0 ? "," : "");
            add_scalar(out, value->as.list.items[k]);
        }
    }
}

static bool runs_in_training(const struct cb_plan *plan, const struct cb_node *node)
{
    return plan->request.training && !node->inference_form;
}

char *cb__tuning_class(const struct cb_plan *plan, struct cb_arena *arena, uint32_t index, uint32_t pass)
{
    const struct cb_node *node = &plan->net->nodes[index];
    struct cb_text text = {0};
    cb_text_addf(&text, "%s %s", node->type->layer.name, cb__pass_words[pass]);
    for (uint32_t k = 0; k < node->x_count; k++) {
        const struct cb_tensor *x = &plan->values[node->x[k]];
        cb_text_addf(&text, " %lld", (long long)power_of_two(plan->request.batch));
        for (uint32_t i = 1; i < x->rank; i++) {
            cb_text_addf(&text, "x%lld", (long long)x->dims[i]);
        }
    }
    add_options(&text, arena, node);
    if ((node->type->layer.flags & CB_LAYER_MODE_DEPENDENT) != 0 && runs_in_training(plan, node)) {
        cb_text_add(&text, " training");
    }
    char *key = text.failed || text.data == NULL ? NULL : cb_arena_strdup(arena, text.data);
    cb_text_free(&text);
    return key;
}

char *cb__tuning_source(struct cb_arena *arena, const struct cb_layer_type *type)
{
    const char *path = cb_kernel_path(arena, type->layer.name, type->folder), *text = "", *shown;
    size_t bytes = 0;
    char hex[65];
    if (path == NULL || cb_kernel_read(arena, path, NULL, &text, &bytes, &shown, NULL) != CB_OK) {
        text = "";
        bytes = 0;
    }
    cb_sha256_of(text, bytes, hex);
    return cb_arena_strndup(arena, hex, 16);
}

const struct cb_value *cb__plan_tuned(const struct cb_plan *plan, uint32_t node, uint32_t pass)
{
    struct cb_tuning *tuning = plan->store->tuning;
    struct cb_arena *arena =
        tuning != NULL && !cb__tuning_is_empty(tuning) && plan->request.variant == NULL && plan->request.pass_variants == NULL
            ? cb_arena_create()
            : NULL;
    const char *key = arena != NULL ? cb__tuning_class(plan, arena, node, pass) : NULL;
    const struct cb_value *entry =
        key != NULL ? cb__tuning_find(tuning, key, cb__tuning_source(arena, plan->net->nodes[node].type)) : NULL;
    cb_arena_destroy(arena);
    return entry;
}
