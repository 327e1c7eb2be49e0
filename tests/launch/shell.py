#!/usr/bin/env python3
"""Completion as bash itself does it, on a terminal too, and as fish and zsh read it where they are there; the man page
through groff and man without a warning.

    tests/launch/shell.py --binary build/bin/dmltrain
"""

import argparse
import os
import pty
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SKIPPED = 77
TIME_LIMIT_S = 20

# A line up to the cursor, what completes its last word, and whether nothing else does.
COMPLETIONS = [
    ("dmltrain model ", ["export", "partition", "show"], True),
    ("dmltrain mod", ["model"], True),
    ("dmltrain --sched", ["--schedule"], True),
    ("dmltrain --comm ", ["auto", "mpi", "thread"], True),
    ("dmltrain --d 2 --schedule zb-h", ["zb-h1", "zb-h2"], True),
    ("dmltrain --schedule=zb-h", ["zb-h1", "zb-h2"], True),
    ("dmltrain plan --schedules 1f1b,zb-h", ["1f1b,zb-h1", "1f1b,zb-h2"], True),
    ("dmltrain plan --hardware h2", ["h200"], True),
    ("dmltrain plan --max-m", ["--max-microbatches"], True),
    ("dmltrain plan --see", ["--seed"], True),
    ("dmltrain plan --sch", ["--schedules"], True),
    ("dmltrain calibrate --th", ["--threads"], True),
    ("dmltrain model show --l", ["--loss"], True),
    ("dmltrain model show --lr", [], True),
    ("dmltrain man --", ["--config", "--help", "--version"], True),
    ("dmltrain completion z", ["zsh"], True),
    ("dmltrain help lay", ["layouts"], True),
    ("dmltrain model show gpt2-1", ["gpt2-124m", "gpt2-1558m"], True),
    ("dmltrain --model ./fol", ["./folder"], True),
    ("dmltrain --model gpt2-12", ["gpt2-124m"], True),
    ("dmltrain --data text:boo", ["book.txt"], True),
    ("dmltrain --lr ", [], True),
    ("dmltrain --seed 1 --", ["--batch", "--help", "--config"], False),
]

ASK = r"""
source "$1"
while IFS= read -r COMP_LINE; do
  COMP_POINT=${#COMP_LINE}
  COMPREPLY=()
  _dmltrain
  printf '%s\n' "${COMPREPLY[*]}"
done
"""


def script(binary, shell):
    return subprocess.run([binary, "completion", shell], capture_output=True, text=True, check=True).stdout


def compare(shell, got, faults):
    for (line, expected, whole), words in zip(COMPLETIONS, got, strict=True):
        right = sorted(words) == expected if whole else set(expected) <= set(words)
        if not right:
            faults.append(f"{shell}: '{line}' gives {sorted(words)}, not {expected}")


def bash_functions(folder, faults):
    """The function that bash calls, with the variables that bash sets."""
    lines = "".join(line + "\n" for line, _, _ in COMPLETIONS)
    done = subprocess.run(["bash", "-c", ASK, "bash", folder / "bash"], cwd=folder, input=lines, capture_output=True, text=True)
    if done.stderr:
        faults.append(f"bash: {done.stderr.strip()}")
    compare("bash", [answer.split() for answer in done.stdout.splitlines()], faults)


def fish_functions(folder, faults):
    got = []
    for line, _, _ in COMPLETIONS:
        command = f"source {folder / 'fish'}; complete -C '{line}'"
        done = subprocess.run(["fish", "--no-config", "-c", command], cwd=folder, capture_output=True, text=True)
        if done.stderr:
            faults.append(f"fish: {done.stderr.strip()}")
        got.append([answer.split("\t")[0].rstrip("/") for answer in done.stdout.splitlines()])
    for (line, expected, _), words in zip(COMPLETIONS, got, strict=True):
        # fish completes an option's value in the same word, and lists and prefixes of paths not at all.
        words = [word.split("=", 1)[-1] for word in words]
        # A word that is complete is one to fish, and no option begins with it: then files may be next.
        alike = set(expected) <= set(words) if expected else not any(word.startswith("--") for word in words)
        if "," not in line and "text:" not in line and not alike:
            faults.append(f"fish: '{line}' gives {words}, not {expected}")


def on_terminal(command, start, keys, folder, faults):
    """Types `keys` with tabs into an interactive shell, where dmltrain is a function that prints its words."""
    expected = "<model><show><--seed>"
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.environ.update(TERM="dumb", PS1="$ ", HOME=str(folder), ZDOTDIR=str(folder))
        os.execvp(command[0], command)
    os.write(terminal, start.encode() + b"\n")
    seen, deadline, typed = b"", time.monotonic() + TIME_LIMIT_S, False
    while time.monotonic() < deadline and expected.encode() not in seen:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                seen += os.read(terminal, 65536)
            except OSError:
                break
        if not typed and b"READY" in seen.split(b"\n", 1)[-1]:
            os.write(terminal, keys)
            typed = True
    os.close(terminal)
    os.waitpid(child, 0)
    if expected.encode() not in seen:
        faults.append(f"{command[0]} on a terminal: {expected} is not in {seen.decode(errors='replace')!r}")


def man_page(binary, folder, faults):
    page = folder / "dmltrain.1"
    page.write_text(subprocess.run([binary, "man"], capture_output=True, text=True, check=True).stdout)
    tried = []
    for command in (["groff", "-man", "-ww", "-Tutf8", page], ["man", "--warnings", "-l", page]):
        if shutil.which(command[0]) is None:
            continue
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "MANWIDTH": "100"})
        tried.append(command[0])
        if done.returncode or done.stderr:
            faults.append(f"{command[0]}: {done.stderr.strip()[:400] or done.returncode}")
        if "DMLTRAIN(1)" not in done.stdout:
            faults.append(f"{command[0]}: no page came out")
    return tried


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True, type=Path)
    binary = parser.parse_args().binary.resolve()
    faults, tried = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "folder").mkdir()
        (folder / "book.txt").write_text("text")
        for shell in ("bash", "zsh", "fish"):
            (folder / shell).write_text(script(binary, shell))
        prints = "dmltrain() { printf '<%s>' \"$@\"; echo; }; "
        keys = b"dmltrain mo\tsh\t--see\t\n"
        if shutil.which("bash"):
            bash_functions(folder, faults)
            on_terminal(["bash", "--norc", "--noprofile", "-i"], prints + "source ./bash; echo REA''DY", keys, folder, faults)
            tried.append("bash")
        if shutil.which("zsh"):
            start = prints + "autoload -Uz compinit && compinit -u; source ./zsh; echo REA''DY"
            on_terminal(["zsh", "-f", "-i"], start, keys, folder, faults)
            tried.append("zsh")
        if shutil.which("fish"):
            fish_functions(folder, faults)
            tried.append("fish")
        tried += man_page(binary, folder, faults)
    print("\n".join(faults))
    print(f"{len(COMPLETIONS)} completions and the man page, by {', '.join(tried)}: {len(faults)} faults")
    return 1 if faults else 0 if tried else SKIPPED


if __name__ == "__main__":
    sys.exit(main())
