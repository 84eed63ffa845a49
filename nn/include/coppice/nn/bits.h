#pragma once
/// Masks with one bit per entry.

#include <bit>
#include <cstdint>
#include <cstring>

#include "coppice/engine/tensor.h"

namespace coppice::nn {

/// u8 [ceil(n / 8)]: entry i is bit i % 8 of byte i / 8, set where the mask is not 0; spare bits are 0.
/// @throws ValueError  if an entry is neither 0 nor 1
[[nodiscard]] Tensor pack_bits(const Tensor& mask);

/// The reverse, as `dtype`. @throws FormatError  if the number of bytes is wrong or a spare bit is set
[[nodiscard]] Tensor unpack_bits(const Tensor& bits, const Shape& shape, Dtype dtype);

/// Whether every entry is 0 or 1.
[[nodiscard]] bool is_binary(const Tensor& mask);

/// Eight entries of a byte each, 0 or 1, as pack_bits() has them.
[[nodiscard]] inline std::uint8_t byte_of_flags(const std::uint8_t* flags) {
  static_assert(std::endian::native == std::endian::little);
  std::uint64_t all = 0;
  std::memcpy(&all, flags, sizeof all);
  return static_cast<std::uint8_t>(all * 0x0102040810204080 >> 56);
}

}  // namespace coppice::nn
