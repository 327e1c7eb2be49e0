"""PyTorch modules as ONNX files, by each of PyTorch's two exporters or node by node."""

import re

import onnx
import torch


class TorchScript:
    """The tracing exporter: one node for each traced operator, parameters under their PyTorch names."""

    def __init__(self, free_batch=True, folding=False):
        self.free_batch, self.folding = free_batch, folding
        self.about = f"torch.onnx.export(dynamo=False, training=TRAINING, do_constant_folding={folding})"

    def __call__(self, model, inputs, path):
        torch.onnx.export(
            model,
            tuple(inputs.values()),
            str(path),
            dynamo=False,
            opset_version=17,
            training=torch.onnx.TrainingMode.TRAINING,
            do_constant_folding=self.folding,
            input_names=list(inputs),
            output_names=["logits"],
            dynamic_axes={name: {0: "batch"} for name in [*inputs, "logits"]} if self.free_batch else None,
        )


class Dynamo:
    """The exporter of captured programs: it optimizes, and so transposes, renames and merges initializers."""

    def __init__(self, external=False):
        self.external = external
        self.about = f"torch.onnx.export(dynamo=True, external_data={external})"

    def __call__(self, model, inputs, path):
        batch = torch.export.Dim("batch")
        torch.onnx.export(
            model,
            tuple(inputs.values()),
            str(path),
            dynamo=True,
            verbose=False,
            input_names=list(inputs),
            output_names=["logits"],
            dynamic_shapes=tuple({0: batch} for _ in inputs),
            external_data=self.external,
        )


class ByHand:
    about = "onnx.helper"

    def __call__(self, model, inputs, path):
        model.write(path)


def graphs_of(model):
    """The graph, the functions, and every graph inside a node."""
    waiting = [model.graph, *model.functions]
    while waiting:
        graph = waiting.pop()
        yield graph
        waiting += [a.g for n in graph.node for a in n.attribute if a.type == onnx.AttributeProto.GRAPH]


def forget_origin(path):
    """Removes what exporters note about the machine: stack traces with its paths."""
    model = onnx.load(path, load_external_data=False)
    for graph in graphs_of(model):
        values = [v for name in ("input", "output", "value_info") for v in getattr(graph, name, [])]
        for item in [graph, *graph.node, *(v for v in values if hasattr(v, "metadata_props"))]:
            item.doc_string = ""
            kept = [entry for entry in item.metadata_props if "stack_trace" not in entry.key]
            del item.metadata_props[:]
            item.metadata_props.extend(kept)
    onnx.save(model, path)
    left = re.search(rb"(/[A-Za-z0-9_.-]+){2,}\.py", path.read_bytes())
    if left:
        raise RuntimeError(f"{path.name} holds the path {left.group().decode()}")
