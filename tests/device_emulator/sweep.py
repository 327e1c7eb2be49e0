"""What mutations.py and fault_sweep.py share: which of their runs are drawn, and what a report says of how it came about."""

import datetime
import os
import random
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def commit():
    return subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()


def drawn(runs, arguments):
    """--draw of them, by the seed."""
    if not arguments.draw:
        return runs
    return random.Random(arguments.seed or commit()).sample(runs, min(arguments.draw, len(runs)))


def command(words):
    """The command line of these words, but for where its report goes."""
    parts, rest = [], iter(words)
    for word in rest:
        if word == "--report":
            next(rest, None)
        elif not word.startswith("--report="):
            parts.append(os.path.relpath(word, ROOT) if Path(word).is_absolute() else word)
    return shlex.join(parts)


def origin():
    """Lines of a report."""
    called = command([os.path.abspath(sys.argv[0]), *sys.argv[1:]])
    return [f"- commit: {commit()[:7]}", f"- date: {datetime.date.today()}", f"- command: {called}"]
