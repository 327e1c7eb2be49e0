#!/usr/bin/env python3
"""Lets calls of CUDA, cublasLt, cuDNN and NCCL fail, one a run, in trainings of three steps on two ranks.

    tests/device_emulator/fault_sweep.py [--training NAME] [--per-api N] [--only TEXT] [--draw N --seed S] [--late] [--list]
                                         [--build DIR] [--report FILE]

A clean run of each training counts the calls of each entry point. Then N of them (the first, the last, and some between)
fail in turn, on each rank. Each run must end with exit code 4 or 5, say in one line which call failed on which rank, and leave no process.
With --late the calls come 50 ms late instead, and nothing may change. Prints one line a run and 'N of M' at the end.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "parity"))
import sweep
from environment import sourced

FIXTURES = ROOT / "tests" / "data" / "fixtures"
TIME_LIMIT_S = 300
DEADLINE_S = 60  # longer than a rank takes to end on a busy machine

# What a call fails with: a code of its library that no caller can mistake for an answer.
CODES = {"cublasLt": 14, "cudnn": 5000, "nccl": 3, "cuda": 719}
# Their failure is no reason to end a run that is about to end: nothing is lost by it.
MAY_PASS = re.compile(r"Destroy|Free|Finalize|Abort|EventQuery|StreamQuery|GetLastError|DeviceReset|ElapsedTime|Version")
# How the runtime names operations of NCCL.
NAMES = {"ncclAllReduce": "all_reduce", "ncclAllGather": "all_gather", "ncclReduceScatter": "reduce_scatter",
         "ncclReduce": "reduce_scatter", "ncclBroadcast": "broadcast", "ncclSend": "send", "ncclRecv": "receive"}  # fmt: skip
# Calls on behalf of another one, which is named: what the group holds, what is waited for.
ON_BEHALF = {"ncclGroupStart", "ncclGroupEnd", "ncclCommGetAsyncError"}
# What rank 0 says of another rank whose call failed.
SAID_FOR_OTHERS = {"cudaGetDeviceCount": "has no GPU that can be used"}
# Waiting calls it until something has come: how often differs from run to run, but half of them are made in each.
POLLS = {"ncclCommGetAsyncError"}
# A call that fails to free something leaves it, and that is all that may be left.
FREES = re.compile(r"Destroy|Free")
# Said where a step could not be recorded on some rank: it is put together task by task then, on all.
NOT_RECORDED = re.compile(r"--cuda-graph: steps are not replayed, 1 of 2 ranks could not record one(.*)")


@dataclass(frozen=True)
class Outcome:
    code: int | None  # exit code; None: no end
    output: str = ""
    errors: str = ""
    losses: tuple = ()


@dataclass(frozen=True)
class Training:
    model: str
    options: tuple = ()
    only: str = ""  # of its entry points: the others are those of another training


TRAININGS = {
    "gpt_tiny": Training("gpt_tiny"),
    "gpt_tiny, replayed": Training("gpt_tiny", ("--cuda-graph",)),
    "resnet_tiny": Training("resnet_tiny", only="cudnn"),
}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=ROOT / "build", type=Path)
    parser.add_argument("--training", choices=TRAININGS, help="only this one")
    parser.add_argument("--layout", default="2,1,1", metavar="D,P,T", help="of two ranks")
    parser.add_argument("--per-api", type=int, default=3, metavar="N", help="calls of an entry point that fail")
    parser.add_argument("--only", default="", metavar="TEXT", help="only entry points whose name holds this")
    parser.add_argument("--draw", type=int, metavar="N", help="only N runs, drawn by the seed")
    parser.add_argument("--seed", help="what draws them (default: the commit)")
    parser.add_argument("--late", action="store_true", help="calls come late instead of failing")
    parser.add_argument("--list", action="store_true", help="only name the calls")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the result there, as Markdown")
    return parser.parse_args()


class Trainer:
    """Trains three steps on two ranks, each with settings of its own."""

    def __init__(self, arguments, training):
        self.environment = sourced("launch/env", "tests/device_emulator/env", build=arguments.build) | {"EMULATOR_HANG_S": "150"}
        self.at_exit = arguments.build / "emulator" / "libdml_emulator_at_exit.so"
        d, p, t = arguments.layout.split(",")
        fixture = FIXTURES / f"{training.model}.ts17"
        self.command = [arguments.build / "bin" / "dmltrain", "--model", f"{fixture}.onnx", "--data", f"{fixture}.safetensors"]
        self.command += ["--device", "cuda", "--steps", "3", "--d", d, "--p", p, "--t", t, "--deadline", DEADLINE_S, *training.options]

    def run(self, folder, settings):
        """The outcome where `settings[rank]` are variables of that rank."""
        command = ["mpirun"]
        for rank in range(2):
            own = {"LD_PRELOAD": self.at_exit} | settings.get(rank, {})
            exported = [text for name, value in own.items() for text in ("-x", f"{name}={value}")]
            command += ([":"] if rank else []) + ["-np", "1", *exported, *self.command, "--run", folder / "run"]
        try:
            result = subprocess.run([str(part) for part in command], cwd=ROOT, env=self.environment, capture_output=True,
                                    text=True, stdin=subprocess.DEVNULL, timeout=TIME_LIMIT_S)  # fmt: skip
        except subprocess.TimeoutExpired:
            return Outcome(None)
        steps = folder / "run" / "steps.jsonl"
        losses = tuple(json.loads(line)["loss"] for line in steps.read_text().splitlines()) if steps.is_file() else ()
        return Outcome(result.returncode, result.stdout, result.stderr, losses)


def count_calls(trainer):
    """Calls of each entry point, the fewer of both ranks, and the losses of a clean run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [folder / f"rank{rank}" for rank in range(2)]
        clean = trainer.run(folder, {rank: {"EMULATOR_COUNT": files[rank]} for rank in range(2)})
        if clean.code != 0:
            sys.exit(f"the clean run ended with {clean.code}: {clean.errors.strip()}")
        counts = [dict(line.split() for line in file.read_text().splitlines()) for file in files]
    return {api: min(int(count.get(api, 0)) for count in counts) for api in set(counts[0]) | set(counts[1])}, clean.losses


def chosen(count, wanted):
    """The first call, the last, and others evenly between."""
    if wanted == 1 or count == 1:
        return [1]
    return sorted({1 + round(i * (count - 1) / (wanted - 1)) for i in range(wanted)})


def code_of(api):
    return next(code for prefix, code in CODES.items() if api.startswith(prefix))


def names(line, api):
    if api in ON_BEHALF and any(f"[{name}" in line for name in ["ncclComm", *NAMES.values()]):
        return True
    return any(text in line for text in (api, f"[{NAMES.get(api, api)}]", SAID_FOR_OTHERS.get(api, api)))


def goes_on_by_task(api, rank, outcome, expected):
    """Whether only the recording of a step failed, and nothing else came of it. Rank 0 says its own reason."""
    told = NOT_RECORDED.search(outcome.output)
    return told is not None and outcome.losses == expected and (rank != 0 or names(told.group(1), api))


def judge(api, rank, outcome, expected):
    """What is wrong with how a run ended, or nothing."""
    lines = outcome.errors.strip().splitlines()
    said = [line for line in lines if not line.startswith("emulator:")]
    if outcome.code is None:
        return f"no end after {TIME_LIMIT_S} s"
    leaks = [line for line in lines if line.startswith("emulator: leak")]
    if leaks and not FREES.search(api):
        return leaks[0]
    if outcome.code == 0 and (MAY_PASS.search(api) or goes_on_by_task(api, rank, outcome, expected)):
        return ""
    if outcome.code not in (4, 5):
        return f"exit code {outcome.code}: {lines[-1] if lines else 'nothing was said'}"
    if len(said) != 1:
        return f"{len(said)} lines instead of one: {outcome.errors.strip()!r}"
    if not names(said[0], api) or f"rank {rank}" not in said[0]:
        return f"names not {api} on rank {rank}: {said[0]}"
    return ""


def judge_late(outcome, expected):
    if outcome.code != 0:
        return f"exit code {outcome.code}: {outcome.errors.strip().splitlines()[-1:] or 'nothing was said'}"
    return "" if outcome.losses == expected else f"losses {outcome.losses} instead of {expected}"


@dataclass(frozen=True)
class Run:
    """The n-th of `count` calls of an entry point, which fails or is late on one rank."""

    training: str
    api: str
    n: int
    count: int
    rank: int

    def __str__(self):
        return f"{self.training}: {self.api} call {self.n} of {self.count}, rank {self.rank}"


def runs_of(name, counts, arguments):
    for api, count in sorted(counts.items()):
        if api == "operation" or count == 0 or arguments.only not in api or TRAININGS[name].only not in api:
            continue
        for n in chosen(count // 2 if api in POLLS else count, arguments.per_api):
            yield from (Run(name, api, n, count, rank) for rank in range(2))


def fault_of(run, trainer, expected, late):
    """Exit code of a run, and what is wrong with it, or nothing."""
    setting = {"EMULATOR_DELAY": f"{run.api}:{run.n}:50"} if late else {"EMULATOR_FAIL": f"{run.api}:{run.n}:{code_of(run.api)}"}
    with tempfile.TemporaryDirectory() as folder:
        outcome = trainer.run(Path(folder), {run.rank: setting})
    return outcome.code, judge_late(outcome, expected) if late else judge(run.api, run.rank, outcome, expected)


def report_of(arguments, rows):
    """`rows`: run, exit code, what is wrong."""
    good = sum(not fault for *_, fault in rows)
    lines = [f"# One call {'comes late' if arguments.late else 'fails'}, in each run of a training on two ranks", "",
             *sweep.origin(),
             f"- runs: {len(rows)}, of {len({run.api for run, *_ in rows})} entry points; as they should: {good}", "",
             "| training | entry point | call | rank | exit code | |", "|---|---|---|---|---|---|"]  # fmt: skip
    lines += [f"| {run.training} | {run.api} | {run.n} of {run.count} | {run.rank} | {code} | {fault or 'ok'} |"
              for run, code, fault in rows]  # fmt: skip
    return "\n".join(lines) + "\n"


def main():
    arguments = parse_arguments()
    arguments.build = arguments.build.resolve()
    if not (arguments.build / "emulator" / "libnccl.so.2").exists():
        print("no emulated device in this build")
        return 77
    trainers, expected, runs = {}, {}, []
    for name in [arguments.training] if arguments.training else TRAININGS:
        trainers[name] = Trainer(arguments, TRAININGS[name])
        counts, expected[name] = count_calls(trainers[name])
        runs += runs_of(name, counts, arguments)
    if not runs:
        sys.exit(f"no entry point that is called holds '{arguments.only}'")
    runs = sweep.drawn(runs, arguments)
    if arguments.list:
        print("\n".join(map(str, runs)))
        return 0
    rows = []
    for run in runs:
        begin = time.monotonic()
        code, fault = fault_of(run, trainers[run.training], expected[run.training], arguments.late)
        rows.append((run, code, fault))
        print(f"{'OFF' if fault else 'ok '} {run}  exit {code}  {time.monotonic() - begin:.1f} s  {fault}", flush=True)
    if arguments.report:
        arguments.report.write_text(report_of(arguments, rows))
    good = sum(not fault for *_, fault in rows)
    print(f"{good} of {len(runs)}")
    return 0 if good == len(runs) else 1


if __name__ == "__main__":
    sys.exit(main())
