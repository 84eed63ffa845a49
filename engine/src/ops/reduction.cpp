#include "ops/reduction.h"

#include <algorithm>
#include <numeric>

#include "broadcast.h"

namespace coppice::detail {

Reduction arrange(const char* op, const Tensor& t, const Axes& axes, bool keepdim) {
  const auto rank = static_cast<std::size_t>(t.dim());
  std::vector<bool> hit(rank, axes.empty());
  for (const std::int64_t axis : axes) {
    const auto i = static_cast<std::size_t>(resolve_axis(op, axis, t.dim()));
    if (rank == 0) continue;  // a scalar reduced over its imaginary axis
    if (hit[i]) throw ValueError(cat("[", op, "] axis ", axis, " is named twice"));
    hit[i] = true;
  }

  Reduction plan;
  std::vector<std::int64_t> keep(rank), result, kept, gone;
  for (std::size_t i = 0; i < rank; ++i) {
    const std::int64_t size = t.size(static_cast<std::int64_t>(i));
    keep[i] = hit[i] ? 1 : size;
    if (!hit[i]) result.push_back(size);
    (hit[i] ? gone : kept).push_back(static_cast<std::int64_t>(i));
  }
  plan.keep = Shape(keep);
  plan.result = keepdim ? plan.keep : Shape(result);

  const bool neighbours = gone.empty() || gone.back() - gone.front() + 1 == static_cast<std::int64_t>(gone.size());
  plan.source = t.detach();
  if (neighbours) {
    for (std::size_t i = 0; i < rank; ++i) {
      const std::int64_t size = t.size(static_cast<std::int64_t>(i));
      if (hit[i])
        plan.reduced *= size;
      else if (!gone.empty() && static_cast<std::int64_t>(i) > gone.back())
        plan.inner *= size;
      else
        plan.outer *= size;
    }
    return plan;
  }
  for (const std::int64_t axis : kept) plan.outer *= t.size(axis);
  for (const std::int64_t axis : gone) plan.reduced *= t.size(axis);
  kept.insert(kept.end(), gone.begin(), gone.end());
  plan.source = permuted(plan.source, kept);
  return plan;
}

}  // namespace coppice::detail
