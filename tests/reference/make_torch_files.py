"""Writes tests/data/weights/torch/: what else people save with torch.save, and what PyTorch reads from it.

Usage: python make_torch_files.py OUT_FOLDER         (needs torch, numpy and safetensors)

reference.safetensors has every tensor of every file that is read, as float32, under FILE/NAME. The files whose names
begin with no_ are refused.
"""
import argparse
import collections
import datetime
import os
import pathlib
import sys

import numpy as np
import safetensors.torch
import torch


def main(folder):
    os.makedirs(folder, exist_ok=True)
    torch.manual_seed(3)
    reference = {}

    def save(file, thing, wanted=None, **options):
        torch.save(thing, os.path.join(folder, file), **options)
        for name, tensor in (wanted or {}).items():
            reference[f"{file}/{name}"] = tensor.detach().to(torch.float32).contiguous().clone()

    net = {"fc.weight": torch.randn(2, 3), "fc.bias": torch.randn(2)}
    average = {name: tensor * 0.5 for name, tensor in net.items()}
    base = torch.randn(60)
    views = {"a": base, "b": base, "part": base[10:20], "turned": base.view(6, 10).t(), "steps": base.view(6, 10)[::2, 1::3],
             "same": base[:1].expand(50), "windows": base.as_strided((5, 5), (1, 1)),
             "moved": torch.randn(2, 3, 4).permute(2, 0, 1), "nhwc": torch.randn(1, 3, 2, 2).to(
                 memory_format=torch.channels_last)}
    save("views.pth", views, views)
    save("views_stream.pth", views, views, _use_new_zipfile_serialization=False)

    settings = {"model": net, "args": argparse.Namespace(lr=0.1, sizes=[1, 2]), "accuracy": np.float64(0.5),
                "array": np.arange(4.0), "path": pathlib.PurePosixPath("a/b"), "when": datetime.datetime(2020, 1, 2),
                "counts": collections.Counter({"a": 1}), "log": collections.defaultdict(list, {"loss": [1.0]}),
                "seen": {1, 2}, "dtype": torch.float32, "device": torch.device("cpu"), "size": torch.Size([1]),
                "random": torch.get_rng_state()[:8], "big": 2**80, "bytes": b"abc"}
    save("settings.pth", settings, net)
    save("settings_protocol4.pth", settings, net, pickle_protocol=4)
    save("deep.pth", {"epoch": 1, "model": {"state_dict": net}, "optimizer": {"state": {0: {"m": torch.ones(2)}}}}, net)
    save("ema.pth", {"params_ema": average, "params": net}, net)
    save("only.pth", {"encoder": net, "optimizer": {"m": torch.ones(2)}}, net)
    save("several.pth", {"encoder": net, "decoder": average, "epoch": 3},
         {**{"encoder." + k: v for k, v in net.items()}, **{"decoder." + k: v for k, v in average.items()}})
    save("parallel.pth", {"state_dict": collections.OrderedDict(("module." + k, v) for k, v in net.items())},
         {"module." + k: v for k, v in net.items()})
    named = torch.nn.Linear(3, 2).state_dict()  # with _metadata
    save("metadata.pth", named, named)

    newer = {"e4m3": torch.randn(5).to(torch.float8_e4m3fn), "e5m2": torch.randn(5).to(torch.float8_e5m2),
             "u16": torch.tensor([0, 65535], dtype=torch.uint16), "u32": torch.tensor([1, 2**31], dtype=torch.uint32)}
    save("newer.pth", newer, newer)
    save("newer_stream.pth", newer, newer, _use_new_zipfile_serialization=False)
    noted = torch.nn.Parameter(torch.randn(2))
    noted.note = "an attribute"
    plain = torch.randn(3)
    plain.note = "another"
    kinds = {"parameter": torch.nn.Parameter(torch.randn(3)), "buffer": torch.nn.Buffer(torch.randn(2)), "noted": noted,
             "plain": plain, "trained": torch.ones(2, requires_grad=True)}
    save("kinds.pth", kinds, kinds)
    save("numbers.pth", {0: torch.ones(2), 7: torch.zeros(1)}, {"0": torch.ones(2), "7": torch.zeros(1)})

    from torch.utils.serialization import config
    config.save.storage_alignment = 4096
    save("aligned.pth", {"a": base[:3].clone(), "b": base[3:6].clone()}, {"a": base[:3], "b": base[3:6]})
    config.save.storage_alignment = 64

    save("no_complex.pth", {"w": torch.zeros(2, dtype=torch.complex64)})
    save("no_complex32.pth", {"w": torch.zeros(2, dtype=torch.complex32)})
    save("no_quantised.pth", {"w": torch.quantize_per_tensor(torch.randn(4), 0.1, 0, torch.qint8)})
    save("no_sparse.pth", {"w": torch.eye(3).to_sparse()})
    save("no_meta.pth", {"w": torch.empty(3, device="meta")})
    save("no_negated.pth", {"w": torch.randn(3, dtype=torch.complex64).conj().imag})
    save("no_fnuz.pth", {"w": torch.ones(2).to(torch.float8_e4m3fnuz)})
    save("no_tensor.pth", torch.ones(2))
    save("no_numpy.pth", {"w": np.ones(2, dtype=np.float32)})
    save("no_model.pth", {"epoch": 1, "model": torch.nn.Linear(1, 1)})
    save("no_huge.pth", {"w": torch.ones(1).expand(1 << 14, 1 << 14)})
    safetensors.torch.save_file(reference, os.path.join(folder, "reference.safetensors"))


if __name__ == "__main__":
    main(sys.argv[1])
