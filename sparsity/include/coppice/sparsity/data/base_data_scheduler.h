#pragma once
/// Changing one setting of all data of a sparsifier from step to step.

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>

#include "coppice/engine/arguments.h"
#include "coppice/sparsity/data/base_data_sparsifier.h"

namespace coppice::sparsity {

/// Counts epochs, and writes what get_schedule_param() gives into the settings of the data. Per epoch the sparsifier
/// steps, then the scheduler: what it writes takes effect in the next epoch.
///
/// A class of one's own gives get_schedule_param() and calls start() at the end of its constructor. The sparsifier must
/// outlive it. A call that throws changes nothing.
/// Source: torch/ao/pruning/_experimental/data_scheduler/base_data_scheduler.py
class BaseDataScheduler {
 public:
  virtual ~BaseDataScheduler() = default;
  BaseDataScheduler(const BaseDataScheduler&) = delete;
  BaseDataScheduler& operator=(const BaseDataScheduler&) = delete;

  /// The values of the next step by the names of data, all or some of them. Within step() last_epoch() is that of the
  /// step already; who calls it elsewhere is warned by within_step().
  [[nodiscard]] virtual Arguments get_schedule_param() const = 0;

  /// One epoch further: writes the values, and turns the sparsifier's enable_mask_update on. The first call after
  /// the scheduler was made warns if the sparsifier has not stepped since.
  /// @throws StateError  before start(); KeyError  for a name that the sparsifier has not, or whose datum has no such
  ///         setting; and what get_schedule_param() throws
  void step();

  [[nodiscard]] const BaseDataSparsifier& data_sparsifier() const { return *sparsifier_; }
  [[nodiscard]] const std::string& schedule_param() const { return schedule_param_; }
  [[nodiscard]] std::int64_t last_epoch() const { return last_epoch_; }
  /// Steps so far, the one of the constructor among them.
  [[nodiscard]] std::int64_t step_count() const { return step_count_; }
  /// The setting of each datum when the scheduler was made; nothing where it had none.
  [[nodiscard]] const Arguments& base_param() const { return base_param_; }
  /// The setting of each datum after the last step; nothing where it has none.
  [[nodiscard]] const Arguments& get_last_param() const { return last_param_; }

  /// Under PyTorch's names, with those of own_state(). The sparsifier's state is not in it: load that first.
  [[nodiscard]] Arguments state_dict() const;
  /// Writes nothing into the sparsifier.
  /// @throws KeyError  for a value that is missing or unknown, and for a name that neither is a datum of the sparsifier
  ///         nor was one of this scheduler; TypeError  for a value of another kind; ValueError  for a setting that none
  ///         of the data has, an epoch or count beyond 2^53; and what load_own_state() throws
  void load_state_dict(const Arguments& from);

  /// The name of the class in texts.
  [[nodiscard]] virtual std::string_view type_name() const { return "BaseDataScheduler"; }

 protected:
  /// @param schedule_param  the setting that changes, such as "sparsity_level"
  /// @param last_epoch      the epoch before the first one; what the settings are is not computed from it
  /// @param log             where step() writes a line for each value; null for nowhere
  /// @throws ValueError  if there are data and none of them has that setting, or for an epoch beyond 2^53
  BaseDataScheduler(BaseDataSparsifier& data_sparsifier, std::string schedule_param, std::int64_t last_epoch = -1,
                    std::ostream* log = nullptr);
  /// The first step, which every scheduler has behind it when it is made. Resets the sparsifier's count of steps.
  void start();
  /// The setting of a datum as it is now. @throws ValueError  for an unknown name; KeyError  if it has none
  [[nodiscard]] double current(std::string_view name) const;
  /// False, with a warning that the values of the last step are those of get_last_param(), outside of step().
  bool within_step() const;  // NOLINT: called for the warning too

  /// What a class adds to the state; and takes back, once all that the base reads is known to be good. Values under
  /// other names than these are refused before.
  [[nodiscard]] virtual Arguments own_state() const { return {}; }
  virtual void load_own_state(const Arguments& /*from*/) {}

 private:
  void advance();

  BaseDataSparsifier* sparsifier_;
  std::string schedule_param_;
  std::int64_t last_epoch_;
  std::ostream* log_;
  std::int64_t step_count_ = 0;
  bool stepping_ = false;
  Arguments base_param_, last_param_;
};

/// As PyTorch prints it: the class, the sparsifier, the setting with its first values.
[[nodiscard]] std::string to_string(const BaseDataScheduler& scheduler);

}  // namespace coppice::sparsity
