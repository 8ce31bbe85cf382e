"""Normalization and reductions: layernorm, rmsnorm, groupnorm, sums over axes, adaptive pools, tokens to one vector. See
layer_cases.py."""
import math

import torch
import torch.nn.functional as F

from layer_cases import File, Gen, Lit, nchw, nhwc


# ---- normalization ---------------------------------------------------------------------------------------------------


def vectors(options, c, seed):
    """Params w and b as the options say."""
    params = {}
    if options.get("scale", True):
        params["w"] = Gen(c, seed=seed, offset=1.5)
    if options.get("shift", True):
        params["b"] = Gen(c, seed=seed + 1)
    return params


def row_cases(f, fn, fixed, one=None):
    for name, shape, o, offset in (
            ("[N,C]", (5, 3), {}, 0.0),
            ("tokens, a vector and a tail", (2, 3, 37), {"epsilon": 0.001}, 2.0),
            ("picture, whole vectors", (2, 2, 3, 32), {}, -1.0),
            ("no scale", (2, 3, 19), {"scale": False}, 0.0),
            ("no shift", (2, 3, 19), {"shift": False}, 0.0),
            ("neither", (2, 3, 17), {"scale": False, "shift": False}, 0.0),
    ):
        if "shift" in o and "shift" in fixed:
            continue
        f.case(name, [Gen(*shape, seed=len(f.lines), scale=2.0, offset=offset)], fn(o), options=o,
               params=vectors({**o, **fixed}, shape[-1], len(f.lines) + 1))
    o = {"epsilon": 0.5}
    f.case("one channel", [Gen(3, 2, 1, seed=5, scale=2.0, offset=0.5)], one or fn(o), options=o,
           params=vectors(fixed, 1, 6))
    f.case("equal values", [Lit([3.0] * 20 + [0.0] * 20, [2, 20], integer=False)], fn({}), options={},
           params=vectors(fixed, 20, 7), checks={"gradient_check": False})
    # several parts of rows, several blocks of 64 channels; several work-items
    f.case("300 rows, 150 channels", [Gen(3, 100, 150, seed=80, scale=2.0, offset=3.0)],
           params=vectors(fixed, 150, 81), checks={"large": True})
    f.case("70 rows, 80 channels", [Gen(70, 80, seed=84, scale=2.0)], params=vectors(fixed, 80, 85))
    f.error("no axis", [Gen(4, seed=1)], f"{f.layer} needs an axis behind N, but its input has rank 1")
    f.error("ids", [Lit([1, 2], [1, 2])], "input 1 holds whole numbers (ids), but it computes with values")


def layernorm():
    f = File("layernorm")

    def fn(o):
        return lambda x, p, s: [F.layer_norm(x[0], x[0].shape[-1:], p.get("w"), p.get("b"), o.get("epsilon", 1e-5))]

    # one channel is its own mean: exactly b, where PyTorch's gradients are some 1e-14
    row_cases(f, fn, {}, lambda x, p, s: [(x[0] - x[0]) * p["w"] + p["b"]])
    # squares of the mean would swallow the variance: 1e4 against 1
    f.case("far from zero", [Gen(4, 53, seed=70, offset=10000.0, step=0.0009765625)], fn({}),
           params=vectors({}, 53, 71), tolerance=1e-3, checks={"gradient_check": False})
    f.write()


def rmsnorm():
    f = File("rmsnorm")

    def fn(o):
        return lambda x, p, s: [F.rms_norm(x[0], x[0].shape[-1:], p.get("w"), o.get("epsilon", 1e-6))]

    row_cases(f, fn, {"shift": False})
    f.write()


def affine(c, seed):
    return {"w": Gen(c, seed=seed, offset=1.5), "b": Gen(c, seed=seed + 1)}


def groups_of(o):
    """torch.nn.functional.group_norm wants the channels second."""
    return lambda x, p, s: [F.group_norm(x[0].movedim(-1, 1), o.get("groups", x[0].shape[-1]), p.get("w"), p.get("b"),
                                         o.get("epsilon", 1e-5)).movedim(1, -1)]


def groupnorm():
    f = File("groupnorm")
    for name, shape, o, offset in (
            ("picture, two groups", (2, 3, 4, 6), {"groups": 2}, 0.0),
            ("tokens, groups of three", (3, 5, 9), {"groups": 3, "epsilon": 0.001}, 2.0),
            ("one group", (2, 2, 3, 5), {"groups": 1}, -1.0),
            ("a group a channel", (2, 3, 3, 5), {"groups": 5}, 0.0),
            ("[N,C]", (4, 12), {"groups": 4}, 0.5),
            ("no affine", (2, 3, 3, 10), {"groups": 5, "affine": False}, 0.0),
            ("places in chunks", (2, 9, 17, 4), {"groups": 2}, 3.0),
    ):
        f.case(name, [Gen(*shape, seed=len(f.lines), scale=2.0, offset=offset)], groups_of(o), options=o,
               params=affine(shape[-1], len(f.lines) + 1) if o.get("affine", True) else None)
    # one value is its own mean: exactly b, where PyTorch's gradients are some 1e-14
    f.case("one value a group", [Gen(3, 4, seed=5)], lambda x, p, s: [(x[0] - x[0]) * p["w"] + p["b"]],
           options={"groups": 4}, params=affine(4, 6))
    f.case("equal values", [Lit([3.0] * 12 + [0.0] * 12, [2, 3, 4], integer=False)], groups_of({"groups": 2}),
           options={"groups": 2}, params=affine(4, 7), checks={"gradient_check": False})
    # squares of the mean would swallow the variance: 1e4 against 1
    f.case("far from zero", [Gen(2, 5, 5, 4, seed=70, offset=10000.0, step=0.0009765625)], groups_of({"groups": 2}),
           options={"groups": 2}, params=affine(4, 71), tolerance=1e-3, checks={"gradient_check": False})
    f.error("uneven groups", [Gen(2, 3, 3, 10, seed=1)], "10 channels do not divide into 4 groups",
            options={"groups": 4})
    f.error("more groups than channels", [Gen(2, 3, 4, seed=1)], "4 channels do not divide into 8 groups",
            options={"groups": 8})
    f.error("no groups", [Gen(2, 3, 4, seed=1)], "groups")
    f.error("no channels", [Gen(4, seed=1)], "groupnorm needs [N,...,C], but its input has rank 1",
            options={"groups": 1})
    f.write()


def instancenorm():
    f = File("instancenorm")
    for name, shape, o, offset in (
            ("picture", (2, 3, 4, 5), {}, 2.0),
            ("tokens, affine", (3, 5, 9), {"affine": True, "epsilon": 0.001}, 0.0),
            ("picture, affine", (2, 3, 3, 19), {"affine": True}, -1.0),
            ("places in chunks", (2, 13, 11, 3), {}, 0.0),
    ):
        f.case(name, [Gen(*shape, seed=len(f.lines), scale=2.0, offset=offset)], groups_of(o), options=o,
               params=affine(shape[-1], len(f.lines) + 1) if o.get("affine") else None)
    # PyTorch refuses a single place; it is its own mean
    f.case("one place", [Gen(2, 1, 1, 3, seed=5)], lambda x, p, s: [x[0] - x[0]])
    f.error("no places", [Gen(2, 4, seed=1)], "instancenorm needs places between N and C")
    f.write()


def l2_normalize():
    f = File("l2_normalize")

    def fn(o):
        return lambda x, p, s: [F.normalize(x[0], dim=-1, eps=o.get("epsilon", 1e-12))]

    for name, shape, o in (("[N,C]", (4, 5), {}), ("tokens, a vector and a tail", (2, 3, 37), {}),
                           ("picture", (2, 2, 3, 16), {"epsilon": 0.001}), ("shorter than epsilon", (2, 3), {"epsilon": 1.0})):
        f.case(name, [Gen(*shape, seed=len(f.lines), scale=0.3 if "shorter" in name else 2.0)], fn(o), options=o)
    # the sign: its gradient is exactly 0, where PyTorch's is some 1e-17
    f.case("one channel", [Gen(5, 1, seed=6, scale=2.0)], lambda x, p, s: [x[0].sign() + 0 * x[0]])
    f.case("zeros", [Lit([0.0, 0.0, 0.0, 1.0, 0.0, -1.0], [2, 3], integer=False)], fn({"epsilon": 0.25}),
           options={"epsilon": 0.25}, checks={"gradient_check": False})
    # squares would overflow or vanish
    f.case("large and small", [Lit([3e30, -4e30, 3e-25, 4e-25], [2, 2], integer=False)], fn({"epsilon": 1e-18}),
           options={"epsilon": 1e-18}, checks={"gradient_check": False}, gradients=False)
    f.error("no axis", [Gen(4, seed=1)], "l2_normalize needs an axis behind N, but its input has rank 1")
    f.write()


# ---- over axes -------------------------------------------------------------------------------------------------------


def axes_layer(layer, fn, kinks=False):
    f = File(layer)
    checks = {"gradient_check": False} if kinks else None

    def of(o):
        return lambda x, p, s: [fn(x[0], o["axes"], o.get("keep", False))]

    for name, shape, o in (
            ("places of a picture", (2, 3, 4, 19), {"axes": [1, 2]}),
            ("places of a picture, kept", (2, 3, 4, 5), {"axes": [2, 1], "keep": True}),
            ("tokens, one number", (3, 7, 5), {"axes": 1}),
            ("channels", (2, 3, 37), {"axes": [2]}),
            ("the last, from the end", (2, 3, 2, 5), {"axes": [-1], "keep": True}),
            ("all", (3, 4, 5), {"axes": [1, 2]}),
            ("every other axis", (2, 3, 2, 4, 3, 2, 2, 3), {"axes": [1, 3, 5, 7]}),
            ("every other axis, kept", (2, 3, 2, 4, 3, 2, 2, 3), {"axes": [2, -4, 6], "keep": True}),
            ("one element", (1, 1), {"axes": [1]}),
    ):
        f.case(name, [Gen(*shape, seed=len(f.lines), scale=2.0)], of(o), options=o, checks=checks)
    f.case("a long axis", [Gen(2, 1000, 3, seed=9, scale=2.0, offset=3.0)], of({"axes": [1]}), options={"axes": [1]},
           checks=checks, gradients=False)
    for name, axes, text in (("samples", [0], "axis 0 is N, the samples, which are never taken together"),
                             ("samples, from the end", [-3], "axis -3 is N, the samples"),
                             ("no such axis", [3], "there is no axis 3 in an input of rank 3"),
                             ("no such axis, from the end", [-4], "there is no axis -4 in an input of rank 3"),
                             ("twice", [1, -2], "axis -2 stands twice in `axes`"),
                             ("none", [], "`axes` is empty")):
        f.error(name, [Gen(2, 3, 4, seed=1)], text, options={"axes": axes})
    f.error("axes left out", [Gen(2, 3, 4, seed=1)], "axes")
    return f


def sum_():
    axes_layer("sum", lambda x, axes, keep: x.sum(axes, keepdim=keep)).write()


def mean():
    axes_layer("mean", lambda x, axes, keep: x.mean(axes, keepdim=keep)).write()


def maximum():
    # random values lie closer together than the step of the gradient check now and then: PyTorch's values decide here
    f = axes_layer("maximum", lambda x, axes, keep: x.amax(axes, keepdim=keep), kinks=True)
    fn, o, unchecked = lambda x, p, s: [x[0].amax(1)], {"axes": [1]}, {"gradient_check": False}
    f.case("equal values share the gradient", [Gen(3, 9, 5, seed=20, step=1.0)], fn, options=o, checks=unchecked)
    f.case("far apart", [Gen(2, 4, 3, seed=21, scale=40.0, step=0.5)], fn, options=o)
    f.case("infinities", [Lit([-math.inf, -math.inf, 1.0, math.inf], [2, 2], integer=False)], fn, options=o,
           checks=unchecked)
    f.write()


# ---- tokens to one vector --------------------------------------------------------------------------------------------


def tokens_layer(layer, fn):
    """fn(x [N,T,C], lengths) -> [N,C]."""
    f = File(layer)
    for name, shape, lengths in (
            ("all real", (2, 5, 3), None),
            ("lengths, a vector and a tail", (3, 4, 19), [4, 1, 2]),
            ("an empty sequence, one too long", (3, 3, 4), [0, 7, 3]),
            ("one token, one channel", (2, 1, 1), [1, 1]),
            ("a long sequence", (2, 150, 2), [150, 131]),
    ):
        f.case(name, [Gen(*shape, seed=len(f.lines), scale=2.0)],
               lambda x, p, s: [fn(x[0], torch.tensor(lengths or [shape[1]] * shape[0]))],
               checks={"lengths": lengths} if lengths else None)
    f.error("no tokens", [Gen(2, 3, seed=1)], f"{layer} needs [N,T,C], but its input has rank 2")
    f.error("a picture", [Gen(2, 3, 3, 4, seed=1)], f"{layer} needs [N,T,C], but its input has rank 4")
    f.write()


def first_token():
    tokens_layer("first_token", lambda x, lengths: x[:, 0])


def last_token():
    tokens_layer("last_token", lambda x, lengths: x[torch.arange(len(x)), lengths.clamp(1, x.shape[1]) - 1])


def mean_tokens():
    tokens_layer("mean_tokens", lambda x, lengths: torch.stack(
        [row[:n].mean(0) if n > 0 else 0 * row[0] for row, n in zip(x, lengths)]))


# ---- pools -----------------------------------------------------------------------------------------------------------


def pair(v):
    return (v, v) if isinstance(v, int) else tuple(v) * (3 - len(v))


def adaptive_layer(layer, fn, kinks=False):
    f = File(layer)
    checks = {"gradient_check": False} if kinks else None
    for name, shape, size in (
            ("even bins", (2, 4, 6, 3), [2, 3]),
            ("bins that overlap, 16 channels and a tail", (1, 7, 5, 18), 3),
            ("one bin", (3, 3, 5, 4), 1),
            ("the same size", (2, 3, 4, 2), [3, 4]),
            ("larger than the input", (2, 3, 2, 3), [5, 7]),
            ("unlike directions", (2, 2, 9, 5), [5, 4]),
            ("one element", (1, 1, 1, 1), 2),
    ):
        o = {"output_size": size}
        f.case(name, [Gen(*shape, seed=len(f.lines), scale=2.0)],
               lambda x, p, s: [nhwc(fn(nchw(x[0]), pair(size)))], options=o, checks=checks)
    f.error("not a picture", [Gen(2, 3, 4, seed=1)], "pooling needs [N,H,W,C], but its input has rank 3",
            options={"output_size": 1})
    f.error("no size", [Gen(2, 3, 4, 2, seed=1)], "output_size")
    f.error("an empty size", [Gen(2, 3, 4, 2, seed=1)], "`output_size` is empty", options={"output_size": []})
    f.error("size 0", [Gen(2, 3, 4, 2, seed=1)], "output_size", options={"output_size": [0, 1]})
    return f


def adaptive_avgpool2d():
    adaptive_layer("adaptive_avgpool2d", F.adaptive_avg_pool2d).write()


def adaptive_maxpool2d():
    # random values lie closer together than the step of the gradient check now and then: PyTorch's values decide here
    f = adaptive_layer("adaptive_maxpool2d", F.adaptive_max_pool2d, kinks=True)
    fn = lambda x, p, s: [nhwc(F.adaptive_max_pool2d(nchw(x[0]), (3, 3)))]
    o, unchecked = {"output_size": 3}, {"gradient_check": False}
    f.case("equal values: the first wins", [Gen(1, 7, 7, 3, seed=50, step=1.0)], fn, options=o, checks=unchecked)
    f.case("far apart", [Gen(1, 5, 4, 2, seed=51, scale=40.0, step=0.5)], fn, options=o)
    inf = -math.inf
    f.case("infinities", [Lit([inf, inf, inf, 1.0, inf, 2.0, math.inf, inf, 3.0], [1, 3, 3, 1], integer=False)],
           lambda x, p, s: [nhwc(F.adaptive_max_pool2d(nchw(x[0]), (2, 2)))], options={"output_size": 2},
           checks=unchecked)
    f.write()


def lp_pool2d():
    f = File("lp_pool2d")

    def fn(o):
        return lambda x, p, s: [nhwc(F.lp_pool2d(nchw(x[0]), float(o.get("power", 2)), pair(o["kernel"]),
                                                 pair(o.get("stride", o["kernel"])), o.get("ceil_mode", False)))]

    for name, shape, o, offset in (
            ("length, stride is the kernel", (2, 4, 6, 3), {"kernel": 2}, 0.0),
            ("overlapping, 16 channels and a tail", (1, 5, 6, 18), {"kernel": 3, "stride": 2}, 0.0),
            ("sum", (2, 4, 4, 3), {"power": 1, "kernel": 2}, 3.0),
            ("cubes of positive values", (2, 4, 5, 3), {"power": 3, "kernel": [3, 2], "stride": [1, 3]}, 3.0),
            ("a broken power", (1, 4, 4, 5), {"power": 1.5, "kernel": 2}, 3.0),
            ("power 8", (1, 4, 4, 2), {"power": 8, "kernel": 2}, 0.0),
            ("ceil", (1, 6, 5, 4), {"kernel": 3, "stride": 2, "ceil_mode": True}, 0.0),
            ("ceil, unlike directions", (1, 7, 8, 2), {"power": 3, "kernel": [2, 3], "ceil_mode": True}, 3.0),
            ("gaps between windows", (1, 7, 8, 2), {"kernel": 2, "stride": 3}, 0.0),
            ("one place", (2, 1, 1, 1), {"kernel": 1}, 3.0),
    ):
        f.case(name, [Gen(*shape, seed=len(f.lines), scale=2.0, offset=offset)], fn(o), options=o)
    # zeros around the picture, which PyTorch's layer has no option for, put there by hand
    f.case("padding", [Gen(1, 4, 5, 3, seed=7, scale=2.0)],
           lambda x, p, s: [nhwc(F.lp_pool2d(F.pad(nchw(x[0]), [1, 1, 1, 1]), 2.0, 3, 2))],
           options={"kernel": 3, "stride": 2, "padding": 1})
    # PyTorch's manual: where the sum is 0 the gradient is set to 0
    f.case("a window of zeros", [Lit([0.0] * 4 + [3.0, 0.0, 4.0, 0.0], [2, 2, 2, 1], integer=False)], fn({"kernel": 2}),
           options={"kernel": 2}, checks={"gradient_check": False})
    f.case("no root of a negative sum", [Lit([-1.0, -2.0, 0.5, 1.0], [1, 2, 2, 1], integer=False)],
           fn({"power": 3, "kernel": 2}), options={"power": 3, "kernel": 2}, checks={"gradient_check": False})
    f.error("a power below 1", [Gen(1, 4, 4, 2, seed=1)], "power", options={"power": 0.5, "kernel": 2})
    f.error("too large a window", [Gen(1, 4, 4, 2, seed=1)], "a window of 5 x 5 is larger than the input of 4 x 4",
            options={"kernel": 5})
    f.error("not a picture", [Gen(2, 3, 4, seed=1)], "pooling needs [N,H,W,C], but its input has rank 3",
            options={"kernel": 2})
    f.write()


def layer_scale():
    f = File("layer_scale")
    fn = lambda x, p, s: [x[0] * p["w"]]
    for name, shape in (("[N,C]", (5, 3)), ("tokens", (3, 4, 18)), ("picture", (2, 3, 4, 5)), ("one element", (1, 1)),
                        ("several parts", (3, 11, 17, 2))):
        f.case(name, [Gen(*shape, seed=1)], fn, params={"w": Gen(shape[-1], seed=2)})
    f.case("as many rows as parts allow", [Gen(2, 100, 90, 19, seed=3)], options={"init": 0.1},
           params={"w": Gen(19, seed=4)}, checks={"gradient_check": False})
    f.error("no channels", [Gen(4, seed=1)], "layer_scale needs channels behind N, but its input has rank 1")
    f.write()


def broadcast_param():
    f = File("broadcast_param")
    meets = lambda x, w: w.reshape([1] * (x.dim() - w.dim()) + list(w.shape))
    uses = {"addend": lambda x, p, s: [x[0] + meets(x[0], p["w"])], "factor": lambda x, p, s: [x[0] * meets(x[0], p["w"])]}
    for use, fn in uses.items():
        for name, shape, w in (("channels", (2, 3, 5), [5]), ("positions", (2, 3, 5), [3, 1]), ("heads", (2, 3, 4, 5, 2), [4, 1, 2]),
                               ("all of it", (3, 2, 7), [2, 7]), ("one number", (3, 2, 7), [1]), ("one element", (1, 1), [1])):
            f.case(f"{use}, {name}", [Gen(*shape, seed=1)], fn, options={"shape": w, "as": use}, params={"w": Gen(*w, seed=2)})
    f.case("value", [Gen(3, 2, seed=1)], lambda x, p, s: [p["w"].expand(3, 2, 5) + 0 * x[0].sum()],
           options={"shape": [2, 5], "as": "value"}, params={"w": Gen(2, 5, seed=2)})
    f.error("another size", [Gen(2, 3, 5, seed=1)], "an axis of 4 does not fit one of 5 in its input", options={"shape": [4]})
    f.error("an axis too many", [Gen(2, 5, seed=1)], "an axis of 3 does not fit one of 1 in its input",
            options={"shape": [3, 5]})
    f.write()


LAYERS = [broadcast_param, layer_scale, layernorm, rmsnorm, groupnorm, instancenorm, l2_normalize, sum_, mean, maximum, first_token,
          last_token, mean_tokens, adaptive_avgpool2d, adaptive_maxpool2d, lp_pool2d]
