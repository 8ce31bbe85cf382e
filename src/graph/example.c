/* example.c: see example.h. */
#include "graph/example.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "graph/step.h"

#define MAX_INPUTS 4
#define MAX_VARIABLES 24

/* ---- forms of input ---- */

struct form {
    const char *symbols; /* a letter a dimension, without N */
    const char *modality;
    enum cb_dtype dtype;
    int64_t dims[3]; /* 0: the channels that are tried */
};
static const struct form forms[] = {
    {"HWC", "tensor", CB_F32, {28, 28, 0}}, {"TC", "tensor", CB_F32, {24, 0}}, {"C", "tensor", CB_F32, {0}},
    {"T", "text", CB_I32, {24}},            {"", "", CB_I32, {0}},
};
#define FORM_COUNT (sizeof(forms) / sizeof(forms[0]))
static const int64_t channels[] = {3, 64, 96, 288, 576}; /* 3: a picture */
#define CHANNEL_COUNT (sizeof(channels) / sizeof(channels[0]))

/* The example as it is tried: a layer with options over inputs. */
struct attempt {
    struct cb_registry *registry;
    const struct cb_layer_type *type;
    const struct cb_value *options;
    const char *names[MAX_INPUTS];
    const struct form *forms[MAX_INPUTS];
    uint32_t input_count;
    int64_t channels;
};

/* Which size is doubled: one of the input's letters, or an option. */
struct variable {
    char letter;
    const char *option;
};

static struct cb_network *build(const struct attempt *a, const struct variable *doubled, const struct cb_value *options)
{
    struct cb_network *net = cb_network_create(a->registry, "example");
    uint32_t wires[MAX_INPUTS], node;
    for (uint32_t i = 0; net != NULL && i < a->input_count; i++) {
        const struct form *form = a->forms[i];
        int64_t dims[4] = {1};
        uint32_t rank = (uint32_t)strlen(form->symbols);
        for (uint32_t d = 0; d < rank; d++) {
            dims[d + 1] = form->dims[d] != 0 ? form->dims[d] : a->channels;
            dims[d + 1] *= doubled != NULL && doubled->letter == form->symbols[d] ? 2 : 1;
        }
        if (cb_network_add_input(net, a->names[i], form->dtype, rank + 1, dims, NULL, &wires[i], NULL) != CB_OK) {
            cb_network_destroy(net);
            net = NULL;
        }
    }
    if (net != NULL && cb_network_add_layer(net, a->type->layer.name, "y", options, wires, a->input_count, false, NULL, &node,
                                            NULL) != CB_OK) {
        cb_network_destroy(net);
        net = NULL;
    }
    return net;
}

/* ---- finding the forms that suit ---- */

static bool read_example(const struct cb_layer_type *type, struct cb_arena *arena, struct attempt *a)
{
    static const char *const letters[MAX_INPUTS] = {"a", "b", "c", "d"};
    static const char *const of_loss[MAX_INPUTS] = {"scores", "targets", "c", "d"};
    const char *const *defaults = (type->layer.flags & CB_LAYER_LOSS) != 0 ? of_loss : letters;
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
                struct cb_network *net =
                    a->forms[0]->symbols[0] == '\0' || (c == 0 && a->forms[0] != &forms[0] && !mixed) ? NULL
                                                                                     : build(a, NULL, a->options);
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
        struct cb_network *net = build(a, NULL, a->options);
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

/* ---- symbols ---- */

/* All sizes of a layer, one after the other. */
struct sizes {
    uint32_t count;
    int64_t dims[96 * CB_MAX_RANK];
};

static void add_sizes(struct sizes *s, uint32_t rank, const int64_t *dims)
{
    for (uint32_t d = 0; d < rank && s->count < sizeof(s->dims) / sizeof(s->dims[0]); d++) {
        s->dims[s->count++] = dims[d];
    }
}

static bool infer(const struct cb_network *net, struct cb_inference *out)
{
    struct cb_tensor x[MAX_INPUTS];
    const struct cb_tensor *pointers[MAX_INPUTS];
    const struct cb_node *node = &net->nodes[0];
    for (uint32_t i = 0; i < node->x_count; i++) {
        x[i] = net->wires[node->x[i]].shape;
        pointers[i] = &x[i];
    }
    return cb__network_infer(net, node, pointers, out, NULL) == CB_OK;
}

static void collect(const struct cb_network *net, const struct cb_inference *inferred, struct sizes *out)
{
    const struct cb_node *node = &net->nodes[0];
    out->count = 0;
    for (uint32_t i = 0; i < node->x_count; i++) {
        add_sizes(out, net->wires[node->x[i]].shape.rank, net->wires[node->x[i]].shape.dims);
    }
    for (uint32_t i = 0; i < node->y_count; i++) {
        add_sizes(out, net->wires[node->y[i]].shape.rank, net->wires[node->y[i]].shape.dims);
    }
    for (uint32_t i = 0; i < inferred->param_count; i++) {
        add_sizes(out, inferred->params[i].rank, inferred->params[i].dims);
    }
    for (uint32_t i = 0; i < inferred->state_count; i++) {
        add_sizes(out, inferred->states[i].rank, inferred->states[i].dims);
    }
    for (uint32_t i = 0; i < inferred->saved_count; i++) {
        add_sizes(out, inferred->saved[i].rank, inferred->saved[i].dims);
    }
}

struct search {
    struct sizes base, others[MAX_VARIABLES];
    struct variable variables[MAX_VARIABLES];
    int64_t values[MAX_VARIABLES]; /* of the variable, undoubled */
    uint32_t count;
    struct cb_inference inferred, scratch;
};

static void try_variable(const struct attempt *a, struct search *s, struct variable v, int64_t value,
                         const struct cb_value *options)
{
    struct cb_network *net = s->count < MAX_VARIABLES ? build(a, &v, options) : NULL;
    if (net != NULL && infer(net, &s->scratch)) {
        collect(net, &s->scratch, &s->others[s->count]);
        if (s->others[s->count].count == s->base.count) {
            s->variables[s->count] = v;
            s->values[s->count++] = value;
        }
    }
    cb_network_destroy(net);
}

/* The options that are whole numbers, doubled one after the other. */
static void try_options(const struct attempt *a, struct search *s, const struct cb_node *node, struct cb_arena *arena)
{
    const struct cb_layer *layer = &a->type->layer;
    for (uint32_t i = 0; i < layer->options.count; i++) {
        const struct cb_option *o =
            (const struct cb_option *)((const char *)layer->options.items + (size_t)i * layer->options.stride);
        const char *at = (const char *)node->options + o->offset;
        int64_t value = 0;
        if (o->type == CB_OPT_INT) {
            memcpy(&value, at, sizeof(value));
        } else if (o->type == CB_OPT_INTS) {
            struct cb_list list;
            memcpy(&list, at, sizeof(list));
            value = list.count > 0 ? ((const int64_t *)list.items)[0] : 0;
            for (uint32_t k = 1; k < list.count; k++) {
                value = ((const int64_t *)list.items)[k] == value ? value : 0;
            }
        }
        struct cb_value *options = a->options != NULL && a->options->kind == CB_KIND_MAP
                                       ? cb_value_clone(arena, a->options) : cb_value_map(arena, NULL);
        if (value > 0 && cb_map_set(arena, options, o->key, cb_value_int(arena, 2 * value, NULL))) {
            try_variable(a, s, (struct variable){.option = o->key}, value, options);
        }
    }
}

static void add_variable(struct cb_text *text, const struct variable *v)
{
    if (v->option != NULL) {
        cb_text_add(text, v->option);
    } else {
        cb_text_addf(text, "%c", v->letter);
    }
}

/* Size `k` as a product of variables ("C/groups"), with a prime where it follows them in another way ("H'"), or a number. */
static void add_symbol(struct cb_text *text, const struct search *s, uint32_t k)
{
    int64_t base = s->base.dims[k], top = 1, bottom = 1;
    struct cb_text product = {0}, divisor = {0};
    const struct variable *other = NULL;
    for (uint32_t v = 0; v < s->count; v++) {
        int64_t size = s->others[v].dims[k];
        if (size == base) {
            continue;
        }
        if (size == 2 * base) {
            cb_text_add(&product, product.length > 0 ? "*" : "");
            add_variable(&product, &s->variables[v]);
            top *= s->values[v];
        } else if (2 * size == base) {
            cb_text_add(&divisor, "/");
            add_variable(&divisor, &s->variables[v]);
            bottom *= s->values[v];
        } else {
            other = other == NULL ? &s->variables[v] : other;
        }
    }
    int64_t whole = base * bottom, factor = whole % top == 0 ? whole / top : 0;
    int64_t part = factor == 0 && whole > 0 && top % whole == 0 ? top / whole : 0; /* C/2 */
    if (base == 0) {
        cb_text_add(text, "0");
    } else if (other != NULL || (product.length + divisor.length > 0 && factor + part == 0)) {
        const struct variable *named = other;
        for (uint32_t v = s->count; v-- > 0;) { /* an input's letter rather than an option */
            named = s->others[v].dims[k] != base && s->variables[v].option == NULL ? &s->variables[v] : named;
        }
        if (named != NULL) {
            add_variable(text, named);
            cb_text_add(text, "'");
        } else {
            cb_text_addf(text, "%" PRId64, base);
        }
    } else if (product.length + divisor.length == 0) {
        cb_text_addf(text, "%" PRId64, base);
    } else {
        if (factor > 1 || (product.length == 0 && factor > 0)) {
            cb_text_addf(text, product.length > 0 ? "%" PRId64 "*" : "%" PRId64, factor);
        }
        cb_text_add(text, product.length > 0 ? product.data : "");
        cb_text_add(text, divisor.length > 0 ? divisor.data : "");
        if (part > 1) {
            cb_text_addf(text, "/%" PRId64, part);
        }
    }
    cb_text_free(&product);
    cb_text_free(&divisor);
}

static const char *dtype_name(uint32_t dtype)
{
    static const char *const names[] = {"float32", "float16", "int32", "uint8"};
    return names[dtype <= CB_U8 ? dtype : CB_F32];
}

/* The shape whose first size is `*at`; moves `*at` behind it. */
static struct cb_shape_fact fact(const struct search *s, uint32_t *at, const char *name, uint32_t dtype, uint32_t rank,
                                 bool has_batch, struct cb_arena *arena)
{
    struct cb_text text = {0};
    cb_text_add(&text, "[");
    for (uint32_t d = 0; d < rank; d++) {
        cb_text_add(&text, d > 0 ? ", " : "");
        if (d == 0 && has_batch && s->base.dims[*at] == 1) {
            cb_text_add(&text, "N");
        } else {
            add_symbol(&text, s, *at + d);
        }
    }
    cb_text_add(&text, "]");
    *at += rank;
    struct cb_shape_fact out = {name, text.data != NULL ? cb_arena_strdup(arena, text.data) : "", dtype_name(dtype)};
    cb_text_free(&text);
    return out;
}

static bool find_symbols(const struct attempt *a, struct cb_network *net, struct cb_example *out, struct cb_arena *arena)
{
    struct search *s = CB_NEW(arena, struct search);
    const struct cb_node *node = &net->nodes[0];
    if (s == NULL || !infer(net, &s->inferred)) {
        return false;
    }
    collect(net, &s->inferred, &s->base);
    for (const char *c = "HWTC"; *c != '\0'; c++) {
        int64_t value = 0;
        for (uint32_t i = 0; i < a->input_count; i++) {
            const char *found = strchr(a->forms[i]->symbols, *c);
            if (found != NULL) {
                int64_t fixed = a->forms[i]->dims[found - a->forms[i]->symbols];
                value = fixed != 0 ? fixed : a->channels;
            }
        }
        if (value > 0) {
            try_variable(a, s, (struct variable){.letter = *c}, value, a->options);
        }
    }
    try_options(a, s, node, arena);
    const struct cb_inference *inferred = &s->inferred;
    out->x = CB_NEW_ARRAY(arena, struct cb_shape_fact, 2 * 64 + 96 + 16);
    if (out->x == NULL) {
        return false;
    }
    struct cb_shape_fact *next = out->x;
    uint32_t at = 0;
    for (uint32_t i = 0; i < node->x_count; i++) {
        const struct cb_wire *wire = &net->wires[node->x[i]];
        *next++ = fact(s, &at, node->x_count == 1 ? "x" : a->names[i], wire->shape.dtype, wire->shape.rank, true, arena);
    }
    out->y = next;
    for (uint32_t i = 0; i < node->y_count; i++) {
        const struct cb_wire *wire = &net->wires[node->y[i]];
        const char *name = node->y_count == 1 ? "y" : cb_arena_printf(arena, "y%u", i);
        *next++ = fact(s, &at, name, wire->shape.dtype, wire->shape.rank, true, arena);
    }
    out->params = next;
    for (uint32_t i = 0; i < inferred->param_count; i++) {
        *next++ = fact(s, &at, inferred->params[i].name, CB_F32, inferred->params[i].rank, false, arena);
    }
    out->states = next;
    for (uint32_t i = 0; i < inferred->state_count; i++) {
        *next++ = fact(s, &at, inferred->states[i].name, CB_F32, inferred->states[i].rank, false, arena);
    }
    out->saved = next;
    for (uint32_t i = 0; i < inferred->saved_count; i++) {
        *next++ = fact(s, &at, "", inferred->saved[i].dtype, inferred->saved[i].rank, true, arena);
    }
    out->x_count = node->x_count;
    out->y_count = node->y_count;
    out->param_count = inferred->param_count;
    out->state_count = inferred->state_count;
    out->saved_count = inferred->saved_count;
    return true;
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
    struct cb_network *other = build(&wide, NULL, a.options);
    bool ok = find_symbols(other != NULL ? &wide : &a, other != NULL ? other : out->net, out, arena) && out->inputs != NULL && out->yaml != NULL;
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
