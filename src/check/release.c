/* release.c: whether a layer gives back what it took: it is made, prepared, run and released again and again, and neither
 * the heap nor the device's memory may grow. See check.h. */
#include "check/check.h"
#include "check/checker.h"
#include "check/escape.h"

#define CYCLES 8 /* between two looks at the heap */
#define BATCHES 3

struct cycle {
    const struct layer_case *c;
    struct cb_device *device;
    const struct cb_layer_type *type;
    struct cb_diag *diag;
    struct tally *tally;
    struct checker *k;
    bool with_run;
    int64_t heap_bytes; /* what the plugin's own code took and did not give back, so far */
};

/* Every variant is prepared; the last forward and the plain backward run. */
static void run_cycle(void *context)
{
    struct cycle *cycle = context;
    struct checker *k = cycle->k;
    struct prepared *before = NULL;
    uint32_t count;
    const struct cb_variant *variants = cb__trial_variants(cycle->type, &count);
    cb__checker_set_up(k);
    for (uint32_t i = 0; i < count && cycle->with_run; i++) {
        if (variants[i].pass != CB_PASS_FIT && cb__checker_serves(k, &variants[i], variants[i].pass)) {
            struct prepared *p = cb__trial_prepare(&k->core, &variants[i], false);
            if (variants[i].pass == CB_PASS_FORWARD) {
                cb__checker_write(k, k->c->x, k->params);
                cb__trial_run(&k->core, p);
                before = p;
            }
        }
    }
    if (before != NULL && (cycle->type->layer.flags & CB_LAYER_NO_GRADIENT) == 0) {
        const struct backward b = cb__checker_prepare_backward(k, "plain");
        const struct wish all = {.dx = k->dx_mask, .dw = k->dw_mask, .dx_in_dy = -1};
        (void)cb__checker_backward(k, before, &b, &all);
    }
}

/* One life of the layer, in its own arena. False when it could not be lived. */
static bool live(struct cycle *cycle)
{
    char message[CB__ESCAPE_BYTES];
    struct cb_arena *arena = cb_arena_create();
    struct tally unheard = {.is_exact = cycle->tally->is_exact, .stage = cycle->tally->stage};
    cycle->k = arena != NULL ? CB_NEW(arena, struct checker) : NULL;
    bool is_done = false;
    if (cycle->k != NULL) {
        *cycle->k = (struct checker){.c = cycle->c, .x = cycle->c->x, .tally = &unheard};
        cycle->k->core.is_exact = cycle->tally->is_exact;
        cycle->k->core.stage = cycle->tally->stage;
        cycle->k->core.heap = &cycle->heap_bytes;
        is_done = cb__trial_infer(&cycle->k->core, cycle->device, cycle->type, cycle->c->options, cycle->c->x,
                                  cycle->c->x_count, arena, cycle->diag) == CB_OK;
        cycle->k->core.case_name = cycle->c->name;
        is_done = is_done && cb__escape_run(run_cycle, cycle, message);
        cb__trial_finish(&cycle->k->core);
    }
    cb_arena_destroy(arena);
    return is_done;
}

static void say(struct cycle *cycle, bool is_right, const char *fmt, long long bytes)
{
    struct cb_arena *arena = cb_arena_create();
    char *text = is_right || arena == NULL ? NULL : cb_arena_printf(arena, fmt, bytes);
    *(is_right ? &cycle->tally->passed : &cycle->tally->failed) += 1;
    if (cycle->tally->report != NULL) {
        cycle->tally->report(cycle->tally->context, CB_CHECK_RELEASE, is_right, text);
    }
    cb_arena_destroy(arena);
}

void cb__check_release(const struct layer_case *c, struct cb_device *device, const struct cb_layer_type *type,
                       struct cb_diag *diag, struct tally *tally)
{
    struct cycle cycle = {.c = c, .device = device, .type = type, .diag = diag, .tally = tally};
    uint64_t device_before, device_after, peak;
    int64_t least = INT64_MAX, least_whole = INT64_MAX; /* growth in a batch: by the plugin's share, of the whole heap */
    if ((type->layer.flags & CB_LAYER_VIEW) != 0 || !live(&cycle)) { /* the first, that was never prepared, and: */
        return;
    }
    cycle.with_run = true;
    for (int i = 0; i < 4; i++) { /* kernels are compiled, pools of the driver are filled */
        (void)live(&cycle);
    }
    cb_device_memory(device, &device_before, &peak);
    for (int batch = 0; batch < BATCHES; batch++) {
        const uint64_t before = cb__trial_heap_bytes();
        cycle.heap_bytes = 0;
        for (int i = 0; i < CYCLES; i++) {
            (void)live(&cycle);
        }
        const int64_t whole = (int64_t)(cb__trial_heap_bytes() - before);
        least = cycle.heap_bytes < least ? cycle.heap_bytes : least;
        least_whole = whole < least_whole ? whole : least_whole;
    }
    cb_device_memory(device, &device_after, &peak);
    /* A block that the plugin freed may serve the core next, and then seem not to be given back: the whole heap must have
     * grown as well. A thread of the driver may take memory meanwhile; a leak comes in every batch. */
    const bool leaks = least >= CYCLES * 16 && least_whole >= least - least / 8;
    say(&cycle, !leaks, "each life of the layer leaves %lld bytes behind: what `self` points to is not freed",
        (long long)(least / CYCLES));
    say(&cycle, device_after <= device_before, "%lld bytes of the device's memory are not given back",
        (long long)device_after - (long long)device_before);
}
