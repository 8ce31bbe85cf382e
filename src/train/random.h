/* random.h: random numbers of the host, and the first values of params.
 *
 * The generator is Philox 4x32-10 (Salmon et al., SC 2011), the same bits as cl/include/philox.clh. A stream is named by
 * a seed, a text and an index ("shuffle", epoch 3); two streams of different names are independent, and what one draws
 * moves no other. So a resumed run needs no stored generator state, only its step. Nothing here uses libc's rand. */
#ifndef CAMBIUM_TRAIN_RANDOM_H
#define CAMBIUM_TRAIN_RANDOM_H

#include <cambium/layer.h>

/* A stream; copyable. Fields are private. */
struct cb_random {
    uint32_t key[2];
    uint32_t counter[4]; /* [0], [1]: blocks drawn; [2], [3]: the index */
    uint32_t block[4];
    uint32_t used; /* words of `block` already given out */
};

/* One block: four words that are a function of counter and key alone. */
void cb_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* A 64-bit seed for `name` out of the run's seed: what a layer gets as its own (struct cb_instance, `seed`). */
uint64_t cb_random_seed(uint64_t seed, const char *name);

/* Starts the stream (seed, name, index). */
void cb_random_start(struct cb_random *random, uint64_t seed, const char *name, uint64_t index);
uint32_t cb_random_bits(struct cb_random *random);
float cb_random_uniform(struct cb_random *random);         /* [0,1), a multiple of 2^-24 */
double cb_random_uniform_double(struct cb_random *random); /* [0,1), a multiple of 2^-53 */
double cb_random_normal(struct cb_random *random);         /* mean 0, standard deviation 1 */
uint32_t cb_random_below(struct cb_random *random, uint32_t limit); /* 0 .. limit - 1, each equally likely; limit >= 1 */
/* Puts `count` items in random order (Fisher and Yates): every order is equally likely. */
void cb_random_shuffle(struct cb_random *random, uint32_t *items, uint32_t count);

/* Fills out[elements of decl->dims] by the declaration's initialiser, from the stream (seed, name): the same values for
 * a param of that name, whatever stands before it in the network. */
void cb_param_init(const struct cb_param_decl *decl, uint64_t seed, const char *name, float *out);

#endif
