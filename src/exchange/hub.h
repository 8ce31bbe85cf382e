/* hub.h: `hf:OWNER/NAME[@REVISION]`: a folder of the Hugging Face hub, fetched once into the user's cache and imported there.
 *
 *     CACHE/weights/hf--OWNER--NAME@REVISION/          config.json, preprocessor_config.json, the weights, as they came
 *     CACHE/weights/hf--OWNER--NAME@REVISION/network/  NAME.yaml, NAME.safetensors: what cb_backbone_open takes
 * Without a revision it is `main`. What came first is trusted (weights/fetch.h), and from then on no other. HF_ENDPOINT names
 * another server, as for Hugging Face's own tools. */
#ifndef CAMBIUM_EXCHANGE_HUB_H
#define CAMBIUM_EXCHANGE_HUB_H

#include "exchange/import.h"

/* Fetches what is not there yet and imports it anew. `*out` is the caller's to destroy. */
enum cb_status cb_hub_fetch(const char *what, const struct cb_watch *watch, struct cb_imported **out, struct cb_diag *diag);

#endif
