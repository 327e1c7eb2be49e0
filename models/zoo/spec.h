// "name:key=value,key=value": the language in which built-in models are asked for.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dml {

/// Options as text, by key. Every read names the model in its errors (ModelError).
class ModelSpec {
 public:
  ModelSpec(std::string name, std::map<std::string, std::string> values)
      : name_(std::move(name)), values_(std::move(values)) {}

  const std::string& name() const { return name_; }
  /// Throws unless it is a whole number in [least, most].
  std::int64_t integer(const std::string& key, std::int64_t least, std::int64_t most) const;
  bool flag(const std::string& key) const;
  /// Throws unless it is in [0, 1).
  double fraction(const std::string& key) const;
  /// "128x64" as {128, 64}; each in [1, most].
  std::vector<std::int64_t> sizes(const std::string& key, std::int64_t most) const;

 private:
  [[noreturn]] void fail(const std::string& key, const std::string& wanted) const;

  std::string name_;
  std::map<std::string, std::string> values_;
};

/// The entry of `known` with the fewest edits from `word`; empty where none is near.
std::string_view nearest(std::string_view word, std::span<const std::string> known);

}  // namespace dml
