"""Sequences and what goes with them: embeddings, positions, attention, convolutions over time, recurrence. See
layer_cases.py."""
import math

import torch
import torch.nn.functional as F

from layer_cases import File, Gen, Lit, nchw, nhwc


def embedding():
    f = File("embedding")

    def fn(padding=None):
        return lambda x, p, s: [F.embedding(x[0], p["w"], padding_idx=padding)]

    o = {"num_embeddings": 11, "embedding_dim": 5}
    w = {"w": Gen(11, 5, seed=1)}
    ids = [3, 0, 10, 3, 3, 7, 0, 9]
    f.case("tokens, some more than once", [Lit(ids, [2, 4])], fn(), options=o, params=w)
    f.case("padding gets no gradient", [Lit(ids, [2, 4])], fn(3), options={**o, "padding_idx": 3}, params=w,
           checks={"gradient_check": False})
    f.case("one id", [Lit([4], [1, 1])], fn(), options=o, params=w)
    f.case("one channel, one row", [Lit([0, 0, 0], [3, 1])], fn(), options={"num_embeddings": 1, "embedding_dim": 1},
           params={"w": Gen(1, 1, seed=2)})
    f.case("an id per sample, a vector and a tail", [Lit([1, 2, 1])], fn(),
           options={"num_embeddings": 4, "embedding_dim": 37}, params={"w": Gen(4, 37, seed=3)})
    f.case("three axes", [Lit(list(range(8)), [2, 2, 2])], fn(), options=o, params=w)
    # PyTorch refuses such ids; a kernel can only answer with NaN, never read past the end
    f.case("no such row", [Lit([11, -1, 2**31 - 1], [1, 3])],
           lambda x, p, s: [torch.full((1, 3, 5), math.nan).double() + 0 * p["w"].sum()], options=o, params=w,
           gradients=False, checks={"gradient_check": False})
    f.error("values", [Gen(2, 3, seed=1)], "embedding takes integer ids [N,T], but its input holds values", options=o)
    f.error("padding behind the table", [Lit(ids, [2, 4])], "`padding_idx` is 11, but the table has only 11 rows",
            options={**o, "padding_idx": 11})
    f.error("no rows", [Lit(ids, [2, 4])], "num_embeddings", options={"embedding_dim": 5})
    f.write()


LAYERS = [embedding]
