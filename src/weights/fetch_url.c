/* fetch_url.c: downloads by libcurl, which go on where they were interrupted. */
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
    uint64_t begin; /* bytes that were there before */
    bool was_stopped;
};

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

static void configure(CURL *curl, const char *url, struct transfer *transfer, FILE *stream, char *error)
{
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
    struct transfer transfer = {.watcher = watcher, .begin = there > 0 ? (uint64_t)there : 0};
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
    configure(curl, url, &transfer, stream, error);
    CURLcode code = curl_easy_perform(curl);
    long answer = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer);
    curl_easy_cleanup(curl);
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

enum cb_status cb__fetch_url(const char *url, const char *part, bool may_resume, const struct cb__watcher *watcher,
                             struct cb_text *why)
{
    pthread_once(&curl_once, start_curl);
    if (curl_ready != CURLE_OK) {
        cb_text_add(why, "libcurl does not start");
        return CB_IO;
    }
    if (!may_resume) {
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
