#pragma once

#include "coppice/engine/tie_rule.h"
#include "coppice/sparsity/sparsifier/config.h"
#include "sparsifier/importance.h"

namespace coppice::sparsity {

/// Which entries go: those of some blocks, all of a block or some.
struct BlockRule {
  Block block;
  double level = 1;        ///< share of the blocks, rounded half to even; 1 and more: all of them
  std::int64_t zeros = 0;  ///< entries that go in each, 0 .. block.size()
  TieRule ties = default_tie_rule();
  bool by_argsort = false;  ///< TieRule::pytorch means torch.argsort within blocks, not torch.topk
};

/// @throws LimitError  if the blocks' cells beyond the tensor are too many to be ranked
void check_cells(const Importance& importance, const BlockRule& rule);

/// Writes 0 to what the rule prunes and 1 elsewhere: of the blocks from the first element on, those with the least mean
/// importance; in each of them the entries of least importance. Cells of a block outside the tensor count as NaN in the
/// ranking, and not at all in the mean. With a level below 1 one block at least is kept.
///
/// @param mask  as many elements as the tensor has, any type; it may be the one that `importance` sees
/// Cost: one pass over tensor and mask for the means, one for writing, another where zeros < block.size(); extra memory
/// one number per block. Same result for any number of threads. Following torch.topk takes far more of both.
void write_block_mask(const Importance& importance, const BlockRule& rule, Tensor mask);

/// Mean importance of each block of a tensor, [down, across] in blocks from the first element on: float32, or float64
/// where importance is. Blocks at the edges have the mean of the entries that they have.
[[nodiscard]] Tensor mean_of_blocks(const Importance& importance, const Block& block);

/// Writes what `keep` says of each block to the entries of the block. @param keep  of bool, as mean_of_blocks()
void write_blocks(const Importance& importance, const Block& block, const Tensor& keep, Tensor mask);

}  // namespace coppice::sparsity
