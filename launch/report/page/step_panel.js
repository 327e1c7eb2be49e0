// The Gantt chart with what stands around it: buttons, the colours' meaning, and the facts of the chosen task. Before it
// stands what all pages of a step are made of.
"use strict";

const byId = id => document.getElementById(id);
const jsonOf = id => JSON.parse(byId(id).textContent);
const msText = ms => timeText(ms * 1e3);

function showTile(name, value, under) {
  byId("tiles").append(element("div", "", element("b", value), element("span", name), element("small", under)));
}
function tableOf(rows, className, head) {
  const table = element("table");
  table.className = className;
  if (head) table.append(element("thead", "", element("tr", "", ...head.map(text => element("th", text)))));
  table.append(element("tbody", "", ...rows.map(row => element("tr", "", ...row.map(cell => element("td", String(cell)))))));
  return table;
}
/** A table of numbers whose first `texts` columns are words. */
function numbersTable(head, rows, texts = 1) {
  const table = tableOf(rows, "numbers", head);
  for (const row of table.rows) [...row.cells].slice(0, texts).forEach(cell => cell.className = "text");
  return table;
}

class GanttPanel {
  constructor(step) {
    this.step = step;
    this.facts = byId("facts");
    this.gantt = new Gantt(step, byId("gantt"), chosen => this.choose(chosen));
    this.showLegend();
    this.showTotals();
    this.takeButtons();
    this.followHash();
    window.addEventListener("hashchange", () => this.followHash());
  }
  showLegend() {
    const used = this.step.totals().map(({kind}) => [`var(--${kind})`, TASK_KINDS[kind]]);
    byId("kinds").append(legendOf(used));
    const {tasks, longest_us} = this.step.left_out;
    if (tasks > 0) {
      byId("kinds").append(element(
          "p", `${tasks.toLocaleString("en")} tasks are not drawn: the shortest, none longer than ${timeText(longest_us)}.`));
    }
  }
  takeButtons() {
    const {gantt} = this;
    byId("in").onclick = () => gantt.zoomBy(1.6);
    byId("out").onclick = () => gantt.zoomBy(1 / 1.6);
    byId("fit").onclick = () => gantt.fit();
    if (!byId("order")) return;
    byId("order").hidden = this.step.sides.length < 2;
    byId("order").onchange = event => gantt.setByRank(event.target.value === "rank");
  }
  redraw() {
    this.gantt.readColours();
    this.gantt.redraw();
  }

  choose(chosen) {
    if (!chosen) {
      history.replaceState(null, "", location.pathname + location.search);
      return this.showTotals();
    }
    const {place, task} = chosen;
    this.facts.replaceChildren(element("h1", this.step.name(place, task)),
                               element("p", "", element("code", this.step.id(place, task))),
                               tableOf(factsOf(this.step, place, task), "facts"));
    history.replaceState(null, "", `#rank=${this.step.ranks[place].rank}&task=${this.step.id(place, task)}`);
  }
  /** What the panel says while no task is chosen. */
  showTotals() {
    const ms = us => (us / 1e3).toFixed(3);
    const rows = this.step.totals().map(({kind, count, us}) => [TASK_KINDS[kind], count.toLocaleString("en"), ...us.map(ms)]);
    this.facts.replaceChildren(
        element("h1", this.step.left_out.tasks > 0 ? "The drawn tasks" : "All tasks of the step"),
        element("p", "Click a task for its facts. The wheel zooms, a drag moves, a double click shows a task large."),
        numbersTable(["milliseconds", "tasks", ...this.step.sides.map(({name}) => name)], rows),
        element("p", "The mean over ranks; communication counts from when it was posted."));
  }
  /** #rank=3&task=F.m0.s0.d0.t1.n12 */
  followHash() {
    const wish = new URLSearchParams(location.hash.slice(1));
    if (wish.has("rank")) this.find(wish.get("rank"), wish.get("task"));
  }
  /** Chooses the task of that rank and id, if it is drawn. */
  find(rankText, id) {
    const place = this.step.ranks.findIndex(({rank}) => String(rank) === rankText);
    const task = place < 0 ? -1 : this.step.program(place).name.findIndex((_, i) => this.step.id(place, i) === id);
    if (task < 0) return;
    this.gantt.zoomTo(place, task);
    this.gantt.select({place, task});
  }
}
