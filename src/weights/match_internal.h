/* match_internal.h: between match.c, which fills params, match_find.c, which finds a tensor by name, match_parts.c, which
 * puts one together from several, match_grid.c, which resamples positions, and match_structure.c, which finds it by shape. */
#ifndef CAMBIUM_WEIGHTS_MATCH_INTERNAL_H
#define CAMBIUM_WEIGHTS_MATCH_INTERNAL_H

#include "weights/match.h"

struct cb__matching {
    struct cb_tensor_file *file;
    struct cb_wanted *wanted;
    uint32_t count;
    struct cb_arena *arena;
    const char *prefix;    /* of the file's names, left off; "" when there is none */
    const char *skip;      /* of the map's names, which the file leaves off: "resnet."; "" when there is none */
    uint32_t part;         /* which of several tensors for one param is looked for */
    bool is_ours;          /* `format: cambium` */
    const char **taken_by; /* per tensor of the file: our name, NULL when it is not taken */
    const struct cb_place *at;
    struct cb_diag *diag;
};

/* The names under which a tensor is looked for; NULLs where there are fewer. */
struct cb__candidates {
    const char *foreign; /* in the foreign layout, unless */
    bool is_turned;      /* the rule ends in ^T: there it lies as here, [C,K] */
    const char *own;
};

struct cb__candidates cb__candidates_of(const struct cb__matching *m, const struct cb_wanted *wanted,
                                        const struct cb_name_map *map);
/* NULL when the file has it under no name; `*out_is_ours`: it has our own name, and so our layout. */
const struct cb_tensor_entry *cb__find_wanted(const struct cb__matching *m, const struct cb_wanted *wanted,
                                              const struct cb_name_map *map, bool *out_is_ours);
/* Copies of the maps in the arena that know the layers of what is wanted. NULL: no memory. */
const struct cb_name_map *cb__with_layers(const struct cb__matching *m, const struct cb_name_map *maps,
                                          uint32_t map_count);
/* Sets prefix and skip and returns the map: the first of those that find the most; NULL where equal names find more than
 * any map. */
const struct cb_name_map *cb__choose_names(struct cb__matching *m, const struct cb_name_map *maps, uint32_t map_count);
/* How to read the file's tensor so that it comes out in our layout. False: it does not fit. */
bool cb__view_as_ours(const struct cb_wanted *wanted, const struct cb_tensor_entry *entry, bool is_ours,
                      struct cb_tensor_entry *out_view);
/* Says that the file's tensor does not fit. MISMATCH. */
enum cb_status cb__refuse_shape(const struct cb__matching *m, struct cb_wanted *wanted,
                                const struct cb_tensor_entry *entry, bool is_ours);
/* How many tensors of the file hold `wanted` by `map`, which may be NULL. */
uint32_t cb__parts_of(const struct cb__matching *m, const struct cb_wanted *wanted, const struct cb_name_map *map);
/* Fills what is in several, as match_one of match.c does what is in one. A param that is replaced takes them all the
 * same, so that none of them counts as unused. */
enum cb_status cb__match_parts(const struct cb__matching *m, struct cb_wanted *wanted, const struct cb_name_map *map);
/* match_grid.c. Whether the file's tensor is the wanted table, but with another, square grid at its end; then
 * `*out_view` is [rows,C]. */
bool cb__is_other_grid(const struct cb_wanted *wanted, const struct cb_tensor_entry *entry,
                       struct cb_tensor_entry *out_view);
/* Fills the wanted table from that view, and says so in its `reason`. */
enum cb_status cb__read_other_grid(const struct cb__matching *m, struct cb_wanted *wanted,
                                   const struct cb_tensor_entry *view);

#endif
