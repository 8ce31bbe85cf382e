/* onnx_metadata.c: what an exported file says about itself: how an input is prepared, in words, for
 * scripts (JSON) and for `cambium import` (the contract as YAML), the labels, the backbone. */
#include <inttypes.h>
#include <string.h>

#include "exchange/onnx_write.h"

enum { MOST_PROPERTIES = 32 };

struct properties {
    struct cb_arena *arena;
    Onnx__StringStringEntryProto *list[MOST_PROPERTIES];
    size_t count;
    bool failed;
};

static void put(struct properties *p, const char *key, const char *value)
{
    Onnx__StringStringEntryProto *entry = CB_NEW(p->arena, Onnx__StringStringEntryProto);
    if (entry == NULL || value == NULL || p->count == MOST_PROPERTIES) {
        p->failed = true;
        return;
    }
    onnx__string_string_entry_proto__init(entry);
    entry->key = (char *)key;
    entry->value = (char *)value;
    p->list[p->count++] = entry;
}

static void put_value(struct properties *p, const char *key, const struct cb_value *value,
                      bool as_yaml)
{
    struct cb_text text = {0};
    if (value == NULL) {
        p->failed = true;
        return;
    }
    (as_yaml ? cb_value_to_yaml : cb_value_to_json)(value, &text);
    put(p, key, text.data != NULL ? cb_arena_strdup(p->arena, text.data) : NULL);
    cb_text_free(&text);
}

static struct cb_value *labels_of(struct cb_arena *arena, const struct cb_model *model)
{
    struct cb_value *list = cb_value_list(arena, NULL);
    for (uint32_t i = 0; list != NULL && i < model->class_count; i++) {
        (void)cb_list_append(arena, list, cb_value_text(arena, model->classes[i], NULL));
    }
    return list;
}

static struct cb_value *reals(struct cb_arena *arena, const double *items, int64_t count)
{
    struct cb_value *list = cb_value_list(arena, NULL);
    for (int64_t i = 0; list != NULL && i < count && i < CB_MAX_CHANNELS; i++) {
        (void)cb_list_append(arena, list, cb_value_real(arena, items[i], NULL));
    }
    return list;
}

static struct cb_value *whole_numbers(struct cb_arena *arena, const int64_t *items, uint32_t count)
{
    struct cb_value *list = cb_value_list(arena, NULL);
    for (uint32_t i = 0; list != NULL && i < count; i++) {
        (void)cb_list_append(arena, list, cb_value_int(arena, items[i], NULL));
    }
    return list;
}

static void set(struct cb_arena *arena, struct cb_value *map, const char *key,
                struct cb_value *value)
{
    if (map != NULL && value != NULL) {
        (void)cb_map_set(arena, map, key, value);
    }
}

static void set_text(struct cb_arena *arena, struct cb_value *map, const char *key,
                     const char *text)
{
    set(arena, map, key, cb_value_text(arena, text, NULL));
}

/* Of pictures, in the order in which it is done. */
static struct cb_value *preprocessing_of(struct cb_arena *arena, const struct cb_model *model,
                                         const struct cb_onnx_request *request)
{
    static const char *const filters[] = {"bilinear", "bicubic", "nearest"};
    const struct cb_contract *c = &model->contract;
    const int64_t background[3] = {model->background.r, model->background.g, model->background.b},
                  range[2] = {0, 255};
    struct cb_value *map = cb_value_map(arena, NULL);
    set_text(arena, map, "channels",
             c->shape[2] == 1   ? "grey"
             : c->shape[2] == 3 ? "RGB"
                                : "as given");
    set(arena, map, "size", whole_numbers(arena, c->shape, 2));
    set_text(arena, map, "resize", cb_resize_name(c->resize));
    if (c->resize == CB_RESIZE_CROP) {
        set(arena, map, "crop_fraction", cb_value_real(arena, c->crop_fraction, NULL));
    }
    set_text(arena, map, "filter", filters[c->filter]);
    set(arena, map, "background", whole_numbers(arena, background, 3));
    set(arena, map, "range", whole_numbers(arena, range, 2));
    set(arena, map, "mean", reals(arena, c->mean, c->shape[2]));
    set(arena, map, "std", reals(arena, c->std, c->shape[2]));
    set_text(arena, map, "scaling",
             request->from_bytes ? "inside the graph: (value - mean) / std"
                                 : "before the graph: (value - mean) / std");
    set_text(arena, map, "layout", request->from_bytes || request->channels_last ? "NHWC" : "NCHW");
    set_text(arena, map, "dtype", request->from_bytes ? "uint8" : "float32");
    return map;
}

static void add_numbers(struct cb_text *text, const double *items, int64_t count)
{
    bool same = true;
    for (int64_t i = 1; i < count && i < CB_MAX_CHANNELS; i++) {
        same = same && items[i] == items[0];
    }
    for (int64_t i = 0; i < (same ? 1 : count) && i < CB_MAX_CHANNELS; i++) {
        cb_text_addf(text, "%s%g", i > 0 ? ", " : "", items[i]);
    }
}

/* For people: what to do with a picture. */
static void tell_preparation(const struct cb_model *model, const struct cb_onnx_request *request,
                             struct cb_text *text)
{
    const struct cb_contract *c = &model->contract;
    const int64_t h = c->shape[0], w = c->shape[1];
    cb_text_addf(text, "Input: %s pictures. ", c->shape[2] == 1 ? "grey" : "RGB");
    if (c->resize == CB_RESIZE_CROP) {
        cb_text_addf(text,
                     "Resize so that the middle %" PRId64 " x %" PRId64
                     " is %g of the shorter side, and cut that out. ",
                     h, w, c->crop_fraction);
    } else if (c->resize == CB_RESIZE_SQUASH) {
        cb_text_addf(text, "Resize both sides to %" PRId64 " x %" PRId64 ". ", h, w);
    } else {
        cb_text_addf(text,
                     "Resize until the whole picture fits into %" PRId64 " x %" PRId64
                     ", keep its ratio, put it in the middle on a background of (%u, %u, %u). ",
                     h, w, model->background.r, model->background.g, model->background.b);
    }
    if (request->from_bytes) {
        cb_text_add(text, "Pass the values 0 to 255 as uint8 [N,H,W,C]; the graph scales them. ");
        return;
    }
    cb_text_add(text, "Then (value - mean) / std of the values 0 to 255, mean ");
    add_numbers(text, c->mean, c->shape[2]);
    cb_text_add(text, ", std ");
    add_numbers(text, c->std, c->shape[2]);
    cb_text_addf(text, ", as float32 [%s]. ", request->channels_last ? "N,H,W,C" : "N,C,H,W");
}

static char *doc_of(struct cb_arena *arena, const struct cb_model *model,
                    const struct cb_onnx_request *request)
{
    struct cb_text text = {0};
    if (request->description != NULL) {
        cb_text_addf(&text, "%s ", request->description);
    }
    if (model->contract.modality == CB_IMAGE && model->contract.rank == 3) {
        tell_preparation(model, request, &text);
    }
    if (model->classes != NULL) {
        cb_text_addf(&text, "Outputs: %u classes, in the order of the property `labels`.",
                     model->class_count);
    }
    char *doc = text.data != NULL ? cb_arena_strdup(arena, text.data) : cb_arena_strdup(arena, "");
    cb_text_free(&text);
    return doc;
}

enum cb_status cb__draft_describe(const struct cb_model *model,
                                  const struct cb_onnx_request *request, Onnx__ModelProto *out,
                                  struct cb_arena *arena, struct cb_diag *diag)
{
    struct properties p = {.arena = arena};
    put(&p, "backbone", model->net->name);
    if (model->net->wires[model->input].contract != NULL) {
        struct cb_value *outer = cb_value_map(arena, NULL);
        set(arena, outer, "input", cb_contract_to_value(arena, &model->contract));
        put_value(&p, "contract", outer, true);
    }
    if (model->contract.modality == CB_IMAGE && model->contract.rank == 3) {
        put_value(&p, "preprocessing", preprocessing_of(arena, model, request), false);
    }
    if (model->classes != NULL) {
        put_value(&p, "labels", labels_of(arena, model), false);
    }
    for (uint32_t i = 0; i < request->property_count; i++) {
        put(&p, request->properties[i].key, request->properties[i].value);
    }
    out->producer_name = (char *)"cambium";
    out->producer_version = (char *)CB_VERSION;
    out->doc_string = doc_of(arena, model, request);
    out->metadata_props = cb_arena_copy(arena, p.list, (p.count + 1) * sizeof(p.list[0]));
    out->n_metadata_props = p.count;
    return p.failed || out->metadata_props == NULL || out->doc_string == NULL
               ? cb_fail(diag, CB_MEMORY, NULL, "out of memory")
               : CB_OK;
}
