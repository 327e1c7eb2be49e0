// report.html: what was run, how the loss went, where the time went, and the last step task by task.
"use strict";

const PARTS = {
  compute: "compute",
  core_wait: "core wait",
  exposed_comm: "exposed communication",
  bubble: "bubble",
  other: "other",
};
const CUT = 4;
const run = jsonOf("run"), past = jsonOf("history"), step = new Step(jsonOf("step"));

/** Lines of many ranks get colours around the circle, from one end of the world to the other. */
function rankColour(i, count) { return `hsl(${Math.round(210 + 300 * i / Math.max(1, count))} 62% 52%)`; }

function median(numbers) {
  const sorted = numbers.filter(n => n !== null).sort((a, b) => a - b);
  return sorted.length ? sorted[Math.floor(sorted.length / 2)] : 0;
}
function showTiles() {
  const {steps, counts} = past, loss = steps.loss.filter(value => value !== null);
  const settled = values => median(values.slice(values.length > 4 ? 2 : 0));
  const used = Math.max(...run.ranks.map(rank => rank.used_bytes));
  showTile("loss", loss.length ? numberText(loss.at(-1)) : "none", `from ${loss.length ? numberText(loss[0]) : "none"} in ${counted(run.num_steps, "step")}`);
  showTile("step", msText(settled(steps.step_ms)), "median of the steps");
  showTile(`${counts}/s`, scaled(settled(steps.rate), ""), "median of the steps");
  showTile("FLOP/s", scaled(settled(steps.flops_per_s), ""), "of the model, all ranks");
  const compute = run.ranks.reduce((sum, rank) => sum + rank.compute_ms, 0) / run.ranks.reduce((sum, rank) => sum + rank.step_ms, 0);
  showTile("of the time in compute", `${(100 * compute).toFixed(0)} %`, "mean of the ranks");
  showTile("memory of a rank", bytesText(used), "largest, used of the planned arenas");
}
function showFacts() {
  byId("facts_of_run").append(tableOf(run.facts, "facts"));
  for (const note of run.notes) byId("notes").append(element("li", note));
  byId("config").textContent = run.config;
  if (run.sample) {
    byId("sample").textContent = run.sample;
    byId("sample").parentElement.hidden = false;
  }
}

/** Where the chart of step times ends: some steps, such as the first, are so long that they would hide all others. */
function cutTime(times) {
  const most = CUT * median(times);
  if (times.some(time => time > most)) byId("cut").textContent = `longer ones are cut at ${CUT} times the median`;
  return most;
}

function showSteps() {
  const {steps} = past, line = (name, colour, {step: x, value}) => ({name, colour, x, values: value});
  const losses = [line("loss", "var(--curve)", {step: steps.step, value: steps.loss})];
  if (past.validation) losses.push(line("validation loss", "var(--curve2)", past.validation));
  new StepPlot(byId("loss"), losses);
  if (past.accuracy) {
    byId("accuracy").closest("section").hidden = false;
    new StepPlot(byId("accuracy"), [line("accuracy", "var(--curve)", past.accuracy)]);
  }
  new StepPlot(byId("time"), Object.entries(PARTS).map(([part, name]) => line(name, `var(--part_${part})`, {step: steps.step, value: steps[`${part}_ms`]})),
               {stacked: true, most: cutTime(steps.step_ms), text: msText});
  new StepPlot(byId("norm"), [line("gradient norm", "var(--curve)", {step: steps.step, value: steps.grad_norm})], {fromZero: true});
  if (past.steps_per_point > 1) {
    for (const small of document.querySelectorAll(".thinned")) small.textContent = ` a point is the mean of ${past.steps_per_point} steps`;
  }
}
function showRanks() {
  const parts = Object.entries(PARTS).map(([part, name]) => ({name, colour: `var(--part_${part})`, values: run.ranks.map(rank => rank[`${part}_ms`])}));
  new ColumnPlot(byId("parts"), run.ranks.map(({rank}) => String(rank)), parts,
                 {text: msText, title: rank => `rank ${rank}`});
  const {use} = past, lines = columns => columns.map((values, i) => ({name: `rank ${i}`, colour: rankColour(i, columns.length), x: use.step, values}));
  new StepPlot(byId("cpu"), lines(use.cpu_percent), {fromZero: true, text: percent => `${numberText(percent)} %`});
  new StepPlot(byId("memory"), lines(use.memory_mib), {fromZero: true, text: mib => bytesText((mib ?? 0) * 2 ** 20)});
  byId("ranks").append(numbersTable(
      ["rank", "place", "host", "layers", "parameters", "step", "memory planned", "used"],
      run.ranks.map(rank => [rank.rank, rank.place, rank.host, rank.layers, rank.parameters.toLocaleString("en"), msText(rank.step_ms),
                             bytesText(rank.planned_bytes), bytesText(rank.used_bytes)]),
      4));
  byId("communication").append(numbersTable(
      ["kind", "ranks", "count", "bytes", "mean time", "rate"],
      run.communication.map(({kind, ranks, count, bytes, seconds}) => [
        kind, ranks, count.toLocaleString("en"), bytesText(bytes), timeText(seconds / count * 1e6),
        seconds > 0 ? scaled(bytes / seconds, "B/s") : ""
      ])));
}

byId("title").textContent = run.folder;
document.title = `${run.folder}: report`;
showTiles();
showFacts();
showSteps();
showRanks();
const panel = new GanttPanel(step);
/** All tasks of a rank come into view. */
function showRank(place) {
  panel.gantt.fit();
  panel.gantt.showRow(place);
  byId("gantt").scrollIntoView({block: "center"});
}
new TaskGraph(step, byId("task_graph"), Object.fromEntries(run.ranks.map(rank => [rank.rank, rank])), showRank);
byId("graph_command").textContent = `dmltrain graph --run ${run.folder} --open`;
followTheme(() => panel.redraw());
