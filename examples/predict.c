/* predict.c: opens a run and says what is on each picture.
 *
 *     cc predict.c -o predict $(pkg-config --cflags --libs cambium)
 *     ./predict runs/photos photo.jpg */
#include <cambium/cambium.h>
#include <stdio.h>

static int fail(struct cb_diag *diag, enum cb_status status)
{
    for (size_t i = 0; cb_diag_text(diag, i) != NULL; i++) {
        fprintf(stderr, "%s\n", cb_diag_text(diag, i));
    }
    return cb_status_exit_code(status);
}

int main(int argc, char **argv)
{
    struct cb_diag *diag = cb_diag_create();
    struct cb_predictor *predictor = NULL;
    int code = 0;
    if (argc < 3) {
        fprintf(stderr, "usage: predict RUN PICTURE...\n");
        cb_diag_destroy(diag);
        return 2;
    }
    enum cb_status status = cb_predictor_open(argv[1], NULL, &predictor, diag);
    for (int i = 2; status == CB_OK && i < argc; i++) {
        struct cb_prediction answer;
        status = cb_predictor_file(predictor, argv[i], &answer, diag);
        if (status == CB_OK) {
            printf("%s: %s %.3f\n", argv[i], answer.label != NULL ? answer.label : "value", answer.probability);
        }
    }
    if (status != CB_OK) {
        code = fail(diag, status);
    }
    cb_predictor_close(predictor);
    cb_diag_destroy(diag);
    return code;
}
