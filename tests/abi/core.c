/* core: a core whose structs are longer than those of the plugin that it loads, or shorter: the registry, its checks and the
 * option tables, compiled against a layer.h of the test's own (see run). core FOLDER [grown] says what arrived of the layer
 * abi_sample; with `grown` the fields that this core has more are printed, and are 0 where the plugin knows none. */
#include <inttypes.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/options.h"
#include "graph/registry.h"

#ifdef GROWN
#define MORE(s) (s).grown[0], (s).grown[2]
#else
#define MORE(s) UINT64_C(0), UINT64_C(0)
#endif

int main(int argc, char **argv)
{
    static const struct cb_host host = {.struct_size = sizeof(host), .abi = CB_ABI};
    const struct cb_layer_type *type;
    struct cb_diag *diag = cb_diag_create();
    struct cb_registry *registry = cb_registry_create(&host);
    if (argc != 2 || cb_registry_add_folder(registry, argv[1], NULL, diag) != CB_OK ||
        cb_registry_find(registry, "abi_sample", NULL, &type, diag) != CB_OK) {
        printf("%s\n", cb_diag_text(diag, 0));
        return 1;
    }
    const struct cb_layer *l = &type->layer;
    printf("%s: %s; %u inputs, infer %d, %" PRIx64 " %" PRIx64 "\n", l->name, l->formula, l->max_inputs, l->infer != NULL,
           MORE(*l));
    for (uint32_t i = 0; i < l->options.count; i++) {
        struct cb_option o;
        cb_options_at(&l->options, i, &o);
        printf("option %s at %u, %g to %g, %" PRIx64 " %" PRIx64 "\n", o.key, o.offset, o.min, o.max, MORE(o));
    }
    for (uint32_t i = 0; i < type->variant_count; i++) {
        printf("variant %u %s %d, %" PRIx64 " %" PRIx64 "\n", type->variants[i].pass, type->variants[i].name,
               type->variants[i].accepts != NULL, MORE(type->variants[i]));
    }
    cb_registry_destroy(registry);
    cb_diag_destroy(diag);
    return 0;
}
