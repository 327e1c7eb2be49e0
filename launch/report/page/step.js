// The tasks of a step: what each is, and when it ran on each side ("measured", "simulated"). Ranks of one program share
// the columns of its tasks; a task is named by the place of its rank and its index in these columns.
"use strict";

const TASK_KINDS = {
  forward: "forward",
  input_grad: "input gradient",
  weight_grad: "weight gradient",
  recompute: "recomputation",
  update: "update",
  communication: "tensor collective",
  reduction: "other collective",
  transfer: "send and receive",
  read: "read",
};
const KIND_OF_PHASE = {F: "forward", B: "input_grad", W: "weight_grad", R: "recompute", U: "update"};
const GROUP_OF_AXIS = {d: "replicas (d)", p: "pipeline (p)", t: "tensor group (t)", w: "all ranks"};

class Step {
  constructor(json) {
    Object.assign(this, json);
    for (const program of this.programs) program.colour = program.kind.map((_, task) => this.kindOf(program, task));
    for (const side of this.sides) side.ranks = side.ranks.map(times => this.clockTimes(times));
  }

  /** Differences of whole units to microseconds since the step began; NaN where a task did not run. */
  clockTimes({start, length, processor}) {
    const begin = new Float64Array(start.length), end = new Float64Array(start.length);
    let at = 0;
    start.forEach((difference, task) => {
      at += difference;
      begin[task] = length[task] < 0 ? NaN : at * this.unit_us;
      end[task] = begin[task] + length[task] * this.unit_us;
    });
    return {begin, end, processor: processor?.map(units => units < 0 ? NaN : units * this.unit_us)};
  }
  kindOf(program, task) {
    const kind = this.kinds[program.kind[task]];
    if (kind === "compute") return KIND_OF_PHASE[program.phase[task]];
    if (kind === "send" || kind === "receive") return "transfer";
    if (kind === "load") return "read";
    if (kind === "update") return "update";
    return program.axis[task] === "t" ? "communication" : "reduction";
  }

  program(place) { return this.programs[this.ranks[place].program]; }
  name(place, task) { return this.names[this.program(place).name[task]]; }
  id(place, task) {
    const program = this.program(place), {d, t} = this.ranks[place];
    return idText(program.phase[task], program.microbatch[task], program.stage[task], d, t, program.operation[task]);
  }
  length(side, place, task) {
    const {begin, end} = side.ranks[place];
    return end[task] - begin[task];
  }
  /** The time at which the last task of all sides ends. */
  duration() {
    let last = 1e-3;
    for (const side of this.sides) {
      for (const {end} of side.ranks) {
        for (const time of end) {
          if (time > last) last = time;
        }
      }
    }
    return last;
  }

  /** How many tasks of each kind there are, and microseconds of them on each side in the mean over ranks. */
  totals() {
    const totals = new Map();
    this.ranks.forEach((_, place) => this.program(place).colour.forEach((kind, task) => {
      if (!totals.has(kind)) totals.set(kind, {count: 0, us: this.sides.map(() => 0)});
      const total = totals.get(kind);
      ++total.count;
      this.sides.forEach((side, i) => {
        total.us[i] += (this.length(side, place, task) || 0) / this.ranks.length;
      });
    }));
    return Object.keys(TASK_KINDS).filter(kind => totals.has(kind)).map(kind => ({kind, ...totals.get(kind)}));
  }
}

function timeText(us) {
  if (Math.abs(us) < 1e-6) return "0";  // what rounding leaves of nothing
  const [number, unit] = Math.abs(us) < 1e3 ? [us, "µs"] : Math.abs(us) < 1e6 ? [us / 1e3, "ms"] : [us / 1e6, "s"];
  return `${Number(number.toPrecision(4))} ${unit}`;
}

const percentText = (part, whole) => whole > 0 ? `${(100 * part / whole).toFixed(1)} %` : "";
/** Predicted over measured, as what is too much or too little. */
function errorText(predicted, measured) {
  if (!(measured > 0)) return "";
  if (predicted >= 10 * measured) return `${Number((predicted / measured).toPrecision(3))} times`;
  const percent = (100 * (predicted / measured - 1)).toFixed(1);
  return `${percent > 0 ? "+" : ""}${Number(percent) === 0 ? "0.0" : percent} %`;
}
const clockText = us => `${(us / 1e3).toFixed(3)} ms`;
const rateText = (number, us, unit) => us > 0 && number > 0 ? `, ${scaled(number / us * 1e6, `${unit}/s`)}` : "";

/** Rows of a name and a text: when a task ran on a side. */
function timesOf({name, ranks}, place, task) {
  const {begin, end, processor} = ranks[place], length = end[task] - begin[task];
  if (!(begin[task] >= 0)) return [[name, "did not run"]];
  const rows = [[name, timeText(length)], ["", `from ${clockText(begin[task])}`], ["", `to ${clockText(end[task])}`]];
  if (processor?.[task] >= 0)
    rows.push(["on the processor", `${timeText(processor[task])}, ${percentText(processor[task], length)}`]);
  return rows;
}

/** Rows of a name and a text: all that is known of a task. Rates are by the last side's time, the measured one. */
function factsOf(step, place, task) {
  const program = step.program(place), rank = step.ranks[place], kind = step.kinds[program.kind[task]];
  const rows = [
    ["kind", kind === "compute" ? TASK_KINDS[program.colour[task]] : kind],
    ["rank", `${rank.rank} (d${rank.d} p${rank.p} t${rank.t})`],
    ["microbatch", program.microbatch[task]],
    ["stage", program.stage[task]],
  ];
  if (kind === "send" || kind === "receive")
    rows.push([kind === "send" ? "to" : "from", `rank ${rank.rank + program.peer[task]}`]);
  if (kind.startsWith("all_")) rows.push(["among", GROUP_OF_AXIS[program.axis[task]]]);
  for (const side of step.sides) rows.push(...timesOf(side, place, task));
  const lengths = step.sides.map(side => step.length(side, place, task)), us = lengths.at(-1);
  if (lengths.length === 2) rows.push(["difference", `${timeText(lengths[0] - us)}, ${errorText(lengths[0], us)}`]);
  rows.push(["bytes", bytesText(program.bytes[task]) + rateText(program.bytes[task], us, "B")],
            ["FLOP", scaled(program.flops[task], "FLOP") + rateText(program.flops[task], us, "FLOP")]);
  return rows;
}
