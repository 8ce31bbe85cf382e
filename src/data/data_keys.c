/* data_keys.c: see data_keys.h. */
#include "data/data_keys.h"

#define SIDE "{type: integer, minimum: 1, maximum: 8192}"
#define TILE "{type: integer, minimum: 1}"
#define SOURCE_KEYS                                                                                \
    {"images", "a folder per class, a folder with a table beside it (`labels`), a sheet, or an IDX file", "{type: string}"}, \
    {"text", "a table of texts (.csv, .tsv, .jsonl), or a folder of text files per class", "{type: string}"}, \
    {"audio", NULL, CB_KEY_REFUSED}, /* the reader of sources says what it reads */                \
    {"tensors", "a safetensors file with `x`, and `y` as class numbers or values", "{type: string}"}, \
    {"labels", "a CSV table of files and labels, or the IDX file of the labels", "{type: string}"}, \
    {"columns", "which columns of the table hold the file's name or the text, and its label or value", \
     "{type: object, additionalProperties: false, not: {required: [label, value]}, properties: {file: {type: string}, " \
     "text: {type: string}, text_pair: {type: string}, "                                           \
     "label: {type: string}, value: {anyOf: [{type: string}, {type: array, minItems: 1, maxItems: 64, items: " \
     "{type: string}}]}}}"},                                                                       \
    {"sheet", "one picture that is cut into tiles, the classes one after the other",               \
     "{type: object, additionalProperties: false, required: [tile, classes], properties: {tile: {anyOf: [" TILE ", " \
     "{type: array, minItems: 2, maxItems: 2, items: " TILE "}]}, classes: {type: integer, minimum: 1}}}"}, \
    {"group", "a column of the table whose equal values are never split: bursts, speakers", "{type: string}"}

const struct cb_key cb__source_keys[] = {SOURCE_KEYS, {NULL, NULL, NULL}};

const struct cb_key cb_data_keys[] = {
    SOURCE_KEYS,
    {"classes", "names of the classes, in their order; others are left out",
     "{type: array, minItems: 1, uniqueItems: true, items: {type: [string, number, boolean]}}"},
    {"size", "pixels of a side, or [height, width]; by default what the network's contract says",
     "{anyOf: [" SIDE ", {type: array, minItems: 2, maxItems: 2, items: " SIDE "}]}"},
    {"resize", "how a picture of another shape is fitted", "{enum: [pad, crop, squash]}"},
    {"background", "what is put around and behind pictures",
     "{anyOf: [{enum: [white, black, grey, gray]}, {type: string, pattern: '^#[0-9a-fA-F]{6}$'}, {type: array, minItems: 3, "
     "maxItems: 3, items: {type: integer, minimum: 0, maximum: 255}}]}"},
    {"max_length", "tokens of a text; by default what the network's contract says", "{type: integer, minimum: 1}"},
    {"long", "what becomes of a longer text", "{enum: [truncate, refuse]}"},
    {"seed", "of the split; `train: seed` never moves the test set", "{type: integer, minimum: 0}"},
    {"augment", "how training pictures are varied; none by default", "{$ref: '#/definitions/augment'}"},
    {"views", "augmented views of each picture that frozen layers see once", "{type: integer, minimum: 1, maximum: 1000}"},
    {"bad_files", "what becomes of files that cannot be read", "{enum: [skip, fail]}"},
    {"shuffle", "false: training keeps the order of the samples", "{type: boolean}"},
    {"train", "which samples train",
     "{anyOf: [{type: 'null'}, {enum: [rest]}, {$ref: '#/definitions/choice'}, {$ref: '#/definitions/source'}]}"},
    {"test", "which samples test; without them the result is cross-validated",
     "{anyOf: [{type: 'null'}, {enum: [rest, none]}, {$ref: '#/definitions/choice'}, {$ref: '#/definitions/folds'}, "
     "{$ref: '#/definitions/source'}]}"},
    {"validation", "which samples say when to stop",
     "{anyOf: [{type: 'null'}, {enum: [rest, none]}, {$ref: '#/definitions/choice'}, {$ref: '#/definitions/source'}]}"},
    {NULL, NULL, NULL},
};

static const struct cb_key choice_keys[] = {
    {"per_class", "so many of each class", "{type: integer, minimum: 1, maximum: 1000000000}"},
    {"fraction", "this part of them", "{type: number, exclusiveMinimum: 0, exclusiveMaximum: 1}"},
    {"split", "a part that the data has itself: train, test, validation", "{type: string}"},
    {"files", "a text file that names them, a line each", "{type: string}"},
    {NULL, NULL, NULL},
};
static const struct cb_key folds_keys[] = {
    {"folds", "parts that test in turn", "{type: integer, minimum: 2, maximum: 1000000000}"},
    {NULL, NULL, NULL},
};

bool cb_data_schema(struct cb_arena *arena, struct cb_value *definitions)
{
    static const char *const one = "{minProperties: 1, maxProperties: 1}";
    static const char *const named = "{oneOf: [{required: [images]}, {required: [text]}, {required: [tensors]}], "
                                     "dependencies: {max_length: {not: {required: [images]}}, long: {not: {required: "
                                     "[images]}}}}";
    return cb_map_set(arena, definitions, "choice", cb_schema_of_keys(arena, choice_keys, one)) &&
           cb_map_set(arena, definitions, "folds", cb_schema_of_keys(arena, folds_keys, one)) &&
           cb_map_set(arena, definitions, "source", cb_schema_of_keys(arena, cb__source_keys, named)) &&
           cb_map_set(arena, definitions, "data", cb_schema_of_keys(arena, cb_data_keys, named));
}
