#!/usr/bin/env python3
"""Makes the pictures of this folder anew: pages of dmltrain as Chromium shows them, cut to what a reader needs. Wants Pillow,
to store them in few colours.

  python3 launch/help/pictures/make.py --binary build/bin/dmltrain [NAME ...]"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageChops

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "tests" / "launch"))
from browser import browse, find_browser  # noqa: E402

GPT = ["--model", "gpt:layers=4,width=128,heads=4,seq=64,vocab=256", "--batch", "16"]
TINY = ["--model", "gpt:layers=4,width=32,heads=4,seq=32,vocab=256", "--data", "builtin:text", "--batch", "16", "--steps", "40"]
LARGE = ["--model", "gpt2-774m", "--batch", "256", "--hardware", "a100-80g"]
COLOURS = 128
# Lays a run's page out in one column without its frame, with `sections` alone.
ONLY = "header, #tiles, main > :not({sections}) {{ display: none !important; }} main {{ padding: 0 !important; gap: 8px !important; }} aside {{ display: none; }}"


def only(*sections):
    """CSS that leaves of a run's page the sections which hold one of these elements."""
    return ONLY.format(sections=", ".join(f":has(#{name})" for name in sections))


def pages(folder):
    """name: the commands that write its page, the page, its size in pixels, and CSS that is added to it."""
    a, b = Path("runs/a"), Path("runs/b")  # as the pages say
    train = [[*TINY, "--d", "1", "--p", "2", "--t", "2", "--run", a], [*TINY, "--d", "1", "--p", "4", "--t", "1", "--run", b]]
    nothing = ""
    return {
        "schedules": ([["simulate", "--schedule", "1f1b,zb-h1,zb-v", "--devices", "4", "--microbatches", "8", "--tf", "1", "--tb", "1",
                        "--tw", "1", "--html", folder / "schedules.html"]], folder / "schedules.html", (1100, 560), nothing),
        "simulate": ([["simulate", *GPT, "--p", "4", "--microbatches", "8", "--hardware", "a100-80g", "--html", folder / "simulate.html"]],
                     folder / "simulate.html", (1100, 630), only("gantt", "memory", "held")),
        "compare": ([train[0], ["compare", a]], folder / a / "compare.html", (1100, 720), only("gantt")),
        "runs": ([*train, ["compare", a, b, "--html", folder / "runs.html"]], folder / "runs.html", (1100, 1010),
                 only("charts", "paths", "by_kind")),
        "plan": ([["plan", *LARGE, "--world", "64", "--html", folder / "plan.html"]], folder / "plan.html", (1000, 480), nothing),
        "report": ([train[0]], folder / a / "report.html", (1300, 850), nothing),
    }


def shot(browser, page, size, css, picture):
    styled = page.with_name(f"{page.stem}_styled.html")
    styled.write_text(page.read_text().replace("</head>", f"<style>{css}</style></head>"))
    browse(browser, styled.resolve().as_uri(), f"--screenshot={picture}", f"--window-size={size[0]},{size[1]}", "--hide-scrollbars")
    whole = Image.open(picture).convert("RGB")
    empty = Image.new("RGB", whole.size, whole.getpixel((0, whole.height - 1)))  # below the page
    bottom = ImageChops.difference(whole, empty).getbbox()[3]
    whole.crop((0, 0, whole.width, bottom)).quantize(COLOURS, dither=Image.Dither.NONE).save(picture, optimize=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True, type=Path)
    parser.add_argument("names", nargs="*", help="those alone (default all)")
    arguments = parser.parse_args()
    browser = find_browser()
    if browser is None:
        sys.exit("there is no browser")
    done = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (commands, page, size, css) in pages(Path(folder)).items():
            if arguments.names and name not in arguments.names:
                continue
            for command in commands:
                if command in done:  # pages share their runs
                    continue
                subprocess.run([arguments.binary.resolve(), *map(str, command)], check=True, cwd=folder, stdout=subprocess.DEVNULL)
                done.append(command)
            picture = HERE / f"{name}.png"
            shot(browser, page, size, css, picture)
            print(f"{picture.name}: {picture.stat().st_size} bytes")


if __name__ == "__main__":
    main()
