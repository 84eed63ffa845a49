#pragma once
// Norms of the blocks of a matrix, and which of them are lowest. Private to sparsity; spans and sizes only.

#include <cstdint>
#include <type_traits>

#include "coppice/engine/tensor.h"

namespace coppice::sparsity {

/// |x|, or x * x: what the norm of a block is the mean of.
enum class BlockNorm : std::uint8_t { l1, l2 };

/// A matrix in blocks that are numbered row by row. Those at the lower and right edges may have fewer cells.
struct BlockGrid {
  std::int64_t rows, columns;  ///< of the matrix
  std::int64_t height, width;  ///< of a block, at least 1

  [[nodiscard]] std::int64_t down() const { return rows / height + (rows % height != 0); }
  [[nodiscard]] std::int64_t across() const { return columns / width + (columns % width != 0); }
  [[nodiscard]] std::int64_t blocks() const { return down() * across(); }
  /// Cells of a whole block. It must not overflow.
  [[nodiscard]] std::int64_t area() const { return height * width; }
};

/// The norm of one cell, rounded to T as PyTorch does. Squares of float and double that overflow or vanish rank beyond
/// the others, by |x|: their wide form is exact.
template <class T>
struct CellNorm {
  using Wide = long double;
};
template <>
struct CellNorm<float> {
  using Wide = double;
};

/// Calls f with the width as a constant where it is a usual one, so that loops over a block unroll, else with 0.
template <class F>
void with_width(std::int64_t width, F f) {
  switch (width) {
    case 1: return f(std::integral_constant<std::int64_t, 1>());
    case 2: return f(std::integral_constant<std::int64_t, 2>());
    case 4: return f(std::integral_constant<std::int64_t, 4>());
    case 8: return f(std::integral_constant<std::int64_t, 8>());
    case 16: return f(std::integral_constant<std::int64_t, 16>());
    default: return f(std::integral_constant<std::int64_t, 0>());
  }
}

/// Mean norm of the cells that each block has, [blocks], summed row by row in the type of the data: float32 or float64.
/// For 16-bit data under PyTorch's rule every norm and every mean is rounded to `rounding`.
[[nodiscard]] Tensor block_scores(const Tensor& data, const BlockGrid& grid, BlockNorm norm, Dtype rounding);

/// int8 [blocks]: 0 for the `count` blocks of the lowest score, 1 for the others. NaN ranks above every number, and of
/// equal scores the lower number goes first.
/// @param data     what the scores were made of
/// @param by_size  blocks whose L2 norm overflows or vanishes rank by the size of their numbers, instead of being equal
[[nodiscard]] Tensor lowest_blocks(const Tensor& data, const Tensor& scores, const BlockGrid& grid, BlockNorm norm,
                                   std::int64_t count, bool by_size);

}  // namespace coppice::sparsity
