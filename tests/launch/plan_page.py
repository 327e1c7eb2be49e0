#!/usr/bin/env python3
"""Opens the pages of `dmltrain plan --html` and `plan --scaling --html` in a headless browser: no error on the console,
a point for each layout, the table and the front that dmltrain itself comes to. Exit code 77 where there is no browser.

  python3 tests/launch/plan_page.py --binary build/bin/dmltrain [--keep FOLDER]"""

import html
import json
import re
import subprocess
import sys

from browser import browse, test_pages

OPTIONS = ["--model", "gpt:layers=8,width=256,heads=4,seq=64,vocab=256", "--batch", "32", "--world", "8", "--hardware", "a100-80g"]
# What a person does: the pointer over the best layout.
HANDS = """<pre id="done"></pre><script>
addEventListener("load", () => {
  const points = [...document.querySelectorAll("main svg circle")];
  points[0].dispatchEvent(new PointerEvent("pointermove", { clientX: 300, clientY: 200, bubbles: true }));
  document.getElementById("done").textContent =
    JSON.stringify({ points: points.length, best: document.querySelectorAll("circle.best").length,
                     lines: document.querySelectorAll("main svg polyline").length,
                     tip: document.getElementById("tip").textContent });
});
</script></body>"""


def plan(binary, *options):
    command = [binary, "plan", *OPTIONS, *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def used(browser, page):
    """What the page shows: its DOM, what HANDS says of it, and its console."""
    copy = page.with_name("used.html")
    copy.write_text(page.read_text().replace("</body>", HANDS))
    dom, console = browse(browser, copy.resolve().as_uri(), "--dump-dom")
    copy.unlink()
    done = re.search(r'<pre id="done">(.*?)</pre>', dom, re.S)
    return dom, json.loads(html.unescape(done.group(1))) if done and done.group(1) else {}, console


def rows(dom):
    body = re.search(r"<tbody>(.*?)</tbody>", dom, re.S).group(1)
    return [re.findall(r"<td>(.*?)</td>", row, re.S) for row in re.findall(r"<tr.*?</tr>", body, re.S)]


def front_size(layouts):
    least, size = float("inf"), 0
    for layout in layouts:
        size += layout["memory_bytes"] < least
        least = min(least, layout["memory_bytes"])
    return size


def plan_faults(binary, browser, folder):
    layouts = json.loads(plan(binary, "--all", "--json", "--html", folder / "plan.html"))["layouts"]
    layouts = [layout for layout in layouts if "step_ms" in layout]
    dom, said, console = used(browser, folder / "plan.html")
    yield from (f"plan.html: {line}" for line in console)
    if said.get("points") != len(layouts) or said.get("best") != front_size(layouts):
        yield f"plan.html: {said} for {len(layouts)} layouts, {front_size(layouts)} on the front"
    if "speed-up" not in said.get("tip", ""):
        yield f"plan.html: the pointer over a layout shows '{said.get('tip')}'"
    first = rows(dom)[0]
    if [int(cell) for cell in first[:3]] != [layouts[0][axis] for axis in "dpt"]:
        yield f"plan.html: the first row is {first}, the best layout {layouts[0]}"


def scaling_faults(binary, browser, folder):
    found = json.loads(plan(binary, "--scaling", "--json", "--html", folder / "scaling.html", "--csv", folder / "scaling.csv"))
    dom, said, console = used(browser, folder / "scaling.html")
    yield from (f"scaling.html: {line}" for line in console)
    lines = found["by_axis"] + found["over_t"]
    points = sum(len(line["points"]) for line in lines)
    if said.get("points") != points or said.get("lines") != len(lines) or "samples/s" not in said.get("tip", ""):
        yield f"scaling.html: {said} for {points} points on {len(lines)} lines"
    if [row[0] for row in rows(dom)] != ["1", "2", "4", "8"]:
        yield f"scaling.html: rows {rows(dom)}"
    if len((folder / "scaling.csv").read_text().splitlines()) != points + 1:
        yield "scaling.csv: not a line for each point"
    together = {point["world"]: point["samples_per_s"] for point in found["by_axis"][-1]["points"]}
    for line in found["by_axis"]:
        yield from (f"{line['name']} is faster than all axes together on {point['world']} ranks"
                    for point in line["points"] if point["samples_per_s"] > together[point["world"]])


def faults(binary, browser, folder):
    yield from plan_faults(binary, browser, folder)
    yield from scaling_faults(binary, browser, folder)
    for page in ("plan", "scaling"):
        address = (folder / f"{page}.html").resolve().as_uri()
        browse(browser, address, f"--screenshot={folder / page}.png", "--window-size=1400,1000")
        if not (folder / f"{page}.png").is_file():
            yield f"no screenshot of {page}.html"


if __name__ == "__main__":
    sys.exit(test_pages(__doc__, faults, "plan.html and scaling.html hold"))
