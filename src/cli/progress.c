/* progress.c: how long work looks on a terminal: one line that is written over, with time left; epochs as lines. Piped,
 * there are only the epochs' lines; with --quiet or --json nothing. Ctrl-C asks the work to end; a second one kills. */
#include <math.h>
#include <signal.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"

static volatile sig_atomic_t interrupted;
static bool line_is_drawn;

struct state {
    struct cb_cli *cli;
    char what[64];
    double started, drawn;
    uint64_t done;
    uint64_t first; /* what was done when the work was first drawn: a resumed run's steps took no time now */
};
static struct state state; /* one command runs in a process */
static const char *stage = "";

void cb_cli_set_stage(const char *text)
{
    stage = text != NULL ? text : "";
}

static void on_interrupt(int number)
{
    interrupted = 1;
    signal(number, SIG_DFL);
}

bool cb_cli_was_interrupted(void)
{
    return interrupted != 0;
}

static bool draws(const struct cb_cli *cli)
{
    return cli->is_terminal && !cli->json && !cli->quiet;
}

void cb_cli_clear_progress(struct cb_cli *cli)
{
    (void)cli;
    if (line_is_drawn) {
        fprintf(stderr, "\r\033[K");
        line_is_drawn = false;
    }
}

void cb_cli_show_progress(struct cb_cli *cli, const char *text)
{
    if (draws(cli)) {
        fprintf(stderr, "\r\033[K%.100s", text);
        fflush(stderr);
        line_is_drawn = true;
    }
}

/* `amount`: how far it is, in the work's own unit. `total` 0: nobody knows, so the time spent is shown. */
static void draw(const char *what, uint64_t done, uint64_t total, const char *amount)
{
    double now = cb_clock_seconds();
    if (strncmp(what, state.what, sizeof(state.what) - 1) != 0 || done < state.done) { /* or once more from the start */
        snprintf(state.what, sizeof(state.what), "%s", what);
        state.started = now;
        state.first = done;
    } else if (now - state.drawn < 0.1 && (done < total || total == 0)) {
        return;
    }
    state.done = done;
    state.drawn = now;
    char time[32] = "";
    double spent = now - state.started;
    if (total == 0) {
        cb_format_seconds(floor(spent), time);
        fprintf(stderr, "\r\033[K%s%s %s, %s", stage, what, amount, time);
    } else {
        if (done > state.first && total > done && spent > 0.5) {
            cb_format_seconds(spent / (double)(done - state.first) * (double)(total - done), time);
        }
        int width = 24, full = done < total ? (int)((double)done / (double)total * width) : width;
        fprintf(stderr, "\r\033[K%s%s [%.*s%*s] %s%s%s%s", stage, what, full, "########################", width - full, "",
                amount, time[0] != '\0' ? ", " : "", time, time[0] != '\0' ? " left" : "");
    }
    line_is_drawn = true;
    if (total > 0 && done >= total) {
        cb_cli_clear_progress(state.cli);
    }
    fflush(stderr);
}

static void on_progress(void *context, const char *what, uint64_t done, uint64_t total)
{
    if (draws(context) && total > 0) {
        char amount[64];
        snprintf(amount, sizeof(amount), "%llu of %llu", (unsigned long long)done, (unsigned long long)total);
        draw(what, done, total, amount);
    }
}

/* "fetching efficientnet-lite0.pth [####    ] 9.4 MB of 18.8 MB, 12 s left". A registry's client tells no sizes. */
static void on_download(void *context, const char *what, uint64_t done_bytes, uint64_t total_bytes)
{
    if (draws(context)) {
        char name[64], amount[80], done[32], total[32];
        snprintf(name, sizeof(name), "fetching %s", cb_path_base(what));
        cb_format_bytes(done_bytes, done);
        if (total_bytes > 0) {
            snprintf(amount, sizeof(amount), "%s of %s", done, cb_format_bytes(total_bytes, total));
        } else {
            snprintf(amount, sizeof(amount), "%s", done_bytes > 0 ? done : "");
        }
        draw(name, done_bytes, total_bytes, amount);
    }
}

static void on_step(void *context, uint64_t step, uint64_t steps, double loss, double rate)
{
    (void)rate;
    if (draws(context)) {
        char amount[96];
        snprintf(amount, sizeof(amount), "%llu of %llu steps, loss %.4f", (unsigned long long)step,
                 (unsigned long long)steps, loss);
        draw("training", step, steps, amount);
    }
}

static void on_epoch(void *context, const struct cb_epoch *e)
{
    struct cb_cli *cli = context;
    cb_cli_clear_progress(cli);
    if (cli->json) {
        printf("{\"epoch\":%lld,\"epochs\":%lld,\"step\":%llu,\"loss\":%.9g,\"lr\":%.9g,\"samples_per_second\":%.4g",
               (long long)e->epoch, (long long)e->epochs, (unsigned long long)e->step, e->loss, e->rate,
               e->samples_per_second);
        if (e->has_validation) {
            printf(",\"validation_loss\":%.9g", e->validation_loss);
        }
        if (e->has_validation && !isnan(e->validation_accuracy)) {
            printf(",\"validation_accuracy\":%.9g", e->validation_accuracy);
        }
        if (e->stage != NULL) {
            printf(",\"stage\":\"%s\"", e->stage);
        }
        printf("}\n");
        fflush(stdout);
        return;
    }
    if (cli->quiet || (e->stage != NULL && e->epoch < e->epochs)) {
        return;
    }
    fprintf(stderr, "%s%sepoch %lld of %lld: loss %.4f", e->stage != NULL ? e->stage : "", e->stage != NULL ? ", " : "",
            (long long)e->epoch, (long long)e->epochs, e->loss);
    if (e->has_validation) {
        fprintf(stderr, ", validation loss %.4f", e->validation_loss);
    }
    if (e->has_validation && !isnan(e->validation_accuracy)) {
        fprintf(stderr, ", accuracy %.3f", e->validation_accuracy);
    }
    fprintf(stderr, ", %.1f samples/s\n", e->samples_per_second);
}

static void on_say(void *context, const char *sentence)
{
    struct cb_cli *cli = context;
    if (!cli->quiet && !cli->json) {
        cb_cli_clear_progress(cli);
        fprintf(stderr, "%s\n", sentence);
    }
}

static bool on_cancelled(void *context)
{
    (void)context;
    return interrupted != 0;
}

struct cb_watch cb_cli_watch(struct cb_cli *cli)
{
    state = (struct state){.cli = cli};
    signal(SIGINT, on_interrupt);
    signal(SIGTERM, on_interrupt);
    return (struct cb_watch){.context = cli, .progress = on_progress, .download = on_download,
                             .epoch = on_epoch, .step = on_step, .cancelled = on_cancelled, .say = on_say};
}
