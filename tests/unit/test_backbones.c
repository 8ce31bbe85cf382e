/* test_backbones.c: what the files in configs/backbones say in their comments is true: the number of params, which in a
 * family stands behind each network's name on the same line, "resnet18 11,689,512". */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "graph/family.h"
#include "graph/network.h"

#define FOLDER CB_SOURCE_ROOT "/configs/backbones"

static struct cb_arena *arena;
static struct cb_diag *diag;
static struct cb_registry *registry;

static void must(enum cb_status status, const char *name)
{
    for (size_t i = 0; status != CB_OK && cb_diag_text(diag, i) != NULL; i++) {
        fprintf(stderr, "%s\n", cb_diag_text(diag, i));
    }
    if (status != CB_OK) {
        fail_msg("%s: %s", name, cb_status_name(status));
    }
}

static int64_t count_params(const struct cb_value *file, const char *member, const char *name)
{
    struct cb_value *settled;
    struct cb_network *net = cb_network_create(registry, name);
    assert_non_null(net);
    must(cb_family_settle(arena, file, member, &settled, diag), name);
    must(cb_network_read(net, settled, NULL, FOLDER, diag), name);
    int64_t count = 0;
    for (uint32_t i = 0; i < net->param_count; i++) {
        count += net->params[i].is_state ? 0 : net->params[i].count;
    }
    cb_network_destroy(net);
    return count;
}

static bool is_in_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '-';
}

/* The first number of more than three digits between `at` and the end of the line; 0: there is none. */
static int64_t number_behind(const char *at)
{
    while (*at != '\0' && *at != '\n') {
        int64_t number = 0;
        bool is_own = isdigit((unsigned char)*at) && !is_in_name(at[-1]);
        while (isdigit((unsigned char)*at) || (number > 0 && *at == ',' && isdigit((unsigned char)at[1]))) {
            number = *at == ',' ? number : number * 10 + (*at - '0');
            at++;
        }
        if (is_own && number > 999) {
            return number;
        }
        at += *at != '\0' && *at != '\n' && !isdigit((unsigned char)*at);
    }
    return 0;
}

/* True when a comment gives `name` ("": no name) that many; `*out_other` is another number that one gives it, else 0. */
static bool is_said(const char *text, const char *name, int64_t count, int64_t *out_other)
{
    const size_t length = strlen(name);
    *out_other = 0;
    for (const char *line = text; line != NULL; line = strchr(line, '\n'), line += line != NULL) {
        const char *end = strchr(line, '\n');
        const char *hash = memchr(line, '#', end != NULL ? (size_t)(end - line) : strlen(line));
        for (const char *at = hash; at != NULL && (at = strstr(at, name)) != NULL && (end == NULL || at < end); at++) {
            bool is_part = length > 0 && (is_in_name(at[-1]) || is_in_name(at[length]));
            int64_t number = is_part ? 0 : number_behind(at + length);
            if (number == count) {
                return true;
            }
            *out_other = number > 0 ? number : *out_other;
        }
    }
    return false;
}

static void every_network_has_as_many_params_as_its_file_says(void **state)
{
    const char **names;
    size_t count = 0, wrong = 0;
    (void)state;
    must(cb_family_names(arena, FOLDER, &names, &count, diag), FOLDER);
    assert_true(count > 40);
    for (size_t i = 0; i < count; i++) {
        char *path, *text;
        size_t length;
        const char *member;
        struct cb_value *file;
        int64_t other;
        must(cb_family_find(arena, FOLDER, names[i], &path, &file, &member, diag), names[i]);
        must(cb_file_read(arena, path, 1 << 20, &text, &length, NULL, diag), path);
        int64_t params = count_params(file, member, names[i]);
        if (!is_said(text, member != NULL ? names[i] : "", params, &other)) {
            fprintf(stderr, "%s has %lld params, but its file says %lld\n", names[i], (long long)params, (long long)other);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

/* `replace: s4` cuts a stage away, with the shortcut that begins at its input. */
static void a_block_is_cut_where_it_begins(void **state)
{
    char *path;
    const char *member;
    struct cb_value *file;
    uint32_t wire;
    (void)state;
    struct cb_network *net = cb_network_create(registry, "regnet");
    assert_non_null(net);
    must(cb_family_find(arena, FOLDER, "regnet_y_400mf", &path, &file, &member, diag), "regnet_y_400mf");
    must(cb_family_settle(arena, file, member, &file, diag), path);
    must(cb_network_read(net, file, NULL, FOLDER, diag), path);
    must(cb_network_cut(net, "s4", NULL, &wire, diag), "s4");
    for (uint32_t i = 0; i < net->node_count; i++) {
        assert_false(strncmp(net->nodes[i].name, "s4.", 3) == 0);
    }
    assert_int_equal(strncmp(net->wires[wire].name, "s3.b6.", 6), 0);
    assert_int_equal(net->wires[wire].shape.dims[3], 208);
    assert_int_equal(cb_network_cut(net, "s", NULL, &wire, diag), CB_NOT_FOUND);
    cb_network_destroy(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_network_has_as_many_params_as_its_file_says),
                                       cmocka_unit_test(a_block_is_cut_where_it_begins)};
    arena = cb_arena_create();
    diag = cb_diag_create();
    registry = cb_registry_create(&cb__host);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cb_registry_destroy(registry);
    cb_diag_destroy(diag);
    cb_arena_destroy(arena);
    return failed;
}
