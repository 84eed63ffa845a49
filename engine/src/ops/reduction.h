#pragma once
// How a reduction over any axes becomes a loop over (outer, reduced, inner). Private to the engine.

#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/parallel.h"

namespace coppice::detail {

/// A tensor arranged so that the reduced axes are neighbours: element (o, r, i) lies at (o * reduced + r) * inner + i.
struct Reduction {
  Tensor source;  // contiguous, permuted if it had to be
  Shape result;   // with or without the reduced axes
  Shape keep;     // with size 1 in place of the reduced axes: broadcasts against the input
  std::int64_t outer = 1;
  std::int64_t reduced = 1;
  std::int64_t inner = 1;
};

/// @throws IndexError, ValueError  as the public reductions do
[[nodiscard]] Reduction arrange(const char* op, const Tensor& t, const Axes& axes, bool keepdim);

/// A strided row of elements.
template <class T>
struct Line {
  const T* first;
  std::int64_t count;
  std::int64_t stride;
  [[nodiscard]] T operator[](std::int64_t i) const { return first[i * stride]; }
};

/// y[o, i] = f(line of the reduced elements).
template <class T, class Y, class F>
Tensor reduce_lines(const Reduction& plan, F f) {
  Tensor y = Tensor::empty(plan.result, dtype_of<Y>);
  const T* from = plan.source.data<T>().data();
  Y* to = y.mutable_data<Y>().data();
  const std::int64_t grain = 1 + (1 << 15) / (plan.reduced + 1);
  parallel_for(plan.outer * plan.inner, grain, [&](Rows rows) {
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const std::int64_t o = row / plan.inner;
      const std::int64_t i = row % plan.inner;
      to[row] = f(Line<T>{from + o * plan.reduced * plan.inner + i, plan.reduced, plan.inner});
    }
  });
  return y;
}

}  // namespace coppice::detail
