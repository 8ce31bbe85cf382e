/* check.c: one layer through everything that can be checked without being told what it should compute. See check.h. */
#include "check/check.h"

#include <string.h>

#include "base/text.h"
#include "check/escape.h"

const struct cb_host *const cb_layer_check_host = &cb__trial_host;

struct run {
    const struct cb_layer_check *request;
    const struct cb_layer_type *type;
    struct cb_device *device;
    struct cb_diag *diag;
    struct cb_arena *arena;
    struct tally tally;
    uint32_t *case_count; /* whoever asked may watch it grow */
};

static void check_one(void *context, const struct layer_case *c, struct cb_arena *arena)
{
    struct run *run = context;
    cb__check_case(c, run->device, run->type, arena, run->diag, &run->tally);
    if (*run->case_count == 0 && run->tally.failed == 0 && !run->request->is_small) {
        cb__check_release(c, run->device, run->type, run->diag, &run->tally);
    }
    ++*run->case_count;
}

/* A variant that no case reached was not checked: said, as a remark. */
static void remark_unreached(struct run *run)
{
    const uint64_t caps = cb_device_get_facts(run->device)->caps;
    for (uint32_t i = 0; i < run->type->variant_count && i < 64 && run->type->layer.pointwise == NULL; i++) {
        const struct cb_variant *v = &run->type->variants[i];
        if ((run->tally.reached >> i & 1u) == 0 && run->request->report != NULL) {
            const char *why = (v->needs & ~caps) != 0 ? "is not for this device" : "takes none of the cases: give `trials`";
            char *text = cb_arena_printf(run->arena, "variant `%s` %s", v->name, why);
            run->request->report(run->request->context, CB_CHECK_VARIANTS, true, text);
        }
    }
}

static void run_all(void *context)
{
    struct run *run = context;
    const struct case_request cases = {.type = run->type, .device = run->device, .diag = run->diag,
                                       .is_small = run->request->is_small, .is_short = run->request->is_short,
                                       .tally = &run->tally, .each = check_one, .context = run};
    cb__check_tables(run->type, run->arena, &run->tally);
    if (run->tally.failed == 0) { /* options that lie in wrong memory spoil all else */
        cb__cases_make(&cases);
        remark_unreached(run);
    }
}

enum cb_status cb_layer_check(const struct cb_layer_check *request, const struct cb_layer_type *type,
                              struct cb_device *device, uint32_t *out_cases, struct cb_diag *diag)
{
    char message[CB__ESCAPE_BYTES];
    struct run run = {.request = request, .type = type, .device = device, .diag = diag, .arena = cb_arena_create(),
                      .case_count = out_cases};
    *out_cases = 0;
    if (run.arena == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    run.tally = (struct tally){.report = request->report, .context = request->context, .stage = request->stage,
                               .is_exact = request->is_exact};
    if (!cb__escape_run(run_all, &run, message) && request->report != NULL) {
        request->report(request->context, CB_CHECK_RUNS, false, message);
    }
    cb_arena_destroy(run.arena);
    return CB_OK;
}
