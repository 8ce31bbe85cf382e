/* near.c: `near A.safetensors B.safetensors NAME LIMIT`: the only real tensor of A against tensor NAME of B, element by
 * element: the largest difference, relative to the largest value, must be at most LIMIT. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "weights/tensors.h"

static float *values_of(struct cb_tensor_file *file, const struct cb_tensor_entry *entry, struct cb_diag *diag)
{
    float *values = malloc((entry->count + 1) * sizeof(*values));
    if (values != NULL && cb_tensors_read_f32(file, entry, values, diag) != CB_OK) {
        free(values);
        values = NULL;
    }
    return values;
}

int main(int argc, char **argv)
{
    struct cb_diag *diag = cb_diag_create();
    struct cb_tensor_file *a = NULL, *b = NULL;
    if (argc != 5 || diag == NULL || cb_tensors_open(argv[1], &a, NULL, diag) != CB_OK ||
        cb_tensors_open(argv[2], &b, NULL, diag) != CB_OK) {
        fprintf(stderr, "usage: near A.safetensors B.safetensors NAME LIMIT, of files that can be read\n");
        return 2;
    }
    const struct cb_tensor_entry *got = NULL, *want = cb_tensors_find(b, argv[3]);
    for (uint32_t i = 0; i < cb_tensors_count(a); i++) {
        got = cb_stored_is_real(cb_tensors_at(a, i)->type) ? cb_tensors_at(a, i) : got;
    }
    if (got == NULL || want == NULL || got->count != want->count) {
        fprintf(stderr, "%s and %s of %s have unequal sizes\n", argv[1], argv[3], argv[2]);
        return 1;
    }
    float *x = values_of(a, got, diag), *y = values_of(b, want, diag);
    double worst = 0, largest = 0;
    for (uint64_t i = 0; x != NULL && y != NULL && i < got->count; i++) {
        const double difference = fabs((double)x[i] - y[i]);
        worst = difference > worst || isnan(difference) ? difference : worst;
        largest = fabs((double)y[i]) > largest ? fabs((double)y[i]) : largest;
    }
    const bool ok = x != NULL && y != NULL && largest > 0 && worst <= atof(argv[4]) * largest;
    printf("%s: off by %.2g of %.3g\n", argv[1], worst, largest);
    free(x);
    free(y);
    cb_tensors_close(a);
    cb_tensors_close(b);
    cb_diag_destroy(diag);
    return ok ? 0 : 1;
}
