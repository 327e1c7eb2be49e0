#!/usr/bin/env python3
"""The scripts of launch/examples are what their commands print, and bash and shellcheck have nothing to say of them.

    tests/cluster/examples.py --binary BINARY [--write]
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "launch" / "examples"


def commands():
    """The words of each command of the README, and the file that it writes."""
    text = (EXAMPLES / "README.md").read_text().replace("\\\n", " ")
    for words, file in re.findall(r"^    dmltrain (.*) > (\S+)$", text, re.MULTILINE):
        yield shlex.split(words), EXAMPLES / file


def run(command, folder, path=os.environ["PATH"]):
    environment = {**os.environ, "XDG_CONFIG_HOME": folder, "PATH": path}  # no defaults of a site
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def faults_of(script, file):
    if not file.exists() or file.read_text() != script:
        yield f"{file.name} is not what its command prints: tests/cluster/examples.py --write"
    checks = [["bash", "-n", str(file)]]
    if shutil.which("shellcheck"):
        checks.append(["shellcheck", str(file)])
    for check in checks:
        done = subprocess.run(check, capture_output=True, text=True)
        if done.returncode != 0:
            yield f"{' '.join(check)}:\n{done.stdout}{done.stderr}"


def faults_without_slurm(binary, folder):
    """--print needs no Slurm; to submit does, and says so in one line."""
    printed = run([binary, "submit", "--print"], folder, path=folder)
    if printed.returncode != 0 or "mpirun" not in printed.stdout:
        yield f"--print without Slurm: {printed.returncode} {printed.stderr}"
    refused = run([binary, "submit"], folder, path=folder)
    if refused.returncode != 2 or refused.stderr.count("\n") != 1 or "there is no sbatch" not in refused.stderr:
        yield f"no sbatch: {refused.returncode} {refused.stderr}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--write", action="store_true", help="writes the files anew")
    arguments = parser.parse_args()
    binary = str(arguments.binary.resolve())
    faults = []
    files = set()
    with tempfile.TemporaryDirectory() as folder:
        for words, file in commands():
            done = run([binary, *words], folder)
            if done.returncode != 0:
                faults.append(f"{file.name}: {done.stderr}")
            elif arguments.write:
                file.write_text(done.stdout)
            files.add(file)
            faults += faults_of(done.stdout, file)
        faults += faults_without_slurm(binary, folder)
    faults += [f"{file.name}: no command of the README writes it" for file in set(EXAMPLES.glob("*.sh")) - files]
    for fault in faults:
        print(fault)
    print(f"{len(files)} examples, {len(faults)} faults")
    return 1 if faults or not files else 0


if __name__ == "__main__":
    sys.exit(main())
