/* fetch_url.c: downloads by libcurl, which go on where they were interrupted.
 *
 * Beside a PART lies PART.tag while it is unfinished: what the server called this content (its ETag, else its date), and
 * the SHA-256 that a server of the Hugging Face hub announces (X-Linked-Etag). The next request asks for the rest "if it
 * still is that" (If-Range, RFC 9110 13.1.5), and gets the whole where it is not. */
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "weights/fetch_internal.h"

enum { ATTEMPTS = 4, CONNECT_SECONDS = 20, STALL_SECONDS = 60 };

bool cb__watcher_goes_on(const struct cb__watcher *watcher, uint64_t done_bytes, uint64_t total_bytes)
{
    return !watcher->progress || watcher->progress(watcher->context, watcher->what, done_bytes, total_bytes);
}

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_ready;
static void start_curl(void)
{
    curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct transfer {
    const struct cb__watcher *watcher;
    const char *part;
    uint64_t begin; /* bytes that were there before */
    bool was_stopped;
    char etag[256], date[64], announced[65]; /* of the answers so far */
};

/* ---- what the content is called ------------------------------------------------------------------------------------- */

struct tag {
    char validator[256], announced[65]; /* "": none */
};

static bool tag_path(const char *part, char out[4096])
{
    return snprintf(out, 4096, "%s.tag", part) < 4096;
}

static void copy_line(FILE *stream, char *out, size_t size)
{
    if (!fgets(out, (int)size, stream)) {
        *out = '\0';
    }
    out[strcspn(out, "\r\n")] = '\0';
}

static struct tag read_tag(const char *part)
{
    struct tag tag = {0};
    char path[4096];
    FILE *stream = tag_path(part, path) ? fopen(path, "r") : NULL;
    if (stream) {
        copy_line(stream, tag.validator, sizeof(tag.validator));
        copy_line(stream, tag.announced, sizeof(tag.announced));
        fclose(stream);
    }
    return tag;
}

static void write_tag(const struct transfer *t)
{
    char path[4096];
    FILE *stream = tag_path(t->part, path) ? fopen(path, "w") : NULL;
    if (stream) { /* without it the next try begins at the start */
        fprintf(stream, "%s\n%s\n", *t->etag ? t->etag : t->date, t->announced);
        fclose(stream);
    }
}

void cb__fetch_forget(const char *part)
{
    char path[4096];
    if (tag_path(part, path)) {
        unlink(path);
    }
}

bool cb__fetch_announced(const char *part, char out_sha256[65])
{
    const struct tag tag = read_tag(part);
    memcpy(out_sha256, tag.announced, 65);
    return strlen(tag.announced) == 64;
}

/* The value of a header line when it is `name`, without spaces around it; its length in `*out_length`. NULL: another line. */
static const char *header_value(const char *line, size_t length, const char *name, size_t *out_length)
{
    const size_t skipped = strlen(name);
    if (length <= skipped || line[skipped] != ':') {
        return NULL;
    }
    for (size_t i = 0; i < skipped; i++) {
        if (tolower((unsigned char)line[i]) != name[i]) {
            return NULL;
        }
    }
    const char *value = line + skipped + 1, *end = line + length;
    while (value < end && isspace((unsigned char)*value)) {
        value++;
    }
    while (end > value && isspace((unsigned char)end[-1])) {
        end--;
    }
    *out_length = (size_t)(end - value);
    return value;
}

static void keep_value(char *out, size_t size, const char *value, size_t length)
{
    if (length < size && !memchr(value, '\n', length) && !memchr(value, '\r', length)) {
        memcpy(out, value, length);
        out[length] = '\0';
    }
}

static bool is_sha256(const char *text, size_t length)
{
    bool is = length == 64;
    for (size_t i = 0; is && i < length; i++) {
        is = isdigit((unsigned char)text[i]) || (text[i] >= 'a' && text[i] <= 'f');
    }
    return is;
}

static size_t on_header(char *line, size_t size, size_t count, void *context)
{
    struct transfer *t = context;
    const size_t bytes = size * count;
    size_t length;
    const char *value;
    if (bytes >= 5 && memcmp(line, "HTTP/", 5) == 0) { /* the next answer of a chain of redirects */
        *t->etag = *t->date = '\0';
    } else if ((value = header_value(line, bytes, "etag", &length)) && *value == '"') { /* W/"..." is no proof */
        keep_value(t->etag, sizeof(t->etag), value, length);
    } else if ((value = header_value(line, bytes, "last-modified", &length))) {
        keep_value(t->date, sizeof(t->date), value, length);
    } else if ((value = header_value(line, bytes, "x-linked-etag", &length)) && length == 66 &&
               is_sha256(value + 1, 64)) {
        keep_value(t->announced, sizeof(t->announced), value + 1, 64);
    } else if (bytes == 2 && memcmp(line, "\r\n", 2) == 0 && t->begin == 0) {
        write_tag(t);
    }
    return bytes;
}

/* ---- a transfer ----------------------------------------------------------------------------------------------------- */

static int on_progress(void *context, curl_off_t total, curl_off_t done, curl_off_t upload_total, curl_off_t uploaded)
{
    struct transfer *transfer = context;
    (void)upload_total;
    (void)uploaded;
    uint64_t whole = total > 0 ? transfer->begin + (uint64_t)total : 0;
    if (!cb__watcher_goes_on(transfer->watcher, transfer->begin + (uint64_t)done, whole)) {
        transfer->was_stopped = true;
        return 1;
    }
    return 0;
}

/* `*out_headers` is the caller's to free. */
static void configure(CURL *curl, const char *url, struct transfer *transfer, FILE *stream, char *error,
                      struct curl_slist **out_headers)
{
    const struct tag tag = read_tag(transfer->part);
    char line[300];
    if (transfer->begin > 0 && *tag.validator) {
        snprintf(line, sizeof(line), "If-Range: %s", tag.validator);
        *out_headers = curl_slist_append(NULL, line);
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *out_headers);
    }
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, transfer);
    const char *after_redirect = strncmp(url, "http://", 7) == 0 ? "http,https" : "https";
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https,file");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, after_redirect);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 10L);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "cambium/" CB_VERSION);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_SECONDS);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, stream);
    curl_easy_setopt(curl, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)transfer->begin);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer);
}

enum outcome { DONE, AGAIN, FROM_START, FAILED, STOPPED };

/* One transfer from the end of the part on. */
static enum outcome transfer_once(const char *url, const char *part, const struct cb__watcher *watcher,
                                  struct cb_text *why)
{
    int64_t there = cb_file_bytes(part);
    struct transfer transfer = {.watcher = watcher, .part = part, .begin = there > 0 ? (uint64_t)there : 0};
    struct curl_slist *headers = NULL;
    char error[CURL_ERROR_SIZE] = "";
    FILE *stream = fopen(part, "ab");
    if (!stream) {
        cb_text_addf(why, "`%s` cannot be written: %s", part, strerror(errno));
        return FAILED;
    }
    CURL *curl = curl_easy_init();
    if (!curl) {
        fclose(stream);
        cb_text_add(why, "libcurl does not start");
        return FAILED;
    }
    configure(curl, url, &transfer, stream, error, &headers);
    CURLcode code = curl_easy_perform(curl);
    long answer = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    bool is_written = fflush(stream) == 0 && fsync(fileno(stream)) == 0;
    int write_error = errno;
    fclose(stream);

    if (transfer.was_stopped) {
        return STOPPED;
    }
    if (code == CURLE_OK && is_written) {
        return DONE;
    }
    if (transfer.begin > 0 && (code == CURLE_RANGE_ERROR || code == CURLE_BAD_DOWNLOAD_RESUME || answer == 416)) {
        return FROM_START; /* the server does not go on, or has less than we do */
    }
    if (code == CURLE_OK || code == CURLE_WRITE_ERROR) {
        cb_text_addf(why, "`%s` cannot be written: %s", part, strerror(write_error));
        return FAILED;
    }
    cb_text_addf(why, "%s", *error ? error : curl_easy_strerror(code));
    bool got_more = cb_file_bytes(part) > there;
    bool was_cut = code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_OPERATION_TIMEDOUT;
    return was_cut && got_more ? AGAIN : FAILED;
}

enum cb_status cb__fetch_url(const char *url, const char *part, bool has_hash, const struct cb__watcher *watcher,
                             struct cb_text *why)
{
    pthread_once(&curl_once, start_curl);
    if (curl_ready != CURLE_OK) {
        cb_text_add(why, "libcurl does not start");
        return CB_IO;
    }
    if (!has_hash && !*read_tag(part).validator) { /* nobody could tell a mended file from a mixed one */
        unlink(part);
    }
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        size_t before = why->length;
        switch (transfer_once(url, part, watcher, why)) {
        case DONE:
            return CB_OK;
        case STOPPED:
            return CB_INTERRUPTED;
        case FAILED:
            return CB_IO;
        case FROM_START:
            unlink(part);
            cb__fetch_forget(part);
            break;
        case AGAIN:
            if (attempt + 1 < ATTEMPTS && why->data) { /* the next attempt tells its own reason */
                why->length = before;
                why->data[before] = '\0';
            }
            break;
        }
    }
    if (why->length == 0) {
        cb_text_add(why, "the server does not send the whole file");
    }
    return CB_IO;
}
