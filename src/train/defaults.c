/* defaults.c: see defaults.h. */
#include "train/defaults.h"

#include "base/file.h"

static const char file[] = "configs/defaults/task.yaml";

static bool read_text(const struct cb_value *map, const char *key, const char **out, struct cb_diag *diag)
{
    const struct cb_value *value = cb_map_get(map, key);
    if (value == NULL || value->kind != CB_KIND_TEXT) {
        cb_fail(diag, CB_INVALID, value != NULL ? &value->at : &map->at, "`%s` must be a text", key);
        return false;
    }
    *out = value->text;
    return true;
}

static bool read_list(const struct cb_value *map, const char *key, const struct cb_value **out, struct cb_diag *diag)
{
    const struct cb_value *value = cb_map_get(map, key);
    if (value == NULL || value->kind != CB_KIND_LIST) {
        cb_fail(diag, CB_INVALID, value != NULL ? &value->at : &map->at, "`%s` must be a list of layers", key);
        return false;
    }
    *out = value;
    return true;
}

/* Of words only: messages name them. */
static bool read_words(const struct cb_value *map, const char *key, const struct cb_value **out, struct cb_diag *diag)
{
    bool ok = read_list(map, key, out, diag);
    for (size_t i = 0; ok && i < (*out)->as.list.count; i++) {
        ok = cb_expect_kind((*out)->as.list.items[i], CB_KIND_TEXT, "a word", diag);
    }
    return ok;
}

enum cb_status cb_defaults_read(struct cb_arena *arena, struct cb_defaults *out, struct cb_diag *diag)
{
    static const char *const keys[] = {"head", "loss", "rows", "draft"}, *const losses[] = {"classes", "values"};
    char *path = cb_resource_path(arena, file);
    struct cb_value *root;
    if (path == NULL) {
        return cb_fail(diag, CB_NOT_FOUND, NULL, "`%s`, a part of Cambium, is missing: is it installed whole?", file);
    }
    CB_TRY(cb_yaml_read_file(arena, path, &root, diag));
    const struct cb_value *loss = cb_map_get(root, "loss");
    const bool ok = cb_expect_kind(root, CB_KIND_MAP, "the defaults", diag) &&
                    cb_expect_keys(root, keys, 4, "in the defaults", diag) &&
                    read_list(root, "head", &out->head, diag) && read_words(root, "rows", &out->rows, diag) &&
                    read_text(root, "draft", &out->draft, diag) &&
                    loss != NULL && cb_expect_kind(loss, CB_KIND_MAP, "`loss`", diag) &&
                    cb_expect_keys(loss, losses, 2, "in `loss`", diag) &&
                    read_text(loss, "classes", &out->class_loss, diag) &&
                    read_text(loss, "values", &out->value_loss, diag);
    return ok ? CB_OK : cb_fail(diag, CB_INVALID, &root->at, "these defaults cannot be used");
}

static void place(struct cb_value *value, const struct cb_place *at)
{
    value->at = *at;
    for (size_t i = 0; value->kind == CB_KIND_LIST && i < value->as.list.count; i++) {
        place(value->as.list.items[i], at);
    }
    for (size_t i = 0; value->kind == CB_KIND_MAP && i < value->as.map.count; i++) {
        value->as.map.entries[i].at = *at;
        place(value->as.map.entries[i].value, at);
    }
}

struct cb_value *cb_defaults_head(struct cb_arena *arena, const struct cb_defaults *defaults, const struct cb_place *at)
{
    struct cb_value *head = cb_value_clone(arena, defaults->head);
    if (head != NULL) {
        place(head, at);
    }
    return head;
}
