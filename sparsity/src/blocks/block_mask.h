#pragma once

#include "blocks/importance.h"
#include "coppice/engine/tie_rule.h"
#include "coppice/sparsity/sparsifier/config.h"

namespace coppice::sparsity {

/// Which entries go: those of some blocks, all of a block or some.
struct BlockRule {
  static constexpr std::int64_t kAll = -1;

  Block block;
  std::int64_t count = kAll;  ///< blocks that lose entries: those of least mean importance
  std::int64_t zeros = 0;     ///< entries that go in each, 0 .. block.size()
  TieRule ties = default_tie_rule();
  bool by_argsort = false;  ///< TieRule::pytorch means torch.argsort within blocks, not torch.topk
  bool by_size =
      false;  ///< where importance is a square: those that overflow or vanish rank by the size of their numbers
};

/// Blocks that a matrix has, those at its edges included.
[[nodiscard]] std::int64_t count_blocks(std::int64_t rows, std::int64_t cols, Block block);

/// How many of them a level prunes: rounded half to even, and one at least is kept; BlockRule::kAll from level 1 on.
[[nodiscard]] std::int64_t count_at_level(double level, std::int64_t blocks);

/// @throws LimitError  if the blocks' cells beyond the tensor are too many to be ranked
void check_cells(const Importance& importance, const BlockRule& rule);

/// Writes 0 to what the rule prunes and 1 elsewhere: of the blocks from the first element on, those with the least mean
/// importance; in each of them the entries of least importance. Cells of a block outside the tensor count as NaN in the
/// ranking, and not at all in the mean.
///
/// @param mask  as many elements as the tensor has, any type; it may be the one that `importance` sees
/// Cost: where scores are floats of many small blocks, one reading of the tensor, or two where `importance` sees a mask
/// that is not all ones, and extra memory below 1/20 of the tensor; else one reading and one number per block. Same
/// result for any number of threads. Following torch.topk takes far more of both.
void write_block_mask(const Importance& importance, const BlockRule& rule, Tensor mask);

/// Mean importance of each block, [down, across] in blocks from the first element on: float32, or float64 where
/// importance is. Blocks at the edges have the mean of the entries that they have.
[[nodiscard]] Tensor mean_of_blocks(const Importance& importance, Block block);

/// Writes what `keep` says of each block to the entries of the block. @param keep  of bool, as mean_of_blocks()
void write_blocks(const Importance& importance, Block block, const Tensor& keep, Tensor mask);

}  // namespace coppice::sparsity
