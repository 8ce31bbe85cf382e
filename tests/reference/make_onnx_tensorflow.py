#!/usr/bin/env python3
"""Writes tests/data/onnx/NAME.tf.onnx: small networks as tf2onnx writes those of Keras, with ONNX Runtime's outputs.

    python3 make_onnx_tensorflow.py

`speech` is built as a speech embedding is: frames of one channel, convolutions along one axis and the other. `picture` is an
inverted residual network. Inputs are channels-last, a Transpose or Reshape brings them to [N,C,H,W], batchnorm is folded, names
are paths of a model without modules. NAME.safetensors has `x` and `y` for a batch of 3. Made with onnx
1.23.2 and ONNX Runtime 1.32.0.
"""
import os

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "onnx")


class Net:
    def __init__(self, name, seed):
        self.name, self.nodes, self.initializers, self.counts = name, [], [], {}
        self.random = np.random.default_rng(seed)

    def constant(self, values, name):
        self.initializers.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(self, op, inputs, name, **attributes):
        """`name` is the layer's and the operation's: conv2d/Conv2D. A layer's second use is conv2d_1."""
        layer, _, leaf = name.partition("/")
        count = self.counts.get(layer, 0)
        self.counts[layer] = count + 1
        path = "model/" + (layer if count == 0 else "%s_%d" % (layer, count)) + ("/" + leaf if leaf else "")
        self.nodes.append(helper.make_node(op, inputs, [path + ":0"], path, **attributes))
        return path + ":0"

    def conv(self, x, c, k, kernel, name="conv2d/Conv2D", groups=1, **attributes):
        w = self.random.standard_normal((k, c // groups, *kernel)) * (1.6 / np.sqrt(c // groups * kernel[0] * kernel[1]))
        at = "%s_%d" % (name, len(self.nodes))
        return self.node("Conv", [x, self.constant(w.astype(np.float32), at + "_weights_fused_bn"),
                                  self.constant((0.2 * self.random.standard_normal(k)).astype(np.float32), at + "_bias_fused_bn")],
                         name, kernel_shape=kernel, group=groups, **attributes)

    def save(self, shape, y, rank):
        x = helper.make_tensor_value_info("input_1", TensorProto.FLOAT, ["unk__1", *shape])
        out = helper.make_tensor_value_info(y, TensorProto.FLOAT, ["unk__2"] + [None] * (rank - 1))
        graph = helper.make_graph(self.nodes, "tf2onnx", [x], [out], self.initializers)
        model = helper.make_model(graph, producer_name="tf2onnx", producer_version="1.16.1", ir_version=7,
                                  opset_imports=[helper.make_opsetid("", 13)])
        path = os.path.join(OUT, self.name + ".tf.onnx")
        onnx.checker.check_model(model)
        onnx.save(model, path)
        values = self.random.standard_normal((3, *shape)).astype(np.float32)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        save_file({"x": values, "y": session.run(None, {"input_1": values})[0]},
                  os.path.join(OUT, self.name + ".safetensors"))


def speech():
    net = Net("speech", 1)
    floor = net.constant(np.full((1, 1, 1, 1), -0.4, np.float32), "const_fold_opt__1")

    def unit(x, c, k, kernel, pads):
        x = net.conv(x, c, k, kernel, pads=pads)
        x = net.node("LeakyRelu", [x], "leaky_re_lu/LeakyRelu", alpha=0.2)
        return net.node("Max", [x, floor], "tf.math.maximum/Maximum")

    x = net.node("Reshape", ["input_1", net.constant(np.array([-1, 1, 41, 18], np.int64), "new_shape__1")], "conv2d/Conv2D__6")
    net.counts.clear()
    x = unit(x, 1, 4, [3, 3], [0, 1, 0, 1])
    c = 4
    for k, pool in [(6, [2, 2]), (7, [1, 2]), (9, [2, 2])]:
        for _ in range(2):
            x = unit(unit(x, c, k, [1, 3], [0, 1, 0, 1]), k, k, [3, 1], [0, 0, 0, 0])
            c = k
        x = net.node("MaxPool", [x], "max_pooling2d/MaxPool", kernel_shape=pool, strides=pool)
    x = net.conv(x, c, 8, [3, 1])
    net.save([41, 18, 1], net.node("Transpose", [x], "conv2d_last/Transpose", perm=[0, 2, 3, 1]), 4)


def picture():
    net = Net("picture", 2)
    low, high = net.constant(np.float32(0), "zero"), net.constant(np.float32(6), "six")

    def relu6(x):
        return net.node("Clip", [x, low, high], "re_lu/Relu6")

    def inverted(x, c, k, stride):
        y = relu6(net.conv(x, c, 3 * c, [1, 1]))
        if stride > 1:
            y = net.node("Pad", [y, net.constant(np.array([0, 0, 0, 0, 0, 0, 1, 1], np.int64), "pads_%d" % len(net.nodes))],
                         "zero_padding2d/Pad")
        pads = [0, 0, 0, 0] if stride > 1 else [1, 1, 1, 1]
        y = relu6(net.conv(y, 3 * c, 3 * c, [3, 3], "depthwise_conv2d/depthwise", 3 * c, strides=[stride] * 2, pads=pads))
        y = net.conv(y, 3 * c, k, [1, 1])
        return net.node("Add", [x, y], "add/add") if c == k and stride == 1 else y

    x = net.node("Transpose", ["input_1"], "conv2d/Conv2D__7", perm=[0, 3, 1, 2])
    net.counts.clear()
    x = relu6(net.conv(x, 3, 5, [3, 3], strides=[2, 2], auto_pad="SAME_UPPER"))
    for c, k, stride in [(5, 5, 1), (5, 5, 1), (5, 7, 2), (7, 7, 1), (7, 7, 1), (7, 7, 1), (7, 8, 2), (8, 8, 1)]:
        x = inverted(x, c, k, stride)
    x = net.node("GlobalAveragePool", [x], "global_average_pooling2d/Mean")
    x = net.node("Squeeze", [x, net.constant(np.array([2, 3], np.int64), "axes")], "global_average_pooling2d/Mean_Squeeze__9")
    w = net.constant(net.random.standard_normal((8, 6)).astype(np.float32), "dense/MatMul/ReadVariableOp:0")
    x = net.node("MatMul", [x, w], "dense/MatMul")
    b = net.constant(net.random.standard_normal(6).astype(np.float32), "dense/BiasAdd/ReadVariableOp:0")
    net.counts.clear()
    x = net.node("Add", [x, b], "dense/BiasAdd")
    net.save([35, 31, 3], net.node("Softmax", [x], "softmax/Softmax"), 2)


speech()
picture()
