#!/usr/bin/env python3
"""What trace.json must show of a run: buckets of gradients that are summed while the backward pass goes on, and an arrow
from each send to its receive.

    tests/launch/trace.py [--binary PATH] [--mpi]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BACKWARD = ("input gradient", "weight gradient")
STEPS = 6


def parse_arguments():
    parser = argparse.ArgumentParser(description=" ".join(__doc__.split("\n\n")[0].split()))
    parser.add_argument("--binary", default=ROOT / "build" / "bin" / "dmltrain", type=Path)
    parser.add_argument("--mpi", action="store_true", help="ranks as processes")
    return parser.parse_args()


def traced(arguments, d, p, *options):
    """The events of the last step of a run of the built-in model."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        launcher = ["mpirun", "-np", str(d * p)] if arguments.mpi else []
        command = [*launcher, arguments.binary, "--d", d, "--p", p, "--steps", STEPS, "--run", run, *options]
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL, env=os.environ)
        return json.loads((run / "trace.json").read_text())["traceEvents"]


def overlapped(events, rank):
    """Of a rank: how many sums of gradients begin before its last backward task ends, and how many there are."""
    own = [event for event in events if event.get("pid") == rank and event["ph"] == "X"]
    last = max(event["ts"] + event["dur"] for event in own if event["cat"] in BACKWARD)
    sums = [event["ts"] for event in own if event["name"] == "all_reduce gradients"]
    return sum(begin < last for begin in sums), len(sums)


def arrows(events, phase):
    """The ends of flow arrows of one kind by their id."""
    return {event["id"]: event for event in events if event["ph"] == phase}


def check_overlap(arguments):
    events = traced(arguments, 2, 1, "--bucket-mb", 1)
    for rank in range(2):
        early, count = overlapped(events, rank)
        print(f"rank {rank}: {early} of {count} sums of gradients begin before the last backward task ends")
        assert count >= 3, "the model has too few buckets to show it"
        assert early >= count - 1, "the sums wait for the end of the backward pass"


def check_arrows(arguments):
    events = traced(arguments, 1, 2)
    starts, ends = arrows(events, "s"), arrows(events, "f")
    print(f"{len(starts)} arrows from send to receive")
    assert starts and starts.keys() == ends.keys(), "an arrow has one end only"
    for key, start in starts.items():
        assert start["pid"] != ends[key]["pid"], "an arrow stays on its rank"
        assert start["ts"] <= ends[key]["ts"], "an arrow goes back in time"


def main():
    arguments = parse_arguments()
    check_overlap(arguments)
    check_arrows(arguments)


if __name__ == "__main__":
    try:
        main()
    except AssertionError as failure:
        sys.exit(f"trace.json: {failure}")
