"""Losses, and layers that are random in training. See layer_cases.py."""
import math

import torch
import torch.nn.functional as F

from layer_cases import File, Gen, Lit


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


LAYERS = [binary_cross_entropy, focal, l1, kl]
