#!/usr/bin/env python3
"""Rules of the whole tree: the top-level names are fixed, no file holds a path of the machine it was made on, a library
neither prints nor exits, no optional part is switched inside a header. Long files and folders are listed, no fault."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOP = {"CMakeLists.txt", "LICENSE", "README.md", "benchmarks", "kernels", "launch", "models", "parallel", "runtime", "tests"}
LIBRARIES = ("kernels/", "models/", "parallel/", "runtime/")
# exit_all, by which launch ends every rank of an MPI world: MPI_Abort is the only way, and comes from here.
ENDS_THE_WORLD = ("runtime/comm/mpi/mpi_world.cpp", "runtime/comm/mpi/no_mpi.cpp")
SOURCE = (".cpp", ".h", ".cu", ".cuh", ".py", ".cmake")
MAX_LINES = 500
MAX_FILES = 25

MACHINE_PATH = re.compile(rb"/(work|root)/")
PRINTS_OR_EXITS = re.compile(r"\bstd::(cout|cerr|clog)\b|(?<![\w.])(std::)?(printf|fprintf|puts|exit|_Exit|abort|quick_exit)\s*\(|\bfmt::print\b")
SWITCH = re.compile(r"^\s*#\s*(if|ifdef|ifndef|elif)\b.*(CUDA|MPI|NCCL)")


def files():
    """Tracked files, and new ones that git does not ignore."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [name for name in sorted(set(listed)) if (ROOT / name).is_file()]


def line_faults(name, text):
    for number, line in enumerate(text.splitlines(), 1):
        code = line.split("//")[0]
        if name.startswith(LIBRARIES) and name not in ENDS_THE_WORLD and PRINTS_OR_EXITS.search(code):
            yield f"{name}:{number}: a library neither prints nor exits: {line.strip()}"
        if name.endswith(".h") and SWITCH.search(line):
            yield f"{name}:{number}: an optional part is a stub file, not a switch in a header: {line.strip()}"


def faults(names):
    for name in names:
        top = name.split("/")[0]
        if top not in TOP and not top.startswith("."):
            yield f"{name}: '{top}' is no top-level name"
        content = (ROOT / name).read_bytes()
        leak = MACHINE_PATH.search(content)
        if leak:
            yield f"{name}:{content[: leak.start()].count(10) + 1}: holds a path of one machine"
        if name.endswith((".cpp", ".h", ".cu", ".cuh")):
            yield from line_faults(name, content.decode())


def long_ones(names):
    for name in names:
        if name.endswith(SOURCE):
            lines = (ROOT / name).read_bytes().count(b"\n")
            if lines > MAX_LINES:
                yield f"{name}: {lines} lines"
    folders = [str(Path(name).parent) for name in names if not name.startswith("tests/data/")]
    for folder in sorted(set(folders)):
        if folders.count(folder) > MAX_FILES:
            yield f"{folder}: {folders.count(folder)} files"


def main():
    names = files()
    for line in long_ones(names):
        print(f"long: {line}")
    found = list(faults(names))
    print("\n".join(found + [f"{len(found)} faults in {len(names)} files"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
