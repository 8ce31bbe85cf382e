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
};
static struct state state; /* one command runs in a process */

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

static void draw(const char *what, uint64_t done, uint64_t total, const char *extra)
{
    double now = cb_clock_seconds();
    if (strcmp(what, state.what) != 0) {
        snprintf(state.what, sizeof(state.what), "%s", what);
        state.started = now;
    } else if (now - state.drawn < 0.1 && done < total) {
        return;
    }
    state.drawn = now;
    char left[32] = "";
    double spent = now - state.started;
    if (done > 0 && total > done && spent > 0.5) {
        cb_format_seconds(spent / (double)done * (double)(total - done), left);
    }
    int width = 24, full = total > 0 ? (int)((double)done / (double)total * width) : 0;
    fprintf(stderr, "\r\033[K%s [%.*s%*s] %llu of %llu%s%s%s%s", what, full, "########################", width - full, "",
            (unsigned long long)done, (unsigned long long)total, extra, left[0] != '\0' ? ", " : "", left,
            left[0] != '\0' ? " left" : "");
    fflush(stderr);
    line_is_drawn = done < total;
    if (done >= total) {
        fprintf(stderr, "\r\033[K");
    }
}

static void on_progress(void *context, const char *what, uint64_t done, uint64_t total)
{
    if (draws(context)) {
        draw(what, done, total, "");
    }
}

static void on_step(void *context, uint64_t step, uint64_t steps, double loss, double rate)
{
    (void)rate;
    if (draws(context)) {
        char extra[64];
        snprintf(extra, sizeof(extra), " steps, loss %.4f", loss);
        draw("training", step, steps, extra);
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
            printf(",\"validation_loss\":%.9g,\"validation_accuracy\":%.9g", e->validation_loss, e->validation_accuracy);
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
        fprintf(stderr, ", validation loss %.4f, accuracy %.3f", e->validation_loss, e->validation_accuracy);
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
    return (struct cb_watch){.context = cli, .progress = on_progress, .epoch = on_epoch, .step = on_step,
                             .cancelled = on_cancelled, .say = on_say};
}
