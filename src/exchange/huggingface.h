/* huggingface.h: between the files that read a folder in the layout of the Hugging Face hub.
 *
 * A family file in configs/backbones says in `huggingface:` which model types of transformers it can be, and how their
 * config.json gives its parameters, so that a new family needs no C:
 *
 *     huggingface:
 *       vit:                                    # `model_type` in config.json
 *         parameters: {width: $hidden_size, depth: $num_hidden_layers}   # expressions over the keys of config.json
 *         defaults: {patch_size: 16}            # where it leaves a key out, as transformers has it; `$other` is another key
 *         needs: ["hidden_act == 'gelu'"]       # what the family can not do otherwise; a reason may stand for it:
 *                                               # {"not use_mask_token": "it has a mask token"}
 *         config: vision_config                 # the keys are in this map of config.json; those of a map within
 *                                               # it are written map.key
 *       timm: {tf_efficientnet_lite0: efficientnet_lite0}   # architectures of timm whose name is another here
 *
 * `gguf:` says the same of llama.cpp's files by their `general.architecture` (import_gguf.c): keys are those of the file,
 * without the architecture in front; that of a list is its length, `tensors.output` is true where there is an output.weight.
 *
 * A folder of timm's ("architecture" in config.json) names a network, which is looked for under that name. */
#ifndef CAMBIUM_EXCHANGE_HUGGINGFACE_H
#define CAMBIUM_EXCHANGE_HUGGINGFACE_H

#include "exchange/onto.h"

struct cb__hub_folder {
    struct cb_arena *arena;
    const char *section; /* of a family's file that speaks of it: huggingface, or gguf */
    const char *path;
    const char *config_path;
    const struct cb_value *config;       /* config.json, a map */
    const struct cb_value *preprocessor; /* preprocessor_config.json; NULL: there is none */
    const struct cb_value *pooling;      /* 1_Pooling/config.json of sentence-transformers, a map; NULL: there is none */
    const struct cb_value *tokenizer;    /* names of the files that make tokens of texts, a list, which a family's parameter
                                            `tokenizer` gets; NULL: there are none */
    const char *model_type;              /* of transformers; NULL: a folder of timm's */
    const char *architecture;            /* of timm, or the first of `architectures`; may be NULL */
};

#define CB__NO_TOKENIZER "there is no tokenizer with it: `inputs:` in the network file names tokenizer.json, which is to be put " \
    "beside it before texts can be read"

/* A text, a whole number, a number of a map; the fallback where it is not there or of another kind. */
const char *cb__hub_text(const struct cb_value *map, const char *key, const char *fallback);
int64_t cb__hub_int(const struct cb_value *map, const char *key, int64_t fallback);
double cb__hub_real(const struct cb_value *map, const char *key, double fallback);
bool cb__hub_bool(const struct cb_value *map, const char *key, bool fallback);

/* huggingface_family.c: the network that the folder's configuration describes, not yet at its size. NOT_FOUND when no
 * family is known: names the type and lists what is known. The caller closes it. */
enum cb_status cb__hub_backbone(const struct cb__hub_folder *folder, const char *name, struct cb_backbone **out,
                                struct cb_diag *diag);
/* huggingface_input.c: changes the contract to what the folder says; notes what it does not say or what is done another way. */
enum cb_status cb__hub_contract(const struct cb__hub_folder *folder, struct cb_contract *contract,
                                struct cb_imported *imported, struct cb_diag *diag);

#endif
