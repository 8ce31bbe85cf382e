/* profile.c: the time that kernels take, when someone asks (CAMBIUM_PROFILE, cb_device_profile): by kernel, and by layer and
 * kernel. A queue keeps an event for each launch; their times are read when the list is full or a report is wanted. */
#include <stdlib.h>
#include <string.h>

#include "device/internal.h"

/* The row of a kernel under the present label; NULL: out of memory. */
static struct cb__timing *row_of(struct cb_device *device, const struct cb_kernel *kernel)
{
    for (struct cb__timing *row = device->timings; row; row = row->next) {
        if (row->kernel == kernel && strcmp(row->label, device->label) == 0) {
            return row;
        }
    }
    struct cb__timing *row = CB_NEW(device->arena, struct cb__timing);
    const char *label = cb_arena_strdup(device->arena, device->label);
    if (!row || !label) {
        return NULL;
    }
    *row = (struct cb__timing){.kernel = kernel, .label = label, .next = device->timings};
    return device->timings = row;
}

void cb__profile_add(struct cb_device *device, const struct cb_kernel *kernel, cl_event event)
{
    struct cb__timing *row = row_of(device, kernel);
    if (device->pending_count == CB__PENDING_MAX) {
        cb__profile_collect(device);
    }
    if (!row) {
        clReleaseEvent(event);
        return;
    }
    row->launches++;
    device->pending[device->pending_count++] = (struct cb__pending){event, row};
}

void cb__profile_collect(struct cb_device *device)
{
    for (size_t i = 0; i < device->pending_count; i++) {
        struct cb__pending *one = &device->pending[i];
        cl_ulong begin = 0, end = 0;
        if (clWaitForEvents(1, &one->event) == CL_SUCCESS &&
            clGetEventProfilingInfo(one->event, CL_PROFILING_COMMAND_START, sizeof(begin), &begin, NULL) == CL_SUCCESS &&
            clGetEventProfilingInfo(one->event, CL_PROFILING_COMMAND_END, sizeof(end), &end, NULL) == CL_SUCCESS &&
            end > begin) {
            one->row->seconds += (double)(end - begin) * 1e-9;
        }
        clReleaseEvent(one->event);
    }
    device->pending_count = 0;
}

void cb_device_profile(struct cb_device *device, bool enabled)
{
    if (device->profiling == enabled) {
        return;
    }
    /* A queue has the property from its birth. */
    clFinish(device->queue);
    cb__profile_collect(device);
    cl_command_queue old = device->queue;
    device->profiling = enabled;
    if (cb__open_queue(device, NULL) != CB_OK) {
        device->queue = old;
        device->profiling = !enabled;
        return;
    }
    clReleaseCommandQueue(old);
}

void cb_device_profile_label(struct cb_device *device, const char *label)
{
    if (device->profile_layers) {
        device->label = label;
    }
}

static int by_seconds(const void *a, const void *b)
{
    const struct cb__timing *const *x = a, *const *y = b;
    double difference = (*y)->seconds - (*x)->seconds;
    return difference > 0 ? 1 : difference < 0 ? -1 : strcmp((*x)->kernel->name, (*y)->kernel->name);
}

void cb_device_profile_report(struct cb_device *device, struct cb_text *out)
{
    cb__profile_collect(device);
    size_t count = 0, filled = 0;
    double total = 0.0;
    for (const struct cb__timing *row = device->timings; row; row = row->next) {
        count++;
        total += row->seconds;
    }
    const struct cb__timing **list = calloc(count + 1, sizeof(const struct cb__timing *));
    if (!list) {
        return;
    }
    for (const struct cb__timing *row = device->timings; row; row = row->next) {
        list[filled++] = row;
    }
    qsort(list, filled, sizeof(const struct cb__timing *), by_seconds);
    cb_text_addf(out, "%-36s %10s %12s %7s%s\n", "kernel", "launches", "seconds", "share",
                 device->profile_layers ? "  layer" : "");
    for (size_t i = 0; i < filled; i++) {
        cb_text_addf(out, "%-36s %10llu %12.6f %6.1f%%%s%s\n", list[i]->kernel->name,
                     (unsigned long long)list[i]->launches, list[i]->seconds,
                     total > 0.0 ? 100.0 * list[i]->seconds / total : 0.0, list[i]->label[0] ? "  " : "", list[i]->label);
    }
    cb_text_addf(out, "%-36s %10s %12.6f\n", "total", "", total);
    free(list);
}
