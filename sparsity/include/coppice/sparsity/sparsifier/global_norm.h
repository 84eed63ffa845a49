#pragma once
/// The blocks with the smallest norms go, whichever tensor they stand in.

#include <memory>

#include "coppice/sparsity/sparsifier/weight_norm.h"

namespace coppice::sparsity {

/// Prunes of all tensors together the share "sparsity_level" of their entries, in whole blocks: those of least mean
/// importance, so that tensors which matter less lose more. A block goes as long as that brings the number of zeros
/// nearer to what is wanted: it is off by half a block at most.
///
/// Settings of a group: "sparsity_level" (groups of other levels add their share of their own entries to what goes),
/// "sparse_block_shape" and "score_dense", as WeightNormSparsifier has them; blocks at the edges, tensors of more than
/// two axes and NaN are as there. Blocks of several shapes compete by their means.
///
/// Ties: the block of the earlier group goes first, and in it the lower one; with TieRule::pytorch as many go, those
/// that topk takes of all blocks in this order, so that equal blocks of several sizes may miss the share by more.
/// Cost of a step: one pass over weights and masks, and one number per block; where blocks have several sizes, a
/// selection among these numbers for each bit of their count; TieRule::pytorch adds a slower one. Same result for any
/// number of threads. Beside what torch.ao.pruning has: torch.nn.utils.prune.global_unstructured, for blocks.
class GlobalNormSparsifier : public BaseSparsifier {
 public:
  /// @throws ValueError  for a level that is NaN, a block without entries
  explicit GlobalNormSparsifier(double sparsity_level = 0.5, Block sparse_block_shape = {}, ScoreNorm norm = 2,
                                TieRule ties = default_tie_rule());
  [[nodiscard]] std::string_view type_name() const override { return "GlobalNormSparsifier"; }

 protected:
  [[nodiscard]] std::unique_ptr<BaseSparsifier> copy() const override {
    return std::make_unique<GlobalNormSparsifier>(*this);
  }
  void check_config(const Group& group) const override;
  /// @throws ShapeError  for a tensor of fewer than two axes
  void check_tensor(const Group& group) const override;
  /// The group as if it were alone.
  void update_mask(Group& group) override { choose({&group}); }
  void update_masks(std::vector<Group>& groups) override;

 private:
  void choose(const std::vector<Group*>& groups) const;

  ScoreNorm norm_;
  TieRule ties_;
};

}  // namespace coppice::sparsity
