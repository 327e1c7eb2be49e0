#!/usr/bin/env python3
"""Runs are compared with the graphs that are generated for them: no task more or less on either side, a replay of the
measured tasks gives the measured step, what runs differ by is divided over kinds of tasks, a slow link is found, and
what is wrong in a run's folder is said.

    tests/launch/compare.py [--binary PATH]
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "data" / "fixtures"
SMALL = ["--model", "gpt:layers=4,width=32,heads=4,seq=16,vocab=256", "--data", "builtin:text", "--batch", "8"]
RUNS = [
    ["--d", "2", "--p", "2", "--t", "2", "--microbatches", "2"],
    ["--p", "2", "--schedule", "zb-v", "--microbatches", "4", "--clip", "1"],
    ["--p", "2", "--schedule", "interleaved", "--microbatches", "3"],
    ["--d", "3", "--t", "2", "--optimizer", "sgd"],
    ["--model", FIXTURES / "mlp_digits.ts17.onnx", "--data", FIXTURES / "mlp_digits.ts17.safetensors", "--p", "2"],
    ["--model", FIXTURES / "resnet_tiny.ts17.onnx", "--data", FIXTURES / "resnet_tiny.ts17.safetensors", "--t", "2"],
]
REPLAY = 0.03  # of the measured step: what the engine itself may be off
PLANTED_US = 7000  # by which the last task of a run is made longer
LATENCY_MS = 300  # of a slow link: a busy machine alone makes no all-reduce wait that long


def execute(arguments, *options):
    command = [str(part) for part in [arguments.binary, *options]]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def train(arguments, options, run):
    model = [] if "--model" in options else SMALL
    result = execute(arguments, *model, *options, "--steps", 6, "--run", run)
    assert result.returncode == 0, result.stderr


def check_run(arguments, options, run):
    train(arguments, options, run)
    result = execute(arguments, "compare", run, "--replay", "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    found = json.loads(result.stdout)
    assert not found["not_executed"] and not found["not_generated"]
    ratio = found["predicted_step_ms"] / found["measured_step_ms"]
    path = sum(part["measured_ms"] for part in found["critical_path"])
    print(f"{' '.join(map(str, options[-6:]))}: {found['tasks']} tasks, replayed step {ratio:.3f} of the measured one")
    assert abs(ratio - 1) < REPLAY, "the replay is not the step"
    assert abs(path - found["measured_step_ms"]) < 1e-3, "the critical path does not fill the step"


def check_refusals(arguments, run):
    file = run / "measured.json"
    whole = file.read_text()
    lost = json.loads(whole)
    for column in ("tasks", "start_us", "end_us"):
        lost["ranks"][1][column].pop(5)
    name = json.loads(whole)["ranks"][1]["tasks"][5]
    file.write_text(json.dumps(lost))
    result = execute(arguments, "compare", run)
    assert result.returncode == 1 and f"not executed: rank 1 {name}" in result.stdout, result.stdout
    for text in (whole[: len(whole) // 2], "{}", whole.replace('"version":1', '"version":9')):
        file.write_text(text)
        result = execute(arguments, "compare", run)
        assert result.returncode == 2 and "measured.json" in result.stderr, result.stderr
        assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    for given in (("--replay", "--hardware"), ("--replay", "--trace"), ("--hardware", "--trace")):
        values = [part for option in given for part in ([option] if option == "--replay" else [option, "h200"])]
        result = execute(arguments, "compare", run, *values)
        assert result.returncode == 2 and "give one of them" in result.stderr, result.stderr
    result = execute(arguments, "compare", run.parent / "nowhere")
    assert result.returncode == 2 and "no folder of a run" in result.stderr, result.stderr


def check_runs(arguments, folder):
    """Runs beside each other: the parts add up, and a kind that was made slow has the difference."""
    result = execute(arguments, "compare", *[folder / str(number) for number in range(3)], "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    for groups in ("kinds", "operations"):
        for run, about in enumerate(found["runs"]):
            total = sum(group["ms"][run] for group in found[groups])
            assert abs(total - about["traced_step_ms"]) < 1e-3, f"the {groups} of {about['run']} do not fill the step"
    slow = folder / "slow"
    shutil.copytree(folder / "1", slow)
    step = json.loads((slow / "measured.json").read_text())
    rank = max(step["ranks"], key=lambda rank: max(rank["end_us"]))
    rank["end_us"][rank["end_us"].index(max(rank["end_us"]))] += PLANTED_US
    (slow / "measured.json").write_text(json.dumps(step))
    result = execute(arguments, "compare", folder / "1", slow, "--json")
    worst, *others = json.loads(result.stdout)["kinds"]
    assert abs(worst["difference_ms"][1] - PLANTED_US / 1e3) < 1e-6, worst
    assert all(abs(other["difference_ms"][1]) < 1e-6 for other in others), others


def check_slow_link(arguments, folder):
    """It shows as exposed communication of its axis: in the breakdown of each step, and beside a run without it."""
    for name, link in (("quick", []), ("slow_link", ["--shape-link", f"{1000 * LATENCY_MS},1000:d"])):
        train(arguments, ["--d", "2", *link], folder / name)
    for line in (folder / "slow_link" / "ranks.jsonl").read_text().splitlines():
        step = json.loads(line)
        assert step["comm_kind_ms"]["all_reduce d"] >= LATENCY_MS <= step["exposed_comm_ms"], step
    result = execute(arguments, "compare", folder / "quick", folder / "slow_link", "--json")
    kinds = {kind["name"]: kind for kind in json.loads(result.stdout)["kinds"]}
    assert kinds["all_reduce d"]["ms"][1] >= LATENCY_MS, kinds
    assert kinds["all_reduce d"]["difference_ms"][1] > LATENCY_MS, kinds  # it sends two after each other
    lines = [(folder / run / "steps.jsonl").read_text().splitlines() for run in ("quick", "slow_link")]
    assert len({tuple(json.loads(line)["loss"] for line in of_run) for of_run in lines}) == 1, "it changes the losses"


def check_prediction(arguments):
    options = ["--d", 2, "--p", 2, "--t", 2, "--hardware", "a100-80g", "--json"]
    result = execute(arguments, "simulate", *SMALL, *options)
    assert result.returncode == 0, result.stderr
    step = json.loads(result.stdout)
    classes = step["classes"]
    assert sum(alike["ranks"] for alike in classes) == step["ranks"] == 8 and step["step_ms"] > 0
    for alike in classes:
        parts = sum(alike[f"{part}_ms"] for part in ("compute", "core_wait", "exposed_comm", "bubble"))
        assert abs(parts - alike["step_ms"]) < 1e-6 * alike["step_ms"], alike
    result = execute(arguments, "simulate", "--hardware", "a1000")
    assert result.returncode == 2 and "a100-80g" in result.stderr, result.stderr


def main():
    parser = argparse.ArgumentParser(description=" ".join(__doc__.split("\n\n")[0].split()))
    parser.add_argument("--binary", default=ROOT / "build" / "bin" / "dmltrain", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for number, options in enumerate(RUNS):
            check_run(arguments, options, Path(folder) / str(number))
        check_runs(arguments, Path(folder))
        check_slow_link(arguments, Path(folder))
        check_refusals(arguments, Path(folder) / "0")
    check_prediction(arguments)


if __name__ == "__main__":
    try:
        main()
    except AssertionError as failure:
        sys.exit(f"compare: {failure}")
