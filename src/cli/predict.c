/* predict.c: `cambium predict RUN INPUT...`: labels with probabilities, of a run or of a backbone's own output. */
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/open_model.h"
#include "cli/texts.h"
#include "data/resize.h"
#include "train/metrics.h"

static const struct cb_flag flags[] = {
    {"--csv", NULL, "lines of input,label,probability, or input and its values"},
    {"--stdin", NULL, "text: each line of standard input, too"},
    {"--min", "P", "answer `unsure` below this probability"},
    {NULL, NULL, NULL},
};

#define AT_ONCE 16

struct prediction {
    struct cb_cli *cli;
    struct cb_engine *engine;
    double least; /* probability */
    bool csv;
};

static void print_json(const struct prediction *p, const char *input, const float *row)
{
    const struct cb_model *model = p->engine->model;
    struct cb_arena *arena = p->cli->arena;
    struct cb_value *map = cb_value_map(arena, NULL), *all = cb_value_map(arena, NULL);
    (void)cb_map_set(arena, map, "input", cb_value_text(arena, input, NULL));
    if (model->classes != NULL) {
        uint32_t best = cb_argmax(row, model->outputs);
        const char *label = row[best] < p->least ? "unsure" : model->classes[best];
        (void)cb_map_set(arena, map, "label", cb_value_text(arena, label, NULL));
        (void)cb_map_set(arena, map, "probability", cb_value_real(arena, row[best], NULL));
        for (uint32_t i = 0; i < model->outputs; i++) {
            (void)cb_map_set(arena, all, model->classes[i], cb_value_real(arena, row[i], NULL));
        }
        (void)cb_map_set(arena, map, "probabilities", all);
    } else {
        struct cb_value *list = cb_value_list(arena, NULL);
        for (uint32_t i = 0; i < model->outputs; i++) {
            (void)cb_list_append(arena, list, cb_value_real(arena, row[i], NULL));
        }
        (void)cb_map_set(arena, map, "values", list);
    }
    cb_cli_print_json(map);
}

static void print_csv_field(const char *text)
{
    bool quote = strpbrk(text, ",\"\r\n") != NULL;
    if (!quote) {
        printf("%s", text);
        return;
    }
    putchar('"');
    for (; *text != '\0'; text++) {
        printf(*text == '"' ? "\"\"" : "%c", *text);
    }
    putchar('"');
}

static void print_row(const struct prediction *p, const char *input, const float *row)
{
    const struct cb_model *model = p->engine->model;
    if (p->cli->json) {
        print_json(p, input, row);
        return;
    }
    bool classes = model->classes != NULL;
    uint32_t best = classes ? cb_argmax(row, model->outputs) : 0;
    const char *label = !classes ? NULL : row[best] < p->least ? "unsure" : model->classes[best];
    if (p->csv) {
        print_csv_field(input);
        if (classes) {
            putchar(',');
            print_csv_field(label);
        }
        for (uint32_t i = classes ? best : 0; i < (classes ? best + 1 : model->outputs); i++) {
            printf(",%.6g", row[i]);
        }
        printf("\n");
        return;
    }
    if (!classes) {
        printf("%s:", input);
        for (uint32_t i = 0; i < model->outputs; i++) {
            printf(" %.6g", row[i]);
        }
        printf("\n");
        return;
    }
    printf("%s: %s %.3f", input, label, row[best]);
    uint32_t second = best == 0 ? 1 : 0;
    for (uint32_t i = 0; i < model->outputs; i++) {
        second = i != best && row[i] > row[second] ? i : second;
    }
    if (model->outputs > 1 && row[second] >= 0.01f) {
        printf(" (then %s %.3f)", model->classes[second], row[second]);
    }
    printf("\n");
}

/* Pictures that cannot be read are named and left out; the exit code tells. */
static enum cb_status predict(struct prediction *p, const char *const *files, size_t count)
{
    const struct cb_model *model = p->engine->model;
    const struct cb_contract *c = &model->contract;
    size_t bytes = (size_t)(c->shape[0] * c->shape[1] * c->shape[2]);
    unsigned char *rows = malloc(bytes * AT_ONCE);
    float *scores = malloc((size_t)AT_ONCE * model->outputs * sizeof(float));
    enum cb_status status = CB_OK, worst = CB_OK;
    if (rows == NULL || scores == NULL) {
        status = cb_fail(p->cli->diag, CB_MEMORY, NULL, "out of memory");
    }
    for (size_t at = 0; status == CB_OK && at < count;) {
        const char *names[AT_ONCE];
        uint32_t n = 0;
        if (cb_cli_was_interrupted()) {
            status = CB_INTERRUPTED;
            break;
        }
        for (; n < AT_ONCE && at < count; at++) {
            enum cb_status read = cb_image_for_contract(files[at], c, model->background, rows + n * bytes, NULL,
                                                        p->cli->diag);
            if (read == CB_OK) {
                names[n++] = files[at];
            } else {
                worst = read;
                cb_cli_flush(p->cli);
            }
        }
        if (n > 0) {
            status = cb_engine_values(p->engine, model->scores, rows, true, n, scores, p->cli->diag);
        }
        if (status == CB_OK && n > 0) {
            status = cb_engine_link(p->engine, scores, n, p->cli->diag);
        }
        for (uint32_t i = 0; status == CB_OK && i < n; i++) {
            print_row(p, names[i], scores + (size_t)i * model->outputs);
        }
    }
    free(rows);
    free(scores);
    return status != CB_OK ? status : worst;
}

/* Texts that cannot be read are named by the preparation, and left out here. */
static enum cb_status predict_texts(struct prediction *p, struct cb_opened *opened, struct cb_device *device)
{
    struct cb_cli *cli = p->cli;
    const char *const *names;
    struct cb_dataset *dataset;
    CB_TRY(cb_cli_texts(cli, opened, cli->arguments + 1, cli->argument_count - 1, &dataset, &names, cli->diag));
    cb_cli_flush(cli);
    CB_TRY(cb_engine_create(opened->model, dataset, device, false, 0, NULL, &p->engine, cli->diag));
    const uint32_t outputs = opened->model->outputs, count = dataset->count;
    uint32_t *samples = CB_NEW_ARRAY(cli->arena, uint32_t, (size_t)count + 1);
    float *scores = malloc((size_t)count * outputs * sizeof(float) + 1);
    enum cb_status status = samples != NULL && scores != NULL ? CB_OK : cb_fail(cli->diag, CB_MEMORY, NULL, "out of memory");
    for (uint32_t i = 0; status == CB_OK && i < count; i++) {
        samples[i] = i;
    }
    status = status == CB_OK ? cb_engine_scores(p->engine, samples, count, scores, cli->diag) : status;
    status = status == CB_OK ? cb_engine_link(p->engine, scores, count, cli->diag) : status;
    bool any_bad = false;
    for (uint32_t i = 0; status == CB_OK && i < count; i++) {
        if (cb_dataset_is_bad(dataset, i)) {
            any_bad = true;
        } else {
            print_row(p, names[i], scores + (size_t)i * outputs);
        }
    }
    free(scores);
    return status == CB_OK && any_bad ? CB_FORMAT : status;
}

static int run(struct cb_cli *cli)
{
    struct cb_opened opened = {0};
    struct cb_device *device = NULL;
    struct prediction p = {.cli = cli, .csv = cb_cli_has(cli, "--csv")};
    const char **files = NULL;
    size_t count = 0;
    if (cli->argument_count < (cb_cli_has(cli, "--stdin") ? 1u : 2u)) {
        return cb_cli_misuse(cli, "a run (or a backbone) and at least one input are needed");
    }
    if (!cb_cli_number(cli, "--min", 0, 1, 0, &p.least)) {
        return 2;
    }
    enum cb_status status = cb_cli_open_model(cli, cli->arguments[0], NULL, &opened);
    const bool is_text = status == CB_OK && opened.model->contract.modality == CB_TEXT;
    if (status == CB_OK && !is_text && opened.model->contract.modality != CB_IMAGE) {
        status = cb_fail(cli->diag, CB_MISMATCH, NULL, "`%s` takes %s input, and only pictures and texts can be predicted yet",
                         cli->arguments[0], cb_modality_name(opened.model->contract.modality));
    }
    if (status == CB_OK && !is_text && cb_cli_has(cli, "--stdin")) {
        status = cb_fail(cli->diag, CB_MISMATCH, NULL, "`--stdin` is for texts, but `%s` takes %s input", cli->arguments[0],
                         cb_modality_name(opened.model->contract.modality));
    }
    if (status == CB_OK && !is_text) {
        status = cb_cli_expand_inputs(cli, cli->arguments + 1, cli->argument_count - 1, &files, &count);
    }
    if (status == CB_OK) {
        status = cb_device_open(cli->device, &device, cli->diag);
    }
    if (status == CB_OK && is_text) {
        status = predict_texts(&p, &opened, device);
    } else if (status == CB_OK) {
        status = cb_engine_create(opened.model, NULL, device, false, 0, NULL, &p.engine, cli->diag);
    }
    if (status == CB_OK && !is_text) {
        status = predict(&p, files, count);
    }
    cb_engine_destroy(p.engine);
    cb_cli_close_device(device);
    cb_cli_close_model(&opened);
    return cb_cli_finish(cli, status);
}

const struct cb_command cb_command_predict = {
    .name = "predict",
    .usage = "predict RUN|BACKBONE PICTURE|TEXT|FOLDER... [--stdin] [--csv] [--min 0.8]",
    .summary = "labels for pictures or texts, with probabilities",
    .flags = flags,
    .run = run,
};
