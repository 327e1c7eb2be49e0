// The charts of `dmltrain plan --scaling`: samples per second over the number of ranks, and over t.
"use strict";

const scaling = JSON.parse(document.getElementById("scaling").textContent);
const charts = [
  { id: "by_axis", lines: scaling.by_axis, xOf: point => point.world, linear: scaling.one_device_samples_per_s },
  { id: "over_t", lines: scaling.over_t, xOf: point => point.t },
];
const rateText = rate => scaled(rate, "");

/** Colours far from each other, legible on light and on dark. */
function colourOf(i, count) { return `hsl(${Math.round(360 * i / Math.max(count, 1) + 210) % 360} 60% 50%)`; }

function addPoint(parts, line, point, cx, cy) {
  const circle = svgElement("circle", { cx, cy, r: 4 });
  circle.onpointermove = event => showTip(event, [`${line.name}: ${counted(point.world, "rank")}`,
    `${rateText(point.samples_per_s)} samples/s`, point.options]);
  circle.onpointerleave = hideTip;
  parts.push(circle);
}

function drawLines({ id, lines, xOf, linear }) {
  const chart = document.getElementById(id), points = lines.flatMap(line => line.points);
  if (!points.length) return;
  const width = chart.clientWidth, height = chart.clientHeight;
  const room = { left: 70, right: width - 20, top: 14, bottom: height - 30 };
  const rates = points.map(point => point.samples_per_s);
  const x = logAxis(points.map(xOf), room.left, room.right), y = logAxis(rates, room.bottom, room.top);
  x.marks = [...new Set(points.map(xOf))];
  const parts = axisLines(x, y, room, String, rateText);
  if (linear) {
    const most = Math.max(...points.map(xOf)), end = Math.min(most, Math.max(...rates) * 1.1 / linear);
    parts.push(svgElement("line", { class: "linear", x1: x.place(1), y1: y.place(linear), x2: x.place(end), y2: y.place(linear * end) }));
  }
  lines.forEach((line, i) => {
    const group = svgElement("g", { style: `color: ${colourOf(i, lines.length)}` }), own = [];
    const places = line.points.map(point => [x.place(xOf(point)), y.place(point.samples_per_s)]);
    own.push(svgElement("polyline", { points: places.map(place => place.join()).join(" ") }));
    line.points.forEach((point, k) => addPoint(own, line, point, ...places[k]));
    group.append(...own);
    parts.push(group);
  });
  chart.replaceChildren(...parts);
}

function fillLegend({ id, lines, linear }) {
  const legend = document.getElementById(`${id}_legend`);
  lines.forEach((line, i) => {
    const entry = element("span", `● ${line.name}`);
    entry.style.color = colourOf(i, lines.length);
    legend.append(entry);
  });
  if (linear) legend.append(element("span", "- - as many times one device"));
}

function fillTable() {
  const titles = ["ranks", "samples/s", "of linear", "layout"];
  document.querySelector("#table thead").append(element("tr", "", ...titles.map(title => element("th", title))));
  for (const point of scaling.by_axis.at(-1).points) {
    const part = 100 * point.samples_per_s / (scaling.one_device_samples_per_s * point.world);
    const cells = [point.world, rateText(point.samples_per_s), `${part.toFixed(0)} %`, point.options];
    document.querySelector("#table tbody").append(element("tr", "", ...cells.map(cell => element("td", String(cell)))));
  }
}

document.getElementById("title").textContent = `${scaling.model} on ${scaling.hardware}, batch ${scaling.batch}: predicted throughput`;
charts.forEach(fillLegend);
fillTable();
followTheme(() => {});
addEventListener("resize", () => charts.forEach(drawLines));
charts.forEach(drawLines);
