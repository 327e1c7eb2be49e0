// What the panel says of a box.
"use strict";

function microbatchesText(program) { return counted(program.microbatch_samples.length, "microbatch", "microbatches"); }
function tensorText(layout) { return layout.t === 1 ? "t0" : `t0-${layout.t - 1}`; }

/** Numbers by tensor index, of which the file holds one where all are alike. */
function byRank(value, t) { return Array.isArray(value) ? value[t] : value; }
function sumOf(value, ranks) { return Array.isArray(value) ? value.reduce((a, b) => a + b, 0) : value * ranks; }
function perRankText(value, text) {
  return Array.isArray(value) ? value.map((v, t) => `t${t}: ${text(v)}`).join(", ") : text(value);
}

function rankOf(layout, d, p, t) {
  const at = {d, p, t};
  return [...layout.order].reduce((rank, axis) => rank * layout[axis] + at[axis], 0);
}

const KINDS = {
  forward: "forward",
  input_grad: "input gradient",
  weight_grad: "weight gradient",
  communication: "collective",
  transfer: "send and receive",
  update: "update",
  read: "read",
};

class Facts {
  constructor(graph, scene, panel, go) { Object.assign(this, {graph, scene, panel, go}); }

  show(box) {
    this.panel.replaceChildren();
    const {kind} = box;
    if (kind === "task")
      this.task(box);
    else if (kind === "transfer")
      this.transfer(box);
    else if (kind === "sum")
      this.sums(box);
    else
      this.container(box);
    this.panel.scrollTop = 0;
  }

  title(text, under) {
    this.panel.append(element("h1", text));
    if (under) this.panel.append(element("p", under));
  }
  table(rows) {
    const table = element("table");
    for (const [name, value] of rows) {
      const cell = element("td");
      cell.append(value instanceof Node ? value : String(value));
      table.append(element("tr", "", element("td", name), cell));
    }
    this.panel.append(table);
  }
  list(title, boxes) {
    if (!boxes.length) return;
    this.panel.append(element("h2", `${title} (${boxes.length})`));
    const list = element("ul");
    for (const [box, text] of boxes) {
      const link = element("a", text);
      link.onclick = () => this.go(box);
      list.append(element("li", "", link));
    }
    this.panel.append(list);
  }

  costs(item) {
    return [
      ["FLOP", perRankText(item.flops, v => scaled(v, "FLOP"))],
      ["bytes", perRankText(item.bytes, bytesText)],
      [
        "per step",
        `${perRankText(item.step_flops, v => scaled(v, "FLOP"))}; ${perRankText(item.step_bytes, bytesText)}`
      ],
    ];
  }
  /** Of a step, on one rank. */
  times(box) {
    return this.graph.times.map(({name}) => [name, `${Number((box.total[name] / 1000).toPrecision(4))} ms a step`]);
  }
  outputs(outputs) {
    for (const output of outputs) {
      this.panel.append(element("h2", "output"), element("code", output.name));
      this.table([
        ["whole", `${output.dtype} ${output.shape.join("x") || "scalar"}`], ["placement", output.placement],
        [
          "on a rank",
          output.local_shapes
              .map((s, t) => (output.local_shapes.length > 1 ? `t${t}: ` : "") + (s.join("x") || "scalar"))
              .join(", ")
        ]
      ]);
    }
  }
  ranks(d, position) {
    const {layout} = this.graph;
    return Array.from({length: layout.t}, (_, t) => `${rankOf(layout, d, position, t)} (d${d} p${position} t${t})`)
        .join(", ");
  }

  task(box) {
    const {d, task: id} = box.facts, {program, tasks} = this.scene.replicas[d], task = program.tasks[id];
    this.title(task.operation, task.name);
    const {layout} = this.graph;
    const rows = [
      ["kind", KINDS[box.facts.colour]], ["id", element("code", idText(task.phase, 0, task.stage, d, 0, task.n))],
      ["runs on", this.ranks(d, task.position)], ["stage", task.stage]
    ];
    if (task.group)
      rows.push([
        "group",
        `${task.group}: ${
            {d: "replicas", p: "stages with the same weight", t: "tensor ranks", w: "all ranks"}[task.group]}`
      ]);
    rows.push(
        [
          "times",
          task.phase === "U" ? "once a step" : `for each microbatch: ${program.microbatch_samples.length} in a step`
        ],
        ...this.costs(task), ...this.times(box));
    this.table(rows);
    this.outputs(task.outputs || []);
    const text = i => `${program.tasks[i].operation} ${program.tasks[i].name}`;
    this.list("waits for", task.inputs.map(i => [tasks[i], text(i)]));
    this.list("receives", (task.receives || []).map(i => [this.wayBox(d, i), program.transfers[i].value.name]));
    const users = program.tasks.map((_, i) => i).filter(i => program.tasks[i].inputs.includes(id));
    this.list("needed by", users.map(i => [tasks[i], text(i)]));
    const sent = program.transfers.map((_, i) => i).filter(i => program.transfers[i].source === id);
    this.list("sent", sent.map(i => [this.wayBox(d, i), `to stage ${program.transfers[i].to_stage}`]));
    if (task.parameters) {
      this.panel.append(element("h2", `parameters (${task.parameters.length})`));
      this.panel.append(element("ul", "", ...task.parameters.map(name => element("li", name))));
    }
  }

  wayBox(d, transfer) {
    return this.scene.replicas[d].replica.children.find(
        box => box.kind === "transfer" && box.facts.transfers.includes(transfer));
  }

  transfer(box) {
    const {d, from, to, transfers} = box.facts, {program, tasks} = this.scene.replicas[d], {layout} = this.graph;
    this.title(`Send and receive: stage ${from} to ${to}`, `replica ${d}, ${microbatchesText(program)}`);
    for (const i of transfers) {
      const transfer = program.transfers[i];
      this.panel.append(element("h2", "value"), element("code", transfer.value.name));
      const rows = [];
      for (let t = 0; t < layout.t; ++t) {
        const shape = transfer.value.local_shapes[transfer.value.local_shapes.length > 1 ? t : 0].join("x");
        rows.push([
          `${rankOf(layout, d, layout.stages[from].position, t)} to ${
              rankOf(layout, d, layout.stages[to].position, t)}`,
          `${transfer.value.dtype} ${shape}, ${bytesText(byRank(transfer.bytes, t))}`
        ]);
      }
      rows.push(
          ["channel", transfer.channel], ["id", element("code", idText(transfer.phase, 0, from, d, 0, transfer.n))]);
      this.table(rows);
      if (transfer.source >= 0) this.list("made by", [[tasks[transfer.source], program.tasks[transfer.source].name]]);
    }
  }

  sums() {
    const {program, tasks} = this.scene.replicas[0];
    this.title(
        "Gradient all-reduce", "Every bucket of gradients is summed over the replicas as soon as it is complete.");
    const sums = program.tasks.map((_, i) => i).filter(i => program.tasks[i].group === "d");
    this.list(
        "buckets of replica 0",
        sums.map(
            i =>
                [tasks[i],
                 `stage ${program.tasks[i].stage}: ${program.tasks[i].parameters.length} parameters, ${
                     perRankText(program.tasks[i].bytes, bytesText)}`]));
  }

  container(box) {
    const {layout, model} = this.graph;
    this.title(box.label, box.lines.join("; "));
    const {total} = box;
    const rows = [
      ["tasks", `${total.tasks} of a microbatch`],
      ["per step", `${scaled(total.flops, "FLOP")}, ${bytesText(total.bytes)}`],
      ...Object.entries(total.kinds).map(([kind, bytes]) => [KINDS[kind], bytesText(bytes)])
    ];
    if (box.kind === "model") {
      rows.unshift(
          ["layout", `d=${layout.d} p=${layout.p} t=${layout.t}, ${counted(layout.d * layout.p * layout.t, "rank")}`],
          ["schedule", layout.schedule], ["tensor mode", layout.tensor_mode],
          ["parameters", model.parameters.toLocaleString("en")]);
    }
    if (box.kind === "stage") rows.push(["runs on", this.ranks(box.facts.d, layout.stages[box.facts.stage].position)]);
    this.table(rows);
    if (box.kind === "stage") {
      this.panel.append(
          element("h2", "order of its passes"),
          element("code", layout.actions[layout.stages[box.facts.stage].position].join(" ")));
    }
    if (box.kind === "model")
      for (const note of this.graph.notes) this.panel.append(element("p", note));
    this.list(
        "inside",
        box.children.map(child => [child, child.kind === "task" ? `${child.label} ${child.lines[0]}` : child.label]));
  }

  results(words, boxes) {
    this.panel.replaceChildren();
    this.title(`${boxes.length} found`, words);
    this.list(
        "boxes",
        boxes.slice(0, 300).map(
            box =>
                [box,
                 box.kind === "task" ? `${box.label} ${box.lines[0]} (d${box.facts.d})` :
                                       `${box.label} ${box.lines[0] || ""}`]));
  }
}
