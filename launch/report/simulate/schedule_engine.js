"use strict";
// What parallel/simulate/ and parallel/pipeline/model_costs do, in the page: orders and costs -> times.

const COST_FIELDS = ["forward", "input_grad", "weight_grad", "overlapped", "activations", "weight_inputs"];
const mapCost = (value) => Object.fromEntries(COST_FIELDS.map((field) => [field, value(field)]));

/** The model's stages as `count`: neighbours merged, or each cut evenly. */
function withStages(model, count) {
  if (model.length % count === 0) {
    const merged = model.length / count;
    return range(count).map((i) =>
      mapCost((field) => model.slice(i * merged, (i + 1) * merged).reduce((sum, stage) => sum + stage[field], 0))
    );
  }
  if (count % model.length === 0) {
    const parts = count / model.length;
    return range(count).map((i) => mapCost((field) => model[Math.floor(i / parts)][field] / parts));
  }
  throw new Error(`${count} stages can't be made of ${model.length}: neither divides the other`);
}

/** The pipeline of a schedule over `settings` {positions, microbatches, chunks, group, latency, limit, model}. */
function pipelineOf(schedule, settings) {
  const given = Math.floor(settings.model.length / settings.positions);
  const wanted = settings.chunks || (given > 1 ? given : schedule.chunks);
  const chunks = schedule.anyChunks ? wanted : schedule.chunks || 1;
  const copies = schedule.copies || 1;
  const costs = withStages(settings.model, (settings.positions * chunks) / copies);
  return { ...settings, chunks, copies, placement: schedule.placement, costs: range(copies).flatMap(() => costs) };
}

function timeOf(order, i, costs) {
  const cost = costs[order[i].stage];
  if (order[i].pair) return (cost.overlapped + costs[order[i + 1].stage].overlapped) / 2;
  switch (order[i].op) {
    case "F": return cost.forward;
    case "B": return cost.input_grad + cost.weight_grad;
    case "I": return cost.input_grad;
    default: return cost.weight_grad;
  }
}

/** The stage whose result an action waits for; -1: none. */
function sourceOf(a, pipeline) {
  if (a.op === "W") return -1;
  const perCopy = pipeline.costs.length / pipeline.copies;
  const other = (a.stage % perCopy) + (a.op === "F" ? -1 : 1);
  return other < 0 || other >= perCopy ? -1 : a.stage + (a.op === "F" ? -1 : 1);
}

function peakMemory(order, costs) {
  let memory = 0;
  let peak = 0;
  for (const a of order) {
    const cost = costs[a.stage];
    if (a.op === "F") memory += cost.activations;
    if (a.op === "B") memory -= cost.activations;
    if (a.op === "I") memory -= cost.activations - cost.weight_inputs;
    if (a.op === "W") memory -= cost.weight_inputs;
    peak = Math.max(peak, memory);
  }
  return peak;
}

/** Every action with start and end; throws where devices wait for each other. */
function playOrders(orders, pipeline) {
  const ends = new Map();
  const key = (op, stage, microbatch) => (op === "F" ? 1 : -1) * (microbatch * pipeline.costs.length + stage + 1);
  const arrival = (a) => {
    const source = sourceOf(a, pipeline);
    if (source < 0) return 0;
    const end = ends.get(key(a.op, source, a.microbatch));
    return end === undefined ? Infinity : end + pipeline.latency;
  };
  const free = orders.map(() => 0);
  const timed = orders.map(() => []);
  const advance = (position) => {
    const order = orders[position];
    const first = timed[position].length;
    while (timed[position].length < order.length) {
      const i = timed[position].length;
      const parts = order[i].pair ? [order[i], order[i + 1]] : [order[i]];
      const start = Math.max(free[position], ...parts.map(arrival));
      if (start === Infinity) break;
      const end = start + timeOf(order, i, pipeline.costs);
      free[position] = end;
      for (const a of parts) {
        timed[position].push({ ...a, start, end });
        if (a.op !== "W") ends.set(key(a.op, a.stage, a.microbatch), end);
      }
    }
    return timed[position].length > first;
  };
  while (orders.map((_, position) => advance(position)).some((moved) => moved));
  if (timed.some((list, position) => list.length < orders[position].length)) throw new Error("devices wait for each other");
  return timed;
}

function simulateOrders(orders, pipeline) {
  const timed = playOrders(orders, pipeline);
  const devices = timed.map((list, position) => ({
    busy: list.reduce((sum, a) => sum + (a.pair ? 0 : a.end - a.start), 0),
    first: list[0].start,
    last: list[list.length - 1].end,
    peakMemory: peakMemory(orders[position], pipeline.costs),
  }));
  const cost = Math.max(...devices.map((d) => d.last - d.first));
  const busy = devices.reduce((sum, d) => sum + d.busy, 0);
  return {
    timed,
    devices,
    cost,
    makespan: Math.max(...devices.map((d) => d.last)),
    bubbleRate: cost > 0 ? 1 - busy / (devices.length * cost) : 0,
    peakMemory: Math.max(...devices.map((d) => d.peakMemory)),
  };
}

/** Orders in PyTorch's grammar, as the program writes them. */
function parseOrders(text) {
  const one = (cell, pair) => {
    const [, stage, op, microbatch] = /^(\d+)([FBIW])(\d+)$/.exec(cell);
    return action(op, Number(stage), Number(microbatch), pair);
  };
  return text.trimEnd().split("\n").map((line) =>
    line.split(",").flatMap((cell) => {
      if (!cell.startsWith("(")) return [one(cell, false)];
      const [forward, backward] = cell.slice(1, cell.indexOf(")")).split(";");
      return [one(forward, true), one(backward, false)];
    })
  );
}
