"""Writes tests/data/weights/: files of NumPy and sharded weights, made by the formats' own tools.

Usage: python make_array_files.py OUT_FOLDER         (needs numpy, torch and safetensors)

arrays.npz, arrays_deflated.npz   every type and order; arrays_npz.safetensors: the same as float32
fortran.npy, version2.npy         one array each, in arrays_npz.safetensors under the same names
objects.npz, complex.npy, big_endian.npy, texts.npy, records.npy   refused
sharded/                          net.safetensors of this folder in two files and an index, and the same as .bin
"""
import json
import os
import sys

import numpy as np
import safetensors.numpy
import safetensors.torch
import torch


def arrays():
    rng = np.random.default_rng(7)
    made = {kind: rng.normal(0, 2, (3, 5)).astype(kind) for kind in ("f2", "f4", "f8")}
    for kind in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"):
        made[kind] = rng.integers(0, 100, (2, 3, 2)).astype(kind)
        made[kind].flat[0] = np.iinfo(kind).max
        made[kind].flat[1] = np.iinfo(kind).min
    made["bool"] = np.array([True, False, True])
    made["scalar"] = np.array(2.5, dtype=np.float32)
    made["empty"] = np.zeros((0, 4), dtype=np.float32)
    made["fortran"] = np.asfortranarray(rng.normal(0, 1, (3, 4, 2)).astype(np.float32))
    made["layer.0/kernel"] = rng.normal(0, 1, (4,)).astype(np.float32)
    return made


def main(folder):
    def path(*names):
        return os.path.join(folder, *names)

    os.makedirs(path("sharded"), exist_ok=True)
    made = arrays()
    np.savez(path("arrays.npz"), **made)
    np.savez_compressed(path("arrays_deflated.npz"), **made)
    np.save(path("fortran.npy"), made["fortran"])
    with open(path("version2.npy"), "wb") as f:
        np.lib.format.write_array(f, made["i2"], version=(2, 0))
    reference = {name: np.array(array, dtype=np.float32, order="C") for name, array in made.items()}
    reference["version2"] = made["i2"].astype(np.float32)
    safetensors.numpy.save_file(reference, path("arrays_npz.safetensors"))

    np.savez(path("objects.npz"), fine=made["f4"], things=np.array([{"a": 1}, None], dtype=object))
    np.save(path("complex.npy"), np.zeros(2, dtype=np.complex64))
    np.save(path("big_endian.npy"), np.zeros(2, dtype=">f4"))
    np.save(path("texts.npy"), np.array(["ab", "c"]))
    np.save(path("records.npy"), np.zeros(2, dtype=[("a", "<f4"), ("b", "<i4")]))

    net = safetensors.torch.load_file(path("net.safetensors"))
    names = list(net)
    halves = [names[::2], names[1::2]]
    for ending, save in ((".safetensors", safetensors.torch.save_file), (".bin", torch.save)):
        stem = "model" if ending == ".safetensors" else "pytorch_model"
        files = [f"{stem}-{i + 1:05}-of-00002{ending}" for i in range(2)]
        for file, part in zip(files, halves):
            save({name: net[name] for name in part}, path("sharded", file))
        index = {"metadata": {"total_size": sum(t.numel() * t.element_size() for t in net.values())},
                 "weight_map": {name: file for file, part in zip(files, halves) for name in part}}
        with open(path("sharded", stem + ending + ".index.json"), "w") as f:
            json.dump(index, f, indent=2, sort_keys=True)
            f.write("\n")


if __name__ == "__main__":
    main(sys.argv[1])
