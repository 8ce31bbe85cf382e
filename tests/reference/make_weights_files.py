"""Writes tests/data/weights/: small weights files made by the formats' own tools, and what is in them.

Usage: python make_weights_files.py OUT_FOLDER       (needs torch and safetensors; versions go into expected.txt)

expected.txt has one line per tensor and file:
    FILE NAME TYPE [DIMS] VALUE VALUE ...       values as C hexadecimal floats, in row-major order, widened to float32
"""
import collections
import os
import sys

import safetensors
import safetensors.torch
import torch


def small_net_tensors():
    g = torch.Generator().manual_seed(20240601)

    def normal(*shape):
        return torch.randn(*shape, generator=g)

    base = normal(4, 6)
    return collections.OrderedDict([
        ("conv1.weight", normal(4, 3, 2, 3)),
        ("conv1.bias", normal(4)),
        ("bn1.weight", normal(4)),
        ("bn1.running_mean", normal(4)),
        ("bn1.num_batches_tracked", torch.tensor(7)),
        ("fc.weight", base.t()),                     # a strided view: [6, 4]
        ("tied.weight", base),                       # of the same storage
        ("part.weight", base[1:3, 1:5]),             # a part of it: strides and offset
        ("nhwc.weight", normal(2, 3, 2, 2).to(memory_format=torch.channels_last)),
        ("expanded", normal(3, 1).expand(3, 2)),     # a stride of 0
        ("empty", torch.zeros(0, 3)),
        ("scalar", torch.tensor(-2.5)),
    ])


def every_type():
    special = [0.0, -0.0, 1.0, -1.5, 0.333251953125, 6.103515625e-05, 5.960464477539063e-08, float("inf"),
               float("-inf"), 65504.0]
    out = {
        "f64": torch.tensor(special + [1e300, 0.1], dtype=torch.float64),
        "f32": torch.tensor(special + [1e-40, 3.4028234663852886e38], dtype=torch.float32),
        "f16": torch.tensor(special, dtype=torch.float16),
        "bf16": torch.tensor(special + [1e-40, 3e38], dtype=torch.bfloat16),
        "i64": torch.tensor([0, -1, 2**53 + 1, -2**63, 2**63 - 1], dtype=torch.int64),
        "i32": torch.tensor([0, -1, 16777217, -2**31, 2**31 - 1], dtype=torch.int32),
        "i16": torch.tensor([0, -1, -2**15, 2**15 - 1], dtype=torch.int16),
        "i8": torch.tensor([0, -1, -128, 127], dtype=torch.int8),
        "u8": torch.tensor([0, 1, 255], dtype=torch.uint8),
        "bool": torch.tensor([True, False, True]),
    }
    return out


def newer_types():
    return {
        "u16": torch.tensor([0, 1, 65535], dtype=torch.uint16),
        "u32": torch.tensor([0, 1, 2**32 - 1], dtype=torch.uint32),
        "u64": torch.tensor([0, 1, 2**63 - 1], dtype=torch.uint64),
        # every finite value, both infinities; NaNs are left out because they have no one spelling
        "f8_e4m3": torch.tensor([i for i in range(256) if i & 0x7F != 0x7F], dtype=torch.uint8).view(torch.float8_e4m3fn),
        "f8_e5m2": torch.tensor([i for i in range(256) if i & 0x7F <= 0x7C], dtype=torch.uint8).view(torch.float8_e5m2),
    }


TYPE_NAMES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
    torch.uint16: "U16", torch.uint32: "U32", torch.uint64: "U64",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
}


def main(folder):
    os.makedirs(folder, exist_ok=True)
    lines = [f"# torch {torch.__version__}, safetensors {safetensors.__version__}"]

    def path(name):
        return os.path.join(folder, name)

    def expect(file, tensors):
        for name, tensor in tensors.items():
            # numpy rounds to nearest even, as torch does
            values = tensor.to(torch.float32).contiguous().flatten().tolist()
            words = [v.hex() if v == v and abs(v) != float("inf") else str(v) for v in values]
            dims = ",".join(str(d) for d in tensor.shape)
            lines.append(" ".join([file, name, TYPE_NAMES[tensor.dtype], f"[{dims}]"] + words))

    net = small_net_tensors()
    torch.save(net, path("net_zip.pth"))
    expect("net_zip.pth", net)
    torch.save(net, path("net_stream.pth"), _use_new_zipfile_serialization=False)
    expect("net_stream.pth", net)
    torch.save(net, path("net_protocol4.pth"), pickle_protocol=4)
    expect("net_protocol4.pth", net)
    torch.save(net, path("net_stream_protocol4.pth"), _use_new_zipfile_serialization=False, pickle_protocol=4)
    expect("net_stream_protocol4.pth", net)

    # A training script's checkpoint: the state dict one level down, an optimizer's state beside it.
    model = torch.nn.Linear(3, 2)
    with torch.no_grad():
        model.weight.copy_(torch.arange(6.0).reshape(2, 3))
        model.bias.copy_(torch.tensor([0.5, -0.5]))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    checkpoint = {"epoch": 3, "best": 0.75, "name": "linear", "done": True, "none": None, "shape": torch.Size([3, 2]),
                  "state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(checkpoint, path("checkpoint.pth"))
    expect("checkpoint.pth", model.state_dict())
    torch.save({"model": dict(model.named_parameters())}, path("parameters.pth"))  # torch._utils._rebuild_parameter
    expect("parameters.pth", {k: v.detach() for k, v in model.named_parameters()})

    kinds = every_type()
    torch.save(kinds, path("types.pth"))
    expect("types.pth", kinds)
    kinds = dict(kinds, **newer_types())
    safetensors.torch.save_file(kinds, path("types.safetensors"), metadata={"origin": "make_weights_files.py",
                                                                            "text": "\u00fc \"quoted\"\n"})
    expect("types.safetensors", kinds)
    dense = {k: v.contiguous().clone() for k, v in net.items()}
    safetensors.torch.save_file(dense, path("net.safetensors"))
    expect("net.safetensors", dense)

    # Refused: a module as a whole, a global that has no place in a dict of tensors, TorchScript.
    torch.save(model, path("module.pth"))
    torch.save({"w": torch.zeros(1), "when": complex(1, 2)}, path("foreign_global.pth"))
    torch.save([torch.zeros(1)], path("list.pth"))
    torch.save({"epoch": 1, "note": "no tensors"}, path("no_tensors.pth"))
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), path("script.pt"))

    with open(path("expected.txt"), "w") as f:
        f.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
