#!/usr/bin/env python3
"""Makes tests/nets/training.json: ten losses and the final params of one small network under every training option.

    make_training_references.py

The network is tests/nets/zoo.yaml with weights and pictures by formula (see make_net_references.py), trained by PyTorch's
own optimizers and schedules in double precision. `deviation` is the largest distance of five single-precision runs, four
of them with every weight moved by half a rounding error. Needs PyTorch, torchvision and timm.
"""
import json
import os

import numpy
import torch
from torch.nn import functional
from torch.optim import lr_scheduler

import make_net_references as nets

STEPS, BATCH, SAMPLES, SIZE, CLASSES = 10, 6, 21, 33, 7
SGD = {'sgd': {'rate': 0.05}}
WEIGHTS = [1.0, 2.0, 0.5, 3.0, 1.0, 0.25, 1.5]


def sgd(rate, **options):
    return lambda groups: torch.optim.SGD(groups, lr=rate, **options)


def constant(optimizer):
    return lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)


def warm_cosine(optimizer):
    return lr_scheduler.SequentialLR(optimizer, [lr_scheduler.LinearLR(optimizer, 1.0 / 3.0, 1.0, 2),
                                                 lr_scheduler.CosineAnnealingLR(optimizer, STEPS - 3)], [3])


def one_cycle(optimizer):
    return lr_scheduler.OneCycleLR(optimizer, [g['lr'] for g in optimizer.param_groups], total_steps=STEPS,
                                   cycle_momentum=False)


def is_below(layer):
    """What `{up_to: gbn}` freezes."""
    return layer.split('.')[0] in ('stem', 'bn', 'm0', 'grouped', 'gbn')


# name: `model` beside backbone, weights and head; `train` beside steps, batch; how PyTorch does the same
CASES = {
    'sgd': dict(train={'optimizer': SGD}),
    'momentum and weight decay': dict(
        train={'optimizer': {'sgd': {'rate': 0.02, 'momentum': 0.9, 'weight_decay': 0.05}}},
        optimizer=sgd(0.02, momentum=0.9), decay=0.05),
    'nesterov, clipped': dict(
        train={'optimizer': {'sgd': {'rate': 0.05, 'momentum': 0.8, 'nesterov': True}}, 'clip': 0.4},
        optimizer=sgd(0.05, momentum=0.8, nesterov=True), clip=0.4),
    'adam, decay in the gradient': dict(
        train={'optimizer': {'adam': {'rate': 0.002, 'beta1': 0.8, 'beta2': 0.95, 'epsilon': 1e-4, 'weight_decay': 0.1}}},
        optimizer=lambda groups: torch.optim.Adam(groups, lr=0.002, betas=(0.8, 0.95), eps=1e-4), decay=0.1),
    'adamw': dict(
        train={'optimizer': {'adamw': {'rate': 0.002, 'epsilon': 1e-4, 'weight_decay': 0.3}}},
        optimizer=lambda groups: torch.optim.AdamW(groups, lr=0.002, eps=1e-4), decay=0.3),
    'steps': dict(train={'optimizer': SGD, 'schedule': {'step': {'every': 3, 'factor': 0.5}}},
                  schedule=lambda o: lr_scheduler.StepLR(o, 3, 0.5)),
    'cosine': dict(train={'optimizer': SGD, 'schedule': 'cosine'},
                   schedule=lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS)),
    'cosine after a warm-up': dict(train={'optimizer': SGD, 'schedule': {'cosine': {'warmup': 3}}}, schedule=warm_cosine),
    'one cycle': dict(train={'optimizer': SGD, 'schedule': 'one_cycle'}, schedule=one_cycle),
    'in parts, statistics kept': dict(model={'batchnorm': 'affine'}, train={'optimizer': SGD, 'accumulate': 4}),
    'batchnorm frozen': dict(model={'batchnorm': 'frozen'}, train={'optimizer': SGD}),
    'smoothing and class weights': dict(
        model={'batchnorm': 'affine'},
        train={'optimizer': SGD, 'accumulate': 2,
               'loss': {'cross_entropy': {'label_smoothing': 0.1, 'class_weights': WEIGHTS}}},
        loss=lambda z, y: functional.cross_entropy(z, y, torch.tensor(WEIGHTS, dtype=z.dtype), label_smoothing=0.1)),
    # the softmax at the end belongs to the network: only cross_entropy takes it over
    'mse': dict(train={'optimizer': SGD, 'loss': 'mse'}, loss=lambda z, y: functional.mse_loss(z.softmax(1), y)),
    'huber': dict(train={'optimizer': SGD, 'loss': {'huber': {'delta': 0.5}}},
                  loss=lambda z, y: functional.huber_loss(z.softmax(1), y, delta=0.5)),
    'frozen up to a layer': dict(model={'frozen': {'up_to': 'gbn'}}, train={'optimizer': SGD}, frozen=is_below),
    'frozen by patterns': dict(
        model={'frozen': ['m0', 't*', 'twin_again']}, train={'optimizer': SGD},
        frozen=lambda layer: layer.split('.')[0] in ('m0', 'tall', 'tbn', 'twin')),
    'a slower backbone': dict(train={'optimizer': SGD, 'rates': {'backbone': 0.25}}, rate_scale=0.25),
}


def network(dtype, variances, run):
    net = nets.Zoo().to(dtype)
    nets.set_weights(net, variances)
    nets.nudge(net, run)
    return net


def prepare(net, case):
    """Freezes what the case freezes; the optimizer's groups: no decay for norms and biases."""
    mode = case.get('model', {}).get('batchnorm', 'trained')
    frozen = case.get('frozen', lambda layer: False)
    net.train()
    for name, module in net.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d) and (mode != 'trained' or frozen(name)):
            module.eval()
            module.requires_grad_(mode == 'affine')
    groups = []
    for name, param in net.named_parameters():
        if frozen(name.rpartition('.')[0]):
            param.requires_grad_(False)
        if param.requires_grad:
            groups.append({'params': [param], 'weight_decay': case.get('decay', 0.0) if param.dim() > 1 else 0.0})
    return groups


def train(net, case, x, labels):
    groups = prepare(net, case)
    optimizer = case.get('optimizer', sgd(0.05))(groups)
    for group in optimizer.param_groups:
        group['lr'] *= case.get('rate_scale', 1.0)
    schedule = case.get('schedule', constant)(optimizer)
    loss_of, losses, at = case.get('loss', functional.cross_entropy), [], 0
    for _ in range(STEPS):
        end = min(at + BATCH, SAMPLES)
        loss = loss_of(net(x[at:end]), labels[at:end])
        at = end % SAMPLES
        optimizer.zero_grad()
        loss.backward()
        if 'clip' in case:
            torch.nn.utils.clip_grad_norm_([p for g in groups for p in g['params']], case['clip'])
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def changes(net, start):
    """What became of each param and state, less what it was: name -> double."""
    first = dict(start.named_parameters()) | dict(start.named_buffers())
    return {nets.our_name(name): (tensor.detach().double() - first[name].detach().double())
            for name, tensor in list(net.named_parameters()) + list(net.named_buffers())
            if not name.endswith('num_batches_tracked')}


def norm_of(moved):
    return torch.cat([m.flatten() for m in moved.values()]).norm().item()


def reference(case, variances, x, labels):
    start = network(torch.float64, variances, 0)
    exact = network(torch.float64, variances, 0)
    losses = train(exact, case, x.double(), labels.double() if labels.is_floating_point() else labels)
    moved = changes(exact, start)
    deviation, distance = numpy.zeros(STEPS), 0.0
    for run in range(5):
        single = network(torch.float32, variances, run)
        rounded = numpy.array(train(single, case, x, labels))
        deviation = numpy.maximum(deviation, numpy.abs(rounded - losses))
        others = changes(single, start)
        distance = max(distance, norm_of({n: others[n] - moved[n] for n in moved}))
    sums = sum(numpy.array(nets.random_sums(n, m)) for n, m in moved.items())
    model = {'frozen': 'none', 'batchnorm': 'trained', 'head': 'keep'} | case.get('model', {})
    options = {'steps': STEPS, 'batch': BATCH, 'schedule': 'constant'} | case['train']
    return {'model': json.loads(json.dumps(model)), 'train': json.loads(json.dumps(options)),
            'values': labels.is_floating_point(), 'losses': losses,
            'deviation': numpy.maximum.accumulate(deviation).tolist(),
            'moved_norm': norm_of(moved), 'moved_error': distance, 'moved_sums': sums.tolist()}


def main():
    torch.set_num_threads(1)
    net = nets.Zoo().double()
    nets.set_weights(net, {})
    x = nets.inputs('training', SIZE, 3, SAMPLES)
    variances = nets.measure_variances(net, x.double())
    labels = torch.tensor([(5 * n + n // 7) % CLASSES for n in range(SAMPLES)])
    values = torch.from_numpy(nets.uniform('values', SAMPLES * CLASSES).astype(numpy.float32)).reshape(SAMPLES, CLASSES)
    result = {'made_by': 'torch %s' % torch.__version__, 'samples': SAMPLES, 'pictures': 'training',
              'variances': variances, 'labels': labels.tolist(), 'values': 'values', 'cases': {}}
    for name, case in CASES.items():
        result['cases'][name] = reference(case, variances, x, values if case.get('loss') in VALUE_LOSSES else labels)
        print(name, result['cases'][name]['deviation'][-1], flush=True)
    with open(os.path.join(nets.NETS, 'training.json'), 'w') as file:
        file.write(nets.write(result) + '\n')


VALUE_LOSSES = (CASES['mse']['loss'], CASES['huber']['loss'])

if __name__ == '__main__':
    main()
