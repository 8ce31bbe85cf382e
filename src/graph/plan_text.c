/* plan_text.c: what a plan runs, in words. */
#include <string.h>

#include "graph/step.h"

const char *const cb__pass_words[CB_PASS_COUNT] = {"forward", "backward", "dx", "dw", "fit"};

void cb__step_write_text(struct cb_plan *plan, struct cb_step *step)
{
    struct cb_text text = {0};
    const struct cb_variant *v = step->passes[CB_PASS_FORWARD].variant;
    const char *separator = "; "; /* before the passes of backward */
    cb_text_add(&text, step->is_view ? "view" : step->is_copy ? "pointwise" : v->name);
    for (uint32_t n = step->is_copy ? 1 : 0; n < step->op_count; n++) {
        cb_text_addf(&text, " + %s%s", plan->net->nodes[step->ops[n].node].name, step->ops[n].folded ? " (folded)" : "");
    }
    step->variant_text = text.data != NULL ? cb_arena_strdup(plan->arena, text.data) : NULL;
    for (uint32_t pass = CB_PASS_BACKWARD; pass <= CB_PASS_DW; pass++) {
        if (step->passes[pass].variant != NULL) {
            cb_text_addf(&text, "%s%s %s", separator, cb__pass_words[pass], step->passes[pass].variant->name);
            separator = ", ";
        }
    }
    step->passes_text = text.data != NULL ? cb_arena_strdup(plan->arena, text.data) : NULL;
    cb_text_free(&text);
}

const char *cb_plan_node_variant(const struct cb_plan *plan, uint32_t node)
{
    for (uint32_t i = 0; i < plan->step_count; i++) {
        if (plan->steps[i].node == node) {
            return plan->steps[i].passes_text;
        }
    }
    return NULL;
}

void cb_plan_describe(const struct cb_plan *plan, struct cb_text *out)
{
    for (uint32_t i = 0; i < plan->step_count; i++) {
        const struct cb_step *step = &plan->steps[i];
        const struct cb_node *node = &plan->net->nodes[step->node];
        cb_text_addf(out, "%-28s %s/%s\n", node->name, node->type->layer.name, step->variant_text);
    }
}

/* Steps from `first` on that run the same variant of the same layer; 0 when one before it does. */
static uint32_t count_alike(const struct cb_plan *plan, uint32_t first, uint32_t pass)
{
    const struct cb_step *one = &plan->steps[first];
    uint32_t count = 0;
    for (uint32_t i = 0; i < plan->step_count; i++) {
        const struct cb_step *step = &plan->steps[i];
        const bool same = step->passes[pass].variant == one->passes[pass].variant &&
                          plan->net->nodes[step->node].type == plan->net->nodes[one->node].type;
        if (same && i < first) {
            return 0;
        }
        count += same ? 1 : 0;
    }
    return count;
}

void cb_plan_count_variants(const struct cb_plan *plan, struct cb_text *out)
{
    bool any_pass = false;
    for (uint32_t pass = 0; pass < CB_PASS_COUNT; pass++) {
        bool any = false;
        for (uint32_t i = 0; i < plan->step_count; i++) {
            const struct cb_step *step = &plan->steps[i];
            const uint32_t count = step->passes[pass].variant != NULL ? count_alike(plan, i, pass) : 0;
            if (count == 0) {
                continue;
            }
            if (any) {
                cb_text_add(out, ", ");
            } else {
                cb_text_addf(out, "%s%s: ", any_pass ? "; " : "", cb__pass_words[pass]);
            }
            any = any_pass = true;
            cb_text_addf(out, "%s %s %u", plan->net->nodes[step->node].type->layer.name, step->passes[pass].variant->name,
                         count);
        }
    }
}
