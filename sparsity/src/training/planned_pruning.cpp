#include "planned_pruning.h"

#include <algorithm>

#include "coppice/engine/checked.h"
#include "coppice/nn/masks/families.h"
#include "coppice/sparsity/scheduler/lambda.h"

namespace coppice::sparsity {

Ramp::Ramp(const FinetuneOptions& o, std::int64_t steps_of_epoch)
    : every(std::max<std::int64_t>(1, steps_of_epoch / o.updates_per_epoch)) {
  const auto epochs = std::max<std::int64_t>(1, static_cast<std::int64_t>(o.ramp * static_cast<double>(o.epochs)));
  const auto all = checked_mul(static_cast<std::uint64_t>(epochs), static_cast<std::uint64_t>(steps_of_epoch));
  steps = static_cast<std::int64_t>(std::min<std::uint64_t>(all.value_or(INT64_MAX), INT64_MAX));
}

PlannedPruning::PlannedPruning(nn::Module& model, const FinetuneOptions& o, const WeightFilter& filter)
    : curve_(o.curve) {
  nn::take_fake_masks(model);
  plan_ = plan_layers(model, o, filter);
  take_plain(model, plan_);
}

std::shared_ptr<SparsifierCallback> PlannedPruning::start(const Ramp& ramp) {
  const std::int64_t changes = curve_ == Curve::constant ? 0 : ramp.changes();
  last_ = changes * ramp.every;
  const LevelFunction level([changes, curve = curve_](std::int64_t change) {
    return changes == 0 ? 1.0 : share_of(curve, static_cast<double>(change) / static_cast<double>(changes));
  });
  callback_ = std::make_shared<SparsifierCallback>(
      plan_.sparsifier, [level](BaseSparsifier& s) { return std::make_unique<LambdaSL>(s, level); },
      SparsifierCallbackOptions{.moment = SparsifierCallbackOptions::Moment::batch_start,
                                .every = ramp.every,
                                .last = last_,
                                .config = plan_.config,
                                .squash = false,
                                .keep_pruned = true});
  return callback_;
}

std::vector<LayerReport> PlannedPruning::finish(nn::Module& model) const {
  leave_masks(*callback_->sparsifier());
  return counted(model, plan_.layers);
}

}  // namespace coppice::sparsity
