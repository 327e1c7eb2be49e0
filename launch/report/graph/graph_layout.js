// From graph.json to boxes on a plane: replicas under each other, in each its stages from left to right, in each stage
// its layers, in each layer its tasks: forward passes run down on the left, backward passes up on the right.
"use strict";

const TASK = {
  w: 236,
  h: 78,
  dx: 22,
  dy: 26
};
const MOST_COLUMNS = 4;  // of a row of tasks; more go into further rows
const PAD = {
  layer: 40,
  stage: 90,
  replica: 180
};
const HEAD = {
  layer: 70,
  stage: 190,
  replica: 620
};
const GAP = {
  layer: 90,
  stage: 1000,
  replica: 600
};
const TRANSFER = {
  w: 640,
  h: 260
};

/** A box on the plane; x and y are those of its corner, children lie inside. */
class Box {
  constructor(kind, label, lines = [], facts = {}) {
    Object.assign(this, {kind, label, lines, facts, x: 0, y: 0, w: 0, h: 0, children: [], parent: null});
  }
  add(child) {
    child.parent = this;
    this.children.push(child);
    return child;
  }
  move(dx, dy) {
    this.x += dx;
    this.y += dy;
    for (const child of this.children) child.move(dx, dy);
  }
}

/** How deep each task lies below those of the same set; tasks come in an order that respects their inputs. */
function levelsOf(tasks, ids) {
  const level = new Map();
  for (const id of ids) {
    let deepest = -1;
    for (const input of tasks[id].inputs)
      if (level.has(input)) deepest = Math.max(deepest, level.get(input));
    level.set(id, deepest + 1);
  }
  return level;
}

/** Rows of ids by level, each ordered by where its inputs stand. */
function rowsOf(tasks, ids) {
  const level = levelsOf(tasks, ids), rows = [], place = new Map();
  for (const id of ids) (rows[level.get(id)] ||= []).push(id);
  for (const row of rows) {
    const wish = id => {
      const at = tasks[id].inputs.filter(i => place.has(i)).map(i => place.get(i));
      return at.length ? at.reduce((a, b) => a + b) / at.length : 0;
    };
    const wishes = new Map(row.map(id => [id, wish(id)]));
    row.sort((a, b) => wishes.get(a) - wishes.get(b) || a - b);
    row.forEach((id, i) => place.set(id, i - (row.length - 1) / 2));
  }
  return rows.flatMap(row => {
    const parts = Math.ceil(row.length / MOST_COLUMNS), size = Math.ceil(row.length / parts);
    return Array.from({length: parts}, (_, i) => row.slice(i * size, (i + 1) * size));
  });
}

function kindOf(task) {
  if (task.kind === "all_reduce" || task.kind === "all_gather") return "communication";
  return {F: "forward", R: "forward", B: "input_grad", W: "weight_grad", U: "update"}[task.phase];
}

/** Puts rows of tasks into a layer's box from `left` on; returns where they end. */
function placeRows(layer, rows, left, total, upwards, boxOf) {
  const columns = Math.max(0, ...rows.map(row => row.length));
  const width = columns * (TASK.w + TASK.dx) - TASK.dx;
  rows.forEach((row, r) => {
    const y = HEAD.layer + PAD.layer + (upwards ? total - 1 - r : r) * (TASK.h + TASK.dy);
    const start = left + (width - row.length * (TASK.w + TASK.dx) + TASK.dx) / 2;
    row.forEach((id, i) => {
      const box = layer.add(boxOf(id));
      Object.assign(box, {x: start + i * (TASK.w + TASK.dx), y, w: TASK.w, h: TASK.h});
    });
  });
  return columns ? left + width + 2 * TASK.dx : left;
}

function layerBox(program, name, ids, facts, boxOf) {
  const layer = new Box("layer", name, [counted(ids.length, "task")], facts);
  const forward = rowsOf(program.tasks, ids.filter(id => !"BW".includes(program.tasks[id].phase)));
  const backward = rowsOf(program.tasks, ids.filter(id => "BW".includes(program.tasks[id].phase)));
  const rows = Math.max(forward.length, backward.length, 1);
  let right = placeRows(layer, forward, PAD.layer, rows, false, boxOf);
  right = placeRows(layer, backward, right, rows, true, boxOf);
  layer.w = Math.max(right - 2 * TASK.dx + PAD.layer, 420);
  layer.h = HEAD.layer + 2 * PAD.layer + rows * (TASK.h + TASK.dy) - TASK.dy;
  return layer;
}

/** Layers under each other, in as many columns as keep the stage from being a ribbon. */
function placeLayers(stage) {
  const height = stage.children.reduce((sum, layer) => sum + layer.h + GAP.layer, 0);
  const widest = Math.max(...stage.children.map(layer => layer.w));
  const columns = Math.max(1, Math.round(Math.sqrt(height / (1.1 * widest))));
  let x = PAD.stage, y = HEAD.stage, width = 0;
  stage.w = stage.h = 0;
  for (const layer of stage.children) {
    if (y > HEAD.stage && y + layer.h / 2 > HEAD.stage + height / columns) {
      x += width + GAP.layer;
      y = HEAD.stage;
      width = 0;
    }
    layer.move(x, y);
    y += layer.h + GAP.layer;
    width = Math.max(width, layer.w);
    stage.w = Math.max(stage.w, x + width + PAD.stage);
    stage.h = Math.max(stage.h, y - GAP.layer + PAD.stage);
  }
}

function stageBox(graph, d, s, program, tasks) {
  const {label, position} = graph.layout.stages[s];
  const stage =
      new Box("stage", `stage ${s}`, [label, `d${d} p${position} ${tensorText(graph.layout)}`], {d, stage: s});
  const boxOf = id => {
    const task = program.tasks[id];
    const box = new Box("task", task.operation, [task.name], {d, task: id, colour: kindOf(task)});
    tasks[id] = box;
    return box;
  };
  const idsOf = layer =>
      program.tasks.map((_, id) => id).filter(id => program.tasks[id].stage === s && program.tasks[id].layer === layer);
  program.layers.forEach((layer, l) => {
    if (layer.stages.includes(s)) stage.add(layerBox(program, layer.name, idsOf(l), {d, stage: s, layer: l}, boxOf));
  });
  const last = idsOf(-1);
  if (last.length) stage.add(layerBox(program, "end of the step", last, {d, stage: s, layer: -1}, boxOf));
  placeLayers(stage);
  return stage;
}

function transferBoxes(replica, graph, d, program, stages) {
  const ways = new Map();
  program.transfers.forEach((transfer, i) => {
    const key = `${transfer.from_stage} ${transfer.to_stage}`;
    if (!ways.has(key)) ways.set(key, []);
    ways.get(key).push(i);
  });
  for (const [key, transfers] of ways) {
    const [from, to] = key.split(" ").map(Number), left = stages[Math.min(from, to)];
    const box = replica.add(new Box(
        "transfer", `stage ${from} to ${to}`, [counted(transfers.length, "value")],
        {d, from, to, transfers, colour: "transfer"}));
    Object.assign(box, TRANSFER, {
      x: left.x + left.w + (GAP.stage - TRANSFER.w) / 2,
      y: HEAD.replica + (from < to ? 250 : 900),
    });
  }
}

function replicaBox(graph, d) {
  const program = graph.programs[graph.replicas[d].program], tasks = [];
  const samples = program.microbatch_samples.reduce((a, b) => a + b, 0), first = graph.replicas[d].first_sample;
  const replica = new Box(
      "replica", `replica ${d}`, [`samples ${first}-${first + samples - 1} of the batch, ${microbatchesText(program)}`],
      {d});
  const read = replica.add(new Box("read", "Read", [`samples ${first}-${first + samples - 1}`], {d, colour: "read"}));
  Object.assign(read, {x: PAD.replica, y: HEAD.replica + 250, w: 560, h: 260});
  let x = read.x + read.w + 300;
  const stages = graph.layout.stages.map((_, s) => {
    const stage = replica.add(stageBox(graph, d, s, program, tasks));
    stage.move(x, HEAD.replica);
    x += stage.w + GAP.stage;
    return stage;
  });
  transferBoxes(replica, graph, d, program, stages);
  replica.w = x - GAP.stage + PAD.replica;
  replica.h = HEAD.replica + Math.max(...stages.map(stage => stage.h)) + PAD.replica;
  return {replica, stages, tasks, program};
}

/**
 * Puts into every box what a step costs inside it, over the ranks of the tensor group: all of it, bytes by kind, and
 * the microseconds of one rank where a run has them.
 */
function addTotals(graph, replicas, box) {
  const times = Object.fromEntries(graph.times.map(({name}) => [name, 0]));
  const total = box.total = {tasks: 0, flops: 0, bytes: 0, ...times, kinds: {}};
  if (box.kind === "task") {
    const task = replicas[box.facts.d].program.tasks[box.facts.task], ranks = graph.layout.t;
    Object.assign(total, {tasks: 1, flops: sumOf(task.step_flops, ranks), bytes: sumOf(task.step_bytes, ranks)});
    for (const {name, us} of graph.times) total[name] = us[box.facts.d][box.facts.task];
    total.kinds[box.facts.colour] = total.bytes;
  }
  for (const child of box.children) {
    const inner = addTotals(graph, replicas, child);
    for (const key of ["tasks", "flops", "bytes", ...Object.keys(times)]) total[key] += inner[key];
    for (const [kind, bytes] of Object.entries(inner.kinds)) total.kinds[kind] = (total.kinds[kind] || 0) + bytes;
  }
  return total;
}

/** All boxes: the root, and by replica its stages and tasks. */
function layOut(graph) {
  const root = new Box("model", graph.model.name), replicas = [];
  let y = 0;
  for (let d = 0; d < graph.layout.d; ++d) {
    const made = replicaBox(graph, d);
    made.replica.move(0, y);
    y += made.replica.h + GAP.replica;
    root.add(made.replica);
    replicas.push(made);
  }
  root.w = Math.max(...root.children.map(box => box.w));
  root.h = y - GAP.replica;
  const sums = replicas[0].program.tasks.some(task => task.group === "d");
  if (sums) {
    const box = root.add(new Box("sum", "gradient all-reduce", ["over the replicas"], {colour: "communication"}));
    Object.assign(box, {x: root.w + 700, y: 0, w: 1500, h: root.h});
    root.w += 2200;
  }
  addTotals(graph, replicas, root);
  return {root, replicas};
}
