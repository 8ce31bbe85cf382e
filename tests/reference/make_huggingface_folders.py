#!/usr/bin/env python3
"""Writes tests/data/huggingface/NAME: folders as the Hugging Face hub has them, of tiny networks with random weights in half
precision, and what their own library makes of an input: `x` [N,H,W,C] as the network takes it, `y` [N,K] in reference.safetensors.

    make_huggingface_folders.py [FOLDER] [NAME...]     needs torch, transformers, timm, safetensors; made with 2.15, 5.24, 1.0.31
"""
import json
import os
import shutil
import sys

import torch
import transformers as tf
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
LABELS = {0: 'cat', 1: 'dog', 2: 'bird, small', 3: 'yes', 4: 'horse'}


def labelled(config):
    config.id2label = LABELS
    config.label2id = {v: k for k, v in LABELS.items()}
    config.num_labels = len(LABELS)
    return config


def vit(kind=tf.ViTConfig, model=tf.ViTForImageClassification, **more):
    config = kind(hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20, image_size=16, patch_size=8,
                  **more)
    return model(labelled(config))


def deit():
    return tf.DeiTForImageClassificationWithTeacher(labelled(tf.DeiTConfig(
        hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20, image_size=16, patch_size=8)))


def dinov2():
    return tf.Dinov2Model(tf.Dinov2Config(hidden_size=12, num_hidden_layers=2, num_attention_heads=3, mlp_ratio=2, image_size=28,
                                          patch_size=7))


def clip():
    return tf.CLIPVisionModelWithProjection(
        tf.CLIPVisionConfig(hidden_size=12, intermediate_size=20, projection_dim=7, num_hidden_layers=2, num_attention_heads=3,
                            image_size=16, patch_size=8))


def resnet(layer_type):
    wide = [16, 24, 32, 40] if layer_type == 'bottleneck' else [4, 6, 8, 10]
    return tf.ResNetForImageClassification(labelled(tf.ResNetConfig(
        embedding_size=8, hidden_sizes=wide, depths=[1, 1, 1, 1] if layer_type == 'bottleneck' else [2, 1, 1, 1],
        layer_type=layer_type)))


def convnext():
    return tf.ConvNextForImageClassification(labelled(tf.ConvNextConfig(hidden_sizes=[4, 6, 8, 10], depths=[1, 1, 2, 1])))


def swin():
    return tf.SwinForImageClassification(labelled(tf.SwinConfig(
        image_size=128, patch_size=4, embed_dim=32, depths=[1, 2, 1, 1], num_heads=[1, 2, 4, 8], window_size=4)))


def mobilenet_v1():
    return tf.MobileNetV1ForImageClassification(labelled(tf.MobileNetV1Config(depth_multiplier=0.125, image_size=32)))


def mobilenet_v2():
    return tf.MobileNetV2ForImageClassification(labelled(tf.MobileNetV2Config(depth_multiplier=0.125, image_size=32)))


def efficientnet():
    return tf.EfficientNetForImageClassification(labelled(tf.EfficientNetConfig(
        width_coefficient=0.25, depth_coefficient=0.2, image_size=32, hidden_dim=320)))


def regnet():
    return tf.RegNetForImageClassification(labelled(tf.RegNetConfig(
        embedding_size=8, hidden_sizes=[8, 12, 16, 20], depths=[1, 2, 1, 1], groups_width=4, layer_type='y')))


# name: network, its preprocessor_config.json, side of the input that it is tried on
SQUASHED = {'do_resize': True, 'do_rescale': True, 'do_normalize': True, 'image_mean': [0.5, 0.5, 0.5],
            'image_std': [0.5, 0.5, 0.5], 'rescale_factor': 1 / 255, 'resample': 2, 'size': {'height': 16, 'width': 16}}
CUT = dict(SQUASHED, do_center_crop=True, size={'shortest_edge': 32}, crop_size={'height': 28, 'width': 28}, resample=3,
           image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])
FOLDERS = {
    'vit': (vit, SQUASHED),
    'deit': (deit, SQUASHED),
    'dinov2': (dinov2, CUT),
    'clip': (clip, dict(CUT, size={'shortest_edge': 16}, crop_size={'height': 16, 'width': 16})),
    'resnet_basic': (lambda: resnet('basic'), dict(SQUASHED, size={'shortest_edge': 24}, crop_pct=0.875)),
    'resnet_bottleneck': (lambda: resnet('bottleneck'), dict(SQUASHED, size={'shortest_edge': 24}, crop_pct=0.875)),
    'convnext': (convnext, dict(CUT, size={'shortest_edge': 32}, crop_pct=0.875, do_center_crop=False)),
    'swin': (swin, dict(SQUASHED, size={'height': 128, 'width': 128})),
    'mobilenet_v1': (mobilenet_v1, dict(CUT, size={'shortest_edge': 36}, crop_size={'height': 32, 'width': 32})),
    'mobilenet_v2': (mobilenet_v2, dict(CUT, size={'shortest_edge': 36}, crop_size={'height': 32, 'width': 32})),
    'efficientnet': (efficientnet, dict(SQUASHED, size={'height': 32, 'width': 32})),
    'regnet': (regnet, dict(SQUASHED, size={'shortest_edge': 24}, crop_pct=0.875)),
}

STORED = [name for name in FOLDERS if name not in ('swin', 'mobilenet_v1', 'mobilenet_v2', 'efficientnet')] # the others are large


def side_of(preprocessor):
    size = preprocessor.get('crop_size') if preprocessor.get('do_center_crop') else preprocessor['size']
    return size.get('height') or size['shortest_edge']


def randomize(model):
    """Values at which a mix-up of layers shows: also the running means, and the small factors of ConvNeXt and DINOv2."""
    generator = torch.Generator().manual_seed(7)
    for name, tensor in list(model.named_parameters()) + list(model.named_buffers()):
        if not tensor.is_floating_point():
            continue
        noise = torch.randn(tensor.shape, generator=generator)
        with torch.no_grad():
            if 'running_var' in name or (tensor.dim() <= 1 and name.endswith('weight')) or 'lambda' in name or 'layer_scale' in name:
                tensor.copy_(0.75 + 0.5 * torch.rand(tensor.shape, generator=generator))
            else:
                fan_in = tensor[0].numel() if tensor.dim() > 1 else 4
                tensor.copy_(noise / fan_in ** 0.5)
            tensor.copy_(tensor.half().float())


def outputs(model, x):
    answer = model(pixel_values=x)
    for key in ('logits', 'image_embeds', 'pooler_output'):
        if getattr(answer, key, None) is not None:
            return answer[key]
    return answer


def write(root, name):
    make, preprocessor = FOLDERS[name]
    torch.manual_seed(1)
    model = make().eval()
    randomize(model)
    side = side_of(preprocessor)
    x = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(3)).half().float()
    with torch.no_grad():
        y = outputs(model, x)
    folder = os.path.join(root, name)
    shutil.rmtree(folder, ignore_errors=True)
    model.half().save_pretrained(folder)
    with open(os.path.join(folder, 'preprocessor_config.json'), 'w') as file:
        json.dump(preprocessor, file, indent=2)
    save_file({'x': x.permute(0, 2, 3, 1).half().contiguous(), 'y': y.flatten(1).float().contiguous()},
              os.path.join(folder, 'reference.safetensors'))
    size = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder))
    print(f'{name}: {sum(p.numel() for p in model.parameters())} params, {size} bytes, y {float(y.min()):.3f} to {float(y.max()):.3f}')


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, '..', 'data', 'huggingface')
    os.makedirs(root, exist_ok=True)
    for name in sys.argv[2:] or STORED:
        write(root, name)


main()
