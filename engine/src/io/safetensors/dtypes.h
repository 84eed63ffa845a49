#pragma once
/// The element types of safetensors.

#include <array>
#include <optional>
#include <string_view>

#include "coppice/engine/dtype.h"

namespace coppice {

struct SafetensorsDtype {
  std::string_view name;
  unsigned bits;
  std::optional<Dtype> dtype;
};

// Source: safetensors/src/tensor.rs, enum Dtype, at 0.8.0-dev. The types that are written stand in its order: by size,
// so that tensors written from the last row to the first are aligned.
inline constexpr std::array<SafetensorsDtype, 22> kSafetensorsDtypes{{
    {"BOOL", 8, Dtype::boolean}, {"U8", 8, Dtype::u8},    {"I8", 8, Dtype::i8},
    {"I16", 16, Dtype::i16},     {"U16", 16, {}},         {"F16", 16, Dtype::f16},
    {"BF16", 16, Dtype::bf16},   {"I32", 32, Dtype::i32}, {"U32", 32, {}},
    {"F32", 32, Dtype::f32},     {"C64", 64, {}},         {"F64", 64, Dtype::f64},
    {"I64", 64, Dtype::i64},     {"U64", 64, {}},         {"F8_E4M3", 8, {}},
    {"F8_E5M2", 8, {}},          {"F8_E8M0", 8, {}},      {"F8_E4M3FNUZ", 8, {}},
    {"F8_E5M2FNUZ", 8, {}},      {"F4", 4, {}},           {"F6_E2M3", 6, {}},
    {"F6_E3M2", 6, {}},
}};

}  // namespace coppice
