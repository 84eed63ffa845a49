#pragma once
// One run of fine-tuning, epoch by epoch, with everything that a checkpoint of it must hold. Private to sparsity.

#include <memory>
#include <optional>

#include "coppice/engine/random.h"
#include "coppice/nn/masked.h"
#include "coppice/nn/optim.h"
#include "coppice/sparsity/scheduler/cubic_schedule.h"
#include "coppice/sparsity/training/finetune.h"

namespace coppice::sparsity {

/// Masks every chosen weight by its zeros, unless it has a mask already. Returns all masked weights.
std::vector<nn::MaskedSlot> attach_masks(nn::Module& model, const WeightFilter& filter);

/// Trains `model`, which the caller throws away if this throws.
class TrainingRun {
 public:
  TrainingRun(nn::Module& model, const FinetuneOptions& options, const WeightFilter& filter, Dataset data,
              Dataset validation, Generator generator);

  /// All epochs are done, or none was better for as long as patience allows.
  [[nodiscard]] bool done() const;
  /// One more epoch.
  const EpochReport& run_epoch();
  /// Puts the best epoch into the model.
  FinetuneReport finish();

  /// What a checkpoint holds beside the model: it is all that run_epoch() and finish() depend on.
  struct State {
    std::int64_t step = 0;  ///< optimiser steps so far
    FinetuneReport report;
    std::optional<NamedTensors> best;  ///< copies of the model's tensors
  };
  [[nodiscard]] const State& state() const { return state_; }
  [[nodiscard]] const Generator& generator() const { return generator_; }
  [[nodiscard]] nn::Optimizer& optimizer() { return *optimizer_; }
  [[nodiscard]] nn::Module& model() { return model_; }
  /// Goes on from a state whose model and optimiser are restored already.
  /// @throws ValueError  if the step and the number of epochs contradict each other
  void resume(State state, const Generator& generator);

 private:
  [[nodiscard]] std::int64_t steps_per_epoch() const;
  double train_once();
  void raise_sparsity(double sparsity);
  [[nodiscard]] const EpochReport& best_row() const;

  nn::Module& model_;
  FinetuneOptions options_;
  Dataset data_, validation_;
  Generator generator_;
  std::vector<nn::MaskedSlot> slots_;
  std::unique_ptr<nn::Optimizer> optimizer_;
  CubicSchedule schedule_;
  bool ramping_ = false;
  State state_;
};

}  // namespace coppice::sparsity
