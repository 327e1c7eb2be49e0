"""A headless browser for the tests of pages."""

import shutil
import subprocess
import tempfile

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
