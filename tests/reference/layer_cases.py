"""What the makers of tests/layers/LAYER.yaml share (layers_FAMILY.py; make_layer_references.py runs them).

Inputs are not stored but generated, by the same few lines in C (tests/layers/array.c): element i of seed s is
u = splitmix64(s * 2^32 + i) >> 40 as a fraction of 2^24, mapped to scale * (2 u - 1), rounded down to a multiple of
`step` if there is one, plus offset, as float. Expected values are those of the function that is named like the layer,
applied to channels-last tensors; gradients are autograd's for an upstream gradient that is generated too.
"""
import math
import os

import torch

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "..", "layers")
MASK = (1 << 64) - 1


def splitmix64(x):
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


class Gen:
    """A generated tensor, as it is written down."""

    def __init__(self, *shape, seed, scale=1.0, offset=0.0, step=0.0):
        self.shape, self.seed, self.scale, self.offset, self.step = list(shape), seed, scale, offset, step

    def tensor(self):
        values = []
        for i in range(math.prod(self.shape)):
            u = (splitmix64(((self.seed << 32) + i) & MASK) >> 40) * 2.0**-24
            v = self.scale * (2.0 * u - 1.0)
            values.append((math.floor(v / self.step) * self.step if self.step > 0 else v) + self.offset)
        return torch.tensor(values, dtype=torch.float32).double().reshape(self.shape)

    def text(self):
        extra = "".join(f", {k}: {number(getattr(self, k))}" for k, none in
                        (("scale", 1.0), ("offset", 0.0), ("step", 0.0)) if getattr(self, k) != none)
        return f"{{shape: {flow(self.shape)}, seed: {self.seed}{extra}}}"


class Lit:
    """A tensor written out: class numbers, or values that matter."""

    def __init__(self, values, shape=None, integer=True):
        self.values, self.integer = values, integer
        self.shape = shape or [len(values)]

    def tensor(self):
        return torch.tensor(self.values, dtype=torch.long if self.integer else torch.float64).reshape(self.shape)

    def text(self):
        dtype = ", dtype: i32" if self.integer else ""
        return f"{{shape: {flow(self.shape)}{dtype}, values: {flow(self.values)}}}"


def number(v):
    if isinstance(v, int):
        return str(v)
    if abs(v) > 3.4028235677973366e38:  # the float's value
        v = math.copysign(math.inf, v)
    if v == 0.0 and math.copysign(1.0, v) < 0.0:
        return "-0.0"  # YAML's -0 is a whole number, which has no sign
    return {math.inf: ".inf", -math.inf: "-.inf"}.get(v, ".nan" if v != v else f"{v:.8g}")


def flow(v):
    if isinstance(v, (list, tuple)):
        return "[" + ", ".join(flow(x) for x in v) + "]"
    if isinstance(v, dict):
        return "{" + ", ".join(f"{k}: {flow(x)}" for k, x in v.items()) + "}"
    if isinstance(v, bool):
        return "true" if v else "false"
    return number(v) if isinstance(v, (int, float)) else str(v)


def values(tensor):
    if not tensor.is_floating_point():
        return flow(tensor.reshape(-1).tolist())
    return flow([float(x) for x in tensor.detach().reshape(-1)])


class File:
    def __init__(self, layer):
        self.layer, self.lines = layer, [
            f"# Cases for {layer}, values from PyTorch {torch.__version__.split('+')[0]} in double precision.",
            "# Made by tests/reference/make_layer_references.py; change it there.",
            f"layer: {layer}", "cases:"]

    def case(self, name, inputs, fn=None, options=None, params=None, state=None, training=None, checks=None,
             tolerance=None, dy_seed=900, gradients=None):
        """fn(inputs, params, state) -> list of outputs, on double tensors; it may replace entries of `state`."""
        add = self.lines.append
        add(f"  - name: \"{name}\"")
        if options:
            add(f"    options: {flow(options)}")
        add("    inputs:")
        for x in inputs:
            add(f"      - {x.text()}")
        for key, group in (("params", params), ("state", state)):
            if group:
                add(f"    {key}:")
                for k, v in group.items():
                    add(f"      {k}: {v.text()}")
        if training is not None:
            add(f"    training: {flow(training)}")
        for key, value in (checks or {}).items():
            add(f"    {key}: {flow(value)}")
        if tolerance is not None:
            add(f"    tolerance: {number(tolerance)}")
        if fn is None:
            return
        x = [i.tensor() for i in inputs]
        p = {k: v.tensor() for k, v in (params or {}).items()}
        s = {k: v.tensor() for k, v in (state or {}).items()}
        leaves = [t for t in x if t.is_floating_point()] + list(p.values())
        for t in leaves:
            t.requires_grad_()
        y = fn(x, p, s)
        add("    expect:")
        add("      y:")
        for t in y:
            dtype = "" if t.is_floating_point() else ", dtype: i32"
            add(f"        - {{shape: {flow(list(t.shape))}{dtype}, values: {values(t)}}}")
        if s:
            add("      state:")
            for k, v in s.items():
                add(f"        {k}: {values(v)}")
        if gradients is False or not leaves:
            return
        dy = Gen(*y[0].shape, seed=dy_seed)
        add(f"    dy: {dy.text()}")
        wanted = x[:1] if gradients == "first" else [t for t in x if t.is_floating_point()]
        total = (y[0] * dy.tensor()).sum()  # further outputs too (checks.c); a loss's weights don't depend on x
        total = total + sum((t * Gen(*t.shape, seed=900 + i).tensor()).sum() for i, t in enumerate(y[1:], 1))
        grads = torch.autograd.grad(total, wanted + list(p.values()), allow_unused=True)
        add("    expect_dx:")
        for g in grads[:len(wanted)]:
            add(f"      - {values(g)}")
        if p:
            add("    expect_dw:")
            for k, g in zip(p, grads[len(wanted):]):
                add(f"      {k}: {values(g)}")

    def error(self, name, inputs, text, options=None):
        self.case(name, inputs, options=options)
        self.lines.append(f"    error: \"{text}\"")

    def write(self):
        with open(os.path.join(OUT, f"{self.layer}.yaml"), "w") as f:
            f.write("\n".join(self.lines) + "\n")


def nchw(t):
    return t.permute(0, 3, 1, 2)


def nhwc(t):
    return t.permute(0, 2, 3, 1)


def edge_case(f, name, edges, fn, options=None):
    """Values at which a formula may break, each compared by itself; sixteen at least, for kernels that take so many."""
    count = (len(edges) + 15) // 16 * 16
    f.case(name, [Lit((edges * 16)[:count], [1, count], integer=False)], fn, options=options,
           checks={"gradient_check": False, "each": True})


def pointwise(layer, fn, edges):
    f = File(layer)
    # 39 elements: vectors of 16 and 4 have a tail; a step keeps the values away from the kinks for the gradient check
    f.case("values", [Gen(3, 13, seed=1, scale=8.0, step=0.25)], lambda x, p, s: [fn(x[0])],
           checks={"gradient_check": False})
    f.case("away from kinks", [Gen(2, 3, 5, 7, seed=2, scale=7.5, step=0.5, offset=0.25)],
           lambda x, p, s: [fn(x[0])])
    edge_case(f, "edges", edges, lambda x, p, s: [fn(x[0])])
    if not any(math.isnan(x) for x in edges):  # its gradient depends on PyTorch's kernel
        f.case("NaN", [Lit([math.nan] * 16, [1, 16], integer=False)], lambda x, p, s: [fn(x[0])],
               checks={"gradient_check": False}, gradients=False)
    f.write()


def philox(counter, key):
    """Philox 4x32-10 (Salmon 2011), in Python's integers."""
    c, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & 0xFFFFFFFF, (p0 >> 32) ^ c[3] ^ k[1], p0 & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


# the known answers of Random123's own test file
assert philox((0, 0, 0, 0), (0, 0)) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
ones = 0xFFFFFFFF
assert philox((ones,) * 4, (ones, ones)) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
