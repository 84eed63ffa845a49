#pragma once
/// Multiplying a level every few epochs.

#include "coppice/sparsity/data/base_data_scheduler.h"

namespace coppice::sparsity {

/// Multiplies the setting by gamma whenever last_epoch is a multiple of step_size, but for 0. It multiplies what stands
/// there, so that it compounds and takes up what was set by hand; nothing is clamped: a level above 1 counts as 1. Data
/// without the setting are left alone.
/// Source: StepSLScheduler of PyTorch's test_callbacks.py
class StepSLScheduler final : public BaseDataScheduler {
 public:
  /// @throws ValueError  if step_size is below 1; and as BaseDataScheduler
  explicit StepSLScheduler(BaseDataSparsifier& data_sparsifier, const std::string& schedule_param = "sparsity_level",
                           std::int64_t step_size = 1, double gamma = 2, std::int64_t last_epoch = -1,
                           std::ostream* log = nullptr);

  [[nodiscard]] Arguments get_schedule_param() const override;
  [[nodiscard]] std::string_view type_name() const override { return "StepSLScheduler"; }
  [[nodiscard]] std::int64_t step_size() const { return step_size_; }
  [[nodiscard]] double gamma() const { return gamma_; }

 protected:
  [[nodiscard]] Arguments own_state() const override;
  void load_own_state(const Arguments& from) override;

 private:
  std::int64_t step_size_;
  double gamma_;
};

}  // namespace coppice::sparsity
