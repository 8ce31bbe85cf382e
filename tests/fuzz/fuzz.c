/* fuzz.c: runs a reader on thousands of damaged files.
 *
 * fuzz READER [--count N] [--seconds S] [--seed N] [--only N] FILE-OR-FOLDER...
 *
 * Round N makes a file from the corpus by the random numbers of (seed, N) alone, so that `--only N` does it again and
 * leaves the file as `fuzz-READER-N`. The rounds run in child processes, a slice each: a crash or a hang (more than 10
 * seconds for one file; 60 under a sanitizer) ends a slice, is told with its round, and the run fails. So does a round
 * that takes more memory than its reader may (fuzz.h), and a slice that leaves memory behind. */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED 1
#else
#define IS_SANITIZED 0
#endif

enum { SLICE = 2000, MAX_FILES = 256, SECONDS_EACH = IS_SANITIZED ? 60 : 10 };

/* What a child tells its parent, while it lives and after. */
struct progress {
    volatile uint64_t round, accepted, rounds, most_bytes;
};

static struct fuzz_file files[MAX_FILES];
static size_t file_count;
static const struct fuzz_reader *reader;
static uint64_t seed = 1;
static char folder[256];

/* ---- memory: every allocation of the process goes through here --------------------------------------------------- */

static uint64_t live_bytes, peak_bytes;

#if defined(__GLIBC__) && !IS_SANITIZED
#define COUNTS_MEMORY 1
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void *data);

static void *count_in(void *data)
{
    uint64_t live = __atomic_add_fetch(&live_bytes, data ? malloc_usable_size(data) : 0, __ATOMIC_RELAXED);
    if (live > __atomic_load_n(&peak_bytes, __ATOMIC_RELAXED)) {
        __atomic_store_n(&peak_bytes, live, __ATOMIC_RELAXED);
    }
    return data;
}

static void count_out(void *data)
{
    __atomic_sub_fetch(&live_bytes, data ? malloc_usable_size(data) : 0, __ATOMIC_RELAXED);
}

void *malloc(size_t bytes)
{
    return count_in(__libc_malloc(bytes));
}

void *calloc(size_t count, size_t bytes)
{
    return count_in(__libc_calloc(count, bytes));
}

void *realloc(void *old, size_t bytes)
{
    uint64_t before = old ? malloc_usable_size(old) : 0;
    void *data = __libc_realloc(old, bytes);
    if (data || bytes == 0) {
        __atomic_sub_fetch(&live_bytes, before, __ATOMIC_RELAXED);
    }
    return count_in(data);
}

void *memalign(size_t alignment, size_t bytes)
{
    return count_in(__libc_memalign(alignment, bytes));
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return count_in(__libc_memalign(alignment, bytes));
}

int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    *out = count_in(__libc_memalign(alignment, bytes));
    return *out ? 0 : ENOMEM;
}

void free(void *data)
{
    count_out(data);
    __libc_free(data);
}
#else
#define COUNTS_MEMORY 0
#endif

/* ---- the corpus -------------------------------------------------------------------------------------------------- */

static void die(const char *what, const char *name)
{
    fprintf(stderr, "fuzz: %s: %s: %s\n", name, what, strerror(errno));
    exit(2);
}

static void load_file(const char *path)
{
    struct fuzz_file *file = &files[file_count];
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0) {
        die("cannot be read", path);
    }
    long bytes = ftell(f);
    rewind(f);
    if (bytes > 1 << 20) { /* thousands of copies of it would take too long */
        fclose(f);
        return;
    }
    if (file_count == MAX_FILES) {
        die("too many files", path);
    }
    const char *slash = strrchr(path, '/');
    file->bytes = (size_t)bytes;
    file->data = malloc(file->bytes + 1);
    file->name = strdup(slash ? slash + 1 : path);
    if (!file->data || !file->name || fread(file->data, 1, file->bytes, f) != file->bytes) {
        die("cannot be read", path);
    }
    fclose(f);
    file_count++;
}

static void load(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        die("cannot be read", path);
    }
    if (!S_ISDIR(info.st_mode)) {
        load_file(path);
        return;
    }
    struct dirent **names;
    int count = scandir(path, &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char inside[4096];
        snprintf(inside, sizeof(inside), "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.' && stat(inside, &info) == 0 && S_ISREG(info.st_mode)) {
            load_file(inside);
        }
        free(names[i]);
    }
    free(names);
}

static void put_file(const char *name, const unsigned char *data, size_t bytes)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, bytes, f) != bytes || fclose(f) != 0) {
        die("cannot be written", path);
    }
}

/* ---- rounds ------------------------------------------------------------------------------------------------------ */

static bool run_round(uint64_t round, struct progress *progress, const char *keep)
{
    struct fuzz_random random = {.state = seed * UINT64_C(0x9e3779b97f4a7c15) ^ round * UINT64_C(0xd1342543de82ef95)};
    size_t bytes, from;
    unsigned char *data = fuzz_mutate(&random, files, file_count, &bytes, &from);
    char path[512];
    snprintf(path, sizeof(path), "%s/input", folder);
    put_file("input", data, bytes);
    if (keep) {
        FILE *f = fopen(keep, "wb");
        if (!f || fwrite(data, 1, bytes, f) != bytes || fclose(f) != 0) {
            die("cannot be written", keep);
        }
        printf("round %llu: from %s, %zu bytes, kept as %s\n", (unsigned long long)round, files[from].name, bytes, keep);
    }
    uint64_t before = live_bytes;
    peak_bytes = live_bytes;
    const struct fuzz_input input = {.data = data, .bytes = bytes, .path = path};
    bool accepted = reader->run(&input);
    progress->accepted += accepted;
    progress->rounds++;
    uint64_t taken = peak_bytes - before;
    progress->most_bytes = taken > progress->most_bytes ? taken : progress->most_bytes;
    free(data);
    uint64_t most = reader->base + reader->times * bytes;
    if (COUNTS_MEMORY && most > 0 && taken > most) {
        fprintf(stderr, "fuzz: %s: round %llu (from %s, %zu bytes) took %llu bytes of memory, over %llu\n", reader->name,
                (unsigned long long)round, files[from].name, bytes, (unsigned long long)taken, (unsigned long long)most);
        return false;
    }
    return true;
}

/* What the C library keeps for itself settles in the first rounds. */
static bool run_slice(uint64_t first, uint64_t count, struct progress *progress)
{
    bool is_good = true;
    uint64_t settled = 0;
    for (uint64_t i = 0; i < count && is_good; i++) {
        progress->round = first + i;
        alarm(SECONDS_EACH);
        is_good = run_round(first + i, progress, NULL);
        settled = i == 200 ? live_bytes : settled;
    }
    alarm(0);
    if (is_good && COUNTS_MEMORY && settled > 0 && live_bytes > settled + 4096) {
        fprintf(stderr, "fuzz: %s: rounds %llu to %llu left %llu bytes behind\n", reader->name, (unsigned long long)first,
                (unsigned long long)(first + count), (unsigned long long)(live_bytes - settled));
        return false;
    }
    return is_good;
}

/* In a child; true when it ended well. */
static bool fork_slice(uint64_t first, uint64_t count, struct progress *progress)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        exit(run_slice(first, count, progress) ? 0 : 1); /* exit, not _exit: leaks are looked for then */
    }
    int status = 0;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return true;
    }
    bool hangs = child > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
    fprintf(stderr, "fuzz: %s: round %llu of seed %llu %s (status %#x); again with --seed %llu --only %llu\n", reader->name,
            (unsigned long long)progress->round, (unsigned long long)seed, hangs ? "hangs" : "ends badly",
            (unsigned)status, (unsigned long long)seed, (unsigned long long)progress->round);
    return false;
}

static double clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int run_all(uint64_t count, double seconds)
{
    struct progress *progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED) {
        die("no memory", "fuzz");
    }
    bool is_good = true;
    double end = clock_seconds() + seconds;
    for (uint64_t first = 0; first < count && is_good && clock_seconds() < end; first += SLICE) {
        is_good = fork_slice(first, count - first < SLICE ? count - first : SLICE, progress);
    }
    printf("%s: %llu files from %zu, %llu of them accepted, at most %llu KiB of memory: %s\n", reader->name,
           (unsigned long long)progress->rounds, file_count, (unsigned long long)progress->accepted,
           (unsigned long long)progress->most_bytes >> 10, is_good ? "no harm" : "FAILED");
    if (is_good && progress->accepted == 0) {
        fprintf(stderr, "fuzz: %s: nothing was accepted: the reader never came to read\n", reader->name);
        is_good = false;
    }
    return is_good ? 0 : 1;
}

static void remove_folder(void)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/input", folder);
    unlink(path);
    for (size_t i = 0; i < file_count; i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, files[i].name);
        unlink(path);
    }
    rmdir(folder);
}

int main(int argc, char **argv)
{
    uint64_t count = 2000, only = UINT64_MAX;
    double seconds = 1e9;
    for (const struct fuzz_reader *r = fuzz_readers; argc > 1 && r->name; r++) {
        reader = strcmp(r->name, argv[1]) == 0 ? r : reader;
    }
    for (int i = 2; i < argc; i++) {
        if (argv[i][0] != '-') {
            load(argv[i]);
        } else if (i + 1 < argc) {
            const char *value = argv[i + 1];
            count = strcmp(argv[i], "--count") == 0 ? strtoull(value, NULL, 10) : count;
            seed = strcmp(argv[i], "--seed") == 0 ? strtoull(value, NULL, 10) : seed;
            only = strcmp(argv[i], "--only") == 0 ? strtoull(value, NULL, 10) : only;
            seconds = strcmp(argv[i], "--seconds") == 0 ? strtod(value, NULL) : seconds;
            i++;
        }
    }
    if (!reader || file_count == 0) {
        fprintf(stderr, "usage: fuzz READER [--count N] [--seconds S] [--seed N] [--only N] FILE-OR-FOLDER...\n");
        return 2;
    }
    const char *root = getenv("TMPDIR");
    snprintf(folder, sizeof(folder), "%s/cambium-fuzz-XXXXXX", root && *root ? root : "/tmp");
    if (!mkdtemp(folder)) {
        die("cannot be made", folder);
    }
    for (size_t i = 0; i < file_count; i++) { /* what an index, or external data, may name */
        put_file(files[i].name, files[i].data, files[i].bytes);
    }
    int code = 0;
    if (only != UINT64_MAX) {
        struct progress progress = {0};
        char keep[128];
        snprintf(keep, sizeof(keep), "fuzz-%s-%llu", reader->name, (unsigned long long)only);
        code = run_round(only, &progress, keep) ? 0 : 1;
    } else {
        code = run_all(count, seconds);
    }
    remove_folder();
    for (size_t i = 0; i < file_count; i++) {
        free(files[i].data);
        free((char *)files[i].name);
    }
    return code;
}
