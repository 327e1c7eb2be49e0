#include "launch/hardware_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "launch/options/nearest.h"
#include "launch/options/toml_file.h"
#include "launch/options/usage_error.h"
#include "parallel/cost/topology.h"

namespace dml {
namespace {

constexpr double kMicro = 1e-6;
constexpr double kGiga = 1e9;
constexpr int kMostRanks = 1 << 24;
constexpr std::string_view kCalibrated = "calibrated";

/// A table of the file, read key by key.
class Section {
 public:
  /// Throws UsageError where a key is not among `keys`.
  Section(const toml::table& table, const std::string& file, std::span<const std::string_view> keys)
      : table_(table), file_(file) {
    for (const auto& [key, node] : table) {
      if (std::find(keys.begin(), keys.end(), key.str()) == keys.end())
        fail(node, fmt::format("unknown key '{}'{}", key.str(), did_you_mean(key.str(), keys)));
    }
  }

  bool has(std::string_view key) const { return table_.contains(key); }

  void read(std::string_view key, double unit, double& number) const {
    if (const toml::node* node = table_.get(key)) number = unit * real(*node, key);
  }

  void read(std::string_view key, int& number) const {
    const toml::node* node = table_.get(key);
    if (node == nullptr) return;
    const auto* whole = node->as_integer();
    if (whole == nullptr || whole->get() < 0 || whole->get() > std::numeric_limits<int>::max())
      fail(*node, fmt::format("{} should be a whole number from 0 on", key));
    number = static_cast<int>(whole->get());
  }

  void read(std::string_view key, std::string& text) const {
    const toml::node* node = table_.get(key);
    if (node == nullptr) return;
    if (!node->is_string()) fail(*node, fmt::format("{} should be a text", key));
    text = node->as_string()->get();
  }

  std::string required_text(std::string_view key) const {
    require(key);
    std::string text;
    read(key, text);
    return text;
  }

  /// An empty list where the key is absent.
  std::vector<double> numbers(std::string_view key, double unit) const {
    const toml::node* node = table_.get(key);
    return node == nullptr ? std::vector<double>{} : list(*node, key, unit);
  }

  std::vector<double> required_numbers(std::string_view key, double unit) const {
    require(key);
    return numbers(key, unit);
  }

  /// A list of lists.
  std::vector<std::vector<double>> required_axes(std::string_view key) const {
    require(key);
    std::vector<std::vector<double>> axes;
    for (const toml::node& element : elements(*table_.get(key), key)) axes.push_back(list(element, key, 1));
    return axes;
  }

  /// Whole numbers from 0 on that ranks are counted by.
  std::vector<int> required_ranks(std::string_view key) const {
    std::vector<int> ranks;
    for (const double number : required_numbers(key, 1)) {
      if (number < 0 || number > kMostRanks || number != std::floor(number))
        fail(*table_.get(key), fmt::format("{} should be whole numbers from 0 to {}", key, kMostRanks));
      ranks.push_back(static_cast<int>(number));
    }
    return ranks;
  }

  /// The tables of [[key]], each with these keys.
  std::vector<Section> sections(std::string_view key, std::span<const std::string_view> keys) const {
    std::vector<Section> all;
    const toml::node* node = table_.get(key);
    if (node == nullptr) return all;
    for (const toml::node& element : elements(*node, key)) all.push_back(section(element, key, keys));
    return all;
  }

  std::optional<Section> find_section(std::string_view key, std::span<const std::string_view> keys) const {
    const toml::node* node = table_.get(key);
    return node == nullptr ? std::nullopt : std::optional(section(*node, key, keys));
  }

  /// What `check` throws, with the place of this table.
  template <typename Check>
  void checked(Check check) const {
    try {
      check();
    } catch (const std::invalid_argument& error) {
      fail(table_, error.what());
    }
  }

 private:
  [[noreturn]] void fail(const toml::node& node, std::string_view what) const {
    throw UsageError(fmt::format("{} line {}: {}", file_, node.source().begin.line, what));
  }

  void require(std::string_view key) const {
    if (!has(key)) fail(table_, fmt::format("{} is missing", key));
  }

  double real(const toml::node& node, std::string_view key) const {
    const std::optional<double> number = node.value<double>();
    if (!node.is_number() || !number || !std::isfinite(*number)) fail(node, fmt::format("{} should be a number", key));
    return *number;
  }

  const toml::array& elements(const toml::node& node, std::string_view key) const {
    if (!node.is_array()) fail(node, fmt::format("{} should be a list", key));
    return *node.as_array();
  }

  std::vector<double> list(const toml::node& node, std::string_view key, double unit) const {
    std::vector<double> numbers;
    for (const toml::node& element : elements(node, key)) numbers.push_back(unit * real(element, key));
    return numbers;
  }

  Section section(const toml::node& node, std::string_view key, std::span<const std::string_view> keys) const {
    if (!node.is_table()) fail(node, fmt::format("{} should be a table", key));
    return {*node.as_table(), file_, keys};
  }

  const toml::table& table_;
  const std::string& file_;
};

constexpr std::string_view kKeys[] = {"name",      "base",           "launch_us",        "dispatch_us", "step_us",
                                      "memory_gb", "cores_per_host", "ranks_per_host",   "peaks",       "level",
                                      "kernel",    "comm",           "device",           "ranks",       "link",
                                      "topology",  "host_gb_per_s",  "overlap_slowdown", "disturbance"};
constexpr std::string_view kPeakKeys[] = {"f32_gflops",   "f16_gflops",      "efficiency",       "sizes_gflop",
                                          "efficiencies", "memory_gb_per_s", "memory_efficiency"};
constexpr std::string_view kLevelKeys[] = {"ranks", "latency_us", "gb_per_s", "algorithm"};
constexpr std::string_view kKernelKeys[] = {"family", "threads", "ranks", "residual", "axes", "us", "spread"};
constexpr std::string_view kCommKeys[] = {"kind", "ranks", "bytes", "us", "spread"};

constexpr std::string_view kDeviceKeys[] = {"ranks", "hardware"};
constexpr std::string_view kLinkKeys[] = {"ranks", "hosts", "latency_us", "gb_per_s"};
constexpr std::string_view kTopologyKeys[] = {"shape", "ranks", "latency_us", "gb_per_s", "oversubscription"};

/// The one of `choices` that is called so.
template <typename Choice>
Choice choice_of(const Section& section, std::string_view key, const std::string& text,
                 std::span<const Choice> choices) {
  const auto found = std::find_if(choices.begin(), choices.end(), [&](Choice c) { return name_of(c) == text; });
  section.checked([&] {
    if (found != choices.end()) return;
    std::string names;
    for (const Choice choice : choices) names += (names.empty() ? "" : ", ") + std::string(name_of(choice));
    throw std::invalid_argument(fmt::format("{} '{}' is none of {}", key, text, names));
  });
  return *found;
}

void read_peaks(const Section& section, Peaks& peaks) {
  section.read("f32_gflops", kGiga, peaks.f32_flops);
  section.read("f16_gflops", kGiga, peaks.f16_flops);
  section.read("efficiency", 1, peaks.efficiency);
  if (section.has("sizes_gflop")) peaks.sizes_flops = section.required_numbers("sizes_gflop", kGiga);
  if (section.has("efficiencies")) peaks.efficiencies = section.required_numbers("efficiencies", 1);
  section.read("memory_gb_per_s", kGiga, peaks.memory_bytes_per_s);
  section.read("memory_efficiency", 1, peaks.memory_efficiency);
}

LinkLevel read_level(const Section& section) {
  LinkLevel level;
  section.read("ranks", level.ranks);
  section.read("latency_us", kMicro, level.link.latency);
  section.read("gb_per_s", kGiga, level.link.bytes_per_s);
  if (section.has("algorithm")) {
    level.algorithm =
        choice_of<CollectiveAlgorithm>(section, "algorithm", section.required_text("algorithm"), kCollectiveAlgorithms);
  }
  return level;
}

void read_kernel(const Section& section, Hardware& hardware) {
  KernelTable kernel;
  section.read("threads", kernel.threads);
  section.read("ranks", kernel.ranks);
  section.read("residual", 1, kernel.residual);
  kernel.table = {section.required_axes("axes"), section.required_numbers("us", kMicro), section.numbers("spread", 1)};
  section.checked([&] { kernel.table.check(); });
  hardware.kernels[section.required_text("family")].push_back(std::move(kernel));
}

void read_comm(const Section& section, Hardware& hardware) {
  const CommKind kind = choice_of<CommKind>(section, "kind", section.required_text("kind"), kCommKinds);
  SizeTable& table = hardware.comm[kind];
  table = {{section.required_numbers("ranks", 1), section.required_numbers("bytes", 1)},
           section.required_numbers("us", kMicro),
           section.numbers("spread", 1)};
  section.checked([&] { table.check(); });
}

void read_topology(const Section& section, Hardware& hardware) {
  Network network;
  network.shape = choice_of<NetworkShape>(section, "shape", section.required_text("shape"), kNetworkShapes);
  if (section.has("ranks")) network.ranks = section.required_ranks("ranks");
  const std::vector<double> latencies = section.required_numbers("latency_us", kMicro);
  const std::vector<double> bandwidths = section.required_numbers("gb_per_s", kGiga);
  section.read("oversubscription", 1, network.oversubscription);
  section.checked([&] {
    if (latencies.size() != bandwidths.size())
      throw std::invalid_argument(fmt::format("latency_us has {} numbers, gb_per_s has {}: one each for a tier",
                                              latencies.size(), bandwidths.size()));
    for (std::size_t tier = 0; tier < latencies.size(); ++tier)
      network.links.push_back({latencies[tier], bandwidths[tier]});
    hardware.levels = levels_of(network);
  });
}

RankRange ranks_of_host(int host, int ranks_per_host) {
  return {host * ranks_per_host, (host + 1) * ranks_per_host - 1};
}

LinkOverride read_link(const Section& section, const Hardware& hardware) {
  LinkOverride own;
  std::vector<int> ends;
  section.checked([&] {
    if (section.has("ranks") == section.has("hosts"))
      throw std::invalid_argument("a link is between two ranks or two hosts: ranks = [0, 1], or hosts = [0, 1]");
    ends = section.required_ranks(section.has("ranks") ? "ranks" : "hosts");
    if (ends.size() != 2) throw std::invalid_argument(fmt::format("a link has 2 ends, not {}", ends.size()));
    if (section.has("ranks") && ends[0] == ends[1])
      throw std::invalid_argument(fmt::format("a link of rank {} to itself", ends[0]));
    if (section.has("hosts") && hardware.ranks_per_host == 0)
      throw std::invalid_argument("hosts are of ranks_per_host ranks, which this file does not say");
    const double ranks = (1.0 + *std::max_element(ends.begin(), ends.end())) * hardware.ranks_per_host;
    if (section.has("hosts") && ranks > kMostRanks)
      throw std::invalid_argument(fmt::format("the ranks of these hosts are beyond {}", kMostRanks));
  });
  const int size = section.has("hosts") ? hardware.ranks_per_host : 1;
  own = {ranks_of_host(ends[0], size), ranks_of_host(ends[1], size), {}};
  if (!hardware.levels.empty()) own.link = hardware.levels.back().link;
  section.read("latency_us", kMicro, own.link.latency);
  section.read("gb_per_s", kGiga, own.link.bytes_per_s);
  return own;
}

/// `is_other`: of devices among those of another machine.
Hardware find(const std::string& named, bool is_other);

OtherDevices read_device(const Section& section) {
  const std::vector<int> ranks = section.required_ranks("ranks");
  const std::string hardware = section.required_text("hardware");
  auto kind = std::make_shared<Hardware>();
  section.checked([&] {
    if (ranks.size() != 2) throw std::invalid_argument("ranks should be the first and the last one: [0, 3]");
    try {
      *kind = find(hardware, true);
    } catch (const UsageError& error) {
      throw std::invalid_argument(error.what());  // with its place in this file
    }
  });
  return {ranks.front(), ranks.back(), std::move(kind)};
}

Hardware read(const Section& file, bool is_other) {
  Hardware hardware;
  file.checked([&] {
    if (is_other && file.has("device"))
      throw std::invalid_argument("a [[device]] is of one kind: its hardware has none of its own");
  });
  if (file.has("base")) file.checked([&] { hardware = hardware_preset(file.required_text("base")); });
  hardware.name = file.required_text("name");
  file.read("launch_us", kMicro, hardware.launch_seconds);
  file.read("dispatch_us", kMicro, hardware.dispatch_seconds);
  file.read("step_us", kMicro, hardware.step_seconds);
  file.read("disturbance", 1, hardware.disturbance);
  file.read("memory_gb", kGiga, hardware.memory_bytes);
  file.read("cores_per_host", hardware.cores_per_host);
  file.read("ranks_per_host", hardware.ranks_per_host);
  file.read("host_gb_per_s", kGiga, hardware.host_bytes_per_s);
  file.read("overlap_slowdown", 1, hardware.overlap_slowdown);
  file.read("ranks", hardware.ranks);
  if (const auto peaks = file.find_section("peaks", kPeakKeys)) read_peaks(*peaks, hardware.peaks);
  if (file.has("level")) hardware.levels.clear();
  for (const Section& level : file.sections("level", kLevelKeys)) hardware.levels.push_back(read_level(level));
  if (const auto topology = file.find_section("topology", kTopologyKeys)) {
    file.checked([&] {
      if (file.has("level")) throw std::invalid_argument("a file has a [topology] or [[level]], not both");
    });
    read_topology(*topology, hardware);
  }
  for (const Section& link : file.sections("link", kLinkKeys)) hardware.links.push_back(read_link(link, hardware));
  for (const Section& kernel : file.sections("kernel", kKernelKeys)) read_kernel(kernel, hardware);
  for (const Section& comm : file.sections("comm", kCommKeys)) read_comm(comm, hardware);
  for (const Section& device : file.sections("device", kDeviceKeys)) hardware.others.push_back(read_device(device));
  file.checked([&] { hardware.check(); });
  return hardware;
}

std::string number(double value) { return fmt::format("{:.4g}", value); }

std::string numbers(std::span<const double> values, double unit) {
  std::string text;
  for (const double value : values) text += (text.empty() ? "" : ", ") + number(value / unit);
  return "[" + text + "]";
}

/// Sizes are counts: whole, and all digits matter.
std::string sizes(std::span<const double> values) { return fmt::format("[{}]", fmt::join(values, ", ")); }

std::string written(const LinkLevel& level) {
  return fmt::format("\n[[level]]\nranks = {}\nlatency_us = {}\ngb_per_s = {}\nalgorithm = \"{}\"\n", level.ranks,
                     number(level.link.latency / kMicro), number(level.link.bytes_per_s / kGiga),
                     name_of(level.algorithm));
}

std::string measured(const SizeTable& table) {
  std::string text = fmt::format("us = {}\n", numbers(table.seconds, kMicro));
  if (!table.spread.empty()) text += fmt::format("spread = {}\n", numbers(table.spread, 1));
  return text;
}

std::string written(const std::string& family, const KernelTable& kernel) {
  std::vector<std::string> axes;
  for (const std::vector<double>& axis : kernel.table.axes) axes.push_back(sizes(axis));
  return fmt::format("\n[[kernel]]\nfamily = \"{}\"\nthreads = {}\nranks = {}\nresidual = {}\naxes = [{}]\n{}", family,
                     kernel.threads, kernel.ranks, number(kernel.residual), fmt::join(axes, ", "),
                     measured(kernel.table));
}

std::string written(CommKind kind, const SizeTable& table) {
  return fmt::format("\n[[comm]]\nkind = \"{}\"\nranks = {}\nbytes = {}\n{}", name_of(kind), sizes(table.axes[0]),
                     sizes(table.axes[1]), measured(table));
}

/// What a machine may have none of.
std::string written_unless_none(std::string_view key, double value) {
  return value == 0 ? "" : fmt::format("{} = {}\n", key, number(value));
}

std::string written(const Peaks& peaks) {
  std::string text =
      fmt::format("\n[peaks]\nf32_gflops = {}\nf16_gflops = {}\nefficiency = {}\n", number(peaks.f32_flops / kGiga),
                  number(peaks.f16_flops / kGiga), number(peaks.efficiency));
  if (!peaks.sizes_flops.empty()) {
    text += fmt::format("sizes_gflop = {}\nefficiencies = {}\n", numbers(peaks.sizes_flops, kGiga),
                        numbers(peaks.efficiencies, 1));
  }
  return text + fmt::format("memory_gb_per_s = {}\nmemory_efficiency = {}\n", number(peaks.memory_bytes_per_s / kGiga),
                            number(peaks.memory_efficiency));
}

std::string head_of(const Hardware& hardware) {
  return fmt::format("# A machine as the simulator sees it; dmltrain help hardware\nname = \"{}\"\nlaunch_us = {}\n",
                     hardware.name, number(hardware.launch_seconds / kMicro)) +
         written_unless_none("dispatch_us", hardware.dispatch_seconds / kMicro) +
         written_unless_none("step_us", hardware.step_seconds / kMicro) +
         written_unless_none("disturbance", hardware.disturbance) +
         fmt::format("memory_gb = {}\ncores_per_host = {}\nranks_per_host = {}\n",
                     number(hardware.memory_bytes / kGiga), hardware.cores_per_host, hardware.ranks_per_host) +
         written(hardware.peaks);
}

std::string text_of_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    throw UsageError(fmt::format(
        "--hardware {}: no such file, or it is empty: `dmltrain calibrate` measures this machine; the presets are {}",
        path, fmt::join(hardware_preset_names(), ", ")));
  }
  return text.str();
}

Hardware parse(const std::string& text, const std::string& name, bool is_other) {
  const toml::table table = parse_toml(text, name);
  return read(Section(table, name, kKeys), is_other);
}

Hardware find(const std::string& named, bool is_other) {
  const std::span<const std::string_view> presets = hardware_preset_names();
  if (std::find(presets.begin(), presets.end(), named) != presets.end()) return hardware_preset(named);
  std::string path = named;
  if (named == kCalibrated) path = kCalibrationFile;
  if (named.starts_with(fmt::format("{}:", kCalibrated))) path = named.substr(kCalibrated.size() + 1);
  return parse(text_of_file(path), path, is_other);
}

}  // namespace

Hardware find_hardware(const std::string& named) { return find(named, false); }

Hardware parse_hardware(const std::string& text, const std::string& name) { return parse(text, name, false); }

std::string write_hardware(const Hardware& hardware) {
  std::string text = head_of(hardware);
  for (const LinkLevel& level : hardware.levels) text += written(level);
  for (const auto& [kind, table] : hardware.comm) text += written(kind, table);
  for (const auto& [family, kernels] : hardware.kernels) {
    for (const KernelTable& kernel : kernels) text += written(family, kernel);
  }
  return text;
}

}  // namespace dml
