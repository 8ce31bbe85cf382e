#!/usr/bin/env python3
"""Writes tests/data/onnx: small networks exported to ONNX by PyTorch's two exporters, with inputs and PyTorch's outputs.

    python3 make_onnx_nets.py [NAME...]

NAME.script.onnx is of torch.onnx.export(dynamo=False), NAME.dynamo.onnx of dynamo=True, both of a batch of 2; NAME.safetensors
has `x`, a batch of 3 in the layout of this library ([N,H,W,C], [N,T,C] or [N,T]), and `y` as PyTorch gives it. Made with PyTorch 2.15.0
and timm 1.0.31. Sizes are odd on purpose, batchnorm has statistics, and nothing is 0 or 1 that training moves.
"""
import os
import sys
import warnings

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

warnings.filterwarnings("ignore")
HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "..", "data", "onnx")


class Basic(nn.Module):
    def __init__(self, c, k, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(c, k, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(k)
        self.conv2 = nn.Conv2d(k, k, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(k)
        self.relu = nn.ReLU()
        self.downsample = None
        if stride != 1 or c != k:
            self.downsample = nn.Sequential(nn.Conv2d(c, k, 1, stride, bias=False), nn.BatchNorm2d(k))

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class Residual(nn.Module):
    """A residual network of three stages."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 5, 5, 2, 2, bias=False)
        self.bn1 = nn.BatchNorm2d(5)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1, ceil_mode=True)
        self.layer1 = nn.Sequential(*[Basic(5, 5, 1) for _ in range(3)])
        self.layer2 = nn.Sequential(Basic(5, 9, 2), Basic(9, 9, 1), Basic(9, 9, 1))
        self.layer3 = nn.Sequential(Basic(9, 11, 2), Basic(11, 11, 1), Basic(11, 11, 1))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(11, 7)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class Squeeze(nn.Module):
    def __init__(self, c, m):
        super().__init__()
        self.fc1 = nn.Conv2d(c, m, 1)
        self.fc2 = nn.Conv2d(m, c, 1)

    def forward(self, x):
        return x * F.hardsigmoid(self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True)))))


class Inverted(nn.Module):
    def __init__(self, c, e, k, stride):
        super().__init__()
        self.expand = nn.Conv2d(c, e, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(e)
        self.depthwise = nn.Conv2d(e, e, 3, stride, 1, groups=e, bias=False)
        self.bn2 = nn.BatchNorm2d(e)
        self.se = Squeeze(e, 4)
        self.project = nn.Conv2d(e, k, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(k)
        self.same = stride == 1 and c == k

    def forward(self, x):
        y = F.hardswish(self.bn1(self.expand(x)))
        y = self.bn3(self.project(self.se(F.hardswish(self.bn2(self.depthwise(y))))))
        return x + y if self.same else y


class Mobile(nn.Module):
    """Inverted residuals with squeeze-excite, hardswish and silu."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, 2, 1)
        self.blocks = nn.Sequential(Inverted(6, 13, 7, 2), Inverted(7, 15, 7, 1), Inverted(7, 15, 7, 1), Inverted(7, 17, 10, 2),
                                    Inverted(10, 19, 10, 1))
        self.head = nn.Conv2d(10, 21, 1)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(21, 6))

    def forward(self, x):
        x = F.silu(self.head(self.blocks(F.silu(self.stem(x)))))
        return self.classifier(F.adaptive_avg_pool2d(x, 1).flatten(1))


class LeNet(nn.Module):
    """Flattening: the rows of the first dense layer come in another order here."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 7, 5)
        self.fc1 = nn.Linear(7 * 2 * 3, 12)
        self.fc2 = nn.Linear(12, 5)

    def forward(self, x):
        x = F.max_pool2d(torch.tanh(self.conv1(x)), 2)
        x = F.avg_pool2d(F.leaky_relu(self.conv2(x), 0.2), 2)
        return self.fc2(F.gelu(self.fc1(x.view(-1, 7 * 2 * 3))))


class ConvNeXtBlock(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.dwconv = nn.Conv2d(c, c, 7, padding=3, groups=c)
        self.norm = nn.LayerNorm(c, eps=1e-6)
        self.pwconv1 = nn.Linear(c, 3 * c)
        self.pwconv2 = nn.Linear(3 * c, c)
        self.gamma = nn.Parameter(torch.full((c,), 0.5))

    def forward(self, x):
        y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        y = self.gamma * self.pwconv2(F.gelu(self.pwconv1(y)))
        return x + y.permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 4, 4)
        self.stage1 = nn.Sequential(*[ConvNeXtBlock(6) for _ in range(2)])
        self.down = nn.Sequential(nn.GroupNorm(2, 6), nn.Conv2d(6, 10, 2, 2))
        self.stage2 = nn.Sequential(*[ConvNeXtBlock(10) for _ in range(3)])
        self.norm = nn.LayerNorm(10)
        self.head = nn.Linear(10, 4)

    def forward(self, x):
        x = self.stage2(self.down(self.stage1(self.stem(x))))
        return self.head(self.norm(x.mean([-2, -1])))


class Attention(nn.Module):
    def __init__(self, c, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(c, 3 * c)
        self.proj = nn.Linear(c, c)

    def forward(self, x, causal=False):
        n, t, c = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, c))


class Encoder(nn.Module):
    def __init__(self, c, heads):
        super().__init__()
        self.norm1 = nn.LayerNorm(c)
        self.attn = Attention(c, heads)
        self.norm2 = nn.LayerNorm(c)
        self.mlp = nn.Sequential(nn.Linear(c, 2 * c), nn.GELU(), nn.Linear(2 * c, c))

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 12, 4, 4)
        self.cls_token = nn.Parameter(torch.randn(1, 1, 12))
        self.pos_embed = nn.Parameter(torch.randn(1, 7, 12))
        self.blocks = nn.Sequential(*[Encoder(12, 3) for _ in range(3)])
        self.norm = nn.LayerNorm(12)
        self.head = nn.Linear(12, 5)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])


class Text(nn.Module):
    """Token ids, learned positions, two encoder blocks, the mean of the tokens."""

    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(23, 8)
        self.positions = nn.Embedding(9, 8)
        self.norm = nn.LayerNorm(8)
        self.layers = nn.ModuleList([Encoder(8, 2) for _ in range(2)])
        self.classifier = nn.Linear(8, 3)

    def forward(self, ids):
        x = self.norm(self.tokens(ids) + self.positions(torch.arange(ids.shape[1])))
        for layer in self.layers:
            x = layer(x)
        return self.classifier(torch.tanh(x.mean(1)))


class Standard(nn.Module):
    """Filters that are standardized on the way (NFNet), shuffled channels, batchnorm of tokens across the batch (LeViT)."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 2, 1)
        self.conv2 = nn.Conv2d(8, 10, 3, 1, 1, groups=2)
        self.gain = nn.Parameter(torch.rand(10))
        self.fc = nn.Linear(10, 9, bias=False)
        self.bn = nn.BatchNorm1d(9)
        self.head = nn.Linear(9, 4)

    def standardized(self, conv, x, gain):
        w = F.batch_norm(conv.weight.reshape(1, conv.out_channels, -1), None, None, weight=gain, training=True, eps=1e-6)
        return F.conv2d(x, w.reshape_as(conv.weight), conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups)

    def forward(self, x):
        x = F.relu6(self.standardized(self.conv1, x, None))
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        x = F.pad(F.silu(self.standardized(self.conv2, x, self.gain)), (1, 0, 0, 2))
        x = self.fc(x.flatten(2).transpose(1, 2))
        x = self.bn(x.flatten(0, 1)).reshape_as(x)
        return self.head(F.normalize(x.amax(1), dim=-1))


def timm_vit():
    from timm.models.vision_transformer import VisionTransformer
    return VisionTransformer(img_size=(12, 8), patch_size=4, embed_dim=12, depth=2, num_heads=3, num_classes=5, mlp_ratio=2.0)


class Recurrent(nn.Module):
    """Sequences through a convolution, two lstms in both directions, and a gru whose last state is taken."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(5, 6, 3, padding=1)
        self.lstm = nn.LSTM(6, 7, 2, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(14, 4, 2, batch_first=True)
        self.fc = nn.Linear(4 + 14, 3)

    def forward(self, x):
        x = torch.relu(self.conv(x.transpose(1, 2))).transpose(1, 2)
        x, (h, _) = self.lstm(x)
        _, last = self.gru(x)
        return self.fc(torch.cat([last[-1], h[-2], h[-1]], 1))


class StepsFirst(nn.Module):
    """PyTorch's own order, [T,N,C]: the batch is the second axis."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(5, 7, bidirectional=True)
        self.fc = nn.Linear(14, 3)

    def forward(self, x):
        return self.fc(self.gru(x)[0].mean(0))


def picture(*shape):
    return lambda g: torch.randn(3, *shape, generator=g)


NETS = {
    "residual": (Residual, picture(3, 37, 43)),
    "mobile": (Mobile, picture(3, 29, 33)),
    "lenet": (LeNet, picture(1, 17, 21)),
    "convnext": (ConvNeXt, picture(3, 25, 33)),
    "vit": (ViT, picture(3, 8, 12)),
    "standard": (Standard, picture(3, 15, 19)),
    "timm_vit": (timm_vit, picture(3, 12, 8)),
    "recurrent": (Recurrent, lambda g: torch.randn(3, 9, 5, generator=g)),
    "steps_first": (StepsFirst, lambda g: torch.randn(9, 3, 5, generator=g)),
    "text": (Text, lambda g: torch.randint(0, 23, (3, 7), generator=g)),
}


def strip(path):
    """Leaves the names of modules, not the stack traces and the like, in which paths of this machine stand."""
    import onnx
    model = onnx.load(path)
    for item in [*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer,
                 model.graph, model]:
        kept = [(p.key, p.value) for p in item.metadata_props if p.key == "pkg.torch.onnx.name_scopes"]
        del item.metadata_props[:]
        for key, value in kept:
            item.metadata_props.add(key=key, value=value)
    for item in [model, model.graph, *model.graph.node]:
        item.doc_string = ""
    onnx.save(model, path)


def prepare(name):
    """The network and a batch of three."""
    build, draw = NETS[name]
    torch.manual_seed(5)
    g = torch.Generator().manual_seed(7)
    net = build().eval()
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.uniform_(-0.2, 0.2, generator=g)
            module.running_var.uniform_(0.7, 1.4, generator=g)
    for p in net.parameters():
        p.data.add_(0.1 * torch.randn(p.shape, generator=g))
    return net, draw(g)


def make(name):
    net, x = prepare(name)
    with torch.no_grad():
        y = net(x)
    exporters = ["dynamo"] if name == "standard" else ["script", "dynamo"] # the other one leaves statistics of constants open
    sample = x[:, :2] if name == "steps_first" else x[:2]
    if "script" in exporters:
        torch.onnx.export(net, (sample,), os.path.join(OUT, name + ".script.onnx"), dynamo=False)
    torch.onnx.export(net, (sample,), os.path.join(OUT, name + ".dynamo.onnx"), dynamo=True, external_data=False, verbose=False)
    for exporter in exporters:
        strip(os.path.join(OUT, f"{name}.{exporter}.onnx"))
    ours = x.permute(0, 2, 3, 1) if x.dim() == 4 else x if x.dim() == 3 else x.to(torch.int32)
    ours = (x.transpose(0, 1) if name == "steps_first" else ours).contiguous()
    save_file({"x": ours, "y": y.contiguous()}, os.path.join(OUT, name + ".safetensors"))


if __name__ == "__main__":
    os.makedirs(OUT, exist_ok=True)
    for net_name in sys.argv[1:] or NETS:
        make(net_name)
