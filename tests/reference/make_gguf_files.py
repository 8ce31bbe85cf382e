"""Writes tests/data/weights/: small GGUF files made by the format's own package, and what it reads from them.

Usage: python make_gguf_files.py OUT_FOLDER          (needs gguf, numpy and safetensors)

types.gguf            a tensor of each type that is read, random blocks; values of every type, lists among them
types_v2.gguf         the same tensors in version 2, without values, aligned to 64
types_gguf.safetensors  what gguf.quants.dequantize makes of them, as float32
"""
import os
import sys

import gguf
import numpy as np
import safetensors.numpy
from gguf import GGMLQuantizationType as Q

QUANTISED = [Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1, Q.Q8_0, Q.Q2_K, Q.Q3_K, Q.Q4_K, Q.Q5_K, Q.Q6_K]
# Where the half-precision scales lie in a block: random bits would make some of them infinite.
SCALES = {Q.Q4_0: [0], Q.Q4_1: [0, 2], Q.Q5_0: [0], Q.Q5_1: [0, 2], Q.Q8_0: [0], Q.Q2_K: [80, 82], Q.Q3_K: [108],
          Q.Q4_K: [0, 2], Q.Q5_K: [0, 2], Q.Q6_K: [208]}


def random_blocks(rng, kind, rows, blocks):
    _, size = gguf.GGML_QUANT_SIZES[kind]
    data = rng.integers(0, 256, (rows * blocks, size), dtype=np.uint8)
    for at in SCALES[kind]:
        scale = rng.normal(0, 0.05, rows * blocks).astype(np.float16)
        scale[0] = np.float16(3e-7)  # a subnormal
        data[:, at:at + 2] = scale.view(np.uint8).reshape(-1, 2)
    return data.reshape(rows, blocks * size)


def tensors():
    rng = np.random.default_rng(20261124)
    made = {}
    for kind in QUANTISED:
        elements, _ = gguf.GGML_QUANT_SIZES[kind]
        rows, blocks = (3, 2) if elements == 256 else (5, 3)
        made[kind.name.lower()] = (kind, random_blocks(rng, kind, rows, blocks))
    halves = rng.normal(0, 1, (4, 6)).astype(np.float16)
    halves.flat[:6] = [0.0, -0.0, 65504, np.inf, -np.inf, 5.960464477539063e-08]
    made["f16"] = (Q.F16, halves)
    made["bf16"] = (Q.BF16, gguf.quants.quantize(rng.normal(0, 1, (4, 6)).astype(np.float32), Q.BF16))
    made["f32"] = (Q.F32, rng.normal(0, 1, (2, 3, 4)).astype(np.float32))
    made["f64"] = (Q.F64, rng.normal(0, 1, (3,)))
    made["i8"] = (Q.I8, rng.integers(-128, 128, (5,), dtype=np.int8))
    made["i32"] = (Q.I32, rng.integers(-1000, 1000, (2, 2), dtype=np.int32))
    return made


def widened(kind, data):
    if kind in (Q.F32, Q.F64, Q.I8, Q.I32):
        return data.astype(np.float32)
    if kind == Q.F16:
        return data.astype(np.float32)
    return gguf.quants.dequantize(data, kind)


def write(path, made, values, alignment=None):
    writer = gguf.GGUFWriter(path, "llama")
    if alignment:
        writer.add_custom_alignment(alignment)
    if values:
        writer.add_name("a small file")
        writer.add_uint8("v.u8", 255)
        writer.add_int8("v.i8", -128)
        writer.add_uint16("v.u16", 65535)
        writer.add_int16("v.i16", -32768)
        writer.add_uint32("v.u32", 4294967295)
        writer.add_int32("v.i32", -2147483648)
        writer.add_uint64("v.u64", 18446744073709551615)
        writer.add_int64("v.i64", -9223372036854775808)
        writer.add_float32("v.f32", 0.1)
        writer.add_float64("v.f64", 0.1)
        writer.add_bool("v.yes", True)
        writer.add_bool("v.no", False)
        writer.add_token_list(["<unk>", "\u0120the", "", "\u00fc", "a b"])
        writer.add_token_scores([0.0, -1.5, 2.25, -3.0, 1e-3])
        writer.add_token_types([3, 1, 1, 1, 6])
        writer.add_token_merges(["t h", "th e"])
        writer.add_array("v.flags", [True, False, True])
    for name, (kind, data) in made.items():
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main(folder):
    os.makedirs(folder, exist_ok=True)
    made = tensors()
    write(os.path.join(folder, "types.gguf"), made, True)
    second = os.path.join(folder, "types_v2.gguf")
    write(second, made, False, alignment=64)
    with open(second, "r+b") as f:  # the layouts are the same
        f.seek(4)
        f.write((2).to_bytes(4, "little"))
    reference = {name: np.ascontiguousarray(widened(kind, data)) for name, (kind, data) in made.items()}
    safetensors.numpy.save_file(reference, os.path.join(folder, "types_gguf.safetensors"))


if __name__ == "__main__":
    main(sys.argv[1])
