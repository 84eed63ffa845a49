#pragma once
/// Comparison of tensors in tests, with PyTorch's tolerances for the element type and a message that shows where.

#include <cmath>
#include <optional>
#include <string>

#include "coppice/engine/tensor.h"

namespace coppice::testing {

/// Empty when `actual` has the shape and type of `expected` and every element is within the tolerance
/// (|a - e| <= atol + rtol * |e|; NaN equals NaN, -0 equals 0); otherwise what differs, and where first.
/// Without a tolerance: torch.testing's for the element type, integers exact.
/// Use as CHECK(differs(y, expected) == "").
inline std::string differs(const Tensor& actual, const Tensor& expected,
                           std::optional<Tolerance> tolerance = std::nullopt) {
  if (actual.shape() != expected.shape()) return cat("shape ", actual.shape(), " instead of ", expected.shape());
  if (actual.dtype() != expected.dtype()) return cat("type ", actual.dtype(), " instead of ", expected.dtype());
  const Tolerance t = tolerance.value_or(default_tolerance(expected.dtype()));
  // Integers as integers: a double does not hold every int64.
  if (!is_floating(expected.dtype())) {
    const auto a = actual.to_vector<std::int64_t>(), e = expected.to_vector<std::int64_t>();
    for (std::size_t i = 0; i < a.size(); ++i)
      if (a[i] != e[i]) return cat("element ", i, " of ", expected.shape(), " is ", a[i], " instead of ", e[i]);
    return {};
  }
  const auto a = actual.to_vector<double>(), e = expected.to_vector<double>();
  std::size_t wrong = 0, first = 0;
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const bool both_nan = std::isnan(a[i]) && std::isnan(e[i]);
    if (a[i] == e[i] || (both_nan && t.equal_nan) || std::abs(a[i] - e[i]) <= t.atol + t.rtol * std::abs(e[i])) {
      if (!std::isinf(e[i]) || a[i] == e[i]) continue;  // the tolerance of an infinity is infinite
    }
    if (wrong++ == 0) first = i;
    if (const double d = std::abs(a[i] - e[i]); !(d <= worst)) worst = d;
  }
  if (wrong == 0) return {};
  return cat(wrong, " of ", a.size(), " elements differ, by up to ", worst, "; the first is element ", first, " of ",
             expected.shape(), ": ", a[first], " instead of ", e[first]);
}

}  // namespace coppice::testing
