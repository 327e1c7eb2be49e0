#!/usr/bin/env python3
"""Writes how far PyTorch's float32 runs of a fixture lie from its float64 run when only rounding differs.

    export_rounding.py [--output DIR]

The samples of each batch are put in several orders: the same training but for the order of its sums. In a network of
ReLUs one sum near 0 falls on either side, by chance, and moves all later steps. The result, X.rounding.json, holds for
each quantity the largest distance of any order: for losses one number a step, for final tensors one.
"""

import argparse
import copy
import json
import tempfile
import warnings
from pathlib import Path

import torch
from export_fixtures import FIXTURES, TABLE, spread_constants
from reference import Reference, Training, distance, optimizers

NAME, VARIANT = "resnet_tiny", "ts17"
ORDERS = 10


def in_order(batches, seed):
    """The samples of every batch in an order drawn from `seed`."""
    label = batches[0][1]
    order = torch.randperm(len(label), generator=torch.Generator().manual_seed(seed))
    return [({name: x[order] for name, x in inputs.items()}, label[order]) for inputs, label in batches]


def rounding(reference, module, make_optimizer, optimizer, keep):
    exact = reference.runs[optimizer, torch.float64]
    finals = reference.finals(optimizer, torch.float64, keep)
    steps = torch.zeros_like(exact.losses)
    found = dict.fromkeys(finals, 0.0)
    for seed in range(ORDERS):
        run = Training(module, in_order(reference.batches, seed), make_optimizer, torch.float32)
        steps = torch.maximum(steps, (run.losses.double() - exact.losses).abs())
        reference.runs[optimizer, torch.float32] = run
        for name, tensor in reference.finals(optimizer, torch.float32, keep).items():
            found[name] = max(found[name], distance(tensor, finals[name]))
    return {f"losses.{optimizer}": steps.tolist()} | found


def rounded(value):
    return [rounded(v) for v in value] if isinstance(value, list) else float(f"{value:.3g}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=FIXTURES)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    warnings.simplefilter("ignore")
    fixture = TABLE[NAME]
    torch.manual_seed(0)
    model, batches = fixture.model(), fixture.batches()
    model.train()
    spread_constants(model)
    traced = copy.deepcopy(model)  # tracing in training mode moves the statistics: the reference starts there
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{NAME}.{VARIANT}.onnx"
        fixture.exporters[VARIANT](traced, batches[0][0], path)
        reference = Reference(path, traced, batches, fixture.sgd_rate)
    found = {}
    for optimizer, make in optimizers(fixture.sgd_rate).items():
        found |= rounding(reference, traced, make, optimizer, fixture.keep)
    text = json.dumps({name: rounded(value) for name, value in found.items()}, indent=0)
    (arguments.output / f"{NAME}.{VARIANT}.rounding.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
