#!/usr/bin/env python3
"""Leaves out one thing of the GPU's code at a time and asks whether a test notices.

    tests/device_emulator/mutations.py [--only TEXT] [--tests TEXT] [--draw N --seed S] [--list] [--build DIR]
                                       [--report FILE]

A mutant is a barrier or a comparison in a kernel (mutable_kernels.py), a wait, record or group call of the program, or the
stream of one of its calls and kernels, which then is one that nothing waits for. Each test says which of them it comes to;
a mutant runs against those tests, the cheapest first, in several orders of work, until one fails. Prints a line for each
and 'N of M noticed'; ends with 1 where fewer than --at-least are noticed, or are such that EXCUSED says why nothing changes,
and where a run of all finds an excuse of no mutant or of one that is noticed.
"""

import argparse
import dataclasses
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "parity"))
import cases
import judge
import runner
import sweep

# Calls whose only work is to order other work.
ORDERING = re.compile(r"call:(cudaStreamWaitEvent|cudaEventRecord|cuda(Stream|Event|Device)Synchronize|ncclGroup(Start|End))@")
# Orders of threads and operations that together see what is missing; the first one sees most.
VARIANTS = [{"EMULATOR_POLICY": "lazy", "EMULATOR_ORDER": "forward"},
            {"EMULATOR_POLICY": "random", "EMULATOR_SEED": "1"},
            {"EMULATOR_POLICY": "lifo", "EMULATOR_ORDER": "reverse"},
            {"EMULATOR_POLICY": "random", "EMULATOR_SEED": "2"},
            {"EMULATOR_POLICY": "eager", "EMULATOR_ORDER": "random"}]  # fmt: skip
# Tests of kernels: programs of build/bin, and which of their tests use the GPU.
PROGRAMS = {"dml_test_kernels_cuda": "*", "dml_test_runtime": "*/cuda_*"}
TRAININGS = [
    "mlp_digits.ts17/sgd/1,1,1/auto/1f1b/m1/5steps/cuda", "gpt_tiny.ts17/adamw/1,1,1/auto/1f1b/m2/5steps/cuda",
    "gpt_tiny.ts17/sgd/2,1,1/auto/1f1b/m2/5steps/cuda", "gpt_tiny.ts17/adamw/1,2,1/auto/1f1b/m4/5steps/cuda",
    "gpt_tiny.ts17/adamw/1,2,1/auto/gpipe/m4/5steps/cuda",
    "gpt_tiny.ts17/sgd/1,1,2/gather/1f1b/m1/5steps/cuda", "gpt_tiny.ts17/adamw/1,1,3/gather/1f1b/m1/5steps/cuda",
    "gpt_tiny.ts17/adamw/1,1,3/megatron/1f1b/m1/5steps/cuda", "resnet_tiny.ts17/sgd/1,1,1/auto/1f1b/m1/5steps/cuda",
    "gpt_tiny.ts17/adamw/2,2,2/megatron/1f1b/m2/5steps/cuda",
    "gpt_tiny.ts17/adamw/1,2,1/auto/gpipe/m4/5steps/cuda/replayed", "gpt_tiny.ts17/sgd/2,1,1/auto/1f1b/m2/5steps/cuda/replayed",
    "gpt_tiny.ts17/adamw/1,1,3/gather/1f1b/m2/5steps/cuda/in3parts",
]  # fmt: skip
MOST_TRAININGS = 4  # that one mutant runs against
HANG_S = "10"
TIME_LIMIT_S = 120  # of a test with a mutant, beside TIMES_UNDISTURBED as long as it takes without
TIMES_UNDISTURBED = 10
# Survivors that change nothing which this program could see, as far as reading the code tells: what names them, and why.
EXCUSED = {
    r"map\.cuh:\d+ plan\.row - column < kElems in map_pack$": "takes elements one by one where it could take packs",
    r"strided_copy\.cu:\d+ i >= count in copy$": "indices behind the end come round to the begin: elements are copied once more",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Mutant:
    site: str  # as EMULATOR_LEAVE_OUT has it
    what: str


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=ROOT / "build", type=Path)
    parser.add_argument("--only", default="", metavar="TEXT", help="only mutants whose text holds this")
    parser.add_argument("--tests", default="", metavar="TEXT", help="only tests whose name holds this")
    parser.add_argument("--draw", type=int, metavar="N", help="only N mutants, drawn by the seed")
    parser.add_argument("--seed", help="what draws them (default: the commit)")
    parser.add_argument("--list", action="store_true", help="only name the mutants")
    parser.add_argument("--at-least", type=float, default=0.95, help="share of mutants that must be noticed or excused")
    parser.add_argument("--workers", type=int, default=1, help="runs at a time")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the result there, as Markdown")
    return parser.parse_args()


class KernelTest:
    """One test of a program of kernel tests, over kernels whose accesses are watched."""

    def __init__(self, build, program, name):
        self.program, self.name = build / "bin" / program, name
        self.environment = runner.emulated(build / "emulator", "") | {
            "EMULATOR_KERNELS": str(build / "emulator" / "libdml_kernels_watched.so")}  # fmt: skip

    def __str__(self):
        return f"{self.program.name} {self.name}"

    def fails(self, variant, limit_s=None):
        command = [self.program, f"--gtest_filter={self.name}", "--gtest_brief=1"]
        try:
            return subprocess.run(command, cwd=ROOT, env=runner.ENVIRONMENT | self.environment | variant, timeout=limit_s,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0  # fmt: skip
        except subprocess.TimeoutExpired:
            return True


class Training:
    """One case of the parity suite."""

    def __init__(self, build, case):
        self.binary, self.case = build / "bin" / "dmltrain", cases.Case.parse(case)
        self.fixture = judge.Fixture(runner.FIXTURES, self.case.fixture)
        self.environment = runner.emulated(build / "emulator", "")

    def __str__(self):
        return str(self.case)

    def fails(self, variant, _limit_s=None):
        with tempfile.TemporaryDirectory() as folder:
            run, dump = Path(folder) / "run", Path(folder) / "dump.safetensors"
            command = self.case.command(self.binary, self.fixture, run, dump) + ["--deadline", "10"]
            try:
                runner.execute(command, self.environment | variant)
                found = judge.compare(self.fixture, self.case.optimizer, self.case.steps, runner.losses(run),
                                      runner.dumped(dump), self.case.reorders)  # fmt: skip
            except runner.RunFailed:
                return True
        return not found[0].share <= 1


def tests_of(build):
    for program, pattern in PROGRAMS.items():
        listed = subprocess.run([build / "bin" / program, "--gtest_list_tests", f"--gtest_filter={pattern}"], cwd=ROOT,
                                env=runner.ENVIRONMENT, capture_output=True, text=True, check=True).stdout  # fmt: skip
        suite = ""
        for line in listed.splitlines():
            name = line.split("#")[0].strip()
            if not line.startswith(" "):
                suite = name
            elif not name.startswith("DISABLED_"):
                yield KernelTest(build, program, suite + name)
    for case in TRAININGS:
        yield Training(build, case)


def sites_of(test):
    """How long the undisturbed test takes, and the sites that it comes to; ends the program where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "sites"
        begin = time.monotonic()
        if test.fails(VARIANTS[0] | {"EMULATOR_SITES": str(listed)}):
            sys.exit(f"{test} fails without a mutation")
        seconds = time.monotonic() - begin
        return test, seconds, set(listed.read_text().split("\n")) - {""} if listed.is_file() else set()


def function_at(build, place):
    """The function of "program+0x12ab"."""
    program, offset = place.rsplit("+", 1)
    found = subprocess.run(["addr2line", "-f", "-C", "-e", build / "bin" / program, offset], capture_output=True, text=True)
    name = found.stdout.splitlines()[0] if found.stdout else place
    return re.sub(r"\bdml::|\[clone .*?\]|\{lambda.*?\}|\(anonymous namespace\)::|<.*>|\(.*\)|^\S+ (?=\S+::)", "", name)


def place_of(site):
    """What orders sites: of a call, its name and its place as a number, so that the first in the program is the first."""
    call = re.fullmatch(r"(.*)\+0x([0-9a-f]+)", site)
    return (call[1], int(call[2], 16)) if call else (site, 0)


def mutants_of(build, reached):
    """All mutants that a test comes to, and those places of kernels to which none does."""
    places = {}
    for line in (build / "tests" / "device_emulator" / "watched" / "places.txt").read_text().splitlines():
        number, what = line.split(" ", 1)
        places[f"place:{number}"] = what
    mutants = [Mutant(site, what) for site, what in places.items()]
    number = Counter()
    for site in sorted(reached, key=place_of):
        if site.startswith("stream:") and "@" not in site:
            mutants.append(Mutant(site, f"stream of kernel {site.removeprefix('stream:')}"))
        elif site.startswith("stream:") or ORDERING.match(site):
            kind, call = site.split(":", 1)
            api, place = call.split("@")
            if not place.startswith("dmltrain+"):
                continue  # the tests' own
            what = f"{'stream of ' if kind == 'stream' else ''}{api} in {function_at(build, place)}"
            number[what] += 1
            mutants.append(Mutant(site, what if number[what] == 1 else f"{what}, {number[what]}"))
    return mutants


def noticed_by(mutant, tests, seconds):
    """The first test that fails, in which order of work, or None. `seconds` that each takes undisturbed."""
    settings = {"EMULATOR_LEAVE_OUT": mutant.site, "EMULATOR_LEAKS": "0", "EMULATOR_HANG_S": HANG_S}
    trainings = [test for test in tests if isinstance(test, Training)][:MOST_TRAININGS]
    for variant in VARIANTS:
        for test in [test for test in tests if isinstance(test, KernelTest)] + trainings:
            if test.fails(settings | variant, TIME_LIMIT_S + TIMES_UNDISTURBED * seconds[test]):
                return f"{test} ({' '.join(variant.values())})"
    return None


def excuse(mutant):
    return next((why for names, why in EXCUSED.items() if re.search(names, mutant.what)), None)


def wrong_excuses(outcomes):
    """A line for each excuse of no mutant, or of one that is noticed."""
    for names in EXCUSED:
        found = [(mutant, by) for mutant, by in outcomes if re.search(names, mutant.what)]
        if not found:
            yield f"EXCUSED names no mutant: {names}"
        yield from (f"EXCUSED: {mutant.what}, which is noticed by {by}" for mutant, by in found if by is not None)


def report_of(outcomes):
    noticed = sum(by is not None for _, by in outcomes)
    kinds = Counter(mutant.site.split(":")[0] for mutant, _ in outcomes)
    alive = [(mutant, excuse(mutant)) for mutant, by in outcomes if by is None]
    explained = sum(why is not None for _, why in alive)
    lines = ["# What is left out of the GPU's code, and whether a test notices", "",
             *sweep.origin(),
             f"- mutants: {len(outcomes)}: {kinds['place']} barriers and comparisons of kernels, {kinds['call']} waits, records "
             f"and group calls, {kinds['stream']} streams of calls and kernels",
             f"- noticed: {noticed}, {noticed / len(outcomes):.1%}; survivors with a reason: {explained} of {len(alive)}", "", "## Survivors", ""]  # fmt: skip
    lines += [f"- {mutant.what}: {why or 'not explained'}" for mutant, why in alive] or ["None."]
    lines += ["", "## All", "", "| left out | noticed by |", "|---|---|"]
    lines += [f"| `{mutant.what.replace('|', chr(92) + '|')}` | {by or '-'} |" for mutant, by in outcomes]
    return "\n".join(lines) + "\n"


def main():
    arguments = parse_arguments()
    arguments.build = arguments.build.resolve()
    if not (arguments.build / "emulator" / "libdml_kernels_watched.so").exists():
        print("skipped: no watched kernels of an emulated device in this build")
        return 77
    by_site, seconds = defaultdict(list), {}
    with ThreadPoolExecutor(arguments.workers) as pool:
        for test, took, sites in pool.map(sites_of, (t for t in tests_of(arguments.build) if arguments.tests in str(t))):
            seconds[test] = took
            for site in sites:
                by_site[site].append(test)
    mutants = [mutant for mutant in mutants_of(arguments.build, by_site)
               if arguments.only in mutant.what and (by_site[mutant.site] or not arguments.tests)]
    if not mutants:
        sys.exit(f"no mutant that these tests come to holds '{arguments.only}'")
    mutants = sweep.drawn(mutants, arguments)
    if arguments.list:
        print("\n".join(f"{mutant.site}  {mutant.what}  {len(by_site[mutant.site])} tests" for mutant in mutants))
        return 0

    def try_one(mutant):
        by = noticed_by(mutant, sorted(by_site[mutant.site], key=seconds.get), seconds)
        print(f"{mutant.what}: {'SURVIVES ' + (excuse(mutant) or '') if by is None else by}", flush=True)
        return mutant, by

    with ThreadPoolExecutor(arguments.workers) as pool:
        outcomes = list(pool.map(try_one, mutants))
    noticed = sum(by is not None for _, by in outcomes)
    if arguments.report:
        arguments.report.write_text(report_of(outcomes))
    print(f"{noticed} of {len(outcomes)} noticed")
    wrong = [] if arguments.only or arguments.tests or arguments.draw else list(wrong_excuses(outcomes))
    print("".join(f"{line}\n" for line in wrong), end="")
    known = sum(by is not None or excuse(mutant) is not None for mutant, by in outcomes)
    return 0 if not wrong and known >= arguments.at_least * len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
