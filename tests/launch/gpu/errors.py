#!/usr/bin/env python3
"""What goes wrong with GPUs is told in one line, with the exit code of its kind, and no rank is left waiting.

    tests/launch/gpu/errors.py --binary build/bin/dmltrain --emulator build/emulator

Runs on the emulated GPU, which is told what to do wrong.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "parity"))
import runner

MODEL = ["--model", runner.FIXTURES / "gpt_tiny.ts17.onnx", "--data", runner.FIXTURES / "gpt_tiny.ts17.safetensors"]
ONE = (1, 1, 1)
# What the emulated GPU is told, the layout, the exit code, and what the line must say.
CASES = [
    ({"EMULATOR_DEVICES": "1"}, (2, 1, 1), 5, "the host of rank 0 has 2 ranks and 1 GPU"),
    ({"EMULATOR_DEVICES": "0"}, ONE, 5, "there is no GPU that can be used"),
    ({"EMULATOR_MEMORY_MB": "66"}, ONE, 5, "are planned"),
    ({"EMULATOR_MEMORY_MB": "66"}, (2, 1, 1), 5, "available: a smaller --batch"),
    ({"EMULATOR_FAIL": "cudaLaunchKernel:100:700"}, ONE, 5, "cudaLaunchKernel failed: an illegal memory access"),
    ({"EMULATOR_FAIL": "cudaHostAlloc:1:2"}, ONE, 5, "cudaHostAlloc failed"),
    ({"EMULATOR_FAIL": "cublasLtMatmul:5:14"}, ONE, 5, "cublasLtMatmul failed: CUBLAS_STATUS_INTERNAL_ERROR"),
    ({"EMULATOR_FAIL": "cudaLaunchKernel:100:700"}, (2, 1, 1), 5, "cudaLaunchKernel failed"),
    ({"EMULATOR_FAIL": "ncclCommInitRankConfig:1:2"}, (2, 2, 1), 4, "[ncclCommInitRankConfig] rank"),
    ({"EMULATOR_FAIL": "ncclCommSplit:1:2"}, (2, 2, 1), 4, "[ncclCommSplit] rank"),
    ({"EMULATOR_FAIL": "ncclAllReduce:3:3"}, (2, 2, 1), 4, "[all_reduce] rank"),
    ({"EMULATOR_FAIL": "ncclSend:2:1"}, (2, 2, 1), 4, "[send] rank"),
]
TIME_LIMIT_S = 60


def command(binary, layout, folder, comm):
    d, p, t = layout
    launcher = ["mpirun", "-np", d * p * t] if comm == "mpi" else []
    options = ["--device", "cuda", "--d", d, "--p", p, "--t", t, "--steps", 3, "--deadline", 10, "--run", f"{folder}/run"]
    return [str(part) for part in [*launcher, binary, *MODEL, *options]]


def why_wrong(arguments, case, comm):
    """Why a case did not end as it should, or None."""
    told, layout, code, text = case
    environment = runner.ENVIRONMENT | runner.emulated(arguments.emulator, text) | told
    with tempfile.TemporaryDirectory() as folder:
        try:
            result = subprocess.run(command(arguments.binary, layout, folder, comm), env=environment, capture_output=True,
                                    text=True, stdin=subprocess.DEVNULL, timeout=TIME_LIMIT_S)  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"no end after {TIME_LIMIT_S} s"
    said = [line for line in result.stderr.splitlines() if line.startswith("dmltrain: error:")]
    if result.returncode != code:
        return f"exit code {result.returncode}, not {code}: {result.stderr.strip()[-300:]}"
    if not said or text not in said[0]:
        return f"'{text}' is not said: {result.stderr.strip()[-300:]}"
    if comm == "thread" and len(said) > 1:
        return f"said {len(said)} times: {said}"
    return None


def without_a_driver(arguments):
    """--device cuda without the emulated GPU's libraries, on a machine that has no other."""
    if Path("/dev/nvidiactl").exists():
        return None
    command_line = [str(part) for part in [arguments.binary, *MODEL, "--device", "cuda", "--steps", 1]]
    result = subprocess.run(command_line, env=runner.ENVIRONMENT, capture_output=True, text=True, check=False)
    right = result.returncode == 5 and "no NVIDIA driver is installed" in result.stderr
    return None if right else f"exit code {result.returncode}: {result.stderr.strip()}"


def main():
    arguments = runner.emulator_arguments(__doc__)
    wrong = {"without a driver": without_a_driver(arguments)}
    for case in CASES:
        for comm in ["thread", "mpi"] if case[1] != ONE else ["thread"]:
            wrong[f"{case[0]} {case[1]} {comm}"] = why_wrong(arguments, case, comm)
    for name, why in wrong.items():
        print(f"{'OFF' if why else 'ok '} {name}{': ' + why if why else ''}")
    return 1 if any(wrong.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
