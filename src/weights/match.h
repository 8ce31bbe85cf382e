/* match.h: putting the tensors of a weights file onto the params of a network, without knowing the network.
 *
 * The caller lists what its network wants (struct cb_wanted) and how other frameworks call its layers (struct
 * cb_name_map). A tensor is looked for under these names, in this order:
 *   1. what the map has for the param itself ("scale.w: gamma"), else
 *      the mapped layer + "." + the foreign param name     "_conv_stem.weight"
 *   2. where the map says nothing of the layer, our layer + "." + the foreign param name   "stem.conv.weight"
 *   3. our own name                                        "stem.conv.w"
 * (3 comes first, and is all there is, when the file's metadata says `format: cambium`). Names 1 and 2 mean the foreign
 * layout, name 3 means ours. What training code puts around a network (`module.`, `_orig_mod.`, `model.`, `backbone.`,
 * `encoder.`, `net.`, ..., also several) is left off where more is found without it; other tensors may lie beside. The
 * first part of a map's names (`resnet.`) is left off where nothing in the file begins with it: a network that was
 * saved without its head.
 *
 * Layouts (ours <- foreign): FILTER [KH,KW,C,K] <- [K,C,KH,KW], and so for any number of spatial dims; MATRIX [C,K] <-
 * [K,C]; a dense layer and a filter that covers its whole input (1x1 behind a global pooling, HxW behind a flatten) may
 * stand for each other; VECTOR and TABLE as they are, but for dims of 1: [C] <- [C,1,1]. */
#ifndef CAMBIUM_WEIGHTS_MATCH_H
#define CAMBIUM_WEIGHTS_MATCH_H

#include "base/value.h"
#include "weights/tensors.h"

enum cb_match {
    CB_MATCH_MISSING = 0, /* the file has nothing for it; `out` is untouched */
    CB_MATCH_KEPT,        /* `out` was filled */
    CB_MATCH_REPLACED,    /* it belongs to a new layer: not taken from the file, whatever is there */
    CB_MATCH_MISMATCH,    /* the file has it in another shape or type; `out` is untouched */
};

struct cb_wanted {
    const char *name;          /* "conv1.w" */
    const char *layer;         /* "conv1" */
    const char *foreign;       /* "weight"; NULL: only our own name is looked for */
    enum cb_param_role role;
    uint32_t rank;
    int64_t dims[CB_MAX_RANK]; /* ours */
    float *out;                /* product of dims floats; NULL: only look whether it fits */
    bool optional;             /* missing is no error */
    bool replaced;             /* of a new layer (a new head), or of a layer that was cut away */
    /* What the dims don't show; NULL: nothing. Of the MATRIX of a dense layer behind a flatten: {C, H, W} of the flattened
     * tensor, in another framework flattened in the order C, H, W; the rows go into our order H, W, C. Of a TABLE that ends
     * in a grid of positions: {rows in front, H, W}; from a file with another, square grid it is resampled. */
    const int64_t *hidden_dims;

    /* Filled in; texts live in the report's arena. */
    enum cb_match status;
    const char *from;   /* the tensor's name in the file; NULL: none */
    const char *reason; /* of MISSING and MISMATCH: a sentence; of KEPT: what was done to it, NULL: nothing */
};

/* One rule: a layer whose name is `ours` or begins with `ours.` is called `theirs` (and what follows). `*` stands for
 * one part between dots and reappears at the `*` in `theirs`: "blocks.*.expand" is "_blocks.*._expand_conv" there. ""
 * is before every layer. The rule with the most parts of `ours` wins, then the one with fewer `*`, then the first.
 * `ours` may also be a param, "blocks.*.scale.w"; then `theirs` is the tensor's whole name, with ^T behind it where a matrix
 * lies there as it does here, [C,K] (GPT-2). Several rules of one `ours`
 * behind each other (a list in YAML) are the parts of one: the file has the layer's outputs in as many tensors, those of
 * "attn.qkv" in "query", "key" and "value", which are put behind each other.
 *
 * `#` in `theirs` is a running number: it takes the place of a `*` and stands for the position of what that `*` of
 * `ours` matched, in the order in which the layers run, among all blocks whose names fit `ours` that far and that the
 * `*` before it did not tell apart already. When it is the last, it takes every `*` that is left. It counts from 0;
 * `#1` from 1, `#-1` from -1, `#1+2` gives 1, 3, 5; `##` is the number before it once more. With layers in blocks.0.0,
 * blocks.1.0 and blocks.1.1:
 *     blocks.*.*: features.#1    features.1, features.2, features.3
 *     blocks.*.*: stages.#1.*    stages.1.0, stages.2.0, stages.2.1
 *     blocks.1.*: features.#2    (blocks.1.0 and blocks.1.1 alone) features.2, features.3 */
struct cb_name_rule {
    const char *ours, *theirs;
};
struct cb_name_map {
    const char *label; /* "torchvision"; for the report */
    const struct cb_name_rule *rules;
    uint32_t count;
    const char *const *layers; /* all that have params, in the order in which they run, for `#`; cb_weights_match */
    uint32_t layer_count;      /* takes those of `wanted` instead */
};

/* What was found, by name (the file's names in `unused`, ours in the others). */
struct cb_name_list {
    const char **names;
    uint32_t count;
};
struct cb_load_report {
    const char *path;    /* of the weights file */
    const char *format;  /* "PyTorch (stream)" */
    const char *wrapper; /* "state_dict", or NULL */
    const char *beside;  /* keys that were not taken, "`params_ema`", or NULL */
    const char *map;     /* the label of the name map that was taken, or NULL */
    const char *prefix;  /* "module.", when it was left off; or NULL */
    struct cb_name_list kept, replaced, missing, unused, mismatched;
    struct cb_name_list changed; /* sentences: what was done to those of `kept` that did not fit as they are */
};

/* The name that `rules` give `layer`, in the arena; NULL when no rule speaks of it (or memory is exhausted). */
char *cb_name_map_apply(struct cb_arena *arena, const struct cb_name_map *map, const char *layer);
/* How many tensors hold the param `param` ("blocks.0.qkv.w") of `layer`, by the rules: 1, unless they list several. */
uint32_t cb_name_map_parts(const struct cb_name_map *map, const char *layer, const char *param);
/* The name of number `part` of them; `foreign` is what the param is called ("weight") where the rules name its layer.
 * NULL when no rule speaks of it. */
char *cb_name_map_tensor(struct cb_arena *arena, const struct cb_name_map *map, const char *layer, const char *param,
                         const char *foreign, uint32_t part);
/* Reads `names:` of a backbone file into the arena: maps by label, each from our names to theirs,
 *     names: {timm: {}, torchvision: {conv_stem: features.0.0, bn1: features.0.1}}
 * An empty one says that the names are equal. NULL or null gives none. Collects errors. */
enum cb_status cb_name_maps_read(struct cb_arena *arena, const struct cb_value *value, struct cb_name_map **out_maps,
                                 uint32_t *out_count, struct cb_diag *diag);

/* The map of that label; NULL when there is none. */
const struct cb_name_map *cb_name_map_find(const struct cb_name_map *maps, uint32_t count, const char *label);

/* Fills the wanted params, which come in the order in which their layers run. Of several maps, the one that finds the
 * most tensors is taken (the first of equals), or none where equal names find more. The report's lists and the texts in
 * `wanted` live in `arena`; the file may be closed afterwards. What a framework
 * makes anew (`num_batches_tracked` of a batchnorm, Swin's `relative_position_index`, a text's `position_ids`) is passed over
 * in silence.
 * MISMATCH when a tensor has another shape, when two params would take one tensor, or when some that are not optional
 * are missing: errors that name both sides. The report is filled all the same. */
enum cb_status cb_weights_match(struct cb_tensor_file *file, struct cb_wanted *wanted, uint32_t count,
                                const struct cb_name_map *maps, uint32_t map_count, struct cb_arena *arena,
                                struct cb_load_report *out_report, const struct cb_place *at, struct cb_diag *diag);

/* "net.pth (PyTorch (stream)): 296 tensors kept, 2 replaced, 0 missing, 1 unused"; `verbose` adds the names, one a
 * line. Appended. */
void cb_load_report_print(const struct cb_load_report *report, bool verbose, struct cb_text *out);

#endif
