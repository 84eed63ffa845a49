#pragma once
/// How much to prune: a number of units, or a fraction of them.

#include "coppice/engine/cxx20.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace coppice::sparsity {

/// A count (Amount(3)) or a fraction (Amount(0.3)); 1 means one unit and 1.0 everything.
class Amount {
 public:
  /// @throws ValueError  if it is negative
  Amount(std::int64_t count);  // NOLINT: implicit, so that l1_unstructured(m, "weight", 3) reads as in PyTorch
  Amount(int count) : Amount(std::int64_t{count}) {}  // NOLINT
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
  std::variant<std::int64_t, double> value_;
};

/// As parse() takes it: a fraction always has a point or an exponent.
[[nodiscard]] std::string to_string(const Amount& amount);

}  // namespace coppice::sparsity
