#include "training_run.h"

#include <algorithm>
#include <cmath>

#include "coppice/engine/autograd.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/softmax.h"
#include "coppice/nn/state_dict.h"
#include "coppice/sparsity/mask_ops.h"

namespace coppice::sparsity {
namespace {

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

double sparsity_of(const std::vector<nn::MaskedSlot>& slots) {
  std::int64_t total = 0, kept = 0;
  for (const nn::MaskedSlot& s : slots) {
    total += s.mask.numel();
    kept += count_nonzero(s.mask);
  }
  return total == 0 ? 0 : 1 - static_cast<double>(kept) / static_cast<double>(total);
}

bool better(const Evaluation& a, const Evaluation& b) {
  return a.correct != b.correct ? a.correct > b.correct : a.loss < b.loss;
}

NamedTensors copies(const nn::Module& model) {
  NamedTensors out;
  for (const auto& [name, tensor] : nn::all_tensors(model)) out.add(name, tensor.clone());
  return out;
}

}  // namespace

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

TrainingRun::TrainingRun(nn::Module& model, const FinetuneOptions& o, const WeightFilter& filter, Dataset data,
                         Dataset validation, Generator generator)
    : model_(model), options_(o), data_(std::move(data)), validation_(std::move(validation)),
      generator_(std::move(generator)), slots_(attach_masks(model, filter)), optimizer_(make_optimizer(model, o)) {
  options_.batch = std::min(o.batch, data_.size());
  for (const nn::MaskedSlot& s : slots_) optimizer_->set_mask(s.original, s.mask);
  const std::int64_t steps = steps_per_epoch();
  const auto ramp_epochs = std::max<std::int64_t>(1, static_cast<std::int64_t>(o.ramp * static_cast<double>(o.epochs)));
  const auto ramp_steps = static_cast<std::int64_t>(std::min<std::uint64_t>(
      checked_mul(static_cast<std::uint64_t>(ramp_epochs), static_cast<std::uint64_t>(steps)).value_or(UINT64_MAX),
      INT64_MAX));
  schedule_ = {.initial = sparsity_of(slots_),
               .final = o.sparsity.value_or(0),
               .begin = 0,
               .end = std::max<std::int64_t>(1, ramp_steps - 1),
               .every = std::max<std::int64_t>(1, steps / o.updates_per_epoch)};
  ramping_ = o.sparsity.has_value();
  if (ramping_ && slots_.empty()) throw ValueError("[finetune] a sparsity is wanted, but no weight is chosen to be pruned");
}

/// Chooses the masks anew: the smallest weights of all slots together, pruned ones included.
void TrainingRun::raise_sparsity(double sparsity) {
  TensorList weights, masks;
  std::int64_t total = 0, pruned = 0;
  for (const nn::MaskedSlot& s : slots_) {
    weights.push_back(s.original.detach());
    masks.push_back(s.mask);
    total += s.mask.numel();
    pruned += s.mask.numel() - count_nonzero(s.mask);
  }
  // Only what is still there may go: a mask never opens again.
  const std::int64_t more = Amount(sparsity).of(total) - pruned;
  if (more <= 0) return;
  const TensorList chosen = select_masks(weights, {.count = more, .ties = options_.ties}, masks, masks[0].dtype());
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    slots_[i].mask.copy_(chosen[i]);
    optimizer_->set_mask(slots_[i].original, slots_[i].mask);
  }
}

std::int64_t TrainingRun::steps_per_epoch() const { return (data_.size() + options_.batch - 1) / options_.batch; }

/// One pass over the training data in random order. Returns the mean loss.
double TrainingRun::train_once() {
  const std::vector<std::int64_t> order = generator_.permutation(data_.size());
  double total = 0;
  for (std::int64_t at = 0; at < data_.size(); at += options_.batch) {
    const auto end = std::min(at + options_.batch, data_.size());
    const Dataset part = data_.subset({order.begin() + at, order.begin() + end});
    if (ramping_ && schedule_.changes_at(state_.step)) raise_sparsity(schedule_.at(state_.step));
    ++state_.step;
    optimizer_->zero_grad();
    const Tensor loss = cross_entropy(model_(part.x), part.y);
    const double value = loss.item<double>();
    if (!std::isfinite(value))
      throw ValueError(cat("[finetune] the loss became ", value, "; a smaller lr than ", optimizer_->lr(), " may help"));
    loss.backward();
    optimizer_->step();
    total += value * static_cast<double>(end - at);
  }
  return total / static_cast<double>(data_.size());
}

const EpochReport& TrainingRun::best_row() const {
  return state_.report.epochs[static_cast<std::size_t>(state_.report.best_epoch - 1)];
}

const EpochReport& TrainingRun::run_epoch() {
  FinetuneReport& report = state_.report;
  model_.train();
  EpochReport row;
  row.epoch = static_cast<std::int64_t>(report.epochs.size()) + 1;
  row.train_loss = train_once();
  const bool last = row.epoch == options_.epochs;
  if (ramping_ && last) raise_sparsity(schedule_.final);  // a run shorter than its ramp
  row.sparsity = sparsity_of(slots_);
  row.validation = evaluate(model_, validation_);
  const bool arrived = !ramping_ || state_.step > schedule_.end || last;
  row.best = arrived && (!state_.best || better(row.validation, best_row().validation));
  if (row.best) {
    state_.best = copies(model_);
    report.best_epoch = row.epoch;
  }
  report.epochs.push_back(row);
  return report.epochs.back();
}

bool TrainingRun::done() const {
  const auto epochs = static_cast<std::int64_t>(state_.report.epochs.size());
  return epochs >= options_.epochs ||
         (options_.patience > 0 && state_.best && epochs - state_.report.best_epoch >= options_.patience);
}

FinetuneReport TrainingRun::finish() {
  FinetuneReport& report = state_.report;
  report.stopped_early = static_cast<std::int64_t>(report.epochs.size()) < options_.epochs;
  if (state_.best) nn::load_state_dict(model_, *state_.best);
  else report.best_epoch = report.epochs.back().epoch;
  return report;
}

void TrainingRun::resume(State state, const Generator& generator) {
  const std::int64_t steps = steps_per_epoch();
  if (state.step != steps * static_cast<std::int64_t>(state.report.epochs.size()))
    throw ValueError(cat("step ", state.step, " after ", state.report.epochs.size(), " epochs of ", steps, " steps"));
  state_ = std::move(state);
  generator_ = generator;
  for (const nn::MaskedSlot& s : slots_) optimizer_->set_mask(s.original, s.mask);
}

}  // namespace coppice::sparsity
