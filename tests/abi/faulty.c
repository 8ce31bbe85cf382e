/* faulty: plugins that must not bring the program down; FAULT says which. Each is named `faulty`. */
#include <cambium/layer.h>

#include <stdlib.h>
#include <unistd.h>

enum { EXITS_AT_LOAD = 1, EXITS, CRASHES_AT_LOAD, CRASHES, WILD_LAYERS, WILD_TEXT, WILD_OPTIONS, HUGE_STRIDE, ODD_STRIDE,
       SMALL_STRIDE, HUGE_COUNT, OUTSIDE, BAD_CHOICE, SMALL_LAYER, SMALL_PLUGIN, ENDLESS_CHOICES, ABORTS, CRASHES_AT_END,
       LONG_KERNEL, WILD_KERNELS, HANGS, NO_SIZE };

static enum cb_status nothing(struct cb_instance *in)
{
    (void)in;
    return CB_OK;
}

static const struct cb_variant variants[] = {{
    .pass = CB_PASS_FORWARD,
    .name = "plain",
    .run = nothing,
    .kernels = FAULT == LONG_KERNEL ? "short a_name_that_is_longer_than_any_kernel_may_have_0123456789_0123456789_0123456789_"
                                      "0123456789_0123456789_0123456789_0123456789_0123456789_0123456789"
               : FAULT == WILD_KERNELS ? (const char *)24
                                       : "faulty_forward",
}};

static const struct cb_pointwise pointwise = {sizeof(pointwise), CB_NEEDS_X};
static const int64_t defaults[2];

static const char *endless[100000]; /* filled at load, and no NULL at the end */
static const char *const choices[] = {"a", "b", NULL};

static const struct cb_option options[] = {{
    .key = "key",
    .help = "help",
    .type = FAULT == BAD_CHOICE || FAULT == ENDLESS_CHOICES ? CB_OPT_CHOICE : CB_OPT_REAL,
    .offset = FAULT == OUTSIDE ? 12 : 0,
    .choices = FAULT == ENDLESS_CHOICES ? endless : FAULT == BAD_CHOICE ? choices : NULL,
}};

static const struct cb_layer layers[] = {{
    .struct_size = FAULT == SMALL_LAYER ? 24 : FAULT == NO_SIZE ? 0 : sizeof(struct cb_layer),
    .name = "faulty",
    .summary = FAULT == WILD_TEXT ? (const char *)16 : "none",
    .options = {FAULT == WILD_OPTIONS ? (const void *)64 : options, FAULT == HUGE_COUNT ? 4000000000u : 1,
                FAULT == HUGE_STRIDE    ? 1u << 30
                : FAULT == ODD_STRIDE   ? sizeof(struct cb_option) + 1
                : FAULT == SMALL_STRIDE ? 16
                                        : sizeof(struct cb_option)},
    .defaults = FAULT == BAD_CHOICE ? (const void *)"\377\377\377\177aaaa" : defaults,
    .options_size = sizeof(defaults),
    .min_inputs = 1,
    .max_inputs = 1,
    .pointwise = FAULT == LONG_KERNEL || FAULT == WILD_KERNELS ? NULL : &pointwise,
    .variants = CB_ARRAY(variants),
    .infer = nothing,
}};

static const struct cb_plugin plugin = {
    .struct_size = FAULT == SMALL_PLUGIN ? 12 : sizeof(plugin),
    .abi = CB_ABI,
    .layers = {FAULT == WILD_LAYERS ? (const void *)4096 : layers, 1, sizeof(struct cb_layer)},
};

__attribute__((constructor)) static void at_load(void)
{
    for (size_t i = 0; i < sizeof(endless) / sizeof(endless[0]); i++) {
        endless[i] = "same";
    }
    if (FAULT == EXITS_AT_LOAD) {
        _exit(0);
    }
    if (FAULT == CRASHES_AT_LOAD) {
        *(volatile int *)8 = 1;
    }
}

__attribute__((destructor)) static void at_end(void)
{
    if (FAULT == CRASHES_AT_END) {
        *(volatile int *)8 = 1;
    }
}

const struct cb_plugin *cb_plugin_entry(const struct cb_host *host)
{
    (void)host;
    if (FAULT == EXITS) {
        exit(7);
    }
    while (FAULT == HANGS) {
        pause();
    }
    if (FAULT == ABORTS) {
        abort();
    }
    if (FAULT == CRASHES) {
        *(volatile int *)8 = 1;
    }
    return &plugin;
}
