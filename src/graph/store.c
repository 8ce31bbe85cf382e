/* store.c: params on a device. See store.h. */
#include "graph/store.h"

#include <string.h>

static struct cb_tensor shape_of(const struct cb_param *param)
{
    struct cb_tensor tensor = {.struct_size = sizeof(tensor), .dtype = CB_F32, .rank = param->decl.rank};
    memcpy(tensor.dims, param->decl.dims, sizeof(tensor.dims));
    return tensor;
}

/* Gives every trainable param its place in the range. */
static bool lay_out(struct cb_store *store, struct cb_arena *arena)
{
    const struct cb_network *net = store->net;
    uint64_t align = cb_device_get_info(store->device)->base_align_bytes / sizeof(float);
    align = align < 32 ? 32 : align;
    store->segments = CB_NEW_ARRAY(arena, struct cb_store_segment, net->param_count + 1);
    uint64_t offset = 0;
    for (uint32_t i = 0; store->segments != NULL && i < net->param_count; i++) {
        if (net->params[i].trainable) {
            store->segments[store->segment_count++] =
                (struct cb_store_segment){.param = i, .offset = offset, .count = (uint64_t)net->params[i].count};
            offset += ((uint64_t)net->params[i].count + align - 1) / align * align;
        }
    }
    store->trainable_count = offset;
    return store->segments != NULL;
}

static enum cb_status allocate(struct cb_store *store, bool with_gradients, struct cb_diag *diag)
{
    struct cb_device *device = store->device;
    uint64_t bytes = store->trainable_count * sizeof(float);
    if (bytes > 0) {
        CB_TRY(cb_buffer_create(device, bytes, &store->trainable, diag));
        CB_TRY(cb_buffer_fill(device, store->trainable, 0, bytes, 0, diag));
    }
    if (bytes > 0 && with_gradients) {
        CB_TRY(cb_buffer_create(device, bytes, &store->gradients, diag));
        CB_TRY(cb_buffer_fill(device, store->gradients, 0, bytes, 0, diag));
    }
    for (uint32_t i = 0; i < store->segment_count; i++) {
        const struct cb_store_segment *s = &store->segments[i];
        CB_TRY(cb_buffer_slice(store->trainable, s->offset * sizeof(float), s->count * sizeof(float),
                               &store->values[s->param].buffer, diag));
        if (with_gradients) {
            CB_TRY(cb_buffer_slice(store->gradients, s->offset * sizeof(float), s->count * sizeof(float),
                                   &store->grads[s->param].buffer, diag));
        }
    }
    for (uint32_t i = 0; i < store->net->param_count; i++) {
        if (store->values[i].buffer == NULL) {
            CB_TRY(cb_buffer_create(device, (uint64_t)store->net->params[i].count * sizeof(float),
                                    &store->values[i].buffer, diag));
        }
    }
    return CB_OK;
}

enum cb_status cb_store_create(struct cb_network *net, struct cb_device *device, bool with_gradients,
                               struct cb_store **out, struct cb_diag *diag)
{
    struct cb_store *store = CB_NEW(net->arena, struct cb_store);
    if (store == NULL) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    store->net = net;
    store->device = device;
    store->version = 1;
    store->values = CB_NEW_ARRAY(net->arena, struct cb_tensor, net->param_count + 1);
    store->grads = CB_NEW_ARRAY(net->arena, struct cb_tensor, net->param_count + 1);
    if (store->values == NULL || store->grads == NULL || !lay_out(store, net->arena)) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    for (uint32_t i = 0; i < net->param_count; i++) {
        store->values[i] = store->grads[i] = shape_of(&net->params[i]);
    }
    enum cb_status status = allocate(store, with_gradients, diag);
    if (status == CB_OK) {
        status = cb_store_upload(store, diag);
    }
    if (status != CB_OK) {
        cb_store_destroy(store);
        return status;
    }
    *out = store;
    return CB_OK;
}

void cb_store_destroy(struct cb_store *store)
{
    if (store == NULL) {
        return;
    }
    for (uint32_t i = 0; i < store->net->param_count && store->values != NULL && store->grads != NULL; i++) {
        cb_buffer_destroy(store->values[i].buffer);
        cb_buffer_destroy(store->grads[i].buffer);
        store->values[i].buffer = store->grads[i].buffer = NULL;
    }
    cb_buffer_destroy(store->trainable);
    cb_buffer_destroy(store->gradients);
    store->trainable = store->gradients = NULL;
}

enum cb_status cb_store_upload(struct cb_store *store, struct cb_diag *diag)
{
    for (uint32_t i = 0; i < store->net->param_count; i++) {
        const struct cb_param *param = &store->net->params[i];
        CB_TRY(cb_buffer_write(store->device, store->values[i].buffer, 0, param->host,
                               (uint64_t)param->count * sizeof(float), diag));
    }
    cb_store_touch(store);
    return CB_OK;
}

enum cb_status cb_store_download(struct cb_store *store, struct cb_diag *diag)
{
    for (uint32_t i = 0; i < store->net->param_count; i++) {
        struct cb_param *param = &store->net->params[i];
        CB_TRY(cb_buffer_read(store->device, store->values[i].buffer, 0, param->host,
                              (uint64_t)param->count * sizeof(float), diag));
    }
    return CB_OK;
}

void cb_store_touch(struct cb_store *store)
{
    store->version++;
}
