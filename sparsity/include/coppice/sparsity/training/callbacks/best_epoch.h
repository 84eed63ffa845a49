#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "coppice/engine/io/named_tensors.h"
#include "coppice/sparsity/training/callback.h"
#include "coppice/sparsity/training/dataset.h"

namespace coppice::sparsity {

struct EpochReport {
  std::int64_t epoch = 0;  ///< from 1
  double train_loss = 0;
  double sparsity = 0;    ///< zeros among the entries of all masks after the epoch
  Evaluation validation;  ///< of the samples that choose the best epoch
  bool best = false;      ///< the best so far of those that may be
};

/// Evaluates the model after every epoch, keeps a copy of the best one, and leaves that in the model at the end: most
/// correct samples, then lowest loss; of equal ones the earlier.
class BestEpoch final : public Callback {
 public:
  using Evaluate = std::function<Evaluation(nn::Module&)>;
  using Eligible = std::function<bool(const TrainContext&)>;

  /// @param evaluate  such as evaluate() over samples that are held back
  /// @param eligible  whether an epoch may be the best, such as GradualPruning::arrived(); default: every one
  explicit BestEpoch(Evaluate evaluate, Eligible eligible = {});

  [[nodiscard]] const std::vector<EpochReport>& rows() const { return rows_; }
  /// Number of the best one, from 1; 0 while there is none.
  [[nodiscard]] std::int64_t best_epoch() const { return best_epoch_; }
  /// The model's tensors after it.
  [[nodiscard]] const std::optional<NamedTensors>& best() const { return best_; }
  /// Goes on from what an earlier training reported. @throws ValueError  if rows and tensors contradict each other
  void resume(std::vector<EpochReport> rows, std::optional<NamedTensors> best);

  void on_train_epoch_end(TrainContext& context) override;
  /// Puts the best epoch into the model; without one the model stays as it is.
  void on_fit_end(TrainContext& context) override;

 private:
  Evaluate evaluate_;
  Eligible eligible_;
  std::vector<EpochReport> rows_;
  std::int64_t best_epoch_ = 0;
  std::optional<NamedTensors> best_;
};

/// Stops a training when the last `patience` epochs brought no better one.
class EarlyStop final : public Callback {
 public:
  /// @param patience  0: never stops. @throws ValueError  if it is negative, or `best` null
  EarlyStop(std::shared_ptr<const BestEpoch> best, std::int64_t patience);
  void on_train_start(TrainContext& context) override { look(context); }
  void on_train_epoch_end(TrainContext& context) override { look(context); }

 private:
  void look(TrainContext& context) const;

  std::shared_ptr<const BestEpoch> best_;
  std::int64_t patience_;
};

}  // namespace coppice::sparsity
