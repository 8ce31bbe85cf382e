/* example_symbols.c: the shapes of a layer as symbols, found by doubling one size after the other and looking what
 * follows. See example.h. */
#include <inttypes.h>
#include <string.h>

#include "graph/example_attempt.h"
#include "graph/step.h"

#define MAX_VARIABLES 24

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
    struct cb_network *net = s->count < MAX_VARIABLES ? cb__attempt_build(a, &v, options) : NULL;
    if (net != NULL && infer(net, &s->scratch)) {
        collect(net, &s->scratch, &s->others[s->count]);
        if (s->others[s->count].count == s->base.count) {
            s->variables[s->count] = v;
            s->values[s->count++] = value;
        }
    }
    cb_network_destroy(net);
}

/* The options that are whole numbers, doubled one after the other; one that may be negative is a place, not a size. */
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
        if (value > 0 && o->min >= 0.0 && cb_map_set(arena, options, o->key, cb_value_int(arena, 2 * value, NULL))) {
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

/* Size `k` as a product of variables ("C/groups"), with a prime where it follows them in another way ("H'"), or a
 * number. */
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

/* A layer whose second input may have another length or width than the first: that gets a letter of its own. */
static void find_own(struct attempt *a, char letter, bool *has_own)
{
    *has_own = true;
    const struct variable v = {.letter = letter};
    struct cb_network *net = a->input_count > 1 ? cb__attempt_build(a, &v, a->options) : NULL;
    *has_own = net != NULL;
    cb_network_destroy(net);
}

bool cb__attempt_symbols(struct attempt *a, struct cb_network *net, struct cb_example *out, struct cb_arena *arena)
{
    struct search *s = CB_NEW(arena, struct search);
    const struct cb_node *node = &net->nodes[0];
    if (s == NULL || !infer(net, &s->inferred)) {
        return false;
    }
    collect(net, &s->inferred, &s->base);
    find_own(a, 'T', &a->has_own_t);
    find_own(a, 'W', &a->has_own_w);
    for (const char *c = "HWVTSC"; *c != '\0'; c++) {
        int64_t value = 0;
        for (uint32_t i = 0; i < a->input_count; i++) {
            for (uint32_t d = 0; a->forms[i]->symbols[d] != '\0'; d++) {
                int64_t fixed = a->forms[i]->dims[d] != 0 ? a->forms[i]->dims[d] : a->channels;
                value = cb__attempt_letter(a, i, d) == *c ? fixed : value;
            }
        }
        if (value > 0) {
            try_variable(a, s, (struct variable){.letter = *c}, value, a->options);
        }
    }
    try_options(a, s, node, arena);
    const struct cb_inference *inferred = &s->inferred;
    const bool is_loss = (a->type->layer.flags & CB_LAYER_LOSS) != 0;
    out->x = CB_NEW_ARRAY(arena, struct cb_shape_fact, 2 * 64 + 96 + 16);
    if (out->x == NULL) {
        return false;
    }
    struct cb_shape_fact *next = out->x;
    uint32_t at = 0;
    for (uint32_t i = 0; i < node->x_count; i++) {
        const struct cb_wire *wire = &net->wires[node->x[i]];
        const char *name = node->x_count == 1 ? "x" : a->names[i];
        *next++ = fact(s, &at, name, wire->shape.dtype, wire->shape.rank, true, arena);
    }
    out->y = next;
    for (uint32_t i = 0; i < node->y_count; i++) {
        const struct cb_wire *wire = &net->wires[node->y[i]];
        const char *name = is_loss ? (i == 0 ? "loss" : "weight")
                           : node->y_count == 1 ? "y" : cb_arena_printf(arena, "y%u", i);
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
