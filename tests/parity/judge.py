"""When two trainings agree: the rules of launch/help/definitions.md, applied to what one run of dmltrain wrote.

A fixture holds PyTorch's float32 numbers and how far its float64 run lies from them. That distance is the rounding scale
of a quantity; a difference may be ten times as large, and a small part of the quantity's own size beside it. In a
network of ReLUs one sum near 0 may fall on either side and move all later steps: for a run that orders its sums
otherwise, X.rounding.json holds how far PyTorch's float32 runs lie apart when the samples of a batch change places.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import tensors

SCALE = 10  # of the distance between PyTorch's float32 and float64 runs
LOSS_RTOL = 5e-6
TENSOR_RTOL = 1e-6
VANISHING = 1e-5  # of the model's largest gradient: below it a gradient is zero but for rounding


@dataclass
class Finding:
    """One compared quantity: its largest difference, as a share of what is allowed there."""

    name: str
    error: float
    allowed: float

    @property
    def share(self):
        if np.isnan(self.error):
            return np.inf
        if self.error == 0:
            return 0.0
        return self.error / self.allowed if self.allowed > 0 else np.inf


class Fixture:
    """A model, its data, and what PyTorch computes with them."""

    def __init__(self, folder, stem):
        self.stem = stem
        self.model = Path(folder) / f"{stem}.onnx"
        self.data = Path(folder) / f"{stem}.safetensors"
        self.tensors, metadata = tensors.read(self.data)
        self.hyperparameters = {name: json.loads(metadata[name]) for name in ("sgd", "adamw")}
        self.distance = json.loads(metadata["distance_f32_f64"])
        self.batch = self.tensors["step0.label"].shape[0]
        rounding = self.model.with_suffix(".rounding.json")
        self.rounding = json.loads(rounding.read_text()) if rounding.exists() else {}
        self.has_statistics = bool(json.loads(metadata["statistics"]))  # batch norm: depends on the split of the batch
        gradients = [abs(t).max() for name, t in self.tensors.items() if name.startswith("step0.grad.")]
        self.largest_gradient = float(max(gradients))

    def loss_distances(self, optimizer, of, reorders):
        """The rounding scale of each step's loss."""
        if reorders and f"losses.{optimizer}" in self.rounding:
            return np.array(self.rounding[f"losses.{optimizer}"])
        losses = self.tensors[f"losses.{optimizer}{of}"].astype(np.float64)
        return abs(losses - self.tensors[f"losses.{optimizer}.f64"])

    def distance_of(self, name, reorders):
        """The rounding scale of a tensor of the reference."""
        if reorders and name in self.rounding:
            return self.rounding[name]
        size = float(abs(self.tensors[name]).max())
        if name.startswith("step0.grad."):
            if size < VANISHING * self.largest_gradient:  # such as a bias that the softmax cannot see
                size = self.largest_gradient
            return self.distance["step0.grad, relative"] * size
        if name.startswith("step0.state."):  # moves with the activations, as the logits do
            return self.distance["step0.logits"] / float(abs(self.tensors["step0.logits"]).max()) * size
        return self.distance[name]


def compare_losses(fixture, optimizer, losses, of="", reorders=False):
    """Each step's loss; the finding is the worst step. `of`: ".module" for those of the PyTorch module, where the file
    means another model. `reorders`: the run's sums have another order than those of the reference."""
    want = fixture.tensors[f"losses.{optimizer}{of}"].astype(np.float64)[: len(losses)]
    distances = fixture.loss_distances(optimizer, of, reorders)[: len(losses)]
    allowed = SCALE * np.maximum.accumulate(distances) + LOSS_RTOL * abs(want)
    error = abs(np.asarray(losses, np.float64)[: len(want)] - want)
    worst = int(np.argmax(np.where(np.isnan(error), np.inf, error / allowed)))
    return Finding(f"loss of step {worst}", float(error[worst]), float(allowed[worst]))


def compare_tensor(fixture, name, got, reorders=False):
    want = fixture.tensors[name]
    if got.shape != want.shape:
        return Finding(f"{name} has shape {list(got.shape)}, not {list(want.shape)}", np.nan, 0)
    allowed = SCALE * fixture.distance_of(name, reorders) + TENSOR_RTOL * float(abs(want).max())
    error = abs(got.astype(np.float64) - want.astype(np.float64))
    return Finding(name, float(error.max()) if error.size else 0.0, allowed)


def expected_tensors(fixture, optimizer, steps):
    """Names of the reference's tensors that a run of so many steps must reproduce."""
    prefixes = ["step0.logits", "step0.grad.", "step0.state."]
    if steps == len(fixture.tensors[f"losses.{optimizer}"]):
        prefixes.append(f"final.{optimizer}.")
    return [name for name in fixture.tensors if name.startswith(tuple(prefixes))]


def compare(fixture, optimizer, steps, losses, dump, reorders=False):
    """All findings of a run, the worst first. `dump` holds tensors by name."""
    if len(losses) != steps:
        return [Finding(f"{len(losses)} losses instead of {steps}", np.nan, 0)]
    findings = [compare_losses(fixture, optimizer, losses, reorders=reorders)]
    for name in expected_tensors(fixture, optimizer, steps):
        if name in dump:
            findings.append(compare_tensor(fixture, name, dump[name], reorders))
        else:
            findings.append(Finding(f"{name} is absent from the dump", np.nan, 0))
    return sorted(findings, key=lambda f: -f.share)
