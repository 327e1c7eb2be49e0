#!/usr/bin/env python3
"""How the host drives the steps of GPUs: replayed as CUDA graphs they train the same bits; the host waits once a step, for the
step before; what a step found is acted on all the same; and profilers are told which task is which.

    tests/launch/gpu/steps.py --binary build/bin/dmltrain --emulator build/emulator

Runs on the emulated GPU.
"""

import json
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "parity"))
import runner

STEPS = 6
# Random masks, a rate that changes, clipping, and what reads weights between steps: all that a recording could freeze.
TRAINING = ["--model", "gpt:layers=2,width=16,heads=2,seq=8,vocab=256,dropout=0.1,tied=1", "--batch", 4, "--microbatches", 2,
            "--steps", STEPS, "--lr-schedule", "cosine", "--warmup", 2, "--clip", 0.5, "--val-every", 4, "--device", "cuda"]  # fmt: skip
TEXT = "".join(f"{i} and {i * i}, " for i in range(60))
LAYOUTS = [(1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2)]
REFUSED = {"EMULATOR_FAIL": "cudaStreamBeginCapture:1:900"}
STOPPED = 75  # the exit code of a run that a signal ended
REFUSAL = "--cuda-graph: steps are not replayed, 1 of"


class Wrong(Exception):
    """What a run did that it should not have done."""


class Skipped(Exception):
    """Why a check cannot run in this build."""


def training(arguments, layout, folder, options):
    """The command that trains in this folder."""
    text = Path(folder) / "text"
    text.write_text(TEXT)
    d, p, t = layout
    places = ["--data", f"text:{text}", "--run", f"{folder}/run", "--dump", f"{folder}/dump.safetensors"]
    return [str(part) for part in [arguments.binary, *TRAINING, "--d", d, "--p", p, "--t", t, *places, *options]]


class Run:
    """What one training left behind."""

    def __init__(self, arguments, layout, options=(), told=None, code=0):
        with tempfile.TemporaryDirectory() as folder:
            drawn = runner.emulated(arguments.emulator, str(layout))  # the seed decides in which order products are summed
            result, self.calls = runner.counted(training(arguments, layout, folder, options), drawn | (told or {}), folder)
            if result.returncode != code:
                raise Wrong(f"{runner.settings(drawn)}: exit code {result.returncode}: {result.stderr.strip()[-300:]}")
            self.said = result.stdout + result.stderr
            if code != 0:
                return
            self.weights = Path(f"{folder}/dump.safetensors").read_bytes()
            lines = Path(f"{folder}/run/steps.jsonl").read_text().splitlines()
            told_of_steps = [json.loads(line) for line in lines]
            self.figures = [[step.get(key) for key in ("step", "loss", "grad_norm", "validation_loss")] for step in told_of_steps]

    def called(self, *names):
        return sum(self.calls[name] for name in names)


def expect(condition, text):
    if not condition:
        raise Wrong(text)


def compare(replayed, plain):
    expect(replayed.figures == plain.figures, f"steps differ:\n{replayed.figures}\n{plain.figures}")
    expect(replayed.weights == plain.weights, "steps are the same, dumped tensors differ")


def same_bits(arguments, layout):
    plain = Run(arguments, layout)
    expect(len(plain.figures) == STEPS, f"{len(plain.figures)} steps were told of")
    replayed = Run(arguments, layout, ["--cuda-graph"])
    ranks = layout[0] * layout[1] * layout[2]
    launches = replayed.called("cudaGraphLaunch")
    # All steps but the first, and the last, whose tasks are timed.
    expect(launches == ranks * (STEPS - 2), f"{launches} steps were replayed")
    compare(replayed, plain)
    expect(replayed.called("cudaLaunchKernel") < plain.called("cudaLaunchKernel"), "kernels were launched one by one")


def goes_on_where_refused(arguments, layout):
    plain = Run(arguments, layout)
    refused = Run(arguments, layout, ["--cuda-graph"], REFUSED)
    expect(REFUSAL in refused.said, f"nothing is said of it: {refused.said[-400:]}")
    expect("cudaGraphLaunch" not in refused.calls, "a step was replayed")
    compare(refused, plain)


def waits_once_a_step(arguments, layout):
    waits = ["cudaStreamSynchronize", "cudaEventSynchronize", "cudaDeviceSynchronize", "cudaMemcpy"]
    for options in [], ["--cuda-graph"]:
        few, more = (Run(arguments, layout, [*options, "--val-every", 100, "--steps", steps]) for steps in (4, 9))
        ranks = layout[0] * layout[1] * layout[2]
        expect(more.called(*waits) - few.called(*waits) == 5 * ranks, f"{few.calls} in 4 steps, {more.calls} in 9")


def a_loss_that_is_none_ends_the_run(arguments, layout):
    for options in [], ["--cuda-graph"]:
        run = Run(arguments, layout, [*options, "--lr", "1e30", "--clip", 0, "--warmup", 0, "--steps", 20], code=3)
        expect(re.search(r"the loss is -?(nan|inf) at step \d+", run.said), run.said[-300:])


def profilers_are_told_tasks(arguments, layout):
    recorder = arguments.emulator / "libdml_nvtx_recorder.so"
    if not recorder.is_file():
        raise Skipped(f"{recorder.name} is not there: this build had no header of NVTX")
    with tempfile.TemporaryDirectory() as folder:
        ranges = Path(folder) / "ranges"
        told = {"NVTX_INJECTION64_PATH": str(recorder), "NVTX_RANGES": str(ranges)}
        Run(arguments, layout, ["--cuda-graph", "--val-every", 100], told)
        names = ranges.read_text().splitlines()
    expect(names.count("step") == STEPS - 2, f"{names.count('step')} replayed steps have a range")
    # The first step, the one that is recorded, and the last.
    tasks = {name: names.count(name) for name in names if name != "step" and not name.startswith("wait for ")}
    expect(len(tasks) > 50 and all(count % 3 == 0 for count in tasks.values()), f"ranges: {tasks}")


def interrupted(arguments, layout, folder):
    """A run that is told to stop after its second line; its losses."""
    command = training(arguments, layout, folder, ["--steps", 200])
    environment = runner.ENVIRONMENT | runner.emulated(arguments.emulator, f"interrupted {layout}")
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    lines = (line for line in process.stdout if line.startswith("step"))
    next(lines)
    next(lines)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=runner.TIME_LIMIT_S)
    expect(process.returncode == STOPPED, f"exit code {process.returncode} after SIGTERM")
    return runner.losses(f"{folder}/run")


def a_signal_saves_what_was_done(arguments, layout):
    """The steps that were told of are those that the checkpoint holds."""
    with tempfile.TemporaryDirectory() as folder:
        losses = interrupted(arguments, layout, folder)
        checkpoints = [path.stem for path in Path(f"{folder}/run/checkpoints").iterdir()]
    expect(checkpoints == [f"step_{len(losses):08}"], f"{len(losses)} steps were told of, {checkpoints} is there")


CASES = [
    (same_bits, LAYOUTS),
    (goes_on_where_refused, [(1, 1, 1), (2, 1, 1)]),
    (waits_once_a_step, [(1, 1, 1), (1, 2, 1)]),
    (a_loss_that_is_none_ends_the_run, [(1, 1, 1), (2, 1, 1)]),
    (profilers_are_told_tasks, [(1, 1, 1)]),
    (a_signal_saves_what_was_done, [(1, 1, 1), (2, 1, 1)]),
]


def main():
    arguments = runner.emulator_arguments(__doc__)
    failures = 0
    for case, layouts in CASES:
        for layout in layouts:
            try:
                case(arguments, layout)
                print(f"ok  {case.__name__} {layout}")
            except Skipped as why:
                print(f"skipped {case.__name__} {layout}: {why}")
            except Wrong as wrong:
                failures += 1
                print(f"OFF {case.__name__} {layout}: {wrong}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
