/* buffer.c: device memory: allocations, windows into them, transfers, and the account of what is in use.
 *
 * A window (cb_buffer_slice) holds a reference to its allocation, so that the order of destruction does not matter. A
 * window of a window is one of the allocation: OpenCL knows no deeper nesting. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "device/internal.h"

#define HUGE_PAGE ((uint64_t)2 << 20)

static enum cb_status fail_memory(struct cb_device *device, uint64_t bytes, const char *why, struct cb_diag *diag)
{
    char asked[32], used[32], limit[32];
    return cb_fail(diag, CB_MEMORY, NULL,
                   "no room on device `%s`: %s more were needed (%s), %s are in use, and %s fit in all", device->info.name,
                   cb_format_bytes(bytes, asked), why, cb_format_bytes(device->bytes_now, used),
                   cb_format_bytes(device->memory_limit, limit));
}

static enum cb_status fail_piece(struct cb_device *device, uint64_t bytes, struct cb_diag *diag)
{
    char asked[32], largest[32];
    return cb_fail(diag, CB_MEMORY, NULL,
                   "no room on device `%s`: one piece of %s was needed, and a piece of %s fits at most", device->info.name,
                   cb_format_bytes(bytes, asked), cb_format_bytes(device->info.largest_allocation_bytes, largest));
}

static void CL_CALLBACK free_pages(cl_mem handle, void *pages)
{
    (void)handle;
    free(pages);
}

/* An allocation of the driver; where device memory is this process's own (PoCL, Intel's runtime), of pages that we ask for:
 * huge ones, without which a processor spends its time on looking up addresses. A copy of 128 MB: 35 GB/s with pages of
 * 4 KB, 65 with pages of 2 MB (2-core AMD EPYC, a virtual machine). NULL: `*out_code` says why. */
static cl_mem allocate(struct cb_device *device, uint64_t bytes, cl_int *out_code)
{
    const char *reason;
    void *pages = NULL;
#ifdef MADV_HUGEPAGE
    if (bytes >= HUGE_PAGE && cb__tile_expectation(&device->info, &reason) == CB__TILE_TRY_HERE) {
        const uint64_t whole = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
        pages = aligned_alloc(HUGE_PAGE, whole);
        if (pages) {
            (void)madvise(pages, whole, MADV_HUGEPAGE); /* a wish: where it is not granted, all works as before */
        }
    }
#endif
    cl_mem handle = clCreateBuffer(device->context, CL_MEM_READ_WRITE | (pages ? CL_MEM_USE_HOST_PTR : 0), bytes, pages,
                                   out_code);
    /* The driver keeps the memory of what is still running; it says when that is done. */
    if (handle && pages && clSetMemObjectDestructorCallback(handle, free_pages, pages) != CL_SUCCESS) {
        clReleaseMemObject(handle);
        handle = NULL;
        *out_code = CL_OUT_OF_HOST_MEMORY;
    }
    if (!handle) {
        free(pages);
    }
    return handle;
}

enum cb_status cb_buffer_create(struct cb_device *device, uint64_t bytes, struct cb_buffer **out, struct cb_diag *diag)
{
    if (bytes == 0) {
        return cb_fail(diag, CB_INVALID, NULL, "a buffer must have at least 1 byte");
    }
    if (bytes > device->info.largest_allocation_bytes) {
        return fail_piece(device, bytes, diag);
    }
    if (bytes > device->memory_limit || device->bytes_now > device->memory_limit - bytes) {
        return fail_memory(device, bytes, "its memory is full", diag);
    }
    struct cb_buffer *buffer = calloc(1, sizeof(*buffer));
    if (!buffer) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory while making a buffer");
    }
    cl_int code = CL_SUCCESS;
    buffer->handle = allocate(device, bytes, &code);
    if (!buffer->handle) {
        free(buffer);
        return fail_memory(device, bytes, cb__cl_name(code), diag);
    }
    buffer->device = device;
    buffer->bytes = bytes;
    buffer->references = 1;
    device->bytes_now += bytes;
    if (device->bytes_now > device->bytes_peak) {
        device->bytes_peak = device->bytes_now;
    }
    *out = buffer;
    return CB_OK;
}

enum cb_status cb_buffer_slice(struct cb_buffer *parent, uint64_t offset, uint64_t bytes, struct cb_buffer **out,
                               struct cb_diag *diag)
{
    struct cb_device *device = parent->device;
    if (bytes == 0 || offset > parent->bytes || bytes > parent->bytes - offset) {
        return cb_fail(diag, CB_INVALID, NULL, "a window of %llu bytes at %llu does not lie in a buffer of %llu bytes",
                       (unsigned long long)bytes, (unsigned long long)offset, (unsigned long long)parent->bytes);
    }
    if (offset % device->info.base_align_bytes != 0) {
        return cb_fail(diag, CB_INVALID, NULL, "a window must begin at a multiple of %llu bytes, not at %llu",
                       (unsigned long long)device->info.base_align_bytes, (unsigned long long)offset);
    }
    struct cb_buffer *root = parent->root ? parent->root : parent;
    struct cb_buffer *buffer = calloc(1, sizeof(*buffer));
    if (!buffer) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory while making a buffer");
    }
    buffer->device = device;
    buffer->root = root;
    buffer->offset = parent->offset + offset;
    buffer->bytes = bytes;
    cl_buffer_region region = {buffer->offset, bytes};
    cl_int code = CL_SUCCESS;
    buffer->handle = clCreateSubBuffer(root->handle, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &code);
    if (code != CL_SUCCESS) {
        free(buffer);
        return cb__cl_fail(diag, code, "making a window into a buffer");
    }
    root->references++;
    *out = buffer;
    return CB_OK;
}

static void drop_reference(struct cb_buffer *allocation)
{
    if (--allocation->references == 0) {
        clReleaseMemObject(allocation->handle);
        allocation->device->bytes_now -= allocation->bytes;
        free(allocation);
    }
}

void cb_buffer_destroy(struct cb_buffer *buffer)
{
    if (!buffer) {
        return;
    }
    if (!buffer->root) {
        drop_reference(buffer);
        return;
    }
    struct cb_buffer *root = buffer->root;
    clReleaseMemObject(buffer->handle);
    free(buffer);
    drop_reference(root);
}

uint64_t cb_buffer_bytes(const struct cb_buffer *buffer)
{
    return buffer->bytes;
}

static enum cb_status check_range(const struct cb_buffer *buffer, uint64_t offset, uint64_t bytes, const char *what,
                                  struct cb_diag *diag)
{
    if (offset > buffer->bytes || bytes > buffer->bytes - offset) {
        return cb_fail(diag, CB_INVALID, NULL, "%s %llu bytes at %llu goes past the end of a buffer of %llu bytes", what,
                       (unsigned long long)bytes, (unsigned long long)offset, (unsigned long long)buffer->bytes);
    }
    return CB_OK;
}

enum cb_status cb_buffer_write(struct cb_device *device, struct cb_buffer *buffer, uint64_t offset, const void *data,
                               uint64_t bytes, struct cb_diag *diag)
{
    CB_TRY(check_range(buffer, offset, bytes, "writing", diag));
    if (bytes == 0) {
        return CB_OK;
    }
    cl_int code = clEnqueueWriteBuffer(device->queue, buffer->handle, CL_TRUE, offset, bytes, data, 0, NULL, NULL);
    return code == CL_SUCCESS ? CB_OK : cb__cl_fail(diag, code, "writing to the device");
}

enum cb_status cb_buffer_read(struct cb_device *device, struct cb_buffer *buffer, uint64_t offset, void *data,
                              uint64_t bytes, struct cb_diag *diag)
{
    CB_TRY(check_range(buffer, offset, bytes, "reading", diag));
    if (bytes == 0) {
        return CB_OK;
    }
    cl_int code = clEnqueueReadBuffer(device->queue, buffer->handle, CL_TRUE, offset, bytes, data, 0, NULL, NULL);
    return code == CL_SUCCESS ? CB_OK : cb__cl_fail(diag, code, "reading from the device");
}

enum cb_status cb_buffer_fill(struct cb_device *device, struct cb_buffer *buffer, uint64_t offset, uint64_t bytes,
                              uint32_t pattern, struct cb_diag *diag)
{
    CB_TRY(check_range(buffer, offset, bytes, "filling", diag));
    if (offset % sizeof(pattern) != 0 || bytes % sizeof(pattern) != 0) {
        return cb_fail(diag, CB_INVALID, NULL, "filling works on whole groups of 4 bytes, not on %llu bytes at %llu",
                       (unsigned long long)bytes, (unsigned long long)offset);
    }
    if (bytes == 0) {
        return CB_OK;
    }
    cl_int code = clEnqueueFillBuffer(device->queue, buffer->handle, &pattern, sizeof(pattern), offset, bytes, 0, NULL,
                                      NULL);
    return code == CL_SUCCESS ? CB_OK : cb__cl_fail(diag, code, "filling device memory");
}

enum cb_status cb_buffer_copy(struct cb_device *device, struct cb_buffer *to, uint64_t to_offset,
                              struct cb_buffer *from, uint64_t from_offset, uint64_t bytes, struct cb_diag *diag)
{
    CB_TRY(check_range(to, to_offset, bytes, "copying to", diag));
    CB_TRY(check_range(from, from_offset, bytes, "copying from", diag));
    uint64_t to_begin = to->offset + to_offset, from_begin = from->offset + from_offset;
    bool same = (to->root ? to->root : to) == (from->root ? from->root : from);
    if (bytes == 0 || (same && to_begin == from_begin)) {
        return CB_OK;
    }
    if (same && to_begin < from_begin + bytes && from_begin < to_begin + bytes) {
        return cb_fail(diag, CB_INVALID, NULL, "copying %llu bytes within one buffer: the two places overlap",
                       (unsigned long long)bytes);
    }
    cl_int code = clEnqueueCopyBuffer(device->queue, from->handle, to->handle, from_offset, to_offset, bytes, 0, NULL,
                                      NULL);
    return code == CL_SUCCESS ? CB_OK : cb__cl_fail(diag, code, "copying device memory");
}

void cb_device_memory(const struct cb_device *device, uint64_t *out_now, uint64_t *out_peak)
{
    *out_now = device->bytes_now;
    *out_peak = device->bytes_peak;
}
