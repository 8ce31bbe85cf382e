/* network_text.h: a network file made from another one, with its comments, blocks and order: only what changes is written
 * anew. */
#ifndef CAMBIUM_EXCHANGE_NETWORK_TEXT_H
#define CAMBIUM_EXCHANGE_NETWORK_TEXT_H

#include "train/model.h"

struct cb_network_changes {
    const char *name;
    const char *comment;        /* lines without `#`, put above the file's own; NULL: none */
    const struct cb_contract *contract; /* NULL: the file's */
    bool is_settled;            /* the backbone's parameters are not the defaults of its file */
    const struct cb_value *labels;      /* of the outputs; NULL: none */
    const char *output_layer;   /* the layer with the outputs, when their number changes; else NULL */
    int64_t outputs, old_outputs;
};

/* `backbone` (as it was opened: a model of a family is settled) with the changes, without `models:`, `weights:`, `names:`,
 * `source:` and `licence:`. The result is read back and has the layers and shapes of `wanted`, the network that was built
 * for the changes; where the file's own form cannot say them, it is written out flat. In the arena. */
enum cb_status cb_network_rewrite(struct cb_arena *arena, const struct cb_backbone *backbone,
                                  const struct cb_network_changes *changes, const struct cb_network *wanted,
                                  char **out_yaml, struct cb_diag *diag);
/* `input: {...}`: one line or two, as a person writes it. */
void cb_contract_print(struct cb_arena *arena, const struct cb_contract *contract, struct cb_text *out);
/* The value as YAML in a flow, [1, 2] or {a: b}; texts quoted where they must be. */
void cb_value_print_flow(const struct cb_value *value, struct cb_text *out);

/* Sets the number of outputs in a copy of the file's map, so that it can be built: the option of the layer, or the
 * parameter it takes. False: the file has no place that says it. */
bool cb_network_set_outputs(struct cb_arena *arena, struct cb_value *file, const struct cb_network_changes *changes);

#endif
