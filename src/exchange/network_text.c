/* network_text.c: see network_text.h. */
#include "exchange/network_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"

/* ---- values -------------------------------------------------------------------------------------------------------- */

void cb_value_print_flow(const struct cb_value *value, struct cb_text *out)
{
    const bool is_list = value->kind == CB_KIND_LIST;
    if (!is_list && value->kind != CB_KIND_MAP) {
        struct cb_text line = {0};
        cb_value_to_yaml(value, &line); /* a scalar and a line's end */
        /* in a flow a comma or bracket would end it: those are quoted by cb_value_to_yaml anyway */
        cb_text_add_bytes(out, line.data, line.length > 0 ? line.length - 1 : 0);
        cb_text_free(&line);
        return;
    }
    const size_t count = is_list ? value->as.list.count : value->as.map.count;
    cb_text_add(out, is_list ? "[" : "{");
    for (size_t i = 0; i < count; i++) {
        cb_text_add(out, i > 0 ? ", " : "");
        if (!is_list) {
            const struct cb_value key = {.kind = CB_KIND_TEXT, .text = value->as.map.entries[i].key};
            cb_value_print_flow(&key, out);
            cb_text_add(out, ": ");
        }
        cb_value_print_flow(is_list ? value->as.list.items[i] : value->as.map.entries[i].value, out);
    }
    cb_text_add(out, is_list ? "]" : "}");
}

static const struct cb_value *without_defaults(struct cb_arena *arena, const struct cb_contract *c)
{
    struct cb_value *map = cb_contract_to_value(arena, c), *shown = cb_value_map(arena, NULL);
    bool is_scaled = false;
    for (uint32_t i = 0; i < CB_MAX_CHANNELS && i < (uint32_t)c->shape[c->rank - 1]; i++) {
        is_scaled = is_scaled || c->mean[i] != 0.0 || c->std[i] != 1.0;
    }
    for (size_t i = 0; map != NULL && shown != NULL && i < map->as.map.count; i++) {
        const struct cb_entry *entry = &map->as.map.entries[i];
        const bool is_picture = c->modality == CB_IMAGE;
        const bool is_for_pictures = strcmp(entry->key, "resize") == 0 || strcmp(entry->key, "filter") == 0;
        const bool is_fraction = strcmp(entry->key, "crop_fraction") == 0;
        if ((is_for_pictures && !is_picture) || (is_fraction && (!is_picture || c->resize != CB_RESIZE_CROP)) ||
            (strcmp(entry->key, "scale") == 0 && !is_picture && !is_scaled)) {
            continue;
        }
        (void)cb_map_set(arena, shown, entry->key, entry->value);
    }
    return shown;
}

void cb_contract_print(struct cb_arena *arena, const struct cb_contract *contract, struct cb_text *out)
{
    const struct cb_value *map = without_defaults(arena, contract);
    size_t column = strlen("input: {");
    cb_text_add(out, "input: {");
    for (size_t i = 0; map != NULL && i < map->as.map.count; i++) {
        const struct cb_entry *entry = &map->as.map.entries[i];
        struct cb_text piece = {0};
        cb_text_addf(&piece, "%s: ", entry->key);
        cb_value_print_flow(entry->value, &piece);
        if (i > 0 && column + piece.length > 112) {
            cb_text_add(out, ",\n        ");
            column = 8;
        } else if (i > 0) {
            cb_text_add(out, ", ");
            column += 2;
        }
        cb_text_add_bytes(out, piece.data, piece.length);
        column += piece.length;
        cb_text_free(&piece);
    }
    cb_text_add(out, "}\n");
}

/* ---- the number of outputs ----------------------------------------------------------------------------------------- */

/* Where it stands: the value that is the number itself, in the layer's options or among the parameters. */
static struct cb_value *find_outputs(const struct cb_value *file, const struct cb_network_changes *changes)
{
    const struct cb_value *layers = cb_map_get(file, "layers"), *parameters = cb_map_get(file, "parameters");
    for (size_t i = 0; layers != NULL && layers->kind == CB_KIND_LIST && i < layers->as.list.count; i++) {
        const struct cb_value *item = layers->as.list.items[i], *name = cb_map_get(item, "name");
        if (name == NULL || name->text == NULL || strcmp(name->text, changes->output_layer) != 0) {
            continue;
        }
        for (size_t k = 0; k < item->as.map.count; k++) {
            const struct cb_value *options = item->as.map.entries[k].value;
            for (size_t o = 0; options->kind == CB_KIND_MAP && o < options->as.map.count; o++) {
                struct cb_value *value = options->as.map.entries[o].value;
                if (value->kind == CB_KIND_INT && value->as.integer == changes->old_outputs) {
                    return value;
                }
                /* $classes or $(classes) */
                const char *word = value->kind == CB_KIND_TEXT && value->text[0] == '$' ? value->text + 1 : NULL;
                char key[64];
                if (word != NULL && sscanf(word, "(%63[a-zA-Z0-9_])", key) != 1) {
                    snprintf(key, sizeof(key), "%s", word);
                }
                struct cb_value *parameter = word != NULL ? cb_map_get(parameters, key) : NULL;
                if (parameter != NULL && parameter->kind == CB_KIND_INT && parameter->as.integer == changes->old_outputs) {
                    return parameter;
                }
            }
        }
    }
    return NULL;
}

/* Copies maps and lists on the way to the value, so that nothing that is shared changes: the whole tree, which is small. */
bool cb_network_set_outputs(struct cb_arena *arena, struct cb_value *file, const struct cb_network_changes *changes)
{
    struct cb_value *copy = cb_value_clone(arena, file);
    struct cb_value *value = copy != NULL ? find_outputs(copy, changes) : NULL;
    struct cb_value *number = cb_value_int(arena, changes->outputs, NULL);
    if (value == NULL || number == NULL) {
        return false;
    }
    number->at = value->at;
    *value = *number;
    file->as.map = copy->as.map;
    return true;
}

/* ---- the file's own text ------------------------------------------------------------------------------------------- */

struct rewriting {
    struct cb_arena *arena;
    const struct cb_backbone *backbone;
    const struct cb_network_changes *changes;
    const char *text;
    struct cb_value *raw; /* the file as it stands */
    struct cb_text out;
};

static const char *line_start(const char *text, int line)
{
    while (line-- > 1 && *text != '\0') {
        const char *end = strchr(text, '\n');
        text = end != NULL ? end + 1 : text + strlen(text);
    }
    return text;
}

/* Where the section of a top-level key begins: at the comments right above it. */
static const char *section_start(const struct rewriting *r, size_t i)
{
    const char *start = line_start(r->text, r->raw->as.map.entries[i].at.line);
    while (start > r->text) {
        const char *above = start - 1;
        while (above > r->text && above[-1] != '\n') {
            above--;
        }
        if (*above != '#') {
            break;
        }
        start = above;
    }
    return start;
}

static bool is_one_of(const char *key, const char *const *words)
{
    while (*words != NULL && strcmp(*words, key) != 0) {
        words++;
    }
    return *words != NULL;
}

static void print_comment(struct rewriting *r)
{
    const char *line = r->changes->comment;
    while (line != NULL && *line != '\0') {
        const size_t length = strcspn(line, "\n");
        cb_text_addf(&r->out, "# %.*s\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
}

static void print_labels(struct rewriting *r)
{
    const struct cb_value *labels = r->changes->labels;
    size_t column = strlen("labels: [");
    cb_text_add(&r->out, "labels: [");
    for (size_t i = 0; i < labels->as.list.count; i++) {
        struct cb_text piece = {0};
        cb_value_print_flow(labels->as.list.items[i], &piece);
        if (i > 0) {
            const bool wraps = column + piece.length > 116;
            cb_text_add(&r->out, wraps ? ",\n  " : ", ");
            column = wraps ? 2 : column + 2;
        }
        cb_text_add_bytes(&r->out, piece.data, piece.length);
        column += piece.length;
        cb_text_free(&piece);
    }
    cb_text_add(&r->out, "]\n");
}

static bool is_name_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Whether a parameter is spoken of anywhere but among the parameters, which have their values now, the weights, or the
 * models. */
static bool is_used(const struct rewriting *r, const char *word)
{
    static const char *const silent[] = {"parameters", "models",      "weights", "names", "source",
                                         "licence",    "labels", "huggingface", "gguf",  NULL};
    const size_t length = strlen(word);
    for (size_t i = 0; i < r->raw->as.map.count; i++) {
        const char *start = line_start(r->text, r->raw->as.map.entries[i].at.line);
        const char *end = i + 1 < r->raw->as.map.count ? line_start(r->text, r->raw->as.map.entries[i + 1].at.line)
                                                       : r->text + strlen(r->text);
        for (const char *at = start; !is_one_of(r->raw->as.map.entries[i].key, silent) && at + length <= end; at++) {
            if (memcmp(at, word, length) == 0 && (at == start || !is_name_letter(at[-1])) && !is_name_letter(at[length])) {
                return true;
            }
        }
    }
    return false;
}

/* What stands behind a parameter in its line: " # of the 3x3 convolution". */
static void print_remark(struct rewriting *r, const char *parameter)
{
    const struct cb_entry *entry = cb_map_entry(cb_map_get(r->raw, "parameters"), parameter);
    const char *line = entry != NULL ? line_start(r->text, entry->at.line) : "";
    const size_t length = strcspn(line, "\n");
    const char *remark = strstr(line, " # ");
    if (remark != NULL && (size_t)(remark - line) < length) {
        cb_text_add_bytes(&r->out, remark, length - (size_t)(remark - line));
    }
}

static void print_settled(struct rewriting *r, const char *key)
{
    const struct cb_value *value = cb_map_get(r->backbone->file, key);
    const bool is_map = value->kind == CB_KIND_MAP;
    if (is_map && value->as.map.count > 0) { /* a line each: this is what a person changes */
        cb_text_addf(&r->out, "%s:\n", key);
        for (size_t i = 0; i < value->as.map.count; i++) {
            if (!is_used(r, value->as.map.entries[i].key)) {
                continue; /* it was for the weights of the models */
            }
            cb_text_addf(&r->out, "  %s: ", value->as.map.entries[i].key);
            cb_value_print_flow(value->as.map.entries[i].value, &r->out);
            print_remark(r, value->as.map.entries[i].key);
            cb_text_add(&r->out, "\n");
        }
        return;
    }
    cb_text_addf(&r->out, "%s: ", key);
    cb_value_print_flow(value, &r->out);
    cb_text_add(&r->out, "\n");
}

/* A section as it stands, with the number of outputs in it replaced when that is where it stands. */
static void print_verbatim(struct rewriting *r, const char *start, const char *end)
{
    const struct cb_value *number = r->changes->output_layer != NULL ? find_outputs(r->raw, r->changes) : NULL;
    const char *at = number != NULL ? line_start(r->text, number->at.line) + number->at.column - 1 : NULL;
    const size_t length = number != NULL ? strlen(number->text) : 0;
    if (at != NULL && at >= start && at + length <= end && memcmp(at, number->text, length) == 0) {
        cb_text_add_bytes(&r->out, start, (size_t)(at - start));
        cb_text_addf(&r->out, "%" PRId64, r->changes->outputs);
        start = at + length;
    }
    cb_text_add_bytes(&r->out, start, (size_t)(end - start));
}

static void print_section(struct rewriting *r, size_t i)
{
    static const char *const left_out[] = {"models",  "weights", "names", "source",
                                          "licence", "labels",  "huggingface", "gguf", "own_input", NULL};
    const struct cb_value *raw = r->raw;
    const char *key = raw->as.map.entries[i].key, *text_end = r->text + strlen(r->text);
    const char *start = i > 0 ? section_start(r, i) : line_start(r->text, raw->as.map.entries[0].at.line);
    const char *end = i + 1 < raw->as.map.count ? section_start(r, i + 1) : text_end;
    const bool is_own_form = cb_map_get(raw, "models") == NULL && !r->changes->is_settled;
    const struct cb_contract *contract = r->changes->contract;
    if (is_one_of(key, left_out)) {
        return;
    }
    if (strcmp(key, "name") == 0) {
        const struct cb_value name = {.kind = CB_KIND_TEXT, .text = r->changes->name};
        cb_text_add(&r->out, "name: ");
        cb_value_print_flow(&name, &r->out);
        cb_text_add(&r->out, "\n");
    } else if (strcmp(key, "input") == 0 && (contract != NULL || !is_own_form)) {
        cb_contract_print(r->arena, contract != NULL ? contract : &r->backbone->contract, &r->out);
    } else if ((strcmp(key, "parameters") == 0 || strcmp(key, "output") == 0 || strcmp(key, "replace") == 0) && !is_own_form) {
        print_settled(r, key);
    } else {
        print_verbatim(r, start, end);
        return;
    }
    const char *blank = end; /* the empty lines that followed it stay */
    while (blank - 1 > start && blank[-1] == '\n' && blank[-2] == '\n') {
        blank--;
    }
    cb_text_add_bytes(&r->out, blank, (size_t)(end - blank));
}

/* The comment at the top of the file, which speaks of the whole. */
static void print_top(struct rewriting *r)
{
    const char *end = line_start(r->text, r->raw->as.map.entries[0].at.line);
    print_comment(r);
    if (end > r->text && r->changes->comment != NULL) {
        cb_text_add(&r->out, "#\n");
    }
    cb_text_add_bytes(&r->out, r->text, (size_t)(end - r->text));
}

static enum cb_status edit_text(struct rewriting *r, struct cb_diag *diag)
{
    size_t bytes;
    char *text;
    CB_TRY(cb_file_read(r->arena, r->backbone->path, CB_YAML_MAX_BYTES, &text, &bytes, NULL, diag));
    r->text = text;
    CB_TRY(cb_yaml_read_text(r->arena, r->backbone->path, text, bytes, &r->raw, diag));
    const struct cb_value *raw = r->raw;
    bool is_block = raw->kind == CB_KIND_MAP && raw->as.map.count > 0;
    for (size_t i = 0; is_block && i < raw->as.map.count; i++) { /* keys at the beginning of lines, in their order */
        const struct cb_place *at = &raw->as.map.entries[i].at;
        is_block = at->column == 1 && (i == 0 || at->line > raw->as.map.entries[i - 1].at.line);
    }
    if (!is_block) {
        return CB_UNSUPPORTED;
    }
    print_top(r);
    for (size_t i = 0; i < raw->as.map.count; i++) {
        print_section(r, i);
    }
    if (r->changes->labels != NULL) {
        cb_text_add(&r->out, "\n");
        print_labels(r);
    }
    return r->out.failed ? CB_MEMORY : CB_OK;
}

/* ---- proof --------------------------------------------------------------------------------------------------------- */

static bool same_network(const struct cb_network *a, const struct cb_network *b)
{
    bool same = a->node_count == b->node_count && a->param_count == b->param_count;
    for (uint32_t i = 0; same && i < a->param_count; i++) {
        const struct cb_param *x = &a->params[i], *y = &b->params[i];
        same = strcmp(x->name, y->name) == 0 && x->decl.rank == y->decl.rank &&
               memcmp(x->decl.dims, y->decl.dims, x->decl.rank * sizeof(x->decl.dims[0])) == 0;
    }
    for (uint32_t i = 0; same && i < a->node_count; i++) {
        const struct cb_tensor *x = &a->wires[a->nodes[i].y[0]].shape, *y = &b->wires[b->nodes[i].y[0]].shape;
        same = strcmp(a->nodes[i].name, b->nodes[i].name) == 0 && x->rank == y->rank &&
               memcmp(x->dims, y->dims, x->rank * sizeof(x->dims[0])) == 0;
    }
    return same;
}

static bool reads_back(const struct rewriting *r, const struct cb_network *wanted)
{
    struct cb_value *file;
    struct cb_network *net = cb_network_create(wanted->registry, r->changes->name);
    bool is_right = net != NULL &&
                    cb_yaml_read_text(net->arena, "<imported>", r->out.data, r->out.length, &file, NULL) == CB_OK &&
                    cb_network_read(net, file, NULL, ".", NULL) == CB_OK && same_network(net, wanted);
    cb_network_destroy(net);
    return is_right;
}

/* Every layer by itself: right always, long, and without comments. */
static enum cb_status write_flat(struct rewriting *r, const struct cb_network *wanted, struct cb_diag *diag)
{
    struct cb_value *file = cb_network_to_value(wanted, r->arena);
    if (file == NULL || !cb_map_set(r->arena, file, "name", cb_value_text(r->arena, r->changes->name, NULL))) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    print_comment(r);
    cb_value_to_yaml(file, &r->out);
    if (r->changes->labels != NULL) {
        print_labels(r);
    }
    return CB_OK;
}

enum cb_status cb_network_rewrite(struct cb_arena *arena, const struct cb_backbone *backbone,
                                  const struct cb_network_changes *changes, const struct cb_network *wanted,
                                  char **out_yaml, struct cb_diag *diag)
{
    struct rewriting r = {.arena = arena, .backbone = backbone, .changes = changes};
    enum cb_status status = backbone->run == NULL ? edit_text(&r, diag) : CB_UNSUPPORTED;
    if (status == CB_UNSUPPORTED || (status == CB_OK && !reads_back(&r, wanted))) {
        cb_text_free(&r.out);
        status = write_flat(&r, wanted, diag);
    }
    *out_yaml = status == CB_OK && !r.out.failed ? cb_arena_strdup(arena, r.out.data) : NULL;
    cb_text_free(&r.out);
    return status != CB_OK || *out_yaml != NULL ? status : cb_fail(diag, CB_MEMORY, NULL, "out of memory");
}
