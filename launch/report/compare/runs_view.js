// The page of `dmltrain compare A B ...`: the traced steps of several runs on one time axis, and what of their critical
// paths makes the difference.
"use strict";

const {runs, kinds, operations} = jsonOf("compared");
const letterOf = i => String.fromCharCode(65 + i);
const nameOf = i => `${letterOf(i)}: ${runs[i].run}`;
const FEW_KINDS = 9;  // of the critical paths' columns; the others are one

/** The tasks of a step by what they are in every layout: phase, microbatch and name. */
class TaskIndex {
  constructor(step) {
    this.step = step;
    this.byKey = new Map();
    step.programs.forEach((program, number) => program.name.forEach((name, task) => {
      const key = TaskIndex.key(program, task, step.names[name]);
      if (!this.byKey.has(key)) this.byKey.set(key, []);
      this.byKey.get(key).push([number, task]);
    }));
  }
  static key(program, task, name) { return `${program.phase[task]} ${program.microbatch[task]} ${program.kind[task]} ${name}`; }
  /** On all ranks that have it, or on those at the same place along d and t where there are some. */
  find({step, place, task}) {
    const found = this.byKey.get(TaskIndex.key(step.program(place), task, step.name(place, task))) ?? [];
    const tasks = found.flatMap(([number, same]) => [...this.step.ranks.keys()].filter(
        i => this.step.ranks[i].program === number).map(i => ({place: i, task: same})));
    const {d, t} = step.ranks[place];
    const here = tasks.filter(one => this.step.ranks[one.place].d === d && this.step.ranks[one.place].t === t);
    return here.length ? here : tasks;
  }
}

/** A chart for each run; what is shown, and what is under the pointer, they have in common. */
class LinkedCharts {
  constructor(steps) {
    this.facts = byId("facts");
    this.indices = steps.map(step => new TaskIndex(step));
    this.room = 0.74 / Math.min(steps.length, 2);
    this.charts = [];
    const all = Math.max(...steps.map(step => step.duration()));
    this.charts = steps.map((step, i) => this.add(step, i, all));
    this.showLegend(steps);
    this.showHelp();
    const [first] = this.charts;
    byId("in").onclick = () => first.zoomBy(1.6);
    byId("out").onclick = () => first.zoomBy(1 / 1.6);
    byId("fit").onclick = () => first.fit();
  }
  add(step, i, all) {
    const frame = element("div", "", element("canvas"), element("div"));
    frame.className = "gantt";
    frame.firstChild.tabIndex = 0;
    frame.firstChild.setAttribute("aria-label", `Tasks of ${nameOf(i)} over time: turn the wheel to zoom, drag to move, click for facts`);
    frame.lastChild.className = "spacer";
    byId("charts").append(element("h3", nameOf(i)), frame);
    const gantt = new Gantt(step, frame, chosen => this.choose(i, chosen), this);
    gantt.duration = gantt.all = all;
    return gantt;
  }
  showLegend(steps) {
    const used = Object.keys(TASK_KINDS).filter(kind => steps.some(step => step.programs.some(({colour}) => colour.includes(kind))));
    byId("kinds").append(legendOf(used.map(kind => [`var(--${kind})`, TASK_KINDS[kind]])));
    const left = steps.reduce((sum, {left_out}) => sum + left_out.tasks, 0), longest = Math.max(...steps.map(({left_out}) => left_out.longest_us));
    if (left > 0) byId("kinds").append(element("p", `${left.toLocaleString("en")} tasks are not drawn: the shortest, none longer than ${timeText(longest)}.`));
  }
  showHelp() {
    this.facts.replaceChildren(
        element("h1", "Tasks"),
        element("p", "Click a task for its facts, and those of the same operation and microbatch in the other runs. The wheel zooms, a drag moves."));
  }

  shown({from, duration}) {
    for (const chart of this.charts) {
      if (chart.from !== from || chart.duration !== duration) chart.show(from, duration);
    }
  }
  hovered(gantt, found) {
    this.charts.forEach((chart, i) => {
      if (chart !== gantt) chart.mark(found ? this.indices[i].find({step: gantt.step, ...found}) : []);
    });
  }
  choose(number, chosen) {
    if (!chosen) return this.showHelp();
    const {step} = this.charts[number], {place, task} = chosen;
    const others = this.charts.map(({step: other}, i) => {
      if (i === number) return null;
      const same = this.indices[i].find({step, place, task}), [side] = other.sides;
      if (!same.length) return [letterOf(i), "has no such task"];
      const us = same.reduce((sum, one) => sum + other.length(side, one.place, one.task), 0) / same.length;
      return [letterOf(i), `${timeText(us)}${same.length > 1 ? `, mean of ${same.length} ranks` : ""}`];
    }).filter(Boolean);
    this.facts.replaceChildren(element("h1", step.name(place, task)), element("p", "", element("code", step.id(place, task))),
                               tableOf([...factsOf(step, place, task), ...others], "facts"));
  }
  redraw() {
    for (const chart of this.charts) {
      chart.readColours();
      chart.redraw();
    }
  }
}

const signed = ms => `${ms < 0 ? "−" : "+"}${Math.abs(ms).toFixed(3)}`;
function showRuns() {
  const [{traced_step_ms: first}] = runs;
  byId("runs").append(numbersTable(
      ["", "run", "layout", "traced step ms", "difference", "of A", "median ms", "10 to 90 %"],
      runs.map((run, i) => [letterOf(i), run.run, run.layout, run.traced_step_ms.toFixed(3), i ? signed(run.traced_step_ms - first) : "",
                            i ? percentText(run.traced_step_ms, first) : "", run.median_step_ms.toFixed(3),
                            `${run.p10_step_ms.toFixed(1)} to ${run.p90_step_ms.toFixed(1)}`]),
      3));
}
function showGroups(id, groups) {
  const others = runs.slice(1).map((_, i) => letterOf(i + 1));
  const cells = (name, times) => [name, ...times.map(ms => ms.toFixed(3)), ...times.slice(1).map(ms => signed(ms - times[0]))];
  const table = numbersTable(
      ["milliseconds", ...runs.map((_, i) => letterOf(i)), ...others.map(letter => `${letter} − A`)],
      [...groups.map(({name, ms}) => cells(name, ms)), cells("the step", runs.map(({traced_step_ms}) => traced_step_ms))]);
  table.classList.add("summed");
  byId(id).append(table);
}
function showPaths() {
  const size = group => Math.max(...group.ms), largest = [...kinds].sort((a, b) => size(b) - size(a));
  const shown = largest.slice(0, FEW_KINDS), rest = largest.slice(FEW_KINDS);
  if (rest.length) shown.push({name: "others", ms: runs.map((_, i) => rest.reduce((sum, {ms}) => sum + ms[i], 0))});
  const parts = shown.map(({name, ms}, i) => ({name, colour: `hsl(${(210 + i * 137) % 360} 52% 55%)`, values: ms}));
  new ColumnPlot(byId("paths"), runs.map((_, i) => letterOf(i)), parts, {text: msText, title: letter => nameOf(letter.charCodeAt(0) - 65)});
}

byId("title").textContent = runs.map((_, i) => nameOf(i)).join(", ");
document.title = `${runs.map(({run}) => run).join(", ")}: compared`;
showRuns();
showPaths();
showGroups("by_kind", kinds);
showGroups("by_operation", operations);
const panel = new LinkedCharts(jsonOf("steps").map(json => new Step(json)));
followTheme(() => panel.redraw());
