#pragma once
/// Levels along a cubic curve, steep first and flat at the end.

#include <initializer_list>
#include <utility>
#include <vector>

#include "coppice/sparsity/scheduler/base.h"

namespace coppice::sparsity {

/// One value for all groups, or one for each.
template <class T>
class PerGroup {
 public:
  PerGroup(T value) : values_{value}, same_(true) {}               // NOLINT: implicit, as in PyTorch
  PerGroup(std::vector<T> values) : values_(std::move(values)) {}  // NOLINT
  PerGroup(std::initializer_list<T> values) : values_(values) {}   // NOLINT
  /// @throws ValueError  if there are other than `groups` values
  [[nodiscard]] std::vector<T> of(std::size_t groups, const char* name) const {
    if (same_) return std::vector<T>(groups, values_.front());
    if (values_.size() != groups)
      throw ValueError(cat("[CubicSL] ", name, " has ", values_.size(), " values for ", groups, " groups"));
    return values_;
  }

 private:
  std::vector<T> values_;
  bool same_ = false;
};

struct CubicSettings {
  PerGroup<double> init_sl = 0.0;   ///< level up to init_t
  PerGroup<double> init_t = 0.0;    ///< epoch at which the ramp begins
  PerGroup<double> delta_t = 10.0;  ///< the ramp takes delta_t · total_t epochs; levels change in each of them
  PerGroup<double> total_t = 100.0;
  PerGroup<bool> initially_zero = false;  ///< level 0, not init_sl, before init_t
};

/// level = sf + (s0 − sf)(1 − (t − t0)/(delta_t · total_t))³, kept between s0 = init_sl and sf = base_sl, for epoch t
/// and t0 = init_t. Where s0 is above sf the level stays at s0, as in PyTorch.
///
/// A scheduler that is new begins at once: with the defaults the levels are 0 then. For training in steps see
/// CubicSchedule (scheduler/cubic_schedule.h), which finetune() takes.
/// Source: torch/ao/pruning/scheduler/cubic_scheduler.py, CubicSL
class CubicSL : public BaseScheduler {
 public:
  /// @throws ValueError  for a list of another length than groups, for NaN, and if delta_t · total_t is 0; KeyError  as
  ///         BaseScheduler
  explicit CubicSL(BaseSparsifier& sparsifier, const CubicSettings& settings = {}, std::int64_t last_epoch = -1,
                   std::ostream* verbose = nullptr);
  [[nodiscard]] std::string_view type_name() const override { return "CubicSL"; }

 protected:
  [[nodiscard]] std::vector<double> levels() const override;
  void save(Arguments& state) const override;
  void load(const Arguments& state) override;

 private:
  /// The settings, a value per group.
  struct Curves {
    std::vector<double> init_sl, init_t, delta_t, total_t;
    std::vector<bool> initially_zero;
    void check(std::size_t groups) const;
  };
  Curves curves_;
};

}  // namespace coppice::sparsity
