// Charts in SVG: lines or stacked areas over steps, and a stacked column for each rank. They are drawn anew where their
// place changes its width; colours are variables of the page, so that a change of the theme needs nothing.
"use strict";

const PLOT = {
  left: 54,
  right: 12,
  top: 8,
  bottom: 26,
  height: 210,
  legend: 25  // what a chart without one is higher by, so that neighbours end alike
};
const FEW = 10;  // lines that a tip lists one by one

function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}
function numberText(number) {
  if (number === null || !Number.isFinite(number)) return "none";
  const size = Math.abs(number);
  return size >= 1e6 || (size > 0 && size < 1e-3) ? number.toExponential(2) : String(Number(number.toPrecision(4)));
}
function legendOf(entries) {
  const legend = element("p");
  legend.className = "legend";
  for (const [colour, text] of entries) {
    const mark = element("i");
    mark.style.background = colour;
    legend.append(element("span", "", mark, text));
  }
  return legend;
}

/** What charts have in common: a place of changing width, a scale from 0 or the least value, and lines across it. */
class Plot {
  constructor(host, hasLegend) {
    this.host = host;
    this.height = PLOT.height + (hasLegend ? 0 : PLOT.legend);
    this.root = svg("svg", {height: this.height, role: "img"});
    host.append(this.root);
    new ResizeObserver(() => this.draw()).observe(host);
  }
  begin(low, high) {
    this.width = Math.max(200, this.host.clientWidth);
    this.root.setAttribute("width", this.width);
    this.root.replaceChildren();
    const room = (high - low || Math.abs(high) || 1) * 0.04;
    this.low = low === 0 ? 0 : low - room;
    this.high = high + room;
    for (const tick of ticksOf(this.low, this.high, 5)) {
      const y = this.y(tick);
      this.root.append(svg("line", {class: "grid", x1: PLOT.left, x2: this.width - PLOT.right, y1: y, y2: y}),
                       svg("text", {x: PLOT.left - 7, y: y + 4, "text-anchor": "end"}, this.tickText(tick)));
    }
  }
  tickText(tick) { return numberText(tick); }
  y(value) {
    return PLOT.top + (this.high - value) / (this.high - this.low) * (this.height - PLOT.top - PLOT.bottom);
  }
  below(x, text, anchor = "middle") {
    this.root.append(svg("text", {x, y: this.height - 9, "text-anchor": anchor}, text));
  }
}

/** `series`: [{name, colour, x, values}], steps on the x axis, or microseconds where it is a `clock`. Stacked ones share x,
 * the first lies at the bottom. What is above `most` is cut off; `limit` is a line across. */
class StepPlot extends Plot {
  constructor(host, series, {stacked = false, fromZero = false, most = Infinity, limit = null, clock = false, text = numberText} = {}) {
    const hasLegend = series.length > 1 && series.length <= FEW;
    super(host, hasLegend);
    this.series = series.filter(one => one.values.some(value => value !== null));
    this.text = text;
    this.tickText = text;
    this.stacked = stacked;
    this.fromZero = fromZero;
    this.most = most;
    this.limit = limit;
    this.clock = clock;
    if (hasLegend) host.append(legendOf(series.map(({colour, name}) => [colour, name])));
    this.root.addEventListener("pointermove", event => this.hover(event));
    this.root.addEventListener("pointerleave", () => {
      hideTip();
      this.cross?.remove();
    });
    this.draw();
  }
  draw() {
    if (!this.series.length) return;
    const xs = this.series.flatMap(({x}) => [x[0], x[x.length - 1]]);
    this.first = Math.min(...xs);
    this.last = Math.max(this.first + 1, ...xs);
    const tops = this.stacked ? this.stack() : null;
    const known = (tops ? [tops.at(-1)] : this.series.map(({values}) => values)).flat().filter(v => v !== null);
    const high = Math.min(this.most, known.reduce((a, b) => Math.max(a, b), this.limit ?? -Infinity)), low = known.reduce((a, b) => Math.min(a, b), Infinity);
    this.begin(this.stacked || this.fromZero ? 0 : low, high);
    this.drawTicks();
    if (tops)
      this.drawAreas(tops);
    else
      this.lines = this.series.map(one => this.drawLine(one));
    if (this.limit !== null)
      this.root.append(svg("line", {class: "limit", x1: PLOT.left, x2: this.width - PLOT.right, y1: this.y(this.limit), y2: this.y(this.limit)}));
  }
  drawTicks() {
    const ticks = ticksOf(this.first, this.last, this.width / 110), textOf = this.clock ? clockTexts(ticks) : String;
    for (const tick of ticks)
      if (this.clock || Number.isInteger(tick)) this.below(this.x(tick), textOf(tick));
  }
  x(step) { return PLOT.left + (step - this.first) / (this.last - this.first) * (this.width - PLOT.left - PLOT.right); }
  stack() {
    let below = this.series[0].x.map(() => 0);
    return this.series.map(({values}) => below = values.map((value, i) => below[i] + (value ?? 0)));
  }
  drawAreas(tops) {
    const {x} = this.series[0], points = list => list.map((value, i) => `${this.x(x[i]).toFixed(1)},${this.y(value).toFixed(1)}`);
    tops.forEach((top, i) => {
      const bottom = i ? tops[i - 1] : top.map(() => 0);
      const outline = [...points(top), ...points(bottom).reverse()].join(" ");
      this.root.append(svg("polygon", {points: outline, fill: this.series[i].colour}));
    });
  }
  drawLine({colour, x, values}) {
    let path = "", broken = true;
    values.forEach((value, i) => {
      if (value !== null) path += `${broken ? "M" : "L"}${this.x(x[i]).toFixed(1)},${this.y(value).toFixed(1)}`;
      broken = value === null;
    });
    const line = svg("path", {d: path, class: "curve", stroke: colour});
    if (values.length === 1 && values[0] !== null)
      this.root.append(svg("circle", {cx: this.x(x[0]), cy: this.y(values[0]), r: 3, fill: colour}));
    this.root.append(line);
    return line;
  }

  /** The place in x that is nearest to a step. */
  nearest(x, step) {
    let best = 0;
    x.forEach((at, i) => {
      if (Math.abs(at - step) < Math.abs(x[best] - step)) best = i;
    });
    return best;
  }
  hover(event) {
    if (!this.series.length) return;
    const step = this.first + (event.offsetX - PLOT.left) / (this.width - PLOT.left - PLOT.right) * (this.last - this.first);
    const {x} = this.series[0], at = this.nearest(x, step), value = one => one.values[this.nearest(one.x, step)];
    this.cross?.remove();
    this.cross = svg("line", {class: "cross", x1: this.x(x[at]), x2: this.x(x[at]), y1: PLOT.top, y2: this.height - PLOT.bottom});
    this.root.append(this.cross);
    const shown = this.series.length <= FEW ? this.series : [this.closest(event.offsetY, value)];
    showTip(event, [this.clock ? timeText(x[at]) : `step ${numberText(x[at])}`, ...shown.map(one => `${one.name}: ${this.text(value(one))}`)]);
  }
  /** The line that is nearest to the pointer, which it brings out. */
  closest(y, value) {
    const distance = one => Math.abs(this.y(value(one) ?? Infinity) - y);
    const best = this.series.reduce((a, b) => distance(b) < distance(a) ? b : a);
    this.series.forEach((one, i) => this.lines[i].classList.toggle("found", one === best));
    return best;
  }
}

/** A stacked column for each of `names`; `parts`: [{name, colour, values}], the first lies at the bottom. */
class ColumnPlot extends Plot {
  constructor(host, names, parts, {text = numberText, title = name => name} = {}) {
    super(host, true);
    Object.assign(this, {names, parts, text, tickText: text, title});
    host.append(legendOf(parts.map(({colour, name}) => [colour, name])));
    this.root.addEventListener("pointermove", event => this.hover(event));
    this.root.addEventListener("pointerleave", hideTip);
    this.draw();
  }
  sum(i) { return this.parts.reduce((sum, {values}) => sum + values[i], 0); }
  draw() {
    this.begin(0, Math.max(1e-9, ...this.names.map((_, i) => this.sum(i))));
    this.pitch = (this.width - PLOT.left - PLOT.right) / this.names.length;
    const wide = Math.max(0.6, Math.min(64, this.pitch * 0.78)), every = Math.ceil(22 / this.pitch);
    this.names.forEach((name, i) => {
      const middle = PLOT.left + (i + 0.5) * this.pitch;
      let below = 0;
      for (const {colour, values} of this.parts) {
        const top = this.y(below + values[i]), height = this.y(below) - top;
        this.root.append(svg("rect", {x: middle - wide / 2, y: top, width: wide, height: Math.max(0, height), fill: colour}));
        below += values[i];
      }
      if (i % every === 0) this.below(middle, name);
    });
  }
  hover(event) {
    const i = Math.floor((event.offsetX - PLOT.left) / this.pitch);
    if (i < 0 || i >= this.names.length) return hideTip();
    const sum = this.sum(i), share = value => sum > 0 ? ` (${(100 * value / sum).toFixed(1)} %)` : "";
    const lines = this.parts.map(({name, values}) => `${name}: ${this.text(values[i])}${share(values[i])}`);
    showTip(event, [`${this.title(this.names[i])}: ${this.text(sum)}`, ...lines.reverse()]);
  }
}
