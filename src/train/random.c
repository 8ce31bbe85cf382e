/* random.c: Philox 4x32-10 on the host, streams, and initialisers of params. See random.h. */
#include "train/random.h"

#include <math.h>
#include <string.h>

#include "base/text.h"

void cb_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]};
    uint32_t k[2] = {key[0], key[1]};
    for (int round = 0; round < 10; round++) {
        const uint64_t product0 = (uint64_t)0xD2511F53u * c[0];
        const uint64_t product1 = (uint64_t)0xCD9E8D57u * c[2];
        c[0] = (uint32_t)(product1 >> 32) ^ c[1] ^ k[0];
        c[1] = (uint32_t)product1;
        c[2] = (uint32_t)(product0 >> 32) ^ c[3] ^ k[1];
        c[3] = (uint32_t)product0;
        k[0] += 0x9E3779B9u;
        k[1] += 0xBB67AE85u;
    }
    memcpy(out, c, sizeof c);
}

/* SplitMix64's finaliser: neighbouring seeds become unrelated keys (Steele, Lea and Flood, OOPSLA 2014). */
static uint64_t mix(uint64_t z)
{
    z += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

uint64_t cb_random_seed(uint64_t seed, const char *name)
{
    return mix(mix(seed) ^ cb_hash64(name, strlen(name)));
}

void cb_random_start(struct cb_random *random, uint64_t seed, const char *name, uint64_t index)
{
    const uint64_t key = cb_random_seed(seed, name);
    *random = (struct cb_random){
        .key = {(uint32_t)key, (uint32_t)(key >> 32)},
        .counter = {0, 0, (uint32_t)index, (uint32_t)(index >> 32)},
        .used = 4,
    };
}

uint32_t cb_random_bits(struct cb_random *random)
{
    if (random->used == 4) {
        cb_philox4x32(random->counter, random->key, random->block);
        random->used = 0;
        if (++random->counter[0] == 0) {
            random->counter[1]++;
        }
    }
    return random->block[random->used++];
}

float cb_random_uniform(struct cb_random *random)
{
    return (float)(cb_random_bits(random) >> 8) * 0x1p-24f;
}

double cb_random_uniform_double(struct cb_random *random)
{
    const uint64_t high = cb_random_bits(random) >> 5, low = cb_random_bits(random) >> 6;
    return (double)(high << 26 | low) * 0x1p-53;
}

double cb_random_normal(struct cb_random *random)
{
    /* Box and Muller's first value; the second is not kept, so that a stream has no hidden half. */
    const double radius = sqrt(-2.0 * log(1.0 - cb_random_uniform_double(random)));
    return radius * cos(2.0 * 3.14159265358979323846 * cb_random_uniform_double(random));
}

uint32_t cb_random_below(struct cb_random *random, uint32_t limit)
{
    /* Lemire 2019, "Fast random integer generation in an interval": multiply, and draw again in the uneven rest. */
    uint64_t product = (uint64_t)cb_random_bits(random) * limit;
    if ((uint32_t)product < limit) {
        const uint32_t rest = -limit % limit;
        while ((uint32_t)product < rest) {
            product = (uint64_t)cb_random_bits(random) * limit;
        }
    }
    return (uint32_t)(product >> 32);
}

void cb_random_shuffle(struct cb_random *random, uint32_t *items, uint32_t count)
{
    for (uint32_t i = count; i > 1; i--) {
        const uint32_t j = cb_random_below(random, i);
        const uint32_t item = items[i - 1];
        items[i - 1] = items[j];
        items[j] = item;
    }
}

void cb_param_init(const struct cb_param_decl *decl, uint64_t seed, const char *name, float *out)
{
    int64_t count = 1;
    for (uint32_t i = 0; i < decl->rank; i++) {
        count *= decl->dims[i];
    }
    const double fan_in = decl->fan_in > 0.0 ? decl->fan_in : 1.0;
    const double fan_out = decl->fan_out > 0.0 ? decl->fan_out : 1.0;
    double bound = 0.0, deviation = 0.0;
    switch ((enum cb_init)decl->init) {
    case CB_INIT_CONSTANT: break;
    case CB_INIT_HE_NORMAL: deviation = decl->value * sqrt(2.0 / fan_in); break;
    case CB_INIT_HE_UNIFORM: bound = decl->value / sqrt(fan_in); break;
    case CB_INIT_GLOROT_UNIFORM: bound = decl->value * sqrt(6.0 / (fan_in + fan_out)); break;
    case CB_INIT_NORMAL: deviation = decl->value; break;
    }
    struct cb_random random;
    cb_random_start(&random, seed, name, 0);
    for (int64_t i = 0; i < count; i++) {
        if (bound != 0.0) {
            out[i] = (float)(bound * (2.0 * cb_random_uniform_double(&random) - 1.0));
        } else if (deviation != 0.0) {
            out[i] = (float)(deviation * cb_random_normal(&random));
        } else {
            out[i] = decl->init == CB_INIT_CONSTANT ? (float)decl->value : 0.0f;
        }
    }
}
