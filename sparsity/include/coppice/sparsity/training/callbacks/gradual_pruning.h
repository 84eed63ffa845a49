#pragma once

#include <optional>
#include <string>
#include <vector>

#include "coppice/engine/tie_rule.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/sparsity/prunable.h"
#include "coppice/sparsity/scheduler/cubic_schedule.h"
#include "coppice/sparsity/training/callback.h"

namespace coppice::sparsity {

/// Masks every chosen weight by its zeros, unless it has a mask of either family already: what the model computes
/// stays the same.
/// @return  all masked weights of the model (nn::masks_in)
std::vector<nn::MaskedSlot> attach_masks(nn::Module& model, const WeightFilter& filter);

/// Zeros among the entries of all masks, as a fraction; 0 without masks.
[[nodiscard]] double sparsity_of(const std::vector<nn::MaskedSlot>& slots);

/// Keeps masked entries at zero while a model trains, and with a schedule prunes more and more of them: global
/// magnitude pruning over all slots together. Nothing that is masked returns. The original of a FakeSparsity trains
/// densely, as in PyTorch, since its mask is applied whenever the weight is read: the optimiser is told of no mask. One
/// mask of several weights is chosen by the first of them.
/// Source: Zhu and Gupta, "To prune, or not to prune", arXiv 1710.01878
class GradualPruning final : public Callback {
 public:
  /// @param slots     the masked weights, of the model that is trained
  /// @param schedule  sparsity over steps; none: the masks stay as they are
  /// @param ties      which of several equal weights goes
  /// @throws ValueError  for a schedule without slots, or one that check() refuses
  explicit GradualPruning(std::vector<nn::MaskedSlot> slots, std::optional<CubicSchedule> schedule = std::nullopt,
                          TieRule ties = default_tie_rule());

  /// Whether the final sparsity is there after the last step; always without a schedule.
  [[nodiscard]] bool arrived(const TrainContext& context) const;
  [[nodiscard]] double sparsity() const { return sparsity_of(slots_); }

  /// Tells the optimiser the masks. Needs TrainContext::optimizer.
  void on_train_start(TrainContext& context) override;
  void on_train_batch_start(TrainContext& context) override;
  /// The last epoch of a training that is shorter than its ramp ends at the final sparsity.
  void on_train_epoch_end(TrainContext& context) override;

 private:
  void raise(double sparsity, nn::Optimizer& optimizer);
  void tell(nn::Optimizer& optimizer) const;

  std::vector<nn::MaskedSlot> slots_;
  std::optional<CubicSchedule> schedule_;
  TieRule ties_;
};

}  // namespace coppice::sparsity
