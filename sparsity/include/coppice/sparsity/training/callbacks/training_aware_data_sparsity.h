#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "coppice/sparsity/data/base_data_scheduler.h"
#include "coppice/sparsity/data/base_data_sparsifier.h"
#include "coppice/sparsity/training/callbacks/checkpoint.h"
#include "coppice/sparsity/training/callbacks/post_training_data_sparsity.h"

namespace coppice::sparsity {

/// Makes the scheduler of a training, of the sparsifier that has the model's data already.
/// `[](BaseDataSparsifier& s) { return std::make_unique<StepSLScheduler>(s, "sparsity_level", 1, 1.2); }`
using DataSchedulerFactory = std::function<std::unique_ptr<BaseDataScheduler>(BaseDataSparsifier&)>;

/// Steps a data sparsifier and its scheduler once per epoch, on a copy of the model as it is then. The model trains
/// without masks and stays as it is: only the schedule follows the training. After it the copy is pruned.
///
/// The masks of an epoch are of the level that the scheduler wrote at the end of the one before. Every training begins
/// anew, with a sparsifier and a scheduler of its own.
/// Source: torch/ao/pruning/_experimental/data_sparsifier/lightning/callbacks/data_sparsity.py
class TrainingAwareDataSparsity final : public Callback {
 public:
  /// @param select  as PostTrainingDataSparsity takes it
  /// @throws ValueError  without one of the factories
  TrainingAwareDataSparsity(DataSparsifierFactory data_sparsifier, DataSchedulerFactory data_scheduler,
                            WeightFilter select = {});
  ~TrainingAwareDataSparsity() override;

  // All are null before a training.
  [[nodiscard]] const std::shared_ptr<BaseDataSparsifier>& data_sparsifier() const { return data_sparsifier_; }
  [[nodiscard]] const std::shared_ptr<BaseDataScheduler>& data_scheduler() const { return data_scheduler_; }
  /// A copy of the model as it was after the last epoch; its parameters are masked at the end of the training.
  [[nodiscard]] const nn::ModulePtr& sparsified() const { return sparsified_; }
  /// The sparsifier's state after the last epoch; nothing before the first one ends.
  [[nodiscard]] const std::optional<DataSparsifierState>& data_sparsifier_state_dict() const { return state_; }

  /// State of sparsifier and scheduler for a Checkpoint, which stands behind this in the list of callbacks. This must
  /// outlive it.
  [[nodiscard]] Checkpoint::Part checkpoint_part();

  /// Makes everything anew. It stays what it was if it throws. @throws as PostTrainingDataSparsity::on_fit_end
  void on_train_start(TrainContext& context) override;
  /// Takes the state of the epoch before back, if there was one.
  void on_train_epoch_start(TrainContext& context) override;
  /// @throws StateError  before on_train_start(); and what sparsifier and scheduler throw
  void on_train_epoch_end(TrainContext& context) override;
  /// Masks the copy's parameters; nothing where that was done. @throws StateError  before on_train_start()
  void on_train_end(TrainContext& context) override;

 private:
  void start(const nn::Module& model, const Arguments* from, const Limits& limits = {});
  void check_started(const char* hook) const;

  DataSparsifierFactory make_sparsifier_;
  DataSchedulerFactory make_scheduler_;
  WeightFilter select_;
  std::shared_ptr<BaseDataSparsifier> data_sparsifier_;
  std::shared_ptr<BaseDataScheduler> data_scheduler_;
  nn::ModulePtr sparsified_;
  std::optional<DataSparsifierState> state_;
  bool resumed_ = false;  // a checkpoint has started this already
};

}  // namespace coppice::sparsity
