/* report.c: what was loaded, for people. */
#include <inttypes.h>

#include "weights/match.h"

static void print_list(const char *title, const struct cb_name_list *list, struct cb_text *out)
{
    for (uint32_t i = 0; i < list->count; i++) {
        cb_text_addf(out, "  %-10s %s\n", i == 0 ? title : "", list->names[i]);
    }
}

void cb_load_report_print(const struct cb_load_report *report, bool verbose, struct cb_text *out)
{
    cb_text_addf(out, "%s (%s", report->path, report->format);
    if (report->wrapper) {
        cb_text_addf(out, ", under `%s`", report->wrapper);
    }
    if (report->beside) {
        cb_text_addf(out, ", not %s", report->beside);
    }
    if (report->prefix) {
        cb_text_addf(out, ", without `%s`", report->prefix);
    }
    if (report->map) {
        cb_text_addf(out, ", names of %s", report->map);
    }
    cb_text_addf(out, "): %" PRIu32 " tensor%s kept, %" PRIu32 " replaced, %" PRIu32 " missing, %" PRIu32 " unused",
                 report->kept.count, report->kept.count == 1 ? "" : "s", report->replaced.count, report->missing.count,
                 report->unused.count);
    if (report->mismatched.count > 0) {
        cb_text_addf(out, ", %" PRIu32 " of another shape", report->mismatched.count);
    }
    for (uint32_t i = 0; i < report->changed.count; i++) {
        cb_text_addf(out, "; %s", report->changed.names[i]);
    }
    cb_text_add(out, "\n");
    if (verbose) {
        print_list("kept", &report->kept, out);
        print_list("replaced", &report->replaced, out);
        print_list("missing", &report->missing, out);
        print_list("unused", &report->unused, out);
        print_list("mismatched", &report->mismatched, out);
    }
}
