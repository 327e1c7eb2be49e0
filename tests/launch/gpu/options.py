#!/usr/bin/env python3
"""Options that change what GPUs are asked for: --tf32 rounds products, which nothing else does, and --gather-parts divides
the all-gathers behind products.

    tests/launch/gpu/options.py --binary build/bin/dmltrain --emulator build/emulator

Runs on the emulated GPU, which counts calls, and those in TF32 apart; it rounds their operands, and ends a process that
asks for TF32 where it is not allowed.
"""

import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "parity"))
import runner

STEPS = 3
VIOLATION, USAGE, DEVICE = 86, 2, 5
# TF32 rounds operands by 2^-11 at most. What that makes of a loss is a sum of many such errors of either sign: above
# the rounding of f32 by far, and below what a product of half its width would do.
LEAST, MOST = 1e-7, 5e-3
# A model, and which of the calls that it makes compute in TF32 where they may.
MODELS = {
    "gpt_tiny.ts17": ["cublasLtMatmul"],
    "resnet_tiny.ts17": ["cublasLtMatmul", "cudnnConvolutionForward", "cudnnConvolutionBackwardData",
                         "cudnnConvolutionBackwardFilter"],
}  # fmt: skip

GATHERS = ["--device", "cuda", "--t", "3", "--tensor-mode", "gather", "--gather-parts"]
PARTS, RANKS = 4, 3
# Parts are products of other shapes, whose sums cublasLt may take in another order.
ROUNDING = 1e-6


class Run:
    """A training: how it ended, its losses, and how often each call was made."""

    def __init__(self, arguments, model, options, told):
        files = [runner.FIXTURES / f"{model}.onnx", runner.FIXTURES / f"{model}.safetensors"]
        with tempfile.TemporaryDirectory() as folder:
            environment = runner.emulated(arguments.emulator, model) | told
            command = [arguments.binary, "--model", files[0], "--data", files[1], "--steps", STEPS, "--run", f"{folder}/run",
                       *options]  # fmt: skip
            self.ended, self.calls = runner.counted(command, environment, folder)
            self.losses = runner.losses(f"{folder}/run") if self.ended.returncode == 0 else []

    def why_not(self, code, text):
        """Why it did not end with this code and these words in one line, or None."""
        lines = self.ended.stderr.strip().splitlines()
        if self.ended.returncode == code and len(lines) == 1 and text in lines[0]:
            return None
        return f"exit code {self.ended.returncode}, not {code} with '{text}': {self.ended.stderr.strip()[-300:]}"


def why_wrong_parts(whole, parts):
    """What is wrong with two runs whose all-gathers go as one and in PARTS parts, or None."""
    for run in (whole, parts):
        if run.ended.returncode != 0:
            return f"exit code {run.ended.returncode}: {run.ended.stderr.strip()[-300:]}"
    # A gather is a call of all ranks, or where shards are uneven a broadcast from each.
    gathers = whole.calls["ncclAllGather"] + whole.calls["ncclBroadcast"] // RANKS
    divided = parts.calls["ncclBroadcast"] - whole.calls["ncclBroadcast"]
    if gathers == 0 or divided <= 0:
        return f"{gathers} gathers, and {divided} more broadcasts where they are divided"
    products = parts.calls["cublasLtMatmul"] - whole.calls["cublasLtMatmul"]
    if products <= 0 or products % (PARTS - 1) != 0:
        return f"{products} more products, no multiple of {PARTS - 1}"
    off = max(abs(a - b) / abs(a) for a, b in zip(whole.losses, parts.losses))
    return None if off < ROUNDING else f"the losses differ by {off:.2g}"


def why_wrong_modes(plain, rounded, calls):
    """What is wrong with the calls or losses of two runs, one without and one with --tf32, or None."""
    for run in (plain, rounded):
        if run.ended.returncode != 0:
            return f"exit code {run.ended.returncode}: {run.ended.stderr.strip()[-300:]}"
    asked = [name for name in plain.calls if name.endswith(".tf32")]
    if asked:
        return f"{asked} without --tf32"
    for call in calls:
        if not 0 < rounded.calls[call] == rounded.calls[call + ".tf32"]:
            return f"{rounded.calls[call + '.tf32']} of {rounded.calls[call]} {call} are TF32"
    off = max(abs(a - b) / abs(a) for a, b in zip(plain.losses, rounded.losses))
    return None if LEAST < off < MOST else f"the losses differ by {off:.2g}, not by {LEAST:g} to {MOST:g}"


def results(arguments):
    """Name and fault, or None, of each check."""
    cuda, rounds, allowed = ["--device", "cuda"], ["--tf32"], {"EMULATOR_ALLOW_TF32": "1"}
    for model, calls in MODELS.items():
        plain = Run(arguments, model, cuda, {})
        yield f"{model} in TF32", why_wrong_modes(plain, Run(arguments, model, cuda + rounds, allowed), calls)
        yield f"{model} asks for it", Run(arguments, model, cuda + rounds, {}).why_not(VIOLATION, "TF32")
    model = next(iter(MODELS))
    whole = Run(arguments, model, [*GATHERS, 1], {})
    yield "gathered in parts", why_wrong_parts(whole, Run(arguments, model, [*GATHERS, PARTS], {}))
    yield "--device cpu", Run(arguments, model, ["--device", "cpu", *rounds], {}).why_not(USAGE, "--tf32")
    yield "no GPU", Run(arguments, model, rounds, {"EMULATOR_DEVICES": "0"}).why_not(DEVICE, "--tf32")


def main():
    arguments = runner.emulator_arguments(__doc__)
    wrong = 0
    for name, why in results(arguments):
        wrong += why is not None
        print(f"{'OFF' if why else 'ok '} {name}{': ' + why if why else ''}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
