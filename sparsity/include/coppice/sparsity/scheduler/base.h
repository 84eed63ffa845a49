#pragma once
/// The base of all schedulers: the sparsity levels of a sparsifier's groups, epoch by epoch.

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "coppice/sparsity/sparsifier/base.h"

namespace coppice::sparsity {

/// Writes "sparsity_level" of each group once per epoch: call step() after the sparsifier's step().
///
/// A scheduler of one's own derives from this, calls start() at the end of its constructor, and writes levels(). What
/// the groups hold when it is made are the levels that it works towards (base_sl): a second scheduler takes those where
/// the first one is, and starting it overwrites the groups at once. The sparsifier must outlive it.
/// Source: torch/ao/pruning/scheduler/base_scheduler.py, BaseScheduler
class BaseScheduler {
 public:
  virtual ~BaseScheduler() = default;
  BaseScheduler(const BaseScheduler&) = delete;
  BaseScheduler& operator=(const BaseScheduler&) = delete;
  /// The class name in texts.
  [[nodiscard]] virtual std::string_view type_name() const { return "Scheduler"; }

  /// The next epoch: its levels go to the groups, in their order. Where there are fewer levels than groups, or more,
  /// the rest is left alone. Turns the sparsifier's updates on. Warns if it is the first step after the start, and the
  /// sparsifier has made none since.
  /// @param epoch  for the printed line alone
  /// @throws KeyError  if a group has no sparsity_level; StateError  if the constructor did not call start(); and what
  ///         levels() throws; nothing has changed then
  void step(std::optional<std::int64_t> epoch = std::nullopt);

  /// The levels of all groups after the last step.
  [[nodiscard]] const std::vector<double>& get_last_sl() const { return last_sl_; }
  /// Computes the levels of this epoch anew, and warns that get_last_sl() is meant.
  [[nodiscard]] std::vector<double> get_sl() const;

  [[nodiscard]] BaseSparsifier& sparsifier() const { return *sparsifier_; }
  [[nodiscard]] const std::vector<double>& base_sl() const { return base_sl_; }
  [[nodiscard]] std::int64_t last_epoch() const { return last_epoch_; }
  /// Steps of this scheduler, the one of start() included.
  [[nodiscard]] std::int64_t step_count() const { return step_count_; }

  /// "base_sl", "last_epoch", "_step_count", "_last_sl", and what a derived class adds; not the sparsifier.
  [[nodiscard]] Arguments state_dict() const;
  /// Takes a state over. The groups keep their levels until the next step.
  /// @throws KeyError, TypeError, ValueError  for a state of another scheduler, or another number of groups; with
  ///         nothing changed
  void load_state_dict(const Arguments& state);

 protected:
  /// @param last_epoch  the epoch before the first
  /// @param verbose     gets a line per group and step; null for none
  /// @throws KeyError  if a group has no sparsity_level
  explicit BaseScheduler(BaseSparsifier& sparsifier, std::int64_t last_epoch = -1, std::ostream* verbose = nullptr);
  /// The first step. Constructors cannot leave it to the base: it needs levels() of the derived class.
  void start();

  /// The level of each group at last_epoch().
  [[nodiscard]] virtual std::vector<double> levels() const = 0;
  /// Adds to a state what a derived class knows.
  virtual void save(Arguments& /*state*/) const {}
  /// Takes it back. It must change nothing if it throws.
  virtual void load(const Arguments& /*state*/) {}

 private:
  void print(std::size_t group, double level, std::optional<std::int64_t> epoch) const;
  void advance(std::optional<std::int64_t> epoch);

  BaseSparsifier* sparsifier_;
  std::ostream* verbose_;
  std::vector<double> base_sl_;
  std::vector<double> last_sl_;
  std::int64_t last_epoch_;
  std::int64_t step_count_ = 0;
};

/// Class name, the sparsifier's text, and base_sl, as PyTorch prints a scheduler.
[[nodiscard]] std::string to_string(const BaseScheduler& scheduler);

}  // namespace coppice::sparsity
