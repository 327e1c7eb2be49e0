#!/usr/bin/env python3
"""`cmake --install` into a folder, which is then moved: the program runs from there, and what came with it is in place.

    tests/launch/install.py --build build
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TIME_LIMIT_S = 120
INSTALLED = [
    "bin/dmltrain",
    "bin/dmltrain-env",
    "share/bash-completion/completions/dmltrain",
    "share/doc/dmltrain/LICENSE",
    "share/doc/dmltrain/README.md",
    "share/doc/dmltrain/launch/help/building.md",
    "share/doc/dmltrain/launch/help/pictures/graph.png",
    "share/fish/vendor_completions.d/dmltrain.fish",
    "share/man/man1/dmltrain.1",
    "share/zsh/site-functions/_dmltrain",
]


class Checks:
    def __init__(self):
        self.faults, self.done = [], 0

    def expect(self, holds, what):
        self.done += 1
        if not holds:
            self.faults.append(what)

    def run(self, command, **options):
        """What a command prints; a fault where it fails."""
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT_S, **options)
        self.expect(done.returncode == 0, f"{command}: exit code {done.returncode}: {done.stderr.strip()[-300:]}")
        return done.stdout


def check_files(checks, folder, traces):
    for name in INSTALLED:
        checks.expect((folder / name).is_file(), f"{name} is not installed")
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    others = [name for name in found if name not in INSTALLED and not name.startswith("share/doc/")]
    checks.expect(not others, f"installed unasked: {others}")
    for name in found:
        content = (folder / name).read_bytes()
        for trace in traces:
            checks.expect(trace.encode() not in content, f"{name} holds {trace}")


def check_program(checks, folder, work):
    program = folder / "bin/dmltrain"
    checks.expect(checks.run([program, "--version"]).startswith("dmltrain "), "--version does not say dmltrain")
    training = [program, "--model", "mlp", "--data", "builtin:digits", "--batch", "8", "--d", "2", "--steps", "2", "--run", "run"]
    checks.run(training, cwd=work)
    checks.expect((work / "run/steps.jsonl").is_file(), "the training left no steps.jsonl")
    dynamic = checks.run(["readelf", "-d", program])
    paths = [line.split("[")[1].split("]")[0] for line in dynamic.splitlines() if "RUNPATH" in line or "RPATH" in line]
    checks.expect(paths and paths[0].split(":")[0] == "$ORIGIN/../lib", f"libraries are looked for in {paths}")


def check_env(checks, folder):
    """In each shell the file finds the program beside it, and leaves no variable of its own."""
    command = f". '{folder}/bin/dmltrain-env'; command -v dmltrain; set | grep '^dml_' || true"
    for shell in ("sh", "bash", "zsh"):
        if shutil.which(shell):
            said = checks.run([shell, "-c", command], cwd="/").splitlines()
            checks.expect(said == [str(folder / "bin/dmltrain")], f"{shell}: dmltrain-env leads to {said}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True, type=Path)
    build = parser.parse_args().build.resolve()
    checks = Checks()
    with tempfile.TemporaryDirectory() as name:
        first, moved, work = Path(name) / "first", Path(name) / "moved here", Path(name) / "work"
        work.mkdir()
        checks.run(["cmake", "--install", build, "--prefix", first])
        first.rename(moved)
        check_files(checks, moved, [str(first), str(build)])
        check_program(checks, moved, work)
        check_env(checks, moved)
    print("\n".join(checks.faults))
    print(f"{checks.done} checks of an installed and moved dmltrain: {len(checks.faults)} faults")
    return 1 if checks.faults else 0


if __name__ == "__main__":
    sys.exit(main())
