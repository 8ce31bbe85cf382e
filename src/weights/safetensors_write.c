/* safetensors_write.c: writing a safetensors file. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "weights/internal.h"
#include "weights/safetensors.h"

struct plan {
    const struct cb_safetensors_entry *entries;
    uint32_t count;
    uint32_t *order;  /* of the values in the file */
    uint64_t *bytes;  /* of each entry */
};

static int compare_alignment(const void *a, const void *b, void *context)
{
    const struct plan *plan = context;
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    uint32_t x_bytes = cb_stored_bytes(plan->entries[x].type);
    uint32_t y_bytes = cb_stored_bytes(plan->entries[y].type);
    if (x_bytes != y_bytes) {
        return x_bytes > y_bytes ? -1 : 1;
    }
    return x < y ? -1 : x > y;
}

static int compare_names(const void *a, const void *b, void *context)
{
    const struct plan *plan = context;
    return strcmp(plan->entries[*(const uint32_t *)a].name, plan->entries[*(const uint32_t *)b].name);
}

/* JSON texts are UTF-8 (RFC 3629: no overlong forms, no surrogates). */
static bool is_utf8(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    while (*s) {
        unsigned follow = *s < 0x80 ? 0 : *s >= 0xc2 && *s < 0xe0 ? 1 : *s >= 0xe0 && *s < 0xf0 ? 2 : 3;
        if (follow == 3 && (*s < 0xf0 || *s > 0xf4)) {
            return false;
        }
        if ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f) || (*s == 0xf0 && s[1] < 0x90) ||
            (*s == 0xf4 && s[1] > 0x8f)) {
            return false;
        }
        for (s++; follow > 0; follow--, s++) {
            if ((*s & 0xc0) != 0x80) {
                return false;
            }
        }
    }
    return true;
}

static enum cb_status check_entries(struct plan *plan, const char *path, struct cb_diag *diag)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct cb_safetensors_entry *entry = &plan->entries[i];
        uint64_t elements;
        if (!is_utf8(entry->name) || strcmp(entry->name, "__metadata__") == 0) {
            return cb_fail(diag, CB_INVALID, NULL, "`%s`: `%s` cannot be the name of a tensor in a safetensors file",
                           path, entry->name);
        }
        if (cb_stored_bytes(entry->type) == 0 || entry->rank > CB_MAX_RANK ||
            !cb__dims_count(entry->rank, entry->dims, &elements) ||
            __builtin_mul_overflow(elements, (uint64_t)cb_stored_bytes(entry->type), &plan->bytes[i])) {
            return cb_fail(diag, CB_INVALID, NULL, "`%s`: tensor `%s` has a type or dims that cannot be written", path,
                           entry->name);
        }
        plan->order[i] = i;
    }
    qsort_r(plan->order, plan->count, sizeof(uint32_t), compare_names, plan);
    for (uint32_t i = 1; i < plan->count; i++) {
        const char *name = plan->entries[plan->order[i]].name;
        if (strcmp(plan->entries[plan->order[i - 1]].name, name) == 0) {
            return cb_fail(diag, CB_INVALID, NULL, "`%s`: two tensors would be named `%s`", path, name);
        }
    }
    qsort_r(plan->order, plan->count, sizeof(uint32_t), compare_alignment, plan);
    return CB_OK;
}

static enum cb_status add_metadata(struct cb_text *header, const struct cb_key_value *metadata, uint32_t count,
                                   const char *path, struct cb_diag *diag)
{
    cb_text_add(header, "\"__metadata__\":{");
    for (uint32_t i = 0; i < count; i++) {
        if (!is_utf8(metadata[i].key) || !is_utf8(metadata[i].value)) {
            return cb_fail(diag, CB_INVALID, NULL, "`%s`: the metadata under `%s` is not UTF-8", path, metadata[i].key);
        }
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(metadata[i].key, metadata[j].key) == 0) {
                return cb_fail(diag, CB_INVALID, NULL, "`%s`: the metadata has `%s` twice", path, metadata[i].key);
            }
        }
        cb_text_add(header, i ? "," : "");
        cb_text_add_json_string(header, metadata[i].key);
        cb_text_add(header, ":");
        cb_text_add_json_string(header, metadata[i].value);
    }
    cb_text_add(header, "}");
    return CB_OK;
}

static void add_entry(struct cb_text *header, const struct cb_safetensors_entry *entry, uint64_t begin, uint64_t end)
{
    cb_text_add_json_string(header, entry->name);
    cb_text_addf(header, ":{\"dtype\":\"%s\",\"shape\":[", cb_stored_name(entry->type));
    for (uint32_t i = 0; i < entry->rank; i++) {
        cb_text_addf(header, "%s%" PRId64, i ? "," : "", entry->dims[i]);
    }
    cb_text_addf(header, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", begin, end);
}

static enum cb_status make_header(const struct plan *plan, const struct cb_key_value *metadata, uint32_t metadata_count,
                                  const char *path, struct cb_text *header, struct cb_diag *diag)
{
    cb_text_add(header, "{");
    if (metadata_count > 0) {
        CB_TRY(add_metadata(header, metadata, metadata_count, path, diag));
    }
    uint64_t begin = 0;
    for (uint32_t i = 0; i < plan->count; i++) {
        uint64_t end;
        if (__builtin_add_overflow(begin, plan->bytes[plan->order[i]], &end) || end > INT64_MAX) {
            return cb_fail(diag, CB_INVALID, NULL, "`%s` would be too large", path);
        }
        cb_text_add(header, i || metadata_count ? "," : "");
        add_entry(header, &plan->entries[plan->order[i]], begin, end);
        begin = end;
    }
    cb_text_add(header, "}");
    while (header->length % 8 != 0 && !header->failed) {
        cb_text_add(header, " ");
    }
    if (header->failed) {
        return cb_fail(diag, CB_MEMORY, NULL, "no memory for the header of `%s`", path);
    }
    if (header->length > CB_SAFETENSORS_MAX_HEADER) {
        return cb_fail(diag, CB_INVALID, NULL, "`%s`: its header would have %zu bytes; at most %u are allowed", path,
                       header->length, CB_SAFETENSORS_MAX_HEADER);
    }
    return CB_OK;
}

static enum cb_status write_file(const struct plan *plan, const struct cb_text *header, const char *path,
                                 struct cb_diag *diag)
{
    struct cb_atomic_file file = {0};
    CB_TRY(cb_atomic_open(&file, path, diag));
    unsigned char length[8];
    for (int i = 0; i < 8; i++) {
        length[i] = (unsigned char)((uint64_t)header->length >> (8 * i));
    }
    bool is_written = fwrite(length, 1, 8, file.stream) == 8 &&
                      fwrite(header->data, 1, header->length, file.stream) == header->length;
    for (uint32_t i = 0; i < plan->count && is_written; i++) {
        uint32_t entry = plan->order[i];
        is_written = plan->bytes[entry] == 0 ||
                     fwrite(plan->entries[entry].data, 1, plan->bytes[entry], file.stream) == plan->bytes[entry];
    }
    if (!is_written) {
        enum cb_status status = cb_fail(diag, CB_IO, NULL, "cannot write `%s`: %s", path, strerror(errno));
        cb_atomic_abandon(&file);
        return status;
    }
    return cb_atomic_commit(&file, diag);
}

enum cb_status cb_safetensors_write(const char *path, const struct cb_safetensors_entry *entries, uint32_t count,
                                    const struct cb_key_value *metadata, uint32_t metadata_count, struct cb_diag *diag)
{
    struct cb_text header = {0};
    struct plan plan = {entries, count, calloc((size_t)count + 1, sizeof(uint32_t)),
                        calloc((size_t)count + 1, sizeof(uint64_t))};
    enum cb_status status = CB_OK;
    if (!plan.order || !plan.bytes) {
        status = cb_fail(diag, CB_MEMORY, NULL, "no memory to write `%s`", path);
        goto free_plan;
    }
    status = check_entries(&plan, path, diag);
    if (status == CB_OK) {
        status = make_header(&plan, metadata, metadata_count, path, &header, diag);
    }
    if (status == CB_OK) {
        status = write_file(&plan, &header, path, diag);
    }
    cb_text_free(&header);
free_plan:
    free(plan.order);
    free(plan.bytes);
    return status;
}
