#include "coppice/sparsity/training/callback.h"

#include <utility>

#include "coppice/engine/error.h"

namespace coppice::sparsity {

void CallbackList::add(std::shared_ptr<Callback> callback) {
  if (callback == nullptr) throw ValueError("[CallbackList] a callback must not be null");
  callbacks_.push_back(std::move(callback));
}

void CallbackList::fire(Hook hook, TrainContext& context) const {
  for (const auto& callback : callbacks_) ((*callback).*hook)(context);
}

void CallbackList::fire_exception(TrainContext& context, const std::exception_ptr& error) const noexcept {
  for (const auto& callback : callbacks_) {
    try {
      callback->on_exception(context, error);
    } catch (...) {  // the first error is the one that the caller gets
    }
  }
}

EpochScope::EpochScope(const CallbackList& callbacks, TrainContext& context)
    : callbacks_(callbacks), context_(context) {
  callbacks_.fire(&Callback::on_train_epoch_start, context_);
}

void EpochScope::finish() {
  if (finished_) throw StateError("[EpochScope] finish() was called before");
  finished_ = true;
  callbacks_.fire(&Callback::on_train_epoch_end, context_);
  ++context_.epoch;
}

}  // namespace coppice::sparsity
