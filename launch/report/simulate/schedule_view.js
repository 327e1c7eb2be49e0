"use strict";
// The page around the chart: settings in, results out. The address keeps what was changed, so that it can be passed on:
// #positions=16&microbatches=64&schedules=1f1b,zb-h1

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const FIELDS = [
  { group: "sizes", name: "positions", label: "devices p", whole: true, least: 1, most: 128 },
  { group: "sizes", name: "microbatches", label: "microbatches m", whole: true, least: 1, most: 2000 },
  { group: "sizes", name: "stages", label: "stages timed", whole: true, least: 1, most: 1024 },
  { group: "sizes", name: "chunks", label: "chunks v", whole: true, least: 1, most: 64, optional: true },
  { group: "sizes", name: "group", label: "group", whole: true, least: 1, most: 2000, optional: true },
  { group: "times", name: "forward", label: "F", perStage: true },
  { group: "times", name: "input_grad", label: "B", perStage: true },
  { group: "times", name: "weight_grad", label: "W", perStage: true },
  { group: "times", name: "overlapped", label: "F with B", perStage: true, optional: true },
  { group: "times", name: "latency", label: "communication", least: 0 },
  { group: "memory", name: "activations", label: "F until B", perStage: true },
  { group: "memory", name: "weight_inputs", label: "B until W", perStage: true },
  { group: "memory", name: "limit", label: "limit", least: 0, optional: true },
];
const inputs = {};
const boxes = new Map();
let results = [];
let view = null;
let layout = null;

// --- settings ---

const perStageText = (field) => {
  const values = data.settings.model.map((stage) => stage[field]);
  return values.every((v) => v === values[0]) ? String(values[0]) : values.join(", ");
};

function givenText(field) {
  const { settings } = data;
  if (field.name === "stages") return String(settings.model.length);
  if (field.name === "overlapped") {
    const isSum = settings.model.every((s) => s.overlapped === s.forward + s.input_grad + s.weight_grad);
    return isSum ? "" : perStageText("overlapped");
  }
  if (field.perStage) return perStageText(field.name);
  return field.optional && !settings[field.name] ? "" : String(settings[field.name]);
}

function addFields() {
  for (const field of FIELDS) {
    const label = document.createElement("label");
    label.className = "field";
    label.innerHTML = `<span>${field.label}</span>`;
    const input = document.createElement("input");
    input.placeholder = field.optional ? (field.name === "overlapped" ? "the sum" : "auto") : "";
    input.inputMode = "decimal";
    input.name = field.name;
    input.addEventListener("input", recompute);
    label.append(input);
    byId(field.group).append(label);
    inputs[field.name] = input;
  }
}

function addSchedule(name) {
  const label = document.createElement("label");
  label.className = "check";
  const box = document.createElement("input");
  box.type = "checkbox";
  box.addEventListener("input", recompute);
  label.append(box, name);
  byId("schedules").append(label);
  boxes.set(name, box);
}

const givenSchedules = () => data.schedules.map((s) => s.name).join();
const chosenSchedules = () => [...boxes].filter(([, box]) => box.checked).map(([name]) => name).join();

/** What the page was made with, with the address's changes over it. */
function showSettings(address) {
  for (const field of FIELDS) inputs[field.name].value = address.get(field.name) ?? givenText(field);
  const chosen = (address.get("schedules") ?? givenSchedules()).split(",");
  for (const [name, box] of boxes) box.checked = chosen.includes(name);
  recompute();
}

function writeAddress() {
  const address = new URLSearchParams();
  for (const field of FIELDS) {
    if (inputs[field.name].value !== givenText(field)) address.set(field.name, inputs[field.name].value);
  }
  const given = givenSchedules().split(",").sort().join();
  if (chosenSchedules().split(",").sort().join() !== given) address.set("schedules", chosenSchedules());
  history.replaceState(null, "", `#${address}`);
}

function readNumber(text, field) {
  const value = Number(text);
  const least = field.least || 0;
  if (text.trim() === "" || !Number.isFinite(value) || value < least || value > (field.most || Infinity) ||
      (field.whole && !Number.isInteger(value)))
    throw new Error(`${field.label}: '${text}' is no ${field.whole ? "whole " : ""}number of at least ${least}${field.most ? ` and at most ${field.most}` : ""}`);
  return value;
}

function readField(field, stages) {
  const text = inputs[field.name].value;
  if (field.optional && text.trim() === "") return null;
  if (!field.perStage) return readNumber(text, field);
  const values = text.split(",").map((part) => readNumber(part, field));
  if (values.length !== 1 && values.length !== stages)
    throw new Error(`${field.label}: ${values.length} values for ${stages} stages; give one for all, or one for each`);
  return range(stages).map((i) => values[values.length === 1 ? 0 : i]);
}

function readSettings() {
  const settings = {};
  for (const field of FIELDS) {
    inputs[field.name].classList.remove("wrong");
    try {
      settings[field.name] = readField(field, settings.stages);
    } catch (error) {
      inputs[field.name].classList.add("wrong");
      throw error;
    }
  }
  const of = (field, i) => settings[field][i];
  settings.model = range(settings.stages).map((i) => ({
    forward: of("forward", i), input_grad: of("input_grad", i), weight_grad: of("weight_grad", i),
    overlapped: settings.overlapped ? of("overlapped", i) : of("forward", i) + of("input_grad", i) + of("weight_grad", i),
    activations: of("activations", i), weight_inputs: of("weight_inputs", i),
  }));
  return settings;
}

// --- results ---

function simulateNamed(name, settings) {
  const file = data.schedules.find((s) => s.name === name && s.orders);
  if (!file) {
    const pipeline = pipelineOf(SCHEDULES[name], settings);
    return simulateOrders(SCHEDULES[name].make(pipeline), pipeline);
  }
  const { positions, microbatches } = data.settings;
  if (settings.positions !== positions || settings.microbatches !== microbatches)
    throw new Error(`is a file's order of ${positions} devices and ${microbatches} microbatches`);
  const pipeline = { ...settings, copies: 1, costs: withStages(settings.model, file.stages) };
  return simulateOrders(parseOrders(file.orders), pipeline);
}

function recompute() {
  writeAddress();
  try {
    const settings = readSettings();
    byId("status").textContent = "";
    results = [...boxes].filter(([, box]) => box.checked).map(([name]) => {
      try {
        return { name, ...simulateNamed(name, settings) };
      } catch (error) {
        return { name, error: error.message };
      }
    });
  } catch (error) {
    byId("status").textContent = error.message;
    return;
  }
  fit();
  showTable();
}

const drawn = () => results.filter((r) => !r.error);
const longest = () => Math.max(1e-12, ...drawn().map((r) => r.makespan));

function cell(row, text, className = "") {
  const td = row.insertCell();
  td.textContent = text;
  td.className = className;
  return td;
}

function showTable() {
  const body = byId("table").tBodies[0];
  body.replaceChildren();
  const best = Math.min(...drawn().map((r) => r.cost));
  for (const result of results) {
    const row = body.insertRow();
    cell(row, result.name);
    if (result.error) {
      cell(row, result.error, "error").colSpan = 6;
      continue;
    }
    const efficiency = result.cost > 0 ? best / result.cost : 1;
    for (const text of [number(result.cost), number(result.makespan), percent(result.bubbleRate), percent(efficiency)]) cell(row, text);
    cell(row, "").innerHTML = `<div class="bar"><i style="width:${100 * efficiency}%"></i></div>`;
    cell(row, number(result.peakMemory));
  }
}

// --- chart ---

function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  const all = { page: of("page"), ink: of("ink"), faint: of("faint"), line: of("line"), row: of("row"), onTask: of("on-task") };
  for (const op of "FBIW") Object.assign(all, { [op]: of(op), [`${op}2`]: of(`${op}2`) });
  return all;
}

function draw() {
  const canvas = byId("chart");
  const width = Math.max(320, canvas.parentElement.clientWidth - 32);
  layout = layoutChart(drawn(), width, view);
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(layout.height * ratio);
  canvas.style.height = `${layout.height}px`;
  canvas.style.width = `${width}px`;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  paintChart(layout, new CanvasPainter(context), colours());
}

function fit() {
  view = { from: 0, to: longest() };
  draw();
}

function moveView(from, span) {
  const all = longest();
  const width = Math.min(all, Math.max(all / 1000, span));
  const begin = Math.min(Math.max(0, from), all - width);
  view = { from: begin, to: begin + width };
  draw();
}

function onWheel(event) {
  if (!event.ctrlKey && !event.shiftKey && Math.abs(event.deltaY) > 0 && layout.view.to - layout.view.from >= longest() && event.deltaY > 0) return;
  event.preventDefault();
  const at = view.from + (event.offsetX - GUTTER) / layout.scale;
  const factor = 1.0015 ** event.deltaY;
  moveView(at - (at - view.from) * factor, (view.to - view.from) * factor);
}

function startDrag(event) {
  const canvas = byId("chart");
  const from = view.from;
  const x = event.clientX;
  canvas.classList.add("drag");
  const move = (e) => moveView(from - (e.clientX - x) / layout.scale, view.to - view.from);
  const stop = () => {
    canvas.classList.remove("drag");
    window.removeEventListener("pointermove", move);
  };
  window.addEventListener("pointermove", move);
  window.addEventListener("pointerup", stop, { once: true });
}

function showPass(event) {
  const found = passAt(layout, event.offsetX, event.offsetY);
  if (!found) return hideTip();
  const { action: a, device, pair } = found;
  showTip(event, [`${a.stage}${a.op}${a.microbatch}: ${LETTERS[a.op]}${pair ? ", overlapped" : ""}`,
    `device ${device}, stage ${a.stage}, microbatch ${a.microbatch}`,
    `${number(a.start)} to ${number(a.end)}: ${number(a.end - a.start)}`]);
}

// --- saving ---

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function saveSvg() {
  const painter = new SvgPainter();
  paintChart(layout, painter, colours());
  save(new Blob([painter.file(layout.width, layout.height)], { type: "image/svg+xml" }), "schedules.svg");
}

function showLegend() {
  byId("legend").innerHTML = Object.entries(LETTERS).map(([op, text]) => `<span><i style="background:var(--${op})"></i>${op} ${text}</span>`).join("") +
    "<span>the number is the microbatch; later chunks of a device are darker; overlapped passes stand above each other</span>";
}

addFields();
[...new Set([...Object.keys(SCHEDULES), ...data.schedules.map((s) => s.name)])].forEach(addSchedule);
showLegend();
followTheme(() => { if (view) draw(); });
showSettings(new URLSearchParams(location.hash.slice(1)));
byId("reset").addEventListener("click", () => showSettings(new URLSearchParams()));
byId("form").addEventListener("submit", (event) => event.preventDefault());
byId("fit").addEventListener("click", fit);
byId("svg").addEventListener("click", saveSvg);
byId("png").addEventListener("click", () => byId("chart").toBlob((blob) => save(blob, "schedules.png")));
byId("chart").addEventListener("wheel", onWheel, { passive: false });
byId("chart").addEventListener("pointerdown", startDrag);
byId("chart").addEventListener("pointermove", showPass);
byId("chart").addEventListener("pointerleave", hideTip);
byId("chart").addEventListener("keydown", (event) => { if (event.key === "0") fit(); });
window.addEventListener("resize", draw);
