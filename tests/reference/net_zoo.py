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

# pixels of the side, batch, rate of the ten steps, how many sets of pictures to choose from; `usual`: in every check;
# `last`: the layer of the scores, where the library's last param is another's
# `zone`: how near to a kink a value is flipped (kinks.py): another implementation may round three times as much as PyTorch
# `losses`: with ten steps of training, which one or two of a family have; `options`: of the library's function that makes it
Net = collections.namedtuple('Net', 'source pixels batch rate candidates usual rename options losses zone last')


def net(source, pixels=64, batch=4, rate=0.0005, candidates=4, usual=False, rename=(), options=None, losses=False,
        zone=4.0, last=''):
    return Net(source, pixels, batch, rate, candidates, usual, rename, options or {}, losses or usual, zone, last)


GATE = [(r'\.se\.conv_reduce$', '.se.fc1'), (r'\.se\.conv_expand$', '.se.fc2')]
SCALE = [(r'\.gamma$', '.layer_scale.w')]
V3 = {'bn_eps': 1e-3, 'bn_momentum': 0.01}
# Params that belong to a module that is no layer: timm's name, ours.
TOKENS = [(r'^(cls_token|dist_token|pos_embed)$', r'\1.w'), (r'\.gamma$', '.w')]
# torchvision's Swin numbers its stages and what lies between them.
SWIN = [(r'^features\.0\.0', 'patch_embed.proj'), (r'^features\.0\.2', 'patch_embed.norm'),
        *[(r'^features\.%d\.(?=\d)' % (2 * stage + 1), 'layers.%d.blocks.' % stage) for stage in range(4)],
        *[(r'^features\.%d\.' % (2 * stage), 'layers.%d.downsample.' % stage) for stage in range(1, 4)],
        (r'\.mlp\.0$', '.mlp.fc1'), (r'\.mlp\.3$', '.mlp.fc2'), (r'\.relative_position_bias_table$', '.w'),
        (r'^head$', 'head.fc')]
# torchvision's MnasNet numbers its layers, transformers' MobileNets theirs.
MNASNET = [(r'^layers\.0$', 'conv_stem'), (r'^layers\.1$', 'bn1'), (r'^layers\.3$', 'blocks.0.0.conv_dw'),
           (r'^layers\.4$', 'blocks.0.0.bn1'), (r'^layers\.6$', 'blocks.0.0.conv_pw'), (r'^layers\.7$', 'blocks.0.0.bn2'),
           (r'^layers\.14$', 'conv_head'), (r'^layers\.15$', 'bn2'), (r'^classifier\.1$', 'classifier'),
           *[(r'^layers\.%d\.(\d)\.' % (stage + 7), r'blocks.%d.\1.' % stage) for stage in range(1, 7)],
           *[(r'\.layers\.%d$' % i, '.' + leaf) for i, leaf in
             ((0, 'conv_pw'), (1, 'bn1'), (3, 'conv_dw'), (4, 'bn2'), (6, 'conv_pwl'), (7, 'bn3'))]]
V1_BLOCKS = [(stage, i) for stage, depth in enumerate((1, 2, 2, 6, 2)) for i in range(depth)]
V1 = [(r'^model\.(mobilenet_v1\.)?', ''), (r'^conv_stem\.convolution$', 'conv_stem'), (r'^conv_stem\.normalization$', 'bn1'),
      *[(r'^layer\.%d\.%s$' % (2 * n + second, theirs), 'blocks.%d.%d.%s' % (*block, ours)) for n, block in enumerate(V1_BLOCKS)
        for second, theirs, ours in ((0, 'convolution', 'conv_dw'), (0, 'normalization', 'bn1'),
                                     (1, 'convolution', 'conv_pw'), (1, 'normalization', 'bn2'))]]
V2_BLOCKS = [(stage + 1, i) for stage, depth in enumerate((2, 3, 4, 3, 3, 1)) for i in range(depth)]
V2_PARTS = [('expand_1x1', 'conv_pw', 'bn1'), ('conv_3x3', 'conv_dw', 'bn2'), ('reduce_1x1', 'conv_pwl', 'bn3')]
V2 = [(r'^model\.(mobilenet_v2\.)?', ''), (r'^conv_stem\.first_conv\.convolution$', 'conv_stem'),
      (r'^conv_stem\.first_conv\.normalization$', 'bn1'), (r'^conv_1x1\.convolution$', 'conv_head'),
      (r'^conv_1x1\.normalization$', 'bn2'),
      (r'^conv_stem\.conv_3x3\.convolution$', 'blocks.0.0.conv_dw'), (r'^conv_stem\.conv_3x3\.normalization$', 'blocks.0.0.bn1'),
      (r'^conv_stem\.reduce_1x1\.convolution$', 'blocks.0.0.conv_pw'), (r'^conv_stem\.reduce_1x1\.normalization$', 'blocks.0.0.bn2'),
      *[(r'^layer\.%d\.%s\.%s$' % (n, part, kind), 'blocks.%d.%d.%s' % (*block, ours)) for n, block in enumerate(V2_BLOCKS)
        for part, conv, norm in V2_PARTS for kind, ours in (('convolution', conv), ('normalization', norm))]]
# torchvision's ViT.
VIT = [(r'^conv_proj', 'patch_embed.proj'), (r'^class_token$', 'cls_token.w'), (r'^encoder\.pos_embedding$', 'pos_embed.w'),
       (r'^encoder\.layers\.encoder_layer_(\d+)\.', r'blocks.\1.'), (r'\.ln_([12])$', r'.norm\1'), (r'^encoder\.ln$', 'norm'),
       (r'\.self_attention\.in_proj_weight$', '.attn.qkv.w'), (r'\.self_attention\.in_proj_bias$', '.attn.qkv.b'),
       (r'\.self_attention\.out_proj$', '.attn.proj'), (r'\.mlp\.0$', '.mlp.fc1'), (r'\.mlp\.3$', '.mlp.fc2'),
       (r'^heads\.head$', 'head')]
SWIN_TIMM = [(r'\.relative_position_bias_table$', '.w')]

ZOO = {
    # ---- AlexNet, VGG, ResNet, DenseNet, SqueezeNet, GoogLeNet, Inception
    'alexnet': net('torchvision:alexnet', 64, 4, usual=True),
    'vgg11': net('torchvision:vgg11', 64, 2, 0.0002, losses=True),
    'vgg11_bn': net('torchvision:vgg11_bn', 64, 2, 0.0002, losses=True),
    'vgg13': net('torchvision:vgg13', 64, 2, 0.0002),
    'vgg13_bn': net('torchvision:vgg13_bn', 64, 2, 0.0002),
    'vgg16': net('torchvision:vgg16', 64, 2, 0.0002, usual=True),
    'vgg16_bn': net('torchvision:vgg16_bn', 64, 2, 0.0002),
    'vgg19': net('torchvision:vgg19', 64, 2, 0.0002),
    'vgg19_bn': net('torchvision:vgg19_bn', 64, 2, 0.0002, zone=12.0),
    'resnet34': net('torchvision:resnet34', 64, 4, 0.0005, 2, losses=True),
    'resnet101': net('torchvision:resnet101', 64, 4, 0.0002, 2, losses=True),
    'resnet152': net('torchvision:resnet152', 64, 4, 0.0002, 2),
    'resnext50_32x4d': net('torchvision:resnext50_32x4d', 64, 4, 0.0003, 2, losses=True),
    'resnext101_32x8d': net('torchvision:resnext101_32x8d', 64, 4, 0.0002, 2),
    'resnext101_64x4d': net('torchvision:resnext101_64x4d', 64, 4, 0.0002, 2),
    'wide_resnet50_2': net('torchvision:wide_resnet50_2', 64, 4, 0.0003, 2),
    'wide_resnet101_2': net('torchvision:wide_resnet101_2', 64, 4, 0.0002, 2),
    'densenet121': net('torchvision:densenet121', 64, 4, 0.0005, 16, usual=True),
    'densenet161': net('torchvision:densenet161', 64, 4, 0.0005, 3),
    'densenet169': net('torchvision:densenet169', 64, 4, 0.0005, 3),
    'densenet201': net('torchvision:densenet201', 64, 4, 0.0005, 3),
    'squeezenet1_0': net('torchvision:squeezenet1_0', 64, 4, 0.002, losses=True),
    'squeezenet1_1': net('torchvision:squeezenet1_1', 64, 4, 0.002, usual=True),
    'googlenet': net('torchvision:googlenet', 64, 4, 0.0005, 12, usual=True),
    'inception_v3': net('torchvision:inception_v3', 96, 4, 0.0005, 2, losses=True),
    # ---- MobileNet, ShuffleNet, MnasNet, EfficientNet, RegNet, ConvNeXt
    # timm's names are ours but for a gate's two layers and ConvNeXt's scale; its epsilon and momentum are made torchvision's
    'mobilenet_v1': net('timm:mobilenetv1_100', usual=True),
    'mobilenet_v1_google': net('transformers:mobilenet_v1', rename=V1),
    'mobilenet_v2_050': net('timm:mobilenetv2_050'),
    'mobilenet_v2_075': net('timm:mobilenetv2_075'),
    'mobilenet_v2_140': net('timm:mobilenetv2_140'),
    'mobilenet_v2_google': net('transformers:mobilenet_v2', rename=V2),
    'mobilenet_v3_large': net('timm:mobilenetv3_large_100', rename=GATE, options=V3),
    'mobilenet_v3_small': net('timm:mobilenetv3_small_100', rename=GATE, usual=True, options=V3),
    'mobilenetv3_large_100': net('timm:mobilenetv3_large_100', rename=GATE),
    'mobilenetv3_small_100': net('timm:mobilenetv3_small_100', rename=GATE),
    'shufflenet_v2_x0_5': net('torchvision:shufflenet_v2_x0_5', usual=True),
    'shufflenet_v2_x1_0': net('torchvision:shufflenet_v2_x1_0'),
    'shufflenet_v2_x1_5': net('torchvision:shufflenet_v2_x1_5'),
    'shufflenet_v2_x2_0': net('torchvision:shufflenet_v2_x2_0'),
    'mnasnet0_5': net('timm:mnasnet_050', options={'bn_momentum': 0.0003}, usual=True),
    'mnasnet0_75': net('timm:mnasnet_075', options={'bn_momentum': 0.0003}),
    'mnasnet1_0': net('timm:mnasnet_100', options={'bn_momentum': 0.0003}),
    'mnasnet1_3': net('torchvision:mnasnet1_3', rename=MNASNET),
    'efficientnet_b0': net('timm:efficientnet_b0', rename=GATE, usual=True),
    'efficientnet_b1': net('timm:efficientnet_b1', rename=GATE),
    'efficientnet_b2': net('timm:efficientnet_b2', rename=GATE),
    'efficientnet_b3': net('timm:efficientnet_b3', rename=GATE, candidates=2),
    'efficientnet_b4': net('timm:efficientnet_b4', rename=GATE, candidates=2),
    'tf_efficientnet_b0': net('timm:tf_efficientnet_b0', rename=GATE),
    'tf_efficientnet_b1': net('timm:tf_efficientnet_b1', rename=GATE),
    'tf_efficientnet_b2': net('timm:tf_efficientnet_b2', rename=GATE),
    'tf_efficientnet_b3': net('timm:tf_efficientnet_b3', rename=GATE, candidates=2),
    'tf_efficientnet_b4': net('timm:tf_efficientnet_b4', rename=GATE, candidates=2),
    'efficientnet_lite1': net('timm:tf_efficientnet_lite1'),
    'efficientnet_lite2': net('timm:tf_efficientnet_lite2'),
    'efficientnet_lite3': net('timm:tf_efficientnet_lite3'),
    'efficientnet_lite4': net('timm:tf_efficientnet_lite4', candidates=2),
    'efficientnet_v2_s': net('timm:efficientnetv2_s', rename=GATE, options={'bn_eps': 1e-3}, candidates=2, losses=True),
    'tf_efficientnetv2_s': net('timm:tf_efficientnetv2_s', rename=GATE, candidates=2),
    'regnet_x_400mf': net('timm:regnetx_004_tv'),
    'regnet_x_800mf': net('timm:regnetx_008'),
    'regnet_x_1_6gf': net('timm:regnetx_016'),
    'regnet_x_3_2gf': net('timm:regnetx_032', candidates=2),
    'regnet_x_8gf': net('timm:regnetx_080', candidates=2),
    'regnet_x_16gf': net('timm:regnetx_160', candidates=2),
    'regnet_y_400mf': net('timm:regnety_004', usual=True),
    'regnet_y_800mf': net('timm:regnety_008_tv'),
    'regnet_y_1_6gf': net('timm:regnety_016', candidates=2),
    'regnet_y_3_2gf': net('timm:regnety_032', candidates=2),
    'regnet_y_8gf': net('timm:regnety_080_tv', candidates=2),
    'regnet_y_16gf': net('timm:regnety_160', candidates=2),
    'convnext_tiny': net('timm:convnext_tiny', rename=SCALE, candidates=1, losses=True),
    'convnext_small': net('timm:convnext_small', rename=SCALE, candidates=1),
    'convnext_base': net('timm:convnext_base', rename=SCALE, candidates=1),

    # ---- ViT, DeiT, DINOv2, Swin, CLIP
    'vit_tiny_patch16_224': net('timm:vit_tiny_patch16_224', 64, 4, 0.002, usual=True, rename=TOKENS),
    'vit_small_patch16_224': net('timm:vit_small_patch16_224', 64, 2, 0.002, 1, rename=TOKENS),
    'vit_base_patch16_224': net('timm:vit_base_patch16_224', 64, 2, 0.001, 1, rename=TOKENS),
    'vit_base_patch32_224': net('timm:vit_base_patch32_224', 64, 2, 0.001, 1, rename=TOKENS),
    'deit_tiny_patch16_224': net('timm:deit_tiny_patch16_224', 64, 2, 0.002, 1, rename=TOKENS),
    'deit_small_patch16_224': net('timm:deit_small_patch16_224', 64, 2, 0.002, 1, rename=TOKENS),
    'deit_base_patch16_224': net('timm:deit_base_patch16_224', 64, 2, 0.001, 1, rename=TOKENS),
    'deit_tiny_distilled_patch16_224': net('timm:deit_tiny_distilled_patch16_224', 64, 2, 0.002, 1, rename=TOKENS, last='head'),
    'deit_small_distilled_patch16_224': net('timm:deit_small_distilled_patch16_224', 64, 2, 0.002, 1, rename=TOKENS, last='head'),
    'deit_base_distilled_patch16_224': net('timm:deit_base_distilled_patch16_224', 64, 2, 0.001, 1, rename=TOKENS, last='head'),
    'vit_b_16': net('torchvision:vit_b_16', 64, 2, 0.001, 1, rename=VIT),
    'vit_b_32': net('torchvision:vit_b_32', 224, 1, 0.001, 1, rename=VIT),
    'vit_small_patch14_dinov2': net('timm:vit_small_patch14_dinov2', 56, 2, 0.0005, 1, usual=True, rename=TOKENS),
    'vit_base_patch14_dinov2': net('timm:vit_base_patch14_dinov2', 56, 2, 0.0005, 1, rename=TOKENS),
    'swin_t': net('torchvision:swin_t', 64, 2, 0.001, 1, usual=True, rename=SWIN),
    'swin_tiny_patch4_window7_224': net('timm:swin_tiny_patch4_window7_224', 224, 1, 0.001, 1, rename=SWIN_TIMM),
    'clip_vit_b32': net('transformers:clip_vit_b32_by_timm', 64, 2, 0.0005, 1, rename=TOKENS),
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
    ('densenet201', 'timm:densenet201'), ('inception_v3', 'timm:inception_v3', 299),
    ('resnet18', 'transformers:resnet18'), ('resnet50', 'transformers:resnet50'),
    # ----
    ('vit_tiny_patch16_224', 'transformers:vit_tiny'),
    ('vit_small_patch14_dinov2', 'transformers:dinov2_small', 56), ('clip_vit_b32', 'transformers:clip_vit_b32'),
    ('swin_tiny_patch4_window7_224', 'transformers:swin_tiny', 224),
    # ----
    ('mobilenet_v2', 'torchvision:mobilenet_v2'), ('mobilenet_v2', 'timm:mobilenetv2_100'),
    ('efficientnet_lite0', 'timm:tf_efficientnet_lite0'),
    ('mobilenet_v3_large', 'torchvision:mobilenet_v3_large'), ('mobilenet_v3_small', 'torchvision:mobilenet_v3_small'),
    ('mnasnet0_5', 'torchvision:mnasnet0_5'), ('mnasnet0_75', 'torchvision:mnasnet0_75'),
    ('mnasnet1_0', 'torchvision:mnasnet1_0'),
    ('efficientnet_b0', 'torchvision:efficientnet_b0'), ('efficientnet_b1', 'torchvision:efficientnet_b1'),
    ('efficientnet_b2', 'torchvision:efficientnet_b2'), ('efficientnet_b3', 'torchvision:efficientnet_b3'),
    ('efficientnet_b4', 'torchvision:efficientnet_b4'), ('efficientnet_v2_s', 'torchvision:efficientnet_v2_s'),
    ('tf_efficientnet_b0', 'transformers:efficientnet_b0'),
    ('regnet_x_400mf', 'torchvision:regnet_x_400mf'),
    ('regnet_x_800mf', 'torchvision:regnet_x_800mf'),
    ('regnet_x_1_6gf', 'torchvision:regnet_x_1_6gf'),
    ('regnet_x_3_2gf', 'torchvision:regnet_x_3_2gf'),
    ('regnet_x_8gf', 'torchvision:regnet_x_8gf'),
    ('regnet_x_16gf', 'torchvision:regnet_x_16gf'),
    ('regnet_y_400mf', 'torchvision:regnet_y_400mf'),
    ('regnet_y_800mf', 'torchvision:regnet_y_800mf'),
    ('regnet_y_1_6gf', 'torchvision:regnet_y_1_6gf'),
    ('regnet_y_3_2gf', 'torchvision:regnet_y_3_2gf'),
    ('regnet_y_8gf', 'torchvision:regnet_y_8gf'),
    ('regnet_y_16gf', 'torchvision:regnet_y_16gf'),
    ('regnet_x_400mf', 'transformers:regnet_x'), ('regnet_y_400mf', 'transformers:regnet_y'),
    ('convnext_tiny', 'torchvision:convnext_tiny'), ('convnext_small', 'torchvision:convnext_small'),
    ('convnext_base', 'torchvision:convnext_base'), ('convnext_tiny', 'transformers:convnext_tiny'),
]

# Of those of the ResNets' kin and their time, whose tensors' names are stored for a machine without PyTorch (names/*.txt).
NAMED = [
    ('alexnet', 'torchvision:alexnet'), ('vgg16_bn', 'torchvision:vgg16_bn'), ('squeezenet1_1', 'torchvision:squeezenet1_1'),
    ('densenet121', 'torchvision:densenet121'), ('googlenet', 'torchvision:googlenet'),
    ('inception_v3', 'torchvision:inception_v3'), ('resnext50_32x4d', 'torchvision:resnext50_32x4d'),
    ('resnet18', 'transformers:resnet18'), ('resnet50', 'transformers:resnet50'),
]

# The auxiliary heads are left out, as they are in inference; the scaling that torchvision puts in front of these two when it
# loads its files is in our input contracts.
ARGUMENTS = {
    **{'timm:' + name: {'img_size': 64} for name in
       ('vit_tiny_patch16_224', 'vit_small_patch16_224', 'vit_base_patch16_224', 'vit_base_patch32_224',
        'deit_tiny_patch16_224', 'deit_small_patch16_224', 'deit_base_patch16_224',
        *('deit_%s_distilled_patch16_224' % size for size in ('tiny', 'small', 'base')))},
    'torchvision:vit_b_16': {'image_size': 64},
    'timm:vit_small_patch14_dinov2': {'img_size': 56},
    'timm:vit_base_patch14_dinov2': {'img_size': 56},
    'torchvision:googlenet': {'aux_logits': False, 'init_weights': False},
    'torchvision:inception_v3': {'aux_logits': False, 'init_weights': False},
    'timm:inception_v3': {'aux_logits': False},
}


# The files that a library downloads may be older than the names in it: (pattern, replacement) for those who begin so.
OLD_FILES = {
    'torchvision:densenet': [(r'(denselayer\d+\.(?:norm|conv))([12])', r'\1.\2')],
}


def make(source, options=None, whole=False):
    """The library's own network with random weights; it gives scores. `options`: where ARGUMENTS has none of it. `whole`: with
    auxiliary heads, as in a file."""
    library, _, name = source.partition(':')
    arguments = dict(ARGUMENTS.get(source, options or {}))
    if whole and 'aux_logits' in arguments:
        arguments['aux_logits'] = True
    if library == 'torchvision':
        import torchvision
        return getattr(torchvision.models, name)(**arguments)
    if library == 'timm':
        import timm
        return timm.create_model(name, **arguments)
    if library == 'transformers':
        return getattr(importlib.import_module('hugging_face'), name)()
    raise SystemExit('%s: a source begins with torchvision:, timm: or transformers:' % source)


def renamed(name, rules):
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
