#!/usr/bin/env python3
"""Opens report.html and compare.html of a run in a headless browser: no error on their consoles, every task under the id
that measured.json has, the facts of a task that is clicked, zoom, pan and the link between both charts; and keeps a
screenshot of each, light and dark. Exit code 77 where there is no browser.

  python3 tests/launch/report_page.py --binary build/bin/dmltrain [--keep FOLDER]"""

import html
import json
import re
import subprocess
import sys

from browser import browse, test_pages

DARK = "--blink-settings=preferredColorScheme=0"
LAYOUTS = {"8": ["--d", "2", "--p", "2", "--t", "2"], "64": ["--d", "8", "--p", "4", "--t", "2", "--batch", "32", "--microbatches", "4"]}
SMALL = ["--model", "gpt:layers=4,width=16,heads=2,seq=16,vocab=256", "--data", "builtin:text", "--batch", "16", "--steps", "4"]
# What a person does, and what comes of it as JSON: a click on a task of the second rank, a turn of the wheel, a drag.
HANDS = """<pre id="done"></pre><script>
addEventListener("load", () => {
  const {gantt, step} = panel, {canvas} = gantt, facts = document.getElementById("facts"), said = {};
  canvas.setPointerCapture = () => {};  // there is no pointer behind these events
  const side = step.sides.at(-1), place = 1, {begin, end} = side.ranks[place];
  const row = gantt.rows.find(r => r.side === side && r.place === place);
  const compute = [...begin.keys()].filter(i => step.program(place).queue[i] === 0);
  const task = compute.reduce((a, b) => end[b] - begin[b] > end[a] - begin[a] ? b : a);
  gantt.zoomTo(place, task);
  const corner = canvas.getBoundingClientRect();
  const at = { clientX: corner.left + gantt.x((begin[task] + end[task]) / 2),
               clientY: corner.top + row.top - gantt.frame.scrollTop + 5, bubbles: true };
  canvas.dispatchEvent(new PointerEvent("pointermove", at));
  said.hovered = gantt.hovered && step.id(gantt.hovered.place, gantt.hovered.task);
  said.tip = document.getElementById("tip").textContent;
  canvas.dispatchEvent(new PointerEvent("pointerdown", at));
  canvas.dispatchEvent(new PointerEvent("pointerup", at));
  said.id = step.id(place, task);
  said.facts = facts.textContent;
  const before = gantt.duration;
  canvas.dispatchEvent(new WheelEvent("wheel", { ...at, deltaY: -300 }));
  said.zoom = before / gantt.duration;
  const left = gantt.from;
  canvas.dispatchEvent(new PointerEvent("pointerdown", at));
  canvas.dispatchEvent(new PointerEvent("pointermove", { ...at, clientX: at.clientX + 90 }));
  canvas.dispatchEvent(new PointerEvent("pointerup", { ...at, clientX: at.clientX + 90 }));
  said.pan = gantt.from - left;
  document.getElementById("fit").click();
  said.fits = gantt.from === 0 && gantt.duration === gantt.all;
  said.sides = step.sides.map(side => side.name);
  said.ids = step.ranks.map((_, rank) => step.program(rank).name.map((_, i) => step.id(rank, i)));
  said.starts = step.ranks.map((_, rank) => [...side.ranks[rank].begin]);
  document.getElementById("done").textContent = JSON.stringify(said);
});
</script>"""


def used_by_hand(browser, page, hands=HANDS):
    """What `hands` say of the page, and its console."""
    used = page.with_name("used.html")
    used.write_text(page.read_text().replace("</body>", hands + "</body>"))
    dom, console = browse(browser, used.resolve().as_uri(), "--dump-dom")
    used.unlink()
    done = re.search(r'<pre id="done">(.*?)</pre>', dom, re.S)
    return (json.loads(html.unescape(done.group(1))) if done and done.group(1) else None), console


def hand_faults(said, sides):
    if said["sides"] != sides:
        yield f"the sides are {said['sides']}"
    if said["hovered"] != said["id"] or not all(side in said["tip"] for side in sides):
        yield f"the pointer on {said['id']} finds {said['hovered']}, and says '{said['tip']}'"
    for word in (said["id"], "microbatch", "stage", "bytes", "FLOP", "rank", *sides):
        if word not in said["facts"]:
            yield f"a click on {said['id']} does not say '{word}': {said['facts']}"
    if said["zoom"] <= 1.1 or said["pan"] >= 0 or not said["fits"]:
        yield f"the wheel zooms by {said['zoom']}, a drag to the right moves by {said['pan']}, fits: {said['fits']}"


def time_faults(said, measured):
    """Ids and starts against measured.json; starts are rounded to a tenth of a microsecond."""
    for rank, (ids, starts) in enumerate(zip(said["ids"], said["starts"])):
        expected = dict(zip(measured[rank]["tasks"], measured[rank]["start_us"]))
        if set(ids) != set(expected):
            yield f"rank {rank}: the page has {len(ids)} tasks, measured.json {len(expected)}; of one alone: {set(ids) ^ set(expected)}"
        elif any(abs(expected[task] - start) > 0.06 for task, start in zip(ids, starts)):
            yield f"rank {rank}: tasks start at other times than in measured.json"


def page_faults(browser, run, name, sides):
    page = run / name
    said, console = used_by_hand(browser, page)
    yield from console
    if said is None:
        yield "used by hand: nothing came of it"
        return
    yield from hand_faults(said, sides)
    yield from time_faults(said, json.loads((run / "measured.json").read_text())["ranks"])
    if page.stat().st_size > 3e6:
        yield f"the page has {page.stat().st_size} bytes"
    yield from picture_faults(browser, page)


def picture_faults(browser, page):
    """Keeps a screenshot of the page in light and dark."""
    for theme, options in (("light", []), ("dark", [DARK])):
        picture = page.with_name(f"{page.stem}_{theme}.png")
        _, console = browse(browser, page.resolve().as_uri(), f"--screenshot={picture}", "--window-size=1500,2000", *options)
        yield from console
        if not picture.is_file():
            yield f"no screenshot in {theme}"


def faults(binary, browser, folder):
    for ranks, layout in LAYOUTS.items():
        run = folder / f"ranks{ranks}"
        subprocess.run([binary, *SMALL, *layout, "--run", run], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([binary, "compare", run], check=True, stdout=subprocess.DEVNULL)
        for name, sides in (("report.html", ["measured"]), ("compare.html", ["simulated", "measured"])):
            yield from (f"{name} of {ranks} ranks: {fault}" for fault in page_faults(browser, run, name, sides))


if __name__ == "__main__":
    sys.exit(test_pages(__doc__, faults, "report.html and compare.html hold"))
