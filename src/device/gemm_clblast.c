/* gemm_clblast.c: the matrix product by CLBlast, for GPUs, where it was built in.
 *
 * CLBlast chooses among its own kernels by the sizes, so that, unlike in our forms, the last bits of a row may depend on
 * how many rows there are. */
#include "device/internal.h"

#ifdef CB_HAVE_CLBLAST

#include <clblast_c.h>

/* An operand at its beginning: CLBlast copies those that begin elsewhere. Element 0 of `*out` is the operand's when the
 * offset could be turned into a window (destroyed by the caller), else `*out_offset` remains. */
static struct cb_buffer *window(const struct cb_tensor *tensor, int64_t offset, int64_t count, int64_t *out_offset)
{
    struct cb_buffer *buffer = NULL;
    *out_offset = offset;
    if (offset != 0 && cb_buffer_slice(tensor->buffer, (uint64_t)offset * sizeof(float),
                                       (uint64_t)count * sizeof(float), &buffer, NULL) == CB_OK) {
        *out_offset = 0;
    }
    return buffer;
}

enum cb_status cb__gemm_clblast(struct cb_device *device, const struct cb_gemm *g, struct cb_diag *diag)
{
    if (g->k == 0) {
        return cb_fail(diag, CB_UNSUPPORTED, NULL, "CLBlast makes no product over nothing");
    }
    int64_t a0, b0, y0;
    struct cb_buffer *a = window(g->a, g->a_offset, g->m * g->k, &a0);
    struct cb_buffer *b = window(g->b, g->b_offset, g->k * g->n, &b0);
    struct cb_buffer *y = window(g->y, g->y_offset, g->m * g->n, &y0);
    CLBlastStatusCode code = CLBlastSgemm(
        CLBlastLayoutRowMajor, g->a_transposed ? CLBlastTransposeYes : CLBlastTransposeNo,
        g->b_transposed ? CLBlastTransposeYes : CLBlastTransposeNo, (size_t)g->m, (size_t)g->n, (size_t)g->k, 1.0f,
        (a ? a : g->a->buffer)->handle, (size_t)a0, (size_t)(g->a_transposed ? g->m : g->k),
        (b ? b : g->b->buffer)->handle, (size_t)b0, (size_t)(g->b_transposed ? g->k : g->n), g->accumulate ? 1.0f : 0.0f,
        (y ? y : g->y->buffer)->handle, (size_t)y0, (size_t)g->n, &device->queue, NULL);
    cb_buffer_destroy(a);
    cb_buffer_destroy(b);
    cb_buffer_destroy(y);
    device->clblast_used = true;
    if (code != CLBlastSuccess) {
        device->clblast_declined = true;
        return cb_fail(diag, CB_UNSUPPORTED, NULL, "CLBlast failed: %d", (int)code);
    }
    return CB_OK;
}

/* It keeps programs by context, and would find them again for another one at the same address. */
void cb__gemm_clblast_release(struct cb_device *device)
{
    if (device->clblast_used) {
        CLBlastClearCache();
    }
}

bool cb__gemm_prefers_clblast(const struct cb_device *device, const struct cb_gemm *g)
{
    const int64_t least = 128 * 128 * 128; /* below, its set-up costs more than the product */
    return !device->clblast_declined && g->k > 0 && g->m * g->n >= least / 128 && g->m * g->n * g->k >= least;
}

#else

enum cb_status cb__gemm_clblast(struct cb_device *device, const struct cb_gemm *g, struct cb_diag *diag)
{
    (void)device;
    (void)g;
    return cb_fail(diag, CB_UNSUPPORTED, NULL, "this program was built without CLBlast");
}

void cb__gemm_clblast_release(struct cb_device *device)
{
    (void)device;
}

bool cb__gemm_prefers_clblast(const struct cb_device *device, const struct cb_gemm *g)
{
    (void)device;
    (void)g;
    return false;
}

#endif
