// The rows, group by group, in the order of --help.
#include "launch/options/option_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "launch/options/option_makers.h"
#include "launch/options/usage_error.h"
#include "parallel/pipeline/schedule.h"

namespace dml {
namespace {

constexpr double kHuge = std::numeric_limits<double>::max();
/// Of a rank: the system ends a program that asks for very many.
constexpr std::int64_t kMostThreads = 4096;

using Table = std::vector<OptionSpec>;

OptionSpec row(std::string_view group, std::string_view name, std::string_view value, std::string_view help,
               std::string_view otherwise = "") {
  OptionSpec spec;
  spec.group = group;
  spec.name = name;
  spec.value = value;
  spec.help = help;
  spec.otherwise = otherwise;
  return spec;
}

std::string trainable_names() {
  std::string names;
  for (const ScheduleDef* schedule : trainable_schedules())
    names += fmt::format("{}{}", names.empty() ? "" : ", ", schedule->name);
  return names;
}

/// The name of a schedule, or file:F.
OptionSpec schedule_option(OptionSpec spec) {
  for (const ScheduleDef& schedule : all_schedules()) spec.choices.emplace_back(schedule.name);
  spec.set = [](Config& c, std::span<const std::string> values) {
    if (!values.back().starts_with("file:")) {
      std::vector<std::string_view> names;
      for (const ScheduleDef& schedule : all_schedules()) names.push_back(schedule.name);
      parse_choice(values.back(), names);
    }
    c.layout.schedule = values.back();
  };
  spec.get = [](const Config& c) { return std::vector<std::string>{c.layout.schedule}; };
  return spec;
}

/// NAME=N pairs of Config::model.dims.
OptionSpec dim_option(OptionSpec spec) {
  spec.kind = OptionKind::list;
  spec.set = [](Config& c, std::span<const std::string> values) {
    c.model.dims.clear();
    for (const std::string& value : values) {
      const auto [name, extent] = parse_pair(value);
      c.model.dims[name] = parse_integer(extent, 1, std::numeric_limits<std::int64_t>::max());
    }
  };
  spec.get = [](const Config& c) {
    std::vector<std::string> texts;
    texts.reserve(c.model.dims.size());
    for (const auto& [name, extent] : c.model.dims) texts.push_back(fmt::format("{}={}", name, extent));
    return texts;
  };
  return spec;
}

/// A=B pairs of Config::model.tie.
OptionSpec tie_option(OptionSpec spec) {
  spec.kind = OptionKind::list;
  spec.set = [](Config& c, std::span<const std::string> values) {
    c.model.tie.clear();
    for (const std::string& value : values) c.model.tie.push_back(parse_pair(value));
  };
  spec.get = [](const Config& c) {
    std::vector<std::string> texts;
    texts.reserve(c.model.tie.size());
    for (const auto& [a, b] : c.model.tie) texts.push_back(fmt::format("{}={}", a, b));
    return texts;
  };
  return spec;
}

/// Node names; one text may hold several, separated by commas.
OptionSpec cut_option(OptionSpec spec) {
  spec.kind = OptionKind::list;
  spec.set = [](Config& c, std::span<const std::string> values) {
    c.layout.cut.clear();
    for (const std::string& value : values) {
      for (std::size_t begin = 0, comma = 0; comma != std::string::npos; begin = comma + 1) {
        comma = value.find(',', begin);
        const std::string node = value.substr(begin, comma - begin);
        if (node.empty()) throw UsageError(fmt::format("'{}' has an empty node name", value));
        c.layout.cut.push_back(node);
      }
    }
  };
  spec.get = [](const Config& c) { return c.layout.cut; };
  return spec;
}

/// Megabytes of 2^20 bytes on the outside, bytes in Config.
OptionSpec bucket_option(OptionSpec spec) {
  constexpr double kMegabyte = 1 << 20;
  spec.kind = OptionKind::number;
  spec.set = [](Config& c, std::span<const std::string> values) {
    c.layout.bucket_bytes = static_cast<std::int64_t>(parse_real(values.back(), 0.001, 1e6) * kMegabyte);
  };
  spec.get = [](const Config& c) {
    return std::vector<std::string>{write_real(static_cast<double>(c.layout.bucket_bytes) / kMegabyte)};
  };
  return spec;
}

/// A permutation of the letters d, p, t.
OptionSpec order_option(OptionSpec spec) {
  return name_option(std::move(spec), {"dpt", "dtp", "pdt", "ptd", "tdp", "tpd"}, false,
                     [](auto& c) -> auto& { return c.layout.order; });
}

/// "auto" is the kind's own default.
OptionSpec weight_decay_option(OptionSpec spec) {
  spec.kind = OptionKind::number;
  spec.set = [](Config& c, std::span<const std::string> values) {
    c.optimizer.weight_decay.reset();
    if (values.back() != kAuto) c.optimizer.weight_decay = parse_real(values.back(), 0, kHuge);
  };
  spec.get = [](const Config& c) {
    const auto& decay = c.optimizer.weight_decay;
    return std::vector<std::string>{decay ? write_real(*decay) : std::string(kAuto)};
  };
  return spec;
}

/// Of steps and epochs one is in force, the one that was given last; the other is 0 and is not written.
template <typename Number>
OptionSpec length_option(OptionSpec spec, Number Config::*mine, void (*clear_other)(Config&)) {
  const auto set = spec.set;
  const auto get = spec.get;
  spec.set = [set, clear_other](Config& c, std::span<const std::string> values) {
    set(c, values);
    clear_other(c);
  };
  spec.get = [get, mine](const Config& c) { return c.*mine == 0 ? std::vector<std::string>{} : get(c); };
  return spec;
}

void add_model(Table& table) {
  constexpr std::string_view kGroup = "Model";
  table.push_back(
      text_option(row(kGroup, "model", "FILE|NAME",
                      "ONNX file, or a built-in model: gpt:layers=4,width=128, mlp:..., resnet18, gpt2-124m"),
                  [](auto& c) -> auto& { return c.model.source; }));
  table.push_back(dim_option(row(kGroup, "dim", "NAME=N", "binds a symbolic dimension of the file (repeatable)")));
  table.push_back(
      name_option(row(kGroup, "loss", "NAME", "auto: the graph's own, else cross_entropy for integer labels, else mse"),
                  {"auto", "cross_entropy", "mse"}, false, [](auto& c) -> auto& { return c.model.loss; }));
  table.push_back(list_option(row(kGroup, "train", "GLOB", "trains these initializers too (repeatable)"),
                              [](auto& c) -> auto& { return c.model.train; }));
  table.push_back(list_option(row(kGroup, "freeze", "GLOB", "keeps these initializers as they are (repeatable)"),
                              [](auto& c) -> auto& { return c.model.freeze; }));
  table.push_back(tie_option(
      row(kGroup, "tie", "A=B", "trains B as the same weight as A, transposed where the shapes say so (repeatable)")));
  table.push_back(
      list_option(row(kGroup, "untie", "NAME", "makes each use of this weight a weight of its own (repeatable)"),
                  [](auto& c) -> auto& { return c.model.untie; }));
  table.push_back(
      text_option(row(kGroup, "shards", "DIR", "trains from the rank_*.onnx files of `dmltrain model partition`"),
                  [](auto& c) -> auto& { return c.model.shards; }));
}

void add_data(Table& table) {
  constexpr std::string_view kGroup = "Data";
  table.push_back(text_option(row(kGroup, "data", "SOURCE",
                                  "text:FILE, FILE.bin, FILE.safetensors, MNIST or CIFAR files, builtin:text, "
                                  "builtin:digits (dmltrain help data)"),
                              [](auto& c) -> auto& { return c.data.source; }));
  table.push_back(text_option(row(kGroup, "val", "SOURCE", "validates on this", "the last 10 % of the data"),
                              [](auto& c) -> auto& { return c.data.validation; }));
  table.push_back(integer_option(row(kGroup, "batch", "B", "samples of one update, over all replicas",
                                     "what the data's own batches hold, else 16"),
                                 1, true, [](auto& c) -> auto& { return c.data.batch; }));
  table.push_back(integer_option(row(kGroup, "samples", "N", "uses at most so many samples", "all"), 1, true,
                                 [](auto& c) -> auto& { return c.data.samples; }));
  table.push_back(flag_option(row(kGroup, "no-shuffle", "", "takes the samples in the order of the file"), true,
                              [](auto& c) -> auto& { return c.data.shuffle; }));
  table.push_back(length_option(
      real_option(row(kGroup, "epochs", "E", "length of the run in passes over the data", "1, without --steps"), 1e-9,
                  1e9, [](auto& c) -> auto& { return c.epochs; }),
      &Config::epochs, [](Config& c) { c.steps = 0; }));
  table.push_back(length_option(integer_option(row(kGroup, "steps", "N", "length of the run in updates", "by --epochs"),
                                               1, false, [](auto& c) -> auto& { return c.steps; }),
                                &Config::steps, [](Config& c) { c.epochs = 0; }));
  table.push_back(integer_option(row(kGroup, "val-every", "N", "validates after every N steps", "never"), 1, true,
                                 [](auto& c) -> auto& { return c.val_every; }));
}

/// "f32" or "bf16".
OptionSpec dtype_option(OptionSpec spec) {
  static constexpr std::string_view kTypeNames[] = {"f32", "bf16"};
  spec.choices.assign(std::begin(kTypeNames), std::end(kTypeNames));
  spec.set = [](Config& c, std::span<const std::string> values) {
    constexpr DataType kTypes[] = {DataType::f32, DataType::bf16};
    c.layout.techniques.dtype = kTypes[parse_choice(values.back(), kTypeNames)];
  };
  spec.get = [](const Config& c) { return std::vector<std::string>{std::string(name_of(c.layout.techniques.dtype))}; };
  return spec;
}

OptionSpec zero_option(OptionSpec spec) {
  spec.kind = OptionKind::number;
  for (int stage = 0; stage <= Techniques::kMostZero; ++stage) spec.choices.push_back(std::to_string(stage));
  spec.set = [](Config& c, std::span<const std::string> values) {
    c.layout.techniques.zero = static_cast<int>(parse_integer(values.back(), 0, Techniques::kMostZero));
  };
  spec.get = [](const Config& c) { return std::vector<std::string>{std::to_string(c.layout.techniques.zero)}; };
  return spec;
}

void add_techniques(Table& table) {
  constexpr std::string_view kGroup = "Layout";
  table.push_back(enum_option(row(kGroup, "recompute", "WHAT",
                                  "none, attention or full: computed again for the backward pass (no training yet)"),
                              {"none", "attention", "full"},
                              [](auto& c) -> auto& { return c.layout.techniques.recompute; }));
  table.push_back(flag_option(
      row(kGroup, "sequence-parallel", "", "tensor ranks share what lies between divided operations (no training yet)"),
      false, [](auto& c) -> auto& { return c.layout.techniques.sequence_parallel; }));
  table.push_back(zero_option(
      row(kGroup, "zero", "STAGE", "0 to 3: replicas share optimizer states, gradients, weights (no training yet)")));
  table.push_back(
      dtype_option(row(kGroup, "dtype", "TYPE", "f32, or bf16 with f32 sums and states (no training yet)")));
}

void add_planned_layout(Table& table) {
  constexpr std::string_view kGroup = "Planned layout";
  table.push_back(text_option(row(kGroup, "plan", "auto[:HARDWARE]",
                                  "trains in the layout that plan finds best for the ranks", "as it is given"),
                              [](auto& c) -> auto& { return c.layout.plan; }));
  table.push_back(integer_option(
      row(kGroup, "ranks", "N", "that --plan auto divides the training over", "the launcher's, or d·p·t"), 1, true,
      [](auto& c) -> auto& { return c.layout.ranks; }));
}

void add_layout(Table& table) {
  constexpr std::string_view kGroup = "Layout";
  table.push_back(integer_option(
      row(kGroup, "d", "N", "replicas: each takes its part of the batch", "ranks/(p·t) under a launcher, else 1"), 1,
      true, [](auto& c) -> auto& { return c.layout.d; }));
  table.push_back(integer_option(row(kGroup, "p", "N", "pipeline stages: each holds some of the layers"), 1, false,
                                 [](auto& c) -> auto& { return c.layout.p; }));
  table.push_back(integer_option(row(kGroup, "t", "N", "tensor shards: each holds a part of every split matrix"), 1,
                                 false, [](auto& c) -> auto& { return c.layout.t; }));
  table.push_back(order_option(
      row(kGroup, "order", "ORDER", "axes from the slowest to the fastest rank: dpt puts t side by side")));
  table.push_back(schedule_option(
      row(kGroup, "schedule", "NAME",
          fmt::format("order of microbatches in the pipeline: {}, or file:F (see help simulate)", trainable_names()))));
  table.push_back(integer_option(row(kGroup, "chunks", "V", "stages per pipeline position", "as the schedule has them"),
                                 1, true, [](auto& c) -> auto& { return c.layout.chunks; }));
  table.push_back(integer_option(
      row(kGroup, "microbatches", "M", "parts of a replica's samples that follow each other through the pipeline",
          "1 if p = 1, else min(2p, B/d)"),
      1, true, [](auto& c) -> auto& { return c.layout.microbatches; }));
  table.push_back(enum_option(row(kGroup, "tensor-mode", "MODE", "auto (fewer bytes), gather or megatron"),
                              {"auto", "gather", "megatron"}, [](auto& c) -> auto& { return c.layout.tensor_mode; }));
  table.push_back(cut_option(row(kGroup, "cut", "NODE,NODE", "nodes after which a stage ends", "by cost")));
  add_techniques(table);
  table.push_back(bucket_option(row(kGroup, "bucket-mb", "MB", "size of a bucket of the gradient all-reduce")));
}

void add_optimizer(Table& table) {
  constexpr std::string_view kGroup = "Optimizer";
  const auto real = [&](std::string_view name, std::string_view value, std::string_view help, double most, auto access,
                        std::string_view otherwise = "") {
    table.push_back(real_option(row(kGroup, name, value, help, otherwise), 0, most, access));
  };
  table.push_back(enum_option(row(kGroup, "optimizer", "NAME", "sgd, adam or adamw, as PyTorch defines them"),
                              {"sgd", "adam", "adamw"}, [](auto& c) -> auto& { return c.optimizer.kind; }));
  real("lr", "RATE", "learning rate, at its highest", kHuge,
       [](auto& c) -> auto& { return c.optimizer.learning_rate; });
  real("momentum", "M", "of the velocity, for sgd", 1, [](auto& c) -> auto& { return c.optimizer.momentum; });
  table.push_back(flag_option(row(kGroup, "nesterov", "", "looks ahead along the velocity, for sgd"), false,
                              [](auto& c) -> auto& { return c.optimizer.nesterov; }));
  real("beta1", "B", "decay of the mean gradient, for adam and adamw", 1,
       [](auto& c) -> auto& { return c.optimizer.beta1; });
  real("beta2", "B", "decay of the mean square, for adam and adamw", 1,
       [](auto& c) -> auto& { return c.optimizer.beta2; });
  real("eps", "E", "added to the root of the mean square", 1, [](auto& c) -> auto& { return c.optimizer.epsilon; });
  table.push_back(
      weight_decay_option(row(kGroup, "weight-decay", "W", "pulls every weight towards 0", "0.01 for adamw, else 0")));
  table.push_back(list_option(row(kGroup, "no-decay", "GLOB", "weights without decay (repeatable)"),
                              [](auto& c) -> auto& { return c.optimizer.no_decay; }));
  real(
      "clip", "NORM", "scales the gradients down to this norm", kHuge,
      [](auto& c) -> auto& { return c.optimizer.clip; }, "0: never");
  table.push_back(enum_option(row(kGroup, "lr-schedule", "NAME", "after the warm-up: constant, cosine or linear"),
                              {"constant", "cosine", "linear"}, [](auto& c) -> auto& { return c.optimizer.schedule; }));
  table.push_back(integer_option(row(kGroup, "warmup", "N", "steps in which the rate rises to --lr"), 0, false,
                                 [](auto& c) -> auto& { return c.optimizer.warmup_steps; }));
  real("min-lr", "RATE", "rate at the end of cosine and linear", kHuge,
       [](auto& c) -> auto& { return c.optimizer.min_learning_rate; });
}

void add_run(Table& table) {
  constexpr std::string_view kGroup = "Run";
  table.push_back(
      integer_option(row(kGroup, "seed", "N", "of initial weights, data order and dropout; the layout does not matter"),
                     0, false, [](auto& c) -> auto& { return c.seed; }));
  table.push_back(integer_option(
      row(kGroup, "threads", "N", "of each rank, by OpenMP", "usable cores / ranks on the node"), 1, true,
      [](auto& c) -> auto& { return c.threads; }, kMostThreads));
  table.push_back(name_option(
      row(kGroup, "isa", "NAME", "caps the instruction set: portable, avx2 or avx512", "the best of this machine"),
      {"auto", "portable", "avx2", "avx512"}, true, [](auto& c) -> auto& { return c.isa; }));
  table.push_back(name_option(row(kGroup, "device", "NAME", "cpu or cuda; auto: GPUs where each rank can have one"),
                              {"auto", "cpu", "cuda"}, false, [](auto& c) -> auto& { return c.device; }));
  table.push_back(
      flag_option(row(kGroup, "cuda-graph", "", "records the second step on GPUs, then replays it: one call a step"),
                  false, [](auto& c) -> auto& { return c.cuda_graph; }));
  table.push_back(flag_option(row(kGroup, "tf32", "", "on GPUs, products of f32 may round their operands to TF32"),
                              false, [](auto& c) -> auto& { return c.tf32; }));
  table.push_back(text_option(row(kGroup, "run", "DIR", "folder of the run's files", "runs/ and the time"),
                              [](auto& c) -> auto& { return c.run; }));
  table.push_back(integer_option(
      row(kGroup, "checkpoint-every", "N", "saves all that it takes to go on, after every N steps and the last",
          "where SIGTERM or SIGUSR1 ends the run"),
      1, true, [](auto& c) -> auto& { return c.checkpoint_every; }));
  table.push_back(text_option(
      row(kGroup, "resume", "DIR|auto", "goes on from a checkpoint or the newest of a folder; auto: of --run, if any"),
      [](auto& c) -> auto& { return c.resume; }));
  table.push_back(text_option(row(kGroup, "save", "FILE.onnx", "writes the trained model, gathered from all ranks"),
                              [](auto& c) -> auto& { return c.save; }));
  table.push_back(
      text_option(row(kGroup, "dump", "FILE.safetensors", "writes step 0's logits and gradients and the final weights"),
                  [](auto& c) -> auto& { return c.dump; }));
}

/// "LATENCY_US,GBIT" or "LATENCY_US,GBIT:AXIS".
ShapedLink parse_shaped_link(const std::string& text) {
  const std::size_t comma = text.find(',');
  const std::size_t colon = text.find(':');
  if (comma == std::string::npos || comma > colon) {
    throw UsageError(fmt::format("'{}' is no LATENCY_US,GBIT[:AXIS] such as 50,10 or 50,10:d", text));
  }
  ShapedLink link;
  link.latency_us = parse_real(text.substr(0, comma), 0, 1e7);
  link.gbit_per_s =
      parse_real(text.substr(comma + 1, colon == std::string::npos ? colon : colon - comma - 1), 1e-6, 1e6);
  if (colon == std::string::npos) return link;
  constexpr std::string_view kAxes[] = {"d", "p", "t"};
  link.axis = kAxes[parse_choice(text.substr(colon + 1), kAxes)].front();
  return link;
}

OptionSpec shaped_link_option(OptionSpec spec) {
  spec.set = [](Config& c, std::span<const std::string> values) { c.shaped_link = parse_shaped_link(values.back()); };
  spec.get = [](const Config& c) {
    if (!c.shaped_link) return std::vector<std::string>{};
    const ShapedLink& link = *c.shaped_link;
    const std::string axis = link.axis == 0 ? "" : fmt::format(":{}", link.axis);
    return std::vector<std::string>{
        fmt::format("{},{}{}", write_real(link.latency_us), write_real(link.gbit_per_s), axis)};
  };
  return spec;
}

void add_communication(Table& table) {
  constexpr std::string_view kGroup = "Communication";
  table.push_back(name_option(
      row(kGroup, "comm", "NAME", "ranks are thread (of this process) or mpi (processes); auto: mpi under a launcher"),
      {"auto", "thread", "mpi"}, false, [](auto& c) -> auto& { return c.comm; }));
  table.push_back(name_option(row(kGroup, "collectives", "NAME", "own algorithms, or the MPI library's"),
                              {"own", "library"}, false, [](auto& c) -> auto& { return c.collectives; }));
  table.push_back(
      real_option(row(kGroup, "deadline", "SECONDS", "no wait is longer: a run that hangs ends with exit code 4"),
                  0.001, 1e6, [](auto& c) -> auto& { return c.deadline_s; }));
  table.push_back(integer_option(
      row(kGroup, "gather-parts", "N",
          "on GPUs, a product is gathered in so many parts, each while the next is computed", "1 to 4, by size"),
      1, true, [](auto& c) -> auto& { return c.gather_parts; }));
  table.push_back(shaped_link_option(row(kGroup, "shape-link", "US,GBIT[:AXIS]",
                                         "messages between hosts, or along an axis, take as long as on such a link")));
}

Table make_table() {
  Table table;
  add_model(table);
  add_data(table);
  add_planned_layout(table);
  add_layout(table);
  add_optimizer(table);
  add_run(table);
  add_communication(table);
  return table;
}

}  // namespace

std::span<const OptionSpec> option_table() {
  static const Table table = make_table();
  return table;
}

const OptionSpec* find_option(std::string_view name) {
  const auto table = option_table();
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const OptionSpec& spec) { return spec.name == name; });
  return found == table.end() ? nullptr : &*found;
}

std::vector<std::string_view> option_names() {
  std::vector<std::string_view> names;
  for (const OptionSpec& spec : option_table()) names.push_back(spec.name);
  return names;
}

}  // namespace dml
