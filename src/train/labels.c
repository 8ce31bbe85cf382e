/* labels.c: `labels:` of a network file, the names of the classes that its own output tells apart. See labels.h. */
#include <string.h>

#include "base/file.h"
#include "train/defaults.h"
#include "train/labels.h"

#define MAX_FILE_BYTES (16u << 20)

/* A text file with a label a line; lines that begin with # are left out. */
static enum cb_status read_file(const struct cb_backbone *backbone, const struct cb_value *at, struct cb_value **out,
                                struct cb_diag *diag)
{
    char *path = cb_path_join(backbone->arena, backbone->folder, at->text), *text;
    size_t bytes;
    struct cb_value *list = cb_value_list(backbone->arena, &at->at);
    if (path == NULL || list == NULL) {
        return cb_fail(diag, CB_MEMORY, &at->at, "out of memory");
    }
    CB_TRY(cb_file_read(backbone->arena, path, MAX_FILE_BYTES, &text, &bytes, &at->at, diag));
    for (char *line = text, *end; line < text + bytes; line = end + 1) {
        end = line + strcspn(line, "\n");
        end[0] = '\0';
        line[strcspn(line, "\r")] = '\0';
        if (line[0] != '#' && line[0] != '\0' &&
            !cb_list_append(backbone->arena, list, cb_value_text(backbone->arena, line, &at->at))) {
            return cb_fail(diag, CB_MEMORY, &at->at, "out of memory");
        }
    }
    *out = list;
    return CB_OK;
}

static enum cb_status take(struct cb_model *model, const struct cb_value *list, struct cb_diag *diag)
{
    const size_t count = list->as.list.count;
    const char **names = CB_NEW_ARRAY(model->net->arena, const char *, count + 1);
    if (count != model->outputs) {
        return cb_fail(diag, CB_MISMATCH, &list->at, "`labels` names %zu classes, but the network has %u outputs", count,
                       model->outputs);
    }
    for (size_t i = 0; names != NULL && i < count; i++) {
        const struct cb_value *name = list->as.list.items[i];
        if (name->text == NULL) {
            return cb_fail(diag, CB_INVALID, &name->at, "a label must be a text, not %s", cb_kind_name(name->kind));
        }
        names[i] = cb_arena_strdup(model->net->arena, name->text);
    }
    if (names == NULL) {
        return cb_fail(diag, CB_MEMORY, &list->at, "out of memory");
    }
    model->classes = names;
    model->class_count = (uint32_t)count;
    return CB_OK;
}

/* Scores become probabilities as under the usual loss of classes, unless the network's last layer does that. */
static enum cb_status link_scores(struct cb_model *model, struct cb_diag *diag)
{
    struct cb_defaults defaults;
    const struct cb_layer_type *loss;
    const uint32_t last = model->net->wires[model->scores].node;
    CB_TRY(cb_defaults_read(model->net->arena, &defaults, diag));
    CB_TRY(cb_registry_find(model->net->registry, defaults.class_loss, NULL, &loss, diag));
    const char *link = loss->layer.link;
    const bool is_there = link != NULL && last != CB_NONE && strcmp(model->net->nodes[last].type->layer.name, link) == 0;
    model->link = is_there ? NULL : link;
    return CB_OK;
}

/* `own_input:`: how pictures come to the network's own output, where that is not what serves a new head best. */
static enum cb_status read_own_input(struct cb_model *model, const struct cb_backbone *backbone, struct cb_diag *diag)
{
    const struct cb_value *own = cb_map_get(backbone->file, "own_input"), *input = cb_map_get(backbone->file, "input");
    if (own == NULL || own->kind == CB_KIND_NULL) {
        return CB_OK;
    }
    struct cb_value *both = input != NULL ? cb_value_clone(backbone->arena, input) : NULL;
    if (own->kind != CB_KIND_MAP || both == NULL) {
        return cb_fail(diag, CB_INVALID, &own->at, "`own_input` must be a map of keys that replace those of `input`");
    }
    for (size_t i = 0; i < own->as.map.count; i++) {
        if (!cb_map_set(backbone->arena, both, own->as.map.entries[i].key, own->as.map.entries[i].value)) {
            return cb_fail(diag, CB_MEMORY, &own->at, "out of memory");
        }
    }
    CB_TRY(cb_contract_read(both, &model->contract, diag));
    if (model->contract.modality != backbone->contract.modality ||
        memcmp(model->contract.shape, backbone->contract.shape, sizeof(model->contract.shape)) != 0) {
        return cb_fail(diag, CB_INVALID, &own->at, "`own_input` may say how pictures are brought to size, not which size");
    }
    return CB_OK;
}

enum cb_status cb__model_label(struct cb_model *model, const struct cb_backbone *backbone, struct cb_diag *diag)
{
    const struct cb_tensor *scores = &model->net->wires[model->scores].shape;
    const struct cb_value *labels = cb_map_get(backbone->file, "labels");
    struct cb_value *list = (struct cb_value *)(uintptr_t)labels;
    model->outputs = scores->rank == 2 ? (uint32_t)scores->dims[1] : 0;
    if (labels == NULL || labels->kind == CB_KIND_NULL) {
        return CB_OK;
    }
    if (labels->kind == CB_KIND_TEXT) {
        CB_TRY(read_file(backbone, labels, &list, diag));
    } else if (labels->kind != CB_KIND_LIST) {
        return cb_fail(diag, CB_INVALID, &labels->at, "`labels` must be a list of names or the path of a file with one a line");
    }
    if (scores->rank != 2) {
        return cb_fail(diag, CB_MISMATCH, &labels->at, "`labels` needs an output [N, classes], but that of the network has %u "
                                                       "axes", scores->rank);
    }
    CB_TRY(take(model, list, diag));
    CB_TRY(read_own_input(model, backbone, diag));
    return link_scores(model, diag);
}
