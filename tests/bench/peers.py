#!/usr/bin/env python3
"""Cambium beside PyTorch (eager, channels-last; compiled) and ONNX Runtime, in turn on the same processor.

    peers.py --cambium build/cambium --rounds 3 [--compile] [NAME...]

Times the cases of configs/bench/standard.yaml (or --cases): Cambium by `cambium bench --json`, the others here, on the same
shapes, one after the other in each round, so that all of them meet the same machine. For each case the median over the
rounds of what each gave as its median, and the ratio of the best of the others to Cambium's time: above 1, Cambium is
faster. Of networks, the outputs are compared first, with the same weights. NAME: families, cases or networks, as for
`cambium bench`. Needs torch, timm, numpy, safetensors, yaml, onnx, onnxscript, onnxruntime; not part of the tests.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import onnxruntime
import timm
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import nn

TIMM = {'resnet18': 'resnet18', 'resnet50': 'resnet50', 'mobilenet_v2': 'mobilenetv2_100',
        'efficientnet_lite0': 'tf_efficientnet_lite0'}


# ---- the same layers in PyTorch --------------------------------------------------------------------------------------

class Attention(nn.Module):
    def __init__(self, heads):
        super().__init__()
        self.heads = heads

    def forward(self, x):
        n, t, c = x.shape
        q = x.view(n, t, self.heads, c // self.heads).transpose(1, 2)
        return nn.functional.scaled_dot_product_attention(q, q, q).transpose(1, 2).reshape(n, t, c)


def convolution(channels, filters=None, kernel=1, stride=1, padding=0, groups=1, bias=True):
    groups = channels if groups == 'depthwise' else groups
    return nn.Conv2d(channels, filters or channels, kernel, stride, padding, groups=groups, bias=bias)


def module_of(case):
    """The case's one layer, and its input in PyTorch's layout."""
    shape, layer = case['input'], case['layers'][0]
    word, options = (layer, {}) if isinstance(layer, str) else next((k, v) for k, v in layer.items() if k != 'inputs')
    channels = shape[-1]
    make = {
        'dense': lambda units, bias=True: nn.Linear(channels, units, bias),
        'conv2d': lambda **o: convolution(channels, **o),
        'batchnorm': lambda: nn.BatchNorm2d(channels),
        'relu': nn.ReLU,
        'maxpool2d': lambda kernel, stride, padding: nn.MaxPool2d(kernel, stride, padding),
        'global_avgpool': lambda: nn.AdaptiveAvgPool2d(1),
        'attention': Attention,
        'layernorm': lambda: nn.LayerNorm(channels),
        'gelu': nn.GELU,
        'softmax': lambda: nn.Softmax(-1),
    }[word]
    x = torch.randn(case['batch'], *shape)
    if len(shape) == 3:
        x = x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        return make(**options).to(memory_format=torch.channels_last), x
    return make(**options), x


# ---- timing ----------------------------------------------------------------------------------------------------------

def median_of(work, seconds):
    work()
    times, begin = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


class Torch:
    """A module, ready to be timed: forward in inference form, gradients of input and params, or a step with AdamW."""

    def __init__(self, module, x, compiled):
        self.x, self.eval = x, module.eval()
        self.run = torch.compile(module) if compiled else module
        self.optimizer = None

    def forward(self, seconds):
        self.eval.eval()

        def work():
            with torch.no_grad():
                self.run(self.x)
        return median_of(work, seconds)

    def gradients(self, seconds):
        self.eval.train()
        x = self.x.detach().requires_grad_()
        dy = torch.zeros_like(self.run(x))

        def work():
            self.eval.zero_grad()
            x.grad = None
            self.run(x).backward(dy)
        return median_of(work, seconds)

    def step(self, seconds):
        self.eval.train()
        target = torch.randn_like(self.run(self.x))
        self.optimizer = self.optimizer or torch.optim.AdamW(self.eval.parameters(), 1e-4)

        def work():
            self.optimizer.zero_grad()
            nn.functional.mse_loss(self.run(self.x), target).backward()
            self.optimizer.step()
        return median_of(work, seconds)


class Onnx:
    def __init__(self, module, x, folder, threads):
        path = os.path.join(folder, 'net.onnx')
        torch.onnx.export(module.eval(), (x,), path, input_names=['x'], output_names=['y'], dynamo=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
        self.x = numpy.ascontiguousarray(x.numpy())

    def forward(self, seconds):
        return median_of(lambda: self.session.run(['y'], {'x': self.x}), seconds)


def cambium_times(options, names):
    command = [options.cambium, 'bench', *names, '--json', '--seconds', str(options.seconds), '--cases', options.cases]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit('%s: %s' % (' '.join(command), done.stderr))
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return lines[0], {(r['name'], r['work']): r['median'] for r in lines[1:]}


# ---- the table -------------------------------------------------------------------------------------------------------

def outputs_differ(options, name, folder):
    """Of the norm, for one batch with the same weights."""
    net = timm.create_model(TIMM[name]).eval()
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, os.path.join(folder, 'w.safetensors'))
    x = torch.randn(4, 224, 224, 3)
    save_file({'x': x}, os.path.join(folder, 'x.safetensors'))
    subprocess.run([options.cambium, 'extract', name, 'x.safetensors', '-o', 'y.safetensors', '--weights', 'w.safetensors',
                    '--quiet'], cwd=folder, check=True)
    with torch.no_grad():
        wanted = net(x.permute(0, 3, 1, 2))
    return ((next(iter(load_file(os.path.join(folder, 'y.safetensors')).values())) - wanted).norm() / wanted.norm()).item()


class Table:
    def __init__(self):
        self.times = {}  # (name, work) -> who -> medians

    def add(self, name, work, who, seconds):
        self.times.setdefault((name, work), {}).setdefault(who, []).append(seconds)

    def show(self, who):
        print('| what, ms | work | Cambium | %s | ratio to the best |' % ' | '.join(who))
        print('|---|---|---|%s---|' % ('---|' * len(who)))
        for (name, work), times in self.times.items():
            best = min(statistics.median(v) for k, v in times.items() if k != 'Cambium')
            ours = statistics.median(times['Cambium'])
            cells = ['%.3f' % (statistics.median(times[w]) * 1e3) if w in times else '' for w in who]
            print('| %s | %s | %.3f | %s | %.2f |' % (name, work, ours * 1e3, ' | '.join(cells), best / ours))


def peers_of(module, x, options, folder):
    peers = {'eager': Torch(module, x, False)}
    if options.compile:
        peers['compiled'] = Torch(module, x, True)
    peers['ONNX Runtime'] = Onnx(module, x.contiguous(), folder, options.threads)
    return peers


def time_case(table, name, works, module, x, options, folder):
    for who, peer in peers_of(module, x, options, folder).items():
        for work in works:
            if hasattr(peer, work):
                table.add(name, work, who, getattr(peer, work)(options.seconds))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('names', nargs='*')
    parser.add_argument('--cambium', default='cambium')
    parser.add_argument('--cases', default=os.path.join(os.path.dirname(__file__), '../../configs/bench/standard.yaml'))
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--seconds', type=float, default=0.5)
    parser.add_argument('--threads', type=int, default=os.cpu_count())
    parser.add_argument('--compile', action='store_true', help='torch.compile too: takes minutes before it is timed')
    options = parser.parse_args()
    options.cambium = os.path.abspath(options.cambium) if os.sep in options.cambium else options.cambium
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    cases = yaml.safe_load(open(options.cases))
    table = Table()

    def wanted(*names):
        return not options.names or any(n in options.names for n in names)

    with tempfile.TemporaryDirectory() as folder:
        networks = [n for n in cases.get('networks', []) if wanted('network', n['name'])]
        for net in networks:
            print('%s: outputs differ by %.1e of their norm' % (net['name'], outputs_differ(options, net['name'], folder)))
        for turn in range(options.rounds):
            for family, kernels in cases.get('kernels', {}).items():
                kernels = [k for k in kernels if wanted(family, k['name'])]
                if not kernels:
                    continue
                device, times = cambium_times(options, [k['name'] for k in kernels])
                for case in kernels:
                    module, x = module_of(case)
                    for work in ('forward', 'gradients'):
                        table.add(case['name'], work, 'Cambium', times[case['name'], work])
                    time_case(table, case['name'], ('forward', 'gradients'), module, x, options, folder)
            for net in networks:
                device, times = cambium_times(options, [net['name']])
                for batch in net['batches']:
                    name = '%s, batch %d' % (net['name'], batch)
                    module = timm.create_model(TIMM[net['name']]).to(memory_format=torch.channels_last)
                    x = torch.randn(batch, 3, 224, 224).to(memory_format=torch.channels_last)
                    works = [w for w in ('forward', 'step') if (name, w) in times]
                    for work in works:
                        table.add(name, work, 'Cambium', times[name, work])
                    time_case(table, name, works, module, x, options, folder)
            print('round %d of %d' % (turn + 1, options.rounds), file=sys.stderr)
    print('%s, %s %s; PyTorch %s, ONNX Runtime %s; %d threads; bounds %.0f GFLOP/s, %.1f GB/s' % (
        device['device'], device['platform'], device['driver'], torch.__version__, onnxruntime.__version__, options.threads,
        device['operations_per_second'] * 1e-9, device['bytes_per_second'] * 1e-9))
    table.show(['eager'] + (['compiled'] if options.compile else []) + ['ONNX Runtime'])


if __name__ == '__main__':
    main()
