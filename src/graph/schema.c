/* schema.c: see schema.h. Each layer's options are a definition ("layer.conv2d"). Where the number of classes must be said, as
 * no task does, there is a second one for network files ("layer.dense.network"); for blocks there is one in which `$name` may
 * stand for any value ("layer.conv2d.block"). */
#include "graph/schema.h"

#include <string.h>

#include "base/options.h"
#include "graph/library.h"

#define NAME "{type: [string, number], minLength: 1, maxLength: 200}"
#define WIRES "{anyOf: [{type: 'null'}, {type: string}, {type: array, minItems: 1, maxItems: 64, items: {type: string}}]}"

const struct cb_key cb_item_keys[] = {
    {"name", "what others call this layer; by default its word with a number", NAME},
    {"inputs", "names of the layers or blocks that feed it; by default the layer above", WIRES},
    {"frozen", "true: its params do not move", "{type: boolean}"},
    {"lr_scale", "factor of the rate for its params", "{type: number, minimum: 0, maximum: 1000000}"},
    {"repeat", "so many times, one after the other", "{type: integer, minimum: 0, maximum: 1000}"},
    {"start", "the number of the first repetition", "{type: integer, minimum: 0, maximum: 1000000}"},
    {"if", "left out where this is false: `stride == 1`, `$(filters == C)`", "{type: [boolean, string]}"},
    {"for", "once for each element of these lists: {filters: [64, 128], depth: $depths}", "{type: object, minProperties: 1}"},
    {"first", "parameters that only the first repetition of a block has", "{type: [object, 'null']}"},
    {"share", "params that are those of another layer: {w: embedding.w}",
     "{type: object, additionalProperties: {type: string}}"},
    {NULL, NULL, NULL},
};

const struct cb_key cb_block_keys[] = {
    {"summary", "what it does, in one line", "{type: string}"},
    {"parameters", "names with their defaults (null: must be given); `$name` stands for the value", "{type: [object, 'null']}"},
    {"example", "a network that uses it", "{type: string}"},
    {"layers", "the block's layers; `input` is what feeds it", "{$ref: '#/definitions/block_layers'}"},
    {NULL, NULL, NULL},
};

const struct cb_key cb_network_keys[] = {
    {"name", "of the network", "{type: [string, number]}"},
    {"parameters", "names with defaults (null: each model says it); `$name` stands for the value in the whole file",
     "{type: [object, 'null']}"},
    {"models", "the members of a family: names with their parameters, weights, input",
     "{type: object, minProperties: 1, additionalProperties: {type: [object, 'null']}}"},
    {"input", "what the network expects of its input", "{type: object}"},
    {"inputs", "several inputs: names with their contracts",
     "{type: object, minProperties: 1, additionalProperties: {type: object, required: [modality]}}"},
    {"blocks", "lists of layers that are used by name", "{type: object, additionalProperties: {$ref: '#/definitions/block'}}"},
    {"layers", "the layers, from top to bottom", "{type: array, minItems: 1}"},
    {"output", "the layer whose output is the network's; by default the last", "{type: string}"},
    {"replace", "the first layer that a task's head takes the place of, where the task says nothing; `nothing`: it stands behind "
     "the output; by default the last layer", "{type: string}"},
    {"avoid", "variants that no layer may take", "{anyOf: [{type: 'null'}, {type: string}, {type: array, items: {type: string}}]}"},
    {"weights", "where its weights come from: sources that are tried in order",
     "{anyOf: [{type: 'null'}, {$ref: '#/definitions/weights'}, {type: array, items: {$ref: '#/definitions/weights'}}]}"},
    {"names", "what others call the layers, by who does: {timm: {stem: conv_stem}}",
     "{type: [object, 'null'], additionalProperties: {type: [object, 'null'], additionalProperties: {type: [string, number, array]}}}"},
    {"huggingface", "which model types of transformers it can be, and how their config.json gives its parameters",
     "{type: object, additionalProperties: {type: object}}"},
    {"gguf", "which architectures of llama.cpp it can be, and how the keys of a GGUF file give its parameters",
     "{type: object, additionalProperties: {type: object}}"},
    {"source", "where the description is from", "{}"},
    {"licence", "of the weights", "{}"},
    {"own_input", "keys of `input` that are others where the network answers with its own labels", "{type: object}"},
    {"labels", "names of the classes that its own output tells apart: a list, or a file with one a line",
     "{anyOf: [{type: 'null'}, {type: string}, {type: array, items: {type: [string, number, boolean]}}]}"},
    {NULL, NULL, NULL},
};

/* ---- options ---- */

/* {anyOf: [schema, $name]} */
static struct cb_value *or_parameter(struct cb_arena *arena, struct cb_value *schema)
{
    struct cb_value *both = cb_schema_parse(arena, "{anyOf: [{$ref: '#/definitions/parameter'}]}");
    return schema != NULL && both != NULL && cb_list_append(arena, cb_map_get(both, "anyOf"), schema) ? both : NULL;
}

static struct cb_value *refer(struct cb_arena *arena, const char *fmt, const char *word, const char *rest)
{
    struct cb_value *map = cb_value_map(arena, NULL);
    const char *path = cb_arena_printf(arena, fmt, word, rest);
    return map != NULL && path != NULL && cb_map_set(arena, map, "$ref", cb_value_text(arena, path, NULL)) ? map : NULL;
}

/* Lets `$name` stand for each property, which else is as outside of blocks, and for each element of those that are lists. */
static bool allow_parameters(struct cb_arena *arena, const char *word, struct cb_value *options)
{
    struct cb_value *properties = cb_map_get(options, "properties");
    bool ok = properties != NULL;
    for (size_t i = 0; ok && i < properties->as.map.count; i++) {
        struct cb_entry *entry = &properties->as.map.entries[i];
        const struct cb_value *forms = cb_map_get(entry->value, "anyOf");
        if (forms == NULL) {
            entry->value = or_parameter(arena, refer(arena, "#/definitions/layer.%s/properties/%s", word, entry->key));
            ok = entry->value != NULL;
            continue;
        }
        for (size_t k = 0; ok && k < forms->as.list.count; k++) {
            struct cb_value *items = cb_map_get(forms->as.list.items[k], "items");
            ok = items == NULL || cb_map_set(arena, forms->as.list.items[k], "items", or_parameter(arena, items));
        }
        ok = ok && cb_list_append(arena, cb_map_get(entry->value, "anyOf"),
                                  refer(arena, "#/definitions/%s%s", "parameter", ""));
    }
    return ok;
}

/* Where no task says how many classes there are, options that would come from it are required. */
static bool require_classes(struct cb_arena *arena, const struct cb_layer *layer, struct cb_value *options)
{
    struct cb_value *required = cb_map_get(options, "required");
    bool ok = options != NULL;
    for (uint32_t i = 0; ok && i < layer->options.count; i++) {
        const struct cb_option *o =
            (const struct cb_option *)((const char *)layer->options.items + (size_t)i * layer->options.stride);
        if ((o->flags & CB_OPTION_CLASSES) == 0) {
            continue;
        }
        if (required == NULL) {
            required = cb_value_list(arena, NULL);
            ok = required != NULL && cb_map_set(arena, options, "required", required);
        }
        ok = ok && cb_list_append(arena, required, cb_value_text(arena, o->key, NULL));
    }
    return ok;
}

enum place { IN_HEAD, IN_NETWORK, IN_BLOCK, PLACES };
static const char *const endings[PLACES] = {"", ".network", ".block"};

static bool wants_classes(const struct cb_layer *layer)
{
    bool wants = false;
    for (uint32_t i = 0; i < layer->options.count; i++) {
        struct cb_option o;
        cb_options_at(&layer->options, i, &o);
        wants = wants || (o.flags & CB_OPTION_CLASSES) != 0;
    }
    return wants;
}

/* What editors show beside the word: the summary and the formula. */
static bool describe(struct cb_arena *arena, const struct cb_layer *layer, struct cb_value *schema)
{
    const char *summary = layer->summary != NULL ? layer->summary : layer->name, *formula = layer->formula;
    const char *text = formula == NULL ? summary : cb_arena_printf(arena, "%s\n\n%s", summary, formula);
    return text != NULL && cb_map_set(arena, schema, "description", cb_value_text(arena, text, NULL));
}

static struct cb_value *options_of(struct cb_arena *arena, const struct cb_layer *layer, enum place place)
{
    struct cb_value *schema = layer->options.count > 0
        ? cb_schema_of_options(arena, &layer->options, layer->defaults)
        : cb_schema_parse(arena, "{type: object, additionalProperties: false, properties: {}}");
    bool ok = schema != NULL && (place == IN_HEAD || require_classes(arena, layer, schema)) &&
              (place != IN_BLOCK || allow_parameters(arena, layer->name, schema)) && describe(arena, layer, schema);
    if (ok && !cb_schema_has_required(schema)) { /* `relu:` and nothing behind it */
        ok = cb_map_set(arena, schema, "type", cb_schema_parse(arena, "[object, 'null']"));
    }
    return ok ? schema : NULL;
}

/* ---- lists of layers ---- */

struct lists {
    struct cb_arena *arena;
    struct cb_value *definitions;
    struct cb_value *words[PLACES];      /* that may stand alone */
    struct cb_value *properties[PLACES]; /* of items that are maps */
    struct cb_value *one[PLACES];        /* exactly one word: [{required: [conv2d]}, ...] */
};

/* A word that a list may hold in this place. `options`: the schema of what follows it, defined under the ending of `as`,
 * another place when it is the same there. */
static bool add_word(struct lists *l, const char *word, struct cb_value *options, enum place place, enum place as)
{
    struct cb_arena *arena = l->arena;
    const char *key = cb_arena_printf(arena, "layer.%s%s", word, endings[as]);
    struct cb_value *required = cb_schema_parse(arena, "{required: []}");
    bool alone = !cb_schema_has_required(options);
    return options != NULL && key != NULL && required != NULL &&
           (as != place || cb_map_set(arena, l->definitions, key, options)) &&
           (!alone || cb_list_append(arena, l->words[place], cb_value_text(arena, word, NULL))) &&
           cb_map_set(arena, l->properties[place], word, refer(arena, "#/definitions/layer.%s%s", word, endings[as])) &&
           cb_list_append(arena, cb_map_get(required, "required"), cb_value_text(arena, word, NULL)) &&
           cb_list_append(arena, l->one[place], required);
}

static bool add_layer(struct lists *l, const struct cb_layer *layer)
{
    const enum place as[PLACES] = {IN_HEAD, wants_classes(layer) ? IN_NETWORK : IN_HEAD,
                                   layer->options.count > 0 ? IN_BLOCK : IN_HEAD};
    bool ok = true;
    for (enum place place = IN_HEAD; ok && place < PLACES; place++) {
        ok = add_word(l, layer->name, options_of(l->arena, layer, place), place, as[place]);
    }
    return ok;
}

/* The parameters of a block: anything may stand for one; those without a default are required. */
static struct cb_value *parameters_of(struct cb_arena *arena, const struct cb_library_block *block)
{
    struct cb_value *schema = cb_schema_parse(arena, "{type: object, additionalProperties: false, properties: {}}");
    struct cb_value *properties = cb_map_get(schema, "properties"), *required = cb_value_list(arena, NULL);
    bool ok = properties != NULL && required != NULL;
    for (size_t i = 0; ok && block->parameters != NULL && i < block->parameters->as.map.count; i++) {
        const struct cb_entry *entry = &block->parameters->as.map.entries[i];
        struct cb_value *property = cb_value_map(arena, NULL);
        const bool is_required = entry->value->kind == CB_KIND_NULL;
        ok = property != NULL && cb_map_set(arena, properties, entry->key, property) &&
             (is_required ? cb_list_append(arena, required, cb_value_text(arena, entry->key, NULL))
                          : cb_map_set(arena, property, "default", entry->value));
    }
    ok = ok && (required->as.list.count == 0 ? cb_map_set(arena, schema, "type", cb_schema_parse(arena, "[object, 'null']"))
                                             : cb_map_set(arena, schema, "required", required)) &&
         (block->summary == NULL || cb_map_set(arena, schema, "description", cb_value_text(arena, block->summary, NULL)));
    return ok ? schema : NULL;
}

/* Blocks that come with the program, and a person's own in the data folder; a layer of that word comes before. */
static bool add_blocks(struct lists *l, struct cb_diag *diag)
{
    const char **words;
    size_t count;
    bool ok = cb_library_words(l->arena, NULL, &words, &count, diag) == CB_OK;
    for (size_t i = 0; ok && i < count; i++) {
        const struct cb_library_block *block = NULL;
        if (cb_map_get(l->properties[0], words[i]) != NULL ||
            cb_library_find(l->arena, words[i], NULL, &block, diag) != CB_OK || block == NULL) {
            continue;
        }
        for (enum place place = IN_HEAD; ok && place < PLACES; place++) {
            ok = add_word(l, words[i], parameters_of(l->arena, block), place, IN_HEAD);
        }
    }
    return ok;
}

/* The keys beside a layer's word; `first` belongs to blocks. */
static bool add_siblings(struct lists *l, struct cb_value *properties, enum place place, bool with_blocks)
{
    const struct cb_value *siblings = cb_map_get(cb_schema_of_keys(l->arena, cb_item_keys, NULL), "properties");
    bool ok = siblings != NULL;
    for (size_t i = 0; ok && i < siblings->as.map.count; i++) {
        const struct cb_entry *entry = &siblings->as.map.entries[i];
        if (strcmp(entry->key, "first") != 0 || with_blocks) {
            ok = cb_map_set(l->arena, properties, entry->key,
                            place == IN_BLOCK ? or_parameter(l->arena, entry->value) : entry->value);
        }
    }
    return ok;
}

/* A list of layers. With blocks, words that no layer has are blocks, and take a map of parameters. */
static struct cb_value *list_of(struct lists *l, enum place place, bool with_blocks)
{
    struct cb_arena *arena = l->arena;
    struct cb_value *list = cb_schema_parse(arena, "{type: array, minItems: 1}");
    struct cb_value *item = cb_schema_parse(arena, "{anyOf: []}"), *either = cb_map_get(item, "anyOf");
    struct cb_value *word = cb_value_map(arena, NULL);
    struct cb_value *map = cb_schema_parse(arena, with_blocks ? "{type: object, minProperties: 1, additionalProperties: "
                                                                "{type: [object, 'null']}}"
                                                              : "{type: object, additionalProperties: false}");
    struct cb_value *properties = cb_value_clone(arena, l->properties[place]);
    bool ok = list != NULL && either != NULL && word != NULL && map != NULL && properties != NULL &&
              add_siblings(l, properties, place, with_blocks) && cb_map_set(arena, map, "properties", properties) &&
              (with_blocks || cb_map_set(arena, map, "oneOf", l->one[place])) &&
              cb_map_set(arena, word, "enum", l->words[place]) && cb_list_append(arena, either, word) &&
              cb_list_append(arena, either, map);
    if (ok && with_blocks) { /* the word of a block alone, or `$word` within one */
        ok = cb_list_append(arena, either, cb_schema_parse(arena, "{type: string, pattern: '^[^ ]+$'}"));
    }
    return ok && cb_map_set(arena, list, "items", item) ? list : NULL;
}

/* ---- all ---- */

static bool add_files(struct lists *l)
{
    struct cb_arena *arena = l->arena;
    struct cb_value *d = l->definitions;
    return cb_map_set(arena, d, "layers", list_of(l, IN_HEAD, false)) &&
           cb_map_set(arena, d, "network_layers", list_of(l, IN_NETWORK, false)) &&
           cb_map_set(arena, d, "network_layers_with_blocks", list_of(l, IN_NETWORK, true)) &&
           cb_map_set(arena, d, "block_layers", list_of(l, IN_BLOCK, true)) &&
           cb_map_set(arena, d, "parameter", cb_schema_parse(arena, "{type: string, pattern: '^[$].', description: a "
                                                                    "parameter of the block}")) &&
           cb_map_set(arena, d, "block", cb_schema_of_keys(arena, cb_block_keys, "{required: [layers]}")) &&
           cb_map_set(arena, d, "contract",
                      cb_schema_of_keys(arena, cb_contract_keys,
                                        "{required: [modality, shape], if: {properties: {modality: {const: image}}}, then: "
                                        "{properties: {shape: {minItems: 3, maxItems: 3}}}}")) &&
           cb_map_set(arena, d, "network",
                      cb_schema_of_keys(arena, cb_network_keys,
                                        "{required: [layers], oneOf: [{required: [input]}, {required: [inputs]}], "
                                        "if: {required: [parameters]}, " /* `$name` may stand anywhere */
                                        "then: {properties: {layers: {$ref: '#/definitions/block_layers'}}}, "
                                        "else: {properties: {input: {$ref: '#/definitions/contract'}}, "
                                        "if: {required: [blocks]}, "
                                        "then: {properties: {layers: {$ref: '#/definitions/network_layers_with_blocks'}}}, "
                                        "else: {properties: {layers: {$ref: '#/definitions/network_layers'}}}}}"));
}

enum cb_status cb_graph_schema(struct cb_arena *arena, struct cb_registry *registry, struct cb_value *definitions,
                               struct cb_diag *diag)
{
    const char **words, **loss_words;
    size_t count, losses = 0;
    CB_TRY(cb_registry_words(registry, arena, &words, &count, diag));
    struct lists l = {.arena = arena, .definitions = definitions};
    struct cb_value **loss_options = CB_NEW_ARRAY(arena, struct cb_value *, count + 1);
    loss_words = CB_NEW_ARRAY(arena, const char *, count + 1);
    bool ok = loss_words != NULL && loss_options != NULL;
    for (int place = 0; ok && place < PLACES; place++) {
        l.words[place] = cb_value_list(arena, NULL);
        l.properties[place] = cb_value_map(arena, NULL);
        l.one[place] = cb_value_list(arena, NULL);
        ok = l.words[place] != NULL && l.properties[place] != NULL && l.one[place] != NULL;
    }
    for (size_t i = 0; ok && i < count; i++) {
        const struct cb_layer_type *type;
        if (cb_registry_find(registry, words[i], NULL, &type, diag) != CB_OK) {
            continue;
        }
        if ((type->layer.flags & CB_LAYER_LOSS) == 0) {
            ok = add_layer(&l, &type->layer);
            continue;
        }
        if (type->layer.min_inputs > 2) {
            continue; /* a task has one head and its targets */
        }
        loss_options[losses] = options_of(arena, &type->layer, IN_HEAD);
        ok = loss_options[losses] != NULL;
        loss_words[losses++] = words[i];
    }
    ok = ok && add_blocks(&l, diag) &&
         cb_map_set(arena, definitions, "loss", cb_schema_of_words(arena, loss_words, loss_options, losses)) &&
         add_files(&l);
    return ok ? CB_OK : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
}
