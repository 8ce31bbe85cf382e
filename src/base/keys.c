/* keys.c: see keys.h. */
#include "base/keys.h"

#include <string.h>

#include "base/expect.h"
#include "base/options.h"

/* ---- the reader's side ---- */

static const struct cb_key *find_key(const struct cb_key *table, const char *name)
{
    for (; table->name != NULL; table++) {
        if (strcmp(table->name, name) == 0) {
            return table;
        }
    }
    return NULL;
}

const char *cb_next_key(const void *context, size_t i)
{
    for (const struct cb_key *key = context; key->name != NULL; key++) {
        if (key->schema != NULL && i-- == 0) { /* refused ones too: what is said of them helps more than silence */
            return key->name;
        }
    }
    return NULL;
}

bool cb_expect_known(const struct cb_value *map, const struct cb_key *table, const char *where, struct cb_diag *diag)
{
    bool all_known = true;
    for (size_t i = 0; map != NULL && map->kind == CB_KIND_MAP && i < map->as.map.count; i++) {
        const struct cb_entry *entry = &map->as.map.entries[i];
        const struct cb_key *key = find_key(table, entry->key);
        if (key == NULL) {
            cb__fail_unknown_key(entry, where, cb_next_key, table, diag);
        } else if (key->schema == NULL) {
            (void)cb_fail(diag, CB_UNSUPPORTED, &entry->at, "`%s` is not supported yet", entry->key);
        }
        all_known = all_known && key != NULL && key->schema != NULL;
    }
    return all_known;
}

/* ---- the editor's side ---- */

struct cb_value *cb_schema_parse(struct cb_arena *arena, const char *yaml)
{
    struct cb_value *value = NULL;
    return cb_yaml_read_text(arena, "schema", yaml, strlen(yaml), &value, NULL) == CB_OK ? value : NULL;
}

/* Draft 7 takes nothing beside a `$ref`: with a description it goes into an `allOf`. */
static struct cb_value *described(struct cb_arena *arena, struct cb_value *schema, const char *help)
{
    if (schema != NULL && cb_map_get(schema, "$ref") != NULL) {
        struct cb_value *list = cb_value_list(arena, NULL), *outer = cb_value_map(arena, NULL);
        if (list == NULL || outer == NULL || !cb_list_append(arena, list, schema) ||
            !cb_map_set(arena, outer, "allOf", list)) {
            return NULL;
        }
        schema = outer;
    }
    return cb_map_set(arena, schema, "description", cb_value_text(arena, help, NULL)) ? schema : NULL;
}

struct cb_value *cb_schema_of_keys(struct cb_arena *arena, const struct cb_key *table, const char *more)
{
    struct cb_value *schema = cb_schema_parse(arena, "{type: object, additionalProperties: false}");
    struct cb_value *properties = cb_value_map(arena, NULL);
    const struct cb_value *others = more != NULL ? cb_schema_parse(arena, more) : NULL;
    bool ok = schema != NULL && properties != NULL && (more == NULL || others != NULL);
    for (; ok && table->name != NULL; table++) {
        if (table->schema != NULL && table->schema[0] != '\0') {
            ok = cb_map_set(arena, properties, table->name,
                            described(arena, cb_schema_parse(arena, table->schema), table->help));
        }
    }
    ok = ok && cb_map_set(arena, schema, "properties", properties);
    for (size_t i = 0; ok && others != NULL && i < others->as.map.count; i++) {
        ok = cb_map_set(arena, schema, others->as.map.entries[i].key, others->as.map.entries[i].value);
    }
    return ok ? schema : NULL;
}

struct cb_value *cb_schema_of_options(struct cb_arena *arena, const struct cb_array *table, const void *defaults)
{
    struct cb_text text = {0};
    struct cb_value *schema = NULL;
    cb_options_schema(table, defaults, &text);
    if (!text.failed && text.data != NULL &&
        cb_json_read_text(arena, "schema", text.data, text.length, &schema, NULL) != CB_OK) {
        schema = NULL;
    }
    cb_text_free(&text);
    return schema;
}

bool cb_schema_has_required(const struct cb_value *schema)
{
    const struct cb_value *required = cb_map_get(schema, "required");
    return required != NULL && required->as.list.count > 0;
}

struct cb_value *cb_schema_or_null(struct cb_arena *arena, struct cb_value *schema)
{
    struct cb_value *both = cb_schema_parse(arena, "{anyOf: [{type: 'null'}]}");
    return both != NULL && schema != NULL && cb_list_append(arena, cb_map_get(both, "anyOf"), schema) ? both : NULL;
}

struct cb_value *cb_schema_of_words(struct cb_arena *arena, const char *const *words, struct cb_value *const *options,
                                    size_t count)
{
    struct cb_value *schema = cb_schema_parse(
        arena, "{anyOf: [{enum: []}, {type: object, minProperties: 1, maxProperties: 1, additionalProperties: false, "
               "properties: {}}]}");
    const struct cb_value *either = cb_map_get(schema, "anyOf");
    bool ok = either != NULL;
    for (size_t i = 0; ok && i < count; i++) {
        bool alone = !cb_schema_has_required(options[i]);
        ok = options[i] != NULL &&
             (!alone || cb_list_append(arena, cb_map_get(either->as.list.items[0], "enum"),
                                       cb_value_text(arena, words[i], NULL))) &&
             cb_map_set(arena, cb_map_get(either->as.list.items[1], "properties"), words[i],
                        alone ? cb_schema_or_null(arena, options[i]) : options[i]);
    }
    return ok ? schema : NULL;
}
