#pragma once
/// Reductions over all or some axes, under PyTorch's names (max and min are amax and amin). Cost: one pass; axes that
/// are not neighbours are brought together by a copy first.

#include <limits>
#include <optional>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "coppice/engine/norm_order.h"
#include "coppice/engine/tensor.h"

namespace coppice {

/// Axes of a reduction: negative ones count from the end; empty means all axes.
using Axes = std::vector<std::int64_t>;

/// Sums. Integers and bool sum as int64; f16 and bf16 accumulate in float. `keepdim` leaves size 1 in place of a
/// reduced axis. The order of additions depends on the shape alone, not on the number of threads.
/// @throws IndexError  for an axis that does not exist; ValueError for one named twice
[[nodiscard]] Tensor sum(const Tensor& t, const Axes& axes = {}, bool keepdim = false);
/// Sum / number of elements. @throws DtypeError  unless `t` is floating
[[nodiscard]] Tensor mean(const Tensor& t, const Axes& axes = {}, bool keepdim = false);
/// Variance with `correction` subtracted from the divisor (1: unbiased). @throws DtypeError  unless `t` is floating
[[nodiscard]] Tensor var(const Tensor& t, const Axes& axes = {}, std::int64_t correction = 1, bool keepdim = false);

/// Extremes; NaN wins. The gradient is shared equally by all elements that attain the extreme, as torch.amax.
/// @throws ValueError  on an empty reduction
[[nodiscard]] Tensor max(const Tensor& t, const Axes& axes = {}, bool keepdim = false);
[[nodiscard]] Tensor min(const Tensor& t, const Axes& axes = {}, bool keepdim = false);
/// Position of the first largest element along `axis`, int64; NaN is the largest. @throws ValueError  if it is empty
[[nodiscard]] Tensor argmax(const Tensor& t, std::int64_t axis = -1, bool keepdim = false);
[[nodiscard]] Tensor argmin(const Tensor& t, std::int64_t axis = -1, bool keepdim = false);

/// Truth of elements ("is not zero") over all or some axes: bool tensors.
[[nodiscard]] Tensor any(const Tensor& t, const Axes& axes = {}, bool keepdim = false);
[[nodiscard]] Tensor all(const Tensor& t, const Axes& axes = {}, bool keepdim = false);
[[nodiscard]] std::int64_t count_nonzero(const Tensor& t);

/// torch.norm: p > 0 (Σ|a|^p)^(1/p); 0 counts non-zeros; ±infinity the largest or smallest |a|; p < 0 the same
/// formula, 0 as soon as one entry is 0; NaN among several entries gives NaN. `fro` takes at most 2 axes, `nuc` (sum of
/// singular values) exactly 2. An empty reduction gives 0, one entry its |a| exactly. Gradients for p = 1 and p = 2 and
/// `fro`. Computed in double whatever the type of `t`, and scaled where powers leave the range of a double: a result is
/// infinite only where the norm, or an entry, exceeds the type of `t`.
/// @throws DtypeError  unless `t` is floating; ValueError  for a word with the wrong number of axes
/// Source: torch.norm as described in torch/functional.py
[[nodiscard]] Tensor norm(const Tensor& t, NormOrder order = 2, const Axes& axes = {}, bool keepdim = false);

}  // namespace coppice
