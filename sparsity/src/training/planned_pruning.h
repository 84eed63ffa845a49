#pragma once
// A sparsifier that prunes along a curve while a model is fine-tuned. Private to sparsity.

#include <cstdint>
#include <memory>
#include <vector>

#include "layer_plan.h"

namespace coppice::sparsity {

/// When masks change.
struct Ramp {
  std::int64_t steps;  ///< of the whole ramp
  std::int64_t every;  ///< steps between two changes

  Ramp(const FinetuneOptions& options, std::int64_t steps_of_epoch);
  /// Changes after the first, which is at step 0; the last one brings the final level.
  [[nodiscard]] std::int64_t changes() const { return (steps - 1) / every; }
};

class PlannedPruning {
 public:
  /// Makes plain parameters of those that are pruned, and X_orig and X_mask of every FakeSparsity.
  /// @param model  the copy that is trained. @throws as plan_layers
  PlannedPruning(nn::Module& model, const FinetuneOptions& options, const WeightFilter& filter);
  [[nodiscard]] const LayerPlan& plan() const { return plan_; }

  /// The callback that prepares the model and steps, once for a training.
  [[nodiscard]] std::shared_ptr<SparsifierCallback> start(const Ramp& ramp);
  /// Whether the final level was there at the last step.
  [[nodiscard]] bool arrived(const TrainContext& at) const { return at.step > last_; }
  /// Leaves X_orig and X_mask on the trained model. @return  what was reached
  [[nodiscard]] std::vector<LayerReport> finish(nn::Module& model) const;

 private:
  Curve curve_;
  LayerPlan plan_;
  std::int64_t last_ = 0;
  std::shared_ptr<SparsifierCallback> callback_;
};

}  // namespace coppice::sparsity
