#pragma once
// Floats as a quantised tensor with parameters that exist already. Private to the engine.

#include "coppice/engine/tensor.h"

namespace coppice::quant {

/// @param op  what to name in a message
[[nodiscard]] Tensor quantized_as(const char* op, const Tensor& x, Dtype dtype, const QParamsPtr& params);

/// The value at position `i`, row-major.
[[nodiscard]] float element(const Tensor& q, std::int64_t i);
/// Writes the integer of `value` there.
void set_element(Tensor& q, std::int64_t i, float value);

/// Two values of 0..15 to a byte, the first in the low half; `count` is even.
inline void pack_halves(const std::uint8_t* values, std::int64_t count, std::uint8_t* to) {
  for (std::int64_t i = 0; i < count / 2; ++i)
    to[i] = static_cast<std::uint8_t>(values[2 * i] | (values[2 * i + 1] << 4));
}

}  // namespace coppice::quant
