"""A gradient is discontinuous where a ReLU's input passes zero: a rounding error there flips a unit, which is an error of 1e-3
and more in the gradients next to it, for any implementation. So pictures are chosen for which few inputs lie so near,
and how much flipping those would change is part of the error that is allowed."""
import contextlib

import torch
from torch import nn
from torch.nn import functional


@contextlib.contextmanager
def relus(do):
    """Within it each ReLU and ReLU6 of a network is do(x, is_six)."""
    relu, six = functional.relu, nn.ReLU6.forward
    functional.relu = lambda x, inplace=False: do(x, False)  # modules come here, too
    nn.ReLU6.forward = lambda module, x: do(x, True)
    yield
    functional.relu, nn.ReLU6.forward = relu, six


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


def inputs_of_relus(net, x):
    found = []

    def do(x, is_six):
        found.append((is_six, x.double().clone()))
        return plain(x, is_six)

    with relus(do), torch.no_grad():
        net(*x)
    return found


def choose(net, single, pictures, candidates):
    """Of the sets of pictures pictures(i) the one for which the fewest inputs of ReLUs lie within four rounding errors of a
    kink. Returns its i, and by mode (True: training) these distances, a number per ReLU in the order of the calls."""
    best = None
    for candidate in range(candidates):
        double, rounded = pictures(candidate)
        near, distances = 0, {}
        for mode in (True, False):
            net.train(mode)
            single.train(mode)
            distances[mode] = []
            for (is_six, exact), (_, rough) in zip(inputs_of_relus(net, double), inputs_of_relus(single, rounded)):
                error = 4.0 * (exact - rough).square().mean().sqrt()
                near += (exact.abs() < error).sum().item()
                near += ((exact - 6.0).abs() < error).sum().item() if is_six else 0
                distances[mode].append(error.item())
        if best is None or near < best[0]:
            best = (near, candidate, distances)
        if near == 0:
            break
    print('  pictures %d: %d inputs of ReLUs near a kink' % (best[1], best[0]), flush=True)
    return best[1], best[2]


def flipped(distances, gradients):
    """What gradients() gives when all near a kink are on, and when all are off: a generator of two."""
    for sign in (-1.0, 1.0):
        shifts = iter(distances)
        with relus(lambda x, is_six: Shifted.apply(x, is_six, sign * next(shifts))):
            yield gradients()
