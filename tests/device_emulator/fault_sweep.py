#!/usr/bin/env python3
"""Lets calls of CUDA, cublasLt, cuDNN and NCCL fail, one a run, in a training of three steps on two ranks.

    tests/device_emulator/fault_sweep.py [--per-api N] [--only TEXT] [--draw N --seed S] [--late] [--build DIR] [--list]
                                         [--report FILE]

A clean run counts the calls of each entry point. Then N of them (the first, the last, and some between) fail in turn, on
each rank. Each run must end with exit code 4 or 5, say in one line which call failed on which rank, and leave no process.
With --late the calls come 50 ms late instead, and nothing may change. Prints one line a run and 'N of M' at the end.
"""

import argparse
import datetime
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "data" / "fixtures"
TIME_LIMIT_S = 120

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
MODELS = {
    "gpt_tiny": ["--model", FIXTURES / "gpt_tiny.ts17.onnx", "--data", FIXTURES / "gpt_tiny.ts17.safetensors"],
    "resnet_tiny": ["--model", FIXTURES / "resnet_tiny.ts17.onnx", "--data", FIXTURES / "resnet_tiny.ts17.safetensors"],
}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=ROOT / "build", type=Path)
    parser.add_argument("--model", default="gpt_tiny", choices=MODELS)
    parser.add_argument("--layout", default="2,1,1", metavar="D,P,T", help="of two ranks")
    parser.add_argument("--per-api", type=int, default=3, metavar="N", help="calls of an entry point that fail")
    parser.add_argument("--only", default="", metavar="TEXT", help="only entry points whose name holds this")
    parser.add_argument("--draw", type=int, metavar="N", help="only N runs, drawn by the seed")
    parser.add_argument("--seed", help="what draws them (default: the commit)")
    parser.add_argument("--late", action="store_true", help="calls come late instead of failing")
    parser.add_argument("--list", action="store_true", help="only name the calls")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the result there, as Markdown")
    return parser.parse_args()


def commit():
    return subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()


def environment(build):
    """What `. launch/env` and `. tests/device_emulator/env` set."""
    script = '. launch/env && . tests/device_emulator/env "$0" && env -0'
    listed = subprocess.run(["sh", "-c", script, build], cwd=ROOT, capture_output=True, check=True)
    return dict(entry.split("=", 1) for entry in listed.stdout.decode().split("\0") if "=" in entry)


class Trainer:
    """Trains three steps on two ranks, each with settings of its own."""

    def __init__(self, arguments):
        self.environment = environment(arguments.build) | {"EMULATOR_HANG_S": "30"}
        d, p, t = arguments.layout.split(",")
        self.command = [arguments.build / "bin" / "dmltrain", *MODELS[arguments.model], "--device", "cuda", "--steps", "3"]
        self.command += ["--d", d, "--p", p, "--t", t, "--deadline", "10"]

    def run(self, folder, settings):
        """`settings[rank]` are variables of that rank. Returns exit code (None: no end), standard error, losses."""
        command = ["mpirun"]
        for rank in range(2):
            exported = [text for name, value in settings.get(rank, {}).items() for text in ("-x", f"{name}={value}")]
            command += ([":"] if rank else []) + ["-np", "1", *exported, *self.command, "--run", folder / "run"]
        try:
            result = subprocess.run([str(part) for part in command], cwd=ROOT, env=self.environment, capture_output=True,
                                    text=True, stdin=subprocess.DEVNULL, timeout=TIME_LIMIT_S)  # fmt: skip
        except subprocess.TimeoutExpired:
            return None, "", []
        steps = folder / "run" / "steps.jsonl"
        losses = [json.loads(line)["loss"] for line in steps.read_text().splitlines()] if steps.is_file() else []
        return result.returncode, result.stderr, losses


def count_calls(trainer):
    """Calls of each entry point, the fewer of both ranks, and the losses of a clean run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [folder / f"rank{rank}" for rank in range(2)]
        code, errors, losses = trainer.run(folder, {rank: {"EMULATOR_COUNT": files[rank]} for rank in range(2)})
        if code != 0:
            sys.exit(f"the clean run ended with {code}: {errors.strip()}")
        counts = [dict(line.split() for line in file.read_text().splitlines()) for file in files]
    return {api: min(int(count.get(api, 0)) for count in counts) for api in set(counts[0]) | set(counts[1])}, losses


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


def judge(api, rank, code, errors):
    """What is wrong with how a run ended, or nothing."""
    lines = errors.strip().splitlines()
    said = [line for line in lines if not line.startswith("emulator:")]
    if code is None:
        return f"no end after {TIME_LIMIT_S} s"
    leaks = [line for line in lines if line.startswith("emulator: leak")]
    if leaks and not FREES.search(api):
        return leaks[0]
    if code == 0 and MAY_PASS.search(api):
        return ""
    if code not in (4, 5):
        return f"exit code {code}: {lines[-1] if lines else 'nothing was said'}"
    if len(said) != 1:
        return f"{len(said)} lines instead of one: {errors.strip()!r}"
    if not names(said[0], api) or f"rank {rank}" not in said[0]:
        return f"names not {api} on rank {rank}: {said[0]}"
    return ""


def judge_late(code, errors, losses, expected):
    if code != 0:
        return f"exit code {code}: {errors.strip().splitlines()[-1:] or 'nothing was said'}"
    return "" if losses == expected else f"losses {losses} instead of {expected}"


def report_of(arguments, rows):
    """`rows`: entry point, call, of how many, rank, exit code, what is wrong."""
    good = sum(not fault for *_, fault in rows)
    lines = [f"# One call {'comes late' if arguments.late else 'fails'}, in each run of a training on two ranks", "",
             f"- commit: {commit()[:7]}", f"- date: {datetime.date.today()}",
             f"- command: tests/device_emulator/fault_sweep.py --model {arguments.model} --layout {arguments.layout} "
             f"--per-api {arguments.per_api}{' --late' if arguments.late else ''}",
             f"- runs: {len(rows)}, of {len({row[0] for row in rows})} entry points; as they should: {good}", "",
             "| entry point | call | rank | exit code | |", "|---|---|---|---|---|"]  # fmt: skip
    lines += [f"| {api} | {n} of {count} | {rank} | {code} | {fault or 'ok'} |" for api, n, count, rank, code, fault in rows]
    return "\n".join(lines) + "\n"


def main():
    arguments = parse_arguments()
    if not (arguments.build / "emulator" / "libnccl.so.2").exists():
        print("no emulated device in this build")
        return 77
    trainer = Trainer(arguments)
    counts, expected = count_calls(trainer)
    runs = [(api, n, rank)
            for api in sorted(counts) if arguments.only in api and counts[api] > 0 and api != "operation"
            for n in chosen(counts[api] // 2 if api in POLLS else counts[api], arguments.per_api) for rank in range(2)]  # fmt: skip
    if arguments.draw:
        runs = random.Random(arguments.seed or commit()).sample(runs, min(arguments.draw, len(runs)))
    if arguments.list:
        print("\n".join(f"{api} call {n} of {counts[api]}, rank {rank}" for api, n, rank in runs))
        return 0
    rows = []
    for api, n, rank in runs:
        begin = time.monotonic()
        setting = {"EMULATOR_DELAY": f"{api}:{n}:50"} if arguments.late else {"EMULATOR_FAIL": f"{api}:{n}:{code_of(api)}"}
        with tempfile.TemporaryDirectory() as folder:
            code, errors, losses = trainer.run(Path(folder), {rank: setting})
        fault = judge_late(code, errors, losses, expected) if arguments.late else judge(api, rank, code, errors)
        rows.append((api, n, counts[api], rank, code, fault))
        line = f"{'OFF' if fault else 'ok '} {api} call {n} of {counts[api]}, rank {rank}"
        print(f"{line}  exit {code}  {time.monotonic() - begin:.1f} s  {fault}", flush=True)
    if arguments.report:
        arguments.report.write_text(report_of(arguments, rows))
    good = sum(not fault for *_, fault in rows)
    print(f"{good} of {len(runs)}")
    return 0 if good == len(runs) else 1


if __name__ == "__main__":
    sys.exit(main())
