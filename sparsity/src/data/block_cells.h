#pragma once
// From the blocks that are pruned to the cells that are. Private to sparsity.

#include <cstdint>

#include "block_scores.h"
#include "coppice/engine/tensor.h"

namespace coppice::sparsity {

/// Which cells of a pruned block go.
struct CellRule {
  std::int64_t zeros;  ///< so many of the lowest, 0 .. area
  BlockNorm norm;
  Dtype rounding;  ///< norms of cells are rounded to this type first, if it has 16 bits
  bool by_size;    ///< squares that overflow or vanish rank by the size of their numbers
};

/// Writes a 0 for each cell that goes, of the blocks that are 0 in `keep`, int8 [blocks]. Of equal cells the lower goes
/// first, row by row; cells that a block at the edge lacks count as NaN, and NaN goes last.
/// @param data  float32 or float64; @param mask  int8, as many elements
void prune_cells(const Tensor& data, Tensor& mask, const Tensor& keep, const BlockGrid& grid, const CellRule& rule);

/// Each cell of the mask becomes what its block has in `keep`.
void spread_blocks(const Tensor& keep, Tensor& mask, const BlockGrid& grid);

}  // namespace coppice::sparsity
