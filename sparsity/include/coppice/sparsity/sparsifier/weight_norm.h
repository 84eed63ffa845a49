#pragma once
/// The blocks with the smallest norms go.

#include <functional>
#include <memory>
#include <optional>

#include "coppice/engine/named_function.h"
#include "coppice/engine/tie_rule.h"
#include "coppice/sparsity/sparsifier/base.h"

namespace coppice::sparsity {

/// How important an entry is: |w| (1), w² (2), or a function of the whole tensor that keeps its shape. The importance
/// of a block is the mean over its entries. Signed results are allowed; NaN ranks above every number.
class ScoreNorm {
 public:
  using Function = std::function<Tensor(const Tensor&)>;

  /// @throws ValueError  unless it is 1 or 2
  ScoreNorm(int order);  // NOLINT: implicit, so that a sparsifier reads as in PyTorch
  /// @throws ValueError  if there is no function
  ScoreNorm(Function function);  // NOLINT
  /// A registered function, Tensor(const Tensor&). @throws KeyError, TypeError  as registered_function()
  ScoreNorm(const NamedFunction& function);  // NOLINT

  /// 1 or 2; 0 for a function.
  [[nodiscard]] int order() const { return order_; }
  /// The scores of a tensor. @throws ShapeError  if a function changes the shape
  [[nodiscard]] Tensor operator()(const Tensor& values) const;

 private:
  int order_ = 0;
  Function function_;
};

/// Prunes in each tensor the share `sparsity_level` of its blocks: those of least importance, and in each of them the
/// `zeros_per_block` entries of least importance. Blocks begin at element (0, 0); what they lack at the edges counts
/// neither in means nor as important. The number of blocks is rounded half to even, and below level 1 one block is
/// kept. "2:4" is level 1, blocks of 1x4 and 2 zeros.
///
/// Settings of a group: "sparsity_level", "sparse_block_shape", "zeros_per_block" (0 .. block size), and "score_dense",
/// false by default: importance is that of the masked weight, so that what is pruned ranks last and stays pruned; true
/// ranks the dense weight, so that entries may come back. Tensors of more than two axes are seen as [first, all
/// others]: PyTorch refuses them. A tensor of one axis is refused where blocks are to be chosen (ShapeError), and some
/// zeros of blocks that have far more cells than the tensor (LimitError), both by a step.
///
/// Masks keep their types. Ties: the lower block and the lower entry go first; TieRule::pytorch follows topk.
/// Cost of a step: one reading of weight and mask where nothing is pruned yet, two afterwards; extra memory below 1/20
/// of the weight. A function as norm makes its tensor, float64 one number per block; TieRule::pytorch takes far more.
/// Source: torch/ao/pruning/sparsifier/weight_norm_sparsifier.py, WeightNormSparsifier
class WeightNormSparsifier : public BaseSparsifier {
 public:
  /// @param zeros_per_block  by default all entries of `sparse_block_shape`; a group that sets another shape sets its
  ///        zeros as well
  /// @throws ValueError  for a level that is NaN, a block without entries, zeros outside 0 .. block size
  explicit WeightNormSparsifier(double sparsity_level = 0.5, Block sparse_block_shape = {},
                                std::optional<std::int64_t> zeros_per_block = std::nullopt, ScoreNorm norm = 2,
                                TieRule ties = default_tie_rule());
  [[nodiscard]] std::string_view type_name() const override { return "WeightNormSparsifier"; }

 protected:
  [[nodiscard]] std::unique_ptr<BaseSparsifier> copy() const override {
    return std::make_unique<WeightNormSparsifier>(*this);
  }
  void check_config(const Group& group) const override;
  void check_tensor(const Group& group) const override;
  void update_mask(Group& group) override;
  /// A function that scores is called for all groups before the first mask changes: it may refuse one.
  void update_masks(std::vector<Group>& groups) override;

 private:
  ScoreNorm norm_;
  TieRule ties_;
};

}  // namespace coppice::sparsity
