#!/usr/bin/env python3
"""Trainings that must be equal in every bit of losses, logits, gradients and final weights: the same layout twice, and
all schedules among each other; with --mpi, ranks as threads against ranks as processes.

    tests/parity/bitwise.py [--mpi] [--only TEXT]
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import judge
import runner
from cases import MAIN_MODEL, Case

STEPS = 10
SCHEDULES = ["gpipe", "1f1b-overlap", "zb-h1", "zb-h2", "zb-1p", "zb-2p"]
# These cut the model into more stages: equal bits are for models whose weights are not used more than twice.
CHUNKED = [
    "interleaved", "interleaved-overlap", "zb-v", "dualpipe-v",
    f"file:{Path(__file__).with_name('own_schedule.csv')}",
]  # fmt: skip
LAYOUTS = [(1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2), (2, 2, 2), (1, 3, 1), (1, 1, 3)]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=runner.BINARY, type=Path)
    parser.add_argument("--mpi", action="store_true", help="threads against processes")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases whose name holds this")
    return parser.parse_args()


def base_cases():
    for layout in LAYOUTS:
        microbatches = 2 if layout[1] > 1 else 1
        for mode in ["gather", "megatron"] if layout[2] > 1 else ["auto"]:
            yield Case(MAIN_MODEL, layout, mode, "1f1b", microbatches, "adamw", STEPS)
    yield Case("gpt_sdpa.ts17", (1, 2, 2), "auto", "1f1b", 2, "adamw", STEPS)
    # A bias of both stages, whose gradients are summed by nodes: one of them travels.
    yield Case("edge_shared", (1, 2, 2), "gather", "1f1b", 4, "sgd", STEPS)
    yield Case("resnet_tiny.ts17", (1, 2, 2), "auto", "1f1b", 1, "sgd", STEPS)


def twins(case, over_mpi):
    """The cases that must write the same bits as this one."""
    if over_mpi:
        return [replace(case, comm="mpi")]
    others = [case]
    if case.layout[1] == 2 and case.microbatches > 1:
        schedules = SCHEDULES if case.fixture == "edge_shared" else SCHEDULES + CHUNKED
        others += [replace(case, schedule=schedule) for schedule in schedules]
    return others


def train(case, fixture, binary, folder):
    """The losses and the dumped tensors of one run; throws RunFailed."""
    run, dump = folder / "run", folder / "dump.safetensors"
    runner.execute(case.command(binary, fixture, run, dump))
    return runner.losses(run), runner.dumped(dump)


def first_difference(one, other):
    """What differs between two runs, or None."""
    (losses, dump), (other_losses, other_dump) = one, other
    if losses != other_losses:
        step = next((k for k, (a, b) in enumerate(zip(losses, other_losses)) if a != b), min(len(losses), len(other_losses)))
        return f"the loss of step {step}"
    if dump.keys() != other_dump.keys():
        return f"the dump's names: {sorted(dump.keys() ^ other_dump.keys())[:3]}"
    different = [name for name in dump if dump[name].tobytes() != other_dump[name].tobytes()]
    return f"{len(different)} of {len(dump)} tensors, first {different[0]}" if different else None


def compare(case, twin, fixture, binary):
    """Runs both, prints one line, and says whether they are equal."""
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        try:
            one = train(case, fixture, binary, Path(first))
            difference = first_difference(one, train(twin, fixture, binary, Path(second)))
        except runner.RunFailed as failure:
            difference = str(failure)
    print(f"{'OFF' if difference else 'ok '} {case} = {'itself again' if twin == case else twin}", end="")
    print(f"  {difference}" if difference else "", flush=True)
    if difference:
        for each in (case, twin):
            print(f"    {runner.shown(each.command(binary, fixture, 'RUN', 'dump.safetensors'))}")
    return not difference


def main():
    arguments = parse_arguments()
    binary = arguments.binary.resolve()
    chosen = [(case, twin) for case in base_cases() for twin in twins(case, arguments.mpi)]
    chosen = [(case, twin) for case, twin in chosen if arguments.only in str(case)]
    fixtures = {case.fixture: judge.Fixture(runner.FIXTURES, case.fixture) for case, _ in chosen}
    equal = [compare(case, twin, fixtures[case.fixture], binary) for case, twin in chosen]
    print(f"{sum(equal)} of {len(equal)}")
    return 0 if equal and all(equal) else 1


if __name__ == "__main__":
    sys.exit(main())
