/* layer_page.c: a layer as a page of docs/layers: the same headings on each, nothing that depends on a machine; and the
 * page that lists them. */
#include <ctype.h>
#include <string.h>

#include "base/options.h"
#include "cli/layer_view.h"

static void add_facts(struct cb_text *out, const struct cb_shape_fact *facts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        cb_text_addf(out, "| `%s` | `%s` | %s |\n", facts[i].name, facts[i].symbols, facts[i].dtype);
    }
}

/* A table's cell: `|` would end it. */
static void add_cell(struct cb_text *out, const char *text)
{
    for (; text != NULL && *text != '\0'; text++) {
        cb_text_add_bytes(out, *text == '|' ? "\\|" : text, *text == '|' ? 2 : 1);
    }
}

static void add_options(struct cb_text *out, const struct cb_layer *l)
{
    if (l->options.count == 0) {
        cb_text_add(out, "None.\n");
        return;
    }
    cb_text_add(out, "| option | type | range | default | |\n|---|---|---|---|---|\n");
    for (uint32_t i = 0; i < l->options.count; i++) {
        struct cb_option o;
        struct cb_text range = {0}, value = {0};
        cb_options_at(&l->options, i, &o);
        cb__option_range(&o, &range);
        cb__option_default(l, i, &value);
        cb_text_addf(out, "| `%s` | %s | ", o.key, cb__option_type(&o));
        add_cell(out, range.data);
        cb_text_addf(out, " | %s | ", value.data);
        add_cell(out, o.help);
        cb_text_add(out, " |\n");
        cb_text_free(&range);
        cb_text_free(&value);
    }
}

static void add_variants(struct cb_text *out, const struct cb_layer_type *type)
{
    static const char *const caps[] = {"tile", "group", "subgroup", "fp16"};
    if (type->variant_count == 0) {
        cb_text_add(out, type->layer.pointwise != NULL ? "Made by the core from two functions in the layer's `.cl`.\n"
                                                       : "None: nothing runs.\n");
        return;
    }
    cb_text_add(out, "The first of a pass whose needs the device has and that takes the shapes; the last runs everywhere. "
                     "[Variants](../variants.md) says\nhow to choose others.\n\n"
                     "| pass | variant | needs |\n|---|---|---|\n");
    for (uint32_t i = 0; i < type->variant_count; i++) {
        const struct cb_variant *v = &type->variants[i];
        cb_text_addf(out, "| %s | %s |", cb__pass_names[v->pass], v->name);
        for (int k = 0; k < 4; k++) {
            cb_text_addf(out, "%s%s", (v->needs & (1u << k)) != 0 ? " " : "", (v->needs & (1u << k)) != 0 ? caps[k] : "");
        }
        cb_text_add(out, " |\n");
    }
}

static void add_types(struct cb_text *out, const struct cb_example *e)
{
    bool takes_ids = false;
    for (uint32_t i = 0; i < e->x_count; i++) {
        takes_ids = takes_ids || strcmp(e->x[i].dtype, "int32") == 0;
    }
    cb_text_addf(out, "Values, params and gradients are float32%s.\n", takes_ids ? "; whole numbers are int32, without gradient" : "");
}

static void add_limits(struct cb_text *out, const struct cb_layer *l, const struct cb_example *e)
{
    const size_t before = out->length;
    if (e->forms != NULL) {
        cb_text_addf(out, "- With the example's options it takes %s, and nothing else that was tried.\n", e->forms);
    }
    if (l->max_inputs > 1 && l->max_inputs != l->min_inputs) {
        cb_text_addf(out, "- At most %u inputs.\n", l->max_inputs);
    }
    if ((l->flags & CB_LAYER_NO_GRADIENT) != 0) {
        cb_text_add(out, "- No gradient passes through it.\n");
    }
    if ((l->flags & CB_LAYER_LOSS) != 0 && l->min_inputs > 2) {
        cb_text_add(out, "- A task has one head and its targets: this is for programs that build their own network, with "
                         "`cb_network_add_layer`.\n");
    } else if ((l->flags & CB_LAYER_EMBEDDING_LOSS) != 0) {
        cb_text_add(out, "- It stands under `train: {loss: ...}` of a task that says `test: none` and makes features with `model: "
                         "{head: ...}`; a head\n  is then trained on them with `backbone: run:NAME`.\n");
    } else if ((l->flags & CB_LAYER_LOSS) != 0) {
        cb_text_add(out, "- It stands under `train: {loss: ...}`, never in a list of layers.\n");
    }
    if (out->length == before) {
        cb_text_add(out, "None but the ranges of its options.\n");
    }
}

/* A sentence of its own: "Two-dimensional convolution."; "x times ..." keeps its small x. */
static void add_sentence(struct cb_text *out, const char *text)
{
    const bool is_word = isalpha((unsigned char)text[0]) && (isalpha((unsigned char)text[1]) || text[0] == 'a');
    cb_text_addf(out, "%c%s.", is_word ? toupper((unsigned char)text[0]) : text[0], text[0] != '\0' ? text + 1 : "");
}

/* Of a heading, as GitHub and GitLab make it: "linear maps" becomes "linear-maps". */
static void add_anchor(struct cb_text *out, const char *heading)
{
    for (; *heading != '\0'; heading++) {
        cb_text_addf(out, "%c", *heading == ' ' ? '-' : tolower((unsigned char)*heading));
    }
}

static bool type_has_kernels(const struct cb_layer_type *type)
{
    return type->layer.pointwise != NULL || type->variant_count > 0;
}

static bool has_prime(const struct cb_example *e)
{
    for (uint32_t i = 0; i < e->x_count + e->y_count + e->param_count + e->state_count; i++) {
        if (strchr(e->x[i].symbols, '\'') != NULL) { /* y, params and states lie behind x */
            return true;
        }
    }
    return false;
}

void cb_layer_view_page(const struct cb_layer_view *view, struct cb_text *out)
{
    const struct cb_layer *l = &view->type->layer;
    const struct cb_example *e = &view->example;
    const char *notes[16];
    cb_text_addf(out, CB_PAGE_MARK " from plugins/%s.c: change that. -->\n# %s\n\n", l->name, l->name);
    add_sentence(out, l->summary != NULL ? l->summary : l->name);
    cb_text_addf(out, "\n\nFamily: [%s](README.md#", cb_layer_family(l));
    add_anchor(out, cb_layer_family(l));
    cb_text_add(out, ")\n");
    cb_text_addf(out, "\n## Formula\n\n```\n%s\n```\n", l->formula != NULL ? l->formula : "");
    cb_text_add(out, "\n## Inputs and outputs\n\n");
    if (l->min_inputs == l->max_inputs) {
        cb_text_addf(out, "%u input%s", l->min_inputs, l->min_inputs == 1 ? "" : "s");
    } else {
        cb_text_addf(out, "%u to %u inputs", l->min_inputs, l->max_inputs);
    }
    cb_text_addf(out, ", %s%u output%s.", e->y_count > 0 && e->y_count < l->output_count ? "up to " : "", l->output_count,
                 l->output_count == 1 ? "" : "s");
    if (e->forms != NULL) {
        cb_text_addf(out, " It takes %s.", e->forms);
    }
    cb_text_add(out, has_prime(e) ? " A size with a prime follows from the one without.\n" : "\n");
    cb_text_add(out, "\n| | shape | data type |\n|---|---|---|\n");
    add_facts(out, e->x, e->x_count);
    add_facts(out, e->y, e->y_count);
    cb_text_add(out, "\n## Options\n\n");
    add_options(out, l);
    cb_text_add(out, "\n## Params\n\n");
    if (e->param_count + e->state_count == 0) {
        cb_text_add(out, "None.\n");
    } else {
        cb_text_add(out, "| | shape | data type |\n|---|---|---|\n");
        add_facts(out, e->params, e->param_count);
        add_facts(out, e->states, e->state_count);
    }
    if (e->state_count > 0) {
        cb_text_addf(out, "\nThe last %u: state, saved in files and never trained.\n", e->state_count);
    }
    cb_text_add(out, "\n## Forward and backward\n\nBackward reads ");
    cb__backward_reads(l, out);
    cb_text_add(out, ".");
    for (uint32_t i = 0; i < e->saved_count; i++) {
        cb_text_addf(out, "%s`%s` %s", i == 0 ? " Forward keeps " : ", ", e->saved[i].symbols, e->saved[i].dtype);
    }
    cb_text_add(out, e->saved_count > 0 ? ".\n" : "\n");
    for (const char *const *note = cb__layer_notes(l, notes); *note != NULL; note++) {
        cb_text_addf(out, "%s\n", *note);
    }
    cb_text_add(out, "\n## Data types\n\n");
    add_types(out, e);
    cb_text_add(out, "\n## Limits\n\n");
    add_limits(out, l, e);
    cb_text_add(out, "\n## Variants\n\n");
    add_variants(out, view->type);
    cb_text_addf(out, "\n## Example\n\n```yaml\n%s%s```\n", e->yaml != NULL ? e->yaml : l->example, e->yaml != NULL ? "" : "\n");
    cb_text_addf(out, "\n## Source\n\n[plugins/%s.c](../../plugins/%s.c)", l->name, l->name);
    if (type_has_kernels(view->type)) {
        cb_text_addf(out, ", [cl/%s.cl](../../cl/%s.cl)", l->name, l->name);
    }
    cb_text_addf(out, "; values from elsewhere in `tests/layers/%s.yaml`.\n", l->name);
}

void cb_layer_index_page(const struct cb_layer_type *const *types, size_t count, struct cb_text *out)
{
    const char *family = "";
    cb_text_addf(out, CB_PAGE_MARK ": change the plugins. -->\n# The layers\n\n%zu layers. N is the batch, H and W height and "
                      "width, T places in a sequence, C channels, which\nare always last; S and V are T and W of a further "
                      "input where they may differ. Tensors have up to %d dimensions.\nA page says what `cambium layers NAME` "
                      "prints on this machine.\n", count, CB_MAX_RANK);
    for (size_t i = 0; i < count; i++) {
        const struct cb_layer *l = &types[i]->layer;
        if (strcmp(cb_layer_family(l), family) != 0) {
            family = cb_layer_family(l);
            cb_text_addf(out, "\n## %c%s\n\n| | |\n|---|---|\n", toupper((unsigned char)family[0]), family + 1);
        }
        cb_text_addf(out, "| [%s](%s.md) | ", l->name, l->name);
        add_cell(out, l->summary);
        cb_text_add(out, " |\n");
    }
}
