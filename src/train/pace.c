/* pace.c: see pace.h. */
#include "train/pace.h"

#define WORTH 0.97 /* a smaller part must take less than this share of the best time so far */

void cb_pace_start(struct cb_pace *pace, uint32_t most, bool is_tried)
{
    *pace = (struct cb_pace){.size_count = 1};
    pace->sizes[0] = most > 0 ? most : 1;
    while (is_tried && pace->size_count < CB_PACE_SIZES && pace->sizes[pace->size_count - 1] > 1) {
        pace->sizes[pace->size_count] = pace->sizes[pace->size_count - 1] / 2;
        pace->size_count++;
    }
}

static bool is_settled(const struct cb_pace *pace)
{
    return pace->size_count == 1 || pace->turn > pace->size_count;
}

uint32_t cb_pace_rows(const struct cb_pace *pace, uint32_t left)
{
    const uint32_t index = is_settled(pace) ? pace->best : pace->turn == 0 ? 0 : pace->turn - 1;
    return pace->sizes[index] < left ? pace->sizes[index] : left;
}

void cb_pace_took(struct cb_pace *pace, uint32_t rows, double seconds)
{
    if (is_settled(pace) || rows != cb_pace_rows(pace, UINT32_MAX)) { /* the end of a batch says nothing about a size */
        return;
    }
    pace->rows += rows;
    pace->took += seconds;
    if (pace->rows < pace->sizes[0]) {
        return;
    }
    if (pace->turn > 0) {
        const uint32_t index = pace->turn - 1;
        pace->seconds[index] = pace->took / pace->rows;
        pace->best = index == 0 || pace->seconds[index] < WORTH * pace->seconds[pace->best] ? index : pace->best;
    }
    pace->turn++;
    pace->rows = 0;
    pace->took = 0.0;
}
