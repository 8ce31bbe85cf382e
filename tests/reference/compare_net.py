#!/usr/bin/env python3
"""Compares `cambium extract` with torchvision or timm on the same random weights, over all outputs and at any size.

    compare_net.py --cambium build/cambium resnet18 torchvision:resnet18
    compare_net.py --cambium build/cambium efficientnet_lite0 timm:tf_efficientnet_lite0 --format pth --at bn1=bn1

The other framework's network is given random weights and random batchnorm statistics (--seed), saved as it saves its own
files (--format safetensors, pth, or legacy: PyTorch's older stream), and read by Cambium through the backbone's name map.
--at LAYER=MODULE compares a layer inside instead of the output. Exits with 1 when the relative difference is over
--tolerance. Not part of the tests: it needs PyTorch, torchvision, timm and safetensors.
"""
import argparse
import os
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file


def make(source):
    library, _, name = source.partition(':')
    if library == 'torchvision':
        import torchvision
        return getattr(torchvision.models, name)()
    if library == 'timm':
        import timm
        return timm.create_model(name)
    sys.exit('compare_net.py: SOURCE begins with torchvision: or timm:, not %r' % library)


def randomise_statistics(net, x):
    """Statistics near those that the layer sees, so that values neither vanish nor explode."""
    def hook(module, args):
        with torch.no_grad():
            module.running_mean.copy_(args[0].mean((0, 2, 3)) * (1.0 + 0.2 * torch.randn_like(module.running_mean)))
            module.running_var.copy_(args[0].var((0, 2, 3)) * (0.5 + torch.rand_like(module.running_var)) + 1e-3)
            module.weight.uniform_(0.75, 1.25)
            module.bias.normal_(0.0, 0.1)

    handles = [m.register_forward_pre_hook(hook) for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    net.eval()
    with torch.no_grad():
        net(x)
    for handle in handles:
        handle.remove()


def save(net, path, how):
    tensors = {name: tensor.contiguous() for name, tensor in net.state_dict().items()}
    if how == 'safetensors':
        save_file(tensors, path)
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=how == 'pth')


def output_of(net, x, module):
    found = {}
    if module:
        net.get_submodule(module).register_forward_hook(lambda m, a, y: found.update(y=y.detach().clone()))
    with torch.no_grad():
        y = net(x)
    y = found.get('y', y)
    return y.permute(0, 2, 3, 1) if y.dim() == 4 else y


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('network', help='a backbone\'s name or file')
    parser.add_argument('source', help='torchvision:NAME or timm:NAME')
    parser.add_argument('--cambium', default='cambium')
    parser.add_argument('--device')
    parser.add_argument('--size', type=int, default=224)
    parser.add_argument('--channels', type=int, default=3)
    parser.add_argument('--batch', type=int, default=2)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--format', choices=['safetensors', 'pth', 'legacy'], default='safetensors')
    parser.add_argument('--at', metavar='LAYER=MODULE', help='our layer and their module')
    parser.add_argument('--tolerance', type=float, default=1e-4)
    options = parser.parse_args()
    layer, _, module = (options.at or '').partition('=')

    torch.manual_seed(options.seed)
    net = make(options.source)
    x = torch.randn(options.batch, options.channels, options.size, options.size)
    randomise_statistics(net, x)
    wanted = output_of(net, x, module)
    with tempfile.TemporaryDirectory() as folder:
        weights, pictures, out = (os.path.join(folder, f) for f in ('weights', 'x.safetensors', 'y.safetensors'))
        save(net, weights, options.format)
        save_file({'x': x.permute(0, 2, 3, 1).contiguous()}, pictures)
        command = [options.cambium, 'extract', options.network, pictures, '-o', out, '--weights', weights, '--quiet']
        command += ['--at', layer] if layer else []
        command += ['--device', options.device] if options.device else []
        subprocess.run(command, check=True)
        tensors = load_file(out)
    got = tensors[layer] if layer in tensors else next(iter(tensors.values()))
    if tuple(got.shape) != tuple(wanted.shape):
        sys.exit('shape %s, not %s' % (tuple(got.shape), tuple(wanted.shape)))
    difference = ((got.double() - wanted.double()).norm() / wanted.double().norm()).item()
    print('%s against %s at %d pixels: relative difference %.2e' % (options.network, options.source, options.size, difference))
    return 0 if difference <= options.tolerance else 1


if __name__ == '__main__':
    sys.exit(main())
