"""Writes kjv.txt and digits.bin beside this file: the built-in data sets. SOURCES.md says where they come from.

    python make_builtin.py      needs the Debian packages bible-kjv and bible-kjv-text, and scikit-learn
"""

import re
import subprocess
import textwrap
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

HERE = Path(__file__).parent
BOOKS = {"Genesis": ("Gen", 50), "Matthew": ("Matt", 28), "Mark": ("Mark", 16), "Luke": ("Luke", 24), "John": ("John", 21)}
LINE = 76


def verses(book, chapter):
    """The verses of one chapter, without their numbers."""
    out = subprocess.run(["bible", "-f", f"{book}{chapter}:1-{book}{chapter}:99"], capture_output=True, text=True, check=True)
    numbered = re.compile(rf"^\w+?{chapter}:\d+ ")
    return [numbered.sub("", line).strip() for line in out.stdout.splitlines() if numbered.match(line)]


def text():
    """Each chapter is one paragraph of wrapped lines; an empty line stands between paragraphs."""
    paragraphs = []
    for title, (book, chapters) in BOOKS.items():
        paragraphs.append(title.upper())
        paragraphs += [textwrap.fill(" ".join(verses(book, c)), LINE) for c in range(1, chapters + 1)]
    return "\n\n".join(paragraphs) + "\n"


def digits():
    """Per image: 64 pixels of 0 to 16, row by row, then the digit; one byte each."""
    data = load_digits()
    return np.concatenate([data.data, data.target[:, None]], axis=1).astype(np.uint8).tobytes()


(HERE / "kjv.txt").write_text(text(), encoding="ascii")
(HERE / "digits.bin").write_bytes(digits())
