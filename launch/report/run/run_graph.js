// The task graph of a step as its ranks see it: a row for each replica, a box for each pipeline position with its tensor
// ranks, what they send each other, and the sums over all replicas. Operation by operation it is `dmltrain graph`'s.
"use strict";

const GRAPH = {gap: 92, row: 62, box: 44, label: 17, top: 22, left: 44, narrow: 120, wide: 260, most: 16};  // rows beyond `most` are alike

class TaskGraph {
  /** `about` says of each rank, by number, which layers it has. */
  constructor(step, host, about, chosen) {
    Object.assign(this, {step, host, about, chosen});
    const count = axis => 1 + Math.max(...step.ranks.map(rank => rank[axis]));
    [this.d, this.p, this.t] = ["d", "p", "t"].map(count);
    this.placeOf = new Map(step.ranks.map(({rank}, place) => [rank, place]));
    this.sums = step.programs.map(program => this.sumsOf(program));
    this.draw();
    new ResizeObserver(() => {
      if (this.host.clientWidth !== this.drawnFor) this.draw();
    }).observe(host);
  }
  /** What a rank of a program computes and moves in a step; of messages by how far away the peer's rank is. */
  sumsOf(program) {
    const sums = {tasks: program.kind.length, flops: 0, tensor: 0, others: 0, sent: new Map()};
    program.kind.forEach((number, task) => {
      const kind = this.step.kinds[number], bytes = program.bytes[task];
      if (kind === "compute") sums.flops += program.flops[task];
      if (kind === "send") sums.sent.set(program.peer[task], (sums.sent.get(program.peer[task]) ?? 0) + bytes);
      if (program.colour[task] === "communication") sums.tensor += bytes;
      if (program.colour[task] === "reduction" && program.axis[task] === "d") sums.others += bytes;
    });
    return sums;
  }
  placesAt(d, p) { return [...this.step.ranks.keys()].filter(place => this.step.ranks[place].d === d && this.step.ranks[place].p === p); }

  draw() {
    this.drawnFor = this.host.clientWidth;
    const rows = Math.min(this.d, GRAPH.most), room = Math.max(300, this.host.clientWidth) - GRAPH.left - 10;
    this.box = Math.max(GRAPH.narrow, Math.min(GRAPH.wide, (room - (this.p - 1) * GRAPH.gap) / this.p));
    this.width = GRAPH.left + this.p * this.box + (this.p - 1) * GRAPH.gap + 10;
    const sums = this.d > 1 ? 34 : 0, more = this.d > rows ? 18 : 0;
    this.root = svg("svg", {width: this.width, height: GRAPH.top + rows * GRAPH.row + more + sums, role: "img", class: "task_graph",
                            "aria-label": "Replicas downwards, pipeline positions to the right, what they send each other"});
    for (let p = 0; p < this.p; ++p) this.text(this.left(p) + this.box / 2, 13, `p${p}`, "middle");
    for (let d = 0; d < rows; ++d) this.drawReplica(d);
    if (more) this.text(GRAPH.left, GRAPH.top + rows * GRAPH.row + 10, `and ${this.d - rows} replicas more`);
    for (let p = 0; sums && p < this.p; ++p) this.drawSum(p, GRAPH.top + rows * GRAPH.row + more);
    this.host.replaceChildren(this.root);
  }
  left(p) { return GRAPH.left + p * (this.box + GRAPH.gap); }
  text(x, y, text, anchor = "start") { this.root.append(svg("text", {x, y, "text-anchor": anchor}, text)); }
  drawReplica(d) {
    const y = GRAPH.top + d * GRAPH.row;
    this.text(6, y + GRAPH.box / 2 + 4, `d${d}`);
    for (let p = 0; p < this.p; ++p) this.drawBox(d, p, y);
    for (let p = 0; p + 1 < this.p; ++p) {
      this.drawSends(this.bytesBetween(d, p, p + 1), this.left(p) + this.box, this.left(p + 1), y + 15);
      this.drawSends(this.bytesBetween(d, p + 1, p), this.left(p + 1), this.left(p) + this.box, y + 36);
    }
  }
  drawBox(d, p, y) {
    const places = this.placesAt(d, p), pitch = (this.box - 6) / places.length;
    this.root.append(svg("rect", {class: "stage", x: this.left(p), y, width: this.box, height: GRAPH.box, rx: 6}));
    places.forEach((place, t) => {
      const {rank, program} = this.step.ranks[place], sums = this.sums[program];
      const cell = svg("rect", {class: "cell", x: this.left(p) + 4 + t * pitch, y: y + GRAPH.label, width: Math.max(1, pitch - 2), height: GRAPH.box - GRAPH.label - 4, rx: 4});
      cell.onpointermove = event => showTip(event, [
        `rank ${rank}, d${d} p${p} t${t}: ${this.about[rank]?.layers || "no layers"}`, `${sums.tasks.toLocaleString("en")} tasks, ${scaled(sums.flops, "FLOP")}`,
        ...(sums.tensor ? [`${bytesText(sums.tensor)} in collectives of its tensor group`] : [])]);
      cell.onpointerleave = hideTip;
      cell.onclick = () => this.chosen(place);
      this.root.append(cell);
      if (pitch >= 26) this.text(this.left(p) + 3 + (t + 0.5) * pitch, y + (GRAPH.label + GRAPH.box) / 2 + 2, String(rank), "middle");
    });
    const layers = this.about[this.step.ranks[places[0]].rank]?.layers;
    if (layers && layers.length * 6 < this.box) this.text(this.left(p) + this.box / 2, y + 12, layers, "middle");
  }
  /** In a step, from all ranks of a position to those of another. */
  bytesBetween(d, from, to) {
    let bytes = 0;
    for (const place of this.placesAt(d, from)) {
      const {rank, program} = this.step.ranks[place];
      for (const [offset, sent] of this.sums[program].sent) {
        const peer = this.step.ranks[this.placeOf.get(rank + offset)];
        if (peer?.p === to) bytes += sent;
      }
    }
    return bytes;
  }
  drawSends(bytes, from, to, y) {
    if (!bytes) return;
    const ahead = Math.sign(to - from), tip = to - 3 * ahead;
    this.root.append(svg("path", {class: "sends", d: `M${from + 3 * ahead},${y}H${tip}m${-6 * ahead},-4l${6 * ahead},4l${-6 * ahead},4`}));
    this.text((from + to) / 2, y - 4, bytesText(bytes), "middle");
  }
  drawSum(p, y) {
    const bytes = this.placesAt(0, p).reduce((sum, place) => sum + this.sums[this.step.ranks[place].program].others, 0);
    if (!bytes) return;
    const x = this.left(p) + this.box / 2;
    this.root.append(svg("path", {class: "sends", d: `M${x - 30},${y + 3}v6h60v-6`}));
    this.text(x, y + 25, `${bytesText(bytes)} of gradients summed over d`, "middle");
  }
}
