#!/usr/bin/env python3
"""Trains the fixtures through the command line and compares losses, logits, gradients and final weights with PyTorch's.

    tests/parity/parity.py [--suite quick|full|product|mpi|gpu|gpu_processes|gpu_orders] [--only TEXT] [--case CASE] [--list]
                            [--device cuda] [--emulator build/emulator]

Prints one line a case, and 'N of M' at the end; for a case that is off, also the commands that reproduce it.
"""

import argparse
import dataclasses
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cases
import judge
import runner
from environment import number_of_gpus


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=runner.BINARY, type=Path)
    parser.add_argument("--fixtures", default=runner.FIXTURES, type=Path, help="folder of X.onnx and X.safetensors")
    parser.add_argument("--suite", default="quick", choices=cases.SUITES)
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases whose name holds this")
    parser.add_argument("--case", action="append", default=[], help="this case, as its line names it")
    parser.add_argument("--list", action="store_true", help="only name the cases")
    parser.add_argument("--workers", type=int, default=1, help="cases at a time")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="run the cases there; default: where each says")
    parser.add_argument("--emulator", type=Path, metavar="DIR", help="the emulated GPU's libraries stand in for NVIDIA's")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep run folders and dumps here")
    return parser.parse_args()


def judge_case(case, fixture, arguments, folder):
    """Runs one case. Returns the findings, the worst first; throws RunFailed."""
    run, dump = folder / "run", folder / "dump.safetensors"
    emulated = runner.emulated(arguments.emulator, str(case)) if arguments.emulator else None
    runner.execute(case.command(arguments.binary, fixture, run, dump), emulated)
    if case.means == "module":
        return [judge.compare_losses(fixture, case.optimizer, runner.losses(run), ".module")]
    return judge.compare(fixture, case.optimizer, case.steps, runner.losses(run), runner.dumped(dump), case.reorders)


def report(case, fixture, arguments, folder):
    """Runs one case, prints its line, and says whether it agrees."""
    begin = time.monotonic()
    try:
        findings = judge_case(case, fixture, arguments, folder)
        worst = findings[0]
        agrees = worst.share <= 1
        what = f"{worst.name}: {worst.error:.2g}, allowed {worst.allowed:.2g} (worst of {len(findings)})"
    except runner.RunFailed as failure:
        agrees, what = False, str(failure)
    lines = [f"{'ok ' if agrees else 'OFF'} {case}  {time.monotonic() - begin:.1f} s  {what}"]
    if not agrees:
        command = case.command(arguments.binary, fixture, "RUN", "dump.safetensors")
        again, alone = "", ""
        if arguments.emulator:
            again = f"--emulator {runner.relative(arguments.emulator)} "
            alone = runner.settings(runner.emulated(arguments.emulator, str(case))) + " "
        lines.append(f"    again: tests/parity/parity.py {again}--case {case}")
        lines.append(f"    alone: {alone}{runner.shown(command)}")
    print("\n".join(lines), flush=True)
    return agrees


def run_case(case, fixture, arguments):
    if arguments.keep:
        folder = arguments.keep / str(case).replace("/", "_")
        folder.mkdir(parents=True, exist_ok=True)
        return report(case, fixture, arguments, folder)
    with tempfile.TemporaryDirectory() as folder:
        return report(case, fixture, arguments, Path(folder))


def left_out(fixtures):
    """One line for each reason why cases of the full product have no meaning."""
    reasons = Counter()
    for name, fixture in fixtures.items():
        found = (cases.why_left_out(case, fixture) for case in cases.combinations(name))
        reasons.update(f"{name}: {reason}" for reason in found if reason)
    return [f"left out of the product: {count} of {reason}" for reason, count in sorted(reasons.items())]


def runnable(chosen, gpus):
    """The cases for which there are GPUs, one for each rank."""
    return [case for case in chosen if case.device != "cuda" or case.world <= gpus]


def main():
    arguments = parse_arguments()
    arguments.binary = arguments.binary.resolve()
    if arguments.emulator:
        arguments.emulator = runner.emulator_in(arguments.emulator)
    stems = sorted(path.stem for path in arguments.fixtures.resolve().glob("*.safetensors"))
    fixtures = {stem: judge.Fixture(arguments.fixtures.resolve(), stem) for stem in stems}
    chosen = [cases.Case.parse(text) for text in arguments.case] or cases.SUITES[arguments.suite](fixtures)
    if arguments.device:
        chosen = [dataclasses.replace(case, device=arguments.device) for case in chosen]
    chosen = [case for case in chosen if arguments.only in str(case)]
    if arguments.list:
        print("\n".join(map(str, chosen)))
        return 0
    if arguments.suite in ("full", "product"):
        print("\n".join(left_out(fixtures)))
    wanted = len(chosen)
    if not arguments.emulator:
        chosen = runnable(chosen, number_of_gpus())
    if len(chosen) < wanted:
        print(f"skipped: {wanted - len(chosen)} of {wanted} cases need more GPUs than are here")
        if not chosen:
            return runner.SKIPPED
    with ThreadPoolExecutor(arguments.workers) as pool:
        agreed = sum(pool.map(lambda case: run_case(case, fixtures[case.fixture], arguments), chosen))
    print(f"{agreed} of {len(chosen)}")
    return 0 if chosen and agreed == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
