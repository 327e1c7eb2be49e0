#!/usr/bin/env python3
"""Opens graph.html in a headless browser: no error on its console, the facts of a task that is clicked or named by the
address, zoom and search; and follows all links of the SVG tree. Exit code 77 where there is no browser.

  python3 tests/launch/graph_page.py --binary build/bin/dmltrain [--keep FOLDER]"""

import html
import json
import re
import subprocess
import sys

from browser import browse, test_pages

MODEL = "gpt:layers=22,width=64,heads=4,seq=32,vocab=64"
# What a person does, and what comes of it as JSON: a click on the first task of a layer, a turn of the wheel, a search.
HANDS = """<pre id="done"></pre><script>
addEventListener("load", () => {
  const canvas = document.getElementById("canvas"), panel = document.getElementById("panel"), said = {};
  canvas.setPointerCapture = () => {};  // there is no pointer behind these events
  const layer = view.scene.replicas[1].stages[2].children[1], task = layer.children[0];
  view.fit(layer);
  const box = view.rect(task), corner = canvas.getBoundingClientRect();
  const at = { clientX: corner.left + box.x + box.w / 2, clientY: corner.top + box.y + box.h / 2, bubbles: true };
  canvas.dispatchEvent(new PointerEvent("pointerdown", at));
  canvas.dispatchEvent(new PointerEvent("pointerup", at));
  said.clicked = [panel.querySelector("h1").textContent, task.label];
  const before = view.scale;
  canvas.dispatchEvent(new WheelEvent("wheel", { ...at, deltaY: -300 }));
  said.zoom = view.scale / before;
  const left = view.x;
  canvas.dispatchEvent(new PointerEvent("pointerdown", at));
  canvas.dispatchEvent(new PointerEvent("pointermove", { ...at, clientX: at.clientX + 90 }));
  said.pan = view.x - left;
  const field = document.getElementById("search");
  field.value = "blocks.7 gelu";
  field.dispatchEvent(new Event("input"));
  said.found = panel.querySelector("h1").textContent;
  document.getElementById("done").textContent = JSON.stringify(said);
});
</script>"""


def dead_links(folder):
    pages = {page.name: page.read_text() for page in folder.glob("*.svg")}
    reached, waiting = set(), ["interactive_high_level.svg"]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        if name not in pages:
            yield f"a link leads to {name}, which is not there"
            continue
        waiting += [html.unescape(link) for link in re.findall(r'href="([^"#]+)"', pages[name]) if ":" not in link]
    yield from (f"no link leads to {name}" for name in sorted(set(pages) - reached))


def hand_faults(browser, folder):
    used = folder / "used.html"
    used.write_text((folder / "graph.html").read_text().replace("</body>", HANDS + "</body>"))
    dom, console = browse(browser, used.resolve().as_uri(), "--dump-dom")
    used.unlink()
    yield from (f"used by hand: {line}" for line in console)
    done = re.search(r'<pre id="done">(.*?)</pre>', dom, re.S)
    said = json.loads(html.unescape(done.group(1))) if done and done.group(1) else None
    if said is None:
        yield "used by hand: nothing came of it"
        return
    if said["clicked"][0] != said["clicked"][1]:
        yield f"a click on {said['clicked'][1]} shows the facts of {said['clicked'][0]}"
    if said["zoom"] <= 1.1 or said["pan"] >= 0:
        yield f"the wheel zooms by {said['zoom']}, a drag to the right moves by {said['pan']}"
    if not re.match(r"[1-9]\d* found", said["found"]):
        yield f"the search says '{said['found']}'"


def page_faults(browser, folder):
    page = (folder / "graph.html").resolve().as_uri()
    checks = {"": "45 ranks", "#d=2&task=12": "F.m0.s0.d2.t0.n", "#d=1&stage=3": "order of its passes"}
    for place, expected in checks.items():
        dom, console = browse(browser, page + place, "--dump-dom")
        panel = re.search(r'<aside id="panel">(.*?)</aside>', dom, re.S)
        if panel is None or expected not in panel.group(1):
            yield f"graph.html{place}: the panel does not say '{expected}'"
        yield from (f"graph.html{place}: {line}" for line in console)
    yield from hand_faults(browser, folder)
    browse(browser, page, f"--screenshot={folder / 'graph.png'}", "--window-size=1500,950")
    if not (folder / "graph.png").is_file():
        yield "no screenshot"


# The graph of a run, coloured by time.
TIMED = """<pre id="done"></pre><script>
addEventListener("load", () => {
  const choice = document.getElementById("colour"), said = {};
  said.choices = [...choice.options].map(option => option.value);
  choice.value = "measured";
  choice.dispatchEvent(new Event("change"));
  said.legend = document.getElementById("legend").textContent;
  const boxes = view.scene.replicas.flatMap(made => made.tasks).sort((a, b) => b.total.measured - a.total.measured);
  said.colours = [boxes[0], boxes.at(-1)].map(box => view.fillOf(box).match(/[0-9]+%/)[0]);
  said.measured = view.scene.root.total.measured;
  view.select(boxes[0]);
  said.facts = document.getElementById("panel").textContent;
  document.getElementById("done").textContent = JSON.stringify(said);
});
</script>"""


def measured_us(run):
    """The sum of all compute and communication on the ranks, in the mean over tensor ranks, without transfers."""
    step = json.loads((run / "measured.json").read_text())
    graph = json.loads((run / "graph.json").read_text())
    drawn = {(task["phase"], task["stage"], task["n"]) for program in graph["programs"] for task in program["tasks"]}
    total = 0
    for rank in step["ranks"]:
        for task, start, end in zip(rank["tasks"], rank["start_us"], rank["end_us"]):
            phase, _, stage, _, _, n = task.split(".")
            total += (end - start) / graph["layout"]["t"] if (phase, int(stage[1:]), int(n[1:])) in drawn else 0
    return total


def time_faults(binary, browser, folder):
    run = folder / "run"
    layout = ["--d", "2", "--p", "2", "--t", "2", "--microbatches", "2", "--data", "builtin:text", "--batch", "8"]
    small = ["--model", "gpt:layers=2,width=32,heads=2,seq=16,vocab=256"]
    subprocess.run([binary, *small, *layout, "--steps", "3", "--run", run], check=True, capture_output=True)
    drawing = ["--emit", "html,json", "--out", run, "--hardware", "a100-80g"]
    subprocess.run([binary, "graph", "--run", run, *drawing], check=True, capture_output=True)
    page = run / "graph.html"
    page.write_text(page.read_text().replace("</body>", TIMED + "</body>"))
    dom, console = browse(browser, page.resolve().as_uri(), "--dump-dom")
    yield from (f"with times: {line}" for line in console)
    done = re.search(r'<pre id="done">(.*?)</pre>', dom, re.S)
    said = json.loads(html.unescape(done.group(1))) if done and done.group(1) else None
    if said is None:
        yield "with times: nothing came of it"
        return
    if said["choices"] != ["kind", "flops", "bytes", "measured", "simulated"]:
        yield f"with times: colours by {said['choices']}"
    if "measured" not in said["legend"] or str(run) not in said["legend"]:
        yield f"with times: the legend says '{said['legend']}'"
    if said["colours"][0] != "100%" or said["colours"][1] == "100%":
        yield f"with times: the longest and the shortest task are {said['colours']} hot"
    if "measured" not in said["facts"] or "ms a step" not in said["facts"]:
        yield f"with times: the facts of a task are '{said['facts'][:200]}'"
    if abs(said["measured"] - measured_us(run)) > 1e-3 * said["measured"]:
        yield f"with times: {said['measured']} us in all boxes, {measured_us(run)} in measured.json"


def faults(binary, browser, folder):
    layout = ["--model", MODEL, "--d", "3", "--p", "5", "--t", "3"]
    subprocess.run([binary, "graph", *layout, "--out", folder], check=True)
    yield from dead_links(folder)
    yield from page_faults(browser, folder)
    yield from time_faults(binary, browser, folder)


if __name__ == "__main__":
    sys.exit(test_pages(__doc__, faults, "graph.html and the SVG tree hold", programs=["dot"]))
