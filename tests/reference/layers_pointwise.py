"""Layers that map each element on its own, and those of two inputs. See layer_cases.py."""
import math

import torch
import torch.nn.functional as F

from layer_cases import File, Gen, Lit, edge_case

NEAR = [math.nan, 0.0, -0.0, 1e-40, -1e-40, 1e-6, -1e-6]
FAR = NEAR + [20.0, -20.0, 80.0, -80.0, 200.0, -200.0, 3e38, -3e38]


def elementwise(f, fn, options=None, label="", scale=8.0, offset=0.0, smooth=True, edges=None, limits=None, kinks=None):
    """Cases of one choice of options. `limits`: x to y where PyTorch has no value (infinity times 0), by pairs."""
    run = lambda x, p, s: [fn(x[0])]
    put = lambda name, x, fn=run, **more: f.case(f"{name}{label}", [x], fn, options=options, **more)
    unchecked = {"gradient_check": False}
    # 39 elements: vectors of 16 and 4 have a tail; a step keeps the values away from kinks for the gradient check
    put("values", Gen(3, 13, seed=1, scale=scale, offset=offset, step=scale / 32), checks=unchecked)
    put("away from kinks", Gen(2, 3, 5, 7, seed=2, scale=scale * 0.9375, step=scale / 16, offset=offset + scale / 32),
        checks=None if smooth else unchecked)
    put("one element", Gen(1, 1, seed=3, scale=scale / 4, offset=offset + scale / 4), checks=unchecked)
    if edges:
        edge_case(f, f"edges{label}", edges, run, options)
    if kinks:
        put("kinks", Lit(kinks, [1, len(kinks)], integer=False), checks=unchecked)
    if limits:
        x, y = zip(*limits)
        put("limits", Lit(list(x), [1, len(x)], integer=False),
            lambda x, p, s: [torch.tensor(y, dtype=torch.float64).reshape(1, -1) + 0 * x[0].nan_to_num()],
            checks=unchecked, gradients=False)


def leaky_relu():
    f = File("leaky_relu")
    elementwise(f, F.leaky_relu, edges=FAR + [math.inf, -math.inf])
    for slope in (0.25, 0.0, 1.5):
        elementwise(f, lambda x: F.leaky_relu(x, slope), {"negative_slope": slope}, f", slope {slope}")
    f.error("a negative slope", [Gen(2, 3, seed=1)], "`negative_slope` must be at least 0",
            options={"negative_slope": -0.5})
    f.write()


def elu():
    f = File("elu")
    elementwise(f, F.elu, edges=FAR + [math.inf, -math.inf, -1e-4, -0.1])
    for alpha in (0.3, 2.0, 0.0):
        elementwise(f, lambda x: F.elu(x, alpha), {"alpha": alpha}, f", alpha {alpha}", edges=FAR)
    f.write()


def selu():
    f = File("selu")
    elementwise(f, F.selu, edges=FAR[:-2] + [1e38, -3e38, math.inf, -math.inf])
    f.write()


def celu():
    f = File("celu")
    elementwise(f, F.celu, edges=FAR + [math.inf, -math.inf])
    for alpha in (0.3, 2.0):
        elementwise(f, lambda x: F.celu(x, alpha), {"alpha": alpha}, f", alpha {alpha}", edges=FAR)
    f.error("alpha 0", [Gen(2, 3, seed=1)], "`alpha` must be at least 1e-06", options={"alpha": 0.0})
    f.write()


def gelu():
    f = File("gelu")
    for approximate in ("none", "tanh"):
        elementwise(f, lambda x: F.gelu(x, approximate=approximate), {"approximate": approximate},
                    f", approximate {approximate}", edges=FAR + [-3.0, -5.0, -8.0, -12.0, 5.0, 12.0],
                    limits=[(math.inf, math.inf), (-math.inf, 0.0)])
    f.case("exact unless told otherwise", [Gen(2, 5, seed=4, scale=3.0)], lambda x, p, s: [F.gelu(x[0])])
    f.error("other word", [Gen(2, 3, seed=1)], "`approximate` must be `none` or `tanh`", options={"approximate": "erf"})
    f.write()


def mish():
    f = File("mish")
    elementwise(f, F.mish, edges=FAR + [19.999, 20.001, -100.0, -5.0],
                limits=[(math.inf, math.inf), (-math.inf, 0.0)])
    f.write()


def softplus():
    f = File("softplus")
    elementwise(f, F.softplus, edges=FAR + [19.999, 20.001, math.inf, -math.inf])
    for beta, threshold in ((2.0, 20.0), (0.5, 3.0), (1.0, 500.0)):
        elementwise(f, lambda x: F.softplus(x, beta, threshold), {"beta": beta, "threshold": threshold},
                    f", beta {beta}, threshold {threshold}", edges=FAR, smooth=threshold > 3)
    f.error("beta 0", [Gen(2, 3, seed=1)], "`beta` must be between 1e-06 and 1000000", options={"beta": 0.0})
    f.write()


def softsign():
    f = File("softsign")
    elementwise(f, F.softsign, edges=FAR, limits=[(math.inf, 1.0), (-math.inf, -1.0)])
    f.write()


def hardsigmoid():
    f = File("hardsigmoid")
    elementwise(f, F.hardsigmoid, edges=FAR + [2.9999995, -2.9999995, 3.0000005, -3.0000005, math.inf, -math.inf],
                kinks=[3.0, -3.0])
    f.write()


def hardtanh():
    f = File("hardtanh")
    # the gradient at NaN depends on PyTorch's kernel
    elementwise(f, F.hardtanh, edges=FAR[1:] + [math.inf, -math.inf], kinks=[1.0, -1.0], limits=[(math.nan, math.nan)])
    elementwise(f, lambda x: F.hardtanh(x, -2.5, 4.0), {"min_val": -2.5, "max_val": 4.0}, ", own bounds",
                kinks=[-2.5, 4.0])
    f.error("bounds crossed", [Gen(2, 3, seed=1)], "`min_val` is 2, but `max_val` only 1", options={"min_val": 2.0})
    f.write()


def clip():
    f = File("clip")
    elementwise(f, lambda x: x.clamp(-1.5, 2.0), {"min": -1.5, "max": 2.0}, edges=FAR + [math.inf, -math.inf],
                kinks=[-1.5, 2.0])
    elementwise(f, lambda x: x.clamp(min=0.0), {"min": 0.0}, ", no upper bound", kinks=[0.0],
                edges=FAR[:1] + FAR[5:] + [math.inf, -math.inf])
    elementwise(f, lambda x: x.clamp(max=0.5), {"max": 0.5}, ", no lower bound", kinks=[0.5],
                edges=FAR + [math.inf, -math.inf])
    f.case("no bound", [Gen(2, 5, seed=4, scale=1e6)], lambda x, p, s: [x[0] * 1.0], checks={"gradient_check": False})
    f.error("bounds crossed", [Gen(2, 3, seed=1)], "`min` is 2, but `max` only 1", options={"min": 2.0, "max": 1.0})
    f.write()


def tanh():
    f = File("tanh")
    elementwise(f, torch.tanh, scale=4.0, edges=FAR + [math.inf, -math.inf])
    f.write()


def exp():
    f = File("exp")
    elementwise(f, torch.exp, scale=3.0, edges=NEAR + [80.0, 89.0, -80.0, -200.0, math.inf, -math.inf])
    f.write()


def log():
    f = File("log")
    elementwise(f, torch.log, scale=2.0, offset=3.0,
                edges=NEAR + [1.0, 1.0000005, 1e-30, 1e30, 3e38, 0.999999, -1.0, math.inf, -math.inf])
    f.write()


def abs_():
    f = File("abs")
    elementwise(f, torch.abs, edges=FAR + [math.inf, -math.inf, -0.0])
    f.write()


def sqrt():
    f = File("sqrt")
    elementwise(f, torch.sqrt, scale=2.0, offset=3.0, edges=NEAR + [1.0, 1e-30, 1e30, 3e38, -1.0, math.inf, -math.inf])
    f.write()


def square():
    f = File("square")
    elementwise(f, torch.square, scale=4.0, edges=NEAR + [1e-10, -1e10, 1e18, 3e37, math.inf, -math.inf])
    f.write()


def scale_shift():
    f = File("scale_shift")
    elementwise(f, lambda x: x * 2.5 - 0.75, {"scale": 2.5, "shift": -0.75}, edges=FAR)
    elementwise(f, lambda x: -x, {"scale": -1.0}, ", no shift", edges=FAR)
    f.write()


def pow_():
    f = File("pow")
    edges = NEAR + [1.0, -1.0, 2.5, -2.5, 1e-10, -1e10, 1e12, math.inf, -math.inf]
    elementwise(f, lambda x: x.pow(2.0), None, scale=4.0, edges=edges)
    for exponent in (3.0, 0.0, 1.0):
        elementwise(f, lambda x: x.pow(exponent), {"exponent": exponent}, f", exponent {exponent}", scale=3.0,
                    edges=edges)
    for exponent in (0.5, -1.5, 1.5, -0.5, -1.0, -2.0):
        elementwise(f, lambda x: x.pow(exponent), {"exponent": exponent}, f", exponent {exponent}", scale=2.0,
                    offset=3.0, edges=edges)
    f.write()



# ---- two inputs ------------------------------------------------------------------------------------------------------


def spread(a, b):
    """b as it meets a: [N,C] at all places of its sample."""
    return b if a.shape == b.shape else b.reshape(b.shape[0], *[1] * (a.dim() - 2), b.shape[-1])


def two_inputs(layer, fn, second=None, step=0.0, gradient_check=True):
    """`second`: scale and offset of the second input. `step` makes equal values, for PyTorch's gradients to judge."""
    f = File(layer)
    run = lambda x, p, s: [fn(x[0], spread(*x))]
    b = lambda *shape, seed: Gen(*shape, seed=seed, step=step, **(second or {}))
    a = lambda *shape, seed: Gen(*shape, seed=seed, step=step)
    checks = None if gradient_check else {"gradient_check": False}
    f.case("equal shapes", [a(2, 3, 2, 5, seed=1), b(2, 3, 2, 5, seed=2)], run, checks=checks)
    f.case("rows", [a(3, 35, seed=11), b(3, 35, seed=12)], run, checks=checks)
    f.case("one element", [a(1, 1, seed=13), b(1, 1, seed=14)], run, checks=checks)
    f.case("[N,C]", [a(2, 3, 4, 19, seed=3), b(2, 19, seed=4)], run, checks=checks)
    f.case("[N,1,1,C]", [a(3, 3, 3, 4, seed=5), b(3, 1, 1, 4, seed=6)], run, checks=checks)
    f.case("tokens", [a(2, 5, 17, seed=7), b(2, 17, seed=8)], run, checks=checks)
    f.case("more places than a run", [a(1, 13, 11, 3, seed=15), b(1, 3, seed=16)], run, checks=checks)
    f.case("several work-items", [a(2, 30, 30, 72, seed=9), b(2, 72, seed=10)], checks=checks)
    f.error("other channels", [a(2, 3, 3, 4, seed=1), b(2, 5, seed=1)], f"{layer} needs two inputs of one shape")
    f.error("places in the second", [a(2, 3, 3, 4, seed=1), b(2, 3, 1, 4, seed=1)],
            f"{layer} needs two inputs of one shape")
    f.error("the first is the smaller", [a(2, 4, seed=1), b(2, 3, 3, 4, seed=1)],
            f"{layer} needs two inputs of one shape")
    return f


# pairs at which one of the two inputs makes the other's gradient, or the result, infinite or NaN
PAIRS = [(1.0, 0.0), (-1.0, 0.0), (1.0, -0.0), (0.0, 0.0), (math.inf, 2.0), (2.0, math.inf), (-math.inf, math.inf),
         (math.inf, 0.0), (math.nan, 1.0), (1.0, math.nan), (1e-30, 1e-30), (1e30, 1e30), (1e-40, 1.0), (0.0, -3.0),
         (1e20, 1e-10), (-2.5, 0.5)]


def pairs(f, fn):
    a, b = zip(*PAIRS)
    f.case("edges", [Lit(list(a), [1, len(a)], False), Lit(list(b), [1, len(b)], False)], lambda x, p, s: [fn(*x)],
           checks={"gradient_check": False, "each": True})


def multiply():
    f = two_inputs("multiply", lambda a, b: a * b)
    pairs(f, lambda a, b: a * b)
    f.write()


def subtract():
    f = two_inputs("subtract", lambda a, b: a - b)
    pairs(f, lambda a, b: a - b)
    f.write()


def divide():
    f = two_inputs("divide", lambda a, b: a / b, {"scale": 0.75, "offset": -1.25})
    f.case("small and large denominators",
           [Gen(1, 6, seed=20), Lit([1e-6, -1e-6, 1e6, -1e6, 1.0, -1.0], [1, 6], False)],
           lambda x, p, s: [x[0] / x[1]], checks={"gradient_check": False})
    pairs(f, lambda a, b: a / b)
    f.write()


def least_or_largest(layer, fn):
    f = two_inputs(layer, fn, step=0.25, gradient_check=False)
    # apart by at least 0.1 everywhere
    f.case("away from ties", [Gen(2, 3, 2, 5, seed=21, step=0.4), Gen(2, 3, 2, 5, seed=22, step=0.4, offset=0.2)],
           lambda x, p, s: [fn(*x)])
    f.case("edges", [Lit([math.inf, -math.inf, 1.0, 3e38, 0.0, 1e-30], [1, 6], False),
                     Lit([1.0, 1.0, math.inf, -3e38, -0.0, -1e-30], [1, 6], False)],
           lambda x, p, s: [fn(*x)], checks={"gradient_check": False})
    f.case("NaN", [Lit([math.nan, 1.0, math.nan], [1, 3], False), Lit([1.0, math.nan, math.nan], [1, 3], False)],
           lambda x, p, s: [fn(*x)], checks={"gradient_check": False}, gradients=False)
    f.write()


def min_():
    least_or_largest("min", torch.minimum)


def max_():
    least_or_largest("max", torch.maximum)


# ---- others ----------------------------------------------------------------------------------------------------------


def log_softmax():
    f = File("log_softmax")
    fn = lambda x, p, s: [x[0].log_softmax(-1)]
    unchecked = {"gradient_check": False}
    f.case("five classes", [Gen(3, 5, seed=1, scale=4.0)], fn)
    f.case("a vector and a tail", [Gen(2, 37, seed=2, scale=4.0)], fn)
    f.case("one class", [Gen(2, 1, seed=3)], fn)
    f.case("large scores", [Gen(2, 16, seed=4, scale=3.0, offset=500.0, step=0.125)], fn, checks=unchecked)
    f.case("far apart", [Lit([200.0, -200.0, 80.0, 0.0, 1000.0, -1000.0], [2, 3], False)], fn, checks=unchecked)
    f.case("a class ruled out", [Lit([0.5, -math.inf, 1.5], [1, 3], False)], fn, checks=unchecked, gradients=False)
    f.case("last of four axes", [Gen(2, 2, 3, 4, seed=5)], fn)
    f.case("a thousand classes", [Gen(3, 1000, seed=6, scale=5.0)])
    f.write()


def prelu():
    f = File("prelu")

    def fn(x, p, s):
        return [F.prelu(x[0].movedim(-1, 1), p["w"]).movedim(1, -1)]

    away = dict(scale=3.0, step=0.5, offset=0.25)
    for name, shape in (("[N,C]", (5, 3)), ("tokens", (3, 4, 18)), ("picture", (2, 3, 4, 5)),
                        ("one element", (1, 1)), ("several parts", (3, 11, 17, 2))):
        for per, count in (("channel", shape[-1]), ("all", 1)):
            f.case(f"{name}, per {per}", [Gen(*shape, seed=1, **away)], fn, options={"per": per},
                   params={"w": Gen(count, seed=2, offset=0.5)})
    f.case("at zero", [Lit([0.0, -0.0, 1e-30, -1e-30, 3e38, -3e38], [3, 2], False)], fn,
           params={"w": Lit([0.25, -0.5], [2], False)}, checks={"gradient_check": False})
    f.case("as many rows as parts allow", [Gen(2, 100, 90, 19, seed=3, **away)], options={},
           params={"w": Gen(19, seed=4, offset=0.5)}, checks={"gradient_check": False})
    f.error("no channels", [Gen(4, seed=1)], "prelu needs channels behind N, but its input has rank 1")
    f.write()


LAYERS = [leaky_relu, elu, selu, celu, gelu, mish, softplus, softsign, hardsigmoid, hardtanh, clip, tanh, exp, log, abs_,
          scale_shift, sqrt, square, pow_, multiply, subtract, divide, min_, max_, log_softmax, prelu]
