/* layer_view.c: a layer as text and as JSON. See layer_view.h. */
#include "cli/layer_view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/options.h"
#include "cli/wrap.h"

const char *const cb__pass_names[] = {"forward", "backward", "dx", "dw", "fit"};

const char *cb__option_type(const struct cb_option *o)
{
    static const char *const names[] = {"integer", "real", "bool", "choice", "text",
                                        "list of integers", "list of reals", "list of texts"};
    static const char *const single[] = {"integer", "real", "text"}; /* a list so that a word may stand in its place */
    const uint32_t type = o->type <= CB_OPT_TEXTS ? o->type : CB_OPT_TEXT;
    return o->max_count == 1 && type >= CB_OPT_INTS ? single[type - CB_OPT_INTS] : names[type];
}

const char *cb_layer_family(const struct cb_layer *l)
{
    return l->family != NULL && l->family[0] != '\0' ? l->family : "others";
}

void cb__option_range(const struct cb_option *o, struct cb_text *out)
{
    const double no_bound = 1e15;
    size_t before = out->length;
    if (o->type == CB_OPT_BOOL) {
        cb_text_add(out, "true or false");
    } else if (o->min != 0 || o->max != 0) {
        if (o->max >= no_bound) {
            cb_text_addf(out, "at least %.10g", o->min);
        } else if (o->min <= -no_bound) {
            cb_text_addf(out, "at most %.10g", o->max);
        } else {
            cb_text_addf(out, "%.10g to %.10g", o->min, o->max);
        }
    }
    if (o->max_count > 1) {
        cb_text_addf(out, "%sup to %u of them", out->length > before ? ", " : "", o->max_count);
    }
    for (uint32_t k = 0; o->choices != NULL && o->choices[k] != NULL; k++) {
        const char *joint = out->length == before ? "" : k == 0 || o->choices[k + 1] == NULL ? " or " : ", ";
        cb_text_addf(out, "%s`%s`", joint, o->choices[k]);
    }
}

void cb__option_default(const struct cb_layer *layer, uint32_t i, struct cb_text *out)
{
    struct cb_option o;
    cb_options_at(&layer->options, i, &o);
    if ((o.flags & CB_OPTION_CLASSES) != 0) {
        cb_text_add(out, "the number of classes");
    } else if ((o.flags & CB_OPTION_REQUIRED) != 0) {
        cb_text_add(out, "required");
    } else {
        struct cb_text text = {0};
        cb_options_print_default(&layer->options, i, layer->defaults, &text);
        char *end = NULL;
        double number = text.data != NULL ? strtod(text.data, &end) : 0;
        bool is_outside = end != NULL && end != text.data && *end == '\0' && (o.min != 0 || o.max != 0) &&
                          !(number >= o.min && number <= o.max); /* as options_print.c: "not said" */
        const size_t length = text.length;
        if (is_outside || text.data == NULL || strcmp(text.data, "[]") == 0) {
            cb_text_add(out, "not set");
        } else if (text.data[0] == '[' && strchr(text.data, ',') == NULL) { /* one number is a list of one */
            cb_text_add_bytes(out, text.data + 1, length - 2);
        } else {
            cb_text_add(out, text.data);
        }
        cb_text_free(&text);
    }
}

void cb__backward_reads(const struct cb_layer *l, struct cb_text *out)
{
    static const char *const names[] = {"x", "y", "the params", "what forward kept"};
    uint32_t needs = l->dx_needs | l->dw_needs | (l->pointwise != NULL ? l->pointwise->df_reads : 0);
    cb_text_add(out, "dy");
    for (int i = 0; i < 4; i++) {
        if ((needs & (1u << i)) != 0) {
            cb_text_addf(out, "%s%s", (needs >> (i + 1)) != 0 ? ", " : " and ", names[i]);
        }
    }
}

const char *const *cb__layer_notes(const struct cb_layer *l, const char *out[16])
{
    bool epilogue = false;
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->variants.count; i++) {
        const struct cb_variant *v =
            (const struct cb_variant *)((const char *)l->variants.items + (size_t)i * l->variants.stride);
        epilogue = epilogue || (v->flags & CB_VARIANT_EPILOGUE) != 0;
    }
    if (l->pointwise != NULL) {
        out[n++] = "It maps each element on its own: the core makes its kernels, and fuses it into the layer above.";
    }
    if (epilogue) {
        out[n++] = "Pointwise layers, sums and affine layers that follow are fused into its store.";
    }
    if ((l->flags & CB_LAYER_SUM) != 0) {
        out[n++] = "As a sum of equal shapes it can be fused into the layer that makes one of them.";
    }
    if (l->affine != NULL) {
        out[n++] = "When it does not learn from the batch it is a scale and a shift per channel, folded into the layer above.";
    }
    if ((l->flags & CB_LAYER_VIEW) != 0) {
        out[n++] = "Nothing runs: y is x with other dims.";
    }
    if (l->inplace != 0) {
        out[n++] = "The output may take the memory of an input.";
    }
    if ((l->flags & CB_LAYER_RANDOM) != 0) {
        out[n++] = "Random in training (keyed by seed, step and sample); the identity otherwise.";
    } else if ((l->flags & CB_LAYER_MODE_DEPENDENT) != 0) {
        out[n++] = "Forward differs between training and inference.";
    }
    if ((l->flags & CB_LAYER_NO_GRADIENT) != 0) {
        out[n++] = "It has no gradient: it may stand only where everything before it is frozen.";
    }
    if ((l->flags & CB_LAYER_FITTED) != 0) {
        out[n++] = "Its state is fitted to the training data before training.";
    }
    if ((l->flags & CB_LAYER_BATCH) != 0) {
        out[n++] = "A row's result depends on the other rows of the batch, which is never computed in parts.";
    }
    if ((l->flags & CB_LAYER_EMBEDDING_LOSS) != 0) {
        out[n++] = "A loss of features: each input has a gradient; outputs the value of each sample and its weight.";
    } else if ((l->flags & CB_LAYER_LOSS) != 0) {
        out[n++] = "A loss: inputs are scores and targets; outputs the value of each sample and its weight.";
    }
    out[n] = NULL;
    return out;
}

/* ---- text ---- */

static void print_facts(const char *what, const struct cb_shape_fact *facts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        printf("%-12s%s%s%s %s\n", i == 0 ? what : "", facts[i].name, facts[i].name[0] != '\0' ? " " : "", facts[i].symbols,
               facts[i].dtype);
    }
}

#define OPTION_COLUMN 19 /* where an option is explained */

static void print_options(const struct cb_layer *l)
{
    for (uint32_t i = 0; i < l->options.count; i++) {
        struct cb_option o;
        struct cb_text range = {0}, value = {0}, line = {0};
        cb_options_at(&l->options, i, &o);
        cb__option_range(&o, &range);
        cb__option_default(l, i, &value);
        bool required = (o.flags & CB_OPTION_REQUIRED) != 0 && (o.flags & CB_OPTION_CLASSES) == 0;
        cb_text_addf(&line, "%s%s%s, %s%s", cb__option_type(&o), range.length > 0 ? ": " : "",
                     range.length > 0 ? range.data : "", required ? "" : "default ", value.data);
        printf("  %-16s ", o.key);
        cb_wrap_print(line.data != NULL ? line.data : "", OPTION_COLUMN, OPTION_COLUMN);
        printf("%*s", OPTION_COLUMN, "");
        cb_wrap_print(o.help, OPTION_COLUMN, OPTION_COLUMN);
        cb_text_free(&range);
        cb_text_free(&value);
        cb_text_free(&line);
    }
}

/* Each line by itself; what does not fit on it goes on a line that is indented further. */
static void print_indented(const char *text, int spaces, int further)
{
    while (*text != '\0') {
        const size_t length = strcspn(text, "\n");
        struct cb_text line = {0};
        cb_text_add_bytes(&line, text, length);
        printf("%*s", spaces, "");
        cb_wrap_print(line.data != NULL ? line.data : "", spaces, further);
        cb_text_free(&line);
        text += length + (text[length] == '\n');
    }
}

static void print_yaml(const char *text)
{
    while (*text != '\0') {
        const size_t length = strcspn(text, "\n");
        printf("  %.*s\n", (int)length, text);
        text += length + (text[length] == '\n');
    }
}

static void print_variants(const struct cb_layer_view *view)
{
    const struct cb_layer_type *type = view->type;
    if (type->variant_count > 0) {
        printf("\nkernels%s%s:\n", view->device != NULL ? " on " : " (no device to ask which of them run)",
               view->device != NULL ? view->device : "");
    }
    for (uint32_t i = 0; i < type->variant_count; i++) {
        const bool is_asked = view->variants != NULL;
        struct cb_text line = {0};
        cb_text_addf(&line, "%s/%s%s%s", cb__pass_names[type->variants[i].pass], type->variants[i].name, is_asked ? ": " : "",
                     is_asked ? view->variants[i] : "");
        printf("  ");
        cb_wrap_print(line.data != NULL ? line.data : "", 2, 4);
        cb_text_free(&line);
    }
}

void cb_layer_view_text(const struct cb_layer_view *view)
{
    const struct cb_layer *l = &view->type->layer;
    const struct cb_example *e = &view->example;
    const char *notes[16];
    struct cb_text reads = {0};
    printf("%s: ", l->name);
    cb_wrap_print(l->summary != NULL ? l->summary : "", (int)strlen(l->name) + 2, 2);
    printf("\n");
    print_indented(l->formula != NULL ? l->formula : "", 2, 6);
    printf("\n");
    if (l->min_inputs == l->max_inputs) {
        printf("%-12s%u\n", "inputs", l->min_inputs);
    } else {
        printf("%-12s%u to %u\n", "inputs", l->min_inputs, l->max_inputs);
    }
    if (e->forms != NULL) {
        printf("%-12s", "takes");
        cb_wrap_print(e->forms, 12, 12);
    }
    print_facts("input", e->x, e->x_count);
    print_facts("output", e->y, e->y_count);
    print_facts("params", e->params, e->param_count);
    print_facts("state", e->states, e->state_count);
    print_facts("kept", e->saved, e->saved_count);
    cb__backward_reads(l, &reads);
    printf("%-12sreads %s\n", "backward", reads.data);
    cb_text_free(&reads);
    if (l->options.count > 0) {
        printf("\noptions:\n");
        print_options(l);
    }
    print_variants(view);
    for (const char *const *note = cb__layer_notes(l, notes); *note != NULL; note++) {
        printf("%s", note == notes ? "\n" : "");
        cb_wrap_print(*note, 0, 2);
    }
    if (e->yaml != NULL || l->example != NULL) {
        printf("\nexample:\n");
        print_yaml(e->yaml != NULL ? e->yaml : l->example);
    }
    printf("\nplugin: %s%s\n", view->type->path, view->from == NULL ? " (built in)" : "");
    const char *shadowed;
    for (uint32_t i = 0; (shadowed = cb_registry_shadowed(view->registry, l->name, i)) != NULL; i++) {
        printf("shadowed: %s\n", shadowed);
    }
}

/* ---- JSON ---- */

static void put(struct cb_arena *arena, struct cb_value *map, const char *key, const char *text)
{
    (void)cb_map_set(arena, map, key, cb_value_text(arena, text != NULL ? text : "", NULL));
}

static void put_facts(struct cb_arena *arena, struct cb_value *map, const char *key, const struct cb_shape_fact *facts,
                      uint32_t count)
{
    struct cb_value *list = cb_value_list(arena, NULL);
    for (uint32_t i = 0; i < count; i++) {
        struct cb_value *item = cb_value_map(arena, NULL);
        put(arena, item, "name", facts[i].name);
        put(arena, item, "shape", facts[i].symbols);
        put(arena, item, "dtype", facts[i].dtype);
        (void)cb_list_append(arena, list, item);
    }
    (void)cb_map_set(arena, map, key, list);
}

/* The option as JSON Schema has it, with its key, type and help. */
static struct cb_value *option_value(struct cb_arena *arena, const struct cb_layer *l, uint32_t i)
{
    struct cb_option o;
    struct cb_value *item = cb_value_map(arena, NULL);
    struct cb_text text = {0};
    cb_options_at(&l->options, i, &o);
    put(arena, item, "key", o.key);
    put(arena, item, "type", cb__option_type(&o));
    put(arena, item, "help", o.help);
    if ((o.min != 0 || o.max != 0) && isfinite(o.min)) {
        (void)cb_map_set(arena, item, "min", cb_value_real(arena, o.min, NULL));
    }
    if ((o.min != 0 || o.max != 0) && isfinite(o.max)) {
        (void)cb_map_set(arena, item, "max", cb_value_real(arena, o.max, NULL));
    }
    if (o.choices != NULL) {
        struct cb_value *choices = cb_value_list(arena, NULL);
        for (uint32_t k = 0; o.choices[k] != NULL; k++) {
            (void)cb_list_append(arena, choices, cb_value_text(arena, o.choices[k], NULL));
        }
        (void)cb_map_set(arena, item, "choices", choices);
    }
    bool required = (o.flags & CB_OPTION_REQUIRED) != 0 && (o.flags & CB_OPTION_CLASSES) == 0;
    (void)cb_map_set(arena, item, "required", cb_value_bool(arena, required, NULL));
    if (!required) {
        cb__option_default(l, i, &text);
        put(arena, item, "default", text.data);
    }
    cb_text_free(&text);
    return item;
}

struct cb_value *cb_layer_view_json(const struct cb_layer_view *view, struct cb_arena *arena)
{
    const struct cb_layer *l = &view->type->layer;
    const struct cb_example *e = &view->example;
    struct cb_value *map = cb_value_map(arena, NULL), *options = cb_value_list(arena, NULL);
    struct cb_value *variants = cb_value_list(arena, NULL), *inputs = cb_value_map(arena, NULL);
    struct cb_text reads = {0};
    put(arena, map, "name", l->name);
    put(arena, map, "family", cb_layer_family(l));
    put(arena, map, "summary", l->summary);
    put(arena, map, "formula", l->formula);
    put(arena, map, "plugin", view->type->path);
    (void)cb_map_set(arena, map, "built_in", cb_value_bool(arena, view->from == NULL, NULL));
    struct cb_value *shadowed = cb_value_list(arena, NULL);
    const char *path;
    for (uint32_t i = 0; (path = cb_registry_shadowed(view->registry, l->name, i)) != NULL; i++) {
        (void)cb_list_append(arena, shadowed, cb_value_text(arena, path, NULL));
    }
    (void)cb_map_set(arena, map, "shadowed", shadowed);
    (void)cb_map_set(arena, inputs, "min", cb_value_int(arena, l->min_inputs, NULL));
    (void)cb_map_set(arena, inputs, "max", cb_value_int(arena, l->max_inputs, NULL));
    put(arena, inputs, "takes", e->forms);
    (void)cb_map_set(arena, map, "inputs", inputs);
    put_facts(arena, map, "x", e->x, e->x_count);
    put_facts(arena, map, "y", e->y, e->y_count);
    put_facts(arena, map, "params", e->params, e->param_count);
    put_facts(arena, map, "state", e->states, e->state_count);
    put_facts(arena, map, "kept", e->saved, e->saved_count);
    cb__backward_reads(l, &reads);
    put(arena, map, "backward_reads", reads.data);
    cb_text_free(&reads);
    for (uint32_t i = 0; i < l->options.count; i++) {
        (void)cb_list_append(arena, options, option_value(arena, l, i));
    }
    (void)cb_map_set(arena, map, "options", options);
    for (uint32_t i = 0; i < view->type->variant_count; i++) {
        struct cb_value *item = cb_value_map(arena, NULL);
        put(arena, item, "pass", cb__pass_names[view->type->variants[i].pass]);
        put(arena, item, "name", view->type->variants[i].name);
        if (view->variants != NULL) {
            put(arena, item, "here", view->variants[i]);
        }
        (void)cb_list_append(arena, variants, item);
    }
    (void)cb_map_set(arena, map, "variants", variants);
    (void)cb_map_set(arena, map, "fused", cb_value_bool(arena, l->pointwise != NULL, NULL));
    put(arena, map, "example", e->yaml != NULL ? e->yaml : l->example);
    return map;
}
