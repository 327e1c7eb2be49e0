#!/usr/bin/env python3
"""Writes the training fixtures: ONNX models, and what PyTorch does when it trains them.

    export_fixtures.py [--output DIR] [NAME ...]

Needs torch 2.13.0 (CPU), onnx, onnxruntime, onnxscript, safetensors and scikit-learn, and writes the same files every
time. The README of tests/data says what is in them. A fixture is X.onnx, a forward graph with its weights, and
X.safetensors, the reference, whose tensors have the names and layouts of the initializers of that file.
"""

import argparse
import copy
import json
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

import batches
import edge_models
import models
import onnx
import onnxruntime
import torch
from exporters import ByHand, Dynamo, TorchScript, forget_origin
from reference import Reference, Training, optimizers
from safetensors.torch import save_file
from torch import nn

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
MAX_LOGITS_ERROR = 1e-4  # of ONNX Runtime against PyTorch


@dataclass
class Fixture:
    """One model, its data, and the files it is exported to: {variant: exporter}."""

    model: Callable[[], nn.Module]
    batches: Callable[[], list]
    exporters: dict = field(default_factory=lambda: {"": ByHand()})
    sgd_rate: float = 0.1
    keep: tuple = ("",)  # patterns: whose final weights the reference holds
    notes: str = ""
    equal_constants: bool = False  # leave weights that start constant as they are
    as_file_says: Callable | None = None  # (path, model) -> a module of the file's meaning, where it is not the model's


def spread_constants(model):
    """Noise on what starts constant (norms, statistics), so that a value tells which initializer a tensor is, and no
    exporter merges two."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if tensor.is_floating_point() and tensor.numel() > 1 and tensor.min() == tensor.max():
                noise = 0.02 * torch.randn(tensor.shape, generator=generator)
                tensor.add_(noise.abs() if name.endswith("running_var") else noise)


def merge_equal_parameters(path, model):
    """A copy in which parameters that the file merged into one initializer are one."""
    merged = copy.deepcopy(model)
    kept = {i.name for i in onnx.load(path).graph.initializer}
    parameters = dict(merged.named_parameters())
    for name, parameter in parameters.items():
        same = [n for n, p in parameters.items() if n in kept and torch.equal(p, parameter)]
        if name not in kept and same:
            module, _, leaf = name.rpartition(".")
            setattr(merged.get_submodule(module), leaf, parameters[same[0]])
    return merged


def split_tied_head(path, model):
    """A copy whose head is a parameter of its own."""
    split = copy.deepcopy(model)
    split.head.weight = nn.Parameter(split.head.weight.detach().clone())
    return split


def check_with_onnxruntime(path, tensors):
    """The checker, and the logits of step 0."""
    onnx.checker.check_model(str(path), full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    prefix = "step0.input."
    feed = {n.removeprefix(prefix): t.numpy() for n, t in tensors.items() if n.startswith(prefix)}
    error = (torch.from_numpy(session.run(["logits"], feed)[0]) - tensors["step0.logits"]).abs().max().item()
    if not error < MAX_LOGITS_ERROR:
        raise RuntimeError(f"{path.name}: ONNX Runtime's logits are {error:.1e} away")
    return error


def save_reference(path, tensors, metadata):
    """A safetensors file with its metadata in the given order, which the library leaves open."""
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, path, metadata=metadata)
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end]) | {"__metadata__": metadata}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[end:])


def export(folder, name, fixture):
    """Writes one fixture in all its variants."""
    torch.manual_seed(0)
    model, data = fixture.model(), fixture.batches()
    model.train()
    if not fixture.equal_constants:
        spread_constants(model)
    for variant, exporter in fixture.exporters.items():
        path = folder / ".".join(filter(None, [name, variant, "onnx"]))
        path.with_name(path.name + ".data").unlink(missing_ok=True)
        traced = copy.deepcopy(model)  # tracing in training mode moves the statistics: the reference starts there
        exporter(traced, data[0][0], path)
        forget_origin(path)
        meant = fixture.as_file_says(path, traced) if fixture.as_file_says else traced
        reference = Reference(path, meant, data, fixture.sgd_rate)
        tensors = reference.tensors(fixture.keep)
        if fixture.as_file_says:
            for optimizer, make in optimizers(fixture.sgd_rate).items():
                tensors[f"losses.{optimizer}.module"] = Training(traced, data, make, torch.float32).losses
        error = check_with_onnxruntime(path, tensors)
        metadata = reference.metadata(path.name, exporter.about, fixture.notes, fixture.keep)
        save_reference(path.with_suffix(".safetensors"), tensors, metadata)
        print(f"{path.name}: ONNX Runtime's logits {error:.1e}", flush=True)


def gpt(attention, layers, gelu, tied, **sizes):
    return lambda: models.GPT(attention, layers, gelu, tied, **sizes)


TEXT = "genesis.txt as bytes; label = the next byte of each position"
SOME = (r"^tok\.", r"blocks\.0\.ln1", r"blocks\.1\.attn\.(qkv|q|proj)\.", r"^norm\.")
SMALL = dict(vocab=128, length=16, width=16, heads=2)
MERGED = (
    "The exporter merged LayerNorm weights that start equal. losses.* train what the file says: the merged initializer "
    "is one parameter. losses.*.module are those of the PyTorch module: separate parameters."
)
SPLIT = (
    "Constant folding made a transposed copy of the tied embedding. losses.* train what the file says: two parameters. "
    "losses.*.module are those of the PyTorch module: one. Batch 4 is written into the graph."
)

TABLE = {
    "mlp_digits": Fixture(
        models.mlp, batches.digits, dict(ts17=TorchScript(), dynamo=Dynamo()), notes="digits of scikit-learn"
    ),
    "gpt_tiny": Fixture(
        gpt(models.FusedAttention, 2, "tanh", tied=True),
        lambda: batches.text(4, 32),
        dict(ts17=TorchScript(), dynamo=Dynamo(external=True)),
        keep=SOME,
        notes=TEXT,
    ),
    "gpt_sdpa": Fixture(
        gpt(models.SdpaAttention, 4, "none", tied=False),
        lambda: batches.text(4, 32),
        dict(ts17=TorchScript(), dynamo=Dynamo()),
        keep=SOME,
        notes=TEXT,
    ),
    "resnet_tiny": Fixture(
        models.ResNet,
        batches.gratings,
        dict(ts17=TorchScript(free_batch=False)),
        sgd_rate=0.002,
        keep=(r"^conv", r"^layers\.2\.", r"^bn", r"^fc"),
        notes="synthetic gratings; label = 7 * image number mod 10",
    ),
    "edge_gemm": Fixture(edge_models.EdgeGemm, lambda: batches.random_features((8, 12), 5)),
    "edge_shared": Fixture(edge_models.EdgeShared, lambda: batches.random_features((8, 16), 6)),
    "edge_matmul": Fixture(edge_models.EdgeMatMul, lambda: batches.random_features((8, 6, 8), 5)),
    "edge_embed": Fixture(
        edge_models.EdgeEmbed,
        lambda: batches.random_tokens((8, 6), 7, vocab=40),
        sgd_rate=0.02,
        notes="table and w are stored as float16 and trained as float32, from the stored values",
    ),
    "edge_merged": Fixture(
        gpt(models.SdpaAttention, 2, "none", tied=False, **SMALL),
        lambda: batches.text(4, 16, vocab=128),
        dict(dynamo=Dynamo()),
        notes=MERGED,
        equal_constants=True,
        as_file_says=merge_equal_parameters,
    ),
    "edge_split": Fixture(
        gpt(models.FusedAttention, 2, "tanh", tied=True, **SMALL),
        lambda: batches.text(4, 16, vocab=128),
        dict(ts17=TorchScript(free_batch=False, folding=True)),
        notes=SPLIT,
        as_file_says=split_tied_head,
    ),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TABLE)}; all where none is given")
    parser.add_argument("--output", type=Path, default=FIXTURES)
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(TABLE)
    if unknown:
        parser.error(f"there is no fixture {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    warnings.simplefilter("ignore")
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or TABLE:
        export(arguments.output, name, TABLE[name])


if __name__ == "__main__":
    main()
