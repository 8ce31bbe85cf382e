"""Layers that move values and compute none, or next to none. See layer_cases.py."""
import torch
import torch.nn.functional as F

from layer_cases import File, Gen, Lit, nchw, nhwc


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
    f.case("several work-items", [Gen(1, 2, 16390, seed=1), Gen(1, 2, 3, seed=2)])
    f.case("many rows", [Gen(2, 40, 40, 12, seed=1), Gen(2, 40, 40, 20, seed=2)], checks={"large": True})
    f.error("other rows", [Gen(2, 3, 4, seed=1), Gen(2, 2, 4, seed=1)], "input 2 differs from the first elsewhere")
    f.error("other rank", [Gen(2, 3, seed=1), Gen(2, 3, 1, seed=1)], "differ along axis 1 alone, but input 2")
    f.error("words and numbers", [Gen(1, 2, seed=1), Lit([1, 2], [1, 2])], "concat needs values or whole numbers, but input 2")
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


def stack():
    f = File("stack")

    def fn(axis):
        return lambda x, p, s: [torch.stack(x, axis)]

    f.case("vectors", [Gen(3, 5, seed=i) for i in (1, 2, 3)], fn(1))
    f.case("last", [Gen(3, 17, seed=i) for i in (1, 2)], fn(-1), options={"axis": -1})
    f.case("inside a picture", [Gen(2, 3, 2, 19, seed=i) for i in (1, 2)], fn(2), options={"axis": 2})
    f.case("one input", [Gen(2, 3, seed=1)], fn(1))
    f.case("one value", [Gen(1, 1, seed=1), Gen(1, 1, seed=2)], fn(2), options={"axis": 2})
    f.case("a number per sample", [Gen(3, seed=1), Gen(3, seed=2)], fn(1))
    f.case("ids", [Lit([1, -2], [1, 2]), Lit([3, 4], [1, 2])], fn(1))
    f.error("other width", [Gen(2, 3, seed=1), Gen(2, 4, seed=1)], "one shape, but input 2 differs")
    f.error("along N", [Gen(2, 3, seed=1)], "`axis` is 0, which is N", options={"axis": 0})
    f.error("no such axis", [Gen(2, 3, seed=1)], "only axes 1 to 2 behind N", options={"axis": 3})
    f.error("too many axes", [Gen(1, 1, 1, 1, 1, 1, 1, 1, seed=1)], "already have 8")
    f.write()


def slice_():
    f = File("slice")
    f.case("channels", [Gen(2, 3, 37, seed=1)], lambda x, p, s: [x[0][..., 3:20]], options={"from": 3, "to": 20})
    f.case("from the end", [Gen(2, 7, 5, seed=2)], lambda x, p, s: [x[0][:, -4:-1]],
           options={"axis": 1, "from": -4, "to": -1})
    f.case("a step that leaves a rest", [Gen(2, 8, 3, 5, seed=3)], lambda x, p, s: [x[0][:, 1:8:3]],
           options={"axis": 1, "from": 1, "step": 3})
    f.case("every other column", [Gen(2, 3, 7, 16, seed=4)], lambda x, p, s: [x[0][:, :, ::2]],
           options={"axis": 2, "step": 2})
    f.case("every other channel", [Gen(2, 3, 35, seed=5)], lambda x, p, s: [x[0][..., 1::2]],
           options={"from": 1, "step": 2})
    f.case("all", [Gen(3, 4, seed=6)], lambda x, p, s: [x[0][:, 0:99]], options={"to": 99})
    f.case("one value", [Gen(1, 1, seed=6)], lambda x, p, s: [x[0] + 0], options={"step": 5})
    f.case("ids", [Lit([1, 2, 3, 4, 5, 6], [2, 3])], lambda x, p, s: [x[0][:, 1:]], options={"axis": 1, "from": 1})
    f.case("long rows", [Gen(2, 40000, seed=7)], options={"from": 1, "to": -1})
    f.error("behind the end", [Gen(2, 3, seed=1)], "`from` is 3, but the axis has 3 places", options={"from": 3})
    f.error("before the start", [Gen(2, 3, seed=1)], "`from` is -4, but the axis has 3", options={"from": -4})
    f.error("nothing", [Gen(2, 3, seed=1)], "nothing is left: `to` is 1, which is not behind place 1 of 3",
            options={"from": 1, "to": 1})
    f.error("backwards", [Gen(2, 3, seed=1)], "nothing is left: `to` is -3", options={"from": 1, "to": -3})
    f.error("along N", [Gen(2, 3, seed=1)], "`axis` is -2, which is N", options={"axis": -2})
    f.write()


def crop():
    f = File("crop")
    f.case("the middle, odd edges", [Gen(2, 5, 8, 3, seed=1)], lambda x, p, s: [x[0][:, 1:3, 2:5]],
           options={"size": [2, 3]})
    f.case("at a place", [Gen(2, 5, 8, 17, seed=2)], lambda x, p, s: [x[0][:, 2:5, 1:4]],
           options={"size": 3, "offset": [2, 1]})
    f.case("whole", [Gen(1, 2, 3, 1, seed=3)], lambda x, p, s: [x[0] + 0], options={"size": [2, 3]})
    f.case("one place", [Gen(2, 4, 3, 1, seed=4)], lambda x, p, s: [x[0][:, 3:, 2:]],
           options={"size": 1, "offset": [3, 2]})
    f.error("too large", [Gen(2, 4, 5, 1, seed=1)], "a window of 5 x 5 is larger than the input of 4 x 5",
            options={"size": 5})
    f.error("over the edge", [Gen(2, 4, 5, 1, seed=1)], "2 x 2 at [3, 0] hangs over the edge of an input of 4 x 5",
            options={"size": 2, "offset": [3, 0]})
    f.error("half a place", [Gen(2, 4, 5, 1, seed=1)], "`offset` takes two numbers", options={"size": 2, "offset": 1})
    f.error("no picture", [Gen(2, 4, 5, seed=1)], "needs [N,H,W,C], but its input has rank 3", options={"size": 2})
    f.write()


def transpose():
    f = File("transpose")

    def fn(*order):
        return lambda x, p, s: [x[0].permute(0, *order)]

    f.case("two axes", [Gen(2, 5, 19, seed=1)], fn(2, 1), options={"permutation": [2, 1]})
    f.case("channels first", [Gen(2, 3, 4, 5, seed=2)], fn(3, 1, 2), options={"permutation": [3, 1, 2]})
    f.case("channels last", [Gen(2, 3, 4, 5, seed=2)], fn(2, 3, 1), options={"permutation": [2, 3, 1]})
    f.case("rows and columns", [Gen(2, 3, 4, 18, seed=3)], fn(2, 1, 3), options={"permutation": [2, 1, 3]})
    f.case("reversed", [Gen(2, 3, 2, 5, 3, seed=4)], fn(4, 3, 2, 1), options={"permutation": [4, 3, 2, 1]})
    f.case("eight axes", [Gen(2, 2, 3, 2, 2, 1, 2, 3, seed=5)], fn(7, 2, 5, 4, 1, 6, 3),
           options={"permutation": [7, 2, 5, 4, 1, 6, 3]})
    f.case("as it was", [Gen(2, 3, 4, seed=6)], fn(1, 2), options={"permutation": [1, 2]})
    f.case("one axis", [Gen(2, 3, seed=6)], fn(1), options={"permutation": 1})
    f.case("one value", [Gen(1, 1, 1, seed=6)], fn(2, 1), options={"permutation": [2, 1]})
    f.case("large", [Gen(2, 60, 60, 13, seed=7)], options={"permutation": [3, 1, 2]})
    f.error("one twice", [Gen(2, 3, 4, seed=1)], "each of the axes 1 to 2 behind N once",
            options={"permutation": [1, 1]})
    f.error("too few", [Gen(2, 3, 4, seed=1)], "each of the axes 1 to 2 behind N once", options={"permutation": [1]})
    f.error("too many", [Gen(2, 3, seed=1)], "each of the axes 1 to 1 behind N once", options={"permutation": [1, 2]})
    f.error("no such axis", [Gen(2, 3, 4, seed=1)], "each of the axes 1 to 2 behind N", options={"permutation": [1, 3]})
    f.write()


def reshape():
    f = File("reshape")

    def fn(*shape):
        return lambda x, p, s: [x[0].reshape(x[0].shape[0], *shape)]

    f.case("picture to sequence", [Gen(2, 3, 4, 5, seed=1)], fn(12, 5), options={"shape": [-1, 5]})
    f.case("features to heads", [Gen(2, 3, 12, seed=2)], fn(3, 4, 3), options={"shape": [3, 4, 3]})
    f.case("flat", [Gen(3, 2, 5, seed=3)], fn(10), options={"shape": -1})
    f.case("one value", [Gen(1, 1, seed=4)], fn(1, 1, 1), options={"shape": [1, -1, 1]})
    f.error("no fit", [Gen(2, 3, 5, seed=1)], "has 15 values, which don't make a shape of 14",
            options={"shape": [7, 2]})
    f.error("no whole number", [Gen(2, 3, 5, seed=1)], "don't make a shape of 4 times a whole number",
            options={"shape": [4, -1]})
    f.error("two open", [Gen(2, 3, 5, seed=1)], "only one size in `shape` may be -1", options={"shape": [-1, -1]})
    f.error("zero", [Gen(2, 3, 5, seed=1)], "a size in `shape` is 0", options={"shape": [0, -1]})
    f.error("empty", [Gen(2, 3, 5, seed=1)], "`shape` is empty", options={"shape": []})
    f.write()


def pixel_shuffle():
    f = File("pixel_shuffle")

    def fn(r):
        return lambda x, p, s: [nhwc(F.pixel_shuffle(nchw(x[0]), r))]

    f.case("two", [Gen(2, 3, 2, 12, seed=1)], fn(2))
    f.case("three, 17 channels", [Gen(1, 2, 3, 153, seed=2)], fn(3), options={"upscale_factor": 3})
    f.case("one", [Gen(2, 3, 2, 5, seed=3)], fn(1), options={"upscale_factor": 1})
    f.case("one place, one channel", [Gen(1, 1, 1, 4, seed=4)], fn(2))
    f.error("not divisible", [Gen(1, 1, 1, 6, seed=1)], "6 channels can't be divided by the square of "
            "`upscale_factor`, 4")
    f.error("no picture", [Gen(1, 1, 4, seed=1)], "needs [N,H,W,C], but its input has rank 3")
    f.write()


def pixel_unshuffle():
    f = File("pixel_unshuffle")

    def fn(r):
        return lambda x, p, s: [nhwc(F.pixel_unshuffle(nchw(x[0]), r))]

    f.case("two", [Gen(2, 4, 6, 3, seed=1)], fn(2))
    f.case("three, 17 channels", [Gen(1, 6, 3, 17, seed=2)], fn(3), options={"downscale_factor": 3})
    f.case("one", [Gen(2, 3, 2, 5, seed=3)], fn(1), options={"downscale_factor": 1})
    f.case("one place", [Gen(1, 2, 2, 1, seed=4)], fn(2))
    f.error("not divisible", [Gen(1, 4, 3, 1, seed=1)], "an input of 4 x 3 can't be divided by `downscale_factor`, 2")
    f.error("no picture", [Gen(1, 4, 4, seed=1)], "needs [N,H,W,C], but its input has rank 3")
    f.write()


def gather():
    f = File("gather")
    fn = lambda x, p, s: [torch.gather(x[0], 1, x[1].unsqueeze(-1).expand(-1, -1, x[0].shape[-1]))]
    f.case("some twice, some not at all", [Gen(2, 5, 3, seed=1), Lit([4, 0, 4, 1, 2, 2, 2, 0], [2, 4])], fn)
    f.case("a vector and a tail", [Gen(2, 3, 37, seed=2), Lit([2, 1], [2, 1])], fn)
    f.case("one row", [Gen(1, 1, 1, seed=3), Lit([0, 0, 0], [1, 3])], fn)
    f.case("rows that are not there", [Lit([1.0, 2.0], [1, 1, 2], integer=False), Lit([-1, 1, 0], [1, 3])],
           lambda x, p, s: [torch.tensor([[[float("nan")] * 2] * 2 + [[1.0, 2.0]]], dtype=torch.float64)],
           gradients=False, checks={"gradient_check": False})
    f.error("places as values", [Gen(2, 3, 4, seed=1), Gen(2, 3, seed=1)], "its second input, which holds values")
    f.error("places of another rank", [Gen(2, 3, 4, seed=1), Lit([1, 2])], "its second input, which has other axes")
    f.error("no sequence", [Gen(2, 3, seed=1), Lit([1, 2], [2, 1])], "but its first input has rank 2")
    f.error("ids", [Lit([1, 2], [2, 1, 1]), Lit([1, 2], [2, 1])], "input 1 holds whole numbers (ids)")
    f.write()


def pad():
    f = File("pad")

    def fn(sides, mode="constant", value=0.0):
        def run(x, p, s):
            if x[0].dim() == 3:
                y = F.pad(x[0].permute(0, 2, 1), sides, mode, **({"value": value} if mode == "constant" else {}))
                return [y.permute(0, 2, 1)]
            return [nhwc(F.pad(nchw(x[0]), sides, mode, **({"value": value} if mode == "constant" else {})))]
        return run

    def options(padding, mode, **more):
        return {"padding": padding, "mode": mode, **more}

    f.case("zeros", [Gen(2, 3, 2, 5, seed=1)], fn((1, 1, 1, 1)), options={"padding": 1})
    f.case("a constant, four sides", [Gen(2, 2, 3, 17, seed=2)], fn((3, 4, 1, 2), value=-1.5),
           options={"padding": [1, 2, 3, 4], "value": -1.5})
    f.case("a constant, a sequence", [Gen(2, 3, 5, seed=3)], fn((2, 1), value=0.5),
           options={"padding": [2, 1], "value": 0.5})
    f.case("reflect, four sides", [Gen(2, 4, 5, 3, seed=4)], fn((2, 4, 3, 1), "reflect"),
           options=options([3, 1, 2, 4], "reflect"))
    f.case("reflect as far as it goes", [Gen(1, 2, 3, 19, seed=5)], fn((2, 2, 1, 1), "reflect"),
           options=options([1, 2], "reflect"))
    f.case("reflect, a sequence", [Gen(2, 4, 3, seed=6)], fn((3, 2), "reflect"), options=options([3, 2], "reflect"))
    f.case("replicate, four sides", [Gen(2, 2, 3, 3, seed=7)], fn((4, 0, 3, 2), "replicate"),
           options=options([3, 2, 4, 0], "replicate"))
    f.case("replicate, one place", [Gen(2, 1, 1, 18, seed=8)], fn((2, 2, 1, 1), "replicate"),
           options=options([1, 2], "replicate"))
    f.case("replicate, a sequence", [Gen(2, 3, 5, seed=9)], fn((2, 2), "replicate"), options=options(2, "replicate"))
    f.case("reflect by nothing", [Gen(1, 1, 1, 1, seed=10)], fn((0, 0, 0, 0), "reflect"), options=options(0, "reflect"))
    f.error("mirrored too far", [Gen(1, 3, 4, 2, seed=1)], "smaller than the input to be mirrored from it, which has "
            "3 x 4 places", options=options([3, 0], "reflect"))
    f.error("three numbers", [Gen(1, 3, 4, 2, seed=1)], "`padding` takes 1, 2 or 4 numbers here, not 3",
            options={"padding": [1, 2, 3]})
    f.error("four for a sequence", [Gen(1, 3, 4, seed=1)], "`padding` takes 1 or 2 numbers here, not 4",
            options={"padding": [1, 2, 3, 4]})
    f.error("features", [Gen(2, 3, seed=1)], "but its input has rank 2", options={"padding": 1})
    f.error("ids", [Lit([1, 2], [1, 2, 1])], "input 1 holds whole numbers (ids)", options={"padding": 1})
    f.write()


def upsample():
    f = File("upsample")

    def fn(**how):
        return lambda x, p, s: [nhwc(F.interpolate(nchw(x[0]), **how))]

    f.case("nearest, twice", [Gen(2, 3, 2, 5, seed=1)], fn(scale_factor=2), options={"scale_factor": 2})
    f.case("nearest, two factors", [Gen(1, 2, 3, 17, seed=2)], fn(scale_factor=(3, 1)),
           options={"scale_factor": [3, 1]})
    f.case("nearest, to a size", [Gen(2, 3, 5, 3, seed=3)], fn(size=(7, 8)), options={"size": [7, 8]})
    f.case("nearest, smaller", [Gen(2, 7, 5, 3, seed=4)], fn(size=(3, 2)), options={"size": [3, 2]})
    f.case("bilinear, twice", [Gen(2, 3, 2, 5, seed=5)], fn(scale_factor=2, mode="bilinear"),
           options={"scale_factor": 2, "mode": "bilinear"})
    for align in (False, True):
        word = ", corners aligned" if align else ""
        how = {"mode": "bilinear", "align_corners": align}
        for name, shape, size in (("larger", (2, 3, 4, 19), (7, 9)), ("smaller", (1, 9, 7, 3), (2, 3)),
                                  ("the same", (1, 3, 4, 2), (3, 4)), ("from one place", (2, 1, 1, 3), (3, 2)),
                                  ("to one place", (2, 5, 4, 3), (1, 1))):
            f.case(f"bilinear, {name}{word}", [Gen(*shape, seed=6)], fn(size=size, **how),
                   options={"size": list(size), **how})
    for mode in ("nearest", "bilinear"):
        for name, shape, factor in (("half as large again", (2, 3, 5, 3), 1.5), ("a half", (1, 7, 4, 2), 0.5),
                                    ("two fractions", (1, 5, 6, 17), (1.25, 0.3)), ("a rough third", (1, 7, 9, 2), 2 / 3)):
            f.case(f"{mode}, {name}", [Gen(*shape, seed=7)], fn(scale_factor=factor, mode=mode),
                   options={"scale_factor": list(factor) if isinstance(factor, tuple) else factor, "mode": mode})
    f.case("bilinear, a fraction, corners aligned", [Gen(1, 3, 5, 3, seed=8)],
           fn(scale_factor=1.5, mode="bilinear", align_corners=True),
           options={"scale_factor": 1.5, "mode": "bilinear", "align_corners": True})
    f.error("no fraction", [Gen(1, 2, 2, 1, seed=1)], "no fraction of whole numbers up to 256: give `size`",
            options={"scale_factor": 1.4142135})
    f.error("nothing left", [Gen(1, 3, 9, 1, seed=1)], "pictures of 3 x 9 would become 0 x 2",
            options={"scale_factor": 0.25})
    f.error("neither", [Gen(1, 2, 2, 1, seed=1)], "either `scale_factor` or `size`")
    f.error("both", [Gen(1, 2, 2, 1, seed=1)], "either `scale_factor` or `size`",
            options={"size": 3, "scale_factor": 2})
    f.error("corners of the nearest", [Gen(1, 2, 2, 1, seed=1)], "`align_corners` is for `mode: bilinear` alone",
            options={"size": 3, "align_corners": True})
    f.error("too large", [Gen(1, 100, 100, 1, seed=1)], "the pictures are too large: 100 x 100 would become",
            options={"scale_factor": 1024})
    f.error("a sequence", [Gen(1, 2, 2, seed=1)], "but its input has rank 3", options={"size": 3})
    f.error("ids", [Lit([1], [1, 1, 1, 1])], "input 1 holds whole numbers (ids)", options={"size": 3})
    f.write()


LAYERS = [concat, split, stack, slice_, crop, transpose, reshape, pixel_shuffle, pixel_unshuffle, gather, pad, upsample]
