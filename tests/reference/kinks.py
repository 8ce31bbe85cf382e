"""A gradient is discontinuous where a ReLU's input passes zero, and where the two largest values under a max pooling's window
are equal: a rounding error there flips a unit, or sends a gradient elsewhere, which is an error of 1e-3 and more in the
gradients next to it, for any implementation. So pictures are chosen for which few values lie so near, and how much flipping
those would change is part of the error that is allowed."""
import contextlib

import torch
from torch import nn
from torch.nn import functional


@contextlib.contextmanager
def kinks(do, pool=None):
    """Within it each ReLU and ReLU6 of a network is do(x, is_six), each max pooling, if wanted, pool(x, its options)."""
    relu, six, plain_pool = functional.relu, nn.ReLU6.forward, functional.max_pool2d
    functional.relu = lambda x, inplace=False: do(x, False)  # modules come here, too
    nn.ReLU6.forward = lambda module, x: do(x, True)
    if pool is not None:
        functional.max_pool2d = lambda x, *args, **options: pool(x, args, options)
    yield
    functional.relu, nn.ReLU6.forward, functional.max_pool2d = relu, six, plain_pool


def plain(x, is_six):
    return x.clamp(0.0, 6.0) if is_six else x.clamp(min=0.0)


class Shifted(torch.autograd.Function):
    """A ReLU whose derivative jumps at `shift` instead of 0 (and 6 + shift)."""
    @staticmethod
    def forward(ctx, x, is_six, shift):
        ctx.save_for_backward((x > shift) & (x < 6.0 + shift) if is_six else x > shift)
        return plain(x, is_six)

    @staticmethod
    def backward(ctx, dy):
        return dy * ctx.saved_tensors[0], None, None


def windows(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The values under each window of a max pooling, [N,C,OH,OW,values]."""
    size = [d if isinstance(d, (list, tuple)) else (d, d) for d in (kernel_size, stride or kernel_size, padding)]
    assert dilation == 1 and not return_indices
    ends = []
    for length, kernel, step, pad in zip(x.shape[2:], *size):
        over = (length + 2 * pad - kernel) % step
        ends.append(pad + (step - over if ceil_mode and over > 0 else 0))
    x = functional.pad(x, (size[2][1], ends[1], size[2][0], ends[0]), value=-float('inf'))
    return x.unfold(2, size[0][0], size[1][0]).unfold(3, size[0][1], size[1][1]).flatten(4)


def gap(values):
    """How much the largest is above the next; ties of what a ReLU cut off do no harm."""
    largest = values.topk(2, -1).values
    return torch.where(largest[..., 0] > 0.0, largest[..., 0] - largest[..., 1], float('inf'))


def second(x, options, error):
    """A max pooling that takes the second largest value where it is within `error` of the largest."""
    values = windows(x, *options[0], **options[1])
    index = values.detach().topk(2, -1).indices
    return values.gather(-1, torch.where(gap(values.detach())[..., None] < error, index[..., 1:], index[..., :1]))[..., 0]


def inputs(net, x, with_pools):
    """What reaches each kink: (kind, tensor), in the order of the calls."""
    found = []

    def do(x, is_six):
        found.append(('six' if is_six else 'relu', x.double().clone()))
        return plain(x, is_six)

    pooled = functional.max_pool2d

    def pool(x, args, options):
        found.append(('pool', x.double().clone(), (args, options)))
        return pooled(x, *args, **options)

    with kinks(do, pool if with_pools else None), torch.no_grad():
        net(*x)
    return found


def near(kind, exact, error, options=None):
    """How many values lie within `error` of a kink."""
    if kind == 'pool':
        return (gap(windows(exact, *options[0], **options[1])) < error).sum().item()
    return (exact.abs() < error).sum().item() + (((exact - 6.0).abs() < error).sum().item() if kind == 'six' else 0)


def choose(net, single, pictures, candidates, modes=('inference', 'training'), with_pools=False, zone=4.0):
    """Of the sets of pictures pictures(i) the one for which the fewest values lie within `zone` rounding errors
    of PyTorch's single precision (root mean square) of a kink.
    Returns its i, and by mode these distances, a number per kink in the order of the calls."""
    best = None
    for candidate in range(candidates):
        double, rounded = pictures(candidate)
        count, distances = 0, {}
        for mode in reversed(modes):
            net.train(mode == 'training')
            single.train(mode == 'training')
            distances[mode] = []
            for (kind, exact, *options), (_, rough, *_) in zip(inputs(net, double, with_pools), inputs(single, rounded, with_pools)):
                error = zone * (exact - rough).square().mean().sqrt().item()
                count += near(kind, exact, error, *options)
                distances[mode].append(error)
        if best is None or count < best[0]:
            best = (count, candidate, distances)
        if count == 0:
            break
    print('  pictures %d: %d values near a kink' % (best[1], best[0]), flush=True)
    return best[1], best[2]


def flipped(distances, gradients, with_pools=False):
    """What gradients() gives when all near a kink are on, and when all are off: a generator of two. Near ties under a max
    pooling go to the second in the latter."""
    pooled = functional.max_pool2d
    for sign in (-1.0, 1.0):
        shifts = iter(distances)

        def pool(x, args, options):
            error = next(shifts)
            return second(x, (args, options), error) if sign > 0.0 else pooled(x, *args, **options)

        with kinks(lambda x, is_six: Shifted.apply(x, is_six, sign * next(shifts)), pool if with_pools else None):
            yield gradients()
