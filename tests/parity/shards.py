#!/usr/bin/env python3
"""Trainings from the files of `dmltrain model partition`, which must be equal in every bit of losses, logits, gradients and
final weights to those from the whole model; and files that must be refused.

    tests/parity/shards.py [--only TEXT]
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import judge
import runner
from bitwise import first_difference, train
from cases import MAIN_MODEL, Case

STEPS = 5
USAGE = 2
CASES = [
    *(Case(MAIN_MODEL, layout, "auto", "1f1b", microbatches, optimizer, STEPS)
      for layout, microbatches in [((1, 1, 1), 1), ((2, 2, 2), 2), ((1, 2, 1), 3), ((1, 1, 3), 1)]
      for optimizer in ["sgd", "adamw"]),
    Case(MAIN_MODEL, (3, 1, 1), "auto", "1f1b", 1, "sgd", STEPS),
    Case(MAIN_MODEL, (1, 1, 2), "gather", "1f1b", 1, "adamw", STEPS),
    Case("resnet_tiny.ts17", (1, 2, 2), "auto", "1f1b", 1, "sgd", STEPS),
    Case("edge_shared", (1, 2, 2), "auto", "gpipe", 2, "sgd", STEPS),
    Case("edge_shared", (1, 2, 2), "auto", "1f1b", 2, "adamw", STEPS),
]  # fmt: skip


def partition(case, binary, fixture, folder, data):
    """Writes the shards; with `data` the labels and the batch are told, else guessed."""
    d, p, t = case.layout
    command = [binary, "model", "partition", fixture.model, folder, "--d", d, "--p", p, "--t", t,
               "--tensor-mode", case.mode, *(["--data", fixture.data] if data else [])]  # fmt: skip
    runner.execute([str(part) for part in command])


@dataclass
class FromShards:
    """The same case with another model: what `train` needs."""

    case: Case
    shards: Path

    def command(self, binary, fixture, run, dump):
        command = self.case.command(binary, fixture, run, dump)
        model = command.index("--model")
        return [*command[:model], "--shards", str(self.shards), *command[model + 2 :]]


def compare(case, fixture, binary, data):
    """Trains both ways, prints one line, and says whether they are equal."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("whole", "parts"):
            (folder / part).mkdir()
        try:
            one = train(case, fixture, binary, folder / "whole")
            partition(case, binary, fixture, folder / "shards", data)
            difference = first_difference(one, train(FromShards(case, folder / "shards"), fixture, binary, folder / "parts"))
        except runner.RunFailed as failure:
            difference = str(failure)
    told = "labels told" if data else "labels guessed"
    print(f"{'OFF' if difference else 'ok '} {case} from shards, {told}" + (f"  {difference}" if difference else ""), flush=True)
    return not difference


def cut_off(folder):
    path = folder / "rank_1.onnx"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def renumbered(folder):
    shutil.copy(folder / "rank_0.onnx", folder / "rank_1.onnx")


# name, what happens to the files, further options, what the one line must hold
FAULTS = [
    ("a file is missing", lambda folder: (folder / "rank_1.onnx").unlink(), "", "rank_1.onnx"),
    ("a file is cut off", cut_off, "", "truncated"),
    ("a file is of another rank", renumbered, "", "rank 0"),
    ("a file is another model", lambda f: shutil.copy(runner.FIXTURES / "edge_gemm.onnx", f / "rank_1.onnx"), "", "partition"),
    ("the layout is another", lambda folder: None, "--d 2 --p 1 --t 1", "--d 2"),
    ("the model is to be saved", lambda folder: None, "--save FOLDER/saved.onnx", "--save"),
    ("the tensor mode is another", lambda folder: None, "--tensor-mode gather", "megatron"),
    ("a weight is to be frozen", lambda folder: None, "--freeze wte*", "--freeze"),
    ("no weight is meant by a glob", lambda folder: None, "--no-decay nothing*", "--no-decay nothing* matches no weight"),
]  # fmt: skip


def refuse(fault, fixture, binary):
    """Trains from damaged files, prints one line, and says whether one line and the exit code told so."""
    name, damage, options, word = fault
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        partition(Case(MAIN_MODEL, (1, 1, 2), "megatron"), binary, fixture, folder / "shards", True)
        damage(folder / "shards")
        command = [binary, "--shards", folder / "shards", "--data", fixture.data, "--steps", 2, "--run", folder / "run",
                   *options.replace("FOLDER", text).split()]  # fmt: skip
        result = subprocess.run([str(part) for part in command], cwd=folder, env=runner.ENVIRONMENT, text=True,
                                capture_output=True, stdin=subprocess.DEVNULL, timeout=runner.TIME_LIMIT_S)  # fmt: skip
        said = result.stderr.strip()
        good = result.returncode == USAGE and len(said.splitlines()) == 1 and word in said and not (folder / "run").exists()
    print(f"{'ok ' if good else 'OFF'} {name}: {said or result.returncode}", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=runner.BINARY, type=Path)
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases whose name holds this")
    arguments = parser.parse_args()
    binary = arguments.binary.resolve()
    cases = [case for case in CASES if arguments.only in str(case)]
    fixtures = {name: judge.Fixture(runner.FIXTURES, name) for name in {case.fixture for case in cases} | {MAIN_MODEL}}
    good = [compare(case, fixtures[case.fixture], binary, index % 2 == 0) for index, case in enumerate(cases)]
    good += [refuse(fault, fixtures[MAIN_MODEL], binary) for fault in FAULTS if arguments.only in fault[0]]
    print(f"{sum(good)} of {len(good)}")
    return 0 if good and all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
