#pragma once
// Tensors as the places of their zeros, the signs of these, and the rest. By bits: zero is +0 and, of floating types,
// -0. Private to sparsity.

#include <cstdint>
#include <span>

#include "coppice/engine/tensor.h"

namespace coppice::sparsity {

[[nodiscard]] constexpr std::int64_t bytes_for(std::int64_t bits) { return bits / 8 + (bits % 8 != 0); }

struct ZeroCounts {
  std::int64_t zeros = 0;
  std::int64_t negative = 0;  ///< of these
  bool constant = false;      ///< two or more others, all with the same bits
};
[[nodiscard]] ZeroCounts count_zeros(const Tensor& t);

/// @param mask    u8 [bytes_for(n)], gets a bit for each element that is no zero
/// @param values  gets these, or the one that all of them are
/// @param signs   u8 [bytes_for(zeros)], gets a bit for each -0; or empty
void split_zeros(const Tensor& t, Tensor& mask, Tensor& values, Tensor& signs);

/// Where zeros are, and of which sign.
struct ZeroPlaces {
  std::span<const std::uint8_t> present;  ///< if any, a bit for each byte of a bitmask; bytes without it are 0
  std::span<const std::uint8_t> bits;     ///< the bitmask, or its bytes that are present
  std::span<const std::uint8_t> signs;    ///< empty: all zeros are +0
};

/// The reverse, into `out`. Reads as many values as there are bits set, or one.
void join_zeros(const ZeroPlaces& places, const Tensor& values, Tensor& out);

/// Bits that are set.
[[nodiscard]] std::int64_t count_bits(std::span<const std::uint8_t> bytes);

/// Bit i % 8 of byte i / 8.
[[nodiscard]] inline bool bit_at(std::span<const std::uint8_t> bytes, std::int64_t i) {
  return (bytes[static_cast<std::size_t>(i / 8)] >> (i % 8) & 1) != 0;
}

}  // namespace coppice::sparsity
