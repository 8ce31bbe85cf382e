"""The zoo: whose network each one in configs/backbones is, and at which small size it is compared. Adding a network is a line.

ZOO is read by make_net_references.py, which stores a reference (tests/nets/zoo/NAME.json; tests/nets/NAME.json for those
that every check runs), and by compare_zoo.py, which compares with the library directly where it is installed.

A source is `torchvision:NAME`, `timm:NAME`, or `transformers:NAME` for a function of hugging_face.py if there is one of that
name. For a reference the source's names for its layers must be ours; else give `rename`, a list of (pattern, replacement)
that re.sub applies to its names one after the other.
"""
import collections
import importlib
import re

# pixels of the side, batch, rate of the ten steps, how many sets of pictures to choose from; `usual`: in every check
Net = collections.namedtuple('Net', 'source pixels batch rate candidates usual rename')


def net(source, pixels=64, batch=4, rate=0.0005, candidates=4, usual=False, rename=()):
    return Net(source, pixels, batch, rate, candidates, usual, rename)


ZOO = {
    # ---- AlexNet, VGG, ResNet, DenseNet, SqueezeNet, GoogLeNet, Inception
    'alexnet': net('torchvision:alexnet', 64, 4, usual=True),
    'vgg11': net('torchvision:vgg11', 64, 2, 0.0002),
    'vgg11_bn': net('torchvision:vgg11_bn', 64, 2, 0.0002),
    'vgg13': net('torchvision:vgg13', 64, 2, 0.0002),
    'vgg13_bn': net('torchvision:vgg13_bn', 64, 2, 0.0002),
    'vgg16': net('torchvision:vgg16', 64, 2, 0.0002, usual=True),
    'vgg16_bn': net('torchvision:vgg16_bn', 64, 2, 0.0002),
    'vgg19': net('torchvision:vgg19', 64, 2, 0.0002),
    'vgg19_bn': net('torchvision:vgg19_bn', 64, 2, 0.0002),
    'resnet34': net('torchvision:resnet34', 64, 4, 0.0005),
    'resnet101': net('torchvision:resnet101', 64, 4, 0.0002),
    'resnet152': net('torchvision:resnet152', 64, 4, 0.0002),
    'resnext50_32x4d': net('torchvision:resnext50_32x4d', 64, 4, 0.0003),
    'resnext101_32x8d': net('torchvision:resnext101_32x8d', 64, 4, 0.0002),
    'resnext101_64x4d': net('torchvision:resnext101_64x4d', 64, 4, 0.0002),
    'wide_resnet50_2': net('torchvision:wide_resnet50_2', 64, 4, 0.0003),
    'wide_resnet101_2': net('torchvision:wide_resnet101_2', 64, 4, 0.0002),
    'densenet121': net('torchvision:densenet121', 64, 4, 0.0005, 16, usual=True),
    'densenet161': net('torchvision:densenet161', 64, 4, 0.0005, 16),
    'densenet169': net('torchvision:densenet169', 64, 4, 0.0005, 16),
    'densenet201': net('torchvision:densenet201', 64, 4, 0.0005, 16),
    'squeezenet1_0': net('torchvision:squeezenet1_0', 64, 4, 0.002),
    'squeezenet1_1': net('torchvision:squeezenet1_1', 64, 4, 0.002, usual=True),
    'googlenet': net('torchvision:googlenet', 64, 4, 0.0005, 12, usual=True),
    'inception_v3': net('torchvision:inception_v3', 96, 4, 0.0005, 2),
    # ---- MobileNet, ShuffleNet, MnasNet, EfficientNet, RegNet, ConvNeXt

    # ---- ViT, DeiT, DINOv2, Swin, CLIP
}

# Other libraries' networks of ours, through the name maps: (ours, source), or (ours, source, pixels).
OTHERS = [
    ('resnet18', 'torchvision:resnet18'), ('resnet50', 'torchvision:resnet50'),
    ('resnet18', 'timm:resnet18'), ('resnet34', 'timm:resnet34'), ('resnet50', 'timm:resnet50'),
    ('resnet101', 'timm:resnet101'), ('resnet152', 'timm:resnet152'), ('resnext50_32x4d', 'timm:resnext50_32x4d'),
    ('resnext101_32x8d', 'timm:resnext101_32x8d'), ('resnext101_64x4d', 'timm:resnext101_64x4d'),
    ('wide_resnet50_2', 'timm:wide_resnet50_2'), ('wide_resnet101_2', 'timm:wide_resnet101_2'),
    ('vgg11', 'timm:vgg11', 224), ('vgg16', 'timm:vgg16', 224), ('vgg19_bn', 'timm:vgg19_bn', 224),
    ('densenet121', 'timm:densenet121'), ('densenet161', 'timm:densenet161'), ('densenet169', 'timm:densenet169'),
    ('densenet201', 'timm:densenet201'), ('inception_v3', 'timm:inception_v3', 96),
    ('resnet18', 'transformers:resnet18'), ('resnet50', 'transformers:resnet50'),
    # ----
    ('mobilenet_v2', 'torchvision:mobilenet_v2'), ('mobilenet_v2', 'timm:mobilenetv2_100'),
    ('efficientnet_lite0', 'timm:tf_efficientnet_lite0'),
]

# The auxiliary heads are left out, as they are in inference; the scaling that torchvision puts in front of these two when it
# loads its files is in our input contracts.
ARGUMENTS = {
    'torchvision:googlenet': {'aux_logits': False, 'init_weights': False},
    'torchvision:inception_v3': {'aux_logits': False, 'init_weights': False},
    'timm:inception_v3': {'aux_logits': False},
}


def make(source):
    """The library's own network with random weights; it gives scores."""
    library, _, name = source.partition(':')
    if library == 'torchvision':
        import torchvision
        return getattr(torchvision.models, name)(**ARGUMENTS.get(source, {}))
    if library == 'timm':
        import timm
        return timm.create_model(name, **ARGUMENTS.get(source, {}))
    if library == 'transformers':
        return getattr(importlib.import_module('hugging_face'), name)()
    raise SystemExit('%s: a source begins with torchvision:, timm: or transformers:' % source)


def renamed(name, rules):
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
