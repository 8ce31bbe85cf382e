"""Layers that move values and compute none, or next to none. See layer_cases.py."""
import torch

from layer_cases import File, Gen, Lit


def concat():
    f = File("concat")

    def fn(axis):
        return lambda x, p, s: [torch.cat(x, axis)]

    f.case("channels", [Gen(2, 3, 2, 5, seed=1), Gen(2, 3, 2, 19, seed=2)], fn(-1))
    f.case("a vector and a tail, three inputs", [Gen(2, 3, c, seed=c) for c in (16, 33, 1)], fn(2), options={"axis": 2})
    f.case("rows", [Gen(2, 2, 3, 5, seed=1), Gen(2, 1, 3, 5, seed=2)], fn(1), options={"axis": 1})
    f.case("columns", [Gen(2, 2, 3, 5, seed=1), Gen(2, 2, 1, 5, seed=2)], fn(2), options={"axis": -2})
    f.case("features", [Gen(3, 4, seed=1), Gen(3, 1, seed=2)], fn(1))
    f.case("one input", [Gen(3, 4, seed=1)], fn(1))
    f.case("one value each", [Gen(1, 1, seed=1), Gen(1, 1, seed=2)], fn(1))
    f.case("ids", [Lit([1, 2, -3, 4], [2, 2]), Lit([7, 2147483647], [2, 1])], fn(1))
    f.case("several work-items", [Gen(1, 3, 16390, seed=1), Gen(1, 3, 33000, seed=2)])
    f.case("many rows", [Gen(2, 40, 40, 12, seed=1), Gen(2, 40, 40, 20, seed=2)])
    f.error("other rows", [Gen(2, 3, 4, seed=1), Gen(2, 2, 4, seed=1)], "input 2 differs from the first elsewhere")
    f.error("other rank", [Gen(2, 3, seed=1), Gen(2, 3, 1, seed=1)], "differ along axis 1 alone, but input 2")
    f.error("words and numbers", [Gen(1, 2, seed=1), Lit([1, 2], [1, 2])], "input 2 differs from the first elsewhere")
    f.error("along N", [Gen(2, 3, seed=1), Gen(2, 3, seed=1)], "`axis` is 0, which is N: samples stay apart",
            options={"axis": 0})
    f.error("along N from the end", [Gen(2, 3, seed=1)], "`axis` is -2, which is N", options={"axis": -2})
    f.error("no such axis", [Gen(2, 3, seed=1)], "`axis` is 4, but there are only axes 1 to 1", options={"axis": 4})
    f.write()


def split():
    f = File("split")

    def fn(sizes, axis=-1):
        return lambda x, p, s: list(torch.split(x[0], sizes, axis))

    f.case("halves", [Gen(2, 3, 2, 10, seed=1)], fn(5), options={"parts": 2})
    f.case("sizes, a vector and a tail", [Gen(2, 3, 37, seed=2)], fn([1, 16, 20]), options={"sizes": [1, 16, 20]})
    f.case("rows", [Gen(2, 5, 3, 4, seed=3)], fn([2, 3], 1), options={"sizes": [2, 3], "axis": 1})
    f.case("columns in three", [Gen(2, 5, 3, 4, seed=3)], fn(1, 2), options={"parts": 3, "axis": -2})
    f.case("one part", [Gen(3, 4, seed=4)], fn(4), options={"parts": 1})
    f.case("one value", [Gen(1, 1, seed=4)], fn(1), options={"sizes": [1]})
    f.case("ids", [Lit([1, 2, -3, 4, 5, 6], [2, 3])], fn([2, 1]), options={"sizes": [2, 1]})
    f.case("many rows", [Gen(2, 40, 40, 21, seed=5)], options={"parts": 3})
    f.error("neither", [Gen(2, 4, seed=1)], "either `parts` or `sizes`")
    f.error("both", [Gen(2, 4, seed=1)], "either `parts` or `sizes`", options={"parts": 2, "sizes": [2, 2]})
    f.error("not divisible", [Gen(2, 5, seed=1)], "5 places can't be divided into 2 equal `parts`",
            options={"parts": 2})
    f.error("another sum", [Gen(2, 5, seed=1)], "the `sizes` add up to 6, but the axis has 5",
            options={"sizes": [3, 3]})
    f.error("along N", [Gen(2, 4, seed=1)], "`axis` is 0, which is N", options={"parts": 2, "axis": 0})
    f.write()


LAYERS = [concat, split]
