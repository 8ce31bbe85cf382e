/* descriptor.c: looks through the tables of a plugin before anything else uses them. A pointer that leads nowhere cannot be
 * found by looking: it crashes here, which is why new plugins are first loaded in a child process (plugin_trial.c). */
#include "graph/descriptor.h"

#include <stdalign.h>
#include <string.h>

#include "base/option_values.h"
#include "base/options.h"

#define MAX_ELEMENTS 4096 /* of any table: more is garbage */
#define MAX_STRIDE 65536
#define MAX_TEXT 65536
#define MAX_POINTWISE_OPTIONS 16

/* The end of the field `name`: how large an element of the first version was whose last field that is. */
#define END_OF(type, name) (offsetof(struct type, name) + sizeof(((struct type *)0)->name))

bool cb__word_is_sound(const char *word)
{
    if (word == NULL || word[0] < 'a' || word[0] > 'z') {
        return false;
    }
    const size_t length = strnlen(word, 64);
    return length < 64 && strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789_") == length;
}

bool cb__table_is_sound(const struct cb_array *table, size_t least_stride)
{
    return table->count == 0 || (table->items != NULL && (uintptr_t)table->items % alignof(void *) == 0 &&
                                 table->count <= MAX_ELEMENTS && table->stride >= least_stride &&
                                 table->stride <= MAX_STRIDE && table->stride % alignof(void *) == 0);
}

const void *cb__table_at(const struct cb_array *table, uint32_t index)
{
    return (const char *)table->items + (size_t)index * table->stride;
}

void cb__copy_sized(void *to, size_t to_bytes, const void *from, size_t from_bytes)
{
    memset(to, 0, to_bytes);
    memcpy(to, from, from_bytes < to_bytes ? from_bytes : to_bytes);
}

static bool text_is_sound(const char *text)
{
    return text == NULL || strnlen(text, MAX_TEXT) < MAX_TEXT;
}

/* ---- options -------------------------------------------------------------------------------------------------------- */

static uint32_t count_choices(const struct cb_option *o)
{
    uint32_t count = 0;
    while (o->choices != NULL && count < MAX_ELEMENTS && o->choices[count] != NULL && text_is_sound(o->choices[count])) {
        count++;
    }
    return count;
}

static const char *option_fault(const struct cb_layer *l, const struct cb_option *o)
{
    if (o->key == NULL || o->help == NULL || !text_is_sound(o->key) || !text_is_sound(o->help)) {
        return "has an option without key or help";
    }
    const size_t bytes = cb__option_bytes(o->type);
    if (bytes == 0) {
        return "has an option of unknown type";
    }
    if (o->offset > l->options_size || bytes > l->options_size - o->offset) {
        return "has an option that lies outside its struct";
    }
    const size_t align = bytes < alignof(void *) ? bytes : alignof(void *);
    if (o->offset % align != 0) {
        return "has an option that is not aligned";
    }
    const uint32_t choices = count_choices(o);
    if (choices == MAX_ELEMENTS) {
        return "has an option whose choices do not end in NULL";
    }
    const void *value = (const char *)l->defaults + o->offset; /* copied: a faulty plugin's need not be aligned */
    if (o->type == CB_OPT_CHOICE) {
        int32_t choice;
        memcpy(&choice, value, sizeof(choice));
        if (choice < 0 || choice >= (int32_t)choices) {
            return "has an option whose default is none of its choices";
        }
    }
    if (o->type >= CB_OPT_INTS && o->type <= CB_OPT_TEXTS) {
        struct cb_list list;
        memcpy(&list, value, sizeof(list));
        if (list.choice >= (int32_t)choices || list.count > MAX_ELEMENTS || (list.count > 0 && list.items == NULL)) {
            return "has an option whose default is no list and none of its choices";
        }
    }
    return NULL;
}

static const char *options_fault(const struct cb_layer *l)
{
    if (!cb__table_is_sound(&l->options, END_OF(cb_option, flags)) || l->options_size > MAX_STRIDE) {
        return "has a table of impossible size";
    }
    if (l->options.count > 0 && (l->defaults == NULL || l->options_size == 0)) {
        return "has options but no defaults";
    }
    for (uint32_t i = 0; i < l->options.count; i++) {
        struct cb_option option;
        cb_options_at(&l->options, i, &option);
        const char *fault = option_fault(l, &option);
        if (fault != NULL) {
            return fault;
        }
    }
    return NULL;
}

/* ---- what computes -------------------------------------------------------------------------------------------------- */

static const char *pointwise_fault(const struct cb_layer *l)
{
    const struct cb_pointwise *p = l->pointwise;
    if (p->struct_size < END_OF(cb_pointwise, df_reads) || (p->df_reads != CB_NEEDS_X && p->df_reads != CB_NEEDS_Y)) {
        return "has a pointwise function whose derivative reads neither x nor y";
    }
    return l->options.count > MAX_POINTWISE_OPTIONS ? "has a pointwise function with more than 16 options" : NULL;
}

/* Words of a length that a kernel's name may have. */
static bool kernels_are_sound(const char *names)
{
    if (names == NULL) {
        return true;
    }
    bool sound = text_is_sound(names);
    while (sound && *(names += strspn(names, " ")) != '\0') {
        const size_t length = strcspn(names, " ");
        sound = length < CB__MAX_ENTRY;
        names += length;
    }
    return sound;
}

static const char *variants_fault(const struct cb_layer *l)
{
    bool has_forward = false;
    if (!cb__table_is_sound(&l->variants, END_OF(cb_variant, run))) {
        return "has a table of impossible size";
    }
    for (uint32_t i = 0; i < l->variants.count; i++) {
        struct cb_variant v;
        cb__copy_sized(&v, sizeof(v), cb__table_at(&l->variants, i), l->variants.stride);
        if (v.name == NULL || v.run == NULL || v.pass > CB_PASS_FIT || !text_is_sound(v.name)) {
            return "has a variant without name, run or known pass";
        }
        if (!kernels_are_sound(v.kernels)) {
            return "has a variant whose kernels are no words";
        }
        has_forward = has_forward || v.pass == CB_PASS_FORWARD;
    }
    return !has_forward && (l->flags & CB_LAYER_VIEW) == 0 ? "has no forward variant" : NULL;
}

const char *cb__layer_fault(const struct cb_layer *l)
{
    if (!cb__word_is_sound(l->name)) {
        return "has a layer without a proper name";
    }
    if (!text_is_sound(l->summary) || !text_is_sound(l->formula) || !text_is_sound(l->example) || !text_is_sound(l->link) ||
        !text_is_sound(l->family)) {
        return "has a text that does not end";
    }
    const char *fault = options_fault(l);
    if (fault != NULL) {
        return fault;
    }
    if (l->pointwise == NULL && l->infer == NULL) {
        return "has neither `infer` nor a pointwise function";
    }
    if (l->max_inputs < l->min_inputs || l->max_inputs > 32 || l->output_count > 64) {
        return "has an impossible number of inputs or outputs";
    }
    if (!cb__table_is_sound(&l->trials, sizeof(const char *))) {
        return "has a table of impossible size";
    }
    for (uint32_t i = 0; i < l->trials.count; i++) {
        const char *trial = *(const char *const *)cb__table_at(&l->trials, i);
        if (trial == NULL || !text_is_sound(trial)) {
            return "has a trial that is no text";
        }
    }
    return l->pointwise != NULL ? pointwise_fault(l) : variants_fault(l);
}

enum cb_status cb__variant_kernels(struct cb_instance *in, const struct cb_variant *variant)
{
    const char *rest = variant->kernels != NULL ? variant->kernels : "";
    while (*(rest += strspn(rest, " ")) != '\0') {
        char entry[CB__MAX_ENTRY];
        const size_t length = strcspn(rest, " ");
        memcpy(entry, rest, length);
        entry[length] = '\0';
        CB_TRY(in->host->kernel(in->core, NULL, entry, NULL));
        rest += length;
    }
    return CB_OK;
}

bool cb__layer_takes(const struct cb_layer *layer, uint32_t i, uint32_t dtype)
{
    const bool is_target = (layer->flags & CB_LAYER_LOSS) != 0 && i > 0;
    const bool says_so = ((layer->integer_inputs >> i) & 1u) != 0;
    return dtype != CB_I32 || is_target || says_so || (layer->flags & CB_LAYER_VIEW) != 0;
}
