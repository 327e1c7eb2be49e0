// Everything that a training run is told, in one value. launch/ fills it from command line, file and defaults.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "parallel/techniques/techniques.h"

namespace dml {

enum class TensorMode : std::uint8_t { automatic, gather, megatron };
enum class OptimizerKind : std::uint8_t { sgd, adam, adamw };
enum class RateSchedule : std::uint8_t { constant, cosine, linear };

struct ModelConfig {
  std::string source;                        ///< an ONNX file, or a built-in model such as "gpt:layers=4,width=128"
  std::map<std::string, std::int64_t> dims;  ///< --dim NAME=N
  std::string loss = "auto";                 ///< auto, cross_entropy, mse
  std::vector<std::string> train, freeze;    ///< globs over initializer names
  std::vector<std::pair<std::string, std::string>> tie;  ///< --tie A=B: B is trained as A
  std::vector<std::string> untie;                        ///< --untie NAME: each use becomes a parameter of its own
  std::string shards;                                    ///< folder of rank_{r}.onnx files, or empty
};

struct DataConfig {
  std::string source;        ///< "text:FILE", "FILE.bin", "FILE.safetensors", IDX or CIFAR files, "builtin:text", ...
  std::string validation;    ///< the same, or empty: the last 10 %
  std::int64_t batch = 0;    ///< global, in samples; 0: what given batches hold, else 16
  std::int64_t samples = 0;  ///< at most so many are used; 0: all
  bool shuffle = true;
};

struct LayoutConfig {
  std::string plan;  ///< "auto" or "auto:HARDWARE": launch/ searches for the layout, and fills the rest in
  int ranks = 0;     ///< that a planned layout is for; 0: the launcher's, or d·p·t
  int d = 0;         ///< 0: world / (p·t) under a launcher, else 1
  int p = 1;
  int t = 1;
  std::string order = "dpt";
  /// A name, or "file:F": passes in the grammar of PyTorch's schedules. Of a layout that is to be planned empty: any.
  std::string schedule = "1f1b";
  int chunks = 0;        ///< stages per pipeline position; 0: as the schedule has them
  int microbatches = 0;  ///< per replica and step; 0: 1 if p = 1, else min(2p, B/d)
  TensorMode tensor_mode = TensorMode::automatic;
  std::vector<std::string> cut;         ///< nodes after which a stage ends; empty: by cost
  std::int64_t bucket_bytes = 4 << 20;  ///< of the gradient all-reduce
  Techniques techniques;                ///< drawn, simulated and planned; training has none yet
};

/// --shape-link: messages over some links take longer than they do.
struct ShapedLink {
  double latency_us = 0;
  double gbit_per_s = 0;
  char axis = 0;  ///< 'd', 'p' or 't': along this axis; 0: between hosts
};

struct OptimizerConfig {
  OptimizerKind kind = OptimizerKind::adamw;
  double learning_rate = 1e-3;
  double momentum = 0;
  bool nesterov = false;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  std::optional<double> weight_decay;  ///< absent: 0.01 for AdamW, else 0
  std::vector<std::string> no_decay;   ///< globs
  double clip = 0;                     ///< maximum gradient norm; 0: none
  RateSchedule schedule = RateSchedule::constant;
  std::int64_t warmup_steps = 0;
  double min_learning_rate = 0;

  /// f32 values kept for each weight: the moments of Adam, the momentum of SGD.
  int num_states() const { return kind != OptimizerKind::sgd ? 2 : momentum != 0 ? 1 : 0; }
};

struct Config {
  ModelConfig model;
  DataConfig data;
  LayoutConfig layout;
  OptimizerConfig optimizer;
  std::int64_t steps = 0;  ///< 0: by epochs
  double epochs = 0;
  std::int64_t val_every = 0;
  std::uint64_t seed = 0;
  int threads = 0;                  ///< per rank; 0: usable cores / ranks on the node
  std::string device = "auto";      ///< auto, cpu, cuda
  bool cuda_graph = false;          ///< a GPU's steps are recorded once, then replayed
  bool tf32 = false;                ///< products of f32 on GPUs may round their operands to TF32
  std::string comm = "auto";        ///< auto, thread, mpi
  std::string collectives = "own";  ///< own, library
  int gather_parts = 0;             ///< of an all-gather behind a product on GPUs; 0: by size
  std::optional<ShapedLink> shaped_link;
  double deadline_s = 300;
  std::int64_t checkpoint_every = 0;  ///< steps; 0: only where a signal ends the run
  std::string resume;                 ///< a checkpoint, a folder that has some, "auto": those of `run`; or empty
  std::string run;                    ///< folder; empty: runs/<time stamp>
  std::string save;                   ///< ONNX file of the trained model, or empty
  std::string dump;                   ///< safetensors file, or empty
  std::string isa;                    ///< "", "portable", "avx2", "avx512": cap of the instruction set
};

}  // namespace dml
