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

function drawChart(front) {
  const chart = document.getElementById("chart");
  const width = chart.clientWidth, height = chart.clientHeight, left = 70, bottom = height - 30;
  const memory = logAxis(layouts.map(layout => layout.memory_bytes), left, width - 20);
  const time = logAxis(layouts.map(layout => layout.step_ms), bottom, 14);
  const parts = axisLines(memory, time, { left, right: width - 20, top: 14, bottom }, value => scaled(value, "B"),
                          millisecondsText);
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
