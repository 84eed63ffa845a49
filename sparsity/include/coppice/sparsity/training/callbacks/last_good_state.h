#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "coppice/engine/io/named_tensors.h"
#include "coppice/sparsity/training/callbacks/checkpoint.h"

namespace coppice::sparsity {

/// Keeps a copy of the training as it was at its start and after every epoch since whose loss and tensors are finite;
/// where a training ends by an error, such as a loss that is NaN, it leaves that copy: the model, the optimiser, both
/// random states, the position, and the parts that others add. Costs one copy of all of them per epoch.
///
/// Add it behind the callbacks whose state it keeps, so that it sees them after the epoch. A Checkpoint does the same
/// in a file, for another process.
class LastGoodState final : public Callback {
 public:
  /// State of somebody else, such as SparsifierCallback::checkpoint_part(). @throws ValueError  if a function is
  /// missing
  void add(Checkpoint::Part part);
  /// Epochs that the kept state has behind it; -1 while there is none.
  [[nodiscard]] std::int64_t epochs() const { return epochs_; }

  void on_train_start(TrainContext& context) override;
  void on_train_epoch_end(TrainContext& context) override;
  /// Where the state cannot be restored, a warning says so, the training stays as it is, as far as parts keep it, and
  /// epochs() is -1. @throws what parts throw
  void on_exception(TrainContext& context, const std::exception_ptr& error) override;

 private:
  void keep(const TrainContext& context, std::int64_t epochs);

  std::vector<Checkpoint::Part> parts_;
  std::optional<NamedTensors> kept_;
  std::int64_t epochs_ = -1;
};

}  // namespace coppice::sparsity
