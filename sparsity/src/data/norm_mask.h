#pragma once
// The mask of DataNormSparsifier, from numbers alone. Private to sparsity.

#include <cstdint>
#include <string>

#include "coppice/engine/tensor.h"

namespace coppice::sparsity {

/// |x|, or x * x: what the norm of a block is the mean of.
enum class BlockNorm : std::uint8_t { l1, l2 };

struct NormMaskRequest {
  double level = 0.5;  ///< share of the blocks that are pruned; beyond 0 .. 1 as the nearer end
  std::int64_t height = 1, width = 4;
  std::int64_t zeros = 4;  ///< in every pruned block, 0 .. height * width
  BlockNorm norm = BlockNorm::l1;
  /// PyTorch's accidents: a level in -1 .. 0 prunes all but that share, 16-bit numbers are ranked after rounding, and
  /// squares that overflow or vanish are equal.
  bool compat = false;
};

/// int8, the shape of the data: 0 at the `zeros` lowest cells of each of the lowest blocks, 1 elsewhere. Blocks lie on
/// the data without its axes of size 1; one axis is a row, none a single cell.
/// Ties: the lower block, and in a block the lower cell row by row, goes first; NaN is never taken before a number.
/// @param what  the datum in messages: its name in quotes
/// @throws ValueError  for a request out of range; ShapeError  if more than two axes remain; DtypeError  for bool
/// Cost: as write_block_mask(). Equal for any number of threads.
[[nodiscard]] Tensor norm_mask(const Tensor& data, const NormMaskRequest& request, const std::string& what);

/// The same checks alone.
void check_norm_mask(const Tensor& data, const NormMaskRequest& request, const std::string& what);

}  // namespace coppice::sparsity
