/* fuzz.h: between fuzz.c, which runs mutated files through a reader, readers.c, the table of readers, and mutate.c. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a run sees of the bytes it made. Returns true when the reader accepted them. */
struct fuzz_input {
    const unsigned char *data;
    size_t bytes;
    const char *path; /* of a file that has them, in a folder of its own with the corpus's other files beside it */
};

struct fuzz_reader {
    const char *name;
    bool (*run)(const struct fuzz_input *input);
    /* At no time may more memory be taken than base + times * bytes. 0: the reader has a limit of its own. */
    uint64_t base, times;
};

/* Ends with one whose name is NULL. */
extern const struct fuzz_reader fuzz_readers[];

struct fuzz_file {
    unsigned char *data;
    size_t bytes;
    const char *name;
};

/* Random bits that depend on nothing but the seed (splitmix64). */
struct fuzz_random {
    uint64_t state;
};
uint64_t fuzz_next(struct fuzz_random *random);
uint64_t fuzz_below(struct fuzz_random *random, uint64_t limit); /* 0 for 0 */

/* A changed copy of one of the files, sometimes with pieces of another: malloc'd, `*out_bytes` of it. */
unsigned char *fuzz_mutate(struct fuzz_random *random, const struct fuzz_file *files, size_t count, size_t *out_bytes,
                           size_t *out_from);
/* Writes the right checksums into a zip archive whose members are stored, so that what is in them is read. */
void fuzz_repair_zip(unsigned char *data, size_t bytes);

#endif
