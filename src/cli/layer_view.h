/* layer_view.h: one layer for people (text), scripts (JSON) and docs/layers (Markdown), all from the plugin's own tables. */
#ifndef CAMBIUM_CLI_LAYER_VIEW_H
#define CAMBIUM_CLI_LAYER_VIEW_H

#include "cli/cli.h"
#include "graph/example.h"

struct cb_layer_view {
    struct cb_registry *registry;
    const struct cb_layer_type *type;
    struct cb_example example;
    const char *const *variants; /* what the device does with each; NULL: no device was asked */
    const char *device;          /* its name */
    const char *from;            /* the plugin's path; NULL: it is one of the program's own */
};

void cb_layer_view_text(const struct cb_layer_view *view);
struct cb_value *cb_layer_view_json(const struct cb_layer_view *view, struct cb_arena *arena);
void cb_layer_view_page(const struct cb_layer_view *view, struct cb_text *out);
/* The heading under which it is listed. */
const char *cb_layer_family(const struct cb_layer *layer);
/* layer_page.c: the page that lists the others: `types` in the order in which they stand. */
void cb_layer_index_page(const struct cb_layer_type *const *types, size_t count, struct cb_text *out);
/* How a page begins that `cambium layers --pages` wrote, and may overwrite and remove. */
#define CB_PAGE_MARK "<!-- Made by `cambium layers --pages`"

/* Shared by the three. */
extern const char *const cb__pass_names[];
const char *cb__option_type(const struct cb_option *option);
/* "`same` or `valid`", "1 to 4096", "at least 1"; appended, nothing where there is no bound. */
void cb__option_range(const struct cb_option *option, struct cb_text *out);
/* "required", "the number of classes", "none", "[3, 3]". */
void cb__option_default(const struct cb_layer *layer, uint32_t i, struct cb_text *out);
/* What backward reads: "dy, x and the params". */
void cb__backward_reads(const struct cb_layer *layer, struct cb_text *out);
/* How the layer runs: fused, in place, a view; one sentence each, NULL at the end. */
const char *const *cb__layer_notes(const struct cb_layer *layer, const char *out[16]);

#endif
