#include "coppice/sparsity/training/callbacks/last_good_state.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <utility>

#include "coppice/engine/dtype.h"
#include "coppice/engine/error.h"
#include "coppice/engine/warn.h"
#include "training_state.h"

namespace coppice::sparsity {
namespace {

bool is_finite(const Tensor& t) {
  if (!is_floating(t.dtype())) return true;
  return dispatch(t.dtype(), [&]<class T>() {
    return std::ranges::all_of(t.data<T>(), [](T value) { return std::isfinite(convert<double>(value)); });
  });
}

}  // namespace

void LastGoodState::add(Checkpoint::Part part) {
  if (!part.save || !part.load)
    throw ValueError("[LastGoodState] a part needs a function that saves and one that loads");
  parts_.push_back(std::move(part));
}

void LastGoodState::keep(const TrainContext& context, std::int64_t epochs) {
  const NamedTensors all = save_training(context, parts_);
  NamedTensors copy;
  for (const auto& [name, tensor] : all) {
    if (!is_finite(tensor)) return;
    copy.add(name, tensor.clone());
  }
  copy.metadata() = all.metadata();
  kept_ = std::move(copy);
  epochs_ = epochs;
}

void LastGoodState::on_train_start(TrainContext& context) {
  kept_.reset();
  epochs_ = -1;
  keep(context, context.epoch);
}

void LastGoodState::on_train_epoch_end(TrainContext& context) {
  if (std::isfinite(context.loss)) keep(context, context.epoch + 1);
}

void LastGoodState::on_exception(TrainContext& context, const std::exception_ptr&) {
  if (!kept_) return;
  try {
    load_training(*kept_, context, parts_);
  } catch (const std::exception& e) {  // who fires the hook hears of the first error alone
    warn(cat("[LastGoodState] the last good state is not restored: ", e.what()));
    kept_.reset();
    epochs_ = -1;
    throw;
  }
  context.epoch = epochs_;
}

}  // namespace coppice::sparsity
