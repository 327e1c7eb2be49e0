"""Small graphs written node by node, for what exporters seldom write, each with the PyTorch module of the same meaning.
A parameter of the module has the name of its initializer."""

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import nn


class EdgeModel(nn.Module):
    """Parameters by name and shape; `graph` returns what `write` puts into the file."""

    opset = 17
    external_above = None  # bytes: larger initializers go to a file beside the model

    def __init__(self, **shapes):
        super().__init__()
        for name, shape in shapes.items():
            deviation = shape[-2] ** -0.5 if len(shape) > 1 else 0.3
            self.register_parameter(name, nn.Parameter(torch.randn(shape) * deviation))

    def value(self, name):
        return getattr(self, name).detach().numpy()

    def initializers(self, *without):
        named = [name for name, _ in self.named_parameters() if name not in without]
        return [numpy_helper.from_array(self.value(name), name) for name in named]

    def write(self, path):
        nodes, inputs, num_classes, weights = self.graph()
        nodes = [helper.make_node(op, takes, gives, **attributes) for op, takes, gives, attributes in nodes]
        graph = helper.make_graph(
            nodes,
            path.stem,
            [helper.make_tensor_value_info(*each) for each in inputs],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", num_classes])],
            weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        external = {}
        if self.external_above is not None:
            external = dict(save_as_external_data=True, location=path.name + ".data", size_threshold=self.external_above)
        onnx.save(model, path, **external)


def constants(**values):
    return [numpy_helper.from_array(value, name) for name, value in values.items()]


def node(op, takes, gives, **attributes):
    return op, takes.split(" "), [gives], attributes


class EdgeGemm(EdgeModel):
    """Gemm with transA, transB, alpha and beta; C a vector, [1, 1], [1, 5] or absent; Clip without a minimum; a weight
    in float_data beside raw ones."""

    opset = 13

    def __init__(self):
        super().__init__(w1=(12, 16), b1=(16,), w2=(16, 16), w3=(16, 5), b3=(1, 1), w4=(16, 5), b4=(1, 5))

    def forward(self, x):
        h = torch.tanh(0.5 * (x @ self.w1) + 2.0 * self.b1)
        h = torch.clamp(1.5 * (h @ self.w2.t()), max=0.8)
        return (h @ self.w3 + self.b3) + (torch.sigmoid(h) @ self.w4 - 0.25 * self.b4)

    def graph(self):
        nodes = [
            node("Gemm", "x w1 b1", "g1", alpha=0.5, beta=2.0, transB=0),
            node("Tanh", "g1", "h1"),
            node("Gemm", "h1 w2", "g2", alpha=1.5, transB=1),
            node("Clip", "g2  limit", "h2"),  # two spaces: the input between them is absent
            node("Gemm", "h2 w3 b3", "g3"),
            node("Sigmoid", "h2", "s"),
            node("Transpose", "s", "st", perm=[1, 0]),
            node("Gemm", "st w4 b4", "g4", transA=1, beta=-0.25),
            node("Add", "g3 g4", "logits"),
        ]
        typed = helper.make_tensor("w1", TensorProto.FLOAT, [12, 16], self.value("w1").flatten().tolist())
        weights = [typed, *self.initializers("w1"), *constants(limit=np.float32(0.8))]
        return nodes, [("x", TensorProto.FLOAT, ["batch", 12])], 5, weights


class EdgeShared(EdgeModel):
    """One weight used as it is, through Identity, transposed and by Gather; Constant nodes; a weight that is a graph
    input as well; an initializer that nothing reads."""

    def __init__(self):
        super().__init__(w=(16, 16), b=(16,), u=(16, 6))

    def forward(self, x):
        h = torch.tanh(x @ self.w + self.b)
        h = torch.tanh(h @ self.w.t() + self.b + self.w[3])
        return (h * 0.5 + torch.linspace(-1, 1, 16).to(h.dtype)) @ self.u

    def graph(self):
        shift = numpy_helper.from_array(torch.linspace(-1, 1, 16).numpy(), "shift_value")
        nodes = [
            ("Constant", [], ["half"], dict(value_float=0.5)),
            ("Constant", [], ["shift"], dict(value=shift)),
            ("Constant", [], ["three"], dict(value_int=3)),
            node("MatMul", "x w", "m1"),
            node("Add", "m1 b", "a1"),
            node("Tanh", "a1", "h1"),
            node("Identity", "w", "w_alias"),
            node("Identity", "b", "b_alias"),
            node("Transpose", "w_alias", "w_transposed", perm=[1, 0]),
            node("MatMul", "h1 w_transposed", "m2"),
            node("Add", "m2 b_alias", "a2"),
            node("Gather", "w_alias three", "row", axis=0),
            node("Add", "a2 row", "a3"),
            node("Tanh", "a3", "h2"),
            node("Mul", "h2 half", "h3"),
            node("Add", "h3 shift", "h4"),
            node("MatMul", "h4 u", "logits"),
        ]
        inputs = [("x", TensorProto.FLOAT, ["batch", 16]), ("u", TensorProto.FLOAT, [16, 6])]
        return nodes, inputs, 6, [*self.initializers(), *constants(unread=np.float32([1, 2, 3]))]


class EdgeMatMul(EdgeModel):
    """Products of two activations, of 3-D with 2-D, of broadcast 4-D with a 3-D weight, and with a vector."""

    opset = 13

    def __init__(self):
        super().__init__(w=(8, 12), g=(8,), heads=(3, 12, 4), v=(12, 5))

    def forward(self, x):
        y = torch.softmax(x @ x.transpose(1, 2) * 0.3, dim=-1) @ x
        y = y * torch.sigmoid(x @ self.g).unsqueeze(-1)
        z = (y @ self.w).unsqueeze(1) @ self.heads
        return z.mean(2).flatten(1) @ self.v

    def graph(self):
        nodes = [
            node("Transpose", "x", "xt", perm=[0, 2, 1]),
            node("MatMul", "x xt", "scores"),
            node("Mul", "scores scale", "scaled"),
            node("Softmax", "scaled", "p"),  # its axis is -1 where it is not given, since opset 13
            node("MatMul", "p x", "y"),
            node("MatMul", "x g", "gate"),
            node("Sigmoid", "gate", "open"),
            node("Unsqueeze", "open last", "open3"),
            node("Mul", "y open3", "gated"),
            node("MatMul", "gated w", "wide"),
            node("Unsqueeze", "wide one", "wide4"),
            node("MatMul", "wide4 heads", "z"),
            node("ReduceMean", "z", "mean", axes=[2], keepdims=0),
            node("Reshape", "mean shape", "flat"),
            node("MatMul", "flat v", "logits"),
        ]
        fixed = constants(scale=np.float32(0.3), last=np.int64([-1]), one=np.int64([1]), shape=np.int64([0, -1]))
        return nodes, [("x", TensorProto.FLOAT, ["batch", 6, 8])], 5, self.initializers() + fixed


class EdgeEmbed(EdgeModel):
    """Rows gathered from a float16 table and a float16 matrix, each through Cast; Gather at index -1; large tensors in
    a file beside the model."""

    external_above = 256

    def __init__(self):
        super().__init__(table=(40, 16), pos=(6, 16), w=(16, 16), b=(16,), head=(16, 7))
        for parameter in (self.table, self.w):
            parameter.data = parameter.data.half().float()

    def forward(self, tokens):
        h = self.table[tokens] + self.pos
        h = F.relu(h @ self.w + self.b)
        return (h[:, -1] + h.sum(1)) @ self.head

    def graph(self):
        nodes = [
            node("Gather", "table tokens", "rows16"),
            node("Cast", "rows16", "rows", to=TensorProto.FLOAT),
            node("Gather", "pos positions", "place", axis=0),
            node("Add", "rows place", "h0"),
            node("Cast", "w", "w32", to=TensorProto.FLOAT),
            node("MatMul", "h0 w32", "m"),
            node("Add", "m b", "a"),
            node("Relu", "a", "h"),
            node("Gather", "h end", "h_last", axis=1),
            node("ReduceSum", "h time", "h_sum", keepdims=0),
            node("Add", "h_last h_sum", "pooled"),
            node("MatMul", "pooled head", "logits"),
        ]
        halves = {name: self.value(name).astype(np.float16) for name in ("table", "w")}
        fixed = constants(**halves, positions=np.arange(6), end=np.int64(-1), time=np.int64([1]))
        return nodes, [("tokens", TensorProto.INT64, ["batch", 6])], 7, self.initializers("table", "w") + fixed
