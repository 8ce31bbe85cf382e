/* export_int8.h: `export --int8`: the weights quantised, and what that costs, measured on the run's
 * data. */
#ifndef CAMBIUM_CLI_EXPORT_INT8_H
#define CAMBIUM_CLI_EXPORT_INT8_H

#include "cli/cli.h"
#include "exchange/onnx_write.h"

struct cb_int8_loss {
    uint64_t values;         /* weights that became int8 */
    const char *on;          /* what it was measured on: "the test data"; NULL: nothing */
    uint32_t count, changed; /* samples, and those whose answer is another now */
    double largest_change;   /* of any probability, or value */
    bool has_classes;
    uint64_t correct[2];  /* as float32, as int8 */
    double mean_error[2]; /* of values: the mean absolute error */
};

/* Measures the model with its weights as they are, makes int8 of them, and measures again. `run`
 * (its folder) is NULL for a backbone; `data`: a folder instead of the run's own data, `none`:
 * nothing is measured, NULL: the run's own. */
enum cb_status cb_cli_make_int8(struct cb_cli *cli, struct cb_model *model, const char *what,
                                const char *run, const char *data, struct cb_quantised **out,
                                struct cb_int8_loss *out_loss);
/* The figures as a map: for --json and the file's metadata. */
struct cb_value *cb_cli_int8_value(struct cb_arena *arena, const struct cb_int8_loss *loss);
void cb_cli_int8_print(const struct cb_int8_loss *loss);

#endif
