/* check_lengths.c: a layer that reads its inputs' lengths: what lies behind the length of a row is padding. Other padding
 * changes nothing before it, and a row that is cut to its length gives what it gives in its batch. */
#include "check/checker.h"

#include <string.h>

#define CUT_TOLERANCE 1e-5 /* sums may be split otherwise in a shorter row */

/* The length of row n. */
static int64_t length_of(const struct checker *k, int64_t n)
{
    return k->lengths.at.i[n];
}

/* Whether dims[1] of a tensor are the positions that lengths count. */
static bool has_positions(const struct checker *k, uint32_t rank, const int64_t *dims)
{
    const struct array *x = &k->c->x[0];
    return rank >= 2 && dims[0] == x->dims[0] && dims[1] == x->dims[1];
}

static void change_padding(const struct checker *k, struct array *x)
{
    const int64_t rows = x->dims[0], positions = x->dims[1], part = x->count / (rows * positions);
    for (int64_t n = 0; n < rows; n++) {
        for (int64_t i = length_of(k, n) * part; i < positions * part; i++) {
            const int64_t at = n * positions * part + i;
            if (x->dtype == CB_I32) {
                x->at.i[at] = x->at.i[at] > 0 ? 3 - x->at.i[at] : x->at.i[at]; /* cases.c draws 1 and 2 */
            } else {
                x->at.f[at] = 2.0f - 3.0f * x->at.f[at];
            }
        }
    }
}

/* `y` with what stands behind the lengths made the same in both. */
static struct array without_padding(struct checker *k, const struct array *y)
{
    struct array seen = cb__array_copy(k->core.arena, y);
    if (has_positions(k, y->rank, y->dims)) {
        const int64_t positions = y->dims[1], part = y->count / (y->dims[0] * positions);
        for (int64_t n = 0; n < y->dims[0]; n++) {
            for (int64_t i = length_of(k, n) * part; i < positions * part; i++) {
                seen.at.i[n * positions * part + i] = 0;
            }
        }
    }
    return seen;
}

bool cb__checker_reads_lengths(struct checker *k, struct prepared *p)
{
    struct cb_tensor *const lengths = k->core.lengths;
    const struct results with = cb__checker_forward(k, p);
    for (uint32_t i = 0; i < k->core.in.x_count; i++) {
        k->core.x[i]->lengths = NULL;
    }
    const struct results without = cb__checker_forward(k, p);
    bool differs = false;
    for (uint32_t i = 0; i < k->core.in.x_count; i++) {
        k->core.x[i]->lengths = k->core.x[i]->rank > 1 ? lengths : NULL;
    }
    for (uint32_t i = 0; i < k->core.in.y_count; i++) {
        differs = differs || !cb__array_same_bits(&with.y[i], &without.y[i]);
    }
    return differs;
}

static void check_padding(struct checker *k, struct prepared *p, const struct results *r)
{
    struct array x[TRIAL_MAX];
    memcpy(x, k->x, sizeof(x));
    for (uint32_t i = 0; i < k->core.in.x_count; i++) {
        if (has_positions(k, x[i].rank, x[i].dims)) {
            x[i] = cb__array_copy(k->core.arena, &x[i]);
            change_padding(k, &x[i]);
        }
    }
    const struct results other = cb__checker_forward_with(k, p, x, k->params);
    for (uint32_t i = 0; i < k->core.in.y_count; i++) {
        const struct array got = without_padding(k, &other.y[i]), want = without_padding(k, &r->y[i]);
        cb__checker_bits(k, CB_CHECK_LENGTHS, &got, &want, p->variant->name, "y", i,
                         "when the padding behind a row's length changes");
    }
}

/* Row n alone, with as many positions as are real. */
static void check_cut(struct checker *k, struct prepared *p, const struct results *r, int64_t n)
{
    struct cb_core *core = &k->core;
    const int64_t rows = k->c->x[0].dims[0], positions = k->c->x[0].dims[1], length = length_of(k, n);
    const int32_t id = k->ids.at.i[n], one = (int32_t)length;
    cb__checker_write(k, k->x, k->params);
    cb__trial_write(core, core->sample_ids, &(struct array){.count = 1, .at.i = (int32_t[]){id}});
    cb__trial_write(core, core->lengths, &(struct array){.count = 1, .at.i = (int32_t[]){one}});
    for (uint32_t i = 0; i < core->in.x_count; i++) {
        const struct array *x = &k->x[i];
        const bool is_cut = has_positions(k, x->rank, x->dims);
        const int64_t part = x->count / rows;
        cb__trial_write(core, core->x[i], &(struct array){.count = is_cut ? part / positions * length : part,
                                                          .at.f = x->at.f + n * part});
        core->x[i]->dims[0] = 1;
        core->x[i]->dims[1] = is_cut ? length : core->x[i]->dims[1];
    }
    for (uint32_t i = 0; i < core->in.y_count; i++) {
        core->y[i]->dims[1] = has_positions(k, r->y[i].rank, r->y[i].dims) ? length : core->y[i]->dims[1];
        core->y[i]->dims[0] = 1;
    }
    cb__trial_run(core, p);
    for (uint32_t i = 0; i < core->in.y_count; i++) {
        const struct array got = cb__trial_read(core, core->y[i]);
        struct array want = got;
        want.at.f = r->y[i].at.f + n * (r->y[i].count / rows);
        cb__checker_close(k, CB_CHECK_LENGTHS, &got, &want, CUT_TOLERANCE, p->variant->name, "y", i,
                          cb_arena_printf(core->arena, "when row %lld is cut to its length %lld", (long long)n,
                                          (long long)length));
        memcpy(core->y[i]->dims, r->y[i].dims, sizeof(core->y[i]->dims));
    }
    for (uint32_t i = 0; i < core->in.x_count; i++) {
        memcpy(core->x[i]->dims, k->x[i].dims, sizeof(core->x[i]->dims));
    }
}

void cb__check_lengths(struct checker *k, struct prepared *p, const struct results *r)
{
    struct cb_tensor *saved[TRIAL_MAX];
    if (k->core.lengths == NULL || !k->c->is_made || k->c->training) {
        return;
    }
    check_padding(k, p, r);
    memcpy(saved, k->core.saved, sizeof(saved));
    memset(k->core.saved, 0, sizeof(k->core.saved)); /* of other dims then */
    for (int64_t n = 0; n < k->lengths.count; n++) {
        check_cut(k, p, r, n);
    }
    memcpy(k->core.saved, saved, sizeof(saved));
}
