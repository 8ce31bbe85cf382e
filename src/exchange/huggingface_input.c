/* huggingface_input.c: what goes into the network of a hub folder: preprocessor_config.json of transformers, pretrained_cfg of
 * timm's config.json. */
#include <math.h>
#include <string.h>

#include "exchange/huggingface.h"

#define MAX_SIDE 65536

static bool is_side(int64_t side)
{
    return side >= 1 && side <= MAX_SIDE;
}

/* [H, W] of 224, {height: 224, width: 224}, {shortest_edge: 224}. False: none of them. */
static bool read_size(const struct cb_value *value, int64_t size[2], bool *out_is_shortest)
{
    *out_is_shortest = false;
    if (value == NULL) {
        return false;
    }
    if (value->kind == CB_KIND_INT) {
        size[0] = size[1] = value->as.integer;
        *out_is_shortest = true;
    } else {
        const int64_t edge = cb__hub_int(value, "shortest_edge", 0);
        size[0] = cb__hub_int(value, "height", edge);
        size[1] = cb__hub_int(value, "width", edge);
        *out_is_shortest = edge > 0;
    }
    return is_side(size[0]) && is_side(size[1]);
}

/* One number for each channel, or one for all. */
static bool read_channels(const struct cb_value *value, uint32_t channels, double out[CB_MAX_CHANNELS])
{
    double one;
    if (cb_value_number(value, &one)) {
        for (uint32_t i = 0; i < channels; i++) {
            out[i] = one;
        }
        return true;
    }
    if (value == NULL || value->kind != CB_KIND_LIST || (value->as.list.count != channels && value->as.list.count != 1)) {
        return false;
    }
    for (uint32_t i = 0; i < channels; i++) {
        if (!cb_value_number(value->as.list.items[value->as.list.count == 1 ? 0 : i], &out[i])) {
            return false;
        }
    }
    return true;
}

/* x = (value * factor - mean) / std, as (value - mean / factor) / (std / factor). */
static enum cb_status set_scale(const struct cb__hub_folder *f, struct cb_contract *c, double factor, const double *mean,
                                const double *std, struct cb_diag *diag)
{
    for (uint32_t i = 0; i < (uint32_t)c->shape[2]; i++) {
        c->mean[i] = mean[i] / factor;
        c->std[i] = std[i] / factor;
        /* 0.485 / (1/255) is 123.675 to a person and 123.67499999999999 to a computer */
        c->mean[i] = fabs(c->mean[i] - round(c->mean[i] * 1e6) / 1e6) < 1e-9 ? round(c->mean[i] * 1e6) / 1e6 : c->mean[i];
        c->std[i] = fabs(c->std[i] - round(c->std[i] * 1e6) / 1e6) < 1e-9 ? round(c->std[i] * 1e6) / 1e6 : c->std[i];
        if (!isfinite(c->mean[i]) || !isfinite(c->std[i]) || c->std[i] <= 0.0) {
            return cb_fail(diag, CB_FORMAT, NULL, "`%s` scales its pictures by numbers that make no sense", f->path);
        }
    }
    return CB_OK;
}

static enum cb_status read_scale(const struct cb__hub_folder *f, struct cb_contract *c, struct cb_diag *diag)
{
    const struct cb_value *p = f->preprocessor;
    const uint32_t channels = (uint32_t)c->shape[2];
    double mean[CB_MAX_CHANNELS] = {0.0}, std[CB_MAX_CHANNELS];
    double factor = cb__hub_bool(p, "do_rescale", true) ? cb__hub_real(p, "rescale_factor", 1.0 / 255.0) : 1.0;
    for (uint32_t i = 0; i < CB_MAX_CHANNELS; i++) {
        std[i] = 1.0;
    }
    if (cb__hub_bool(p, "do_normalize", cb_map_get(p, "image_mean") != NULL)) {
        if (!read_channels(cb_map_get(p, "image_mean"), channels, mean) ||
            !read_channels(cb_map_get(p, "image_std"), channels, std)) {
            return cb_fail(diag, CB_FORMAT, &p->at, "`image_mean` and `image_std` must be numbers, one for each of %u channels",
                           channels);
        }
    }
    if (cb__hub_bool(p, "rescale_offset", false)) { /* EfficientNet of Keras: value / 127.5 - 1 */
        for (uint32_t i = 0; i < channels; i++) {
            mean[i] += 1.0;
        }
    }
    factor = fabs(factor * 255.0 - 1.0) < 1e-6 ? 1.0 / 255.0 : factor;
    return set_scale(f, c, factor, mean, std, diag);
}

/* PIL's numbers of filters. */
static void read_resample(const struct cb_value *p, struct cb_contract *c, struct cb_imported *imported)
{
    const int64_t resample = cb__hub_int(p, "resample", 2);
    c->filter = resample == 0 ? CB_FILTER_NEAREST : resample == 3 || resample == 1 ? CB_FILTER_BICUBIC : CB_FILTER_BILINEAR;
    if (resample == 1) {
        cb_imported_note(imported, "its pictures are resized by Lanczos' filter, here by the bicubic one, which is close");
    }
}

static void set_crop(struct cb_contract *c, int64_t side, int64_t shortest, struct cb_imported *imported)
{
    double fraction = (double)side / (double)(shortest > 0 ? shortest : side);
    c->resize = CB_RESIZE_CROP;
    if (fraction > 1.0 || fraction < 0.1) {
        cb_imported_note(imported, "its pictures are resized to %lld and then cut to %lld; here they are cut as they come",
                         (long long)shortest, (long long)side);
        fraction = 1.0;
    }
    c->crop_fraction = fraction;
}

static enum cb_status of_transformers(const struct cb__hub_folder *f, struct cb_contract *c, struct cb_imported *imported,
                                      struct cb_diag *diag)
{
    const struct cb_value *p = f->preprocessor;
    int64_t size[2] = {0, 0}, crop[2] = {0, 0};
    bool is_shortest = false, is_edge;
    if (p == NULL) {
        cb_imported_note(imported, "the folder has no preprocessor_config.json: scale and resize are what the family is used "
                         "with");
        return CB_OK;
    }
    const bool has_size = read_size(cb_map_get(p, "size"), size, &is_shortest);
    const bool has_crop = read_size(cb_map_get(p, "crop_size"), crop, &is_edge);
    double fraction = cb__hub_real(p, "crop_pct", 0.0);
    fraction = fraction >= 0.1 && fraction <= 1.0 ? fraction : 0.0;
    if (has_crop && cb__hub_bool(p, "do_center_crop", false)) {
        memcpy(c->shape, crop, sizeof(crop));
        if (has_size && is_shortest) {
            const int64_t shorter = crop[0] < crop[1] ? crop[0] : crop[1];
            set_crop(c, shorter, size[0], imported);
        } else if (has_size && memcmp(size, crop, sizeof(size)) != 0) { /* squashed, then cut */
            set_crop(c, crop[0], size[0], imported);
            cb_imported_note(imported, "its pictures are squashed to %lld x %lld before they are cut; here they keep their "
                             "proportions", (long long)size[0], (long long)size[1]);
        } else {
            c->resize = CB_RESIZE_SQUASH;
        }
    } else if (has_size && is_shortest && fraction > 0.0 && size[0] < 384) { /* ConvNeXt: resized to size / crop_pct, cut */
        memcpy(c->shape, size, sizeof(size));
        c->resize = CB_RESIZE_CROP;
        c->crop_fraction = fraction;
    } else if (has_size) {
        memcpy(c->shape, size, sizeof(size));
        c->resize = is_shortest && fraction == 0.0 && cb_map_get(p, "size")->kind == CB_KIND_MAP ? CB_RESIZE_CROP
                                                                                                 : CB_RESIZE_SQUASH;
        c->crop_fraction = 1.0;
    }
    if (!cb__hub_bool(p, "do_resize", true)) {
        cb_imported_note(imported, "its pictures are not resized there; here they are, to the network's size");
    }
    read_resample(p, c, imported);
    return read_scale(f, c, diag);
}

static enum cb_status of_timm(const struct cb__hub_folder *f, struct cb_contract *c, struct cb_imported *imported,
                              struct cb_diag *diag)
{
    const struct cb_value *p = cb_map_get(f->config, "pretrained_cfg");
    p = p != NULL && p->kind == CB_KIND_MAP ? p : f->config; /* older ones have the keys beside the others */
    const struct cb_value *size = cb_map_get(p, "input_size");
    double mean[CB_MAX_CHANNELS], std[CB_MAX_CHANNELS];
    if (size != NULL && size->kind == CB_KIND_LIST && size->as.list.count == 3) { /* C, H, W */
        int64_t dims[3];
        for (size_t i = 0; i < 3; i++) {
            const struct cb_value *item = size->as.list.items[i];
            dims[i] = item->kind == CB_KIND_INT ? item->as.integer : 0;
        }
        if (!is_side(dims[1]) || !is_side(dims[2]) || dims[0] < 1 || dims[0] > CB_MAX_CHANNELS) {
            return cb_fail(diag, CB_FORMAT, &size->at, "`input_size` must be [channels, height, width]");
        }
        c->shape[0] = dims[1];
        c->shape[1] = dims[2];
        c->shape[2] = dims[0];
    }
    const double fraction = cb__hub_real(p, "crop_pct", 0.875);
    const char *mode = cb__hub_text(p, "crop_mode", "center"), *filter = cb__hub_text(p, "interpolation", "bilinear");
    c->crop_fraction = fraction >= 0.1 && fraction <= 1.0 ? fraction : 1.0;
    c->resize = strcmp(mode, "squash") == 0 ? CB_RESIZE_SQUASH : strcmp(mode, "border") == 0 ? CB_RESIZE_PAD : CB_RESIZE_CROP;
    c->filter = strcmp(filter, "bicubic") == 0   ? CB_FILTER_BICUBIC
                : strcmp(filter, "nearest") == 0 ? CB_FILTER_NEAREST
                : strcmp(filter, "lanczos") == 0 ? CB_FILTER_BICUBIC
                                                 : CB_FILTER_BILINEAR;
    if (!read_channels(cb_map_get(p, "mean"), (uint32_t)c->shape[2], mean) ||
        !read_channels(cb_map_get(p, "std"), (uint32_t)c->shape[2], std)) {
        cb_imported_note(imported, "config.json says no `mean` and `std`: the scale is what the family is used with");
        return CB_OK;
    }
    return set_scale(f, c, 1.0 / 255.0, mean, std, diag);
}

enum cb_status cb__hub_contract(const struct cb__hub_folder *folder, struct cb_contract *contract,
                                struct cb_imported *imported, struct cb_diag *diag)
{
    if (contract->modality == CB_TEXT) {
        return CB_OK; /* all there is to say of it are the family's parameters */
    }
    if (contract->modality != CB_IMAGE || contract->rank != 3) {
        return cb_fail(diag, CB_UNSUPPORTED, NULL, "`%s` is for %s input; only networks for pictures and texts are taken from a "
                       "folder", folder->path, cb_modality_name(contract->modality));
    }
    if (folder->model_type == NULL) {
        return of_timm(folder, contract, imported, diag);
    }
    const int64_t side = cb__hub_int(folder->config, "image_size", 0);
    const int64_t channels = cb__hub_int(folder->config, "num_channels", contract->shape[2]);
    if (is_side(side)) {
        contract->shape[0] = contract->shape[1] = side;
    }
    if (channels < 1 || channels > CB_MAX_CHANNELS) {
        return cb_fail(diag, CB_FORMAT, &folder->config->at, "`num_channels` must be from 1 to %d", CB_MAX_CHANNELS);
    }
    if (channels != contract->shape[2]) {
        contract->shape[2] = channels;
        for (int64_t i = 0; i < channels; i++) {
            contract->mean[i] = contract->mean[0];
            contract->std[i] = contract->std[0];
        }
    }
    return of_transformers(folder, contract, imported, diag);
}
