#pragma once
/// What can be done at the moments of a training, in a Trainer or in a loop of one's own.

#include <cstdint>
#include <exception>
#include <memory>
#include <vector>

#include "coppice/engine/random.h"
#include "coppice/nn/module.h"
#include "coppice/nn/optim.h"

namespace coppice::sparsity {

/// Where a training is. A loop of one's own fills in what its callbacks read.
struct TrainContext {
  nn::Module* model = nullptr;
  nn::Optimizer* optimizer = nullptr;
  Generator* generator = nullptr;  ///< that orders the samples
  std::int64_t epoch = 0;          ///< from 0
  std::int64_t epochs = 0;         ///< how many there are at most; 0: not known
  std::int64_t step = 0;           ///< batches that are done, of all epochs
  double loss = 0;                 ///< of the last batch; at the end of an epoch the mean over its samples
  bool stop = false;               ///< set by a callback: no further epoch begins
};

/// Base of callbacks; each function is called at the moment of its name and does nothing here.
///
/// Order of a training: fit_start, train_start, { epoch_start, { batch_start, batch_end }, epoch_end }, train_end,
/// fit_end. What throws skips the rest, but for on_exception().
/// Source: the callbacks of PyTorch Lightning, which torch.ao.pruning's are written for
class Callback {
 public:
  virtual ~Callback() = default;
  /// Before everything else; what an earlier training left behind is taken up here.
  virtual void on_fit_start(TrainContext& /*context*/) {}
  virtual void on_train_start(TrainContext& /*context*/) {}
  virtual void on_train_epoch_start(TrainContext& /*context*/) {}
  virtual void on_train_batch_start(TrainContext& /*context*/) {}
  virtual void on_train_batch_end(TrainContext& /*context*/) {}
  virtual void on_train_epoch_end(TrainContext& /*context*/) {}
  virtual void on_train_end(TrainContext& /*context*/) {}
  virtual void on_fit_end(TrainContext& /*context*/) {}
  virtual void on_exception(TrainContext& /*context*/, const std::exception_ptr& /*error*/) {}
};

/// Callbacks in the order in which they are called.
class CallbackList {
 public:
  using Hook = void (Callback::*)(TrainContext&);

  /// @throws ValueError  if it is null
  void add(std::shared_ptr<Callback> callback);
  [[nodiscard]] const std::vector<std::shared_ptr<Callback>>& all() const { return callbacks_; }
  /// Calls one function of all: `list.fire(&Callback::on_train_epoch_end, context)`.
  void fire(Hook hook, TrainContext& context) const;
  /// on_exception() of all. What one of them throws is dropped: the first error is the one to report.
  void fire_exception(TrainContext& context, const std::exception_ptr& error) const noexcept;

 private:
  std::vector<std::shared_ptr<Callback>> callbacks_;
};

/// One epoch of a loop of one's own: on_train_epoch_start when it is made, on_train_epoch_end in finish(). Leaving the
/// scope without finish(), as an error does, calls nothing.
class EpochScope {
 public:
  EpochScope(const CallbackList& callbacks, TrainContext& context);
  EpochScope(const EpochScope&) = delete;
  EpochScope& operator=(const EpochScope&) = delete;
  /// Ends the epoch; the context's counts it. @throws StateError  the second time
  void finish();

 private:
  const CallbackList& callbacks_;
  TrainContext& context_;
  bool finished_ = false;
};

}  // namespace coppice::sparsity
