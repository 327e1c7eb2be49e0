#!/usr/bin/env python3
"""Traces of other programs as measured timelines of a schedule: the times in them come out, another order is said, and a
trace that is broken, of other ranks or of another schedule is one line and exit code 2.

    tests/launch/compare_trace.py [--binary PATH]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TRACES = ROOT / "tests" / "data" / "traces"
LAYOUT = ["--schedule", "1f1b", "--p", "2"]
SMALL = ["--model", "gpt:layers=4,width=32,heads=4,seq=16,vocab=256", "--data", "builtin:text", "--batch", "8"]
# What tests/data/traces/make_traces.py puts there, in milliseconds.
STAGES = [(2, 4), (3, 6)]
STEP, TRANSFER = 43, 0.5
FEW = 1e-3


def compare(arguments, *options):
    command = [str(part) for part in [arguments.binary, "compare", *options]]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def found(result, code=0):
    assert result.returncode == code, f"exit code {result.returncode}: {result.stderr}"
    return json.loads(result.stdout)


def check_times(arguments, folder):
    trace = found(compare(arguments, "--trace", TRACES / folder, *LAYOUT, "--json"))
    times = [(stage["forward_ms"], stage["backward_ms"]) for stage in trace["stages"]]
    assert all(abs(a - b) < FEW for have, want in zip(times, STAGES) for a, b in zip(have, want)), times
    for side in ("measured", "simulated"):
        assert abs(trace[side]["step_ms"] - STEP) < FEW, (folder, trace[side]["step_ms"])
        assert len(trace[side]["passes"]) == 16
    assert trace["microbatches"] == 4 and not trace["other_order"]
    assert abs(trace["transfer_ms"] - TRANSFER) < FEW, trace["transfer_ms"]
    return trace


def check_kernels(trace):
    for position, row in enumerate(trace["kernels"]):
        assert abs(row["all_reduce ms"] - 0.7) < FEW and abs(row["send/receive ms"] - 4 * TRANSFER) < FEW, row
        compute = 4 * sum(STAGES[position]) + 0.3
        assert abs(row["compute ms"] - compute) < FEW, (row, compute)


def check_order(arguments):
    other = found(compare(arguments, "--trace", TRACES / "megatron", "--schedule", "gpipe", "--p", 2, "--json"), 1)
    assert other["other_order"][0] == {"position": 0, "place": 2, "measured": "0B0", "scheduled": "0F2"}, other["other_order"]


def check_own_run(arguments, folder):
    """A run's own trace.json is a trace like others: it gives the passes of the run."""
    run = folder / "run"
    layout = ["--d", 2, "--p", 2, "--t", 2, "--microbatches", 2, "--schedule", "zb-h1"]
    command = [str(part) for part in [arguments.binary, *SMALL, *layout, "--steps", 3, "--run", run]]
    subprocess.run(command, check=True, capture_output=True)
    both = found(compare(arguments, run, "--trace", run / "trace.json", "--json"))
    passes = [{(p["pass"], p["position"]): (p["start_ms"], p["end_ms"]) for p in side["measured"]["passes"]}
              for side in (both, both["run"])]  # fmt: skip
    assert passes[0].keys() == passes[1].keys() and len(passes[0]) == 12, passes
    lengths = [[end - start for start, end in side.values()] for side in passes]
    assert all(abs(a - b) < FEW for a, b in zip(*lengths)), lengths


def changed(folder, name, change):
    """The Megatron files with one of them changed."""
    path = folder / name
    path.mkdir()
    for number, file in enumerate(sorted((TRACES / "megatron").iterdir())):
        text = file.read_text()
        (path / file.name).write_text(change(text) if number == 0 else text)
    return path


def broken_traces(folder):
    """(trace, options, words of the message)"""
    written = {"empty.json": "", "object.json": "{}", "list.json": "[]", "text.json": "no trace\n", "deep.json": "[" * 100_000,
               "words.json": '{"traceEvents": [{"ph": "X", "name": "0F0", "ts": "soon"}]}',
               "negative.json": '{"traceEvents": [{"ph": "X", "name": "0F0", "ts": 1, "dur": -5}]}',
               "packed.json": "\x1f\x8b\x08"}  # fmt: skip
    for name, text in written.items():
        (folder / name).write_bytes(text.encode("latin-1"))
        yield folder / name, LAYOUT, (name,)
    kineto = (TRACES / "kineto" / "rank0.json").read_text()
    (folder / "cut.json").write_text(kineto[: len(kineto) // 2])
    yield folder / "cut.json", LAYOUT, ("cut.json",)
    (folder / "nothing").mkdir()
    yield folder / "nothing", LAYOUT, ("nothing", ".json")
    yield folder / "absent.json", LAYOUT, ("absent.json",)
    yield TRACES / "kineto" / "rank0.json", LAYOUT, ("position 1",)
    yield TRACES / "kineto", ["--schedule", "1f1b", "--p", "4"], ("position 2 of 4",)
    yield TRACES / "kineto", ["--schedule", "1f1b"], ("rank 1", "1 ranks")
    yield TRACES / "megatron", [*LAYOUT, "--microbatches", 3], ("0F3", "none of the schedule")
    yield TRACES / "megatron", [*LAYOUT, "--microbatches", 5], ("4 of the schedule's 20 passes", "0F4")
    yield TRACES / "megatron", ["--schedule", "interleaved", "--p", "2"], ("no stage",)
    yield TRACES / "megatron", ["--schedule", "dualpipe", "--p", "2"], ("dualpipe",)
    yield TRACES / "megatron", ["--schedule", "gpip", "--p", "2"], ("gpipe",)
    yield changed(folder, "half", lambda t: t.replace('"forward-1-end"', '"forwards"')), LAYOUT, ("forward-1-end",)
    yield changed(folder, "later", lambda t: t.replace('"forward-0-end": 2.0', '"forward-0-end": -1')), LAYOUT, ("after its end",)
    yield changed(folder, "more", lambda t: t.replace('"forward-3-', '"forward-2000000000-')), LAYOUT, ("microbatches",)
    yield changed(folder, "null", lambda t: t.replace('"forward-0-end": 2.0', '"forward-0-end": null')), LAYOUT, ("null",)


def check_refusals(arguments, folder):
    for trace, options, words in broken_traces(folder):
        result = compare(arguments, "--trace", trace, *options)
        lines = result.stderr.strip().splitlines()
        said = f"{trace} {' '.join(map(str, options))}: exit code {result.returncode}, {result.stderr.strip()[:300]}"
        assert result.returncode == 2 and len(lines) == 1 and not result.stdout, said
        assert all(word in lines[0] for word in words), f"{said}: lacks one of {words}"


def main():
    parser = argparse.ArgumentParser(description=" ".join(__doc__.split("\n\n")[0].split()))
    parser.add_argument("--binary", default=ROOT / "build" / "bin" / "dmltrain", type=Path)
    arguments = parser.parse_args()
    check_times(arguments, "megatron")
    check_kernels(check_times(arguments, "kineto"))
    check_order(arguments)
    with tempfile.TemporaryDirectory() as folder:
        check_own_run(arguments, Path(folder))
        check_refusals(arguments, Path(folder))
    print("traces of Megatron-LM's timers, of Kineto and of dmltrain hold")


if __name__ == "__main__":
    try:
        main()
    except AssertionError as failure:
        sys.exit(f"compare_trace: {failure}")
