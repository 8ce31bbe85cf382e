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



def tensor_name(array, name):
    return numpy_helper.from_array(np.ascontiguousarray(array) if array.ndim else array, name)


class Fold:
    """Nodes on constants, in one model; what ONNX's reference evaluator makes of them, in another."""

    def __init__(self, opset):
        self.opset, self.nodes, self.initializers, self.outputs = opset, [], [], []

    def add(self, op, *inputs, outputs=1, **attributes):
        names = []
        number = len(self.nodes)
        for i, value in enumerate(inputs):
            if value is None:
                names.append("")
                continue
            array = np.asarray(value, dtype=np.int64) if isinstance(value, (int, list)) else np.asarray(value)
            names.append(f"in{number}_{i}")
            self.initializers.append(tensor_name(array, names[-1]))
        made = [f"{op}{number}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, names, made, name=f"{op}{number}", **attributes))
        self.outputs += made

    def write(self):
        from onnx.reference import ReferenceEvaluator
        outputs = [helper.make_empty_tensor_value_info(n) for n in self.outputs]
        name = f"fold{self.opset}"
        model = save(name, self.nodes, [], outputs, self.initializers, opset=self.opset, check=False)
        values = ReferenceEvaluator(model).run(None, {})
        expected = [tensor_name(np.asarray(v), n) for v, n in zip(values, self.outputs)]
        save(name + "_expected", [helper.make_node("Identity", [self.outputs[0]], ["y"])], [],
             [helper.make_empty_tensor_value_info("y")], expected, opset=self.opset, check=False)


def f32(*values):
    return np.array(values, dtype=np.float32)


def arithmetic(fold, rng):
    a = rng.normal(size=(2, 3, 4)).astype(np.float32)
    b = rng.normal(size=(3, 1)).astype(np.float32)
    i = np.array([[7, -7, 5], [-5, 9, 0]], dtype=np.int64)
    j = np.array([3, -3, 4], dtype=np.int64)
    for op in ("Add", "Sub", "Mul", "Div"):
        fold.add(op, a, b)
        fold.add(op, i, j)
        fold.add(op, i.astype(np.int32), j.astype(np.int32))
    fold.add("Pow", np.abs(a), f32(0.5))
    for op in ("Less", "Greater"):
        fold.add(op, a, b)
    fold.add("Equal", i, j)
    for op in ("And", "Or", "Xor"):
        fold.add(op, i > 0, j > 0)
    fold.add("Not", i > 0)
    for op in ("Neg", "Abs"):
        fold.add(op, a)
        fold.add(op, i)
    for op in ("Floor", "Ceil", "Exp", "Sigmoid", "Tanh", "Relu", "Reciprocal", "Sin", "Cos", "Atan"):
        fold.add(op, a)
    fold.add("Sqrt", np.abs(a))
    fold.add("Log", np.abs(a))
    for op in ("Min", "Max", "Sum", "Mean"):
        fold.add(op, a, b, f32(0.25))
    fold.add("Max", a)
    fold.add("MatMul", a, rng.normal(size=(2, 4, 5)).astype(np.float32))
    fold.add("MatMul", a, rng.normal(size=(4, 2)).astype(np.float32))
    fold.add("Cast", a * 10, to=TensorProto.INT32)
    fold.add("Cast", i, to=TensorProto.FLOAT16)
    fold.add("Cast", a, to=TensorProto.BOOL)
    fold.add("Cast", a, to=TensorProto.DOUBLE)
    fold.add("Cast", a * 1000, to=TensorProto.FLOAT16)
    fold.add("Cast", f32(1e-7, 6e-8, 65519.0, 65520.0, 3.0517578e-05, 2049, 2051), to=TensorProto.FLOAT16)


def moving(fold, rng):
    a = rng.normal(size=(2, 3, 4)).astype(np.float32)
    fold.add("Constant", value=helper.make_tensor("v", TensorProto.INT64, [2], [5, -6]))
    fold.add("Transpose", a)
    fold.add("Transpose", a, perm=[1, 0, 2])
    fold.add("Reshape", a, [0, -1])
    fold.add("Reshape", a, [4, 6])
    fold.add("Flatten", a, axis=2)
    fold.add("Flatten", a, axis=0)
    fold.add("Flatten", a)
    fold.add("Concat", a, a[:, :1], a, axis=1)
    fold.add("Concat", [1, 2], [3], axis=0)
    fold.add("Gather", a, [[0, 2], [1, 1]], axis=1)
    fold.add("Gather", a, 1, axis=2)
    fold.add("Gather", a, [1])
    fold.add("Shape", a)
    fold.add("Size", a)
    fold.add("Identity", a)
    fold.add("Tile", a, [1, 2, 3])
    fold.add("ArgMax", a, axis=1)
    fold.add("ArgMin", a, axis=2, keepdims=0)
    if fold.opset >= 8:
        fold.add("Expand", a[:, :1], [3, 1])
        fold.add("Expand", a[0], [2, 1, 1])
    if fold.opset >= 9:
        fold.add("ConstantOfShape", [2, 3])
        fold.add("ConstantOfShape", [3], value=helper.make_tensor("v", TensorProto.INT64, [1], [7]))
        fold.add("Where", a > 0, a, f32(9.0))
        fold.add("OneHot", [[0, 2], [-1, 7]], 4, f32(-1, 2))
        fold.add("OneHot", [1, 0], 3, f32(0, 1), axis=0)
        fold.add("NonZero", np.array([[1, 0, 2], [0, 0, 3]], dtype=np.float32))
        fold.add("Sign", a)
        fold.add("Erf", a)
        fold.add("EyeLike", a[0], k=1)


def reducing(fold, rng, since_input):
    a = rng.normal(size=(2, 3, 4)).astype(np.float32)
    i = np.array([[7, -7, 5], [-5, 9, 2]], dtype=np.int64)
    for op in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare",
               "ReduceLogSumExp", "ReduceSum"):
        if fold.opset >= (13 if op == "ReduceSum" else since_input):
            fold.add(op, a, [1])
            fold.add(op, a, [0, -1], keepdims=0)
            fold.add(op, a, None, noop_with_empty_axes=0)
        else:
            fold.add(op, a, axes=[1])
            fold.add(op, a, axes=[0, 2], keepdims=0)
            fold.add(op, a)
    for op in ("ReduceSum", "ReduceProd", "ReduceMax", "ReduceMin"):
        if fold.opset >= (13 if op == "ReduceSum" else since_input):
            fold.add(op, i, [1])
        else:
            fold.add(op, i, axes=[1])


def folds():
    rng = np.random.default_rng(7)
    a = rng.normal(size=(2, 3, 4)).astype(np.float32)
    for opset in (9, 13, 18, 21):
        fold = Fold(opset)
        arithmetic(fold, rng)
        moving(fold, rng)
        reducing(fold, rng, 18)
        if opset < 10:
            fold.add("Slice", a, starts=[0, -3], ends=[1, 100], axes=[0, 2])
            fold.add("Slice", a, starts=[1], ends=[2])
            fold.add("Clip", a, min=-0.5, max=0.25)
        else:
            fold.add("Slice", a, [0, -1], [100, -100], [1, 2], [2, -1])
            fold.add("Slice", a, [-1], [-100], [0], [-1])
            fold.add("Slice", a, [1], [2])
            fold.add("Slice", a, [3, 0], [1, 2], [-1, -2])
            fold.add("Mod", np.array([-7, 7, 5]), np.array([3, -3, 5]))
            fold.add("Mod", np.array([-7, 7, 5]), np.array([3, -3, 5]), fmod=1)
            fold.add("Mod", f32(-7.5, 7.5), f32(2.0, -2.0), fmod=1)
        if opset < 13:
            fold.add("Squeeze", a[:, :1], axes=[1])
            fold.add("Unsqueeze", a, axes=[0, 4])
            fold.add("Split", a, outputs=2, axis=2)
            fold.add("Split", a, outputs=2, axis=1, split=[1, 2])
        else:
            fold.add("Squeeze", a[:, :1], [-2])
            fold.add("Squeeze", a[:1, :1])
            fold.add("Unsqueeze", a, [-1, 0])
            fold.add("Split", a, [1, 3], outputs=2, axis=-1)
            fold.add("Clip", a, f32(-0.5)[0], f32(0.25)[0])
            fold.add("Clip", a, None, f32(0.25)[0])
            fold.add("Constant", value_float=1.5)
            fold.add("Constant", value_int=-3)
            fold.add("Constant", value_ints=[1, 2, 3])
            fold.add("Constant", value_floats=[1.0, 0.5])
            fold.add("Range", np.int64(2), np.int64(11), np.int64(3))
            fold.add("Range", np.float32(1), np.float32(-1), np.float32(-0.3))
            fold.add("CumSum", a, np.int64(1))
            fold.add("CumSum", a, np.int64(-1), exclusive=1, reverse=1)
            fold.add("CumSum", np.arange(6).reshape(2, 3), np.int64(1), reverse=1)
            fold.add("LessOrEqual", a, f32(0.1))
            fold.add("GreaterOrEqual", a, f32(0.1))
            fold.add("Round", a * 5)
            fold.add("GatherElements", a, np.array([[[0, 1, -1, 0]], [[1, 1, 0, 2]]]), axis=1)
            fold.add("GatherND", a, [[0, 1], [1, 2]])
            fold.add("GatherND", a, [[1], [2]], batch_dims=1)
            fold.add("ScatterND", a, [[0, 1], [1, -1]], np.full((2, 4), 8, np.float32))
            fold.add("ScatterElements", a, np.array([[[2, 0, 1, 0]]]), np.full((1, 1, 4), 5, np.float32), axis=1)
            fold.add("Pad", a, [0, 1, 0, 1, 0, 2], f32(3.0)[0])
            fold.add("Equal", a > 0, a > 1)
            fold.add("PRelu", a, f32(0.1, 0.2, 0.3, 0.4))
        if opset >= 15:
            fold.add("Shape", a, start=1)
            fold.add("Shape", a, start=-2, end=-1)
            fold.add("Trilu", a)
            fold.add("Trilu", a, np.int64(-1), upper=0)
            fold.add("CastLike", a, np.int64(0))
        if opset >= 18:
            fold.add("Split", a, outputs=3, axis=2, num_outputs=3)
        fold.write()



def shapes():
    """Operators on inputs with a batch; what shapes the reference evaluator makes of batches of 3 and 5."""
    from onnx.reference import ReferenceEvaluator
    nodes, initializers, names = [], [], []

    def constant(name, value, kind=np.int64):
        initializers.append(tensor_name(np.asarray(value, dtype=kind), name))
        return name

    def add(op, *inputs, outputs=1, **attributes):
        made = [f"{op}{len(nodes)}_{i}" for i in range(outputs)]
        nodes.append(helper.make_node(op, list(inputs), made, name=f"{op}{len(nodes)}", **attributes))
        names.extend(made)
        return made[0]

    zeros = lambda *dims: np.zeros(dims, np.float32)
    f = constant("filters", zeros(6, 4, 3, 3), np.float32)
    for attributes in ({}, {"pads": [1, 1, 1, 1]}, {"strides": [2, 2], "pads": [0, 1, 2, 1]}, {"dilations": [2, 2]},
                       {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, {"auto_pad": "VALID"}):
        add("Conv", "x", f, **attributes)
    add("Conv", "x", constant("depth", zeros(8, 1, 3, 3), np.float32), group=4)
    t = constant("turned", zeros(4, 5, 3, 3), np.float32)
    add("ConvTranspose", "x", t, strides=[2, 2], output_padding=[1, 1], pads=[1, 1, 1, 1])
    add("ConvTranspose", "x", t)
    for ceil in (0, 1):
        add("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=ceil)
        add("AveragePool", "x", kernel_shape=[2, 2], strides=[3, 3], pads=[1, 0, 1, 0], ceil_mode=ceil)
    add("GlobalAveragePool", "x")
    flat = add("Flatten", "x")
    add("Gemm", flat, constant("dense", zeros(7, 4 * 9 * 11), np.float32), transB=1)
    s = add("MatMul", "t", constant("matrix", zeros(6, 8), np.float32))
    add("LayerNormalization", s, constant("one", np.ones(8), np.float32))
    add("Softmax", s, axis=-1)
    add("ReduceMean", "x", constant("hw", [2, 3]), keepdims=0)
    add("ReduceMax", "t", constant("last", [-1]))
    add("ArgMax", "t", axis=-1, keepdims=0)
    add("Add", "t", constant("bias", zeros(6), np.float32))
    add("Mul", "x", constant("column", zeros(4, 1, 1), np.float32))
    q = add("Transpose", add("Reshape", s, constant("heads", [0, -1, 2, 4])), perm=[0, 2, 1, 3])
    k = add("Transpose", q, perm=[0, 1, 3, 2])
    add("MatMul", q, k)
    add("Einsum", q, q, equation="bhid,bhjd->bhij")
    add("Slice", "t", constant("from", [1]), constant("to", [-1]), constant("axis", [1]))
    add("Slice", "x", constant("from2", [0, 10]), constant("to2", [100, 0]), constant("axes2", [2, 3]),
        constant("steps2", [2, -3]))
    add("Split", "t", constant("parts", [1, 4]), outputs=2, axis=1)
    add("Concat", "t", "t", axis=1)
    add("Gather", "t", constant("first", 0), axis=1)
    add("Gather", "t", constant("some", [0, 2]), axis=2)
    add("Pad", "x", constant("pads", [0, 0, 1, 2, 0, 0, 3, 4]))
    add("Resize", "x", "", constant("scales", [1, 1, 2, 1.5], np.float32))
    add("DepthToSpace", "x", blocksize=2)
    add("Unsqueeze", "t", constant("zero_three", [0, 3]))
    add("Squeeze", add("ReduceSum", "t", constant("second", [1])), constant("second_again", [1]))
    add("Expand", add("ReduceSum", "t", constant("again", [1])), constant("wide", [1, 5, 6]))
    add("TopK", "t", constant("k", [3]), outputs=2)
    # What PyTorch's exporters write: arithmetic on shapes.
    n = add("Gather", add("Shape", "x"), constant("nought", 0), axis=0)
    row = add("Unsqueeze", n, constant("at_zero", [0]))
    shape = add("Concat", row, constant("minus", [-1]), axis=0)
    add("Reshape", "x", shape)
    add("Reshape", "x", add("Concat", add("Mul", row, constant("four", [4])), constant("rest", [9, 11]), axis=0))
    token = add("Expand", constant("token", np.ones((1, 1, 6)), np.float32),
                add("Concat", row, constant("one_six", [1, 6]), axis=0))
    add("Concat", token, "t", axis=1)
    halves = add("Div", add("Size", "x"), constant("all", 2 * 9 * 11))
    add("Reshape", "x", add("Concat", add("Unsqueeze", halves, constant("z", [0])), constant("r", [2, 9, 11]), axis=0))
    add("Where", add("Equal", shape, constant("m", [-1])), constant("two", [2]), shape)
    outputs = [helper.make_empty_tensor_value_info(n) for n in names]
    model = save("shapes", nodes, [floats("x", "batch", 4, 9, 11), floats("t", "batch", 5, 6)], outputs, initializers,
                 opset=18, check=False)
    made = {}
    for batch in (3, 5):
        made[batch] = ReferenceEvaluator(model).run(None, {"x": zeros(batch, 4, 9, 11), "t": zeros(batch, 5, 6)})
    with open(os.path.join(OUT, "shapes.txt"), "w") as out:
        for i, name in enumerate(names):
            dims = []
            for a, b in zip(np.asarray(made[3][i]).shape, np.asarray(made[5][i]).shape):
                rise = (b - a) // 2
                assert a - 3 * rise == 0 or rise == 0
                dims.append(str(a) if rise == 0 else "N" if rise == 1 else f"{rise}N")
            out.write(f"{name} [{', '.join(dims)}]\n")


def special():
    """Branches, functions, external data; and what is wrong."""
    x, y = floats("x", "n", 3, 1), helper.make_empty_tensor_value_info("y")
    shape = [helper.make_node("Shape", ["x"], ["s"], name="shape"),
             helper.make_node("Gather", ["s", "two"], ["d"], name="pick"),
             helper.make_node("Equal", ["d", "one"], ["c"], name="ask")]
    two = [tensor_name(np.array(2), "two"), tensor_name(np.array(1), "one"), tensor_name(np.array([2]), "axis")]
    then = helper.make_graph([helper.make_node("Squeeze", ["x", "axis"], ["squeezed"], name="squeeze")], "then", [],
                             [helper.make_empty_tensor_value_info("squeezed")])
    other = helper.make_graph([helper.make_node("Relu", ["x"], ["same"], name="same")], "else", [],
                              [helper.make_empty_tensor_value_info("same")])
    branch = helper.make_node("If", ["c"], ["i"], name="branch", then_branch=then, else_branch=other)
    save("branch", shape + [branch, helper.make_node("Relu", ["i"], ["y"], name="relu")], [x], [y], two, check=False)
    asks = helper.make_node("If", ["x"], ["y"], name="branch", then_branch=then, else_branch=other)
    save("branch_of_input", [asks], [helper.make_tensor_value_info("x", TensorProto.BOOL, [])], [y], two, check=False)
    inner = helper.make_function("local", "twice", ["a"], ["b"],
                                 [helper.make_node("Add", ["a", "a"], ["b"], name="sum")],
                                 [helper.make_opsetid("", 17)])
    leaky = helper.make_node("LeakyRelu", ["t"], ["b"], name="leaky")
    leaky.attribute.append(onnx.AttributeProto(name="alpha", type=onnx.AttributeProto.FLOAT, ref_attr_name="slope"))
    outer = helper.make_function("local", "block", ["a"], ["b"],
                                 [helper.make_node("twice", ["a"], ["t"], name="inner", domain="local"), leaky],
                                 [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)], ["slope"])
    calls = [helper.make_node("block", ["x"], ["h"], name="first", domain="local", slope=0.5),
             helper.make_node("block", ["h"], ["y"], name="second", domain="local", slope=0.25)]
    save("function", calls, [x], [floats("y", "n", 3, 1)], functions=[inner, outer], domains=["local"])
    # Exported with a batch of 2.
    fixed = [helper.make_node("Transpose", ["x"], ["t"], name="turn", perm=[1, 0, 2]),
             helper.make_node("Reshape", ["t", "heads"], ["h"], name="heads"),
             helper.make_node("Transpose", ["h"], ["u"], name="back", perm=[1, 0, 2]),
             helper.make_node("Reshape", ["u", "split"], ["v"], name="split"),
             helper.make_node("Reshape", ["v", "flat"], ["y"], name="flat")]
    save("fixed_batch", fixed, [floats("x", 2, 5, 12)], [y],
         [tensor_name(np.array([5, 8, 3]), "heads"), tensor_name(np.array([2, 4, 5, 3]), "split"),
          tensor_name(np.array([2, -1]), "flat")], check=False)
    same = np.tile(np.arange(60, dtype=np.float32).reshape(1, 5, 12), (2, 1, 1))
    batch = [helper.make_node("Conv", ["same", "filters"], ["c"], name="conv"),
             helper.make_node("Concat", ["x", "same", "c"], ["j"], name="join", axis=1),
             helper.make_node("ReduceMean", ["j"], ["m"], name="mean", axes=[1], keepdims=0),
             helper.make_node("Reshape", ["m", "list"], ["l"], name="list"),
             helper.make_node("Gather", ["l", "all"], ["p"], name="pick", axis=0),
             helper.make_node("Relu", ["p"], ["y"], name="relu")]
    save("fixed_constants", batch, [floats("x", 2, 5, 12)], [y],
         [tensor_name(same, "same"), tensor_name(np.zeros((4, 5, 1), np.float32), "filters"),
          tensor_name(np.array([24]), "list"), tensor_name(np.arange(24).reshape(2, 12, 1, 1), "all")], check=False)
    own = np.stack(np.meshgrid(np.arange(2), np.arange(3), indexing="ij"), -1)
    save("fixed_indices", [helper.make_node("GatherND", ["x", "own"], ["g"], name="own"),
                           helper.make_node("IsNaN", ["g"], ["y"], name="ask")],
         [floats("x", 2, 5, 12)], [y], [tensor_name(own, "own")], check=False)
    save("open_sizes", [helper.make_node("Relu", ["x"], ["y"], name="relu")],
         [floats("x", "n", 3, "height", "width")], [floats("y", "n", 3, "height", "width")])
    relu = helper.make_node("Relu", ["x"], ["y"], name="relu")
    small = floats("x", "n", 3)
    for name, opset in (("opset6", 6), ("opset99", 99)):
        save(name, [relu], [small], [y], opset=opset, check=False)
    save("circle", [helper.make_node("Add", ["x", "b"], ["a"], name="first"),
                    helper.make_node("Relu", ["a"], ["b"], name="second"),
                    helper.make_node("Relu", ["b"], ["y"], name="third")], [small], [y], check=False)
    save("missing", [helper.make_node("Add", ["x", "weigth"], ["y"], name="sum")], [small], [y],
         [tensor_name(f32(1, 2, 3), "weight")], check=False)
    save("twice", [helper.make_node("Relu", ["x"], ["y"], name="one"), helper.make_node("Relu", ["x"], ["y"])],
         [small], [y], check=False)
    save("no_output", [relu], [small], [helper.make_empty_tensor_value_info("z")], check=False)
    save("misfit", [helper.make_node("Add", ["x", "w"], ["y"], name="sum")], [small], [y],
         [tensor_name(np.zeros(4, np.float32), "w")], check=False)
    body = helper.make_graph([], "body", [], [])
    save("loop", [helper.make_node("Loop", ["", "", "x"], ["y"], name="loop", body=body)], [small], [y], check=False)
    short = helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0])
    short.dims[0] = 3
    save("short", [helper.make_node("Add", ["x", "w"], ["y"], name="sum")], [small], [y], [short], check=False)
    huge = helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0])
    huge.dims.extend([1 << 62, 1 << 62])
    save("huge", [helper.make_node("Add", ["x", "w"], ["y"], name="sum")], [small], [y], [huge], check=False)
    eight = helper.make_tensor("w", TensorProto.FLOAT8E4M3FN, [4], b"\1\2\3\4", raw=True)
    save("float8", [helper.make_node("Cast", ["w"], ["y"], name="cast", to=1)], [], [y], [eight], check=False)
    with open(os.path.join(OUT, "beside.bin"), "wb") as out:
        out.write(b"\0" * 8 + f32(1.5, -2.0, 3.25).tobytes())
    for name, location, offset in (("external", "beside.bin", "8"), ("external_past", "beside.bin", "12"),
                                   ("external_up", "../onnx/beside.bin", "8"), ("external_root", "/dev/zero", "0"),
                                   ("external_missing", "besides.bin", "8"), ("external_bad", "beside.bin", "8x")):
        outside = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
        for key, value in (("location", location), ("offset", offset), ("length", "12")):
            outside.external_data.add(key=key, value=value)
        save(name, [helper.make_node("Add", ["x", "w"], ["y"], name="sum")], [small], [y], [outside], check=False)


if __name__ == "__main__":
    os.makedirs(OUT, exist_ok=True)
    types()
    folds()
    shapes()
    special()
