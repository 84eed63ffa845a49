#pragma once
/// Masks with one bit per entry.

#include "coppice/engine/tensor.h"

namespace coppice::nn {

/// u8 [ceil(n / 8)]: entry i is bit i % 8 of byte i / 8, set where the mask is not 0; spare bits are 0.
/// @throws ValueError  if an entry is neither 0 nor 1
[[nodiscard]] Tensor pack_bits(const Tensor& mask);

/// The reverse, as `dtype`. @throws FormatError  if the number of bytes is wrong or a spare bit is set
[[nodiscard]] Tensor unpack_bits(const Tensor& bits, const Shape& shape, Dtype dtype);

/// Whether every entry is 0 or 1.
[[nodiscard]] bool is_binary(const Tensor& mask);

}  // namespace coppice::nn
