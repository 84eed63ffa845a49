#include "coppice/sparsity/training/finetune.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>
#include <utility>

#include "coppice/engine/autograd.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/dtype.h"
#include "coppice/engine/error.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/ops/shape_ops.h"
#include "coppice/nn/masks/families.h"
#include "coppice/nn/optim.h"
#include "coppice/nn/state_dict.h"
#include "coppice/sparsity/training/callbacks/checkpoint.h"
#include "coppice/sparsity/training/trainer.h"
#include "planned_pruning.h"
#include "recipe.h"
#include "report_tensors.h"

namespace coppice::sparsity {
namespace {

std::int64_t held_back(const FinetuneOptions& o, const Dataset& data) {
  return static_cast<std::int64_t>(std::nearbyint(o.validation * static_cast<double>(data.size())));
}

void check(const FinetuneOptions& o, const Dataset& data) {
  const auto need = [](bool holds, const char* rule, double got) {
    if (!holds) throw ValueError(cat("[finetune] ", rule, "; got ", got));
  };
  need(o.epochs >= 1 && o.epochs <= kMostEpochs, "epochs must be in 1..1,000,000,000", static_cast<double>(o.epochs));
  need(o.batch >= 1, "batch must be at least 1", static_cast<double>(o.batch));
  need(o.lr >= 0 && std::isfinite(o.lr), "lr must be at least 0", o.lr);
  need(o.momentum >= 0 && std::isfinite(o.momentum), "momentum must be at least 0", o.momentum);
  need(o.weight_decay >= 0 && std::isfinite(o.weight_decay), "weight_decay must be at least 0", o.weight_decay);
  need(o.validation >= 0 && o.validation < 1, "validation must be in [0, 1)", o.validation);
  need(o.patience >= 0, "patience must be at least 0", static_cast<double>(o.patience));
  need(o.ramp > 0 && o.ramp <= 1, "ramp must be in (0, 1]", o.ramp);
  need(o.updates_per_epoch >= 1, "updates_per_epoch must be at least 1", static_cast<double>(o.updates_per_epoch));
  need(!o.sparsity || (*o.sparsity >= 0 && *o.sparsity <= 1), "sparsity must be in 0..1", o.sparsity.value_or(0));
  if (by_sparsifier(o)) check_plan(o);
  need(data.size() >= 2, "training needs at least 2 samples", static_cast<double>(data.size()));
  const std::int64_t left = data.size() - held_back(o, data);
  need(left >= 1, "the validation share leaves no sample to train on; samples left", static_cast<double>(left));
}

/// A training that starts from NaN would blame the learning rate.
void check_finite(const std::string& what, const Tensor& t) {
  if (!is_floating(t.dtype())) return;
  dispatch(t.dtype(), [&]<class T>() {
    for (const T value : t.data<T>())
      if (const auto v = convert<double>(value); !std::isfinite(v))
        throw ValueError(cat("[finetune] ", what, " holds ",
                             std::isnan(v) ? "nan"
                             : v > 0       ? "inf"
                                           : "-inf",
                             "; training needs finite numbers"));
  });
}

/// Classes are looked at in the order of the data: in batches nobody would know which sample it was.
void check_all_classes(nn::Module& model, const Dataset& data) {
  const NoGrad guard;
  model.eval();
  const Tensor logits = model(narrow(data.x, 0, 0, 1));
  if (logits.dim() == 2) check_classes(data.y, logits.size(1));
}

/// The paths of masked weights. Without `empty` those that have no mask in `before`, and have lost nothing since,
/// become plain parameters.
std::set<std::string> masks_to_keep(nn::Module& trained, nn::Module& before, bool empty) {
  std::set<std::string> out;
  for (const nn::MaskedSlot& s : nn::masks_in(before)) out.insert(s.path);
  const NoGrad guard;
  for (const nn::MaskedSlot& s : nn::masks_in(trained)) {
    if (empty || s.fake || out.contains(s.path) || count_nonzero(s.mask) < s.mask.numel())
      out.insert(s.path);
    else
      nn::burn_in_mask(*s.module, s.name);
  }
  return out;
}

std::unique_ptr<nn::Optimizer> make_optimizer(const nn::Module& model, const FinetuneOptions& o) {
  switch (o.optimizer) {
    case FinetuneOptions::Optimizer::sgd:
      return std::make_unique<nn::SGD>(
          model.parameters(), nn::SgdOptions{.lr = o.lr, .momentum = o.momentum, .weight_decay = o.weight_decay});
    case FinetuneOptions::Optimizer::adamw:
      return std::make_unique<nn::AdamW>(model.parameters(),
                                         nn::AdamOptions{.lr = o.lr, .weight_decay = o.weight_decay});
    case FinetuneOptions::Optimizer::adam: break;
  }
  return std::make_unique<nn::Adam>(model.parameters(), nn::AdamOptions{.lr = o.lr, .weight_decay = o.weight_decay});
}

/// The schedule of the options, if a sparsity is wanted and no sparsifier chooses.
std::optional<CubicSchedule> schedule_of(const FinetuneOptions& o, const Ramp& ramp, double initial) {
  if (!o.sparsity || by_sparsifier(o)) return std::nullopt;
  return CubicSchedule{.initial = initial,
                       .final = *o.sparsity,
                       .begin = 0,
                       .end = std::max<std::int64_t>(1, ramp.steps - 1),
                       .every = ramp.every};
}

/// Tells the caller of every epoch, who may end the training.
class Watch final : public Callback {
 public:
  explicit Watch(std::function<void(TrainContext&)> look) : look_(std::move(look)) {}
  void on_train_epoch_end(TrainContext& context) override { look_(context); }

 private:
  std::function<void(TrainContext&)> look_;
};

}  // namespace

FinetuneReport finetune(nn::Module& model, const Dataset& train, const FinetuneOptions& o, const WeightFilter& filter,
                        const std::function<bool(const EpochReport&)>& progress) {
  check(o, train);
  for (const auto& [name, tensor] : nn::all_tensors(model)) check_finite(cat("'", name, "'"), tensor);
  check_finite("the data", train.x);
  const std::string recipe = o.checkpoint.empty() ? "" : recipe_of(model, train, o);

  // Training happens on a copy: whatever fails, the model is as it was.
  const nn::ModulePtr copy = model.clone();
  check_all_classes(*copy, train);
  std::optional<PlannedPruning> planned;
  if (by_sparsifier(o)) planned.emplace(*copy, o, filter);
  const auto masked_by_zeros = [&](const std::string& name, const Tensor& weight) {
    return filter(name, weight) && !(planned && planned->plan().prunes(name));
  };
  const std::vector<nn::MaskedSlot> slots = attach_masks(*copy, masked_by_zeros);
  const std::unique_ptr<nn::Optimizer> optimizer = make_optimizer(*copy, o);
  Trainer trainer({.epochs = o.epochs, .batch = o.batch, .seed = o.seed});
  const std::vector<std::int64_t> order = trainer.generator().permutation(train.size());
  const std::int64_t held = held_back(o, train);
  const Dataset validation = held > 0 ? train.subset({order.begin(), order.begin() + held}) : train;
  const Dataset data = held > 0 ? train.subset({order.begin() + held, order.end()}) : train;
  const std::int64_t batch = std::min(o.batch, data.size());
  const std::int64_t steps = steps_per_epoch(*copy, data.size(), batch);

  const Ramp ramp(o, steps);
  const auto gradual = std::make_shared<GradualPruning>(slots, schedule_of(o, ramp, sparsity_of(slots)), o.ties);
  const auto best = std::make_shared<BestEpoch>(
      [&](nn::Module& m) { return evaluate(m, validation); },
      [&](const TrainContext& at) { return gradual->arrived(at) && (!planned || planned->arrived(at)); });
  trainer.add(gradual);
  const std::shared_ptr<SparsifierCallback> pruning = planned ? planned->start(ramp) : nullptr;
  if (pruning != nullptr) trainer.add(pruning);
  trainer.add(best).add(std::make_shared<EarlyStop>(best, o.patience));
  if (!o.checkpoint.empty()) {
    const auto checkpoint = std::make_shared<Checkpoint>(o.checkpoint, recipe, o.read);
    checkpoint->add(part_of(best, steps, o.epochs, o.checkpoint));
    if (pruning != nullptr) checkpoint->add(pruning->checkpoint_part());
    trainer.add(checkpoint);
  }
  trainer.add(std::make_shared<Watch>([&](TrainContext& context) {
    if (progress && !progress(best->rows().back())) context.stop = true;
  }));
  trainer.fit(*copy, *optimizer, data);

  FinetuneReport report{.epochs = best->rows(), .best_epoch = best->best_epoch()};
  report.stopped_early = static_cast<std::int64_t>(report.epochs.size()) < o.epochs;
  if (report.best_epoch == 0) report.best_epoch = report.epochs.back().epoch;
  if (planned) {
    report.layers = planned->finish(*copy);
    nn::take_fake_masks(model);
  }
  const std::set<std::string> masked = masks_to_keep(*copy, model, o.empty_masks);
  const NamedTensors trained = nn::all_tensors(*copy);
  const auto modules = model.named_modules();
  // Where zeros are: the weights that the model computes with stay the same.
  (void)attach_masks(model, [&](const std::string& name, const Tensor&) { return masked.contains(name); });
  TensorList parameters = model.parameters();
  nn::load_state_dict(model, trained);
  // Nothing from here on takes memory.
  for (Tensor& parameter : parameters) parameter.set_grad(Tensor());
  for (const auto& [path, module] : modules) module->set_training(false);
  return report;
}

}  // namespace coppice::sparsity
