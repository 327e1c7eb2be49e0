// How the safetensors format spells our data types.
#pragma once

#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "kernels/tensor.h"

namespace dml {

inline constexpr std::array<std::pair<std::string_view, DataType>, 8> kSafetensorsTypes = {{
    {"F32", DataType::f32},
    {"F64", DataType::f64},
    {"F16", DataType::f16},
    {"BF16", DataType::bf16},
    {"I64", DataType::i64},
    {"I32", DataType::i32},
    {"U8", DataType::u8},
    {"BOOL", DataType::boolean},
}};

constexpr std::optional<DataType> safetensors_dtype(std::string_view name) {
  for (const auto& [spelling, type] : kSafetensorsTypes) {
    if (spelling == name) return type;
  }
  return std::nullopt;
}

constexpr std::string_view safetensors_name(DataType dtype) {
  for (const auto& [spelling, type] : kSafetensorsTypes) {
    if (type == dtype) return spelling;
  }
  return {};
}

}  // namespace dml
