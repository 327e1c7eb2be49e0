#include "launch/run_folder.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "launch/atomic_file.h"
#include "launch/options/config_file.h"
#include "launch/options/usage_error.h"
#include "launch/terminal/number_text.h"

namespace dml {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw IoError(fmt::format("--run {}: the folder cannot be made: {}", path.string(), error.message()));
}

/// runs/<time stamp>, with -2, -3, ... where runs began in the same second.
fs::path make_stamped_folder() {
  make_folder("runs");
  const std::time_t now = std::time(nullptr);
  const std::string stamp = fmt::format("runs/{:%Y-%m-%d_%H-%M-%S}", fmt::localtime(now));
  for (int i = 1; i < 1000; ++i) {
    fs::path path = i == 1 ? stamp : fmt::format("{}-{}", stamp, i);
    std::error_code error;
    if (fs::create_directory(path, error)) return path;
    if (error) throw IoError(fmt::format("{}: the folder cannot be made: {}", path.string(), error.message()));
  }
  throw IoError(fmt::format("{}: a thousand runs began in this second; name a folder with --run", stamp));
}

void open(std::ofstream& stream, const std::string& path) {
  stream.open(path, std::ios::app);
  if (!stream) throw IoError(fmt::format("{}: cannot be written: {}", path, std::strerror(errno)));
}

/// Steps that were made after the last checkpoint are made again.
void keep_steps_before(const std::string& path, std::int64_t first_step) {
  std::ifstream lines(path);
  if (!lines) return;
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    const Json json = Json::parse(line, nullptr, false);
    const auto step = json.is_object() ? json.find("step") : json.end();
    if (step != json.end() && step->is_number_integer() && step->get<std::int64_t>() < first_step) kept += line + "\n";
  }
  write_file(path, kept);
}

void append_line(std::ofstream& stream, std::string_view line, const std::string& path) {
  stream << line << '\n' << std::flush;
  if (!stream) throw IoError(fmt::format("{}: cannot be written: {}", path, std::strerror(errno)));
}

void add_parts(Json& json, const Breakdown& parts) {
  json["compute_ms"] = parts.compute * kMsPerSecond;
  json["core_wait_ms"] = parts.core_wait * kMsPerSecond;
  json["comm_ms"] = parts.comm * kMsPerSecond;
  json["exposed_comm_ms"] = parts.exposed_comm * kMsPerSecond;
  json["bubble_ms"] = parts.bubble * kMsPerSecond;
  json["other_ms"] = parts.other * kMsPerSecond;
}

template <typename Pairs>
Json object_of(const Pairs& pairs, double factor) {
  Json json = Json::object();
  for (const auto& [kind, number] : pairs) {
    if (factor == 1) {
      json[kind] = number;
    } else {
      json[kind] = static_cast<double>(number) * factor;
    }
  }
  return json;
}

}  // namespace

void check_run_folder(const std::string& path, bool resumes) {
  if (path.empty() || !fs::exists(path)) return;
  if (!fs::is_directory(path)) throw UsageError(fmt::format("--run {}: this is a file, not a folder", path));
  if (!resumes && fs::exists(fs::path(path) / "steps.jsonl")) {
    throw UsageError(fmt::format(
        "--run {}: this folder holds a run (steps.jsonl); name another one, remove it, or go on with --resume auto",
        path));
  }
}

RunFolder::RunFolder(const Config& config, std::int64_t first_step) : path_(config.run) {
  if (path_.empty()) {
    path_ = make_stamped_folder().string();
  } else {
    check_run_folder(path_, !config.resume.empty());
    make_folder(path_);
  }
  for (const char* name : {"steps.jsonl", "ranks.jsonl"}) keep_steps_before(file(name), first_step);
  write_file(file("config.toml"), write_config(config));
  open(steps_, file("steps.jsonl"));
  open(ranks_, file("ranks.jsonl"));
  open(log_, file("log"));
}

std::string RunFolder::file(std::string_view name) const { return (fs::path(path_) / name).string(); }

void RunFolder::append(const StepRecord& record, const std::vector<RankStep>& ranks) {
  append_line(steps_, step_json(record), file("steps.jsonl"));
  for (const RankStep& rank : ranks) append_line(ranks_, rank_json(rank), file("ranks.jsonl"));
}

void RunFolder::log(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  append_line(log_, text, file("log"));
}

std::string step_json(const StepRecord& record) {
  Json json;
  json["step"] = record.step;
  json["loss"] = record.loss;
  json["grad_norm"] = record.grad_norm;
  json["lr"] = record.learning_rate;
  json["step_ms"] = record.mean.step * kMsPerSecond;
  if (record.tokens_per_s > 0) {
    json["tokens_per_s"] = record.tokens_per_s;
  } else {
    json["samples_per_s"] = record.samples_per_s;
  }
  if (record.accuracy) json["accuracy"] = *record.accuracy;
  if (record.validation_loss) json["val_loss"] = *record.validation_loss;
  add_parts(json, record.mean);
  json["flops_per_s"] = record.flops_per_s;
  return json.dump();
}

std::string rank_json(const RankStep& rank) {
  Json json;
  json["step"] = rank.step;
  json["rank"] = rank.rank;
  json["step_ms"] = rank.parts.step * kMsPerSecond;
  add_parts(json, rank.parts);
  json["forward_ms"] = rank.forward * kMsPerSecond;
  json["backward_ms"] = rank.backward * kMsPerSecond;
  json["update_ms"] = rank.update * kMsPerSecond;
  json["comm_kind_ms"] = object_of(rank.comm_seconds, kMsPerSecond);
  json["bytes_sent"] = object_of(rank.bytes_sent, 1);
  json["bytes_received"] = object_of(rank.bytes_received, 1);
  json["resident_bytes"] = rank.resident_bytes;
  json["cpu_percent"] = rank.cpu_percent;
  return json.dump();
}

}  // namespace dml
