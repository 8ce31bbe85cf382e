/* The name maps of the backbone files: every tensor of the files that people download lands on the right param.
 *
 * names/NETWORK.SOURCE.txt lists such a file's tensors with their shapes in the order in which the source's own layers
 * run; a file with these tensors (and no data: it is a hole) is matched against the backbone. Tensor i must land on param
 * i, with a shape that fits, and none may be left over. Since the order comes from running the source's network, two
 * layers of one shape that change places are found, too. No device is needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/text.h"
#include "graph/family.h"
#include "graph/network.h"
#include "weights/match.h"

#define MAX_TENSORS 1000

struct world {
    struct cb_arena *arena;
    struct cb_diag *diag;
    struct cb_registry *registry;
};
static struct world world;

static void must(enum cb_status status)
{
    if (status == CB_OK) {
        return;
    }
    for (size_t i = 0; cb_diag_text(world.diag, i) != NULL; i++) {
        fprintf(stderr, "%s\n", cb_diag_text(world.diag, i));
    }
    fail_msg("%s", cb_status_name(status));
}

/* Reads one line, "NAME DTYPE DIM DIM ...", and appends its entry to the header of a safetensors file. */
static void add_tensor(struct cb_text *header, char *line, uint64_t *offset, const char **out_name)
{
    char *rest = NULL;
    const char *name = strtok_r(line, " ", &rest), *type = strtok_r(NULL, " ", &rest);
    assert_non_null(type);
    uint64_t bytes = strcmp(type, "I64") == 0 ? 8 : 4;
    cb_text_addf(header, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", header->length > 1 ? "," : "", name, type);
    const char *comma = "";
    for (char *dim = strtok_r(NULL, " ", &rest); dim != NULL; dim = strtok_r(NULL, " ", &rest)) {
        cb_text_addf(header, "%s%s", comma, dim);
        bytes *= strtoull(dim, NULL, 10);
        comma = ",";
    }
    cb_text_addf(header, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)*offset,
                 (unsigned long long)(*offset + bytes));
    *offset += bytes;
    *out_name = cb_arena_strdup(world.arena, name);
}

/* Makes a safetensors file at `path` (a template, as mkstemp wants it) out of the list; `names` gets those of the tensors
 * that are params or states. */
static uint32_t make_file(const char *list, char *path, const char **names)
{
    struct cb_text header = {0};
    char line[512];
    uint64_t offset = 0;
    uint32_t count = 0;
    FILE *in = fopen(list, "r");
    assert_non_null(in);
    cb_text_add(&header, "{");
    while (fgets(line, sizeof(line), in) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] != '#') {
            const char *name;
            add_tensor(&header, line, &offset, &name);
            assert_true(count < MAX_TENSORS);
            if (!cb_ends_with(name, ".num_batches_tracked") && !cb_ends_with(name, ".relative_position_index")) {
                names[count++] = name;
            }
        }
    }
    fclose(in);
    cb_text_add(&header, "}");
    while (header.length % 8 != 0) {
        cb_text_add(&header, " ");
    }
    assert_false(header.failed);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    uint8_t length[8];
    for (int i = 0; i < 8; i++) {
        length[i] = (uint8_t)((uint64_t)header.length >> (8 * i));
    }
    assert_int_equal(write(fd, length, 8), 8);
    assert_int_equal(write(fd, header.data, header.length), header.length);
    assert_int_equal(ftruncate(fd, (off_t)(8 + header.length + offset)), 0);
    close(fd);
    cb_text_free(&header);
    return count;
}

static struct cb_network *read_backbone(const char *name)
{
    char *path;
    const char *member;
    struct cb_value *file;
    must(cb_family_find(world.arena, CB_SOURCE_ROOT "/configs/backbones", name, &path, &file, &member, world.diag));
    must(cb_family_settle(world.arena, file, member, &file, world.diag));
    struct cb_network *net = cb_network_create(world.registry, name);
    assert_non_null(net);
    must(cb_network_read(net, file, NULL, CB_SOURCE_ROOT "/configs/backbones", world.diag));
    return net;
}

static struct cb_wanted *want_all(const struct cb_network *net)
{
    struct cb_wanted *wanted = calloc(net->param_count, sizeof(*wanted));
    assert_non_null(wanted);
    for (uint32_t i = 0; i < net->param_count; i++) {
        const struct cb_param *param = &net->params[i];
        wanted[i] = (struct cb_wanted){.name = param->name,
                                       .layer = net->nodes[param->node].name,
                                       .foreign = param->decl.foreign,
                                       .role = (enum cb_param_role)param->decl.role,
                                       .rank = param->decl.rank,
                                       .hidden_dims = param->grid != NULL ? param->grid : param->flatten_chw};
        memcpy(wanted[i].dims, param->decl.dims, sizeof(wanted[i].dims));
    }
    return wanted;
}

/* state: "resnet18.timm" */
static void test_map(void **state)
{
    const char *case_name = *state, *source = strchr(case_name, '.') + 1;
    const char *network = cb_arena_strndup(world.arena, case_name, (size_t)(source - 1 - case_name));
    const char *names[MAX_TENSORS];
    char list[1024], path[512];
    const char *temporary = getenv("TMPDIR");
    snprintf(path, sizeof(path), "%s/cambium-names-XXXXXX", temporary != NULL && *temporary != '\0' ? temporary : "/tmp");
    snprintf(list, sizeof(list), "%s/tests/nets/names/%s.txt", CB_SOURCE_ROOT, case_name);
    struct cb_network *net = read_backbone(network);
    struct cb_wanted *wanted = want_all(net);
    uint32_t count = make_file(list, path, names), map_count;

    struct cb_tensor_file *file;
    struct cb_name_map *maps;
    struct cb_load_report report;
    enum cb_status status = cb_tensors_open(path, &file, NULL, world.diag);
    unlink(path);
    must(status);
    must(cb_name_maps_read(world.arena, net->names_value, &maps, &map_count, world.diag));
    must(cb_weights_match(file, wanted, net->param_count, maps, map_count, world.arena, &report, NULL, world.diag));
    assert_int_equal(report.kept.count, net->param_count);
    assert_int_equal(report.unused.count, 0);
    assert_int_equal(count, net->param_count);
    for (uint32_t i = 0; i < count; i++) {
        if (wanted[i].from == NULL || strcmp(wanted[i].from, names[i]) != 0) {
            fail_msg("`%s` is taken from `%s`, but the layer that runs in its place has `%s`", wanted[i].name,
                     wanted[i].from != NULL ? wanted[i].from : "nothing", names[i]);
        }
    }
    cb_tensors_close(file);
    free(wanted);
    cb_network_destroy(net);
}

int main(void)
{
    char **cases;
    size_t count = 0;
    world.arena = cb_arena_create();
    world.diag = cb_diag_create();
    world.registry = cb_registry_create(&cb__host);
    if (cb_folder_list(world.arena, CB_SOURCE_ROOT "/tests/nets/names", &cases, &count, NULL, world.diag) != CB_OK) {
        return 1;
    }
    struct CMUnitTest *tests = calloc(count, sizeof(*tests));
    for (size_t i = 0; tests != NULL && i < count; i++) {
        cases[i][strlen(cases[i]) - strlen(".txt")] = '\0';
        tests[i] = (struct CMUnitTest){cases[i], test_map, NULL, NULL, cases[i]};
    }
    int failed = tests == NULL || count == 0 || _cmocka_run_group_tests("names", tests, count, NULL, NULL) != 0;
    free(tests);
    cb_registry_destroy(world.registry);
    cb_diag_destroy(world.diag);
    cb_arena_destroy(world.arena);
    return failed;
}
