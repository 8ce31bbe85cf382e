#!/usr/bin/env python3
"""Makes the lists of tests/nets/names for vision transformers: the tensors of the source's state dict in the order in which
its layers run, as make_net_references.py makes those of other networks.

    python3 tests/reference/make_transformer_names.py

A state dict follows the order in which modules were made, which here is the order in which they run but for these:
tokens and positions, which belong to the network itself, come behind the patches; the bias table of a window's attention
behind the projection to queries, keys and values; and torchvision's merging makes `reduction` before `norm`. Numbers that are no params (relative_position_index) keep their place.
"""
import os

import timm
import torchvision

import make_net_references as references

NETS = [
    ('vit_tiny_patch16_224', 'timm', lambda: timm.create_model('vit_tiny_patch16_224')),
    ('vit_base_patch32_224', 'timm', lambda: timm.create_model('vit_base_patch32_224')),
    ('deit_base_patch16_224', 'timm', lambda: timm.create_model('deit_base_patch16_224')),
    ('vit_b_16', 'torchvision', torchvision.models.vit_b_16),
    ('vit_b_32', 'torchvision', torchvision.models.vit_b_32),
    ('vit_small_patch14_dinov2', 'timm', lambda: timm.create_model('vit_small_patch14_dinov2')),  # 37 x 37 positions
    ('swin_tiny_patch4_window7_224', 'timm', lambda: timm.create_model('swin_tiny_patch4_window7_224')),
    ('swin_t', 'torchvision', torchvision.models.swin_t),
]
# What the first is called goes behind the second, of the same block.
LATE = [('class_token', 'conv_proj.bias'), ('cls_token', 'patch_embed.proj.bias'), ('pos_embed', 'cls_token'),
        ('relative_position_bias_table', 'attn.qkv.bias')]


def in_order(names):
    names = list(names)
    for late, before in LATE:
        for name in [n for n in names if n.split('.')[-1] == late and any(m.endswith(before) for m in names)]:
            owner = name[:-len('attn.' + late)] if '.' in name else ''
            names.remove(name)
            names.insert(names.index(owner + before) + 1, name)
    for name in [n for n in names if n.endswith('.reduction.weight')]:
        at = names.index(name)
        if names[at + 1].endswith('norm.weight'):
            names[at:at + 3] = names[at + 1:at + 3] + [name]
    return names


if __name__ == '__main__':
    versions = {'torchvision': torchvision.__version__, 'timm': timm.__version__}
    for net, whose, make in NETS:
        tensors = make().state_dict()
        lines = [references.line_of(name, tensors[name]) for name in in_order(tensors)]
        assert len(lines) == len(tensors) == len(set(lines))
        references.write_names(net, whose, versions[whose], lines)
