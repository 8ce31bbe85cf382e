"""Layers that map each element on its own, and those of two inputs. See layer_cases.py."""
import math

import torch
import torch.nn.functional as F

from layer_cases import File, Gen, Lit

FAR = [0.0, 1e-6, -1e-6, 20.0, -20.0, 80.0, -80.0, 200.0, -200.0, 3e38, -3e38]


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
        put("edges", Lit(edges, [1, len(edges)], integer=False), checks=unchecked)
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
    elementwise(f, F.hardtanh, edges=FAR + [math.inf, -math.inf], kinks=[1.0, -1.0])
    elementwise(f, lambda x: F.hardtanh(x, -2.5, 4.0), {"min_val": -2.5, "max_val": 4.0}, ", own bounds",
                kinks=[-2.5, 4.0])
    f.error("bounds crossed", [Gen(2, 3, seed=1)], "`min_val` is 2, but `max_val` only 1", options={"min_val": 2.0})
    f.write()


def clip():
    f = File("clip")
    elementwise(f, lambda x: x.clamp(-1.5, 2.0), {"min": -1.5, "max": 2.0}, edges=FAR + [math.inf, -math.inf],
                kinks=[-1.5, 2.0])
    elementwise(f, lambda x: x.clamp(min=0.0), {"min": 0.0}, ", no upper bound", kinks=[0.0])
    elementwise(f, lambda x: x.clamp(max=0.5), {"max": 0.5}, ", no lower bound", kinks=[0.5])
    f.case("no bound", [Gen(2, 5, seed=4, scale=1e6)], lambda x, p, s: [x[0] * 1.0], checks={"gradient_check": False})
    f.error("bounds crossed", [Gen(2, 3, seed=1)], "`min` is 2, but `max` only 1", options={"min": 2.0, "max": 1.0})
    f.write()


def tanh():
    f = File("tanh")
    elementwise(f, torch.tanh, scale=4.0, edges=FAR + [math.inf, -math.inf])
    f.write()


def exp():
    f = File("exp")
    elementwise(f, torch.exp, scale=3.0, edges=[0.0, 1e-6, 88.0, -80.0, -200.0, -math.inf])
    f.write()


def log():
    f = File("log")
    elementwise(f, torch.log, scale=2.0, offset=3.0, edges=[1.0, 1.0000005, 1e-30, 1e30, 3e38, 0.999999, math.inf])
    f.write()


def abs_():
    f = File("abs")
    elementwise(f, torch.abs, edges=FAR + [math.inf, -math.inf, -0.0])
    f.write()


def sqrt():
    f = File("sqrt")
    elementwise(f, torch.sqrt, scale=2.0, offset=3.0, edges=[1.0, 1e-30, 1e30, 3e38, math.inf])
    f.write()


def square():
    f = File("square")
    elementwise(f, torch.square, scale=4.0, edges=[0.0, -0.0, 1e-10, -1e10, 1e18])
    f.write()


def pow_():
    f = File("pow")
    elementwise(f, lambda x: x.pow(2.0), None, scale=4.0, edges=[0.0, 1e-10, -1e10, 1e18])
    for exponent in (3.0, 0.0, 1.0):
        elementwise(f, lambda x: x.pow(exponent), {"exponent": exponent}, f", exponent {exponent}", scale=3.0)
    for exponent in (0.5, -1.5):
        elementwise(f, lambda x: x.pow(exponent), {"exponent": exponent}, f", exponent {exponent}", scale=2.0,
                    offset=3.0)
    f.write()


LAYERS = [leaky_relu, elu, selu, celu, gelu, mish, softplus, softsign, hardsigmoid, hardtanh, clip, tanh, exp, log, abs_,
          sqrt, square, pow_]
