"use strict";
// The chart: schedules below each other on one time axis. It is laid out once and painted by anything that has
// rect(x, y, w, h, fill) and text(x, y, text, fill, size, anchor): a canvas on the page, or an SVG to save.

const GUTTER = 34;
const TITLE = 24;
const AXIS = 26;
const GAP = 10;
const LETTERS = { F: "forward", B: "backward", I: "input gradients", W: "weight gradients" };

const number = (x) => (x === 0 ? "0" : Math.abs(x) >= 1e5 || Math.abs(x) < 1e-3 ? x.toExponential(3) : String(+x.toPrecision(5)));
const percent = (x) => `${(100 * x).toFixed(2)} %`;

function rowHeight(results) {
  const rows = results.reduce((sum, r) => sum + r.timed.length, 0);
  return rows <= 24 ? 22 : rows <= 60 ? 18 : rows <= 120 ? 11 : 7;
}

/** Where each schedule and the axis stand, for a width and the part of the time that is seen {from, to}. */
function layoutChart(results, width, view) {
  const height = rowHeight(results);
  let y = 0;
  const bands = results.map((result) => {
    const band = { result, title: y, top: y + TITLE, row: height };
    y += TITLE + height * result.timed.length + GAP;
    return band;
  });
  const scale = (width - GUTTER - 8) / (view.to - view.from);
  return { bands, width, height: y + AXIS, axis: y, view, x: (time) => GUTTER + (time - view.from) * scale, scale };
}

function tickStep(span, count) {
  const rough = span / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((m) => m * power).find((step) => step >= rough);
}

function paintAxis(layout, painter, colours) {
  const step = tickStep(layout.view.to - layout.view.from, Math.max(2, layout.width / 110));
  painter.rect(GUTTER, layout.axis, layout.width - GUTTER - 8, 1, colours.line);
  for (let k = Math.ceil(layout.view.from / step); k * step <= layout.view.to; ++k) {
    const x = layout.x(k * step);
    painter.rect(x, layout.axis, 1, 5, colours.faint);
    painter.text(x, layout.axis + 18, number(k * step), colours.faint, 11, "middle");
  }
}

function paintPass(a, box, painter, colours, chunked) {
  const late = chunked(a.stage) ? "2" : "";
  painter.rect(box.x, box.y, box.w, box.h, colours[a.op + late]);
  const label = String(a.microbatch);
  const size = Math.min(11, box.h - 1, (box.w - 1) / (0.6 * label.length));
  if (size >= 7)
    painter.text(box.x + box.w / 2, box.y + box.h / 2 + size * 0.36, label, colours.onTask, size, "middle");
}

/** The box of timed action `i`: the halves of an overlapped pair stand above each other. */
function boxOf(list, i, y, height, layout) {
  const a = list[i];
  const second = i > 0 && list[i - 1].pair;
  const left = Math.max(GUTTER, layout.x(a.start));
  const right = Math.min(layout.width - 8, layout.x(a.end));
  const half = a.pair || second;
  const top = y + (second ? height / 2 : 0);
  const gap = right - left > 3 ? 0.75 : 0;
  return { x: left, y: top + 0.5, w: right - left - gap, h: (half ? height / 2 : height) - 1 };
}

function paintBand(band, layout, painter, colours) {
  const { result } = band;
  painter.text(0, band.title + 16, result.name, colours.ink, 13, "start");
  painter.text(layout.width - 8, band.title + 16,
    `step ${number(result.cost)}   bubble ${percent(result.bubbleRate)}   memory ${number(result.peakMemory)}`,
    colours.faint, 12, "end");
  const firstChunk = result.timed.map((list) => Math.min(...list.map((a) => a.stage)));
  result.timed.forEach((list, device) => {
    const y = band.top + device * band.row;
    painter.rect(GUTTER, y + 0.5, layout.width - GUTTER - 8, band.row - 1, colours.row);
    if (band.row >= 10 || device % 4 === 0)
      painter.text(GUTTER - 6, y + band.row / 2 + 4, String(device), colours.faint, 11, "end");
    list.forEach((a, i) => {
      if (a.end <= layout.view.from || a.start >= layout.view.to || a.end === a.start) return;
      paintPass(a, boxOf(list, i, y, band.row, layout), painter, colours, (stage) => stage !== firstChunk[device]);
    });
  });
}

function paintChart(layout, painter, colours) {
  painter.rect(0, 0, layout.width, layout.height, colours.page);
  for (const band of layout.bands) paintBand(band, layout, painter, colours);
  paintAxis(layout, painter, colours);
}

/** The pass under a point, as {band, device, action}; null: none. */
function passAt(layout, x, y) {
  for (const band of layout.bands) {
    const device = Math.floor((y - band.top) / band.row);
    if (device < 0 || device >= band.result.timed.length) continue;
    const list = band.result.timed[device];
    const i = list.findIndex((_, k) => {
      const box = boxOf(list, k, band.top + device * band.row, band.row, layout);
      return x >= box.x && x <= box.x + box.w && y >= box.y - 0.5 && y <= box.y + box.h + 0.5;
    });
    if (i >= 0) return { band, device, action: list[i], pair: list[i].pair || (i > 0 && list[i - 1].pair) };
  }
  return null;
}

class CanvasPainter {
  constructor(context) {
    this.context = context;
  }
  rect(x, y, w, h, fill) {
    this.context.fillStyle = fill;
    this.context.fillRect(x, y, w, h);
  }
  text(x, y, text, fill, size, anchor) {
    this.context.fillStyle = fill;
    this.context.font = `${size}px system-ui, Helvetica, Arial, sans-serif`;
    this.context.textAlign = { start: "left", middle: "center", end: "right" }[anchor];
    this.context.fillText(text, x, y);
  }
}

class SvgPainter {
  constructor() {
    this.parts = [];
  }
  rect(x, y, w, h, fill) {
    this.parts.push(`<rect x="${x.toFixed(2)}" y="${y.toFixed(2)}" width="${w.toFixed(2)}" height="${h.toFixed(2)}" fill="${fill}"/>`);
  }
  text(x, y, text, fill, size, anchor) {
    const escaped = text.replace(/[&<>]/g, (c) => `&#${c.charCodeAt(0)};`);
    this.parts.push(`<text x="${x.toFixed(2)}" y="${y.toFixed(2)}" fill="${fill}" font-size="${size}" text-anchor="${anchor}">${escaped}</text>`);
  }
  /** The whole file. */
  file(width, height) {
    return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ` +
      `font-family="system-ui, Helvetica, Arial, sans-serif">\n${this.parts.join("\n")}\n</svg>\n`;
  }
}
