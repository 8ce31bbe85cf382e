"""The layers that the first networks need. See layer_cases.py."""
import math

import torch
import torch.nn.functional as F

from layer_cases import File, Gen, Lit, nchw, nhwc, philox, pointwise


def relu():
    pointwise("relu", F.relu, [math.nan, 0.0, -0.0, 1e-40, -1e-40, 3e38, -3e38, math.inf, -math.inf])


def relu6():
    pointwise("relu6", F.relu6, [0.0, -0.0, 6.0, 5.9999995, 6.0000005, -1e-30, math.inf, -math.inf])


def sigmoid():
    pointwise("sigmoid", torch.sigmoid, [math.nan, 0.0, 1e-40, 20.0, -20.0, 80.0, -80.0, 200.0, -200.0, math.inf,
                                         -math.inf])


def silu():
    pointwise("silu", F.silu, [math.nan, 0.0, 1e-40, -math.inf, math.inf, 20.0, -20.0, 80.0, -80.0, 200.0, -200.0])


def quick_gelu():
    pointwise("quick_gelu", lambda x: x * torch.sigmoid(1.702 * x),
              [math.nan, 0.0, 1e-40, -math.inf, math.inf, 20.0, -20.0, 50.0, -50.0, 200.0, -200.0])


def hardswish():
    pointwise("hardswish", F.hardswish, [math.nan, 0.0, -0.0, 3.0, -3.0, math.inf, 3.0000005, -3.0000005, 2.9999995,
                                         -2.9999995, 1000.0, -1000.0])


# ---- layers ----------------------------------------------------------------------------------------------------------


def softmax():
    f = File("softmax")
    fn = lambda x, p, s: [x[0].softmax(-1)]
    f.case("five classes", [Gen(3, 5, seed=1, scale=4.0)], fn)
    f.case("a vector and a tail", [Gen(2, 37, seed=2, scale=4.0)], fn)
    f.case("one class", [Gen(2, 1, seed=3)], fn)
    f.case("large scores", [Gen(2, 16, seed=4, scale=3.0, offset=500.0, step=0.125)], fn,
           checks={"gradient_check": False})
    f.case("last of four axes", [Gen(2, 2, 3, 4, seed=5)], fn)
    f.case("a thousand classes", [Gen(3, 1000, seed=6, scale=5.0)])
    f.write()


def add():
    f = File("add")
    fn = lambda x, p, s: [sum(x[1:], x[0])]
    f.case("two", [Gen(2, 3, 2, 5, seed=1), Gen(2, 3, 2, 5, seed=2)], fn)
    f.case("three", [Gen(3, 7, seed=i) for i in (3, 4, 5)], fn)
    f.case("several work-items", [Gen(2, 50, 50, 7, seed=6), Gen(2, 50, 50, 7, seed=7)])
    f.case("several work-items, rows of two vectors and a tail", [Gen(2, 20, 20, 35, seed=i) for i in (8, 9, 10)])
    f.error("other width", [Gen(2, 3, seed=1), Gen(2, 4, seed=1)], "input 2 differs from the first")
    f.error("other rank", [Gen(2, 3, seed=1), Gen(2, 3, seed=1), Gen(2, 3, 1, seed=1)],
            "input 3 differs from the first")
    f.write()


def flatten():
    f = File("flatten")
    f.case("picture", [Gen(2, 3, 4, 5, seed=1)], lambda x, p, s: [x[0].reshape(2, 60)], gradients=False)
    f.case("already flat", [Gen(2, 3, seed=1)], lambda x, p, s: [x[0]], gradients=False)
    f.error("nothing to flatten", [Gen(2, seed=1)], "flatten needs an axis behind N, but its input has rank 1")
    f.write()


def global_avgpool():
    f = File("global_avgpool")
    fn = lambda x, p, s: [x[0].mean((1, 2))]
    f.case("a vector and a tail", [Gen(2, 3, 4, 19, seed=1)], fn)
    f.case("one place", [Gen(3, 1, 1, 5, seed=2)], fn)
    f.case("several work-items", [Gen(2, 7, 7, 136, seed=3)])
    f.error("not a picture", [Gen(2, 3, 4, seed=1)], "global_avgpool needs [N,H,W,C], but its input has rank 3")
    f.write()


def pair(v):
    return (v, v) if isinstance(v, int) else tuple(v)


def pool_same(x, kernel, stride):
    """TensorFlow's `same`: (left, right, top, bottom) for F.pad, computed from the definition."""
    pads = []
    for size, k, s in ((x.shape[2], kernel[1], stride[1]), (x.shape[1], kernel[0], stride[0])):
        missing = max((-(-size // s) - 1) * s + k - size, 0)
        pads += [missing // 2, missing - missing // 2]
    return pads


def pool_cases(f, fn, extra, gradient_check=True):
    checks = {} if gradient_check else {"gradient_check": False}
    for name, shape, o in (
            ("stride is the kernel", (2, 4, 6, 3), {"kernel": 2}),
            ("resnet stem, 16 channels and a tail", (1, 5, 6, 18), {"kernel": 3, "stride": 2, "padding": 1}),
            ("ceil", (1, 6, 5, 4), {"kernel": 3, "stride": 2, "ceil_mode": True}),
            ("ceil, last window in the padding", (1, 5, 5, 2),
             {"kernel": 2, "stride": 2, "padding": 1, "ceil_mode": True}),
            ("unlike directions", (2, 5, 7, 3), {"kernel": [3, 2], "stride": [1, 3], "padding": [1, 0]}),
            ("same", (1, 5, 6, 3), {"kernel": 3, "stride": 2, "padding": "same"}),
            ("same, even kernel", (1, 5, 4, 3), {"kernel": 2, "stride": 1, "padding": "same"}),
            ("four paddings", (1, 4, 4, 3), {"kernel": 3, "stride": 2, "padding": [0, 1, 1, 2]}),
            ("gaps between windows", (1, 7, 8, 2), {"kernel": 2, "stride": 3}),
    ):
        f.case(name, [Gen(*shape, seed=len(f.lines))], fn({**o, **extra}), options={**o, **extra}, checks=checks)


def pool_error_cases(f):
    f.error("too large a window", [Gen(1, 4, 4, 2, seed=1)], "a window of 5 x 5 is larger than the input of 4 x 4",
            options={"kernel": 5})
    f.error("too much padding", [Gen(1, 4, 4, 2, seed=1)], "`padding` must be smaller than the kernel",
            options={"kernel": 2, "padding": 2})
    f.error("three paddings", [Gen(1, 4, 4, 2, seed=1)], "`padding` takes 1, 2 or 4 numbers",
            options={"kernel": 2, "padding": [1, 1, 1]})
    f.error("not a picture", [Gen(2, 3, 4, seed=1)], "pooling needs [N,H,W,C], but its input has rank 3",
            options={"kernel": 2})


def padded(o, x, fill):
    """Applies `same` or four paddings by hand; returns the padded NCHW tensor and what F.*_pool2d still has to pad."""
    k, s = pair(o["kernel"]), pair(o.get("stride", o["kernel"]))
    p = o.get("padding", 0)
    if p == "same":
        return F.pad(nchw(x), pool_same(x, k, s), value=fill), 0
    if isinstance(p, list) and len(p) == 4:
        return F.pad(nchw(x), [p[2], p[3], p[0], p[1]], value=fill), 0
    return nchw(x), pair(p)


def maxpool2d():
    f = File("maxpool2d")

    def fn(o):
        def run(x, p, s):
            t, rest = padded(o, x[0], -math.inf)
            return [nhwc(F.max_pool2d(t, pair(o["kernel"]), pair(o.get("stride", o["kernel"])), rest,
                                      ceil_mode=o.get("ceil_mode", False)))]
        return run

    # random values lie closer together than the step of the gradient check now and then: PyTorch's values decide here
    pool_cases(f, fn, {}, gradient_check=False)
    o = {"kernel": 3, "stride": 2, "padding": 1}
    f.case("equal values: the first wins", [Gen(1, 6, 6, 3, seed=50, step=1.0)], fn(o), options=o,
           checks={"gradient_check": False})
    f.case("nothing but minus infinity", [Lit([-math.inf] * 32, [1, 4, 4, 2], integer=False)], fn({"kernel": 2}),
           options={"kernel": 2}, checks={"gradient_check": False})
    f.case("several work-items", [Gen(2, 20, 21, 40, seed=51)], options=o, checks={"gradient_check": False})
    pool_error_cases(f)
    f.write()


def avgpool2d():
    f = File("avgpool2d")

    def fn(o):
        def run(x, p, s):
            include = o.get("count_include_pad", True)
            k, st = pair(o["kernel"]), pair(o.get("stride", o["kernel"]))
            t, rest = padded(o, x[0], 0.0)
            if rest != 0 or (include and o.get("padding") != "same"):
                return [nhwc(F.avg_pool2d(t, k, st, rest, ceil_mode=o.get("ceil_mode", False),
                                          count_include_pad=include))]
            ones, _ = padded(o, torch.ones_like(x[0]), 0.0)
            return [nhwc(F.avg_pool2d(t, k, st) / F.avg_pool2d(ones, k, st))]
        return run

    pool_cases(f, fn, {})
    pool_cases(f, fn, {"count_include_pad": False})
    f.case("several work-items", [Gen(2, 20, 21, 40, seed=51)], options={"kernel": 3, "stride": 2, "padding": 1})
    pool_error_cases(f)
    f.write()


def batchnorm():
    f = File("batchnorm")

    def fn(options, training):
        def run(x, p, s):
            c = x[0].shape[-1]
            y = F.batch_norm(x[0].reshape(-1, c), s["mean"], s["var"], p.get("w"), p.get("b"), training=training,
                             momentum=options.get("momentum", 0.1), eps=options.get("epsilon", 1e-5))
            return [y.reshape(x[0].shape)]
        return run

    for name, shape, options, offset in (
            ("[N,C]", (5, 3), {}, 0.0),
            ("tokens", (3, 4, 18), {"momentum": 0.3}, 2.0),
            ("picture", (2, 3, 4, 6), {"epsilon": 0.001}, -1.0),
            ("volume", (2, 2, 3, 2, 4), {}, 0.0),
            ("no affine", (2, 3, 3, 5), {"affine": False}, 0.0),
    ):
        for training in (True, False):
            c, seed = shape[-1], len(f.lines)
            params = {"w": Gen(c, seed=seed + 1, offset=1.5), "b": Gen(c, seed=seed + 2)}
            state = {"mean": Gen(c, seed=seed + 3, offset=offset), "var": Gen(c, seed=seed + 4, scale=0.5, offset=1.0)}
            f.case(f"{name}, {'training' if training else 'inference'}",
                   [Gen(*shape, seed=seed, scale=2.0, offset=offset)], fn(options, training), options=options,
                   params=params if options.get("affine", True) else None,
                   state=state, training=training)
    # squares of the mean would swallow the variance: 1e4 against 1
    for training in (True, False):
        f.case(f"far from zero, {'training' if training else 'inference'}",
               [Gen(4, 5, 3, 2, seed=70, offset=10000.0, step=0.0009765625)], fn({}, training),
               params={"w": Gen(2, seed=71, offset=2.0), "b": Gen(2, seed=72)},
               state={"mean": Gen(2, seed=73, offset=10000.0), "var": Gen(2, seed=74, scale=0.1, offset=0.4)},
               training=training, tolerance=1e-3 if training else 2e-3, checks={"gradient_check": False})
    # 700 rows: several parts; 24 and 72 channels: vectors that overlap, blocks of 64
    for shape in ((7, 10, 10, 24), (2, 19, 17, 72), (3, 20, 20, 130)):
        for training in (True, False):
            f.case(f"{shape[-1]} channels in parts, {'training' if training else 'inference'}",
                   [Gen(*shape, seed=80, scale=2.0, offset=3.0)],
                   params={"w": Gen(shape[-1], seed=81, offset=1.5), "b": Gen(shape[-1], seed=82)},
                   state={"mean": Gen(shape[-1], seed=83, offset=3.0),
                          "var": Gen(shape[-1], seed=84, scale=0.5, offset=1.0)},
                   training=training)
    f.error("no channels", [Gen(4, seed=1)],
            "batchnorm needs an input of rank 2 to 5 with its channels last, not of rank 1")
    f.write()


def standardize():
    f = File("standardize")

    def fn(per, fits):
        def run(x, p, s):
            if fits:
                d = torch.cat([b.tensor().reshape(-1, b.shape[-1]) for b in fits])
                s["mean"], s["count"] = d.mean(0), torch.tensor([float(len(d))])
                squares = (d - s["mean"]).square()
                s["scale"] = (squares.mean(0) if per == "channel" else squares.mean().reshape(1)).sqrt()
            if s["count"].item() == 0:
                return [x[0]]
            constant = s["scale"] <= 1e-6 * ((1 + s["mean"].abs()) if per == "channel" else 1.0)
            return [(x[0] - s["mean"]) / torch.where(constant, 1.0, s["scale"])]
        return run

    for per in ("all", "channel"):
        c = 19
        empty = {"mean": Lit([0.0] * c, integer=False),
                 "scale": Lit([1.0] * (c if per == "channel" else 1), integer=False),
                 "count": Lit([0.0], integer=False)}
        f.case(f"{per}, before any fit", [Gen(2, c, seed=1)], fn(per, []), options={"per": per}, state=empty)
        fits = [Gen(n, c, seed=10 + n, scale=2.0, offset=40.0) for n in (4, 1, 7)]
        f.case(f"{per}, fitted to three batches", [Gen(3, c, seed=2, offset=40.0)], fn(per, fits), options={"per": per},
               state=empty, checks={"fit": Raw(fits)}, tolerance=1e-5)
        f.case(f"{per}, fitted before", [Gen(2, 3, c, seed=3)], fn(per, []), options={"per": per},
               state={"mean": Gen(c, seed=4), "scale": Gen(c if per == "channel" else 1, seed=5, scale=0.5, offset=1.0),
                      "count": Lit([80.0], integer=False)})
    constant = [Lit([7.25, 1.0, 7.25, 2.0, 7.25, 4.0], [3, 2], integer=False)]
    f.case("a constant feature is only centred", [Lit([7.25, 1.0, 8.25, 3.0], [2, 2], integer=False)],
           fn("channel", constant), options={"per": "channel"},
           state={"mean": Lit([0.0, 0.0], integer=False), "scale": Lit([1.0, 1.0], integer=False),
                  "count": Lit([0.0], integer=False)}, checks={"fit": Raw(constant)})
    f.error("no features", [Gen(4, seed=1)], "standardize needs features behind N, but its input has rank 1")
    f.write()


class Raw:
    """A list of tensors as a value of `checks`."""

    def __init__(self, tensors):
        self.tensors = tensors

    def __str__(self):
        return "[" + ", ".join(t.text() for t in self.tensors) + "]"


def dropout():
    f = File("dropout")

    def fn(rate, seed, step, ids):
        def run(x, p, s):
            n, e = x[0].shape[0], x[0][0].numel()
            key = (seed & 0xFFFFFFFF, seed >> 32)
            draw = lambda r, i: philox((i // 4, ids[r], step & 0xFFFFFFFF, step >> 32), key)[i % 4]
            mask = [[(draw(r, i) >> 8) * 2.0**-24 >= rate for i in range(e)] for r in range(n)]
            scale = 1 / (1 - rate) if rate < 1 else 0.0
            return [x[0] * torch.tensor(mask).reshape(x[0].shape).double() * scale]
        return run

    seed = 0x123456789ABCDEF
    for rate, shape, step in ((0.25, (3, 13), 7), (0.75, (2, 3, 2, 5), (3 << 32) + 1), (1.0, (2, 5), 0)):
        ids = [41, 7, 1000000][:shape[0]]
        f.case(f"rate {rate}", [Gen(*shape, seed=1, offset=2.0)], fn(rate, seed, step, ids), options={"rate": rate},
               training=True, checks={"seed": seed, "step": step, "sample_ids": ids})
    f.case("inference", [Gen(3, 13, seed=1)], lambda x, p, s: [x[0]], training=False)
    f.write()


def cross_entropy():
    f = File("cross_entropy")

    def fn(o):
        def run(x, p, s):
            w = torch.tensor(o["class_weights"]).double() if "class_weights" in o else None
            t = x[1]
            loss = F.cross_entropy(x[0], t, weight=w, label_smoothing=o.get("label_smoothing", 0.0), ignore_index=-1,
                                   reduction="none")
            weight = torch.where(t < 0, 0.0, w[t.clamp(min=0)] if w is not None else 1.0).double()
            return [loss, weight]
        return run

    weights = [0.5, 1.0, 2.5, 0.25, 1.0]
    for name, k, o in (("plain", 5, {}), ("label smoothing", 5, {"label_smoothing": 0.1}),
                       ("class weights", 5, {"class_weights": weights}),
                       ("both", 5, {"label_smoothing": 0.2, "class_weights": weights}), ("a vector and a tail", 37, {}),
                       ("a vector, a tail, smoothing", 37, {"label_smoothing": 0.1})):
        f.case(name, [Gen(4, k, seed=k, scale=4.0), Lit([2, k - 1, -1, 0])], fn(o), options=o)
    f.case("large scores", [Gen(3, 4, seed=9, scale=300.0), Lit([0, 1, 2])], fn({}), checks={"gradient_check": False})
    f.case("a thousand classes", [Gen(2, 1000, seed=9, scale=3.0), Lit([999, 17])])
    # PyTorch refuses such targets; a kernel can only answer with NaN, never read past the end
    f.case("no such class", [Gen(2, 5, seed=9), Lit([5, -2])],
           lambda x, p, s: [x[0].sum(1) * math.nan, torch.ones(2).double()], checks={"gradient_check": False})
    f.error("wrong count of weights", [Gen(2, 3, seed=1), Lit([0, 1])], "`class_weights` has 2 numbers for 3 classes",
            options={"class_weights": [1.0, 2.0]})
    f.error("values as targets", [Gen(2, 3, seed=1), Gen(2, seed=1)], "cross_entropy needs one class number per sample")
    f.error("scores of rank 3", [Gen(2, 3, 4, seed=1), Lit([0, 1])], "cross_entropy needs scores [N,K], not of rank 3")
    f.write()


def regression(layer, fn, options):
    f = File(layer)

    def run(x, p, s):
        n = x[0].shape[0]
        return [fn(x[0].reshape(n, -1), x[1].reshape(n, -1)).mean(1), torch.ones(n)]

    for name, a, b in (("one value", (4, 1), (4,)), ("several values", (3, 5), (3, 5)), ("a vector", (3,), (3,))):
        f.case(name, [Gen(*a, seed=1, scale=3.0), Gen(*b, seed=2, scale=3.0)], run, options=options, gradients="first")
    f.error("unlike sizes", [Gen(2, 3, seed=1), Gen(2, 4, seed=1)],
            f"{layer} needs as many target values as scores, 3 for each sample, not 4")
    f.error("class numbers", [Gen(2, 1, seed=1), Lit([0, 1])], f"{layer} needs as many target values as scores")
    f.write()


def mse():
    regression("mse", lambda a, b: F.mse_loss(a, b, reduction="none"), None)


def huber():
    regression("huber", lambda a, b: F.huber_loss(a, b, reduction="none", delta=0.75), {"delta": 0.75})


def dense():
    f = File("dense")

    def fn(x, p, s):
        return [x[0] @ p["w"] + p.get("b", 0.0)]

    for name, shape, k, bias in (("small", (3, 5), 4, True), ("no bias", (3, 5), 4, False),
                                 ("tokens", (2, 3, 6), 7, True), ("tails", (5, 37), 19, True),
                                 ("tokens, tails", (2, 3, 17), 18, True),
                                 ("one unit", (4, 3), 1, True)):
        params = {"w": Gen(shape[-1], k, seed=20, scale=0.5)}
        if bias:
            params["b"] = Gen(k, seed=21)
        options = {"units": k} if bias else {"units": k, "bias": False}
        f.case(name, [Gen(*shape, seed=22)], fn, options=options, params=params)
    f.case("more rows than a tile", [Gen(70, 130, seed=23)], options={"units": 66},
           params={"w": Gen(130, 66, seed=24, scale=0.2), "b": Gen(66, seed=25)})
    f.error("ids", [Lit([1, 2, 3, 0], [2, 2])], "input 1 holds whole numbers (ids), but it computes with values",
            options={"units": 3})
    f.write()


def conv2d():
    f = File("conv2d")

    def fn(o, groups):
        def run(x, p, s):
            k, st, d = pair(o["kernel"]), pair(o.get("stride", 1)), pair(o.get("dilation", 1))
            pad = o.get("padding", 0)
            span = [(a - 1) * b + 1 for a, b in zip(k, d)]
            if pad == "same":
                t = F.pad(nchw(x[0]), pool_same(x[0], span, st))
            elif isinstance(pad, list) and len(pad) == 4:
                t = F.pad(nchw(x[0]), [pad[2], pad[3], pad[0], pad[1]])
            else:
                t = F.pad(nchw(x[0]), [pair(pad)[1]] * 2 + [pair(pad)[0]] * 2)
            return [nhwc(F.conv2d(t, p["w"].permute(3, 2, 0, 1), p.get("b"), st, 0, d, groups))]
        return run

    for name, shape, k, o, groups in (
            ("pointwise", (2, 3, 4, 5), 6, {"kernel": 1}, 1),
            ("pointwise, stride 2", (1, 5, 4, 4), 3, {"kernel": 1, "stride": 2}, 1),
            ("3x3", (1, 5, 5, 3), 4, {"kernel": 3}, 1),
            ("3x3, padding 1", (1, 4, 5, 3), 4, {"kernel": 3, "padding": 1}, 1),
            ("same, stride 2, even input", (1, 6, 6, 2), 3, {"kernel": 3, "stride": 2, "padding": "same"}, 1),
            ("same, stride 2, odd input", (1, 5, 7, 2), 3, {"kernel": 3, "stride": 2, "padding": "same"}, 1),
            ("unlike directions", (1, 6, 7, 2), 3, {"kernel": [3, 2], "stride": [2, 1], "padding": [1, 0]}, 1),
            ("four paddings", (1, 4, 4, 2), 3, {"kernel": 3, "padding": [0, 1, 2, 1]}, 1),
            ("dilation", (1, 7, 7, 2), 3, {"kernel": 3, "dilation": 2, "padding": 2}, 1),
            ("groups", (1, 4, 4, 6), 4, {"kernel": 3, "groups": 2, "padding": 1}, 2),
            ("depthwise", (1, 4, 5, 5), 5, {"kernel": 3, "groups": "depthwise", "padding": 1}, 5),
            ("depthwise, stride 2, same, a tail", (1, 5, 5, 18), 18,
             {"kernel": 3, "groups": "depthwise", "padding": "same", "stride": 2}, 18),
            ("depthwise, multiplier 2", (1, 4, 4, 3), 6, {"kernel": 3, "groups": "depthwise", "padding": 1}, 3),
            ("no bias", (2, 3, 3, 2), 3, {"kernel": 2, "bias": False}, 1),
    ):
        kh, kw = pair(o["kernel"])
        c = shape[-1] // groups
        params = {"w": Gen(kh, kw, c, k, seed=30, scale=0.6)}
        if o.get("bias", True):
            params["b"] = Gen(k, seed=31)
        options = {"filters": k, **o}
        if groups == shape[-1] == k and groups > 1:
            del options["filters"]
        f.case(name, [Gen(*shape, seed=32)], fn(o, groups), options=options, params=params)
    for name, shape, k, o, c, large in (
            ("vectors and tails", (2, 15, 14, 19), 37, {"kernel": 3, "padding": 1}, 19, True),
            ("3x3, 64 channels", (2, 14, 14, 64), 64, {"kernel": 3, "padding": 1}, 64, True),
            ("3x3, 32 to 16, uneven padding", (3, 5, 7, 32), 16, {"kernel": 3, "padding": [0, 1, 2, 1]}, 32, False),
            ("3x3, 16 to 80, no padding", (1, 6, 7, 16), 80, {"kernel": 3}, 16, False),
            ("1x1, 96 to 33", (2, 9, 9, 96), 33, {"kernel": 1}, 96, False),
            ("3x3 in steps of 2, a tail", (2, 16, 13, 5), 37, {"kernel": 3, "stride": 2, "padding": 1}, 5, False),
            ("3x3 in steps of 2, 14 across", (1, 6, 28, 16), 32, {"kernel": 3, "stride": 2, "padding": 1}, 16, False),
            ("1x1 in steps of 2", (2, 8, 13, 18), 48, {"kernel": 1, "stride": 2}, 18, False),
            ("5x3, dilated, uneven", (1, 13, 28, 4), 20,
             {"kernel": [5, 3], "stride": [1, 2], "dilation": [2, 3], "padding": [0, 1, 2, 3]}, 4, False),
            ("larger than the picture", (1, 2, 7, 3), 16, {"kernel": 5, "padding": 2}, 3, False),
            ("stem", (2, 21, 21, 3), 32, {"kernel": 7, "stride": 2, "padding": 3}, 3, True),
            ("depthwise 5x5, 72 channels", (2, 13, 13, 72), 72, {"kernel": 5, "groups": "depthwise", "padding": 2}, 1, True),
            ("depthwise 3x3, 16 channels", (2, 5, 6, 16), 16, {"kernel": 3, "groups": "depthwise", "padding": 1}, 1, False),
            ("depthwise 3x3, uneven padding", (1, 4, 9, 32), 32,
             {"kernel": 3, "groups": "depthwise", "padding": [0, 1, 2, 1]}, 1, False),
            ("depthwise 3x3 in steps of 2, same, odd", (1, 7, 9, 16), 16,
             {"kernel": 3, "groups": "depthwise", "stride": 2, "padding": "same"}, 1, False),
            ("depthwise 3x3 in steps of 2, same, even", (2, 8, 6, 32), 32,
             {"kernel": 3, "groups": "depthwise", "stride": 2, "padding": "same"}, 1, False),
            ("depthwise 3x3 in steps of 2, no padding", (1, 8, 18, 16), 16,
             {"kernel": 3, "groups": "depthwise", "stride": 2}, 1, False),
            ("depthwise 5x5 in steps of 2", (1, 9, 10, 16), 16,
             {"kernel": 5, "groups": "depthwise", "stride": 2, "padding": 2}, 1, False),
            ("depthwise 5x5, a block inside", (1, 8, 12, 16), 16, {"kernel": 5, "groups": "depthwise", "padding": 1}, 1, False),
            ("depthwise 7x7", (1, 8, 9, 16), 16, {"kernel": 7, "groups": "depthwise", "padding": 3}, 1, False),
            ("depthwise 7x7 in steps of 2", (1, 9, 16, 16), 16,
             {"kernel": 7, "groups": "depthwise", "stride": 2, "padding": 3}, 1, False),
            ("depthwise 3x3, dilated, 16 channels", (1, 7, 6, 16), 16,
             {"kernel": 3, "groups": "depthwise", "dilation": 2, "padding": 2}, 1, False)):
        kh, kw = pair(o["kernel"])
        f.case(name, [Gen(*shape, seed=33)], options={"filters": k, **o},
               params={"w": Gen(kh, kw, c, k, seed=34, scale=0.3), "b": Gen(k, seed=35)},
               checks={"large": True} if large else None)
    f.write()


LAYERS = [relu, relu6, sigmoid, silu, quick_gelu, hardswish, softmax, add, flatten, global_avgpool, maxpool2d, avgpool2d,
          batchnorm, standardize, dropout, cross_entropy, mse, huber, dense, conv2d]
