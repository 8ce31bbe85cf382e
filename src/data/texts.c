/* texts.c: a dataset of texts that lie in memory, as a command line gives them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/dataset_internal.h"

struct texts {
    struct cb__source source;
    const char *const *texts;
    const size_t *bytes;
};

static void memory_name(const struct cb__source *source, uint32_t item, char *out, size_t room)
{
    const struct texts *texts = (const struct texts *)source;
    snprintf(out, room, "%.60s%s", texts->texts[item], strlen(texts->texts[item]) > 60 ? "..." : "");
}

static bool memory_words(const struct cb__source *source, uint32_t item, struct cb__words *out, struct cb__why *why)
{
    const struct texts *texts = (const struct texts *)source;
    *out = (struct cb__words){.text = malloc(texts->bytes[item] + 1), .bytes = texts->bytes[item]};
    if (!out->text) {
        return cb__because(why, CB_MEMORY, "does not fit into memory");
    }
    memcpy(out->text, texts->texts[item], out->bytes);
    out->text[out->bytes] = '\0';
    return true;
}

enum cb_status cb_dataset_open_texts(struct cb_arena *arena, const char *const *texts, const size_t *bytes, uint32_t count,
                                     const struct cb_contract *contract, struct cb_dataset **out, struct cb_diag *diag)
{
    static const struct cb__source_type type = {.name = memory_name, .words = memory_words};
    struct texts *source = CB_NEW(arena, struct texts);
    if (!source) {
        return cb_fail(diag, CB_MEMORY, NULL, "out of memory");
    }
    *source = (struct texts){{.type = &type, .path = "texts"}, texts, bytes};
    return cb__dataset_of(arena, &source->source, count, contract, out, diag);
}
