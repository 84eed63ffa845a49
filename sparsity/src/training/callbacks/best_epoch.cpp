#include "coppice/sparsity/training/callbacks/best_epoch.h"

#include <utility>

#include "coppice/engine/error.h"
#include "coppice/nn/masks/families.h"
#include "coppice/nn/state_dict.h"
#include "coppice/sparsity/training/callbacks/gradual_pruning.h"

namespace coppice::sparsity {
namespace {

bool better(const Evaluation& a, const Evaluation& b) {
  return a.correct != b.correct ? a.correct > b.correct : a.loss < b.loss;
}

NamedTensors copies(const nn::Module& model) {
  NamedTensors out;
  for (const auto& [name, tensor] : nn::all_tensors(model)) out.add(name, tensor.clone());
  return out;
}

}  // namespace

BestEpoch::BestEpoch(Evaluate evaluate, Eligible eligible)
    : evaluate_(std::move(evaluate)), eligible_(std::move(eligible)) {
  if (!evaluate_) throw ValueError("[BestEpoch] needs a function that evaluates the model");
}

void BestEpoch::resume(std::vector<EpochReport> rows, std::optional<NamedTensors> best) {
  std::int64_t best_epoch = 0;
  for (const EpochReport& row : rows)
    if (row.best) best_epoch = row.epoch;
  if ((best_epoch > 0) != best.has_value())
    throw ValueError(
        cat("[BestEpoch] the best epoch is ", best_epoch, "; its tensors are ", best ? "" : "not ", "there"));
  rows_ = std::move(rows);
  best_ = std::move(best);
  best_epoch_ = best_epoch;
}

void BestEpoch::on_train_epoch_end(TrainContext& context) {
  EpochReport row;
  row.epoch = context.epoch + 1;
  row.train_loss = context.loss;
  row.sparsity = sparsity_of(nn::masks_in(*context.model));
  row.validation = evaluate_(*context.model);
  const bool may = !eligible_ || eligible_(context);
  row.best = may && (!best_ || better(row.validation, rows_[static_cast<std::size_t>(best_epoch_ - 1)].validation));
  if (row.best) {
    best_ = copies(*context.model);
    best_epoch_ = row.epoch;
  }
  rows_.push_back(row);
}

void BestEpoch::on_fit_end(TrainContext& context) {
  if (best_) nn::load_state_dict(*context.model, *best_);
}

EarlyStop::EarlyStop(std::shared_ptr<const BestEpoch> best, std::int64_t patience)
    : best_(std::move(best)), patience_(patience) {
  if (best_ == nullptr) throw ValueError("[EarlyStop] needs the callback that knows the best epoch");
  if (patience_ < 0) throw ValueError(cat("[EarlyStop] patience must be at least 0; got ", patience_));
}

void EarlyStop::look(TrainContext& context) const {
  const auto epochs = static_cast<std::int64_t>(best_->rows().size());
  if (patience_ > 0 && best_->best() && epochs - best_->best_epoch() >= patience_) context.stop = true;
}

}  // namespace coppice::sparsity
