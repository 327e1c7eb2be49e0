"""A headless browser for the tests of pages."""

import argparse
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

SKIPPED = 77  # exit code of a test that cannot run here
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def find_browser():
    """Its path, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def browse(browser, address, *options):
    """What the browser prints, and what the page's console says."""
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}",
                   "--virtual-time-budget=4000", "--enable-logging=stderr", "--v=0", *options, address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_pages(description, find_faults, holds, programs=()):
    """The main of a test of pages. find_faults(binary, browser, folder) yields lines; `holds` is said where there are
    none. Exit code 77 where the browser or one of `programs` is missing."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--keep", help="a folder for what is written, and for the screenshots")
    arguments = parser.parse_args()
    browser = find_browser()
    missing = [program for program in programs if shutil.which(program) is None]
    if browser is None or missing:
        print(f"skipped: there is no {'browser' if browser is None else missing[0]}")
        return SKIPPED
    with tempfile.TemporaryDirectory() as temporary:
        found = list(find_faults(os.path.abspath(arguments.binary), browser, Path(arguments.keep or temporary)))
    print("\n".join(found) or holds)
    return 1 if found else 0
