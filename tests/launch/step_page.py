#!/usr/bin/env python3
"""Opens the pages of `dmltrain simulate --hardware --html` and `dmltrain compare A B C --html` in a headless browser: no
error on their consoles, what the program prints as JSON in their tables, a task's facts at a click, zoom and hover that go
through all charts; and keeps a screenshot of each, light and dark. Exit code 77 where there is no browser.

  python3 tests/launch/step_page.py --binary build/bin/dmltrain [--keep FOLDER]"""

import json
import subprocess
import sys

from browser import test_pages
from report_page import HANDS, SMALL, hand_faults, picture_faults, used_by_hand

LAYOUTS = {"d2p2t2": ["--d", "2", "--p", "2", "--t", "2"], "p4": ["--d", "1", "--p", "4", "--t", "1"], "zb": ["--d", "2", "--p", "2", "--t", "2", "--schedule", "zb-h1"]}
MEMORY = """<script>addEventListener("load", () => {
  const said = JSON.parse(document.getElementById("done").textContent), rows = [...document.querySelectorAll("#ranks tbody tr")];
  said.lines = document.querySelectorAll("#memory path.curve").length;
  said.limits = document.querySelectorAll("#memory line.limit").length;
  said.layers = document.querySelectorAll("#held polygon").length;
  said.holders = document.getElementById("holder").length;
  said.rows = rows.length;
  document.getElementById("done").textContent = JSON.stringify(said);
});</script>"""
# The pointer on the longest task of the first run, a click on it, and a turn of the wheel.
LINKED = """<pre id="done"></pre><script>
addEventListener("load", () => {
  const {charts} = panel, [gantt] = charts, {step, canvas} = gantt, said = {charts: charts.length};
  canvas.setPointerCapture = () => {};  // there is no pointer behind these events
  const [side] = step.sides, {begin, end} = side.ranks[0], program = step.program(0);
  const forward = [...begin.keys()].filter(i => program.colour[i] === "forward");
  const task = forward.reduce((a, b) => end[b] - begin[b] > end[a] - begin[a] ? b : a);
  gantt.zoomTo(0, task);
  const corner = canvas.getBoundingClientRect(), row = gantt.rows[0];
  const at = { clientX: corner.left + gantt.x((begin[task] + end[task]) / 2), clientY: corner.top + row.top + 5, bubbles: true };
  canvas.dispatchEvent(new PointerEvent("pointermove", at));
  said.id = step.id(0, task);
  said.name = step.name(0, task);
  said.marked = charts.map(chart => chart.marked.map(({place, task}) => chart.step.name(place, task)));
  canvas.dispatchEvent(new PointerEvent("pointerdown", at));
  canvas.dispatchEvent(new PointerEvent("pointerup", at));
  said.facts = document.getElementById("facts").textContent;
  canvas.dispatchEvent(new WheelEvent("wheel", { ...at, deltaY: -300 }));
  said.spans = charts.map(chart => [chart.from, chart.duration]);
  document.getElementById("fit").click();
  said.fits = charts.map(chart => chart.from === 0 && chart.duration === chart.all && chart.all === gantt.all);
  const rows = id => [...document.querySelectorAll(`#${id} tbody tr`)].map(row => [...row.cells].map(cell => cell.textContent));
  said.kinds = rows("by_kind");
  document.getElementById("done").textContent = JSON.stringify(said);
});
</script>"""


def run(binary, *arguments):
    return subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True, check=True).stdout


def simulated_faults(binary, browser, folder):
    page = folder / "simulated.html"
    options = [*SMALL[:-2], *LAYOUTS["d2p2t2"], "--hardware", "a100-80g"]
    predicted = json.loads(run(binary, "simulate", *options, "--json", "--html", page))
    said, console = used_by_hand(browser, page, HANDS + MEMORY)
    yield from console
    if said is None:
        yield "used by hand: nothing came of it"
        return
    yield from hand_faults(said, ["simulated"])
    classes = len(predicted["classes"])
    if not said["lines"] == said["holders"] == said["rows"] == classes:
        yield f"{classes} classes, but {said['lines']} lines, {said['holders']} choices and {said['rows']} rows"
    if said["layers"] != 5 or said["limits"] != 0:
        yield f"{said['layers']} layers of memory, {said['limits']} limits in sight of 80 GB"
    for one in predicted["classes"]:
        memory = one["memory"]
        held = sum(memory[part] for part in ("parameters", "gradients", "optimizer_states", "fixed", "arena"))
        if held != memory["planned"] or not 0 < max(memory["activations"]) <= memory["arena"]:
            yield f"the memory of rank {one['first_rank']} does not add up: {memory}"
    yield from picture_faults(browser, page)


def number(text):
    return float(text.replace("\u2212", "-"))


def compared_faults(binary, browser, folder):
    for name, layout in LAYOUTS.items():
        run(binary, *SMALL, *layout, "--run", folder / name)
    page = folder / "runs.html"
    found = json.loads(run(binary, "compare", *(folder / name for name in LAYOUTS), "--json", "--html", page))
    said, console = used_by_hand(browser, page, LINKED)
    yield from console
    if said is None:
        yield "used by hand: nothing came of it"
        return
    if said["charts"] != 3 or any(not marked or set(marked) != {said["name"]} for marked in said["marked"]):
        yield f"the pointer on {said['name']} marks {said['marked']}"
    if len(set(map(tuple, said["spans"]))) != 1 or not all(said["fits"]):
        yield f"the charts do not share their time axis: {said['spans']}, {said['fits']}"
    for word in (said["id"], "microbatch", "B", "C"):
        if word not in said["facts"]:
            yield f"a click on {said['id']} does not say '{word}': {said['facts']}"
    *kinds, step = said["kinds"]
    if len(kinds) != len(found["kinds"]) or step[0] != "the step":
        yield f"the table has {len(kinds)} kinds, the program found {len(found['kinds'])}"
    for column in range(1, 6):  # three runs, two differences
        if abs(sum(number(row[column]) for row in kinds) - number(step[column])) > 0.0006 * len(kinds):
            yield f"column {column} of the kinds does not sum to the step"
    yield from picture_faults(browser, page)


def faults(binary, browser, folder):
    yield from (f"simulate: {fault}" for fault in simulated_faults(binary, browser, folder))
    yield from (f"compare: {fault}" for fault in compared_faults(binary, browser, folder))


if __name__ == "__main__":
    sys.exit(test_pages(__doc__, faults, "the pages of simulate and of several runs hold"))
