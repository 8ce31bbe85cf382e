#!/usr/bin/env python3
"""Cambium and PyTorch (eager, channels-last) in turn on the same processor: a table of medians, spreads and ratios.

    side_by_side.py --cambium build/cambium --rounds 3

Work: features of EfficientNet-Lite0 (batch 16, 224 x 224; random weights, the same for both, outputs compared first) and a
training step of all layers of ResNet-18 with AdamW. Cambium's features are the difference between 16 and 16 + --pictures
pictures through `cambium extract`, so that its start does not count but reading and writing the files does; its training
is what `cambium train --json` says of the last epoch. Needs torch, timm, safetensors; not part of the tests.
"""
import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time

import timm
import torch
from safetensors.torch import load_file, save_file

SIZE, BATCH = 224, 16


def torch_features(net, pictures):
    x = torch.randn(BATCH, 3, SIZE, SIZE).to(memory_format=torch.channels_last)
    with torch.no_grad():
        net(x)
        start = time.perf_counter()
        for _ in range(pictures // BATCH):
            net(x)
    return pictures / (time.perf_counter() - start)


def torch_training(steps):
    net = timm.create_model('resnet18', num_classes=10).train().to(memory_format=torch.channels_last)
    x = torch.randn(BATCH, 3, SIZE, SIZE).to(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (BATCH,))
    optimizer = torch.optim.AdamW(net.parameters(), 1e-4)

    def step():
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x), labels).backward()
        optimizer.step()

    step()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return steps * BATCH / (time.perf_counter() - start)


def run(arguments, folder):
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit('%s: %s' % (' '.join(arguments), done.stderr))
    return done.stdout


def cambium_extract(cambium, folder, count):
    start = time.perf_counter()
    run([cambium, 'extract', 'efficientnet_lite0', 'x%d.safetensors' % count, '-o', 'y.safetensors', '--weights',
         'weights.safetensors', '--quiet'], folder)
    return time.perf_counter() - start


def cambium_training(cambium, folder):
    lines = run([cambium, 'train', 'task.yaml', '--json'], folder).splitlines()
    return [json.loads(line) for line in lines if '"samples_per_second"' in line][-1]['samples_per_second']


def prepare(folder, pictures, net):
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, os.path.join(folder, 'weights.safetensors'))
    for count in (BATCH, BATCH + pictures):
        save_file({'x': torch.randn(count, SIZE, SIZE, 3)}, os.path.join(folder, 'x%d.safetensors' % count))
    save_file({'x': torch.randn(64, SIZE, SIZE, 3), 'y': torch.randint(0, 10, (64,), dtype=torch.int32)},
              os.path.join(folder, 'train.safetensors'))
    with open(os.path.join(folder, 'task.yaml'), 'w') as task:
        task.write('model: {backbone: resnet18, weights: none, frozen: none}\n'
                   'data: {tensors: train.safetensors, test: none}\n'
                   'train: {epochs: 2, batch: %d, optimizer: {adamw: {rate: 1e-4}}}\n' % BATCH)


def same_outputs(cambium, folder, net):
    cambium_extract(cambium, folder, BATCH)
    got = next(iter(load_file(os.path.join(folder, 'y.safetensors')).values()))
    x = load_file(os.path.join(folder, 'x%d.safetensors' % BATCH))['x'].permute(0, 3, 1, 2)
    with torch.no_grad():
        wanted = net(x)
    return ((got - wanted).norm() / wanted.norm()).item()


def row(name, ours, theirs):
    def cell(values):
        return '%.1f (%.1f to %.1f)' % (statistics.median(values), min(values), max(values))
    ratio = statistics.median(o / t for o, t in zip(ours, theirs))
    print('| %s | %s | %s | %.2f |' % (name, cell(ours), cell(theirs), ratio))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--cambium', default='cambium')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--pictures', type=int, default=160)
    parser.add_argument('--threads', type=int, default=os.cpu_count())
    options = parser.parse_args()
    cambium = os.path.abspath(options.cambium) if os.sep in options.cambium else options.cambium
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    net = timm.create_model('tf_efficientnet_lite0').eval().to(memory_format=torch.channels_last)
    features, training = ([], []), ([], [])
    with tempfile.TemporaryDirectory() as folder:
        prepare(folder, options.pictures, net)
        print('outputs differ by %.1e of their norm' % same_outputs(cambium, folder, net))
        cambium_training(cambium, folder)  # compiles its kernels
        for _ in range(options.rounds):
            seconds = cambium_extract(cambium, folder, BATCH + options.pictures) - cambium_extract(cambium, folder, BATCH)
            features[0].append(options.pictures / seconds)
            features[1].append(torch_features(net, options.pictures))
            training[0].append(cambium_training(cambium, folder))
            training[1].append(torch_training(4))
    print('| work, images/s: median (least to most) | Cambium | PyTorch %s eager, channels-last | ratio |' %
          torch.__version__.split('+')[0])
    print('|---|---|---|---|')
    row('EfficientNet-Lite0, features, batch 16', *features)
    row('ResNet-18, training step with AdamW, batch 16', *training)


if __name__ == '__main__':
    main()
