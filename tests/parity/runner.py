"""Starts dmltrain as a person would after `. launch/env`, and reads what it wrote."""

import argparse
import json
import os
import shlex
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import tensors
from environment import ROOT, sourced

FIXTURES = ROOT / "tests" / "data" / "fixtures"
BINARY = ROOT / "build" / "bin" / "dmltrain"
TIME_LIMIT_S = 300
SKIPPED = 77  # exit code of a test that cannot run here
POLICIES = ["eager", "lazy", "lifo", "random"]  # of the emulated GPU: when work on streams is done


class RunFailed(Exception):
    """dmltrain ended without what was asked for; the text says how."""


ENVIRONMENT = sourced("launch/env")


def emulator_in(folder):
    """The folder in whole; ends this program as a skipped test where it holds no emulated GPU."""
    if not (folder / "libcudart.so.13").is_file():
        print(f"skipped: {folder} holds no emulated GPU: this build is one without CUDA")
        sys.exit(SKIPPED)
    return folder.resolve()


def emulator_arguments(documentation):
    """--binary and --emulator of a test that needs both, in whole. It goes on at the root of the repository."""
    parser = argparse.ArgumentParser(description=documentation.splitlines()[0])
    parser.add_argument("--binary", default=BINARY, type=Path)
    parser.add_argument("--emulator", default=ROOT / "build" / "emulator", type=Path)
    arguments = parser.parse_args()
    arguments.binary, arguments.emulator = arguments.binary.resolve(), emulator_in(arguments.emulator)
    os.chdir(ROOT)
    return arguments


def emulated(folder, text):
    """The environment in which programs find the emulated GPUs of `folder`; the order of their work is drawn from `text`,
    where it is not set."""
    drawn = zlib.crc32(text.encode())
    return {
        "LD_LIBRARY_PATH": ":".join([str(folder), *filter(None, [ENVIRONMENT.get("LD_LIBRARY_PATH")])]),
        "EMULATOR_KERNELS": str(folder / "libdml_kernels_emulated.so"),
        "EMULATOR_DEVICES": "8",
        "EMULATOR_POLICY": os.environ.get("EMULATOR_POLICY", POLICIES[drawn % len(POLICIES)]),
        "EMULATOR_SEED": os.environ.get("EMULATOR_SEED", str(drawn // len(POLICIES) % 1000)),
    }


def counted(command, environment, folder):
    """Runs the command on the emulated GPU. How it ended, and how often it made each call of the libraries by name; the
    calls are listed in `folder`."""
    counts = Path(folder) / "counts"
    ended = subprocess.run([str(part) for part in command], env=ENVIRONMENT | environment | {"EMULATOR_COUNT": str(counts)},
                           capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=TIME_LIMIT_S)  # fmt: skip
    lines = counts.read_text().splitlines() if counts.is_file() else []
    return ended, Counter({name: int(calls) for name, calls in map(str.split, lines)})


def settings(variables):
    """Variables as they stand before a command in a shell."""
    return " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())


def relative(path):
    """The path as a person at the root of the repository would type it."""
    return os.path.relpath(path, ROOT) if Path(path).is_relative_to(ROOT) else str(path)


def execute(command, extra_environment=None):
    """Runs the command from the root; throws RunFailed where it does not end with exit code 0 in time."""
    try:
        result = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT | (extra_environment or {}), capture_output=True, text=True,
                                stdin=subprocess.DEVNULL, timeout=TIME_LIMIT_S)  # fmt: skip
    except subprocess.TimeoutExpired:
        raise RunFailed(f"no end after {TIME_LIMIT_S} s") from None
    except OSError as error:
        raise RunFailed(f"{command[0]}: {error.strerror}") from None
    if result.returncode != 0:
        said = (result.stderr.strip() or result.stdout.strip() or "nothing was said").splitlines()[-1]
        raise RunFailed(f"exit code {result.returncode}: {said}")


def shown(command):
    """A command line to be pasted into a shell."""
    return shlex.join(relative(part) if part.startswith(str(ROOT)) else part for part in command)


def losses(run):
    path = Path(run) / "steps.jsonl"
    if not path.is_file():
        raise RunFailed("there is no steps.jsonl in the run folder")
    return [json.loads(line)["loss"] for line in path.read_text().splitlines()]


def dumped(path):
    if not Path(path).is_file():
        raise RunFailed("the dump was not written")
    return tensors.read(path)[0]
