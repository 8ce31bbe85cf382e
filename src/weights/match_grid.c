/* match_grid.c: trained positions of a picture's pieces from a file whose pictures had another size. The grid is resampled
 * as vision transformers do it (bicubic with a = -0.75, corners not aligned, no antialiasing: torch's interpolate, which
 * transformers uses for ViT, DeiT and DINOv2); what stands in front of it, a class token's position, stays. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "weights/match_internal.h"

enum { MAX_SIDE = 4096 };

/* The side of the square grid that the table [rows,C] of the file ends in; 0: it is none. */
static int64_t side_of(const struct cb_wanted *w, const struct cb_tensor_entry *view)
{
    const int64_t places = view->dims[0] - w->hidden_dims[0];
    int64_t side = 0;
    while (side < MAX_SIDE && (side + 1) * (side + 1) <= places) {
        side++;
    }
    return side > 0 && side * side == places ? side : 0;
}

bool cb__is_other_grid(const struct cb_wanted *w, const struct cb_tensor_entry *entry, struct cb_tensor_entry *out_view)
{
    struct cb_wanted as_there = *w;
    if (w->role != CB_PARAM_TABLE || w->rank != 2 || !w->hidden_dims) {
        return false;
    }
    for (uint32_t i = 0; i < entry->rank; i++) { /* [1,T,C], [T,C] */
        as_there.dims[0] = entry->dims[i];
        if (entry->dims[i] > w->hidden_dims[0] && cb__view_as_ours(&as_there, entry, false, out_view) &&
            side_of(w, out_view) > 0) {
            return true;
        }
    }
    return false;
}

/* The four weights around a place `t` behind the second of its four neighbours (Keys 1981). */
static void cubic(double t, double weights[4])
{
    const double a = -0.75, distances[4] = {t + 1.0, t, 1.0 - t, 2.0 - t};
    for (int i = 0; i < 4; i++) {
        const double x = distances[i];
        weights[i] = i == 1 || i == 2 ? ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
                                      : ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a;
    }
}

/* Where place `to` of `to_size` lies among `from_size`: four neighbours, clamped to the edge, and their weights. */
static void neighbours(int64_t to, int64_t to_size, int64_t from_size, int64_t at[4], double weights[4])
{
    const double place = ((double)to + 0.5) * (double)from_size / (double)to_size - 0.5, below = floor(place);
    cubic(place - below, weights);
    for (int i = 0; i < 4; i++) {
        const int64_t k = (int64_t)below - 1 + i;
        at[i] = k < 0 ? 0 : k >= from_size ? from_size - 1 : k;
    }
}

/* `to` [h,w,C] from `from` [side,side,C]. */
static void resample(float *to, int64_t h, int64_t w, const float *from, int64_t side, int64_t channels)
{
    for (int64_t i = 0; i < h; i++) {
        int64_t rows[4], columns[4];
        double row_weights[4], column_weights[4];
        neighbours(i, h, side, rows, row_weights);
        for (int64_t j = 0; j < w; j++) {
            neighbours(j, w, side, columns, column_weights);
            for (int64_t c = 0; c < channels; c++) {
                double sum = 0.0;
                for (int k = 0; k < 16; k++) {
                    sum += row_weights[k / 4] * column_weights[k % 4] *
                           from[(rows[k / 4] * side + columns[k % 4]) * channels + c];
                }
                to[(i * w + j) * channels + c] = (float)sum;
            }
        }
    }
}

enum cb_status cb__read_other_grid(const struct cb__matching *m, struct cb_wanted *w, const struct cb_tensor_entry *view)
{
    const int64_t front = w->hidden_dims[0], side = side_of(w, view), channels = w->dims[1];
    w->reason = cb_arena_printf(m->arena, "`%s`: a grid of %lld x %lld resampled to %lld x %lld", w->name,
                                (long long)side, (long long)side, (long long)w->hidden_dims[1],
                                (long long)w->hidden_dims[2]);
    float *held = w->out ? calloc((size_t)(view->dims[0] * channels), sizeof(*held)) : NULL;
    if (!w->reason || (w->out && !held)) {
        free(held);
        return cb_fail(m->diag, CB_MEMORY, m->at, "no memory to resample `%s`", w->name);
    }
    enum cb_status status = held ? cb_tensors_read_f32(m->file, view, held, m->diag) : CB_OK;
    if (held && status == CB_OK) {
        memcpy(w->out, held, (size_t)(front * channels) * sizeof(*held));
        resample(w->out + front * channels, w->hidden_dims[1], w->hidden_dims[2], held + front * channels, side, channels);
    }
    free(held);
    return status;
}
