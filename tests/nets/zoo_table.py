#!/usr/bin/env python3
"""The table of docs/zoo.md: what is proven of each network of configs/backbones that takes pictures, and how large the errors are.

    zoo_table.py OUTPUT...     writes it anew from what `test_nets NETWORK...` printed
    zoo_table.py --check       every network has a reference in tests/nets or tests/nets/zoo, and a row that says what it proves
"""
import glob
import json
import os
import re
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
sys.path.insert(0, os.path.join(ROOT, 'tests', 'reference'))
import net_zoo  # whose network each one is; it needs no PyTorch

PAGE = os.path.join(ROOT, 'docs', 'zoo.md')
WORDS = {'scores': 'scores', 'gradients, inference': 'gradients', 'gradients, training': 'gradients in training mode',
         'ten losses': 'ten losses'}
OTHERS = {'resnet18': 'torchvision resnet18', 'resnet50': 'torchvision resnet50', 'mobilenet_v2': 'timm mobilenetv2_100',
          'efficientnet_lite0': 'timm tf_efficientnet_lite0', 'lenet': 'PyTorch layers', 'small_cnn': 'PyTorch layers'}
HEADER = '| network | beside | pixels | proven | scores | gradients |\n|---|---|---|---|---|---|\n'


def members():
    """The networks of pictures in configs/backbones: of each file its models, else its own name."""
    found = []
    for path in sorted(glob.glob(os.path.join(ROOT, 'configs', 'backbones', '*.yaml'))):
        text = open(path, encoding='utf-8').read()
        if not re.search(r'^input:.*modality: image', text, re.M):
            continue
        models = re.search(r'^models:.*\n((?:(?: .*)?\n)*)', text, re.M)
        found += re.findall(r'^  (\w+):', models.group(1), re.M) if models else [os.path.basename(path)[:-5]]
    return found


def reference(name):
    for folder in ('', 'zoo'):
        path = os.path.join(ROOT, 'tests', 'nets', folder, name + '.json')
        if os.path.exists(path):
            with open(path, encoding='utf-8') as file:
                return json.load(file)
    return None


def proven(found):
    return ', '.join(WORDS[w] for w in found['proves'])


def row(name, printed):
    found = reference(name)
    scores = re.search(r'^%s, frozen: scores off by (\S+) of' % name, printed, re.M)
    gradients = re.findall(r'^%s, \w+: \d+ gradients, the worst at (\S+) of' % name, printed, re.M)
    if scores is None or len(gradients) != len([w for w in found['proves'] if w.startswith('gradients')]) or \
            not re.search(r'^\[ +OK \] %s$' % name, printed, re.M):
        raise SystemExit('%s: the output does not say that it passed' % name)
    whose = net_zoo.ZOO[name].source.replace(':', ' ') if name in net_zoo.ZOO else OTHERS[name]
    return '| %s | %s | %s | %s | %s | %s |\n' % (name, whose.replace('_by_timm', ''), ' x '.join(str(d) for d in found['size'][-2:]),
                                                  proven(found), scores.group(1), ', '.join(gradients))


def check():
    text = open(PAGE, encoding='utf-8').read()
    wrong = 0
    for name in members():
        found = reference(name)
        if found is None:
            print('%s: no reference: a line in tests/reference/net_zoo.py, then make_net_references.py %s' % (name, name))
        elif not re.search(r'^\| %s \|[^|]*\|[^|]*\| %s \|' % (name, re.escape(proven(found))), text, re.M):
            print('%s: docs/zoo.md does not say that it is proven by: %s' % (name, proven(found)))
        else:
            continue
        wrong += 1
    print('%d networks, %d wrong' % (len(members()), wrong))
    return 1 if wrong > 0 or not members() else 0


def main():
    if sys.argv[1:] == ['--check']:
        return check()
    printed = '\n'.join(open(path, encoding='utf-8').read() for path in sys.argv[1:])
    text = open(PAGE, encoding='utf-8').read()
    head = text[:text.index('| network |')]
    with open(PAGE, 'w', encoding='utf-8') as file:
        file.write(head + HEADER + ''.join(row(name, printed) for name in members()))
    return 0


if __name__ == '__main__':
    sys.exit(main())
