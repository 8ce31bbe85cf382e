#!/usr/bin/env python3
"""Compares every network of the zoo with the library that owns it, directly: random weights, saved by the library under its
own names as people download them, read by Cambium through the name map, `cambium extract` on random pictures.

    compare_zoo.py --cambium build/cambium [NETWORK...]

net_zoo.py says what is compared with what. The relative difference of all scores from the library's in double precision may
be 1e-4, or three times that of its own single precision where random weights blow rounding up. Exits with 1 when one is
larger or a file is refused, with 77 (skipped) where PyTorch or torchvision is not installed; a library that is not
installed leaves its rows out.
"""
import argparse
import copy
import glob
import importlib.util
import os
import re
import subprocess
import sys
import tempfile

import net_zoo

TOLERANCE = 1e-4
BACKBONES = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'configs', 'backbones')


def installed(name):
    return importlib.util.find_spec(name) is not None


def rows(wanted):
    """(ours, source, pixels, options of its function, rules for the names in the file)"""
    found = [(name, z.source, z.pixels, z.options) for name, z in net_zoo.ZOO.items()]
    found += [(*row, 64, {})[:3] + ({},) for row in net_zoo.OTHERS]
    for name, source, pixels, arguments in found:
        if (not wanted or name in wanted) and installed(source.partition(':')[0]):
            yield name, source, pixels, arguments, ()
            for prefix, rules in net_zoo.OLD_FILES.items():
                if source.startswith(prefix):
                    yield name, source, pixels, arguments, rules


def at_size(name, pixels, folder):
    """A copy of the network's file, in which pictures are of that size; what `cambium extract` is to be given."""
    path, member = os.path.join(BACKBONES, name + '.yaml'), ''
    if not os.path.exists(path):
        path, member = next(p for p in glob.glob(os.path.join(BACKBONES, '*.yaml'))
                            if re.search(r'^  %s:' % re.escape(name), open(p).read(), re.M)), ':' + name
    text = re.sub(r'shape: \[\d+, \d+, 3\]', 'shape: [%d, %d, 3]' % (pixels, pixels), open(path).read())
    with open(os.path.join(folder, 'network.yaml'), 'w') as file:
        file.write(text)
    return os.path.join(folder, 'network.yaml') + member


def randomise(net, x):
    """Params that begin as a constant get values, batchnorms statistics near those that they see. A channel that hardly varies
    would be blown up with its rounding errors, so variances have a floor."""
    import torch
    with torch.no_grad():
        for p in net.parameters():
            if p.numel() > 1 and p.min() == p.max():
                p.normal_(0.0, 0.1) if p.flatten()[0] == 0 else p.uniform_(0.75, 1.25)

    def hook(module, arguments):
        with torch.no_grad():
            y = arguments[0].transpose(0, 1).flatten(1)
            module.running_mean.copy_(y.mean(1) * (1.0 + 0.2 * torch.randn_like(module.running_mean)))
            module.running_var.copy_(y.var(1) * (0.5 + torch.rand_like(module.running_var)) + 0.3 * y.var())

    norms = [m for m in net.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    handles = [m.register_forward_pre_hook(hook) for m in norms]
    with torch.no_grad():
        net(x)
    for handle in handles:
        handle.remove()


def scores(y):
    """Without those of an auxiliary head."""
    return y[0] if isinstance(y, tuple) else y


def compare(options, name, source, pixels, arguments, rules, folder):
    """The relative difference and PyTorch's own, or a text that says what went wrong."""
    import torch
    from safetensors.torch import load_file, save_file
    torch.manual_seed(len(name) + pixels)
    net = net_zoo.make(source, arguments, whole=True).eval()
    x = torch.randn(2, 3, pixels, pixels)
    randomise(net, torch.randn(8, 3, pixels, pixels))
    with torch.no_grad():
        rounded = scores(net(x)).double()
        wanted = scores(copy.deepcopy(net).double()(x.double()))
    tensors = {net_zoo.renamed(n, rules): t for n, t in net.state_dict().items()}
    weights = os.path.join(folder, 'weights')
    if source.startswith('transformers:'):
        save_file({n: t.contiguous() for n, t in tensors.items()}, weights)
    else:
        torch.save(tensors, weights)
    del net, tensors
    pictures, out = os.path.join(folder, 'x.safetensors'), os.path.join(folder, 'y.safetensors')
    save_file({'x': x.permute(0, 2, 3, 1).contiguous()}, pictures)
    done = subprocess.run([options.cambium, 'extract', at_size(name, pixels, folder), pictures, '-o', out, '--weights', weights, '--quiet'],
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        return done.stderr[:2000]
    got = next(t for n, t in load_file(out).items() if t.is_floating_point())
    if got.shape != wanted.shape:
        return 'the shape is %s, not %s' % (tuple(got.shape), tuple(wanted.shape))
    return [((y - wanted).norm() / wanted.norm()).item() for y in (got.double(), rounded)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('networks', nargs='*')
    parser.add_argument('--cambium', default='cambium')
    options = parser.parse_args()
    for library in ('torch', 'torchvision', 'safetensors'):
        if not installed(library):
            print('skipped: %s is not installed' % library)
            return 77
    failed = 0
    for name, source, pixels, arguments, rules in rows(options.networks):
        with tempfile.TemporaryDirectory() as folder:
            result = compare(options, name, source, pixels, arguments, rules, folder)
        right = isinstance(result, list) and result[0] <= max(TOLERANCE, 3.0 * result[1])
        failed += not right
        said = 'off by %.1e, PyTorch by %.1e' % tuple(result) if isinstance(result, list) else result
        print('%s %s against %s%s at %d pixels: %s' % ('ok  ' if right else 'FAIL', name, source,
                                                      ', older names' if rules else '', pixels, said), flush=True)
    return 1 if failed > 0 else 0


if __name__ == '__main__':
    sys.exit(main())
