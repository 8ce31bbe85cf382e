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


def attention():
    f = File("attention")

    def fn(o, lengths=None):
        def run(x, p, s):
            h = o.get("heads", 1)
            g = o.get("key_value_heads", h)
            n, t, size = x[0].shape[0], x[0].shape[1], x[1].shape[1]
            q, k, v = [a.reshape(n, a.shape[1], i, -1).transpose(1, 2) for a, i in zip(x, (h, g, g))]
            k, v = k.repeat_interleave(h // g, 1), v.repeat_interleave(h // g, 1)
            mask = torch.ones(n, 1, t, size, dtype=torch.bool)
            if o.get("causal"):
                mask &= torch.ones(t, size, dtype=torch.bool).tril(size - t)
            if lengths:
                mask &= (torch.arange(size) < torch.tensor(lengths)[:, None])[:, None, None, :]
            seen = mask.any(-1, keepdim=True)
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask | ~seen, scale=o.get("scale"))
            return [torch.where(seen, y, 0.0).transpose(1, 2).reshape(n, t, -1)]
        return run

    def qkv(n, t, s, h, g, d, e, scale=1.0):
        return [Gen(n, t, h * d, seed=1, scale=scale), Gen(n, s, g * d, seed=2, scale=scale), Gen(n, s, g * e, seed=3)]

    for name, sizes, o, lengths in (
            ("one head", (2, 5, 5, 1, 1, 3, 3), {}, None),
            ("three heads", (2, 4, 4, 3, 3, 5, 5), {"heads": 3}, None),
            ("causal", (2, 5, 5, 2, 2, 4, 4), {"heads": 2, "causal": True}, None),
            ("a scale of its own", (1, 3, 3, 2, 2, 3, 3), {"heads": 2, "scale": 0.3}, None),
            ("grouped keys", (2, 3, 3, 4, 2, 3, 3), {"heads": 4, "key_value_heads": 2}, None),
            ("one head of keys, causal", (1, 4, 4, 3, 1, 2, 2), {"heads": 3, "key_value_heads": 1, "causal": True}, None),
            ("other keys than queries, wide values", (2, 3, 5, 2, 2, 3, 4), {"heads": 2}, None),
            ("causal, more keys than queries", (1, 2, 5, 1, 1, 3, 3), {"causal": True}, None),
            ("causal, more queries than keys", (1, 5, 3, 1, 1, 3, 3), {"causal": True}, None),
            ("lengths", (3, 4, 4, 2, 2, 3, 3), {"heads": 2}, [3, 1, 4]),
            ("lengths, causal, grouped", (3, 4, 4, 4, 2, 2, 2), {"heads": 4, "key_value_heads": 2, "causal": True},
             [2, 4, 1]),
            ("an empty sequence", (2, 3, 3, 1, 1, 2, 2), {}, [0, 2]),
            ("one of everything", (1, 1, 1, 1, 1, 1, 1), {}, None),
            ("a vector wide", (1, 5, 19, 2, 2, 16, 16), {"heads": 2, "causal": True}, None),
            ("a vector wide, grouped, causal, lengths", (3, 5, 5, 2, 1, 16, 16),
             {"heads": 2, "key_value_heads": 1, "causal": True}, [2, 5, 0]),
            ("a vector wide, more queries than keys", (1, 9, 6, 1, 1, 16, 16), {"causal": True}, None),
    ):
        f.case(name, qkv(*sizes), fn(o, lengths), options=o, checks={"lengths": lengths} if lengths else None)
    for size in (3, 16):  # NaN behind the length: plain and tile kernels look only at what is real
        behind = qkv(2, 3, 5, 1, 1, size, size)
        for x in behind[1:]:
            values = x.tensor()
            values[0, 2:] = values[1, 4:] = math.nan
            behind[behind.index(x)] = Lit(values.reshape(-1).tolist(), x.shape, integer=False)

        def one_by_one(x, p, s, lengths=(2, 4)):
            parts = [F.scaled_dot_product_attention(x[0][n], x[1][n, :t], x[2][n, :t]) for n, t in enumerate(lengths)]
            return [torch.stack(parts)]

        f.case(f"nothing behind the length is looked at, {size} channels", behind, one_by_one,
               checks={"lengths": [2, 4], "gradient_check": False})
    def masked(o):
        def run(x, p, s):
            h, g = o.get("heads", 1), o.get("key_value_heads", o.get("heads", 1))
            n, t, size = x[0].shape[0], x[0].shape[1], x[1].shape[1]
            q, k, v = [a.reshape(n, a.shape[1], i, -1).transpose(1, 2) for a, i in zip(x, (h, g, g))]
            k, v = k.repeat_interleave(h // g, 1), v.repeat_interleave(h // g, 1)
            mask = x[3] if x[3].dim() == 4 else x[3][:, None]
            if o.get("causal"):
                mask = mask.masked_fill(~torch.ones(t, size, dtype=torch.bool).tril(size - t), -math.inf)
            seen = (mask > -math.inf).any(-1, keepdim=True)
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask.masked_fill(~seen, 0.0))
            return [torch.where(seen, y, 0.0).transpose(1, 2).reshape(n, t, -1)]
        return run

    heads = {"heads": 2}
    f.case("a mask for all heads", qkv(2, 3, 5, 2, 2, 3, 4) + [Gen(2, 3, 5, seed=4)], masked(heads), options=heads)
    for size in (3, 16):
        f.case(f"a mask per head, grouped, causal, {size} channels", qkv(2, 4, 4, 4, 2, size, size) +
               [Gen(2, 4, 4, 4, seed=4, scale=2.0)], masked({"heads": 4, "key_value_heads": 2, "causal": True}),
               options={"heads": 4, "key_value_heads": 2, "causal": True})
    hidden = Gen(2, 3, 4, seed=4).tensor()
    hidden[0, 0, 1:] = hidden[0, 1, :] = hidden[1, :, 2] = -math.inf
    f.case("keys and a query that the mask hides", qkv(2, 3, 4, 2, 2, 2, 2) +
           [Lit(hidden.reshape(-1).tolist(), [2, 3, 4], integer=False)], masked(heads), options=heads,
           checks={"gradient_check": False})
    f.case("large scores", qkv(1, 4, 6, 1, 1, 4, 4, scale=5.0), fn({}), checks={"gradient_check": False},
           tolerance=5e-5)
    for name, sizes, o, lengths in (
            ("vectors and tails", (2, 37, 37, 4, 2, 32, 32), {"heads": 4, "key_value_heads": 2, "causal": True}, [37, 20]),
            ("heads of 64, more keys", (2, 9, 50, 2, 2, 64, 64), {"heads": 2}, [50, 33])):
        f.case(name, qkv(*sizes), options=o, checks={"lengths": lengths, "large": True})
    f.error("heads", qkv(1, 3, 3, 1, 1, 5, 5), "5 channels of the queries cannot be split into 2 heads",
            options={"heads": 2})
    f.error("uneven groups", qkv(1, 3, 3, 3, 2, 2, 2), "3 heads cannot share 2 heads of keys and values evenly",
            options={"heads": 3, "key_value_heads": 2})
    f.error("keys of another width", [Gen(1, 3, 4, seed=1), Gen(1, 3, 6, seed=1), Gen(1, 3, 4, seed=1)],
            "a head of the queries has 2 channels, but one of the keys 3", options={"heads": 2})
    f.error("keys without values", [Gen(1, 3, 4, seed=1), Gen(1, 3, 4, seed=1), Gen(1, 2, 4, seed=1)],
            "there are 3 keys but 2 values")
    f.error("a mask of another size", qkv(1, 3, 5, 2, 2, 2, 2) + [Gen(1, 5, 3, seed=1)],
            "the mask of 3 queries and 5 keys must be [N,3,5] or [N,2,3,5]", options=heads)
    f.error("a picture", [Gen(1, 3, 4, seed=1), Gen(1, 3, 2, 4, seed=1), Gen(1, 3, 4, seed=1)],
            "attention takes queries, keys and values [N,T,C], but input 2 has rank 4")
    f.write()


def window_attention():
    """As torchvision's shifted_window_attention, without its projections."""
    f = File("window_attention")

    def fn(o):
        def run(x, p, s):
            n, height, width, _ = x[0].shape
            size, heads = o.get("window", 7), o.get("heads", 1)
            shift = [0 if size >= d else o.get("shift", 0) for d in (height, width)]
            windows = lambda t: t.reshape(n, height // size, size, width // size, size, -1).transpose(2, 3).reshape(
                -1, size * size, t.shape[-1])
            moved = torch.roll(x[0], [-shift[0], -shift[1]], (1, 2))
            q, k, v = windows(moved).reshape(-1, size * size, 3, heads, x[0].shape[3] // 3 // heads).permute(2, 0, 3, 1, 4)
            place = torch.stack(torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")).flatten(1)
            apart = place[:, :, None] - place[:, None] + size - 1
            z = q @ k.transpose(-1, -2) * (o.get("scale") or q.shape[-1] ** -0.5)
            z = z + p["w"][apart[0] * (2 * size - 1) + apart[1]].permute(2, 0, 1)
            side = torch.zeros(1, height, width, 1)  # of the picture's end; equal numbers see each other
            side[:, height - shift[0]:] += 1
            side[:, :, width - shift[1]:] += 2
            side = windows(side.expand(n, -1, -1, -1))
            z = z.masked_fill((side != side.transpose(1, 2))[:, None], -math.inf)
            y = (z.softmax(-1) @ v).transpose(1, 2).reshape(-1, height // size, width // size, size, size, heads * v.shape[-1])
            y = y.reshape(n, height // size, width // size, size, size, -1).transpose(2, 3).reshape(n, height, width, -1)
            return [torch.roll(y, shift, (1, 2))]
        return run

    for name, shape, d, o in (
            ("one window", (1, 3, 3), 2, {"window": 3}), ("four windows, heads", (2, 4, 4), 3, {"window": 2, "heads": 2}),
            ("moved", (2, 4, 6), 3, {"window": 2, "heads": 2, "shift": 1}),
            ("moved by more than half", (1, 6, 6), 2, {"window": 3, "shift": 2}),
            ("one window high: moved sideways alone", (1, 3, 6), 2, {"window": 3, "shift": 1, "heads": 2}),
            ("one window: not moved", (2, 3, 3), 2, {"window": 3, "shift": 1}),
            ("windows of one pixel", (1, 2, 3), 2, {"window": 1}), ("one of everything", (1, 1, 1), 1, {"window": 1}),
            ("a scale of its own", (1, 4, 2), 2, {"window": 2, "scale": 0.3}),
            ("a vector wide", (1, 4, 4), 16, {"window": 2, "heads": 2, "shift": 1}),
            ("Swin's", (1, 14, 7), 32, {"heads": 1, "shift": 3})):
        size, heads = o.get("window", 7), o.get("heads", 1)
        f.case(name, [Gen(*shape, 3 * heads * d, seed=1)], fn(o) if size < 7 else None, options=o,
               params={"w": Gen((2 * size - 1) ** 2, heads, seed=2)},
               checks={"gradient_check": False} if size == 7 else None)
    x = [Gen(1, 4, 6, 12, seed=1)]
    f.error("shift", x, "`shift` 2 must be smaller than the window of 2", options={"window": 2, "shift": 2})
    f.error("heads", x, "12 channels are not queries, keys and values of 3 equal heads", options={"window": 2, "heads": 3})
    f.error("windows", x, "a picture of 4 x 6 pixels is not made of whole windows of 4 x 4", options={"window": 4})
    f.error("tokens", [Gen(1, 4, 6, seed=1)], "window_attention takes [N,H,W,3C], but its input has rank 3")
    f.write()


def position_learned():
    f = File("position_learned")
    fn = lambda x, p, s: [x[0] + p["w"][:x[0].shape[1]]]
    for name, shape, rows in (("shorter than the table", (2, 3, 5), 7), ("as long", (3, 4, 1), 4), ("one", (1, 1, 1), 1),
                              ("a vector and a tail", (2, 2, 19), 3)):
        f.case(name, [Gen(*shape, seed=1)], fn, options={"max_length": rows}, params={"w": Gen(rows, shape[2], seed=2)})
    f.case("a grid behind a class token", [Gen(2, 7, 3, seed=1)], fn, options={"max_length": 7, "grid": [2, 3]},
           params={"w": Gen(7, 3, seed=2)})
    later = lambda x, p, s: [x[0] + p["w"][2:2 + x[0].shape[1]]]
    for name, shape, rows in (("from row 2 on", (2, 3, 5), 7), ("from row 2 to the last", (3, 4, 3), 6)):
        f.case(name, [Gen(*shape, seed=1)], later, options={"max_length": rows, "start": 2}, params={"w": Gen(rows, shape[2], seed=2)})
    x = [Gen(1, 4, 2, seed=1)]
    f.error("too long from row 2 on", x, "a sequence of 4 does not fit into `max_length` 5 from row 2 on",
            options={"max_length": 5, "start": 2})
    f.error("one number", x, "`grid` takes two numbers, rows and columns", options={"max_length": 4, "grid": 2})
    f.error("a grid too large", x, "a grid of 2 x 3 does not fit into `max_length` 4",
            options={"max_length": 4, "grid": [2, 3]})
    f.error("too long", [Gen(2, 5, 3, seed=1)], "a sequence of 5 is longer than `max_length` 4", options={"max_length": 4})
    f.error("no sequence", [Gen(2, 5, seed=1)], "position_learned needs [N,T,C], but its input has rank 2",
            options={"max_length": 4})
    f.write()


def class_token():
    f = File("class_token")

    def fn(x, p, s):
        n, _, c = x[0].shape
        return [torch.cat([p["w"].expand(n, -1, c), x[0]], 1)]

    for name, shape, tokens in (("one token", (3, 4, 5), 1), ("two tokens, a vector and a tail", (2, 3, 19), 2),
                                ("more than the sequence", (1, 1, 3), 4), ("one of everything", (1, 1, 1), 1)):
        f.case(name, [Gen(*shape, seed=1)], fn, options={"tokens": tokens} if tokens > 1 else None,
               params={"w": Gen(tokens, shape[2], seed=2)})
    f.error("none", [Gen(1, 2, 3, seed=1)], "tokens", options={"tokens": 0})
    f.error("a picture", [Gen(1, 2, 2, 3, seed=1)], "class_token needs [N,T,C], but its input has rank 4")
    f.write()


def angles(t, planes, base, first=0):
    return torch.arange(first, first + t).double()[:, None] * base ** (-torch.arange(planes).double() / planes)


def position_sinusoidal():
    f = File("position_sinusoidal")

    def fn(o):
        def run(x, p, s):
            a = angles(x[0].shape[1], x[0].shape[2] // 2, o.get("base", 10000.0))
            table = [a.sin(), a.cos()]
            halves = o.get("layout") == "halves"
            return [x[0] + (torch.cat(table, 1) if halves else torch.stack(table, 2).flatten(1))]
        return run

    for name, shape, o in (("interleaved", (2, 5, 6), {}), ("halves", (2, 5, 6), {"layout": "halves"}),
                           ("another base", (1, 4, 38), {"base": 500.0}), ("one plane", (3, 1, 2), {})):
        f.case(name, [Gen(*shape, seed=1)], fn(o), options=o)
    f.case("far along", [Gen(1, 400, 4, seed=1)], fn({"base": 3.0}), options={"base": 3.0})
    f.error("odd channels", [Gen(2, 5, 3, seed=1)], "position_sinusoidal needs an even number of channels, not 3")
    f.error("no sequence", [Gen(2, 4, seed=1)], "position_sinusoidal needs [N,T,C], but its input has rank 2")
    f.write()


def rotary():
    f = File("rotary")

    def fn(o):
        def run(x, p, s):
            n, t, c = x[0].shape
            x = x[0].reshape(n, t, o.get("heads", 1), -1)
            turning = o.get("rotary_dim", x.shape[-1])
            a = angles(t, turning // 2, o.get("base", 10000.0))[:, None]
            part, rest = x[..., :turning], x[..., turning:]
            if o.get("layout") == "interleaved":  # as complex numbers, the definition of RoFormer
                z = torch.view_as_complex(part.reshape(n, t, x.shape[2], -1, 2).contiguous())
                y = torch.view_as_real(z * torch.polar(torch.ones_like(a), a)).flatten(3)
            else:  # as Llama's rotate_half
                one, two = part.chunk(2, -1)
                cos, sin = torch.cat([a.cos()] * 2, -1), torch.cat([a.sin()] * 2, -1)
                y = part * cos + torch.cat([-two, one], -1) * sin
            return [torch.cat([y, rest], -1).reshape(n, t, c)]
        return run

    for name, shape, o in (
            ("halves", (2, 5, 6), {}), ("interleaved", (2, 5, 6), {"layout": "interleaved"}),
            ("heads", (2, 4, 18), {"heads": 3, "base": 100000.0}),
            ("heads, interleaved", (2, 3, 8), {"heads": 2, "layout": "interleaved"}),
            ("part of a head", (2, 4, 10), {"heads": 2, "rotary_dim": 2}),
            ("part of a head, interleaved", (1, 4, 7), {"rotary_dim": 4, "layout": "interleaved"}),
            ("one plane", (3, 1, 2), {})):
        f.case(name, [Gen(*shape, seed=1)], fn(o), options=o)
    f.case("far along", [Gen(1, 400, 4, seed=1)], fn({"base": 3.0}), options={"base": 3.0})
    f.error("heads", [Gen(2, 5, 6, seed=1)], "6 channels cannot be split into 4 heads", options={"heads": 4})
    f.error("odd heads", [Gen(2, 5, 6, seed=1)], "an even number of the 3 channels of a head can turn, not 3",
            options={"heads": 2})
    f.error("more than a head", [Gen(2, 5, 6, seed=1)], "an even number of the 6 channels of a head can turn, not 8",
            options={"rotary_dim": 8})
    f.error("no sequence", [Gen(2, 4, seed=1)], "rotary needs queries or keys [N,T,C], but its input has rank 2")
    f.write()


def conv1d():
    f = File("conv1d")

    def fn(o, groups):
        def run(x, p, s):
            k, stride, d, pad = o["kernel"], o.get("stride", 1), o.get("dilation", 1), o.get("padding", 0)
            span, t = (k - 1) * d + 1, x[0].shape[1]
            if pad == "same":  # as TensorFlow
                missing = max((-(-t // stride) - 1) * stride + span - t, 0)
                pad = [missing // 2, missing - missing // 2]
            pad = [span - 1, 0] if pad == "causal" else [0, 0] if pad == "valid" else pad
            pad = [pad, pad] if isinstance(pad, int) else pad
            y = F.conv1d(F.pad(x[0].transpose(1, 2), pad), p["w"].permute(2, 1, 0), p.get("b"), stride, 0, d, groups)
            return [y.transpose(1, 2)]
        return run

    for name, shape, k, o, groups in (
            ("one tap", (2, 5, 3), 4, {"kernel": 1}, 1),
            ("one tap, stride 2", (2, 5, 3), 4, {"kernel": 1, "stride": 2}, 1),
            ("three taps", (2, 6, 3), 4, {"kernel": 3}, 1),
            ("padding", (2, 5, 3), 2, {"kernel": 3, "padding": 1}, 1),
            ("two paddings", (1, 5, 3), 2, {"kernel": 4, "padding": [0, 2]}, 1),
            ("same, stride 2, even", (2, 6, 3), 2, {"kernel": 3, "stride": 2, "padding": "same"}, 1),
            ("same, stride 3, odd", (1, 7, 3), 2, {"kernel": 4, "stride": 3, "padding": "same"}, 1),
            ("causal", (2, 5, 3), 2, {"kernel": 3, "padding": "causal", "dilation": 2}, 1),
            ("dilation", (1, 9, 2), 3, {"kernel": 3, "dilation": 3, "padding": 2}, 1),
            ("groups", (2, 5, 6), 4, {"kernel": 3, "groups": 2, "padding": 1}, 2),
            ("depthwise", (2, 5, 5), 5, {"kernel": 3, "groups": "depthwise", "padding": 1}, 5),
            ("no bias", (2, 4, 2), 3, {"kernel": 2, "bias": False}, 1),
            ("one of everything", (1, 1, 1), 1, {"kernel": 1}, 1),
            ("vectors and tails", (2, 20, 19), 37, {"kernel": 3, "padding": 1}, 1)):
        params = {"w": Gen(o["kernel"], shape[2] // groups, k, seed=30, scale=0.6)}
        if o.get("bias", True):
            params["b"] = Gen(k, seed=31)
        options = {"filters": k, **o}
        if o.get("groups") == "depthwise":
            del options["filters"]
        f.case(name, [Gen(*shape, seed=32)], fn(o, groups) if name[0] != "v" else None, options=options, params=params)
    x = [Gen(2, 4, 6, seed=1)]
    f.error("no filters", x, "conv1d needs `filters`", options={"kernel": 3})
    f.error("too long", x, "a kernel of 3 (dilation 2) does not fit into a sequence of 4 with its padding",
            options={"filters": 2, "kernel": 3, "dilation": 2})
    f.error("groups", x, "6 channels in cannot be split into 4 groups", options={"filters": 4, "kernel": 1, "groups": 4})
    f.error("filters in groups", x, "4 filters cannot be split into 3 groups",
            options={"filters": 4, "kernel": 1, "groups": 3})
    f.error("a picture", [Gen(2, 4, 4, 6, seed=1)], "conv1d takes sequences [N,T,C], but its input has 4 dimensions",
            options={"filters": 4, "kernel": 1})
    f.write()


def conv_transpose2d():
    f = File("conv_transpose2d")
    pair = lambda v: (v, v) if isinstance(v, int) else tuple(v)

    def fn(o):
        def run(x, p, s):
            pad, crop = o.get("padding", 0), None
            if isinstance(pad, list) and len(pad) == 4:
                pad, crop = 0, pad
            y = F.conv_transpose2d(nchw(x[0]), p["w"].permute(3, 2, 0, 1), p.get("b"), pair(o.get("stride", 1)), pair(pad),
                                   pair(o.get("output_padding", 0)), o.get("groups", 1), pair(o.get("dilation", 1)))
            if crop:
                y = y[:, :, crop[0]:y.shape[2] - crop[1], crop[2]:y.shape[3] - crop[3]]
            return [nhwc(y)]
        return run

    for name, shape, k, o in (
            ("one tap", (2, 3, 2, 3), 4, {"kernel": 1}),
            ("one tap, stride 2", (1, 3, 2, 3), 4, {"kernel": 1, "stride": 2, "output_padding": 1}),
            ("3x3", (1, 3, 4, 3), 2, {"kernel": 3}),
            ("twice as large", (2, 3, 2, 3), 2, {"kernel": 4, "stride": 2, "padding": 1}),
            ("output_padding", (1, 3, 2, 2), 3, {"kernel": 3, "stride": 2, "padding": 1, "output_padding": 1}),
            ("unlike directions", (1, 3, 2, 2), 3,
             {"kernel": [3, 2], "stride": [1, 3], "padding": [1, 0], "output_padding": [0, 2]}),
            ("four paddings", (1, 3, 3, 2), 2, {"kernel": 3, "stride": 2, "padding": [0, 1, 2, 1]}),
            ("dilation", (1, 3, 3, 2), 2, {"kernel": 3, "dilation": 2, "padding": 1}),
            ("gaps between taps", (1, 3, 3, 2), 2, {"kernel": 2, "stride": 3, "padding": 1}),
            ("groups", (1, 3, 3, 6), 4, {"kernel": 3, "groups": 2, "stride": 2}),
            ("depthwise", (1, 3, 3, 5), 5, {"kernel": 2, "groups": 5}),
            ("no bias", (2, 2, 2, 2), 3, {"kernel": 2, "bias": False}),
            ("one of everything", (1, 1, 1, 1), 1, {"kernel": 1})):
        kh, kw = pair(o["kernel"])
        params = {"w": Gen(kh, kw, k // o.get("groups", 1), shape[3], seed=30, scale=0.6)}
        if o.get("bias", True):
            params["b"] = Gen(k, seed=31)
        f.case(name, [Gen(*shape, seed=32)], fn(o), options={"filters": k, **o}, params=params)
    f.case("vectors and tails", [Gen(2, 5, 6, 19, seed=33)], options={"filters": 37, "kernel": 4, "stride": 2, "padding": 1},
           params={"w": Gen(4, 4, 37, 19, seed=34, scale=0.3), "b": Gen(37, seed=35)})
    x = [Gen(1, 3, 3, 4, seed=1)]
    f.error("nothing left", x, "`padding` leaves an output of -1 x 1",
            options={"filters": 1, "kernel": 1, "padding": [2, 1]})
    f.error("output_padding", x, "`output_padding` 2 must be smaller than the stride 2 or the dilation 1",
            options={"filters": 1, "kernel": 3, "stride": 2, "output_padding": 2})
    f.error("three paddings", x, "`padding` takes 1, 2 or 4 numbers, not 3",
            options={"filters": 1, "kernel": 3, "padding": [1, 1, 1]})
    f.error("groups", x, "4 channels in cannot be split into 3 groups", options={"filters": 3, "kernel": 1, "groups": 3})
    f.error("a sequence", [Gen(1, 3, 4, seed=1)], "conv_transpose2d takes pictures [N,H,W,C], but its input has 3 dimensions",
            options={"filters": 1, "kernel": 1})
    f.write()


def matmul():
    f = File("matmul")

    def fn(o):
        def run(x, p, s):
            a, b = [t.transpose(-1, -2) if o.get(k) else t for t, k in zip(x, ("transpose_a", "transpose_b"))]
            return [a @ b]
        return run

    for ta in (False, True):
        for tb in (False, True):
            o = {k: True for k, v in (("transpose_a", ta), ("transpose_b", tb)) if v}
            for lead, m, k, n in (((2,), 3, 4, 5), ((2, 3), 2, 3, 1), ((2,), 17, 19, 18)):
                a, b = (k, m) if ta else (m, k), (n, k) if tb else (k, n)
                f.case(f"{list(lead)} of {m}x{k} and {k}x{n}", [Gen(*lead, *a, seed=1), Gen(*lead, *b, seed=2)],
                       fn(o) if m < 17 else None, options=o)
    f.case("one of everything", [Gen(1, 1, 1, seed=1), Gen(1, 1, 1, seed=2)], fn({}))
    f.error("no batch", [Gen(2, 3, seed=1), Gen(3, 4, seed=1)],
            "matmul needs two inputs of one rank, 3 or more ([N,M,K] and [N,K,L]), not of rank 2 and 2")
    f.error("unlike sizes", [Gen(1, 2, 3, seed=1), Gen(1, 2, 3, seed=1)],
            "a matrix of 3 columns cannot be multiplied by one of 2 rows")
    f.error("unlike counts", [Gen(1, 2, 2, 3, seed=1), Gen(1, 3, 3, 2, seed=1)],
            "the inputs have 2 and 3 matrices along axis 1")
    f.write()


def recurrent(layer, gates, module):
    f = File(layer)

    def fn(o, lengths):
        def run(x, p, s):
            net = module(x[0].shape[2], o["units"], batch_first=True, bidirectional=o.get("bidirectional", False),
                         bias=o.get("bias", True)).double()
            given = {}
            for name, value in p.items():
                full = f"{'weight' if name[0] == 'w' else 'bias'}_{name[2:4]}_l0" + ("_reverse" if "reverse" in name else "")
                given[full] = value.t() if name[0] == "w" else value
            if lengths:
                packed = torch.nn.utils.rnn.pack_padded_sequence(x[0], lengths, batch_first=True, enforce_sorted=False)
                y = torch.func.functional_call(net, given, (packed,))[0]
                return [torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=x[0].shape[1])[0]]
            return [torch.func.functional_call(net, given, (x[0],))[0]]
        return run

    for name, (n, t, c), o, lengths in (
            ("forward", (2, 4, 3), {"units": 5}, None),
            ("both directions", (2, 4, 3), {"units": 3, "bidirectional": True}, None),
            ("lengths", (3, 4, 2), {"units": 3}, [2, 4, 1]),
            ("lengths, both directions", (3, 4, 2), {"units": 3, "bidirectional": True}, [3, 1, 4]),
            ("no bias", (2, 3, 4), {"units": 2, "bias": False}, None),
            ("no bias, both directions", (1, 3, 2), {"units": 2, "bias": False, "bidirectional": True}, None),
            ("one step", (3, 1, 2), {"units": 4}, None),
            ("one of everything", (1, 1, 1), {"units": 1}, None),
            ("large inputs", (2, 3, 2), {"units": 2}, None),
            ("vectors and tails", (2, 6, 19), {"units": 35, "bidirectional": True}, [6, 4])):
        h, params = o["units"], {}
        for way in ("", "_reverse") if o.get("bidirectional") else ("",):
            params["w_ih" + way] = Gen(c, gates * h, seed=len(params) + 2)
            params["w_hh" + way] = Gen(h, gates * h, seed=len(params) + 2, scale=0.8 if h < 9 else 0.3)
            if o.get("bias", True):
                params["b_ih" + way] = Gen(gates * h, seed=len(params) + 2)
                params["b_hh" + way] = Gen(gates * h, seed=len(params) + 2)
        f.case(name, [Gen(n, t, c, seed=1, scale=8.0 if name[:5] == "large" else 1.0)],
               fn(o, lengths) if h < 9 else None, options=o, params=params,
               checks={"lengths": lengths} if lengths else None)
    f.error("no sequence", [Gen(2, 4, seed=1)], f"{layer} needs [N,T,C], but its input has rank 2", options={"units": 3})
    f.error("no units", [Gen(2, 4, 3, seed=1)], "units", options={"bias": False})
    f.write()


def lstm():
    recurrent("lstm", 4, torch.nn.LSTM)


def gru():
    recurrent("gru", 3, torch.nn.GRU)


LAYERS = [embedding, attention, window_attention, position_learned, class_token, position_sinusoidal, rotary, conv1d, conv_transpose2d,
          matmul, lstm, gru]
