/* pointwise.c: see pointwise.h. */
#include "graph/pointwise.h"

#include <ctype.h>
#include <string.h>

#include "base/file.h"
#include "base/options.h"

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Appends the layer's text with every identifier NAME_... renamed to NAME_..._WIDTH, so that it can stand once for each
 * width in a program, and exp to cb_exp: a macro would reach what follows, and be undone with the driver's own. */
static void add_renamed(struct cb_text *out, const char *text, const char *name, const char *suffix)
{
    static const char fast[] = "cb_exp";
    size_t length = strlen(name);
    for (const char *p = text; *p != '\0';) {
        if (!is_word(*p)) {
            cb_text_add_bytes(out, p++, 1);
            continue;
        }
        size_t word = 1;
        while (is_word(p[word])) {
            word++;
        }
        if (word == 3 && strncmp(p, fast + 3, word) == 0) {
            cb_text_add_bytes(out, fast, 3);
        }
        cb_text_add_bytes(out, p, word);
        if (word > length && strncmp(p, name, length) == 0 && p[length] == '_') {
            cb_text_add(out, suffix);
        }
        p += word;
    }
}

enum cb_status cb_pointwise_text(struct cb_arena *arena, const struct cb_layer *layer, const char *path,
                                 const struct cb_place *at, struct cb_text *out, struct cb_diag *diag)
{
    static const char *const widths[2][3] = {{"float", "int", "__1"}, {"float16", "int16", "__16"}};
    const char *text = NULL, *shown = NULL;
    size_t bytes = 0;
    CB_TRY(cb_kernel_read(arena, path, at, &text, &bytes, &shown, diag));
    cb_text_add(out, "#include \"exp.clh\"\n");
    for (int w = 0; w < 2; w++) {
        cb_text_addf(out, "#define vec %s\n#define ivec %s\n#line 1 \"%s\"\n", widths[w][0], widths[w][1], shown);
        add_renamed(out, text, layer->name, widths[w][2]);
        cb_text_add(out, "\n#undef vec\n#undef ivec\n");
    }
    return CB_OK;
}

/* Calls both functions with as many arguments as there are options. */
static void add_calls(struct cb_text *out, const struct cb_layer *layer)
{
    cb_text_add(out, "#line 1 \"a network that uses it\"\n");
    for (int wide = 0; wide < 2; wide++) {
        const char *type = wide ? "float16" : "float", *suffix = wide ? "__16" : "__1";
        cb_text_addf(out, "%s cb_try%s(%s v) { return %s_f%s(v", type, suffix, type, layer->name, suffix);
        for (uint32_t i = 0; i < layer->options.count; i++) {
            cb_text_add(out, ", 1.0f");
        }
        cb_text_addf(out, ") + %s_df%s(v", layer->name, suffix);
        for (uint32_t i = 0; i < layer->options.count; i++) {
            cb_text_add(out, ", 1.0f");
        }
        cb_text_add(out, "); }\n");
    }
}

static void note_rule(const struct cb_layer *layer, struct cb_diag *diag)
{
    struct cb_text options = {0};
    for (uint32_t i = 0; i < layer->options.count; i++) {
        struct cb_option option;
        cb_options_at(&layer->options, i, &option);
        cb_text_addf(&options, ", float %s", option.key);
    }
    const char *more = options.data != NULL && !options.failed ? options.data : "";
    cb_note(diag, NULL, "`%s.cl` must define `vec %s_f(vec x%s)` and `vec %s_df(vec %s%s)`; it is compiled for float and for "
            "float16 in one program, so every name that it defines begins with `%s_`", layer->name, layer->name, more,
            layer->name, layer->pointwise->df_reads == CB_NEEDS_Y ? "y" : "x", more, layer->name);
    cb_text_free(&options);
}

enum cb_status cb_pointwise_compiles(const struct cb_layer_type *type, const char *path, struct cb_device *device,
                                     struct cb_diag *diag)
{
    const struct cb_layer *layer = &type->layer;
    struct cb_arena *arena = cb_arena_create();
    struct cb_text text = {0};
    if (arena == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    path = path != NULL ? path : cb_kernel_path(arena, layer->name, type->folder);
    char *around = cb_kernel_path(arena, "core/pointwise", NULL);
    enum cb_status status = path == NULL ? cb_fail(diag, CB_NOT_FOUND, NULL, "the kernel file `%s.cl` is missing", layer->name)
                            : around == NULL ? cb_fail(diag, CB_NOT_FOUND, NULL, "`cl/core/pointwise.cl` is missing")
                                             : cb_pointwise_text(arena, layer, path, NULL, &text, diag);
    if (status == CB_OK) {
        add_calls(&text, layer);
        status = text.failed ? cb_fail(diag, CB_MEMORY, NULL, "out of memory")
                             : cb_kernel_compiles(device, text.data, around, diag);
        if (status == CB_DEVICE) { /* the file is at fault, not the device */
            note_rule(layer, diag);
            status = CB_INVALID;
        }
    }
    cb_text_free(&text);
    cb_arena_destroy(arena);
    return status;
}
