#include "coppice/sparsity/training/finetune.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "coppice/engine/autograd.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/softmax.h"
#include "coppice/engine/random.h"
#include "coppice/nn/masked.h"
#include "coppice/nn/optim.h"
#include "coppice/nn/state_dict.h"
#include "coppice/sparsity/mask_ops.h"
#include "coppice/sparsity/scheduler/cubic_schedule.h"

namespace coppice::sparsity {
namespace {

void check(const FinetuneOptions& o, const Dataset& data) {
  const auto need = [](bool holds, const char* rule, double got) {
    if (!holds) throw ValueError(cat("[finetune] ", rule, "; got ", got));
  };
  need(o.epochs >= 1, "epochs must be at least 1", static_cast<double>(o.epochs));
  need(o.batch >= 1, "batch must be at least 1", static_cast<double>(o.batch));
  need(o.validation >= 0 && o.validation < 1, "validation must be in [0, 1)", o.validation);
  need(o.patience >= 0, "patience must be at least 0", static_cast<double>(o.patience));
  need(o.ramp > 0 && o.ramp <= 1, "ramp must be in (0, 1]", o.ramp);
  need(o.updates_per_epoch >= 1, "updates_per_epoch must be at least 1", static_cast<double>(o.updates_per_epoch));
  need(!o.sparsity || (*o.sparsity >= 0 && *o.sparsity <= 1), "sparsity must be in 0..1", o.sparsity.value_or(0));
  need(data.size() >= 2, "training needs at least 2 samples", static_cast<double>(data.size()));
}

std::unique_ptr<nn::Optimizer> make_optimizer(const nn::Module& model, const FinetuneOptions& o) {
  switch (o.optimizer) {
    case FinetuneOptions::Optimizer::sgd:
      return std::make_unique<nn::SGD>(model.parameters(),
                                       nn::SgdOptions{.lr = o.lr, .momentum = o.momentum,
                                                      .weight_decay = o.weight_decay});
    case FinetuneOptions::Optimizer::adamw:
      return std::make_unique<nn::AdamW>(model.parameters(),
                                         nn::AdamOptions{.lr = o.lr, .weight_decay = o.weight_decay});
    case FinetuneOptions::Optimizer::adam: break;
  }
  return std::make_unique<nn::Adam>(model.parameters(), nn::AdamOptions{.lr = o.lr, .weight_decay = o.weight_decay});
}

/// Whether a parameter is what a mask is applied to already.
bool is_original(const nn::Module& module, const std::string& name) {
  return name.ends_with("_orig") && nn::is_masked(module, name.substr(0, name.size() - 5));
}

/// Masks every chosen weight by its zeros, unless it has a mask already.
std::vector<nn::MaskedSlot> attach_masks(nn::Module& model, const WeightFilter& filter) {
  struct Target {
    nn::Module* module;
    std::string name;
  };
  std::vector<Target> targets;
  for (const auto& [path, module] : model.named_modules())
    for (const auto& [name, tensor] : module->own_parameters())
      if (tensor.defined() && !is_original(*module, name) && filter(path.empty() ? name : path + "." + name, tensor))
        targets.push_back({module, name});
  NoGrad guard;
  for (const Target& t : targets) {
    const Tensor weight = t.module->tensor(t.name);
    nn::attach_mask(*t.module, t.name, ne(weight, Tensor::of(0).to(weight.dtype())));
  }
  return nn::masked_slots(model);
}

/// Chooses the masks anew: the smallest weights of all slots together, pruned ones included.
void raise_sparsity(std::vector<nn::MaskedSlot>& slots, double sparsity, nn::Optimizer& optimizer) {
  TensorList weights, masks;
  std::int64_t total = 0, pruned = 0;
  for (const nn::MaskedSlot& s : slots) {
    weights.push_back(s.original.detach());
    masks.push_back(s.mask);
    total += s.mask.numel();
    pruned += s.mask.numel() - count_nonzero(s.mask);
  }
  // Only what is still there may go: a mask never opens again.
  const std::int64_t more = Amount(sparsity).of(total) - pruned;
  if (more <= 0) return;
  const TensorList chosen = select_masks(weights, {.count = more}, masks, masks[0].dtype());
  for (std::size_t i = 0; i < slots.size(); ++i) {
    slots[i].mask.copy_(chosen[i]);
    optimizer.set_mask(slots[i].original, slots[i].mask);
  }
}

double sparsity_of(const std::vector<nn::MaskedSlot>& slots) {
  std::int64_t total = 0, kept = 0;
  for (const nn::MaskedSlot& s : slots) {
    total += s.mask.numel();
    kept += count_nonzero(s.mask);
  }
  return total == 0 ? 0 : 1 - static_cast<double>(kept) / static_cast<double>(total);
}

/// The values of a model, to be put back.
class Snapshot {
 public:
  explicit Snapshot(const nn::Module& model) {
    for (const auto& [name, tensor] : nn::state_dict(model)) values_.emplace_back(name, tensor.clone());
  }
  void restore(nn::Module& model) const {
    NamedTensors tensors;
    for (const auto& [name, tensor] : values_) tensors.add(name, tensor);
    nn::load_state_dict(model, tensors);
  }

 private:
  std::vector<nn::NamedTensor> values_;
};

/// One pass over the training data in random order. Returns the mean loss.
template <class Update>
double run_epoch(nn::Module& model, const Dataset& data, std::int64_t batch, Generator& generator,
                 nn::Optimizer& optimizer, Update before_step) {
  const std::vector<std::int64_t> order = generator.permutation(data.size());
  double total = 0;
  for (std::int64_t at = 0; at < data.size(); at += batch) {
    const auto end = std::min(at + batch, data.size());
    const Dataset part = data.subset({order.begin() + at, order.begin() + end});
    before_step();
    optimizer.zero_grad();
    const Tensor loss = cross_entropy(model(part.x), part.y);
    const double value = loss.item<double>();
    if (!std::isfinite(value))
      throw ValueError(cat("[finetune] the loss became ", value, "; a smaller lr than ", optimizer.lr(), " may help"));
    loss.backward();
    optimizer.step();
    total += value * static_cast<double>(end - at);
  }
  return total / static_cast<double>(data.size());
}

bool better(const Evaluation& a, const Evaluation& b) {
  return a.correct != b.correct ? a.correct > b.correct : a.loss < b.loss;
}

/// Trains `model`, which the caller throws away if this throws.
FinetuneReport train_masked(nn::Module& model, const Dataset& data, const Dataset& validation,
                            const FinetuneOptions& o, const WeightFilter& filter, Generator& generator,
                            const std::function<bool(const EpochReport&)>& progress) {
  std::vector<nn::MaskedSlot> slots = attach_masks(model, filter);
  const auto optimizer = make_optimizer(model, o);
  for (const nn::MaskedSlot& s : slots) optimizer->set_mask(s.original, s.mask);

  const std::int64_t steps = (data.size() + o.batch - 1) / o.batch;
  const auto ramp_epochs = std::max<std::int64_t>(1, static_cast<std::int64_t>(o.ramp * static_cast<double>(o.epochs)));
  const CubicSchedule schedule{.initial = sparsity_of(slots),
                               .final = o.sparsity.value_or(0),
                               .begin = 0,
                               .end = std::max<std::int64_t>(1, ramp_epochs * steps - 1),
                               .every = std::max<std::int64_t>(1, steps / o.updates_per_epoch)};
  const bool ramping = o.sparsity.has_value() && !slots.empty();

  FinetuneReport report;
  std::optional<Snapshot> best;
  Evaluation best_validation;
  std::int64_t step = 0;
  for (std::int64_t epoch = 1; epoch <= o.epochs; ++epoch) {
    model.train();
    EpochReport row;
    row.epoch = epoch;
    row.train_loss = run_epoch(model, data, o.batch, generator, *optimizer, [&] {
      if (ramping && schedule.changes_at(step)) raise_sparsity(slots, schedule.at(step), *optimizer);
      ++step;
    });
    const bool last = epoch == o.epochs;
    if (ramping && last) raise_sparsity(slots, schedule.final, *optimizer);  // a run shorter than its ramp
    row.sparsity = sparsity_of(slots);
    row.validation = evaluate(model, validation);
    const bool arrived = !ramping || step > schedule.end || last;
    row.best = arrived && (!best || better(row.validation, best_validation));
    if (row.best) {
      best.emplace(model);
      best_validation = row.validation;
      report.best_epoch = epoch;
    }
    report.epochs.push_back(row);
    const bool enough = o.patience > 0 && best && epoch - report.best_epoch >= o.patience;
    if ((progress && !progress(row)) || enough) {
      report.stopped_early = !last;
      break;
    }
  }
  if (best) best->restore(model);
  else report.best_epoch = report.epochs.back().epoch;
  return report;
}

}  // namespace

bool is_prunable(const std::string& path, const Tensor& weight) {
  const std::size_t dot = path.rfind('.');
  return is_floating(weight.dtype()) && weight.dim() >= 2 &&
         path.compare(dot == std::string::npos ? 0 : dot + 1, 6, "weight") == 0;
}

FinetuneReport finetune(nn::Module& model, const Dataset& train, const FinetuneOptions& o, const WeightFilter& filter,
                        const std::function<bool(const EpochReport&)>& progress) {
  check(o, train);
  Generator generator(o.seed);
  const std::vector<std::int64_t> order = generator.permutation(train.size());
  const auto held = static_cast<std::int64_t>(std::nearbyint(o.validation * static_cast<double>(train.size())));
  const Dataset validation = held > 0 ? train.subset({order.begin(), order.begin() + held}) : train;
  const Dataset data = held > 0 ? train.subset({order.begin() + held, order.end()}) : train;

  // Training happens on a copy: whatever fails, the model is as it was.
  const nn::ModulePtr copy = model.clone();
  const FinetuneReport report = train_masked(*copy, data, validation, o, filter, generator, progress);
  (void)attach_masks(model, filter);
  nn::load_state_dict(model, nn::state_dict(*copy));
  model.zero_grad();
  model.eval();
  return report;
}

}  // namespace coppice::sparsity
