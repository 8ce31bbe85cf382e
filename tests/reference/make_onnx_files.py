#!/usr/bin/env python3
"""Writes tests/data/onnx: small models made by ONNX's own tools, and expected.txt: what ONNX's reference evaluator makes
of them. Run with the Python packages onnx and numpy; the files are committed."""
import os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OUT = os.path.join(os.path.dirname(__file__), "..", "data", "onnx")
NUMPY = {"float": np.float32, "double": np.float64, "float16": np.float16, "int64": np.int64, "int32": np.int32,
         "int16": np.int16, "int8": np.int8, "uint8": np.uint8, "uint16": np.uint16, "uint32": np.uint32,
         "uint64": np.uint64, "bool": np.bool_}


def save(name, nodes, inputs, outputs, initializers=(), opset=17, ir=8, functions=(), domains=(), check=True, **more):
    graph = helper.make_graph(nodes, name, inputs, outputs, list(initializers))
    imports = [helper.make_opsetid("", opset)] + [helper.make_opsetid(d, 1) for d in domains]
    model = helper.make_model(graph, opset_imports=imports, ir_version=ir, producer_name="make_onnx_files",
                              functions=list(functions))
    for key, value in more.items():
        helper.set_model_props(model, {key: value})
    if check:
        onnx.checker.check_model(model)
    path = os.path.join(OUT, name + ".onnx")
    onnx.save(model, path)
    return model


def floats(name, *dims):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)


def types():
    """An initializer of each type, as raw bytes and as a list, and what its values are."""
    lines, initializers = [], []
    values = [-3.0, 0.0, 0.5, 1.0, 1.5, 77.25]
    for word, kind in NUMPY.items():
        array = np.array([v for v in values if not (word[0] == "u" or word == "bool") or v >= 0], dtype=kind)
        number = helper.np_dtype_to_tensor_dtype(array.dtype)
        initializers.append(helper.make_tensor(word + "_raw", number, array.shape, array.tobytes(), raw=True))
        initializers.append(helper.make_tensor(word + "_list", number, array.shape, array.tolist()))
        for form in ("raw", "list"):
            lines.append(" ".join([f"{word}_{form}", word] + [repr(float(v)) for v in array]))
    wide = np.array([1.0, -2.5, 3.140625, 1e30], dtype=np.float32)
    bits = (wide.view(np.uint32) >> 16).astype(np.uint16)
    initializers.append(helper.make_tensor("bfloat16_raw", TensorProto.BFLOAT16, bits.shape, bits.tobytes(), raw=True))
    exact = (bits.astype(np.uint32) << 16).view(np.float32)
    lines.append(" ".join(["bfloat16_raw", "bfloat16"] + [repr(float(v)) for v in exact]))
    save("types", [helper.make_node("Identity", ["x"], ["y"], name="same")], [floats("x", "batch", 3)],
         [floats("y", "batch", 3)], initializers, labels="one,two")
    with open(os.path.join(OUT, "types.txt"), "w") as out:
        out.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    os.makedirs(OUT, exist_ok=True)
    types()
