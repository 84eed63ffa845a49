#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "coppice/sparsity/scheduler/base.h"
#include "coppice/sparsity/sparsifier/base.h"
#include "coppice/sparsity/training/callbacks/checkpoint.h"

namespace coppice::sparsity {

/// Makes the sparsifier of a training: `[] { return std::make_unique<WeightNormSparsifier>(0.9, Block{16, 1}); }`
using SparsifierFactory = std::function<std::unique_ptr<BaseSparsifier>()>;
/// Makes its scheduler, when the model is prepared: the levels of the groups are what it leads to.
/// `[](BaseSparsifier& s) { return std::make_unique<CubicSL>(s, CubicSettings{.delta_t = 1, .total_t = 10}); }`
using SchedulerFactory = std::function<std::unique_ptr<BaseScheduler>(BaseSparsifier&)>;

struct SparsifierCallbackOptions {
  /// When the sparsifier steps, and after it the scheduler: as in PyTorch after epochs, or around single batches.
  enum class Moment { epoch_end, batch_start, batch_end } moment = Moment::epoch_end;
  std::int64_t every = 1;         ///< of these moments, counted over the whole training
  std::int64_t last = INT64_MAX;  ///< no step after so many moments
  /// What is prepared; nothing: what BaseSparsifier::prepare(model) takes.
  std::optional<SparsifierConfig> config = std::nullopt;
  bool squash = true;  ///< burn the masks in when all is done; else the model stays prepared
  /// What is zero at the start, and what a mask has pruned, stays so, whatever the sparsifier decides later.
  bool keep_pruned = false;
};

/// Prunes a model by a sparsifier while it trains: prepares it when the fitting starts, steps, and squashes at its end.
/// Weights train densely behind the masks, as in PyTorch, and gradients are masked. A training begins with a sparsifier
/// and a scheduler of its own.
///
/// Names of the model's tensors change when it is prepared and squashed: add this before callbacks that keep tensors by
/// name, such as Checkpoint, and behind BestEpoch if it squashes.
class SparsifierCallback final : public Callback {
 public:
  /// @param scheduler  none: the levels stay as they are
  /// @throws ValueError  without a sparsifier, and unless `every` is at least 1
  explicit SparsifierCallback(SparsifierFactory sparsifier, SchedulerFactory scheduler = {},
                              SparsifierCallbackOptions options = {});
  ~SparsifierCallback() override;

  // Null before a training. The scheduler is null if there is none.
  [[nodiscard]] const std::shared_ptr<BaseSparsifier>& sparsifier() const { return sparsifier_; }
  [[nodiscard]] const std::shared_ptr<BaseScheduler>& scheduler() const { return scheduler_; }

  /// State of both for a Checkpoint, which stands behind this in the list of callbacks. This must outlive it.
  [[nodiscard]] Checkpoint::Part checkpoint_part();

  /// @throws StateError  without a model, for one that no shared_ptr holds, and while masks of an earlier training
  ///         stand on a model; ValueError  for a factory that makes nothing; and what preparing throws; with nothing
  ///         changed
  void on_fit_start(TrainContext& context) override;
  // What sparsifier and scheduler throw; StateError  before on_fit_start().
  void on_train_batch_start(TrainContext& context) override;
  void on_train_batch_end(TrainContext& context) override;
  void on_train_epoch_end(TrainContext& context) override;
  /// Squashes, unless the masks are to stay or are gone already. @throws StateError  before on_fit_start()
  void on_fit_end(TrainContext& context) override;

 private:
  void at(SparsifierCallbackOptions::Moment moment, std::int64_t count);
  void step();
  void check_started(const char* hook) const;

  SparsifierFactory make_sparsifier_;
  SchedulerFactory make_scheduler_;
  SparsifierCallbackOptions options_;
  std::shared_ptr<BaseSparsifier> sparsifier_;
  std::shared_ptr<BaseScheduler> scheduler_;
};

}  // namespace coppice::sparsity
