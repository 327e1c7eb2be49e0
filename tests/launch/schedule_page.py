#!/usr/bin/env python3
"""Opens the page of `dmltrain simulate --html` in a headless browser: no error on its console, the numbers of other sizes
and times are those that dmltrain itself comes to, a mistake is said, pictures are saved. Exit code 77 where there is no
browser.

  python3 tests/launch/schedule_page.py --binary build/bin/dmltrain [--keep FOLDER]"""

import html
import json
import re
import subprocess
import sys

from browser import browse, test_pages

SCHEDULES = "gpipe,1f1b,interleaved,1f1b-overlap,interleaved-overlap,zb-h1,zb-h2,zb-1p,zb-2p,zb-v,dualpipe,dualpipe-v"
TIMES = ["--tf", "18.522", "--tb", "18.086", "--tw", "9.337", "--tcomm", "0.601"]
SAVES = """<script>
save = (blob, name) => blob.arrayBuffer().then((bytes) => {
  const line = document.createElement("p");
  line.textContent = `saved ${name} ${blob.type} ${bytes.byteLength}`;
  document.body.append(line);
});
byId("svg").click();
byId("png").click();
</script></body>"""


def simulate(binary, *options):
    command = [binary, "simulate", "--schedule", SCHEDULES, *TIMES, *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def rows(dom):
    """The cells of the table, by schedule."""
    body = re.search(r"<tbody>(.*?)</tbody>", dom, re.S).group(1)
    texts = [[html.unescape(re.sub("<[^>]*>", "", cell)) for cell in re.findall(r"<td.*?</td>", row, re.S)]
             for row in re.findall(r"<tr>(.*?)</tr>", body, re.S)]
    return {cells[0]: cells[1:] for cells in texts}


def shown(number):
    return float(f"{number:.5g}")


PICTURES = ("schedules.svg image/svg+xml", "schedules.png image/png")
ATTEMPTS = 5


def wrong_numbers(binary, dom, *options):
    found = rows(dom)
    for expected in json.loads(simulate(binary, "--json", *options))["schedules"]:
        name = expected["schedule"]
        if name not in found:
            yield f"{name} is not in the table"
            continue
        wanted = [shown(expected["cost"]), shown(expected["makespan"]), round(100 * expected["bubble_rate"], 2)]
        have = [float(cell.split()[0]) for cell in found[name][:3]]
        if any(abs(a - b) > 1e-3 * max(1, abs(a)) for a, b in zip(wanted, have)):
            yield f"{name} {' '.join(options)}: the page says {have}, dmltrain {wanted}"


def faults(binary, browser, folder):
    page = folder / "schedules.html"
    simulate(binary, "--devices", "8", "--html", page)
    address = page.resolve().as_uri()
    sizes = {"": ["--devices", "8"],
             "#positions=4&stages=4&microbatches=11": ["--devices", "4", "--microbatches", "11"],
             "#positions=6&stages=12&chunks=4&group=7&latency=2": ["--devices", "6", "--stages", "12", "--microbatches", "16",
                                                                  "--chunks", "4", "--group", "7", "--tcomm", "2"]}
    for place, options in sizes.items():
        dom, console = browse(browser, address + place, "--dump-dom")
        yield from wrong_numbers(binary, dom, *options)
        yield from (f"schedules.html{place}: {line}" for line in console)
    dom, _ = browse(browser, address + "#forward=-1", "--dump-dom")
    if "F: '-1' is no number of at least 0" not in html.unescape(dom):
        yield "a negative time is not refused"
    saving = folder / "saving.html"
    saving.write_text(page.read_text().replace("</body>", SAVES))
    # The browser encodes a picture when it finds time, and on a busy machine not before the page is read.
    missing = list(PICTURES)
    for _ in range(ATTEMPTS):
        dom, _ = browse(browser, saving.resolve().as_uri(), "--dump-dom")
        missing = [kind for kind in missing if not re.search(f"saved {re.escape(kind)} [0-9]{{4,}}", dom)]
        if not missing:
            break
    yield from (f"{kind} is not saved" for kind in missing)
    browse(browser, address, f"--screenshot={folder / 'schedules.png'}", "--window-size=1500,1100")
    if not (folder / "schedules.png").is_file():
        yield "no screenshot"


if __name__ == "__main__":
    sys.exit(test_pages(__doc__, faults, "schedules.html holds"))
