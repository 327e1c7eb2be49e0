// compare.html: the simulated and the measured step on one time axis, and the tables of `dmltrain compare`.
"use strict";

const compared = jsonOf("comparison");
const PART_COLOURS = {
  compute: "compute",
  "core wait": "core_wait",
  "exposed comm": "exposed_comm",
  bubble: "bubble"
};

const pairCells = row => [msText(row.predicted_ms), msText(row.measured_ms), errorText(row.predicted_ms, row.measured_ms)];

function showGroups(id, groups, counts) {
  const rows = groups.map(group => [group.name, ...(counts ? [group.tasks.toLocaleString("en")] : []), ...pairCells(group)]);
  byId(id).append(numbersTable(["", ...(counts ? ["tasks"] : []), "predicted", "measured", "error"], rows));
}
function showTiles() {
  showTile("step predicted", msText(compared.predicted_step_ms), `by ${compared.by}`);
  showTile("step measured", msText(compared.measured_step_ms), "the step that was traced");
  showTile("error", errorText(compared.predicted_step_ms, compared.measured_step_ms), "predicted less measured, of measured");
  showTile("median step", msText(compared.median_step_ms), "of the run");
  showTile("tasks", compared.tasks.toLocaleString("en"), compared.not_executed.length + compared.not_generated.length ?
                                                             "generated; some are on one side only" : "generated, and each was executed");
}
/** The critical paths are of different tasks: their error says nothing, their shares do. */
function showParts() {
  const parts = compared.parts.map(({name, predicted_ms, measured_ms}) => (
      {name, colour: `var(--part_${PART_COLOURS[name]})`, values: [predicted_ms, measured_ms]}));
  new ColumnPlot(byId("parts"), ["predicted", "measured"], parts, {text: msText});
}
function showOutliers(panel) {
  const {largest_differences: tasks} = compared;
  const rows = tasks.map(task => [task.rank, task.id, task.name, ...pairCells(task)]);
  const table = numbersTable(["rank", "task", "name", "predicted", "measured", "error"], rows, 3);
  table.classList.add("links");
  tasks.forEach(({rank, id}, i) => table.tBodies[0].rows[i].onclick = () => panel.find(String(rank), id));
  byId("outliers").append(table);
}
function showUnmatched() {
  const {not_executed, not_generated} = compared;
  for (const [what, tasks] of [["not executed", not_executed], ["not generated", not_generated]]) {
    for (const {rank, id} of tasks.slice(0, 200)) byId("unmatched").append(element("li", `rank ${rank} ${id}: ${what}`));
  }
  byId("unmatched").parentElement.hidden = !(not_executed.length + not_generated.length);
}

byId("title").textContent = compared.run;
document.title = `${compared.run}: generated and measured`;
showTiles();
showParts();
showGroups("path", compared.critical_path, false);
showGroups("kinds_table", compared.kinds, true);
showGroups("operations", compared.operations, true);
const panel = new GanttPanel(new Step(jsonOf("step")));
showOutliers(panel);
showUnmatched();
followTheme(() => panel.redraw());
