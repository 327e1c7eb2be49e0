// Draws the boxes that are in view, as deep as they can be read: a stage that is small is a card, a large one shows its
// layers, and these their tasks. Only what is in view costs time.
"use strict";

const CARD = {
  replica: 150,
  stage: 330,
  layer: 240
};  // pixels of width under which the inside is left out
const FONT = "system-ui, 'Segoe UI', Helvetica, Arial, sans-serif";

class View {
  constructor(graph) {
    this.graph = graph;
    this.scene = layOut(graph);
    this.canvas = document.getElementById("canvas");
    this.context = this.canvas.getContext("2d");
    this.facts = new Facts(graph, this.scene, document.getElementById("panel"), box => this.goTo(box));
    this.x = this.y = 0;
    this.scale = 1;
    this.colour = "kind";
    this.found = new Set();
    this.selected = this.scene.root;
    this.findScales();
    this.readColours();
    this.resize();
    this.fit(this.scene.root);
    this.select(this.scene.root);
    this.followHash();
  }

  // --- colours ---
  readColours() {
    const style = getComputedStyle(document.documentElement);
    this.ink = name => style.getPropertyValue(`--${name}`).trim();
    this.palette = new Proxy({}, {get: (known, name) => known[name] ??= this.ink(name)});
    const shown = this.colour === "kind" ?
        Object.entries(KINDS).map(([name, text]) => [this.palette[name], text]) :
        this.scaleLegend();
    document.getElementById("legend").replaceChildren(...shown.map(([colour, text]) => {
      const mark = element("i");
      mark.style.background = colour;
      return element("span", "", mark, text);
    }));
  }
  scaleLegend() {
    const {cold, hot} = this.palette, times = this.graph.times.find(({name}) => name === this.colour);
    if (times) return [[cold, `short, as ${times.name}: ${times.source}`], [hot, "long"]];
    return [[cold, "few"], [hot, `many ${this.colour === "flops" ? "FLOP" : "bytes"}`]];
  }
  findScales() {
    const keys = ["flops", "bytes", ...this.graph.times.map(({name}) => name)];
    this.most = {};  // of a box of each kind
    const visit = box => {
      const most = this.most[box.kind] ||= Object.fromEntries(keys.map(key => [key, 1e-3]));
      for (const key of keys) most[key] = Math.max(most[key], box.total[key]);
      box.children.forEach(visit);
    };
    visit(this.scene.root);
  }
  fillOf(box) {
    const own = this.palette[box.facts.colour || box.kind];
    if (this.colour === "kind" || !box.total.tasks) return own;
    const share = box.total[this.colour] / this.most[box.kind][this.colour];
    return `color-mix(in oklab, ${this.palette.hot} ${Math.round(100 * share ** 0.6)}%, ${this.palette.cold})`;
  }

  // --- where things are ---
  resize() {
    const ratio = window.devicePixelRatio || 1, {clientWidth, clientHeight} = this.canvas;
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientHeight * ratio);
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (this.home) this.fit(this.home);
    this.draw();  // at once: a canvas that changes its size is empty
  }
  rect(box) {
    return {
      x: (box.x - this.x) * this.scale,
      y: (box.y - this.y) * this.scale,
      w: box.w * this.scale,
      h: box.h * this.scale
    };
  }
  isOpen(box) { return box.children.length > 0 && (box.kind === "model" || box.w * this.scale > CARD[box.kind]); }
  boxAt(px, py) {
    const x = px / this.scale + this.x, y = py / this.scale + this.y;
    let box = this.scene.root;
    while (this.isOpen(box)) {
      const inside = box.children.find(c => x >= c.x && x <= c.x + c.w && y >= c.y && y <= c.y + c.h);
      if (!inside) break;
      box = inside;
    }
    return box;
  }
  target(box) {
    const {clientWidth: width, clientHeight: height} = this.canvas;
    const most = box.kind === "task" ? 1.1 : 1.4;
    const scale = Math.min(most, 0.94 * width / box.w, 0.94 * height / box.h);
    return {scale, x: box.x + box.w / 2 - width / 2 / scale, y: box.y + box.h / 2 - height / 2 / scale};
  }
  /** Shows the whole box, and again when the window changes, until a person moves. */
  fit(box) {
    this.home = box;
    Object.assign(this, this.target(box));
    this.redraw();
  }

  /** Flies there in a quarter of a second: out far enough to see where it goes is left to the eye. */
  zoomTo(box) {
    const from = {x: this.x, y: this.y, scale: this.scale}, to = this.target(box), begin = performance.now();
    this.home = null;
    const flight = this.flight = Symbol("flight");
    const step = now => {
      if (this.flight !== flight) return;
      const f = Math.min(1, (now - begin) / 260), ease = f * f * (3 - 2 * f);
      this.scale = Math.exp(Math.log(from.scale) * (1 - ease) + Math.log(to.scale) * ease);
      const mix = from.scale === to.scale ? ease : (1 / this.scale - 1 / from.scale) / (1 / to.scale - 1 / from.scale);
      this.x = from.x + (to.x - from.x) * mix;
      this.y = from.y + (to.y - from.y) * mix;
      this.redraw();
      if (f < 1) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }
  zoomBy(factor, px = this.canvas.clientWidth / 2, py = this.canvas.clientHeight / 2) {
    this.flight = this.home = null;
    const scale = Math.min(6, Math.max(this.target(this.scene.root).scale / 3, this.scale * factor));
    this.x += px / this.scale - px / scale;
    this.y += py / this.scale - py / scale;
    this.scale = scale;
    this.redraw();
  }

  // --- drawing ---
  redraw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }
  draw() {
    const {clientWidth: width, clientHeight: height} = this.canvas;
    this.context.clearRect(0, 0, width, height);
    for (const child of this.scene.root.children) this.drawBox(child, width, height);
    for (const made of this.scene.replicas) this.drawFlow(made);
    if (this.scale * TASK.w > 18)
      for (const made of this.scene.replicas) this.drawEdges(made, width, height);
    this.drawSelected();
  }
  drawBox(box, width, height) {
    const r = this.rect(box);
    if (r.x > width || r.y > height || r.x + r.w < 0 || r.y + r.h < 0) return;
    const c = this.context, container = box.children.length > 0 || ["replica", "stage", "layer"].includes(box.kind);
    c.fillStyle = this.isOpen(box) ? this.palette[box.kind] : this.fillOf(box);
    c.strokeStyle = this.found.has(box) || box === this.selected ? this.palette.accent : this.palette.line;
    c.lineWidth = this.found.has(box) || box === this.selected ? 2 : 1;
    c.globalAlpha = this.found.size && !container && !this.found.has(box) ? 0.35 : 1;
    c.beginPath();
    if (r.w > 24)
      c.roundRect(r.x, r.y, r.w, r.h, Math.min(8, 10 * this.scale + 1));
    else
      c.rect(r.x, r.y, r.w, r.h);
    c.fill();
    if (r.w > 6) c.stroke();
    if (!this.isOpen(box)) {
      this.drawCard(box, r, container);
    } else {
      this.drawHead(box, r);
      for (const child of box.children) this.drawBox(child, width, height);
    }
    c.globalAlpha = 1;
  }
  cut(text, width) {
    const c = this.context;
    if (c.measureText(text).width <= width) return text;
    let keep = Math.floor(text.length * width / c.measureText(text).width);
    while (keep > 0 && c.measureText(text.slice(0, keep) + "…").width > width) --keep;
    return keep > 1 ? text.slice(0, keep) + "…" : "";
  }
  drawHead(box, r) {
    const c = this.context, room = {replica: HEAD.replica, stage: HEAD.stage, layer: HEAD.layer}[box.kind] * this.scale;
    const size = Math.min(15, room * 0.62);
    if (size < 8) return;
    c.font = `600 ${size}px ${FONT}`;
    c.fillStyle = this.palette.ink;
    c.textAlign = "left";
    c.textBaseline = "middle";
    const label = this.cut(box.label, r.w - 16);
    c.fillText(label, r.x + 10, r.y + room / 2 + 2);
    const after = r.x + 22 + c.measureText(label).width;
    c.font = `${size * 0.86}px ${FONT}`;
    c.fillStyle = this.palette.faint;
    c.fillText(this.cut(box.lines.join("   "), r.x + r.w - after - 8), after, r.y + room / 2 + 2);
  }
  /** Label, lines, and for tasks the numbers, as far as there is room. */
  linesOf(box) {
    if (box.kind !== "task") return box.lines;
    const task = this.scene.replicas[box.facts.d].program.tasks[box.facts.task], output = task.outputs?.[0];
    const cost = [
      byRank(task.flops, 0) > 0 ? scaled(byRank(task.flops, 0), "FLOP") : "", bytesText(byRank(task.bytes, 0))
    ].filter(Boolean).join(", ");
    const name = task.name.replace(/^\/[^/]*\//, "");  // the layer stands above
    return output ? [name, `${output.dtype} ${output.local_shapes[0].join("x")}, ${output.placement}`, cost] :
                    [name, cost];
  }
  drawCard(box, r, container) {
    if (container && this.colour === "kind") this.drawShares(box, r);
    const c = this.context, turned = !container && r.h > 3 * r.w && r.w < 160;
    c.save();
    c.translate(r.x + r.w / 2, r.y + r.h / 2);
    if (turned) c.rotate(-Math.PI / 2);
    this.drawText(box, turned ? r.h : r.w, turned ? r.w : r.h, container);
    c.restore();
  }
  /** The text of a card of that size around the origin. */
  drawText(box, width, room, container) {
    const size = box.kind === "task" ? Math.min(16, 19 * this.scale) : Math.max(10.5, Math.min(15, width / 9));
    if (width < 34 || size < 6.5 || room < size) return;
    const c = this.context, height = size * 1.2,
          lines = this.linesOf(box).slice(0, Math.max(0, Math.floor(room / height) - 1));
    let y = -lines.length * height / 2;
    c.textAlign = "center";
    c.textBaseline = "middle";
    c.font = `600 ${size}px ${FONT}`;
    c.fillStyle = container ? this.palette.ink : this.palette["on-task"];
    c.fillText(this.cut(box.label, width - 8), 0, y);
    c.font = `${size * 0.82}px ${FONT}`;
    for (const line of lines) c.fillText(this.cut(line, width - 8), 0, y += height);
  }
  /** A strip along the bottom: the bytes of a step by kind. */
  drawShares(box, r) {
    const c = this.context, height = Math.min(7, r.h / 6), width = r.w - 8;
    let x = r.x + 4;
    if (width < 12) return;
    for (const kind of Object.keys(KINDS)) {
      const part = width * (box.total.kinds[kind] || 0) / Math.max(1, box.total.bytes);
      c.fillStyle = this.palette[kind];
      c.fillRect(x, r.y + r.h - height - 4, part, height);
      x += part;
    }
  }
  arrow(x0, y0, x1, y1, vertical, head) {
    const c = this.context, bend = (vertical ? y1 - y0 : x1 - x0) / 2;
    c.beginPath();
    c.moveTo(x0, y0);
    if (vertical)
      c.bezierCurveTo(x0, y0 + bend, x1, y1 - bend, x1, y1);
    else
      c.bezierCurveTo(x0 + bend, y0, x1 - bend, y1, x1, y1);
    c.stroke();
    if (!head) return;
    const s = vertical ? Math.sign(y1 - y0) : Math.sign(x1 - x0);
    c.beginPath();
    c.moveTo(x1, y1);
    if (vertical) {
      c.lineTo(x1 - head / 2, y1 - s * head);
      c.lineTo(x1 + head / 2, y1 - s * head);
    } else {
      c.lineTo(x1 - s * head, y1 - head / 2);
      c.lineTo(x1 - s * head, y1 + head / 2);
    }
    c.fill();
  }
  /** What goes from box to box beside tasks: samples, transfers, gradients. */
  drawFlow({replica, stages}) {
    const c = this.context, head = Math.min(8, 90 * this.scale + 2);
    c.strokeStyle = c.fillStyle = this.palette.edge;
    c.lineWidth = 1.4;
    const across = (a, b, y) => {
      const from = this.rect(a), to = this.rect(b), right = from.x < to.x;
      this.arrow(right ? from.x + from.w : from.x, y, right ? to.x : to.x + to.w, y, false, head);
    };
    if (!this.isOpen(replica)) return;
    for (const box of replica.children) {
      const r = this.rect(box), y = r.y + r.h / 2;
      if (box.kind === "read") across(box, stages[0], y);
      if (box.kind === "transfer") {
        across(stages[box.facts.from], box, y);
        across(box, stages[box.facts.to], y);
      }
    }
    const sum = this.scene.root.children.find(box => box.kind === "sum");
    const r = this.rect(replica);
    if (sum) across(replica, sum, r.y + r.h / 2);
  }
  edge(from, to, head) {
    const a = this.rect(from), b = this.rect(to), down = from.y < to.y;
    const skips = Math.abs(from.y - to.y) > 1.5 * (TASK.h + TASK.dy) && Math.abs(from.x - to.x) < TASK.w / 2;
    if (skips) return this.aroundEdge(a, b, head);
    this.arrow(a.x + a.w / 2, down ? a.y + a.h : a.y, b.x + b.w / 2, down ? b.y : b.y + b.h, true, head);
  }
  /** Along the right side of what stands between. */
  aroundEdge(a, b, head) {
    const c = this.context, x0 = a.x + a.w, x1 = b.x + b.w, y0 = a.y + a.h / 2, y1 = b.y + b.h / 2;
    const out = Math.max(x0, x1) + 1.3 * TASK.dx * this.scale + Math.abs(y1 - y0) * 0.05;
    c.beginPath();
    c.moveTo(x0, y0);
    c.bezierCurveTo(out, y0, out, y1, x1, y1);
    c.stroke();
    c.beginPath();
    c.moveTo(x1, y1);
    c.lineTo(x1 + head, y1 - head / 2);
    c.lineTo(x1 + head, y1 + head / 2);
    c.fill();
  }
  drawEdges({replica, program, tasks}, width, height) {
    const c = this.context, head = Math.min(7, 9 * this.scale), margin = 40;
    if (!this.isOpen(replica)) return;
    c.strokeStyle = c.fillStyle = this.palette.edge;
    c.lineWidth = Math.min(1.4, 0.4 + this.scale);
    program.tasks.forEach((task, id) => {
      const to = tasks[id], b = this.rect(to);
      for (const input of task.inputs) {
        const from = tasks[input];
        if (from.parent !== to.parent || (program.tasks[input].phase === "F") !== (task.phase === "F")) continue;
        const a = this.rect(from);
        if (Math.max(a.x + a.w, b.x + b.w) < -margin || Math.min(a.x, b.x) > width + margin) continue;
        if (Math.max(a.y + a.h, b.y + b.h) < -margin || Math.min(a.y, b.y) > height + margin) continue;
        if (!this.isOpen(to.parent) || !this.isOpen(to.parent.parent)) continue;
        this.edge(from, to, head);
      }
    });
  }
  /** All that the selected task waits for and is needed by, wherever that is. */
  drawSelected() {
    const box = this.selected;
    if (box.kind !== "task") return;
    const {program, tasks} = this.scene.replicas[box.facts.d], id = box.facts.task, c = this.context;
    c.strokeStyle = c.fillStyle = this.palette.accent;
    c.lineWidth = 1.8;
    for (const input of program.tasks[id].inputs) this.edge(tasks[input], box, 8);
    c.setLineDash([5, 4]);
    program.tasks.forEach((task, i) => {
      if (task.inputs.includes(id)) this.edge(box, tasks[i], 8);
    });
    c.setLineDash([]);
  }

  // --- what a person does ---
  select(box) {
    this.selected = box;
    this.facts.show(box);
    this.showCrumbs(box);
    if (box.kind === "task") history.replaceState(null, "", `#d=${box.facts.d}&task=${box.facts.task}`);
    this.redraw();
  }
  showCrumbs(box) {
    const crumbs = [];
    for (let at = box; at; at = at.parent) crumbs.unshift(at);
    document.getElementById("crumbs").replaceChildren(...crumbs.flatMap((at, i) => {
      const link = element("a", at.label);
      link.onclick = () => this.goTo(at);
      return i ? [" / ", link] : [link];
    }));
  }
  search(words) {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean), boxes = [];
    const visit = box => {
      const text = `${box.label} ${box.lines.join(" ")} ${this.outputNames(box)}`.toLowerCase();
      if (box !== this.scene.root && wanted.every(word => text.includes(word))) boxes.push(box);
      box.children.forEach(visit);
    };
    if (wanted.length) visit(this.scene.root);
    this.found = new Set(boxes);
    if (wanted.length)
      this.facts.results(words, boxes);
    else
      this.facts.show(this.selected);
    this.redraw();
    return boxes;
  }
  outputNames(box) {
    if (box.kind !== "task") return "";
    return (this.scene.replicas[box.facts.d].program.tasks[box.facts.task].outputs || [])
        .map(output => output.name)
        .join(" ");
  }
  panBy(dx, dy) {
    this.flight = this.home = null;
    this.x -= dx / this.scale;
    this.y -= dy / this.scale;
    this.redraw();
  }
  goTo(box) {
    this.select(box);
    this.zoomTo(box);
  }
  followHash() {
    const wish = new URLSearchParams(location.hash.slice(1)), made = this.scene.replicas[Number(wish.get("d") || 0)];
    const box = wish.has("task") && made ? made.tasks[Number(wish.get("task"))] : null;
    const stage = wish.has("stage") && made ? made.stages[Number(wish.get("stage"))] : null;
    if (box || stage) {
      this.select(box || stage);
      this.fit(box ? box.parent : stage);
    }
  }
}

const dataOf = id => JSON.parse(document.getElementById(id).textContent);
let view = null;
followTheme(() => {
  view?.readColours();
  view?.redraw();
});
view = new View({...dataOf("data"), times: dataOf("times")});
new Hands(view);
