/* sheet.c: one picture that holds many: tiles of one size, row by row, as many in a row for each class. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/source.h"

struct sheet {
    struct cb__source source;
    struct cb_image image;
    uint32_t tile_height, tile_width;
};

static void sheet_name(const struct cb__source *source, uint32_t item, char *out, size_t room)
{
    snprintf(out, room, "%s, tile %u", source->path, item);
}

static bool sheet_image(const struct cb__source *source, uint32_t item, struct cb_image *out, struct cb__why *why)
{
    const struct sheet *sheet = (const struct sheet *)source;
    const struct cb_image *all = &sheet->image;
    uint32_t columns = all->width / sheet->tile_width;
    size_t x0 = (size_t)(item % columns) * sheet->tile_width, y0 = (size_t)(item / columns) * sheet->tile_height;
    if (!cb__image_alloc(out, sheet->tile_width, sheet->tile_height, all->channels, why)) {
        return false;
    }
    size_t row = (size_t)out->width * out->channels;
    for (uint32_t y = 0; y < out->height; y++) {
        memcpy(out->data + y * row, all->data + ((y0 + y) * all->width + x0) * all->channels, row);
    }
    return true;
}

static void sheet_release(struct cb__source *source)
{
    cb_image_free(&((struct sheet *)source)->image);
}

static bool read_count(const struct cb_value *value, const char *what, int64_t *out, struct cb_diag *diag)
{
    if (!cb_expect_kind(value, CB_KIND_INT, what, diag)) {
        return false;
    }
    if (value->as.integer < 1 || value->as.integer > CB_IMAGE_MAX_SIDE) {
        cb_fail(diag, CB_INVALID, &value->at, "%s must be between 1 and %u, not %lld", what, CB_IMAGE_MAX_SIDE,
                (long long)value->as.integer);
        return false;
    }
    *out = value->as.integer;
    return true;
}

/* `tile: 20` or `tile: [height, width]`. */
static bool read_options(const struct cb_value *map, int64_t tile[2], int64_t *out_classes, struct cb_diag *diag)
{
    static const char *const keys[] = {"tile", "classes"};
    if (!cb_expect_kind(map, CB_KIND_MAP, "`sheet`", diag) || !cb_expect_keys(map, keys, 2, "in `sheet`", diag)) {
        return false;
    }
    const struct cb_value *size = cb_map_get(map, "tile"), *classes = cb_map_get(map, "classes");
    if (!size || !classes) {
        cb_fail(diag, CB_INVALID, &map->at, "`sheet` needs `%s`, for example {tile: [20, 20], classes: 10}",
                size ? "classes" : "tile");
        return false;
    }
    bool list = size->kind == CB_KIND_LIST;
    if (list && size->as.list.count != 2) {
        cb_fail(diag, CB_INVALID, &size->at, "`tile` is [height, width], not %zu number%s", size->as.list.count,
                size->as.list.count == 1 ? "" : "s");
        return false;
    }
    return read_count(list ? size->as.list.items[0] : size, "`tile`", &tile[0], diag) &&
           read_count(list ? size->as.list.items[1] : size, "`tile`", &tile[1], diag) &&
           read_count(classes, "`classes`", out_classes, diag);
}

enum cb_status cb__sheet_read(const struct cb__spec *spec, const char *path, const struct cb_place *at,
                              struct cb__draft *draft, struct cb_diag *diag)
{
    static const struct cb__source_type type = {.name = sheet_name, .image = sheet_image, .release = sheet_release};
    const struct cb_value *map = cb_map_get(spec->map, "sheet");
    int64_t tile[2], classes;
    if (!read_options(map, tile, &classes, diag)) {
        return CB_INVALID;
    }
    struct sheet *sheet = CB_NEW(draft->arena, struct sheet);
    if (!sheet) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    sheet->source = (struct cb__source){.type = &type, .path = path};
    sheet->tile_height = (uint32_t)tile[0];
    sheet->tile_width = (uint32_t)tile[1];
    draft->source = &sheet->source;
    CB_TRY(cb_image_read(path, &sheet->image, at, diag));
    uint32_t width = sheet->image.width, height = sheet->image.height;
    if (width % sheet->tile_width != 0 || height % sheet->tile_height != 0) {
        return cb_fail(diag, CB_MISMATCH, &map->at,
                       "`%s` is %u pixels high and %u wide: tiles of %u x %u (height x width) do not fill it", path,
                       height, width, sheet->tile_height, sheet->tile_width);
    }
    uint64_t tiles = (uint64_t)(width / sheet->tile_width) * (height / sheet->tile_height);
    if (tiles % (uint64_t)classes != 0) {
        return cb_fail(diag, CB_MISMATCH, &map->at, "`%s` has %llu tiles, which %lld classes cannot share equally", path,
                       (unsigned long long)tiles, (long long)classes);
    }
    bool ok = cb__draft_number_classes(draft, (uint32_t)classes);
    for (uint32_t i = 0; ok && i < tiles; i++) {
        ok = cb__draft_add(draft, i, draft->classes[i / (tiles / (uint64_t)classes)], NULL, NULL, CB_PART_ANY);
    }
    return ok ? CB_OK : cb_fail(diag, CB_MEMORY, NULL, "out of memory while reading `%s`", path);
}
