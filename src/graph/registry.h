/* registry.h: where layers come from. A word of YAML (`conv2d`) is the plugin conv2d.so in a folder of the search path,
 * loaded when the word is first used and never closed: unloading code that built kernels is not worth its bugs.
 *
 * Search path, first match wins: folders of the task's `plugins:`, CAMBIUM_PLUGIN_PATH (colon-separated), the user's data
 * folder (plugins/), the installed or built folder. A folder that others can write to is refused.
 * A plugin that was not installed with Cambium is loaded by a child process first, once for each of its versions. */
#ifndef CAMBIUM_GRAPH_REGISTRY_H
#define CAMBIUM_GRAPH_REGISTRY_H

#include <cambium/layer.h>

#include "base/arena.h"

/* A loaded layer type. `layer` is the plugin's descriptor copied into this core's size: missing fields are zero. */
struct cb_layer_type {
    struct cb_layer layer;
    const struct cb_variant *variants; /* copied likewise */
    uint32_t variant_count;
    const char *path;   /* of the shared object */
    const char *folder; /* its folder: kernels lie there, or in cl/ */
};

struct cb_registry;

/* The host table is what plugins may call; it must outlive the registry. */
struct cb_registry *cb_registry_create(const struct cb_host *host);
void cb_registry_destroy(struct cb_registry *registry); /* accepts NULL; plugins stay loaded */
/* Puts a folder in front of the search path. */
enum cb_status cb_registry_add_folder(struct cb_registry *registry, const char *folder, const struct cb_place *at,
                                      struct cb_diag *diag);
/* The type of a word; loads its plugin. The result lives as long as the registry. */
enum cb_status cb_registry_find(struct cb_registry *registry, const char *word, const struct cb_place *at,
                                const struct cb_layer_type **out, struct cb_diag *diag);
/* Plugins of that word which are never loaded, because one that stands earlier on the search path is: the `index`th, or
 * NULL. Lives as long as the registry. */
const char *cb_registry_shadowed(struct cb_registry *registry, const char *word, uint32_t index);
/* For cambium-probe: loads the plugin at `path` and looks at all of its tables, whatever comes of it. */
void cb_registry_try_plugin(const struct cb_host *host, const char *path);
/* All words that the search path offers, sorted, without loading anything. In the arena. */
enum cb_status cb_registry_words(struct cb_registry *registry, struct cb_arena *arena, const char ***out_words,
                                 size_t *out_count, struct cb_diag *diag);

#endif
