#pragma once
// From the blocks that keep all their entries to the mask. Private to sparsity.

#include <memory>

#include "blocks/block_mask.h"
#include "blocks/grid.h"

namespace coppice::sparsity {

/// Writes the cells of blocks: all of a block, or those that rank first in it.
class BlockWriter {
 public:
  virtual ~BlockWriter() = default;
  /// Blocks first .. first + n; `keep` says of each whether it keeps all its entries. From several threads at once.
  virtual void write(std::int64_t first, std::int64_t n, const std::uint8_t* keep) const = 0;
  /// The same for one block that does not.
  virtual void prune(std::int64_t block) const {
    const std::uint8_t keep = 0;
    write(block, 1, &keep);
  }
};

/// @param topk_marks  for TieRule::pytorch, one byte per cell of each block: 1 for those that go; else null
template <class Real>
[[nodiscard]] std::unique_ptr<BlockWriter> block_writer(const Importance& importance, const Grid& grid,
                                                        const BlockRule& rule, Tensor& mask,
                                                        const std::uint8_t* topk_marks);

}  // namespace coppice::sparsity
