#pragma once
/// Values seen through a mask of one bit per entry (nn/bits.h), without the product ever standing whole in memory.

#include <cstddef>
#include <cstdint>
#include <span>

#include "coppice/engine/tensor.h"

namespace coppice::sparsity::prune {

/// What a mask does to a tensor.
struct MaskedCounts {
  std::int64_t zeros = 0;   ///< entries of the product that are 0
  std::int64_t pruned = 0;  ///< entries that the mask takes
  bool nan = false;         ///< whether a value is NaN, pruned or not
};

/// @param values  float32, float64, float16 or bfloat16; pages of a mapped file that it stands in are given back
/// @param bits  nn::pack_bits() of a mask of its shape
/// @throws DtypeError, ShapeError  for others
/// Cost: one reading. Same result for any number of threads.
[[nodiscard]] MaskedCounts count_masked(const Tensor& values, const Tensor& bits);

/// Writes bytes of nn::apply_mask(values, mask), from the given one on, and gives back the pages that it read.
/// @param at  a multiple of 64
/// @throws as count_masked; ValueError  for bytes that the tensor has not
void write_masked(const Tensor& values, const Tensor& bits, std::uint64_t at, std::span<std::byte> to);

/// Writes bytes of nn::unpack_bits(bits, shape, dtype), from the given one on.
/// @param at  a multiple of 64
/// @throws ValueError  for bytes that the mask has not
void write_mask(const Tensor& bits, Dtype dtype, std::uint64_t at, std::span<std::byte> to);

}  // namespace coppice::sparsity::prune
