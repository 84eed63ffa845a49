#pragma once
/// Levels that functions of the epoch scale.

#include <concepts>
#include <functional>
#include <optional>
#include <vector>

#include "coppice/engine/named_function.h"
#include "coppice/sparsity/scheduler/base.h"

namespace coppice::sparsity {

/// A factor as a function of the epoch. One that is registered is saved by its name, any other not at all.
class LevelFunction {
 public:
  using Function = std::function<double(std::int64_t epoch)>;

  /// @throws ValueError  if there is no function
  template <class F>
  requires std::convertible_to<F, Function> &&
      (!std::same_as<std::remove_cvref_t<F>, LevelFunction>)LevelFunction(F function)
      : function_(std::move(function)) {  // NOLINT: implicit, so that a lambda can be given
    check();
  }
  /// A registered double(std::int64_t). @throws KeyError, TypeError  as registered_function()
  LevelFunction(NamedFunction function);  // NOLINT

  [[nodiscard]] double operator()(std::int64_t epoch) const { return function_(epoch); }
  /// The name, or nothing.
  [[nodiscard]] const std::optional<NamedFunction>& name() const { return name_; }

 private:
  void check() const;

  Function function_;
  std::optional<NamedFunction> name_;
};

/// level = base_sl · f(epoch) for each group, not clamped: sparsifiers take 1 and more as all.
///
/// State, beside the base's: "sl_lambdas", from the number of the group to its function; nothing for those without a
/// name, of which the scheduler keeps its own when it loads.
/// Source: torch/ao/pruning/scheduler/lambda_scheduler.py, LambdaSL
class LambdaSL : public BaseScheduler {
 public:
  /// One function for all groups, or one for each. @throws ValueError  if there are others than groups; KeyError  as
  /// BaseScheduler; and what the functions throw
  LambdaSL(BaseSparsifier& sparsifier, LevelFunction sl_lambda, std::int64_t last_epoch = -1,
           std::ostream* verbose = nullptr);
  LambdaSL(BaseSparsifier& sparsifier, std::vector<LevelFunction> sl_lambda, std::int64_t last_epoch = -1,
           std::ostream* verbose = nullptr);
  [[nodiscard]] std::string_view type_name() const override { return "LambdaSL"; }

 protected:
  [[nodiscard]] std::vector<double> levels() const override;
  void save(Arguments& state) const override;
  void load(const Arguments& state) override;

 private:
  std::vector<LevelFunction> functions_;
};

}  // namespace coppice::sparsity
