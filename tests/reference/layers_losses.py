"""Losses, and layers that are random in training. See layer_cases.py."""
import math

import torch
import torch.nn.functional as F

from layer_cases import File, Gen, Lit, philox


def ones(x):
    return torch.ones(x.shape[0], dtype=torch.float64)


def one_hot(t, k):
    return t if t.is_floating_point() else F.one_hot(t.clamp(min=0), k).double()


def yes_no_cases(f, loss, options):
    """Scores [N,K]; targets 0 to 1 of their shape, or class numbers."""

    def run(o):
        def fn(x, p, s):
            counts = ones(x[0]) if x[1].is_floating_point() else (x[1] >= 0).double()
            return [loss(x[0], one_hot(x[1], x[0].shape[1]), o).mean(1) * counts, counts]
        return fn

    for n, o in enumerate(options):
        name = ", ".join(f"{k} {v}" for k, v in o.items()) or "defaults"
        f.case(name, [Gen(3, 5, seed=n + 1, scale=4.0), Gen(3, 5, seed=n + 40, scale=0.5, offset=0.5)], run(o),
               options=o, gradients="first")
        f.case(f"class numbers, {name}", [Gen(4, 5, seed=n + 1, scale=4.0), Lit([2, 4, -1, 0])], run(o), options=o)
    yes = Lit([0.0, 1.0, 1.0, 0.0, 1.0, 0.0], [2, 3], integer=False)
    f.case("hard targets", [Gen(2, 3, seed=30, scale=2.0), yes], run({}), gradients="first")
    f.case("one class", [Gen(5, 1, seed=31, scale=2.0), Lit([0.0, 1.0, 1.0, 0.0, 1.0], [5, 1], integer=False)], run({}),
           gradients="first")
    f.case("one sample, many classes", [Gen(1, 37, seed=32, scale=2.0), Lit([36])], run({}))
    f.case("large scores", [Lit([300.0, -300.0, 80.0, -80.0, 20.0, -20.0], [2, 3], integer=False), yes], run({}),
           gradients="first", checks={"gradient_check": False})
    # PyTorch takes such targets as they are; a run is better stopped by NaN than spoilt
    nan = lambda x, p, s: [x[0].sum(1) * math.nan, ones(x[0])]
    f.case("no such class", [Gen(2, 5, seed=9), Lit([5, -2])], nan, checks={"gradient_check": False})
    f.case("no probability", [Gen(2, 1, seed=9), Lit([1.5, -0.25], [2, 1], integer=False)], nan, gradients="first",
           checks={"gradient_check": False})
    f.error("unlike sizes", [Gen(2, 3, seed=1), Gen(2, 4, seed=1)],
            f"{f.layer} needs a target from 0 to 1 for each of the 3 scores of a sample, or its class number")
    f.error("scores of rank 1", [Gen(2, seed=1), Gen(2, seed=1)], f"{f.layer} needs scores [N,K], not of rank 1")


def binary_cross_entropy():
    f = File("binary_cross_entropy")

    def loss(x, t, o):
        s = o.get("label_smoothing", 0.0)
        get = lambda k: torch.tensor(o[k]).double() if k in o else None
        return F.binary_cross_entropy_with_logits(x, t * (1 - s) + s / 2, weight=get("class_weights"),
                                                  pos_weight=get("pos_weight"), reduction="none")

    weights = [0.5, 1.0, 2.5, 0.25, 1.0]
    yes_no_cases(f, loss, [{}, {"label_smoothing": 0.125}, {"class_weights": weights}, {"pos_weight": [3.0]},
                           {"label_smoothing": 0.25, "class_weights": weights, "pos_weight": weights[::-1]}])
    f.error("wrong count of weights", [Gen(2, 3, seed=1), Lit([0, 1])], "`class_weights` has 2 numbers for 3 classes",
            options={"class_weights": [1.0, 2.0]})
    f.error("wrong count of pos_weight", [Gen(2, 3, seed=1), Lit([0, 1])], "`pos_weight` has 2 numbers for 3 classes",
            options={"pos_weight": [1.0, 2.0]})
    f.write()


def focal():
    f = File("focal")

    def loss(x, t, o):  # torchvision.ops.sigmoid_focal_loss
        alpha, gamma = o.get("alpha", 0.25), o.get("gamma", 2.0)
        p = torch.sigmoid(x)
        ce = F.binary_cross_entropy_with_logits(x, t, reduction="none")
        p_t = p * t + (1 - p) * (1 - t)
        return ce * (1 - p_t) ** gamma * (alpha * t + (1 - alpha) * (1 - t) if alpha >= 0 else 1.0)

    yes_no_cases(f, loss, [{}, {"alpha": -1.0}, {"alpha": 0.75, "gamma": 0.5}, {"gamma": 0.0}, {"gamma": 3.0}])
    f.error("alpha below 0", [Gen(2, 3, seed=1), Lit([0, 1])], "`alpha` must be 0 to 1, or -1 for none, not -0.5",
            options={"alpha": -0.5})
    f.write()


def l1():
    f = File("l1")

    def fn(x, p, s):
        n = x[0].shape[0]
        return [F.l1_loss(x[0].reshape(n, -1), x[1].reshape(n, -1), reduction="none").mean(1), ones(x[0])]

    for name, a, b in (("one value", (4, 1), (4,)), ("several values", (3, 5), (3, 5)), ("a vector", (3,), (3,)),
                       ("many values", (2, 37), (2, 37))):
        f.case(name, [Gen(*a, seed=1, scale=3.0), Gen(*b, seed=2, scale=3.0)], fn, gradients="first")
    f.case("on the target", [Lit([1.0, 2.0], [1, 2], integer=False), Lit([1.0, 5.0], [1, 2], integer=False)], fn,
           gradients="first", checks={"gradient_check": False})
    f.error("unlike sizes", [Gen(2, 3, seed=1), Gen(2, 4, seed=1)],
            "l1 needs as many target values as scores, 3 for each sample, not 4")
    f.error("class numbers", [Gen(2, 1, seed=1), Lit([0, 1])], "l1 needs as many target values as scores")
    f.write()


def kl():
    f = File("kl")

    def fn(x, p, s):
        return [F.kl_div(x[0].log_softmax(1), x[1], reduction="none").sum(1), ones(x[0])]

    half = dict(scale=0.125, offset=0.25)  # need not sum to 1
    f.case("five classes", [Gen(3, 5, seed=1, scale=3.0), Gen(3, 5, seed=2, **half)], fn, gradients="first")
    f.case("many classes", [Gen(2, 37, seed=3, scale=3.0), Gen(2, 37, seed=4, **half)], fn, gradients="first")
    f.case("one class", [Gen(2, 1, seed=3), Lit([1.0, 1.0], [2, 1], integer=False)], fn, gradients="first")
    f.case("certain targets", [Gen(2, 3, seed=5, scale=2.0), Lit([0.0, 1.0, 0.0, 0.5, 0.0, 0.5], [2, 3], integer=False)],
           fn, gradients="first")
    f.case("large scores", [Gen(2, 4, seed=6, scale=300.0), Gen(2, 4, seed=7, **half)], fn, gradients="first",
           checks={"gradient_check": False})
    f.error("unlike sizes", [Gen(2, 3, seed=1), Gen(2, 4, seed=1)],
            "kl needs as many target values as scores, 3 for each sample, not 4")
    f.error("class numbers", [Gen(2, 1, seed=1), Lit([0, 1])], "kl needs as many target values as scores")
    f.error("scores of rank 1", [Gen(2, seed=1), Gen(2, seed=1)], "kl needs scores [N,K], not of rank 1")
    f.write()


# ---- of features -----------------------------------------------------------------------------------------------------


def cosine_embedding():
    f = File("cosine_embedding")

    def run(margin):
        def fn(x, p, s):
            y = x[2].double() if len(x) > 2 else ones(x[0])
            return [F.cosine_embedding_loss(x[0], x[1], y, margin, reduction="none"), ones(x[0])]
        return fn

    for margin in (0.0, 0.25, -0.5):
        f.case(f"margin {margin}", [Gen(6, 5, seed=1), Gen(6, 5, seed=2), Lit([1, -1, -1, 1, -1, -1])],
               run(margin),
               options={"margin": margin})
    f.case("no labels", [Gen(3, 37, seed=3), Gen(3, 37, seed=4)], run(0.0))
    f.case("one number", [Gen(2, 1, seed=5), Gen(2, 1, seed=6), Lit([1, 1])], run(0.0),
           checks={"gradient_check": False}, gradients=False)  # 0, but for rounding
    f.case("zero vectors", [Lit([0.0, 0.0, 0.6, -0.8], [2, 2], integer=False),
                            Lit([0.3, 0.4, 0.0, 0.0], [2, 2], integer=False), Lit([1, -1])], run(0.0),
           checks={"gradient_check": False})
    f.error("unlike widths", [Gen(2, 3, seed=1), Gen(2, 4, seed=1)],
            "cosine_embedding needs two inputs [N,C] of one width")
    f.error("real labels", [Gen(2, 3, seed=1), Gen(2, 3, seed=1), Gen(2, seed=1)],
            "cosine_embedding needs one label per pair as its third input: 1 (together) or -1")
    f.write()


def triplet():
    f = File("triplet")

    def run(o):
        def fn(x, p, s):
            return [F.triplet_margin_loss(*x, margin=o.get("margin", 1.0), p=o.get("p", 2.0), reduction="none"),
                    ones(x[0])]
        return fn

    for name, shape, o in (("defaults", (4, 5), {}), ("a small margin", (6, 3), {"margin": 0.01}),
                           ("absolute differences", (4, 5), {"p": 1.0}), ("cubes", (3, 7), {"p": 3.0, "margin": 0.5}),
                           ("p between", (3, 7), {"p": 1.5}), ("many channels", (2, 37), {}), ("one", (1, 1), {})):
        f.case(name, [Gen(*shape, seed=i) for i in (1, 2, 3)], run(o), options=o)
    f.case("all the same", [Gen(2, 3, seed=1)] * 3, run({}), checks={"gradient_check": False})

    def mined(o):
        def fn(x, p, s):
            z, labels, n = x[0], x[1], x[0].shape[0]
            d = torch.stack([F.pairwise_distance(z[i].expand(n, -1), z, p=o.get("p", 2.0)) for i in range(n)])
            others = (labels >= 0)[None, :] & (labels >= 0)[:, None] & ~torch.eye(n, dtype=torch.bool)
            own = others & (labels[:, None] == labels[None, :])
            other = others & (labels[:, None] != labels[None, :])
            counts = own.any(1) & other.any(1)
            q = d.detach().masked_fill(~own, -math.inf).argmax(1)
            m = d.detach().masked_fill(~other, math.inf).argmin(1)
            value = F.triplet_margin_loss(z, z[q], z[m], margin=o.get("margin", 1.0), p=o.get("p", 2.0), reduction="none")
            return [torch.where(counts, value, 0.0), counts.double()]
        return fn

    for name, shape, labels, o in (("the hardest", (7, 5), [0, 1, 0, 2, 1, 0, 2], {}),
                                   ("the hardest, a small margin", (6, 3), [1, 1, 0, 0, 1, 0], {"margin": 0.05}),
                                   ("the hardest, alone and left out", (6, 4), [0, -1, 1, 0, 2, -1], {"p": 1.0}),
                                   ("the hardest of one class", (3, 37), [4, 4, 4], {}),
                                   ("the hardest of one", (1, 1), [0], {})):
        f.case(name, [Gen(*shape, seed=len(labels)), Lit(labels)], mined(o), options=o)
    f.error("real labels", [Gen(2, 3, seed=1), Gen(2, seed=1)],
            "triplet needs features [N,C] and one class number per sample")
    f.error("unlike widths", [Gen(2, 3, seed=1), Gen(2, 3, seed=1), Gen(2, 4, seed=1)],
            "triplet needs an anchor, a positive and a negative [N,C] of one width")
    f.write()


def supervised_contrastive():
    f = File("supervised_contrastive")

    def run(temperature):
        def fn(x, p, s):
            z, labels, n = x[0], x[1], x[0].shape[0]
            part = labels >= 0
            others = part[None, :] & ~torch.eye(n, dtype=torch.bool)
            own = others & (labels[:, None] == labels[None, :]) & part[:, None]
            counts = own.any(1)
            scores = z @ z.T / temperature
            logp = scores - scores.masked_fill(~others, -math.inf).logsumexp(1, keepdim=True)
            mean = torch.where(own, logp, 0.0).sum(1) / own.sum(1).clamp(min=1)
            return [torch.where(counts, -mean, 0.0), counts.double()]
        return fn

    for name, shape, labels, o in (("three classes", (7, 5), [0, 1, 0, 2, 1, 0, 2], {}),
                                   ("alone and left out", (6, 4), [0, -1, 1, 0, 2, -1], {"temperature": 0.5}),
                                   ("all of a kind", (3, 37), [4, 4, 4], {"temperature": 1.0}),
                                   ("a cold one", (4, 3), [0, 0, 1, 1], {"temperature": 0.02})):
        f.case(name, [Gen(*shape, seed=len(labels)), Lit(labels)], run(o.get("temperature", 0.1)), options=o)
    f.case("one sample", [Gen(1, 3, seed=1), Lit([0])], lambda x, p, s: [0.0 * x[0].sum(1), 0.0 * ones(x[0])])
    f.error("real labels", [Gen(2, 3, seed=1), Gen(2, seed=1)],
            "supervised_contrastive needs one class number per sample as its target")
    f.error("rank 3", [Gen(2, 3, 4, seed=1), Lit([0, 1])], "supervised_contrastive needs features [N,C], not of rank 3")
    f.write()


# ---- random in training ----------------------------------------------------------------------------------------------

SEED, STEP, IDS = 0x123456789ABCDEF, (3 << 32) + 1, [41, 7, 1000000]
RANDOM = {"seed": SEED, "step": STEP, "sample_ids": IDS}


def words(row, block):
    return philox((block, IDS[row], STEP & 0xFFFFFFFF, STEP >> 32), (SEED & 0xFFFFFFFF, SEED >> 32))


def uniform(row, i):
    return (words(row, i // 4)[i % 4] >> 8) * 2.0**-24


def random_cases(f, key, values, shapes, fn, error=None):
    """fn(x, value): what training makes of x."""
    for shape in shapes:
        for value in values:
            f.case(f"{key} {value}, rank {len(shape)}", [Gen(*shape, seed=1, offset=2.0)],
                   lambda x, p, s: [fn(x[0], value)], options={key: value}, training=True,
                   checks={**RANDOM, "sample_ids": IDS[:shape[0]]})
    f.case("inference", [Gen(*shapes[0], seed=1)], lambda x, p, s: [x[0]], training=False)
    f.write()


def scale(rate):
    return 1 / (1 - rate) if rate < 1 else 0.0


def drop_path():
    def fn(x, rate):
        kept = [float(uniform(n, 0) >= rate) * scale(rate) for n in range(x.shape[0])]
        return x * torch.tensor(kept).double().reshape(-1, *[1] * (x.dim() - 1))

    random_cases(File("drop_path"), "rate", [0.25, 0.5, 0.75, 0.0, 1.0], [(3, 13), (3, 2, 3, 5), (1, 1)], fn)


def spatial_dropout():
    def fn(x, rate):
        n, c = x.shape[0], x.shape[-1]
        kept = [[float(uniform(i, k) >= rate) * scale(rate) for k in range(c)] for i in range(n)]
        return x * torch.tensor(kept).double().reshape(n, *[1] * (x.dim() - 2), c)

    f = File("spatial_dropout")
    f.error("nothing between", [Gen(2, 3, seed=1)], "spatial_dropout needs [N,...,C] with places in between")
    random_cases(f, "rate", [0.25, 0.5, 0.0, 1.0], [(3, 2, 3, 5), (2, 3, 17), (1, 1, 1, 1)], fn)


def gaussian_noise():
    def normal(row, i):
        w = words(row, i // 4)
        pair = w[:2] if i % 4 < 2 else w[2:]
        radius = math.sqrt(-2 * math.log(((pair[0] >> 8) + 0.5) * 2.0**-24))
        return radius * (math.sin if i % 2 else math.cos)(2 * math.pi * (pair[1] >> 8) * 2.0**-24)

    def fn(x, stddev):
        z = [[normal(n, i) for i in range(x[0].numel())] for n in range(x.shape[0])]
        return x + stddev * torch.tensor(z, dtype=torch.float64).reshape(x.shape)

    random_cases(File("gaussian_noise"), "stddev", [0.1, 3.0, 0.0], [(3, 13), (3, 2, 3, 5), (1, 1)], fn)


LAYERS = [binary_cross_entropy, focal, l1, kl, cosine_embedding, triplet, supervised_contrastive,
          drop_path, spatial_dropout, gaussian_noise]
