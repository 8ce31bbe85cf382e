/* onto.h: between what finds a network for a weights file (state_dict.c, huggingface.c) and what puts the one onto the
 * other (state_dict.c). */
#ifndef CAMBIUM_EXCHANGE_ONTO_H
#define CAMBIUM_EXCHANGE_ONTO_H

#include "exchange/import.h"
#include "exchange/network_text.h"

struct cb__onto {
    struct cb_backbone *backbone;
    const char *as;      /* what the backbone is called, for messages */
    const char *weights; /* path of the file */
    const char *comment; /* for the top of the network file */
    bool is_described;   /* files beside the weights say what input and outputs are */
    const struct cb_value *labels; /* a list of texts: written where there are as many outputs; NULL: none */
};

enum cb_status cb__import_onto(const struct cb_import_request *request, const struct cb__onto *onto,
                               struct cb_imported *imported, struct cb_diag *diag);

#endif
