/* plugin_build.c: `cambium plugin build [FOLDER|FILE.c...] [--install]`: NAME.c and its kernel files become NAME.so.
 *
 * The kernel files (NAME.cl, NAME_*.cl, and every .clh of the folder) go into the shared object, so that it is a whole layer:
 * a header with their texts is written beside the compiler's other temporary files, and layer.h includes it. What was built
 * is then loaded, and NAME.cl compiled on the device, if there is one: whoever wrote a mistake reads it now. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/file.h"
#include "cli/plugin.h"
#include "graph/network.h"
#include "graph/pointwise.h"

#define MAX_BYTES (4u << 20)
#define MAX_WORDS 128

/* One layer that is being built. */
struct building {
    struct cb_cli *cli;
    const char *source, *folder, *word; /* "own/swoosh.c", "own", "swoosh" */
    const char *target;                 /* ".../swoosh.so" */
    const char *scratch;                /* a folder of our own */
    uint32_t kernel_count;
};

/* ---- the kernel files, as a header ----------------------------------------------------------------------------------- */

static bool belongs(const char *name, const char *word)
{
    const char *ending = cb_path_extension(name);
    const size_t length = strlen(word);
    return strcmp(ending, ".clh") == 0 || (strcmp(ending, ".cl") == 0 && strncmp(name, word, length) == 0 &&
                                           (name[length] == '.' || name[length] == '_'));
}

static void add_literal(struct cb_text *out, const char *text)
{
    cb_text_add(out, "\"");
    for (const char *p = text; *p != '\0'; p++) {
        const unsigned char c = (unsigned char)*p;
        if (c == '\n') {
            cb_text_add(out, "\\n\"\n     \"");
        } else if (c == '"' || c == '\\') {
            cb_text_addf(out, "\\%c", c);
        } else if (c < ' ' || c == '?' || c > '~') { /* trigraphs, and bytes of any encoding */
            cb_text_addf(out, "\\%03o", c);
        } else {
            cb_text_add_bytes(out, p, 1);
        }
    }
    cb_text_add(out, "\"");
}

static enum cb_status write_header(struct building *b, const char *path)
{
    struct cb_arena *arena = b->cli->arena;
    struct cb_diag *diag = b->cli->diag;
    char **names = NULL;
    size_t count = 0;
    struct cb_text out = {0};
    CB_TRY(cb_folder_list(arena, b->folder, &names, &count, NULL, diag));
    cb_text_add(&out, "#pragma GCC system_header\nstatic const struct cb_kernel_file cb_kernel_files[] = {\n");
    enum cb_status status = CB_OK;
    for (size_t i = 0; i < count && status == CB_OK; i++) {
        char *file = cb_path_join(arena, b->folder, names[i]), *text = NULL;
        size_t bytes = 0;
        if (!belongs(names[i], b->word) || cb_path_is_folder(file)) {
            continue;
        }
        status = cb_file_read(arena, file, MAX_BYTES, &text, &bytes, NULL, diag);
        char *whole = realpath(file, NULL);
        if (status == CB_OK) {
            cb_text_add(&out, "    {");
            add_literal(&out, names[i]);
            cb_text_add(&out, ", ");
            add_literal(&out, whole != NULL ? whole : file);
            cb_text_add(&out, ",\n     ");
            add_literal(&out, text);
            cb_text_add(&out, "},\n");
            b->kernel_count++;
        }
        free(whole);
    }
    cb_text_add(&out, "};\n");
    if (status == CB_OK) {
        status = out.failed ? cb_fail(diag, CB_MEMORY, NULL, "out of memory")
                            : cb_file_write_atomic(path, out.data, out.length, diag);
    }
    cb_text_free(&out);
    return status;
}

/* ---- the compiler ---------------------------------------------------------------------------------------------------- */

struct words {
    const char *list[MAX_WORDS + 1];
    size_t count;
};

static void add_word(struct words *w, const char *word)
{
    if (word != NULL && w->count < MAX_WORDS) {
        w->list[w->count++] = word;
        w->list[w->count] = NULL;
    }
}

/* The words of a variable, or of `fallback` where it is not set. */
static void add_words_of(struct words *w, struct cb_arena *arena, const char *variable, const char *fallback)
{
    const char *text = getenv(variable);
    for (text = text != NULL && *text != '\0' ? text : fallback; *text != '\0';) {
        const size_t blanks = strspn(text, " \t"), length = strcspn(text + blanks, " \t");
        if (length > 0) {
            add_word(w, cb_arena_strndup(arena, text + blanks, length));
        }
        text += blanks + length;
    }
}

static enum cb_status compile(struct building *b, const char *header, const char *object)
{
    static const char *const fixed[] = {
        "-std=c11", "-O2", "-Wall", "-Wextra", "-Wno-missing-field-initializers", "-shared", "-fPIC",
        "-fvisibility=hidden", "-ffp-contract=off",
        "-Werror=implicit-function-declaration" /* else it would only be refused when it is loaded */};
    struct cb_arena *arena = b->cli->arena;
    struct cb_diag *diag = b->cli->diag;
    const char *include = cb_resource_path(arena, "include");
    struct words w = {0};
    if (include == NULL) {
        return cb_fail(diag, CB_NOT_FOUND, NULL, "`include/cambium/layer.h`, which is installed with Cambium, is missing");
    }
    add_words_of(&w, arena, "CC", "cc");
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        add_word(&w, fixed[i]);
    }
    add_words_of(&w, arena, "CFLAGS", "");
    add_word(&w, "-I");
    add_word(&w, include);
    if (b->kernel_count > 0) {
        add_word(&w, cb_arena_printf(arena, "-DCB_KERNELS_HEADER=\"%s\"", header));
    }
    add_word(&w, "-o");
    add_word(&w, object);
    add_word(&w, b->source);
    add_words_of(&w, arena, "LDFLAGS", "");
    add_word(&w, "-lm");
    const struct cb_child child = cb_child_run(arena, w.list, 0.0, true);
    if (child.end == CB_CHILD_NOT_RUN) {
        return cb_fail(diag, CB_NOT_FOUND, NULL, "the C compiler `%s` cannot be started: %s; install one (gcc or clang), or name yours in CC",
                       w.list[0], strerror(child.code));
    }
    if (child.end != CB_CHILD_EXITED || child.code != 0) {
        enum cb_status status = cb_fail(diag, CB_INVALID, NULL, "`%s` does not compile", b->source);
        cb_diag_attach(diag, child.said != NULL && child.said[0] != '\0' ? child.said : "the compiler did not say why");
        return status;
    }
    if (child.said != NULL && child.said[0] != '\0' && !b->cli->quiet) {
        fprintf(stderr, "%s", child.said); /* warnings */
    }
    return CB_OK;
}

/* ---- trying what was built ------------------------------------------------------------------------------------------- */

static enum cb_status try_kernels(struct building *b, const struct cb_layer_type *type, struct cb_device *device)
{
    char *path = cb_arena_printf(b->cli->arena, "%s/%s.cl", b->folder, b->word);
    if (!cb_path_exists(path)) {
        return type->layer.pointwise == NULL
                   ? CB_OK
                   : cb_fail(b->cli->diag, CB_NOT_FOUND, NULL, "`%s` has no `%s` beside it, where its function stands",
                             b->source, path);
    }
    if (device == NULL) {
        return CB_OK;
    }
    enum cb_status status = type->layer.pointwise != NULL ? cb_pointwise_compiles(type, path, device, b->cli->diag)
                                                          : cb_kernel_compiles(device, NULL, path, b->cli->diag);
    return status == CB_DEVICE ? CB_INVALID : status; /* the file is at fault, not the device */
}

static enum cb_status try_plugin(struct building *b, struct cb_device *device)
{
    struct cb_registry *registry = cb_registry_create(&cb__host);
    const struct cb_layer_type *type = NULL;
    enum cb_status status = registry != NULL ? CB_OK : cb_fail(b->cli->diag, CB_MEMORY, NULL, "out of memory");
    if (status == CB_OK) {
        status = cb_registry_add_folder(registry, cb_path_folder(b->cli->arena, b->target), NULL, b->cli->diag);
    }
    if (status == CB_OK) {
        status = cb_registry_find(registry, b->word, NULL, &type, b->cli->diag);
    }
    if (status == CB_OK) {
        status = try_kernels(b, type, device);
    }
    cb_registry_destroy(registry);
    return status;
}

/* A kernel file beside the shared object is read before the one inside: an older one must not stay. */
static enum cb_status renew_kernels(struct building *b)
{
    struct cb_arena *arena = b->cli->arena;
    char *from = cb_arena_printf(arena, "%s/%s.cl", b->folder, b->word), *text = NULL;
    char *to = cb_arena_printf(arena, "%s/%s.cl", cb_path_folder(arena, b->target), b->word);
    size_t bytes = 0;
    if (!cb_path_exists(to) || !cb_path_exists(from)) {
        return CB_OK;
    }
    CB_TRY(cb_file_read(arena, from, MAX_BYTES, &text, &bytes, NULL, b->cli->diag));
    return cb_file_write_atomic(to, text, bytes, b->cli->diag);
}

static void say(const struct building *b, const struct cb_device *device, bool installed)
{
    struct cb_arena *arena = b->cli->arena;
    const char *name = device != NULL ? cb_device_get_info(device)->name : NULL;
    if (b->cli->json) {
        struct cb_value *map = cb_value_map(arena, NULL);
        (void)cb_map_set(arena, map, "layer", cb_value_text(arena, b->word, NULL));
        (void)cb_map_set(arena, map, "plugin", cb_value_text(arena, b->target, NULL));
        (void)cb_map_set(arena, map, "kernels", cb_value_int(arena, b->kernel_count, NULL));
        if (name != NULL) {
            (void)cb_map_set(arena, map, "device", cb_value_text(arena, name, NULL));
        }
        cb_cli_print_json(map);
        return;
    }
    printf("built %s with %u kernel file%s inside%s%s\n", b->target, b->kernel_count, b->kernel_count == 1 ? "" : "s",
           name != NULL ? "; it compiles for " : "; there is no OpenCL device to compile it for", name != NULL ? name : "");
    if (installed) {
        printf("every task knows the layer `%s` now; next: cambium plugin check %s\n", b->word, b->word);
    } else {
        printf("a task finds it with `plugins: [%s]`; next: cambium plugin check %s\n", b->folder, b->target);
    }
}

static enum cb_status build_one(struct building *b, struct cb_device *device)
{
    struct cb_cli *cli = b->cli;
    const bool installs = cb_cli_has(cli, "--install");
    const char *folder = installs ? cb_cli_plugin_folder(cli) : b->folder;
    if (folder == NULL) {
        return CB_IO;
    }
    b->target = cb_arena_printf(cli->arena, "%s/%s.so", folder, b->word);
    char *header = cb_path_join(cli->arena, b->scratch, "kernels.h");
    char *object = cb_arena_printf(cli->arena, "%s/.%s.so.%ld", folder, b->word, (long)getpid());
    CB_TRY(write_header(b, header));
    enum cb_status status = compile(b, header, object);
    if (status == CB_OK && rename(object, b->target) != 0) {
        status = cb_fail(cli->diag, CB_IO, NULL, "`%s` cannot be written: %s", b->target, strerror(errno));
    }
    if (status != CB_OK) {
        unlink(object);
        return status;
    }
    status = installs ? renew_kernels(b) : CB_OK;
    if (status == CB_OK) {
        status = try_plugin(b, device);
    }
    if (status != CB_OK) {
        unlink(b->target); /* a layer that cannot be used would be an error in every task */
        return status;
    }
    say(b, device, installs);
    return CB_OK;
}

/* ---- what is to be built --------------------------------------------------------------------------------------------- */

/* A C file without an entry is no layer (a folder may hold other programs). */
static bool is_plugin_source(struct cb_arena *arena, const char *path)
{
    char *text = NULL;
    size_t bytes = 0;
    return strcmp(cb_path_extension(path), ".c") == 0 &&
           cb_file_read(arena, path, MAX_BYTES, &text, &bytes, NULL, NULL) == CB_OK &&
           (strstr(text, "CB_PLUGIN") != NULL || strstr(text, "cb_plugin_entry") != NULL);
}

static enum cb_status build_file(struct cb_cli *cli, const char *path, const char *scratch, struct cb_device *device)
{
    struct building b = {.cli = cli, .source = path, .folder = cb_path_folder(cli->arena, path),
                         .word = cb_path_stem(cli->arena, path), .scratch = scratch};
    if (!cb_path_exists(path) || strcmp(cb_path_extension(path), ".c") != 0) {
        return cb_fail(cli->diag, CB_NOT_FOUND, NULL, "`%s` is no folder, and no C file of a layer", path);
    }
    return build_one(&b, device);
}

static enum cb_status build_folder(struct cb_cli *cli, const char *folder, const char *scratch, struct cb_device *device)
{
    char **names = NULL;
    size_t count = 0;
    uint32_t found = 0;
    enum cb_status worst = CB_OK;
    CB_TRY(cb_folder_list(cli->arena, folder, &names, &count, NULL, cli->diag));
    for (size_t i = 0; i < count; i++) {
        char *path = cb_path_join(cli->arena, folder, names[i]);
        if (path == NULL || !is_plugin_source(cli->arena, path)) {
            continue;
        }
        found++;
        enum cb_status status = build_file(cli, path, scratch, device);
        worst = status != CB_OK ? status : worst;
    }
    return found > 0 ? worst
                     : cb_fail(cli->diag, CB_NOT_FOUND, NULL, "there is no layer in `%s`: a C file with CB_PLUGIN", folder);
}

int cb_cli_plugin_build(struct cb_cli *cli)
{
    const char *base = getenv("TMPDIR");
    char *scratch = cb_arena_printf(cli->arena, "%s/cambium-build-XXXXXX", base != NULL && *base != '\0' ? base : "/tmp");
    struct cb_device *device = NULL;
    if (scratch == NULL || mkdtemp(scratch) == NULL) {
        return cb_cli_finish(cli, cb_fail(cli->diag, CB_IO, NULL, "no temporary folder: %s", strerror(errno)));
    }
    /* Without one asked for, a machine without a device may build too. */
    enum cb_status status = cb_device_open(cli->device, &device, cli->device != NULL ? cli->diag : NULL);
    status = cli->device != NULL ? status : CB_OK;
    for (size_t i = 1; status == CB_OK && (i < cli->argument_count || i == 1); i++) {
        const char *path = i < cli->argument_count ? cli->arguments[i] : ".";
        status = cb_path_is_folder(path) ? build_folder(cli, path, scratch, device)
                                         : build_file(cli, path, scratch, device);
    }
    cb_device_close(device);
    (void)cb_remove_tree(scratch, NULL);
    return cb_cli_finish(cli, status);
}
