"""The networks of tests/nets/*.yaml that nobody publishes at this size, in PyTorch: blocks of known families, for
make_net_references.py. Names of layers are those of the YAML; activations with a kink are modules, which it looks for."""
import torch
from torch import nn
from torch.nn import functional


class UNet(nn.Module):
    class Level(nn.Module):
        def __init__(self, channels, filters):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(channels, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters)
            self.conv2, self.bn2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters)
            self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()

        def forward(self, x):
            return self.relu2(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))))

    def __init__(self):
        super().__init__()
        self.enc1, self.enc2 = self.Level(3, 7), self.Level(7, 10)
        self.bottom, self.bottom_norm = nn.Conv2d(10, 15, 3), nn.GroupNorm(3, 15)
        self.up2 = nn.ConvTranspose2d(15, 9, 2, stride=2)
        self.dec2, self.dec1 = self.Level(19, 10), self.Level(17, 6)
        self.pixels, self.fc = nn.Conv2d(6, 5, 1), nn.Linear(5 * 7 * 8, 7)

    @staticmethod
    def crop(x, height, width):
        top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
        return x[:, :, top:top + height, left:left + width]

    def forward(self, x):
        across1 = self.enc1(x)
        across2 = self.enc2(functional.max_pool2d(across1, 2))
        x = self.bottom(functional.max_pool2d(across2, 2))
        x = self.up2(functional.silu(self.bottom_norm(x)))
        x = self.dec2(torch.cat([self.crop(across2, 14, 16), x], 1))
        x = functional.interpolate(x, scale_factor=2, mode='bilinear')
        x = self.dec1(torch.cat([self.crop(across1, 28, 32), x], 1))
        return self.fc(functional.lp_pool2d(self.pixels(x), 2, 4).flatten(1))


class DenseNet(nn.Module):
    class Layer(nn.Module):
        def __init__(self, channels, growth):
            super().__init__()
            self.norm1, self.conv1 = nn.BatchNorm2d(channels), nn.Conv2d(channels, 20, 1, bias=False)
            self.norm2, self.conv2 = nn.BatchNorm2d(20), nn.Conv2d(20, growth, 3, padding=1, bias=False)
            self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()

        def forward(self, x):
            new = self.conv2(self.relu2(self.norm2(self.conv1(self.relu1(self.norm1(x))))))
            return torch.cat([x, new], 1)

    def __init__(self):
        super().__init__()
        self.conv0, self.norm0 = nn.Conv2d(3, 9, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(9)
        self.denseblock1 = nn.Sequential(*[self.Layer(9 + 5 * i, 5) for i in range(3)])
        self.transition1 = nn.ModuleDict({'norm': nn.BatchNorm2d(24), 'conv': nn.Conv2d(24, 12, 1, bias=False)})
        self.denseblock2 = nn.Sequential(*[self.Layer(12 + 4 * i, 4) for i in range(4)])
        self.norm5 = nn.BatchNorm2d(28)
        self.relu0, self.relu1, self.relu2 = nn.ReLU(), nn.ReLU(), nn.ReLU()
        self.classifier = nn.Linear(2 * 28, 6)

    def forward(self, x):
        x = functional.max_pool2d(self.relu0(self.norm0(self.conv0(x))), 3, stride=1, padding=1)
        x = self.denseblock1(x)
        x = self.transition1['conv'](self.relu1(self.transition1['norm'](x)))
        x = self.denseblock2(functional.avg_pool2d(x, 2))
        return self.classifier(functional.adaptive_avg_pool2d(self.relu2(self.norm5(x)), (2, 1)).flatten(1))


class ShuffleNet(nn.Module):
    class Branch(nn.Module):
        def __init__(self, channels, filters, stride=1):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(channels, filters, 1, bias=False), nn.BatchNorm2d(filters)
            self.conv2 = nn.Conv2d(filters, filters, 3, stride=stride, padding=1, groups=filters, bias=False)
            self.bn2 = nn.BatchNorm2d(filters)
            self.conv3, self.bn3 = nn.Conv2d(filters, filters, 1, bias=False), nn.BatchNorm2d(filters)
            self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()

        def forward(self, x):
            return self.relu2(self.bn3(self.conv3(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))))))

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1, self.relu1 = nn.Conv2d(3, 10, 3, padding=1, bias=False), nn.BatchNorm2d(10), nn.ReLU()
        branch1 = nn.ModuleDict({'conv1': nn.Conv2d(10, 10, 3, stride=2, padding=1, groups=10, bias=False),
                                 'bn1': nn.BatchNorm2d(10), 'conv2': nn.Conv2d(10, 7, 1, bias=False),
                                 'bn2': nn.BatchNorm2d(7)})
        self.down = nn.ModuleDict({'branch1': branch1, 'branch2': self.Branch(10, 7, 2)})
        self.relu2 = nn.ReLU()
        self.units = nn.ModuleList([nn.ModuleDict({'branch2': self.Branch(7, 7)}) for _ in range(2)])
        self.fc = nn.Linear(14, 9)

    @staticmethod
    def shuffle(x):
        n, c, h, w = x.shape
        return x.reshape(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)

    def forward(self, x):
        x = self.relu1(self.bn1(self.conv1(x)))
        branch1 = self.down['branch1']
        left = self.relu2(branch1['bn2'](branch1['conv2'](branch1['bn1'](branch1['conv1'](x)))))
        x = self.shuffle(torch.cat([left, self.down['branch2'](x)], 1))
        for unit in self.units:
            passing, worked = x.chunk(2, 1)
            x = self.shuffle(torch.cat([passing, unit['branch2'](worked)], 1))
        return self.fc(x.mean((2, 3)))


class ConvNeXt(nn.Module):
    class Block(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.dwconv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
            self.norm = nn.LayerNorm(channels, eps=1e-6)
            self.pwconv1, self.pwconv2 = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
            self.layer_scale = nn.Conv2d(channels, channels, 1, groups=channels, bias=False)

        def forward(self, x):
            y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
            y = self.pwconv2(functional.gelu(self.pwconv1(y))).permute(0, 3, 1, 2)
            return x + self.layer_scale(y)

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 10, 4, stride=4), nn.LayerNorm(10, eps=1e-6))
        self.stage1 = nn.Sequential(self.Block(10), self.Block(10))
        self.downsample = nn.Sequential(nn.LayerNorm(10, eps=1e-6), nn.Conv2d(10, 18, 2, stride=2))
        self.stage2 = nn.Sequential(self.Block(18), self.Block(18))
        self.norm, self.head = nn.LayerNorm(18, eps=1e-6), nn.Linear(18, 8)

    @staticmethod
    def over_channels(norm, x):
        return norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def forward(self, x):
        x = self.stage1(self.over_channels(self.stem[1], self.stem[0](x)))
        x = self.stage2(self.downsample[1](self.over_channels(self.downsample[0], x)))
        return self.head(self.norm(x.mean((2, 3))))


class Encoder(nn.Module):
    ids = 37
    lengths = [13, 1, 7, 12]  # real tokens of each sample

    class Layer(nn.Module):
        def __init__(self, width, hidden):
            super().__init__()
            self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
            self.attention_out, self.norm1 = nn.Linear(width, width), nn.LayerNorm(width, eps=1e-12)
            self.intermediate, self.out = nn.Linear(width, hidden), nn.Linear(hidden, width)
            self.norm2 = nn.LayerNorm(width, eps=1e-12)

        def forward(self, x):
            x, is_real = x
            q, k, v = (split_heads(f(x), 4) for f in (self.query, self.key, self.value))
            y = functional.scaled_dot_product_attention(q, k, v, is_real[:, None, None, :]).transpose(1, 2).flatten(2)
            x = self.norm1(self.attention_out(y) + x)
            return self.norm2(self.out(functional.gelu(self.intermediate(x))) + x), is_real

    def __init__(self):
        super().__init__()
        self.word, self.kind, self.position = nn.Embedding(37, 20), nn.Embedding(37, 20), nn.Embedding(16, 20)
        self.norm = nn.LayerNorm(20, eps=1e-12)
        self.layer = nn.Sequential(self.Layer(20, 51), self.Layer(20, 51))
        self.classifier = nn.Linear(20, 5)

    def forward(self, ids, segments):
        x = self.word(ids) + self.kind(segments) + self.position.weight[:ids.shape[1]]
        is_real = torch.arange(ids.shape[1]) < torch.tensor(self.lengths)[:, None]
        x = torch.where(is_real[:, :, None], self.layer((self.norm(x), is_real))[0], 0.0)
        return self.classifier(x.sum(1) / torch.tensor(self.lengths)[:, None])


class Decoder(nn.Module):
    ids = 41
    lengths = [6, 11, 1, 9]

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.input_norm, self.post_norm = nn.RMSNorm(24, eps=1e-6), nn.RMSNorm(24, eps=1e-6)
            self.q_proj, self.o_proj = nn.Linear(24, 24, bias=False), nn.Linear(24, 24, bias=False)
            self.k_proj, self.v_proj = nn.Linear(24, 8, bias=False), nn.Linear(24, 8, bias=False)
            self.gate_proj, self.up_proj = nn.Linear(24, 35, bias=False), nn.Linear(24, 35, bias=False)
            self.down_proj = nn.Linear(35, 24, bias=False)

        def forward(self, x):
            y = self.input_norm(x)
            q, k = rotate(split_heads(self.q_proj(y), 6)), rotate(split_heads(self.k_proj(y), 2))
            k, v = (t.repeat_interleave(3, 1) for t in (k, split_heads(self.v_proj(y), 2)))
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
            x = self.o_proj(y) + x
            y = self.post_norm(x)
            return self.down_proj(functional.silu(self.gate_proj(y)) * self.up_proj(y)) + x

    def __init__(self):
        super().__init__()
        self.embed, self.norm = nn.Embedding(41, 24), nn.RMSNorm(24, eps=1e-6)
        self.layers, self.score = nn.Sequential(self.Layer(), self.Layer()), nn.Linear(24, 6)

    def forward(self, ids):
        last = torch.tensor(self.lengths) - 1  # what stands behind it, a causal token does not see
        return self.score(self.norm(self.layers(self.embed(ids)))[torch.arange(len(last)), last])


class Moves(nn.Module):
    """Inputs [N,C,H,W] and places [N,M]; within, the order is ours: channels last."""
    ids = 24

    def __init__(self):
        super().__init__()
        self.front, self.a = nn.Conv2d(3, 8, 1).requires_grad_(False), nn.Conv2d(8, 12, 3, padding=1)
        self.scaled, self.instance = nn.RMSNorm(24, eps=0.01), nn.InstanceNorm2d(12, affine=True)
        self.grouped, self.norm = nn.GroupNorm(4, 12), nn.LayerNorm(1424)
        self.fc = nn.Linear(1424, 6)

    def forward(self, x, places):
        a = self.a(self.front(x))
        parts = a.permute(0, 2, 3, 1).chunk(3, -1)
        tokens = torch.stack([parts[0], parts[0], parts[2]], -1).permute(0, 3, 1, 4, 2).reshape(-1, 24, 24)
        unit = functional.normalize(tokens, dim=-1, eps=0.5)
        gathered = torch.gather(unit, 1, places[:, :, None].expand(-1, -1, 24))
        sequence = torch.cat([gathered, tokens, gathered], 1)
        scaled = self.scaled(sequence[:, -20:-1:3])
        padded_tokens = functional.pad(scaled.transpose(1, 2), (2, 1), mode='replicate').transpose(1, 2)
        padded = functional.pad(a, (3, 0, 1, 2), mode='reflect')
        resized = functional.interpolate(self.instance(padded), scale_factor=(1.5, 0.75), mode='bilinear')
        largest = functional.adaptive_max_pool2d(resized, (5, 13))
        window = largest[:, :, 1:5, 5:11]
        shuffled = functional.pixel_shuffle(functional.pixel_unshuffle(window, 2), 4).permute(0, 2, 3, 1)
        centre = self.grouped(functional.adaptive_avg_pool2d(window + window, (3, 9))).mean((2, 3))
        row, columns = resized.amax((1, 2)), largest.sum(3).transpose(1, 2)
        first = scaled[:, 0]
        rest = [t.flatten(1) for t in (padded_tokens, shuffled, row, centre, columns, sequence)]
        return self.fc(self.norm(torch.cat([first] + rest + [first], 1)))


def split_heads(x, heads):
    return x.unflatten(2, (heads, -1)).transpose(1, 2)  # [N,heads,T,D]


def rotate(x):
    """Rotary positions (Su 2021) as Llama has them: channels i and D/2 + i turn together."""
    length, half = x.shape[2], x.shape[3] // 2
    angles = torch.arange(length, dtype=x.dtype)[:, None] * 10000.0 ** (-torch.arange(half, dtype=x.dtype) / half)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()], -1)


# name: how it is made, shapes of the inputs (None: numbers), batch, rate of the ten steps, sets of pictures to choose from
REFERENCES = {
    'unet': (UNet, [(3, 37, 41)], 3, 0.005, 12),
    'densenet': (DenseNet, [(3, 26, 22)], 5, 0.02, 12),
    'shufflenet': (ShuffleNet, [(3, 21, 19)], 5, 0.02, 12),
    'convnext': (ConvNeXt, [(3, 34, 39)], 3, 0.02, 1),
    'encoder': (Encoder, [(None, 13), (None, 13)], 4, 0.02, 1),
    'decoder': (Decoder, [(None, 11)], 4, 0.02, 1),
    'moves': (Moves, [(3, 6, 8), (None, 4)], 3, 0.01, 1),
}
