"""Numbers from names, so that nobody has to store weights and pictures: each follows from a name and an index. The other side
is tests/nets/formula.h, which must say the same."""
import json

import numpy

SUMS = 8
CHUNK = 1 << 16  # elements that are worked on at a time: they stay in the cache


def fnv1a(text):
    h = 0xcbf29ce484222325
    for byte in text.encode():
        h = ((h ^ byte) * 0x100000001b3) & (2 ** 64 - 1)
    return h


def scramble(name, first, count):
    """64 random bits for each element first .. first + count - 1: splitmix64 of the name's hash and the index."""
    with numpy.errstate(over='ignore'):
        z = (numpy.arange(first, first + count, dtype=numpy.uint64) + numpy.uint64(1)) * numpy.uint64(0x9E3779B97F4A7C15)
        z = z + numpy.uint64(fnv1a(name))
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        return z ^ (z >> numpy.uint64(31))


def uniform(name, count):
    """Numbers in [-1, 1), multiples of 2^-23, so that they are exact in single precision."""
    numbers = numpy.empty(count)
    for first in range(0, count, CHUNK):
        bits = scramble(name, first, min(count - first, CHUNK))
        numbers[first:first + CHUNK] = (bits >> numpy.uint64(40)).astype(numpy.float64) * 2.0 ** -23 - 1.0
    return numbers


def random_sums(name, values):
    """SUMS sums over the values, sign k of element i being bit k of the bits for "signs:NAME"."""
    flat = values.detach().double().reshape(-1).numpy()
    sums = numpy.zeros(SUMS)
    for first in range(0, flat.size, CHUNK):
        part = flat[first:first + CHUNK]
        bits = scramble('signs:' + name, first, part.size)
        for k in range(SUMS):
            plus = (bits >> numpy.uint64(k)) & numpy.uint64(1)
            sums[k] += numpy.where(plus == 1, part, -part).sum()
    return [float(s) for s in sums]


def write(value, depth=0):
    """JSON with a line per entry of a map and nine digits, so that a change of one figure is one line of a diff."""
    if isinstance(value, dict):
        inner = ',\n'.join(' ' * (depth + 1) + json.dumps(k) + ': ' + write(v, depth + 1) for k, v in value.items())
        return '{\n' + inner + '\n' + ' ' * depth + '}'
    if isinstance(value, list):
        return '[' + ', '.join(write(v) for v in value) + ']'
    return '%.9g' % value if isinstance(value, float) else json.dumps(value)
