/* memory.c: greedy placement by size. See memory.h. */
#include "graph/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

struct order {
    uint64_t bytes;
    uint32_t index;
};

static int largest_first(const void *a, const void *b)
{
    const struct order *x = a, *y = b;
    if (x->bytes != y->bytes) {
        return x->bytes < y->bytes ? 1 : -1;
    }
    return x->index < y->index ? -1 : x->index > y->index;
}

struct span {
    uint64_t from, to;
};

static int by_offset(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    return x->from < y->from ? -1 : x->from > y->from;
}

/* The offset of the smallest gap of at least `bytes` between the sorted spans; at the end when there is none. */
static uint64_t smallest_gap(const struct span *spans, uint32_t count, uint64_t bytes, uint64_t align)
{
    uint64_t best = UINT64_MAX, best_size = UINT64_MAX, end = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t start = (end + align - 1) / align * align;
        if (spans[i].from >= start + bytes && spans[i].from - start < best_size) {
            best = start;
            best_size = spans[i].from - start;
        }
        end = spans[i].to > end ? spans[i].to : end;
    }
    return best != UINT64_MAX ? best : (end + align - 1) / align * align;
}

enum cb_status cb_memory_plan(struct cb_arena *arena, struct cb_lifetime *items, uint32_t count, uint64_t align,
                              uint64_t slab_limit, uint64_t **out_slabs, uint32_t *out_slab_count, struct cb_diag *diag)
{
    enum cb_status status = CB_OK;
    uint64_t *slabs = CB_NEW_ARRAY(arena, uint64_t, count + 1);
    struct order *order = calloc(count + 1, sizeof(*order));
    struct span *spans = calloc(count + 1, sizeof(*spans));
    uint32_t slab_count = 0, placed = 0;
    if (slabs == NULL || order == NULL || spans == NULL) {
        status = cb_fail(diag, CB_MEMORY, NULL, "out of memory");
        goto free_spans;
    }
    for (uint32_t i = 0; i < count; i++) {
        order[i] = (struct order){items[i].bytes, i};
    }
    qsort(order, count, sizeof(*order), largest_first);
    for (; placed < count && order[placed].bytes > 0; placed++) {
        struct cb_lifetime *item = &items[order[placed].index];
        if (item->bytes > slab_limit) {
            char wanted[32], limit[32];
            status = cb_fail(diag, CB_MEMORY, NULL, "one tensor needs %s, but the device's largest allocation is %s",
                             cb_format_bytes(item->bytes, wanted), cb_format_bytes(slab_limit, limit));
            goto free_spans;
        }
        for (uint32_t slab = 0;; slab++) {
            uint32_t span_count = 0;
            for (uint32_t k = 0; k < placed; k++) {
                const struct cb_lifetime *other = &items[order[k].index];
                if (other->slab == slab && other->first <= item->last && item->first <= other->last) {
                    spans[span_count++] = (struct span){other->offset, other->offset + other->bytes};
                }
            }
            qsort(spans, span_count, sizeof(*spans), by_offset);
            uint64_t offset = slab < slab_count ? smallest_gap(spans, span_count, item->bytes, align) : 0;
            if (offset + item->bytes > slab_limit) {
                continue;
            }
            item->slab = slab;
            item->offset = offset;
            slab_count = slab == slab_count ? slab_count + 1 : slab_count;
            slabs[slab] = offset + item->bytes > slabs[slab] ? offset + item->bytes : slabs[slab];
            break;
        }
    }
    *out_slabs = slabs;
    *out_slab_count = slab_count;
free_spans:
    free(spans);
    free(order);
    return status;
}
