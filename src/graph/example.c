/* example.c: see example.h. */
#include "graph/example_attempt.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "graph/step.h"

/* ---- forms of input ---- */

static const struct form forms[] = {
    {"HWC", "tensor", CB_F32, {28, 28, 0}}, {"TC", "tensor", CB_F32, {24, 0}}, {"C", "tensor", CB_F32, {0}},
    {"T", "text", CB_I32, {24}},            {"", "", CB_I32, {0}},
};
#define FORM_COUNT (sizeof(forms) / sizeof(forms[0]))
static const int64_t channels[] = {3, 64, 96, 288, 576}; /* 3: a picture */
#define CHANNEL_COUNT (sizeof(channels) / sizeof(channels[0]))

char cb__attempt_letter(const struct attempt *a, uint32_t input, uint32_t d)
{
    const char letter = a->forms[input]->symbols[d];
    return input == 0 ? letter : letter == 'T' && a->has_own_t ? 'S' : letter == 'W' && a->has_own_w ? 'V' : letter;
}

struct cb_network *cb__attempt_build(const struct attempt *a, const struct variable *doubled,
                                     const struct cb_value *options)
{
    struct cb_network *net = cb_network_create(a->registry, "example");
    uint32_t wires[MAX_INPUTS], node;
    for (uint32_t i = 0; net != NULL && i < a->input_count; i++) {
        const struct form *form = a->forms[i];
        int64_t dims[4] = {1};
        uint32_t rank = (uint32_t)strlen(form->symbols);
        for (uint32_t d = 0; d < rank; d++) {
            dims[d + 1] = form->dims[d] != 0 ? form->dims[d] : a->channels;
            dims[d + 1] *= doubled != NULL && doubled->letter == cb__attempt_letter(a, i, d) ? 2 : 1;
        }
        if (cb_network_add_input(net, a->names[i], form->dtype, rank + 1, dims, NULL, &wires[i], NULL) != CB_OK) {
            cb_network_destroy(net);
            net = NULL;
        }
    }
    const char *word = a->type->layer.name;
    if (net != NULL && cb_network_add_layer(net, word, "y", options, wires, a->input_count, false, NULL, &node, NULL) !=
                           CB_OK) {
        cb_network_destroy(net);
        net = NULL;
    }
    return net;
}

/* ---- finding the forms that suit ---- */

static bool read_example(const struct cb_layer_type *type, struct cb_arena *arena, struct attempt *a)
{
    static const char *const letters[MAX_INPUTS] = {"a", "b", "c", "d"};
    static const char *const of_loss[MAX_INPUTS] = {"scores", "targets", "x2", "x3"};
    static const char *const of_features[MAX_INPUTS] = {"features", "targets", "x2", "x3"};
    const uint32_t flags = type->layer.flags;
    const char *const *defaults = (flags & CB_LAYER_EMBEDDING_LOSS) != 0 ? of_features
                                  : (flags & CB_LAYER_LOSS) != 0         ? of_loss
                                                                         : letters;
    struct cb_value *root = NULL;
    const char *text = type->layer.example;
    if (text == NULL || cb_yaml_read_text(arena, "example", text, strlen(text), &root, NULL) != CB_OK) {
        return false;
    }
    const struct cb_value *loss = cb_map_get(root, "loss"), *inputs = NULL;
    if (loss != NULL) {
        a->options = cb_map_get(loss, type->layer.name);
    }
    const struct cb_value *item = root->kind == CB_KIND_LIST && root->as.list.count > 0 ? root->as.list.items[0] : NULL;
    if (item != NULL && item->kind == CB_KIND_MAP) {
        a->options = cb_map_get(item, type->layer.name);
        inputs = cb_map_get(item, "inputs");
    }
    bool is_list = inputs != NULL && inputs->kind == CB_KIND_LIST;
    a->input_count = is_list && inputs->as.list.count <= MAX_INPUTS ? (uint32_t)inputs->as.list.count
                                                                    : type->layer.min_inputs;
    for (uint32_t i = 0; i < a->input_count && i < MAX_INPUTS; i++) {
        a->names[i] = is_list && inputs->as.list.items[i]->text != NULL ? inputs->as.list.items[i]->text : defaults[i];
    }
    if (a->input_count == 1 && !is_list) {
        a->names[0] = "x";
    }
    return a->input_count >= 1 && a->input_count <= MAX_INPUTS && (loss != NULL || item != NULL);
}

/* Tries equal forms first, then every combination; the first that is taken. */
static struct cb_network *find_forms(struct attempt *a)
{
    size_t combinations = 1;
    for (uint32_t i = 0; i < a->input_count; i++) {
        combinations *= FORM_COUNT;
    }
    for (int mixed = 0; mixed < 2; mixed++) {
        for (size_t c = 0; c < CHANNEL_COUNT; c++) {
            for (size_t n = 0; n < (mixed ? combinations : FORM_COUNT - 1); n++) {
                size_t rest = n;
                a->channels = channels[c];
                for (uint32_t i = 0; i < a->input_count; i++) {
                    a->forms[i] = &forms[mixed ? rest % FORM_COUNT : n];
                    rest /= FORM_COUNT;
                }
                const bool is_left_out =
                    a->forms[0]->symbols[0] == '\0' || (c == 0 && a->forms[0] != &forms[0] && !mixed);
                struct cb_network *net = is_left_out ? NULL : cb__attempt_build(a, NULL, a->options);
                if (net != NULL) {
                    return net;
                }
            }
        }
    }
    return NULL;
}

static void add_form(struct cb_text *text, const struct form *form)
{
    cb_text_add(text, text->length > 0 ? ", [N" : "[N");
    for (const char *c = form->symbols; *c != '\0'; c++) {
        cb_text_addf(text, ",%c", *c);
    }
    cb_text_add(text, "]");
}

static const char *forms_taken(struct attempt *a, struct cb_arena *arena)
{
    struct cb_text text = {0};
    const struct form *own = a->forms[0];
    for (size_t i = 0; i + 1 < FORM_COUNT; i++) {
        a->forms[0] = &forms[i];
        struct cb_network *net = cb__attempt_build(a, NULL, a->options);
        if (net != NULL) {
            add_form(&text, &forms[i]);
            cb_text_add(&text, forms[i].dtype == CB_I32 ? " of whole numbers" : "");
        }
        cb_network_destroy(net);
    }
    a->forms[0] = own;
    const char *copy = text.data != NULL ? cb_arena_strdup(arena, text.data) : NULL;
    cb_text_free(&text);
    return copy;
}

/* ---- the file ---- */

static void add_contract(struct cb_text *text, const struct attempt *a, uint32_t i)
{
    const struct form *form = a->forms[i];
    bool picture = form == &forms[0] && a->channels == 3;
    cb_text_addf(text, "{modality: %s, shape: ", picture ? "image" : form->modality);
    for (size_t d = 0; d < strlen(form->symbols); d++) {
        cb_text_addf(text, "%s%" PRId64, d > 0 ? ", " : "[", form->dims[d] != 0 ? form->dims[d] : a->channels);
    }
    cb_text_add(text, "]}");
}

static const char *write_file(const struct attempt *a, struct cb_arena *arena)
{
    struct cb_text text = {0};
    const char *example = a->type->layer.example, *indent = "  ";
    if ((a->type->layer.flags & CB_LAYER_LOSS) != 0) {
        cb_text_add(&text, "train:\n");
    } else if (a->input_count == 1 && strcmp(a->names[0], "x") == 0) {
        cb_text_add(&text, "input: ");
        add_contract(&text, a, 0);
        cb_text_add(&text, "\nlayers:\n");
    } else {
        cb_text_add(&text, "inputs:\n");
        for (uint32_t i = 0; i < a->input_count; i++) {
            cb_text_addf(&text, "  %s: ", a->names[i]);
            add_contract(&text, a, i);
            cb_text_add(&text, "\n");
        }
        cb_text_add(&text, "layers:\n");
    }
    for (const char *line = example; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        cb_text_add(&text, indent);
        cb_text_add_bytes(&text, line, length);
        cb_text_add(&text, "\n");
        line += length + (line[length] == '\n');
    }
    const char *copy = text.data != NULL ? cb_arena_strdup(arena, text.data) : NULL;
    cb_text_free(&text);
    return copy;
}

enum cb_status cb_example_open(struct cb_registry *registry, const struct cb_layer_type *type, struct cb_arena *arena,
                               struct cb_example *out)
{
    struct attempt a = {.registry = registry, .type = type};
    *out = (struct cb_example){0};
    if (!read_example(type, arena, &a)) {
        return CB_OK;
    }
    out->net = find_forms(&a);
    if (out->net == NULL) {
        return CB_OK;
    }
    struct cb_text shapes = {0};
    for (uint32_t i = 0; i < a.input_count; i++) {
        const struct cb_tensor *x = &out->net->wires[out->net->nodes[0].x[i]].shape;
        cb_text_add(&shapes, i > 0 ? ", [N" : "[N");
        for (uint32_t d = 1; d < x->rank; d++) {
            cb_text_addf(&shapes, ",%" PRId64, x->dims[d]);
        }
        cb_text_add(&shapes, "]");
    }
    out->inputs = shapes.data != NULL ? cb_arena_strdup(arena, shapes.data) : NULL;
    cb_text_free(&shapes);
    out->yaml = write_file(&a, arena);
    /* With more channels than a picture has, more can be doubled (groups). */
    struct attempt wide = a;
    wide.channels = a.channels < channels[1] ? channels[1] : a.channels;
    struct cb_network *other = cb__attempt_build(&wide, NULL, a.options);
    bool ok = cb__attempt_symbols(other != NULL ? &wide : &a, other != NULL ? other : out->net, out, arena) &&
              out->inputs != NULL && out->yaml != NULL;
    cb_network_destroy(other);
    out->forms = a.input_count == 1 ? forms_taken(&a, arena) : NULL;
    return ok ? CB_OK : CB_MEMORY;
}

void cb_example_close(struct cb_example *example)
{
    cb_network_destroy(example->net);
    example->net = NULL;
}

/* ---- on a device ---- */

static const char *caps_text(uint64_t caps, struct cb_arena *arena)
{
    static const char *const names[] = {"tile", "group", "subgroup", "fp16"};
    char text[80] = "";
    for (int i = 0; i < 4; i++) {
        size_t used = strlen(text);
        if ((caps & (1u << i)) != 0) {
            snprintf(text + used, sizeof(text) - used, "%s%s", used > 0 ? ", " : "", names[i]);
        }
    }
    return cb_arena_printf(arena, "declined: needs %s, which this device does not have", text);
}

enum cb_status cb_example_variants(const struct cb_example *example, struct cb_device *device, struct cb_arena *arena,
                                   const char ***out, struct cb_diag *diag)
{
    const struct cb_layer_type *type = example->net->nodes[0].type;
    const uint32_t outputs[] = {example->net->nodes[0].y[0]};
    const struct cb_plan_request request = {.batch = 2, .outputs = outputs, .output_count = 1};
    struct cb_store *store = NULL;
    struct cb_plan *plan = NULL;
    const char **said = CB_NEW_ARRAY(arena, const char *, type->variant_count + 1);
    bool taken[CB_PASS_COUNT] = {false};
    enum cb_status status = said != NULL ? cb_store_create(example->net, device, false, &store, diag) : CB_MEMORY;
    status = status == CB_OK ? cb_plan_create(store, &request, &plan, diag) : status;
    for (uint32_t i = 0; status == CB_OK && i < type->variant_count; i++) {
        const struct cb_variant *v = &type->variants[i];
        uint64_t missing = v->needs & ~(uint64_t)cb_device_get_facts(device)->caps;
        if (missing != 0) {
            said[i] = caps_text(missing, arena);
        } else if (plan->step_count > 0 && v->accepts != NULL && !v->accepts(&plan->steps[0].in)) {
            said[i] = cb_arena_printf(arena, "declined: not for %s with the example's options", example->inputs);
        } else {
            said[i] = taken[v->pass] ? "could run" : "runs";
            taken[v->pass] = true;
        }
    }
    cb_plan_destroy(plan);
    cb_store_destroy(store);
    *out = said;
    return status;
}
