#pragma once
// Tensors as the places of their zeros, the signs of these, and the rest. By bits: zero is +0 and, of floating types,
// -0. Private to sparsity.

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

/// The reverse, into `out`. An undefined or empty `signs` means +0. Reads as many values as `mask` has bits, or one.
void join_zeros(const Tensor& mask, const Tensor& values, const Tensor& signs, Tensor& out);

/// Bits that are set in u8 bytes.
[[nodiscard]] std::int64_t count_bits(const Tensor& bytes);

}  // namespace coppice::sparsity
