// The page of `dmltrain simulate --hardware`: the predicted step of one rank of each class, and what it holds meanwhile.
"use strict";

const predicted = jsonOf("prediction"), {classes} = predicted;
const PARTS = {
  compute: "compute",
  core_wait: "core wait",
  exposed_comm: "exposed communication",
  bubble: "bubble",
};
/** From the bottom of the chart; activations lie above what stays for the whole run. */
const HELD = {
  parameters: ["parameters", "parameters"],
  gradients: ["gradients", "gradients"],
  optimizer_states: ["states", "optimizer states"],
  fixed: ["fixed", "inputs and constants"],
};
/** A limit that is this many times what is held would flatten the chart. */
const FAR = 4;

const MIB = 2 ** 20, mibText = mib => bytesText((mib ?? 0) * MIB);  // so that ticks are round
const rankName = ({first_rank, ranks}) => ranks > 1 ? `rank ${first_rank} and ${ranks - 1} alike` : `rank ${first_rank}`;
const most = Math.max(...classes.map(({memory}) => memory.planned));
const limit = Math.min(...classes.map(({memory}) => memory.limit)), drawn = bytes => bytes > 0 && bytes < FAR * most ? bytes / MIB : null;
/** Where the parts of the step that activations are given for have their middles, in microseconds. */
const middles = classes[0].memory.activations.map((_, i, {length}) => (i + 0.5) / length * predicted.step_ms * 1e3);
const floorOf = memory => Object.keys(HELD).reduce((sum, key) => sum + memory[key], 0);

function showTiles() {
  showTile("step", msText(predicted.step_ms), `predicted on ${predicted.hardware}`);
  showTile("samples/s", scaled(predicted.batch / predicted.step_ms * 1e3, ""), `batch ${predicted.batch}`);
  showTile("FLOP/s of a rank", scaled(predicted.flops_per_s / predicted.ranks, ""), "of the model");
  showTile("ranks", predicted.ranks.toLocaleString("en"), `in ${counted(classes.length, "class", "classes")} of alike ones`);
  showTile("memory of a rank", bytesText(most), limit > 0 ? `largest, of ${bytesText(limit)}` : "largest, as planned");
}
function showMemory() {
  if (limit > 0) byId("limit").textContent = drawn(limit) ? "dashed: what a device has" : `a device has ${bytesText(limit)}`;
  const colour = i => `hsl(${Math.round(210 + 300 * i / Math.max(1, classes.length))} 62% 52%)`;
  const lines = classes.map((one, i) => ({
    name: rankName(one), colour: colour(i), x: middles, values: one.memory.activations.map(bytes => (bytes + floorOf(one.memory)) / MIB)}));
  new StepPlot(byId("memory"), lines, {fromZero: true, limit: drawn(limit), clock: true, text: mibText});
}
function showHeld(memory) {
  byId("held").replaceChildren();
  const layers = Object.entries(HELD).map(([key, [colour, name]]) => (
      {name, colour: `var(--held_${colour})`, x: middles, values: middles.map(() => memory[key] / MIB)}));
  layers.push({name: "activations", colour: "var(--held_activations)", x: middles, values: memory.activations.map(bytes => bytes / MIB)});
  new StepPlot(byId("held"), layers, {stacked: true, limit: drawn(memory.limit), clock: true, text: mibText});
}
function chooseHolder() {
  classes.forEach((one, i) => byId("holder").append(new Option(rankName(one), i)));
  byId("holder").value = classes.findIndex(({memory}) => memory.planned === most);
  byId("holder").onchange = () => showHeld(classes[byId("holder").value].memory);
  byId("holder").onchange();
}
function showRanks() {
  const parts = Object.entries(PARTS).map(([part, name]) => (
      {name, colour: `var(--part_${part})`, values: classes.map(one => one[`${part}_ms`])}));
  new ColumnPlot(byId("parts"), classes.map(one => String(one.first_rank)), parts, {text: msText, title: rank => `rank ${rank}`});
  byId("kinds_table").append(numbersTable(["kind", "tasks", "time of a rank"], predicted.kinds.map(
      ({name, tasks, ms}) => [name, tasks.toLocaleString("en"), msText(ms)])));
  byId("ranks").append(numbersTable(
      ["rank", "place", "alike", "step", ...Object.values(PARTS), "memory planned", "weights, gradients, optimizer", "activations"],
      classes.map(one => [one.first_rank, `d${one.d} p${one.p} t${one.t}`, one.ranks.toLocaleString("en"), msText(one.step_ms),
                          ...Object.keys(PARTS).map(part => msText(one[`${part}_ms`])), bytesText(one.memory.planned),
                          bytesText(floorOf(one.memory) - one.memory.fixed), bytesText(one.memory.arena)]),
      2));
}

byId("title").textContent = `of ${predicted.model} on ${predicted.hardware}`;
document.title = `${predicted.model} on ${predicted.hardware}: predicted step`;
showTiles();
const panel = new GanttPanel(new Step(jsonOf("step")));
showMemory();
chooseHolder();
showRanks();
followTheme(() => panel.redraw());
