// The tasks of a step over time: a row for each rank and side, compute above, communication below it. The canvas is as
// large as what is seen of it and stays in place while its frame scrolls, so that thousands of ranks cost no more.
"use strict";

const GANTT = {
  gutter: 104,
  right: 10,
  axis: 24,
  heading: 26,
  least: 1 / 20000,  // of the time that can be zoomed to
  click: 4,          // pixels that a pointer may move between press and release of a click
};
const FONT = "system-ui, 'Segoe UI', Helvetica, Arial, sans-serif";

/** About `count` round numbers from low to high. */
function ticksOf(low, high, count) {
  const rough = Math.max((high - low) / Math.max(1, count), 1e-12), power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(m => m * power).find(s => s >= rough * 0.999), ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high * (1 + 1e-9); ++k) ticks.push(k * step);
  return ticks;
}

/** How times on a clock are written so that neighbours differ. */
function clockTexts(ticks) {
  const [unit, name] = Math.max(...ticks) < 1e3 ? [1, "µs"] : Math.max(...ticks) < 1e6 ? [1e3, "ms"] : [1e6, "s"];
  const step = ticks.length > 1 ? (ticks[1] - ticks[0]) / unit : 1;
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return tick => tick === 0 ? "0" : `${(tick / unit).toFixed(digits)} ${name}`;
}

class Gantt {
  /** `chosen` is called with what a click chooses, {place, task}, or null. `links` to other charts are told what is shown
   * and what is under the pointer; they leave it `room`, a part of the window's height. */
  constructor(step, frame, chosen, links = {room: 0.74, shown() {}, hovered() {}}) {
    Object.assign(this, {step, frame, chosen, links});
    this.canvas = frame.querySelector("canvas");
    this.spacer = frame.querySelector(".spacer");
    this.context = this.canvas.getContext("2d");
    this.duration = this.all = step.duration();
    this.from = 0;
    this.hovered = this.selected = null;
    this.marked = [];
    this.byRank = false;
    this.readColours();
    this.layOut();
    new ResizeObserver(() => this.resize()).observe(frame);
    frame.addEventListener("scroll", () => this.redraw());
    this.takePointer();
  }

  readColours() {
    const style = getComputedStyle(document.documentElement);
    this.palette = new Proxy({}, {get: (known, name) => known[name] ??= style.getPropertyValue(`--${name}`).trim()});
  }

  // --- where rows are ---
  layOut() {
    const {sides, ranks} = this.step, num = sides.length * ranks.length;
    const height = num <= 4 ? 58 : num <= 8 ? 42 : num <= 16 ? 34 : num <= 32 ? 24 : num <= 80 ? 17 : 12;
    this.rows = [];
    let top = GANTT.axis;
    const add = (side, place) => {
      this.rows.push({side, place, top, height});
      top += height;
    };
    this.headings = [];
    if (this.byRank && sides.length > 1) {
      ranks.forEach((_, place) => {
        sides.forEach(side => add(side, place));
        top += Math.min(8, height / 3);
      });
    } else {
      for (const side of sides) {
        if (sides.length > 1) {
          this.headings.push({text: side.name, top});
          top += GANTT.heading;
        }
        ranks.forEach((_, place) => add(side, place));
      }
    }
    this.height = top + 4;
    for (const place of ranks.keys()) this.placeLanes(place, height);
    this.resize();
  }
  /** Compute has the upper part; queues of communication share the lower, or one lane where there is little room. */
  placeLanes(place, height) {
    const program = this.step.program(place), used = [...new Set(program.queue)].filter(queue => queue > 0).sort();
    this.lanes ??= [];
    const inner = height - 3, compute = used.length ? Math.round(inner * 0.58) : inner, rest = inner - compute;
    const lanes = this.lanes[place] = [{top: 1, height: compute - (used.length ? 1 : 0)}];
    used.forEach((queue, i) => {
      const share = height >= 24 ? rest / used.length : rest;
      lanes[queue] = {top: 1 + compute + (height >= 24 ? i * share : 0), height: Math.max(1, share - (height >= 34 ? 1 : 0))};
    });
  }
  resize() {
    const ratio = window.devicePixelRatio || 1, seen = Math.min(this.height, Math.max(260, this.links.room * window.innerHeight));
    this.width = this.frame.clientWidth;
    this.seen = seen;
    this.frame.style.maxHeight = `${seen + 2}px`;
    this.canvas.style.height = `${seen}px`;
    this.spacer.style.height = `${this.height - seen}px`;
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(seen * ratio);
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.draw();
  }
  scale() { return (this.width - GANTT.gutter - GANTT.right) / this.duration; }
  x(time) { return GANTT.gutter + (time - this.from) * this.scale(); }
  time(x) { return this.from + (x - GANTT.gutter) / this.scale(); }

  /** What stands there, {row, place, task}, the nearest and of these the shortest; null: nothing within two pixels. */
  taskAt(x, y) {
    const down = y + this.frame.scrollTop, row = this.rows.find(r => down >= r.top && down < r.top + r.height);
    if (!row || y < GANTT.axis || x < GANTT.gutter) return null;
    const {begin, end} = row.side.ranks[row.place], program = this.step.program(row.place), time = this.time(x);
    let best = -1, least = [2 / this.scale(), Infinity];
    for (let task = 0; task < begin.length; ++task) {
      const lane = this.lanes[row.place][program.queue[task]], at = down - row.top;
      if (at < lane.top - 1 || at > lane.top + lane.height + 1) continue;
      const away = Math.max(0, begin[task] - time, time - end[task]), length = end[task] - begin[task];
      if (!(away < least[0] || (away === least[0] && length < least[1]))) continue;
      best = task;
      least = [away, length];
    }
    return best < 0 ? null : {row, place: row.place, task: best};
  }

  // --- drawing ---
  redraw() {
    this.request ??= requestAnimationFrame(() => {
      this.request = null;
      this.draw();
    });
  }
  draw() {
    const c = this.context, scroll = this.frame.scrollTop;
    c.fillStyle = this.palette.plane;
    c.fillRect(0, 0, this.width, this.seen);
    c.save();
    c.beginPath();
    c.rect(0, GANTT.axis, this.width, this.seen - GANTT.axis);
    c.clip();
    c.translate(0, -scroll);
    this.drawGrid(scroll);
    for (const {text, top} of this.headings) this.text(text, 10, top + GANTT.heading / 2 + 1, `600 13px ${FONT}`, "ink");
    const visible = this.rows.filter(row => row.top + row.height > scroll && row.top < scroll + this.seen);
    visible.forEach(row => this.drawRow(row));
    c.beginPath();
    c.rect(GANTT.gutter, scroll, this.width, this.seen);
    c.clip();
    for (const row of visible) {
      for (const {place, task} of this.marked)
        if (place === row.place) this.outline(row, task, 1.5);
      if (this.selected?.place === row.place) this.outline(row, this.selected.task, 2.5);
    }
    c.restore();
    this.drawAxis();
  }
  text(text, x, y, font, colour, align = "left") {
    const c = this.context;
    c.font = font;
    c.textAlign = align;
    c.textBaseline = "middle";
    c.fillStyle = this.palette[colour];
    c.fillText(text, x, y);
  }
  ticks() { return ticksOf(this.from, this.from + this.duration, (this.width - GANTT.gutter) / 110); }
  drawGrid(scroll) {
    this.context.fillStyle = this.palette.line;
    this.context.globalAlpha = 0.5;
    for (const tick of this.ticks()) this.context.fillRect(Math.round(this.x(tick)), scroll, 1, this.seen);
    this.context.globalAlpha = 1;
  }
  drawAxis() {
    const c = this.context;
    c.fillStyle = this.palette.line;
    c.fillRect(0, GANTT.axis - 1, this.width, 1);
    const ticks = this.ticks(), text = clockTexts(ticks);
    for (const tick of ticks)
      this.text(text(tick), Math.min(this.x(tick), this.width - 30), GANTT.axis / 2, `11px ${FONT}`, "faint", "center");
  }
  drawLabel(row) {
    const rank = this.step.ranks[row.place], size = Math.min(12, row.height - 3), middle = row.top + row.height / 2;
    const number = this.byRank && this.step.sides.length > 1 ? `${rank.rank} ${row.side.name}` : `rank ${rank.rank}`;
    const roomy = row.height >= 34 && !this.byRank;
    this.text(number, 10, roomy ? middle - 7 : middle, `${size}px ${FONT}`, "ink");
    if (roomy) this.text(`d${rank.d} p${rank.p} t${rank.t}`, 10, middle + 8, `11px ${FONT}`, "faint");
  }
  drawRow(row) {
    const c = this.context, program = this.step.program(row.place), lanes = this.lanes[row.place];
    this.drawLabel(row);
    c.fillStyle = this.palette.line;
    c.fillRect(0, row.top + row.height - 1, this.width, 1);
    c.save();
    c.beginPath();
    c.rect(GANTT.gutter, row.top, this.width - GANTT.gutter, row.height);
    c.clip();
    const {begin, end} = row.side.ranks[row.place], drawn = lanes.map(() => -1);
    for (let task = 0; task < begin.length; ++task) {
      const left = this.x(begin[task]), right = this.x(end[task]), queue = program.queue[task];
      if (!(right >= GANTT.gutter && left <= this.width)) continue;
      if (right <= drawn[queue] + 0.25) continue;  // under what is there already
      drawn[queue] = queue === 0 ? right : drawn[queue];
      this.drawTask(row, task, lanes[queue], left, right);
    }
    c.restore();
  }
  drawTask(row, task, lane, left, right) {
    const c = this.context, program = this.step.program(row.place), width = Math.max(0.8, right - left - (right - left > 3 ? 0.7 : 0));
    const from = Math.max(left, GANTT.gutter - 1), to = Math.min(left + width, this.width + 1);
    c.fillStyle = this.palette[program.colour[task]];
    c.globalAlpha = program.queue[task] > 0 ? 0.8 : 1;
    c.fillRect(from, row.top + lane.top, to - from, lane.height);
    c.globalAlpha = 1;
    if (lane.height < 9 || to - from < 26) return;
    const before = program.queue[task] > 0 ? "" : `${program.phase[task]}${program.microbatch[task]} `;
    const label = this.cut(before, this.step.name(row.place, task), to - from - 6);
    if (label) this.text(label, from + 3, row.top + lane.top + lane.height / 2 + 0.5, `${Math.min(11, lane.height - 1)}px ${FONT}`, "on-task");
  }
  /** As much of a task's name as there is room for: without its layer, then without its end. */
  cut(before, name, room) {
    const c = this.context;
    c.font = `11px ${FONT}`;
    for (const text of [before + name, before + name.replace(/^\/[^/]*\//, "")]) {
      if (c.measureText(text).width <= room) return text;
    }
    const text = before + name.replace(/^\/[^/]*\//, "");
    const keep = Math.floor(text.length * room / c.measureText(text).width) - 1;
    return keep > 1 ? text.slice(0, keep) + "…" : "";
  }
  outline(row, task, width) {
    const {begin, end} = row.side.ranks[row.place], lane = this.lanes[row.place][this.step.program(row.place).queue[task]];
    if (!(begin[task] >= 0)) return;
    const left = this.x(begin[task]), c = this.context;
    c.strokeStyle = this.palette.ink;
    c.lineWidth = width;
    c.strokeRect(left - 1, row.top + lane.top - 1, Math.max(3, this.x(end[task]) - left + 1), lane.height + 2);
  }

  // --- what a person does ---
  show(from, duration) {
    this.duration = Math.min(this.all, Math.max(this.all * GANTT.least, duration));
    this.from = Math.min(Math.max(0, from), this.all - this.duration);
    this.redraw();
    this.links.shown(this);
  }
  fit() { this.show(0, this.all); }
  zoomBy(factor, x = (this.width + GANTT.gutter) / 2) {
    const at = this.time(x);
    this.show(at - (at - this.from) / factor, this.duration / factor);
  }
  panBy(dx) { this.show(this.from - dx / this.scale(), this.duration); }
  select(found) {
    this.selected = found && {place: found.place, task: found.task};
    this.chosen(this.selected);
    this.redraw();
  }
  /** Brings a task into view with its neighbourhood. */
  zoomTo(place, task) {
    const times = this.step.sides.map(side => side.ranks[place]).filter(({begin}) => begin[task] >= 0);
    if (!times.length) return;
    const from = Math.min(...times.map(({begin}) => begin[task])), to = Math.max(...times.map(({end}) => end[task]));
    this.show(from - 2 * (to - from), 5 * (to - from));
    this.showRow(place);
  }
  showRow(place) {
    const row = this.rows.find(r => r.place === place);
    if (row.top < this.frame.scrollTop + GANTT.axis || row.top + row.height > this.frame.scrollTop + this.seen)
      this.frame.scrollTop = row.top - this.seen / 2;
  }
  setByRank(byRank) {
    this.byRank = byRank;
    this.layOut();
  }

  takePointer() {
    const {canvas} = this;
    canvas.addEventListener("wheel", event => this.turn(event), {passive: false});
    canvas.addEventListener("pointerdown", event => {
      canvas.setPointerCapture(event.pointerId);
      this.press = {x: event.offsetX, y: event.offsetY, moved: 0};
    });
    canvas.addEventListener("pointermove", event => this.press ? this.drag(event) : this.hover(event));
    canvas.addEventListener("pointerup", event => {
      if (this.press?.moved <= GANTT.click) this.select(this.taskAt(event.offsetX, event.offsetY));
      this.press = null;
      canvas.classList.remove("drag");
    });
    canvas.addEventListener("pointercancel", () => this.press = null);
    canvas.addEventListener("pointerleave", () => this.hoverOn(null));
    canvas.addEventListener("dblclick", event => {
      const found = this.taskAt(event.offsetX, event.offsetY);
      if (found) this.zoomTo(found.place, found.task);
    });
    canvas.addEventListener("keydown", event => this.pressKey(event));
  }
  /** The wheel zooms; with shift it scrolls the rows, and all of the time zoomed out further scrolls the page. */
  turn(event) {
    if (event.shiftKey || (event.deltaY > 0 && this.duration >= this.all)) return;
    event.preventDefault();
    this.zoomBy(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 20 : 1) * (event.ctrlKey ? 0.01 : 0.0016)), event.offsetX);
  }
  drag(event) {
    const dx = event.offsetX - this.press.x, dy = event.offsetY - this.press.y;
    this.press = {x: event.offsetX, y: event.offsetY, moved: this.press.moved + Math.hypot(dx, dy)};
    if (this.press.moved <= GANTT.click) return;
    this.canvas.classList.add("drag");
    this.hoverOn(null);
    this.frame.scrollTop -= dy;
    this.panBy(dx);
  }
  hover(event) {
    const found = this.taskAt(event.offsetX, event.offsetY);
    this.hoverOn(found);
    if (!found) return;
    const {place, task} = found;
    const lines = this.step.sides.map(side => `${side.name} ${timeText(this.step.length(side, place, task))}`);
    showTip(event, [this.step.name(place, task), this.step.id(place, task), ...lines]);
  }
  hoverOn(found) {
    if (!found) hideTip();
    if (found?.place === this.hovered?.place && found?.task === this.hovered?.task) return;
    this.hovered = found;
    this.mark(found ? [found] : []);
    this.links.hovered(this, found);
  }
  /** Outlines tasks, {place, task}. */
  mark(tasks) {
    this.marked = tasks;
    this.redraw();
  }
  pressKey(event) {
    const hands = {
      "+": () => this.zoomBy(1.6), "=": () => this.zoomBy(1.6), "-": () => this.zoomBy(1 / 1.6), "0": () => this.fit(),
      ArrowLeft: () => this.panBy(80), ArrowRight: () => this.panBy(-80), Escape: () => this.select(null),
    };
    if (!hands[event.key]) return;
    event.preventDefault();
    hands[event.key]();
  }
}
