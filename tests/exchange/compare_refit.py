#!/usr/bin/env python3
"""Compares ten training steps after `cambium import` of an ONNX export with the same ten steps in PyTorch.

    compare_refit.py --cambium build/cambium                          every model, both exporters, sgd and adamw
    compare_refit.py --cambium build/cambium timm:seresnet18@65x72x5  one, at 65 x 72 pixels in batches of 5
    compare_refit.py --cambium build/cambium --store net:vit@3        writes tests/data/onnx/vit.refit.*, for the test `refit`

A model with random weights is exported, imported, and given a new head of one linear layer in a task that trains every
layer on fixed tensors in their order. The first values of the new head are those of a run that learns nothing. PyTorch
trains the module that was exported, with what the exporter did to it done to it, too: batchnorm that is folded into a
convolution in the file is folded there. Batchnorm that is left keeps its statistics (`batchnorm: affine`), or, with
--statistics, renews them. PyTorch computes in double precision, and again in single, which says how far roundings alone
carry the losses apart (a ReLU or the largest of a pool may turn). Exits with 1 when a loss differs by more than
--tolerance of it, and by more than four times what roundings did so far. Not part of the tests: it needs PyTorch,
torchvision, timm, transformers, onnx and safetensors.
"""
import argparse
import copy
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import warnings

import onnx
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '../reference'))
CLASSES, STEPS = 4, 10
RATES = {'sgd': 0.001, 'adamw': 0.0001}
FAST = {'sgd': 0.05, 'adamw': 0.003} # where roundings are not amplified by many layers
MODELS = ['timm:resnet26d@65x96x3', 'timm:seresnet18@64x64x4', 'timm:efficientnet_b0@75x64x3', 'timm:mobilenetv3_small_050@96x97x4',
          'timm:vit_tiny_patch16_224@224x224x2', 'timm:convnext_atto@64x96x3', 'timm:regnety_002@70x64x4', 'timm:mixer_s32_224@224x224x2',
          'torchvision:shufflenet_v2_x0_5@97x64x4', 'torchvision:densenet121@64x64x3', 'torchvision:mnasnet0_5@64x65x4',
          'bert@11x3', 'gpt2@9x2']


class Scores(torch.nn.Module):
    """A model of transformers as ids -> scores."""
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids):
        return self.model(input_ids=input_ids).logits


def transformer(name):
    import transformers
    if name == 'bert':
        config = transformers.BertConfig(vocab_size=97, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                                         intermediate_size=64, max_position_embeddings=40, num_labels=7)
        model = transformers.BertForSequenceClassification._from_config(config, attn_implementation='eager')
        return Scores(model), lambda k: setattr(model, 'classifier', torch.nn.Linear(32, k))
    config = transformers.GPT2Config(vocab_size=97, n_positions=40, n_embd=32, n_layer=2, n_head=4, num_labels=7, pad_token_id=0)
    model = transformers.GPT2ForSequenceClassification._from_config(config, attn_implementation='eager')
    return Scores(model), lambda k: setattr(model, 'score', torch.nn.Linear(32, k))


def make(source):
    """The model, what gives it a new head, and a batch's shape or the length of its ids."""
    name, _, dims = source.partition('@')
    dims = [int(d) for d in dims.split('x')]
    library, _, name = name.partition(':')
    if library == 'net':
        import make_onnx_nets
        model, x = make_onnx_nets.prepare(name)
        last = [n for n, m in model.named_children() if isinstance(m, torch.nn.Linear)][-1]
        return model, lambda k: setattr(model, last, torch.nn.Linear(getattr(model, last).in_features, k)), [*x.shape[-2:], *dims] \
            if x.dim() == 4 else [x.shape[1], *dims]
    if library == 'timm':
        import timm
        kwargs = {'img_size': dims[0]} if any(w in name for w in ('vit_', 'mixer', 'swin')) and dims[0] != 224 else {}
        model = timm.create_model(name, pretrained=False, num_classes=7, drop_rate=0.0, **kwargs)
        return model, lambda k: model.reset_classifier(k), dims
    if library == 'torchvision':
        import torchvision
        model = getattr(torchvision.models, name)(num_classes=7)

        def reset(count):
            *path, last = [n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)][-1].split('.')
            parent = model.get_submodule('.'.join(path))
            setattr(parent, last, torch.nn.Linear(getattr(parent, last).in_features, count))
        return model, reset, dims
    return (*transformer(library), dims)


def is_batchnorm(module):
    return isinstance(module, torch.nn.modules.batchnorm._BatchNorm)


def settle(model, x):
    """Statistics near those of the data; gains that are not all alike; nothing random in training."""
    generator = torch.Generator().manual_seed(3)
    for module in model.modules():
        if isinstance(module, (torch.nn.Dropout, torch.nn.Dropout2d)) or type(module).__name__ == 'DropPath':
            module.p = module.drop_prob = 0.0
    for name, param in model.named_parameters():
        if param.dim() == 1 and ('gamma' in name or 'layer_scale' in name):
            param.data.copy_(0.5 + 0.5 * torch.rand(param.shape, generator=generator))
        elif param.dim() == 1:
            param.data.add_(0.1 * torch.randn(param.shape, generator=generator))
    for module in model.modules():
        if is_batchnorm(module):
            module.momentum = 1.0
    model.train()
    with torch.no_grad():
        model(x)
    for module in model.modules():
        if is_batchnorm(module): # a channel that hardly varies would be amplified until roundings are all there is
            module.running_var.clamp_(min=0.2 * module.running_var.mean().item() + 1e-2)
            module.momentum = 0.1
    model.eval()


def fold(model, x, path):
    """Batchnorm that the file does not have any more goes into the convolution above, as the exporter did it."""
    file = onnx.load(path)
    left = {i.name: i for i in file.graph.initializer}
    kept = {node.input[1] for node in file.graph.node if node.op_type == 'BatchNormalization'}
    kept_values = [onnx.numpy_helper.to_array(left[name]).tobytes() for name in kept if name in left]
    made, pairs = {}, []

    def after(module, args, y):
        made[y.data_ptr()] = (module, y)

    def before(module, args):
        if args[0].data_ptr() in made:
            pairs.append((made[args[0].data_ptr()][0], module))
    hooks = [m.register_forward_hook(after) for m in model.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear))]
    hooks += [m.register_forward_pre_hook(before) for m in model.modules() if is_batchnorm(m)]
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    names = {module: name for name, module in model.named_modules()}
    count = 0
    for conv, norm in pairs:
        if norm.weight.detach().numpy().tobytes() in kept_values and any(name.startswith(names[norm]) for name in kept):
            continue
        if norm.weight.detach().numpy().tobytes() in kept_values and len(kept) >= sum(map(is_batchnorm, model.modules())):
            continue
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        bias = conv.bias if conv.bias is not None else torch.zeros_like(norm.bias)
        conv.weight = torch.nn.Parameter((conv.weight * scale.reshape([-1] + [1] * (conv.weight.dim() - 1))).detach())
        conv.bias = torch.nn.Parameter(((bias - norm.running_mean) * scale + norm.bias).detach())
        norm.running_mean.zero_()
        norm.running_var.fill_(1.0 - norm.eps)
        norm.weight.data.fill_(1.0)
        norm.bias.data.zero_()
        norm.is_folded = True
        norm.requires_grad_(False)
        count += 1
    return count


def export(model, x, path, dynamo, training):
    with warnings.catch_warnings(), open(os.devnull, 'w') as nowhere:
        warnings.simplefilter('ignore')
        stdout, sys.stdout = sys.stdout, nowhere
        try:
            if dynamo:
                torch.onnx.export(model, (x,), path, dynamo=True, verbose=False, external_data=False)
            else:
                more = {'training': torch.onnx.TrainingMode.TRAINING, 'do_constant_folding': False} if training else {}
                torch.onnx.export(model, (x,), path, dynamo=False, input_names=['input'], output_names=['output'],
                                  dynamic_axes={'input': {0: 'batch'}, 'output': {0: 'batch'}}, **more)
        finally:
            sys.stdout = stdout


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError((done.stderr or done.stdout).strip()[:600])
    return done.stdout


def cambium_losses(options, folder, optimizer, rate, name, batch):
    task = {'model': {'backbone': 'net', 'frozen': 'none', 'head': ['dense'],
                      'batchnorm': 'trained' if options.statistics else 'affine'},
            'data': {'tensors': 'data.safetensors', 'shuffle': False, 'test': 'none'},
            'train': {'optimizer': {optimizer: {'rate': rate, 'epsilon': 1e-4, 'weight_decay': 0.0} if optimizer == 'adamw' else {'rate': rate}},
                      'schedule': 'constant', 'steps': STEPS, 'batch': batch, 'strategy': 'finetune', 'head_first': False,
                      'rates': {'backbone': 1.0}}}
    path = os.path.join(folder, name + '.yaml')
    with open(path, 'w') as f:
        json.dump(task, f)
    shutil.rmtree(os.path.join(folder, 'runs', name), ignore_errors=True)
    done = subprocess.run([options.cambium, 'train', path, '--name', name, '--quiet'], capture_output=True, text=True, cwd=folder)
    if done.returncode != 0:
        raise RuntimeError((done.stderr or done.stdout).strip()[:600])
    with open(os.path.join(folder, 'runs', name, 'metrics.jsonl')) as f:
        lines = [json.loads(line) for line in f]
    return [line['loss'] for line in lines if 'step' in line and 'loss' in line][:STEPS]


def torch_losses(options, model, head, optimizer, rate, x, labels, batch, linear, dtype):
    net = copy.deepcopy(model).to(dtype)
    dense = net.get_submodule(linear)
    with torch.no_grad():
        dense.weight.copy_(head['head.dense.w'].T)
        dense.bias.copy_(head['head.dense.b'])
    net.train()
    for module in net.modules():
        if is_batchnorm(module) and (not options.statistics or getattr(module, 'is_folded', False)):
            module.eval()
    params = [p for p in net.parameters() if p.requires_grad]
    made = torch.optim.SGD(params, lr=rate) if optimizer == 'sgd' else torch.optim.AdamW(params, lr=rate, eps=1e-4, weight_decay=0.0)
    losses = []
    for step in range(STEPS):
        at = step * batch % len(x)
        part = x[at:at + batch]
        loss = functional.cross_entropy(net(part.to(dtype) if part.is_floating_point() else part), labels[at:at + batch])
        made.zero_grad()
        loss.backward()
        made.step()
        losses.append(loss.item())
    return losses


def compare(options, source, dynamo):
    """The largest relative difference of a loss."""
    torch.manual_seed(1)
    model, reset, dims = make(source)
    *shape, batch = dims
    generator = torch.Generator().manual_seed(2)
    x = torch.randint(1, 23, (2 * batch, *shape), generator=generator) if len(shape) == 1 else \
        torch.randn((2 * batch, 3, *shape), generator=generator)
    labels = torch.randint(0, CLASSES, (2 * batch,), generator=generator)
    labels[:CLASSES] = torch.arange(CLASSES)[:len(labels)]
    if not source.startswith('net:'):
        settle(model, x)
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        folder = options.keep or folder
        path = os.path.join(folder, 'model.onnx')
        if options.statistics and not dynamo:
            model.train()
        if source.startswith('net:'):
            stored = source.partition('@')[0].partition(':')[2] + ('.dynamo' if dynamo else '.script') + '.onnx'
            shutil.copy(os.path.join(HERE, '../data/onnx', stored), path)
        else:
            export(model, x[:batch], path, dynamo, options.statistics)
        model.eval()
        folded = fold(model, x, path)
        shutil.rmtree(os.path.join(folder, 'net'), ignore_errors=True)
        run([options.cambium, 'import', path, '-o', os.path.join(folder, 'net'), '--quiet'])
        reset(CLASSES)
        linear = [n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and m.out_features == CLASSES][-1]
        save_file({'x': (x.permute(0, 2, 3, 1).contiguous() if x.dim() == 4 else x.int()), 'y': labels},
                  os.path.join(folder, 'data.safetensors'))
        cambium_losses(options, folder, 'sgd', 1e-30, 'start', batch)
        head = load_file(os.path.join(folder, 'runs/start/model.safetensors'))
        for optimizer in options.optimizer:
            rate = (RATES if ':' in source and not source.startswith('net:') else FAST)[optimizer]
            ours = cambium_losses(options, folder, optimizer, rate, optimizer, batch)
            single, theirs = (torch_losses(options, model, head, optimizer, rate, x, labels, batch, linear, dtype)
                              for dtype in (torch.float32, torch.float64))
            apart, rounding = ([abs(a - b) / max(abs(b), 0.05) for a, b in zip(v, theirs)] for v in (ours, single))
            over = [a / max(1.0, 4 * max(rounding[:i + 1]) / options.tolerance) for i, a in enumerate(apart)]
            worst = max(worst, max(over) if len(ours) == STEPS else float('inf'))
            print('%-42s %-11s %-5s folded %3d  losses %.4f to %.4f  off by %.1e, PyTorch\'s own roundings %.1e%s' % (
                source, 'dynamo' if dynamo else 'torchscript', optimizer, folded, theirs[0], theirs[-1], max(apart),
                max(rounding), '' if max(over) <= options.tolerance else '  WRONG'), flush=True)
            if options.store:
                name = source.partition('@')[0].partition(':')[2]
                with open(os.path.join(HERE, '../data/onnx', name + '.refit.txt'), 'a' if optimizer != 'sgd' else 'w') as f:
                    f.write(' '.join(['%s {rate: %g}' % (optimizer, rate)] + ['%.7f' % v for v in theirs]) + '\n')
                save_file(load_file(os.path.join(folder, 'data.safetensors')),
                          os.path.join(HERE, '../data/onnx', name + '.refit.safetensors'))
            if options.verbose:
                for who, losses in (('cambium', ours), ('single', single), ('double', theirs)):
                    print('   %-8s' % who, ' '.join('%.6f' % v for v in losses), flush=True)
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('models', nargs='*', default=MODELS)
    parser.add_argument('--cambium', default='cambium')
    parser.add_argument('--exporter', choices=['torchscript', 'dynamo', 'both'], default='both')
    parser.add_argument('--optimizer', nargs='+', default=['sgd', 'adamw'])
    parser.add_argument('--statistics', action='store_true', help='batchnorm is exported and trained with its statistics')
    parser.add_argument('--store', action='store_true')
    parser.add_argument('--tolerance', type=float, default=1e-4)
    parser.add_argument('--keep', help='a folder for the files')
    parser.add_argument('--verbose', action='store_true')
    options = parser.parse_args()
    options.cambium = os.path.abspath(options.cambium)
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    failed = 0
    for source in options.models:
        for dynamo in [d for d in (False, True) if options.exporter in ('both', 'dynamo' if d else 'torchscript')]:
            try:
                failed += not compare(options, source, dynamo) <= options.tolerance
            except Exception as error:
                print('%-44s %-11s FAILED %s' % (source, 'dynamo' if dynamo else 'torchscript', str(error).split('\n')[0][:300]), flush=True)
                failed += 1
    print('%d failed' % failed)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
