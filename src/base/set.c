/* set.c: `--set train.epochs=1`: one key of a task changed for one run. A number in the path is a place in a list:
 * `model.head.0.dropout.rate=0.3`. */
#include "base/value.h"

#include <stdlib.h>
#include <string.h>

#include "base/expect.h"

/* A position in the tree during the walk; `path` is what was walked so far, for messages. */
struct step {
    struct cb_arena *arena;
    struct cb_diag *diag;
    struct cb_value *node;
    const char *path;
    struct cb_place at;
};

static enum cb_status fail_memory(struct cb_diag *diag)
{
    return cb_fail(diag, CB_MEMORY, NULL, "out of memory while reading `--set`");
}

/* The item of a list that `word` numbers from 0. */
static enum cb_status find_item(const struct step *step, const char *word, size_t *out_index)
{
    size_t count = step->node->as.list.count;
    char *end = NULL;
    unsigned long index = strtoul(word, &end, 10);
    if (*word < '0' || *word > '9' || *end != '\0' || index >= count) {
        return cb_fail(step->diag, CB_INVALID, &step->at, "`%s` is a list of %zu; `%s` is none of its places (from 0)",
                       step->path, count, word);
    }
    *out_index = index;
    return CB_OK;
}

/* Goes to the child `word`, which becomes a map where there is nothing. */
static enum cb_status step_down(struct step *step, const char *word, const char *path)
{
    struct cb_value *child = NULL;
    if (step->node->kind == CB_KIND_LIST) {
        size_t index = 0;
        CB_TRY(find_item(step, word, &index));
        child = step->node->as.list.items[index];
    } else {
        child = cb_map_get(step->node, word);
        if (!child || child->kind == CB_KIND_NULL) {
            child = cb_value_map(step->arena, &step->at);
            if (!child || !cb_map_set(step->arena, step->node, word, child)) {
                return fail_memory(step->diag);
            }
        }
    }
    if (child->kind != CB_KIND_MAP && child->kind != CB_KIND_LIST) {
        char name[80];
        return cb_fail(step->diag, CB_INVALID, &step->at, "`%s` is %s, which has no keys", path,
                       cb__name_value(child, name));
    }
    step->node = child;
    step->path = path;
    return CB_OK;
}

static enum cb_status put(const struct step *step, const char *word, struct cb_value *value)
{
    if (step->node->kind == CB_KIND_LIST) {
        size_t index = 0;
        CB_TRY(find_item(step, word, &index));
        step->node->as.list.items[index] = value;
        return CB_OK;
    }
    return cb_map_set(step->arena, step->node, word, value) ? CB_OK : fail_memory(step->diag);
}

enum cb_status cb_value_set_path(struct cb_arena *arena, struct cb_value *root, const char *assignment,
                                 struct cb_diag *diag)
{
    struct cb_source source = {"--set", assignment, strlen(assignment)};
    struct cb_place here = {&source, 1, 1};
    const char *equals = strchr(assignment, '=');
    if (!equals || equals == assignment) {
        return cb_fail(diag, CB_INVALID, &here, "write `--set path.to.key=value`, not `--set %s`", assignment);
    }
    const char *path = cb_arena_strndup(arena, assignment, (size_t)(equals - assignment));
    const char *name = path ? cb_arena_printf(arena, "--set %s", path) : NULL;
    struct cb_value *value = NULL;
    if (!name) {
        return fail_memory(diag);
    }
    CB_TRY(cb_yaml_read_text(arena, name, equals + 1, strlen(equals + 1), &value, diag));
    if (root->kind == CB_KIND_NULL) { /* an empty file */
        root->kind = CB_KIND_MAP;
        root->text = NULL;
        root->as.map.entries = NULL;
        root->as.map.count = 0;
    } else if (root->kind != CB_KIND_MAP && root->kind != CB_KIND_LIST) {
        return cb_fail(diag, CB_INVALID, &here, "the file is %s and has no keys to set", cb_kind_name(root->kind));
    }
    struct step step = {arena, diag, root, "the file", value->at};
    for (const char *word = path;;) {
        const char *dot = strchr(word, '.');
        size_t length = dot ? (size_t)(dot - word) : strlen(word);
        const char *key = cb_arena_strndup(arena, word, length);
        const char *walked = cb_arena_strndup(arena, path, (size_t)(word - path) + length);
        if (!key || !walked) {
            return fail_memory(diag);
        }
        if (length == 0) {
            return cb_fail(diag, CB_INVALID, &here, "a key is missing between the dots of `%s`", path);
        }
        if (!dot) {
            return put(&step, key, value);
        }
        CB_TRY(step_down(&step, key, walked));
        word = dot + 1;
    }
}
