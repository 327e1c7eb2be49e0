#!/usr/bin/env python3
"""Leaves out one synchronisation at a time and asks whether a test notices.

mutations.py --barriers PROGRAM...     each __syncthreads() of kernels/cuda
mutations.py --calls API,API PROGRAM...  each call of these entry points that an undisturbed run makes

PROGRAM must end with 0 without a mutation. It runs over the emulated device under several policies, until one of them
fails. With --sample N only N mutants, drawn by --seed, are tried."""

import argparse
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Orders of threads and operations that together see what is missing; the first one sees most.
VARIANTS = [{"EMULATOR_POLICY": "lazy", "EMULATOR_ORDER": "forward"},
            {"EMULATOR_POLICY": "lifo", "EMULATOR_ORDER": "reverse"},
            {"EMULATOR_POLICY": "random", "EMULATOR_SEED": "1"},
            {"EMULATOR_POLICY": "random", "EMULATOR_SEED": "2"},
            {"EMULATOR_POLICY": "eager", "EMULATOR_ORDER": "random"}]


def run(program, variant, mutation, seconds):
    """The exit code; a run that hangs has failed."""
    environment = {**os.environ, "EMULATOR_LEAKS": "0", "EMULATOR_HANG_S": "20", **variant, **mutation}
    try:
        return subprocess.run(program, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              timeout=seconds).returncode
    except subprocess.TimeoutExpired:
        return 124


def barriers():
    for path in sorted((ROOT / "kernels/cuda").rglob("*.cu*")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.search(r"__syncthreads(_\w+)?\(", line):
                place = f"{path.relative_to(ROOT)}:{number}"
                yield place, {"EMULATOR_SKIP_BARRIER": place}


def calls(apis, program, variant):
    with tempfile.NamedTemporaryFile("r") as counts:
        run(program, variant, {"EMULATOR_COUNT": counts.name}, 600)
        made = {}
        for line in counts:
            api, count = line.split()
            made[api] = max(made.get(api, 0), int(count))
    for api in apis:
        for number in range(1, made.get(api, 0) + 1):
            yield f"{api} #{number}", {"EMULATOR_FAIL": f"{api}:{number}:skip"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--barriers", action="store_true")
    parser.add_argument("--calls", default="")
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-least", type=float, default=0.95, help="share of mutants that must be noticed")
    parser.add_argument("--seconds", type=float, default=300, help="most that one run may take")
    parser.add_argument("program", nargs=argparse.REMAINDER)
    args = parser.parse_args()

    for variant in VARIANTS:
        if run(args.program, variant, {}, args.seconds) != 0:
            sys.exit(f"{' '.join(args.program)} fails without a mutation, under {variant}")
    mutants = list(barriers()) if args.barriers else []
    if args.calls:
        mutants += calls(args.calls.split(","), args.program, VARIANTS[0])
    if args.sample and args.sample < len(mutants):
        mutants = sorted(random.Random(args.seed).sample(mutants, args.sample), key=lambda mutant: mutant[0])
    noticed = 0
    for name, mutation in mutants:
        by = next((v for v in VARIANTS if run(args.program, v, mutation, args.seconds) != 0), None)
        noticed += by is not None
        print(f"{name}: {'survives' if by is None else 'noticed under ' + ' '.join(by.values())}", flush=True)
    print(f"{noticed} of {len(mutants)} noticed")
    return 0 if mutants and noticed >= args.at_least * len(mutants) else 1


if __name__ == "__main__":
    sys.exit(main())
