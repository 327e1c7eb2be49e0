#include "models/zoo/zoo.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "kernels/error.h"
#include "models/zoo/model_builder.h"
#include "models/zoo/weight_file.h"

namespace dml {
namespace {

constexpr std::int64_t kMostInMessage = std::numeric_limits<std::int32_t>::max();  ///< protobuf's own limit
constexpr std::int64_t kMostInFile = std::int64_t{1} << 30;                        ///< beyond it: external data

struct Family {
  std::string_view name;
  std::string_view description;
  std::string_view defaults;
  ZooModel (*make)(const ModelSpec& spec);
};

constexpr std::array<Family, 3> kFamilies = {{
    {"gpt", "decoder-only transformer over tokens",
     "layers=4,width=128,heads=4,seq=64,vocab=256,tied=0,bias=1,dropout=0", make_gpt},
    {"mlp", "fully connected layers with ReLU", "in=64,hidden=128x128,out=10", make_mlp},
    {"resnet18", "ResNet-18 with batch statistics", "classes=10,width=64,size=32", make_resnet18},
}};

struct Preset {
  std::string_view name;
  std::string_view description;
  std::string_view family;
  std::string_view values;
};

// GPT-2: Radford et al., 2019; the sizes of its released weights. GPT-3: Brown et al., 2020, table 2.1, with a number
// of heads that divides the width where the table's does not.
constexpr std::array<Preset, 14> kPresets = {{
    {"gpt-tiny", "for trials", "gpt", "layers=2,width=64,heads=4,seq=32"},
    {"gpt-small", "the model of the benchmarks", "gpt", "layers=4,width=256,heads=8,seq=128"},
    {"gpt2-124m", "GPT-2 small", "gpt", "layers=12,width=768,heads=12,seq=1024,vocab=50257,tied=1"},
    {"gpt2-355m", "GPT-2 medium", "gpt", "layers=24,width=1024,heads=16,seq=1024,vocab=50257,tied=1"},
    {"gpt2-774m", "GPT-2 large", "gpt", "layers=36,width=1280,heads=20,seq=1024,vocab=50257,tied=1"},
    {"gpt2-1558m", "GPT-2 XL", "gpt", "layers=48,width=1600,heads=25,seq=1024,vocab=50257,tied=1"},
    {"gpt3-125m", "GPT-3 small", "gpt", "layers=12,width=768,heads=12,seq=2048,vocab=50257,tied=1"},
    {"gpt3-350m", "GPT-3 medium", "gpt", "layers=24,width=1024,heads=16,seq=2048,vocab=50257,tied=1"},
    {"gpt3-760m", "GPT-3 large", "gpt", "layers=24,width=1536,heads=16,seq=2048,vocab=50257,tied=1"},
    {"gpt3-1.3b", "GPT-3 XL", "gpt", "layers=24,width=2048,heads=16,seq=2048,vocab=50257,tied=1"},
    {"gpt3-2.7b", "for planning", "gpt", "layers=32,width=2560,heads=32,seq=2048,vocab=50257,tied=1"},
    {"gpt3-6.7b", "for planning", "gpt", "layers=32,width=4096,heads=32,seq=2048,vocab=50257,tied=1"},
    {"gpt3-13b", "for planning", "gpt", "layers=40,width=5120,heads=40,seq=2048,vocab=50257,tied=1"},
    {"gpt3-175b", "for planning", "gpt", "layers=96,width=12288,heads=96,seq=2048,vocab=50257,tied=1"},
}};

using Values = std::map<std::string, std::string>;

std::string_view name_part(std::string_view source) { return source.substr(0, source.find(':')); }

std::string_view options_part(std::string_view source) {
  const std::size_t colon = source.find(':');
  return colon == std::string_view::npos ? std::string_view{} : source.substr(colon + 1);
}

template <typename Entries>
auto find_named(const Entries& entries, std::string_view name) -> decltype(&entries[0]) {
  const auto found =
      std::find_if(entries.begin(), entries.end(), [&](const auto& entry) { return entry.name == name; });
  return found == entries.end() ? nullptr : &*found;
}

std::string suggestion(std::string_view word, const std::vector<std::string>& known) {
  const std::string_view near = nearest(word, known);
  return near.empty() ? "" : fmt::format(" Did you mean {}?", near);
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> items;
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(','));
    text.remove_prefix(std::min(item.size() + 1, text.size()));
    items.emplace_back(item);
  }
  return items;
}

/// Sets what "key=value,key=value" says; only keys that are there already are known.
void set_values(Values& values, std::string_view source, std::string_view text) {
  for (const std::string& item : split(text)) {
    const std::size_t equals = item.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      throw ModelError(fmt::format("{}: '{}' is not key=value", source, item));
    }
    const auto found = values.find(std::string(item.substr(0, equals)));
    if (found == values.end()) {
      std::vector<std::string> keys;
      for (const auto& [key, value] : values) keys.push_back(key);
      throw ModelError(fmt::format("{}: unknown option {}. Known: {}.{}", source, item.substr(0, equals),
                                   fmt::join(keys, ", "), suggestion(item.substr(0, equals), keys)));
    }
    found->second = item.substr(equals + 1);
  }
}

Values values_of(const Family& family) {
  Values values;
  for (const std::string& item : split(family.defaults)) {
    const std::size_t equals = item.find('=');
    values.emplace(item.substr(0, equals), item.substr(equals + 1));
  }
  return values;
}

ZooModel make_model_of(const std::string& source) {
  const std::string_view name = name_part(source);
  const Preset* preset = find_named(kPresets, name);
  const Family* family = find_named(kFamilies, preset != nullptr ? preset->family : name);
  if (family == nullptr) {
    std::vector<std::string> names;
    for (const BuiltinModel& model : builtin_models()) names.push_back(model.name);
    throw ModelError(fmt::format("there is no built-in model {}. Known: {}.{}", name, fmt::join(names, ", "),
                                 suggestion(name, names)));
  }
  Values values = values_of(*family);
  if (preset != nullptr) set_values(values, source, preset->values);
  set_values(values, source, options_part(source));
  return family->make(ModelSpec(source, std::move(values)));
}

std::int64_t weight_bytes(const ZooModel& model) {
  std::int64_t elements = 0;
  for (const ZooWeight& weight : model.weights) elements += weight.shape.num_elements();
  return elements * static_cast<std::int64_t>(sizeof(float));
}

void fill_message(ZooModel& model, std::uint64_t seed) {
  for (std::size_t i = 0; i < model.weights.size(); ++i) {
    const ZooWeight& weight = model.weights[i];
    std::vector<float> elements(static_cast<std::size_t>(weight.shape.num_elements()));
    fill_weights(elements, weight.rule, seed, weight.name, 0);
    auto* tensor = model.proto.mutable_graph()->mutable_initializer(static_cast<int>(i));
    tensor->set_raw_data(elements.data(), elements.size() * sizeof(float));
  }
}

}  // namespace

bool is_builtin(const std::string& source) {
  const std::string_view name = name_part(source);
  if (find_named(kFamilies, name) != nullptr || find_named(kPresets, name) != nullptr) return true;
  return !name.empty() && name.find_first_of("/.") == std::string_view::npos;
}

std::shared_ptr<const OnnxModel> load_builtin(const std::string& source, std::uint64_t seed) {
  ZooModel model = make_model_of(source);
  SourceMap sources;
  for (const ZooWeight& weight : model.weights) {
    sources[weight.name] = make_weights(weight.rule, seed, weight.name, weight.shape);
  }
  return make_model(std::move(model.proto), source, std::move(sources));
}

std::string build_model(const std::string& source, const ZooOptions& options) {
  ZooModel model = make_model_of(source);
  if (options.weights) {
    const std::int64_t bytes = weight_bytes(model);
    if (bytes > kMostInMessage) {
      throw ModelError(fmt::format("{} has {:.1f} GB of weights, more than one ONNX message holds (2.1 GB)", source,
                                   static_cast<double>(bytes) * 1e-9));
    }
    fill_message(model, options.seed);
  }
  return model.proto.SerializeAsString();
}

void export_model(const std::string& source, const std::string& path, const ZooOptions& options) {
  ZooModel model = make_model_of(source);
  if (options.weights && weight_bytes(model) > kMostInFile) {
    write_external_weights(model, path, options.seed);
  } else if (options.weights) {
    fill_message(model, options.seed);
  }
  write_file(path, model.proto.SerializeAsString());
}

std::vector<BuiltinModel> builtin_models() {
  std::vector<BuiltinModel> models;
  for (const Family& family : kFamilies) {
    models.push_back({std::string(family.name), std::string(family.description), split(family.defaults)});
  }
  for (const Preset& preset : kPresets) {
    models.push_back({std::string(preset.name), std::string(preset.description), split(preset.values)});
  }
  return models;
}

}  // namespace dml
