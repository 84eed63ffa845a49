#include "coppice/sparsity/training/callbacks/gradual_pruning.h"

#include <algorithm>
#include <utility>

#include "coppice/engine/autograd.h"
#include "coppice/engine/error.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/ops/select.h"
#include "coppice/nn/fqn.h"
#include "coppice/nn/masks/families.h"
#include "coppice/nn/masks/names.h"
#include "coppice/sparsity/amount.h"

namespace coppice::sparsity {

std::vector<nn::MaskedSlot> attach_masks(nn::Module& model, const WeightFilter& filter) {
  struct Target {
    nn::Module* module;
    std::string name;
  };
  std::vector<Target> targets;
  for (const auto& [path, module] : model.named_modules())
    for (const auto& [name, tensor] : module->own_parameters())
      if (tensor.defined() && !nn::is_original(*module, name) && !nn::is_fake_original(*module, name) &&
          filter(nn::joined(path, name), tensor))
        targets.push_back({module, name});
  NoGrad guard;
  for (const Target& t : targets) {
    const Tensor weight = t.module->tensor(t.name);
    nn::attach_mask(*t.module, t.name, ne(weight, Tensor::of(0).to(weight.dtype())));
  }
  return nn::masks_in(model);
}

double sparsity_of(const std::vector<nn::MaskedSlot>& slots) {
  std::int64_t total = 0, kept = 0;
  for (const nn::MaskedSlot& s : slots) {
    total += s.mask.numel();
    kept += count_nonzero(s.mask);
  }
  return total == 0 ? 0 : 1 - static_cast<double>(kept) / static_cast<double>(total);
}

GradualPruning::GradualPruning(std::vector<nn::MaskedSlot> slots, std::optional<CubicSchedule> schedule, TieRule ties)
    : slots_(std::move(slots)), schedule_(schedule), ties_(ties) {
  if (!schedule_) return;
  schedule_->check();
  if (slots_.empty()) throw ValueError("[GradualPruning] a sparsity is wanted, but no weight is chosen to be pruned");
}

bool GradualPruning::arrived(const TrainContext& context) const {
  return !schedule_ || context.step > schedule_->end || context.epoch + 1 == context.epochs;
}

void GradualPruning::tell(nn::Optimizer& optimizer) const {
  for (const nn::MaskedSlot& s : slots_)
    if (!s.fake) optimizer.set_mask(s.original, s.mask);
}

/// Chooses the masks anew: the smallest weights of all slots together, pruned ones included.
void GradualPruning::raise(double sparsity, nn::Optimizer& optimizer) {
  TensorList weights, masks;
  std::int64_t total = 0, pruned = 0;
  for (const nn::MaskedSlot& s : slots_) {
    // One mask of several weights is chosen once, by the first: a second choice would open it again.
    if (std::ranges::any_of(masks, [&](const Tensor& m) { return m.is(s.mask); })) continue;
    weights.push_back(nn::original_now(s).detach());
    masks.push_back(s.mask);
    total += s.mask.numel();
    pruned += s.mask.numel() - count_nonzero(s.mask);
  }
  // Only what is still there may go: a mask never opens again.
  const std::int64_t more = Amount(sparsity).of(total) - pruned;
  if (more <= 0) return;
  const TensorList chosen = select_masks(weights, {.count = more, .ties = ties_}, masks, masks[0].dtype());
  for (std::size_t i = 0; i < masks.size(); ++i) masks[i].copy_(chosen[i]);
  tell(optimizer);
}

void GradualPruning::on_train_start(TrainContext& context) { tell(*context.optimizer); }

void GradualPruning::on_train_batch_start(TrainContext& context) {
  if (schedule_ && schedule_->changes_at(context.step)) raise(schedule_->at(context.step), *context.optimizer);
}

void GradualPruning::on_train_epoch_end(TrainContext& context) {
  if (schedule_ && context.epoch + 1 == context.epochs) raise(schedule_->final, *context.optimizer);
}

}  // namespace coppice::sparsity
