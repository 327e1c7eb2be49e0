// The layouts of `dmltrain plan`: time over memory with the Pareto front, and the table of the best.
"use strict";

const plan = JSON.parse(document.getElementById("plan").textContent);
const layouts = plan.layouts.filter(layout => "step_ms" in layout);
const shownRows = 200;

function layoutText(layout) {
  return `d=${layout.d} p=${layout.p} t=${layout.t} ${layout.schedule} v=${layout.chunks} m=${layout.microbatches} ` +
    layout.tensor_mode;
}
function millisecondsText(milliseconds) {
  const inSeconds = milliseconds >= 1000;
  return `${Number((inSeconds ? milliseconds / 1000 : milliseconds).toPrecision(3))} ${inSeconds ? "s" : "ms"}`;
}

/** Layouts come fastest first: one is on the front if it needs less memory than all before it. */
function paretoFront() {
  let least = Infinity;
  return layouts.filter(layout => {
    const better = layout.memory_bytes < least;
    least = Math.min(least, layout.memory_bytes);
    return better;
  });
}

function svgElement(tag, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text) node.textContent = text;
  return node;
}

/** A logarithmic axis over `values` from pixel `from` to `to`, with its marks at 1, 2 and 5 times powers of ten. */
function logAxis(values, from, to) {
  const low = Math.log(Math.min(...values) * 0.9), high = Math.log(Math.max(...values) * 1.1);
  const place = value => from + (to - from) * (Math.log(value) - low) / (high - low);
  const marks = [];
  for (let power = Math.floor(low / Math.LN10); power <= Math.ceil(high / Math.LN10); ++power) {
    for (const digit of [1, 2, 5]) {
      const value = digit * 10 ** power;
      if (Math.log(value) >= low && Math.log(value) <= high) marks.push(value);
    }
  }
  return { place, marks };
}

function drawChart(front) {
  const chart = document.getElementById("chart");
  const width = chart.clientWidth, height = chart.clientHeight, left = 70, bottom = height - 30;
  const memory = logAxis(layouts.map(layout => layout.memory_bytes), left, width - 20);
  const time = logAxis(layouts.map(layout => layout.step_ms), bottom, 14);
  const parts = [];
  for (const value of memory.marks) {
    const x = memory.place(value);
    parts.push(svgElement("line", { class: "axis", x1: x, x2: x, y1: 14, y2: bottom }));
    parts.push(svgElement("text", { x, y: bottom + 16, "text-anchor": "middle" }, scaled(value, "B")));
  }
  for (const value of time.marks) {
    const y = time.place(value);
    parts.push(svgElement("line", { class: "axis", x1: left, x2: width - 20, y1: y, y2: y }));
    parts.push(svgElement("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, millisecondsText(value)));
  }
  const at = layout => [memory.place(layout.memory_bytes), time.place(layout.step_ms)];
  parts.push(svgElement("polyline", { points: front.map(layout => at(layout).join()).join(" ") }));
  const onFront = new Set(front);
  for (const layout of layouts) {
    const [cx, cy] = at(layout);
    const point = svgElement("circle", { cx, cy, r: onFront.has(layout) ? 4 : 3, class: onFront.has(layout) ? "best" : "" });
    point.onpointermove = event => showTip(event, [layoutText(layout),
      `${millisecondsText(layout.step_ms)}, ${scaled(layout.memory_bytes, "B")}, speed-up ${layout.speed_up.toFixed(2)}`]);
    point.onpointerleave = hideTip;
    parts.push(point);
  }
  chart.replaceChildren(...parts);
}

const columns = [
  ["d", layout => layout.d], ["p", layout => layout.p], ["t", layout => layout.t],
  ["schedule", layout => layout.schedule], ["chunks", layout => layout.chunks],
  ["microbatches", layout => layout.microbatches], ["tensor mode", layout => layout.tensor_mode],
  ["step", layout => millisecondsText(layout.step_ms)], ["speed-up", layout => layout.speed_up.toFixed(2)],
  ["memory", layout => scaled(layout.memory_bytes, "B")], ["compute", layout => millisecondsText(layout.compute_ms)],
  ["exposed", layout => millisecondsText(layout.exposed_comm_ms)], ["bubble", layout => millisecondsText(layout.bubble_ms)],
];

function fillTable(front) {
  const onFront = new Set(front);
  document.querySelector("#table thead").append(element("tr", "", ...columns.map(([name]) => element("th", name))));
  for (const layout of layouts.slice(0, shownRows)) {
    const row = element("tr", "", ...columns.map(([, text]) => element("td", String(text(layout)))));
    if (onFront.has(layout)) row.className = "best";
    document.querySelector("#table tbody").append(row);
  }
}

const front = paretoFront();
document.getElementById("title").textContent =
  `${plan.model} on ${plan.world} of ${plan.hardware}, batch ${plan.batch}: ${counted(plan.possible, "possible layout")}`;
fillTable(front);
followTheme(() => {});
addEventListener("resize", () => drawChart(front));
drawChart(front);
