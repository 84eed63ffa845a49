#pragma once
/// How much to prune: a number of units, or a fraction of them.

#include "coppice/engine/cxx20.h"

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

namespace coppice::sparsity {

/// A count (Amount(3)) or a fraction (Amount(0.3)); 1 means one unit and 1.0 everything.
class Amount {
 public:
  /// A count, of any integer type; true counts as 1, as in PyTorch.
  /// @throws ValueError  if it is negative or above INT64_MAX
  template <std::integral T>
  Amount(T count)  // NOLINT: implicit, so that l1_unstructured(m, "weight", 3) reads as in PyTorch
      : value_(
            checked(static_cast<std::conditional_t<std::unsigned_integral<T>, std::uint64_t, std::int64_t>>(count))) {}
  /// @throws ValueError  unless 0 <= fraction <= 1; NaN is refused
  Amount(double fraction);  // NOLINT

  /// "3" is a count; "0.3", "1.", "3e-1" are fractions. @throws ValueError  for anything else
  [[nodiscard]] static Amount parse(std::string_view text);

  /// Units to prune out of `units`: the count itself, or fraction * units rounded half to even, as Python's round.
  /// @throws ValueError  if a count exceeds `units`
  /// Source: torch/nn/utils/prune.py, _compute_nparams_toprune and _validate_pruning_amount
  [[nodiscard]] std::int64_t of(std::int64_t units) const;

  [[nodiscard]] bool is_count() const { return std::holds_alternative<std::int64_t>(value_); }
  /// The count or the fraction as a number.
  [[nodiscard]] double number() const;

 private:
  [[nodiscard]] static std::int64_t checked(std::int64_t count);
  [[nodiscard]] static std::int64_t checked(std::uint64_t count);

  std::variant<std::int64_t, double> value_;
};

/// As parse() takes it: a fraction always has a point or an exponent.
[[nodiscard]] std::string to_string(const Amount& amount);

}  // namespace coppice::sparsity
