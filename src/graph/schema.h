/* schema.h: the keys of network files, and what editors are told of them and of the layers. */
#ifndef CAMBIUM_GRAPH_SCHEMA_H
#define CAMBIUM_GRAPH_SCHEMA_H

#include "base/keys.h"
#include "graph/registry.h"

extern const struct cb_key cb_network_keys[], cb_block_keys[];
extern const struct cb_key cb_item_keys[];     /* beside the word of a layer */
extern const struct cb_key cb_contract_keys[]; /* of `input:` */

/* Adds to `definitions` what the registry's search path offers:
 *   layers, network_layers, block_layers   lists: of a head; of a network file; of a block (where `$name` may stand)
 *   loss                                   a loss with its options
 *   network, contract                      a whole network file, an input contract
 * A network file with blocks may use words that no layer has: which ones cannot be said in JSON Schema. Layers whose
 * plugin cannot be loaded are left out; `diag` says why. */
enum cb_status cb_graph_schema(struct cb_arena *arena, struct cb_registry *registry, struct cb_value *definitions,
                               struct cb_diag *diag);

#endif
