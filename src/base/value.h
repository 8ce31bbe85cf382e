/* value.h: a tree of values with positions, as YAML and JSON files give them.
 *
 * Both readers are strict: YAML 1.2 core scalars (true/false, null, integers, reals; everything else is text), tabs in
 * indentation, duplicate keys, several documents and over-large alias expansions are errors with a position. All nodes
 * live in the arena given to the reader and point to its `cb_source`. */
#ifndef CAMBIUM_BASE_VALUE_H
#define CAMBIUM_BASE_VALUE_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/text.h"

enum cb_kind { CB_KIND_NULL, CB_KIND_BOOL, CB_KIND_INT, CB_KIND_REAL, CB_KIND_TEXT, CB_KIND_LIST, CB_KIND_MAP };

struct cb_value;

struct cb_entry {
    const char *key;
    struct cb_place at; /* of the key */
    struct cb_value *value;
};

struct cb_value {
    enum cb_kind kind;
    struct cb_place at;
    const char *text; /* scalars: as written (so that `name: 007` can be a text); NULL for lists and maps */
    bool quoted;      /* a quoted scalar is always CB_KIND_TEXT */
    union {
        bool boolean;
        int64_t integer;
        double real;
        struct {
            struct cb_value **items;
            size_t count;
        } list;
        struct {
            struct cb_entry *entries; /* in file order */
            size_t count;
        } map;
    } as;
};

#define CB_YAML_MAX_BYTES (64u << 20)  /* larger files are refused */
#define CB_YAML_MAX_NODES 1000000u     /* after alias expansion */
#define CB_YAML_MAX_DEPTH 100u

/* Reads one document. An empty document is a null value. On failure `*out` is untouched. */
enum cb_status cb_yaml_read_file(struct cb_arena *arena, const char *path, struct cb_value **out, struct cb_diag *diag);
enum cb_status cb_yaml_read_text(struct cb_arena *arena, const char *name, const char *text, size_t length,
                                 struct cb_value **out, struct cb_diag *diag);
enum cb_status cb_json_read_file(struct cb_arena *arena, const char *path, struct cb_value **out, struct cb_diag *diag);
enum cb_status cb_json_read_text(struct cb_arena *arena, const char *name, const char *text, size_t length,
                                 struct cb_value **out, struct cb_diag *diag);

/* Access. NULL when `map` is not a map or has no such key. */
struct cb_value *cb_map_get(const struct cb_value *map, const char *key);
const struct cb_entry *cb_map_entry(const struct cb_value *map, const char *key);
const char *cb_kind_name(enum cb_kind kind); /* "an integer", "a list", ...: with its article, for messages */
/* An integer or a real as a double; false for anything else. */
bool cb_value_number(const struct cb_value *value, double *out);

/* Building and changing trees (for --set and resolved configs). NULL when memory is exhausted. `at` may be NULL. */
struct cb_value *cb_value_text(struct cb_arena *arena, const char *text, const struct cb_place *at);
struct cb_value *cb_value_int(struct cb_arena *arena, int64_t integer, const struct cb_place *at);
struct cb_value *cb_value_real(struct cb_arena *arena, double real, const struct cb_place *at);
struct cb_value *cb_value_bool(struct cb_arena *arena, bool boolean, const struct cb_place *at);
struct cb_value *cb_value_list(struct cb_arena *arena, const struct cb_place *at);
struct cb_value *cb_value_map(struct cb_arena *arena, const struct cb_place *at);
bool cb_list_append(struct cb_arena *arena, struct cb_value *list, struct cb_value *item);
bool cb_map_set(struct cb_arena *arena, struct cb_value *map, const char *key, struct cb_value *value);
struct cb_value *cb_value_clone(struct cb_arena *arena, const struct cb_value *value);
/* `--set train.epochs=1`: walks the dotted path, making maps on the way; the right side is read as YAML. */
enum cb_status cb_value_set_path(struct cb_arena *arena, struct cb_value *root, const char *assignment,
                                 struct cb_diag *diag);

/* Writing. Reals are printed so that they read back to the same bits. */
void cb_value_to_json(const struct cb_value *value, struct cb_text *out);
/* For people and diffs: what fits on a line of 120 columns stands on one, the rest is indented by two spaces a level. */
void cb_value_to_json_lines(const struct cb_value *value, struct cb_text *out);
void cb_value_to_yaml(const struct cb_value *value, struct cb_text *out);

/* Reading configs: all errors are collected in `diag` (up to 20); each returns false after adding one. */
/* `value` must be of the kind (an int passes as a real). `what` names it in the message: "`epochs`". */
bool cb_expect_kind(const struct cb_value *value, enum cb_kind kind, const char *what, struct cb_diag *diag);
/* Every key of the map must be in `keys`; an unknown one gets the nearest valid name. `where`: "in `train`". */
bool cb_expect_keys(const struct cb_value *map, const char *const *keys, size_t key_count, const char *where,
                    struct cb_diag *diag);

#endif
