"""Environments in which programs of the build run, and the GPUs that are here."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def sourced(*files, build=ROOT / "build", values=None):
    """The environment after `. FILE` of each, for programs of `build`. `values`: what it was before; default: this one's."""
    script = "".join(f'. "./{file}" && ' for file in files) + "env -0"
    listed = subprocess.run(["sh", "-c", script, "sh", str(build)], cwd=ROOT, env=values, capture_output=True, check=True)
    return dict(entry.split("=", 1) for entry in listed.stdout.decode().split("\0") if "=" in entry)


def gpus_of_machine():
    return len(list(Path("/dev").glob("nvidia[0-9]*")))


def number_of_gpus():
    """Those of this machine, or of the emulated one where tests/device_emulator/env was sourced."""
    if "EMULATOR_KERNELS" in os.environ:
        return int(os.environ.get("EMULATOR_DEVICES", "1"))
    return gpus_of_machine()
