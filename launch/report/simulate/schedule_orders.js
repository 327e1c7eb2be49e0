"use strict";
// The schedules of parallel/pipeline/ once more, so that the page can remake them for other sizes and times. A test
// compares the two, action by action. An action is {op: F, B (whole backward), I, W, stage, microbatch, pair}.

const range = (end) => Array.from({ length: end }, (_, i) => i);
const action = (op, stage, microbatch, pair = false) => ({ op, stage, microbatch, pair });

/** Drops actions, and dissolves pairs that lost a half. */
function keepIf(order, keep) {
  const kept = [];
  order.forEach((a, i) => {
    if (keep(a)) kept.push({ ...a, pair: a.pair && keep(order[i + 1]) });
  });
  return kept;
}

function positionOf(kind, positions, chunks, stage) {
  if (kind === "block") return Math.floor(stage / chunks);
  const place = stage % positions;
  return kind === "v" && Math.floor(stage / positions) % 2 === 1 ? positions - 1 - place : place;
}

function gpipe(p) {
  return range(p.positions).map((i) => [
    ...range(p.microbatches).map((m) => action("F", i, m)),
    ...range(p.microbatches).map((m) => action("B", i, m)),
  ]);
}

function alternating(p, warmUp, overlapped) {
  return range(p.positions).map((i) => {
    const order = [];
    let forward = 0;
    while (forward < Math.min(warmUp(i), p.microbatches)) order.push(action("F", i, forward++));
    for (let backward = 0; backward < p.microbatches; ++backward) {
      if (forward < p.microbatches) order.push(action("F", i, forward++, overlapped));
      order.push(action("B", i, backward));
    }
    return order;
  });
}

function interleaved(p, overlapped) {
  const group = p.group || p.positions;
  if (group < p.positions) throw new Error(`a group of ${group} microbatches is smaller than the ${p.positions} devices`);
  const total = Math.ceil(p.microbatches / group) * group * p.chunks;
  const microbatch = (k) => Math.floor(k / (group * p.chunks)) * group + (k % group);
  const chunk = (k) => Math.floor(k / group) % p.chunks;
  return range(p.positions).map((i) => {
    const warmUp = Math.min(total, 2 * (p.positions - i - 1) + (p.chunks - 1) * group + (overlapped ? 1 : 0));
    const order = [];
    const forward = (k, pair) => order.push(action("F", chunk(k) * p.positions + i, microbatch(k), pair));
    let next = 0;
    while (next < warmUp) forward(next++, false);
    for (let k = 0; k < total; ++k) {
      if (next < total) forward(next++, overlapped);
      order.push(action("B", (p.chunks - 1 - chunk(k)) * p.positions + i, microbatch(k)));
    }
    return keepIf(order, (a) => a.microbatch < p.microbatches);
  });
}

function splitBackward(p, warmUp, waiting) {
  return range(p.positions).map((i) => {
    const order = [];
    let forward = 0;
    let weight = 0;
    while (forward < Math.min(warmUp(i), p.microbatches)) order.push(action("F", i, forward++));
    for (let m = 0; m < p.microbatches; ++m) {
      order.push(action("I", i, m));
      if (m + 1 - weight > waiting(i)) order.push(action("W", i, weight++));
      if (forward < p.microbatches) order.push(action("F", i, forward++));
    }
    while (weight < p.microbatches) order.push(action("W", i, weight++));
    return order;
  });
}

/** One device's passes over two chunks, counted per chunk. */
class TwoChunks {
  constructor(stages) {
    this.stages = stages;
    this.order = [];
    this.next = { F: [0, 0], B: [0, 0], W: [0, 0] };
    this.waiting = [];
  }
  forward(c, pair = false) {
    this.order.push(action("F", this.stages[c], this.next.F[c]++, pair));
  }
  backward(c) {
    this.order.push(action("B", this.stages[c], this.next.B[c]++));
  }
  inputGrad(c) {
    this.waiting.push(action("W", this.stages[c], this.next.B[c]));
    this.order.push(action("I", this.stages[c], this.next.B[c]++));
  }
  weightGrad(c) {
    const at = this.waiting.findIndex((w) => c === undefined || w.stage === this.stages[c]);
    this.order.push(this.waiting.splice(at, 1)[0]);
  }
  remaining(c) {
    while (this.waiting.some((w) => c === undefined || w.stage === this.stages[c])) this.weightGrad(c);
  }
}

function zbV(p) {
  const microbatches = Math.max(p.microbatches, 2 * p.positions - 1);
  return range(p.positions).map((i) => {
    const at = new TwoChunks([i, 2 * p.positions - 1 - i]);
    const both = (c) => {
      at.inputGrad(c);
      at.weightGrad(c);
    };
    range(2 * (p.positions - i) - 1).forEach(() => at.forward(0));
    range(i).forEach(() => [1, 0].forEach((c) => at.forward(c)));
    range(p.positions - i).forEach(() => {
      at.forward(1);
      both(1);
    });
    while (at.next.F[1] < at.next.F[0] || at.next.F[0] < microbatches) {
      if (at.next.F[0] < microbatches) at.forward(0);
      both(0);
      at.forward(1);
      both(1);
    }
    range(i).forEach(() => [0, 1].forEach((c) => at.inputGrad(c)));
    range(p.positions - i).forEach(() => {
      at.inputGrad(0);
      at.weightGrad(0);
    });
    at.remaining(1);
    at.remaining(0);
    return keepIf(at.order, (a) => a.microbatch < p.microbatches);
  });
}

/** DeepSeek's phases on one device: `rank` from its end of the pipeline, `fromTurn` to where the directions meet. */
function dualPhases(stages, rank, fromTurn, microbatches) {
  const at = new TwoChunks(stages);
  range(2 * fromTurn).forEach(() => at.forward(0));
  range(rank + 1).forEach(() => [0, 1].forEach((c) => at.forward(c)));
  range(fromTurn).forEach(() => {
    at.inputGrad(1);
    at.weightGrad();
    at.forward(1);
  });
  range(microbatches - 2 * (rank + fromTurn + 1) + rank + 1).forEach((k) => {
    at.forward(0, !(k === 0 && fromTurn === 0));
    at.backward(1);
    at.forward(1, true);
    at.backward(0);
  });
  range(fromTurn).forEach(() => {
    at.backward(1);
    at.forward(1, true);
    at.backward(0);
  });
  const middle = Math.floor((rank + 1) / 2);
  let split = false;
  range(rank + 1).forEach((k) => {
    split = split || (k === middle && rank % 2 === 1);
    split ? at.inputGrad(1) : at.backward(1);
    split = split || (k === middle && rank % 2 === 0);
    split ? at.inputGrad(0) : at.backward(0);
  });
  range(fromTurn).forEach(() => {
    at.weightGrad();
    at.inputGrad(0);
  });
  at.remaining();
  return at.order;
}

function dualPipeV(p) {
  return range(p.positions).map((i) =>
    keepIf(
      dualPhases([i, 2 * p.positions - 1 - i], i, p.positions - i - 1, Math.max(p.microbatches, 2 * p.positions)),
      (a) => a.microbatch < p.microbatches
    )
  );
}

function dualPipe(p) {
  if (p.positions % 2 !== 0) throw new Error(`dualpipe pairs devices from both ends: ${p.positions} is not even`);
  const first = Math.ceil(p.microbatches / 2);
  const second = p.microbatches - first;
  return range(p.positions).map((i) => {
    const opposite = p.positions - 1 - i;
    const stages = i < opposite ? [i, p.positions + opposite] : [p.positions + opposite, i];
    const rank = Math.min(i, opposite);
    const all = dualPhases(stages, rank, p.positions / 2 - rank - 1, Math.max(first, p.positions));
    return keepIf(all, (a) => a.microbatch < (a.stage < p.positions ? first : second)).map((a) => ({
      ...a,
      microbatch: a.microbatch + (a.stage < p.positions ? 0 : first),
    }));
  });
}

/** The heuristic of the Zero Bubble paper; the C++ twin explains it. */
class Search {
  constructor(p, limit, choices) {
    Object.assign(this, { p, limit, choices, longestBubble: 0 });
    this.stages = p.costs.map((cost) => ({
      cost, end: 0, bubble: 0, memory: 0, b: 0, w: 0, forwardEnd: [], backwardEnd: [], order: [],
    }));
  }
  fits(memory) {
    return memory <= this.limit * (1 + 1e-12);
  }
  forwardArrival(j) {
    return j === 0 ? -Infinity : this.stages[j - 1].forwardEnd[this.stages[j].forwardEnd.length] + this.p.latency;
  }
  backwardArrival(j) {
    return j + 1 === this.stages.length ? -Infinity : this.stages[j + 1].backwardEnd[this.stages[j].b] + this.p.latency;
  }
  advance(s, arrival, time) {
    const unhindered = s.end + time;
    s.end = Math.max(unhindered, arrival + time);
    if (s.forwardEnd.length === 0) return;
    s.bubble += s.end - unhindered;
    this.longestBubble = Math.max(this.longestBubble, s.bubble);
  }
  forward(j) {
    const s = this.stages[j];
    this.advance(s, this.forwardArrival(j), s.cost.forward);
    s.order.push(action("F", j, s.forwardEnd.length));
    s.forwardEnd.push(s.end);
    s.memory += s.cost.activations;
  }
  backward(j) {
    const s = this.stages[j];
    this.advance(s, this.backwardArrival(j), s.cost.input_grad);
    s.order.push(action("I", j, s.b++));
    s.backwardEnd.push(s.end);
    s.memory -= s.cost.activations - s.cost.weight_inputs;
  }
  weight(j) {
    const s = this.stages[j];
    this.advance(s, -Infinity, s.cost.weight_grad);
    s.order.push(action("W", j, s.w++));
    s.memory -= s.cost.weight_inputs;
  }
  fill(j, arrival) {
    const s = this.stages[j];
    while (s.w < s.b && s.end + s.cost.weight_grad <= arrival) this.weight(j);
    if (s.w >= s.b || s.end >= arrival) return;
    const mayWait = arrival - s.end <= this.longestBubble - s.bubble;
    if (!mayWait || this.choices.fills) this.weight(j);
  }
  extraForwards() {
    const last = this.stages[this.stages.length - 1];
    const more = this.stages.map(() => 0);
    let firstBackward = last.end + last.cost.input_grad;
    for (let j = this.stages.length - 2; j >= 0; --j) {
      const s = this.stages[j];
      const arrival = firstBackward + this.p.latency;
      let memory = s.memory + s.cost.activations;
      let end = s.end;
      for (; 1 + more[j] < this.p.microbatches && this.fits(memory); ++more[j]) {
        if (this.choices.prompt ? end + s.cost.forward > arrival : end >= arrival) break;
        memory += s.cost.activations;
        end += s.cost.forward;
      }
      firstBackward = Math.max(end, arrival) + s.cost.input_grad;
    }
    for (let j = 1; j < more.length; ++j) {
      const all = 1 + more[j] === this.p.microbatches;
      more[j] = Math.max(0, Math.min(more[j], all ? more[j - 1] : more[j - 1] - 1));
    }
    return more;
  }
  ratherWaits(j) {
    if (!this.choices.backwardFirst || j + 1 === this.stages.length) return false;
    const s = this.stages[j];
    const next = this.stages[j + 1];
    if (s.forwardEnd.length < next.forwardEnd.length + 2) return false;
    const nextBackward = next.end + next.cost.forward + next.cost.input_grad + this.p.latency;
    if (s.end >= nextBackward) return true;
    let weights = 0;
    let memory = s.memory + s.cost.activations;
    for (let waiting = s.b - s.w; !this.fits(memory) && waiting > 0; --waiting) {
      weights += s.cost.weight_grad;
      memory -= s.cost.weight_inputs;
    }
    if (s.end + s.cost.forward + weights <= nextBackward) return false;
    return nextBackward - s.end <= this.longestBubble - s.bubble;
  }
  forwards() {
    const runs = [];
    let later = true;
    for (let j = this.stages.length - 1; j >= 0; --j) {
      later = later && this.stages[j].forwardEnd.length < this.p.microbatches && !this.ratherWaits(j);
      runs[j] = later;
    }
    this.stages.forEach((s, j) => {
      if (!runs[j]) return;
      while (!this.fits(s.memory + s.cost.activations) && s.w < s.b) this.weight(j);
      this.fill(j, this.forwardArrival(j));
      this.forward(j);
    });
  }
  backwards(microbatch) {
    for (let j = this.stages.length - 1; j >= 0; --j) {
      const s = this.stages[j];
      this.fill(j, this.backwardArrival(j));
      if (j === 0 && s.forwardEnd.length === this.p.microbatches) while (s.w < microbatch) this.weight(j);
      this.backward(j);
    }
  }
  run() {
    this.stages.forEach((_, j) => this.forward(j));
    this.extraForwards().forEach((count, j) => range(count).forEach(() => this.forward(j)));
    for (let j = this.stages.length - 1; j >= 0; --j) this.backward(j);
    for (let m = 1; m < this.p.microbatches; ++m) {
      this.forwards();
      this.backwards(m);
    }
    this.stages.forEach((s, j) => {
      while (s.w < s.b) this.weight(j);
    });
    return this;
  }
  longest() {
    return Math.max(0, ...this.stages.map((s) => s.end - s.forwardEnd[0] + s.cost.forward));
  }
}

function searched(p, microbatches) {
  const needed = Math.max(...p.costs.map((c) => c.activations));
  const limit = p.limit || microbatches * needed;
  if (needed > limit) throw new Error(`one microbatch takes ${needed} of memory, the limit is ${limit}`);
  let best = null;
  for (const prompt of [true, false]) {
    for (const backwardFirst of [true, false]) {
      for (const fills of [true, false]) {
        const search = new Search(p, limit, { prompt, backwardFirst, fills }).run();
        if (best === null || search.longest() < best.longest()) best = search;
      }
    }
  }
  return best.stages.map((s) => s.order);
}

/** By name, in the order of the program's table. */
const SCHEDULES = {
  "gpipe": { placement: "block", make: gpipe },
  "1f1b": { placement: "block", make: (p) => alternating(p, (i) => p.positions - i - 1, false) },
  "interleaved": { placement: "interleaved", chunks: 2, anyChunks: true, make: (p) => interleaved(p, false) },
  "1f1b-overlap": { placement: "block", make: (p) => alternating(p, (i) => 2 * (p.positions - i - 1) + 1, true) },
  "interleaved-overlap": { placement: "interleaved", chunks: 2, anyChunks: true, make: (p) => interleaved(p, true) },
  "zb-h1": { placement: "block", make: (p) => splitBackward(p, (i) => p.positions - i, (i) => i) },
  "zb-h2": { placement: "block", make: (p) => splitBackward(p, (i) => 2 * (p.positions - i) - 1, (i) => 2 * i) },
  "zb-1p": { placement: "block", make: (p) => searched(p, p.positions) },
  "zb-2p": { placement: "block", make: (p) => searched(p, 2 * p.positions) },
  "zb-v": { placement: "v", chunks: 2, make: zbV },
  "dualpipe": { placement: "v", chunks: 2, copies: 2, make: dualPipe },
  "dualpipe-v": { placement: "v", chunks: 2, make: dualPipeV },
};
