#include "quant/ranges.h"

#include <algorithm>
#include <limits>
#include <mutex>

#include "coppice/engine/parallel.h"

namespace coppice::nn::quant {
namespace {

/// NaN wins and stays.
void widen(Range& r, float v) {
  if (!(v >= r.min)) r.min = v;
  if (!(v <= r.max)) r.max = v;
}
void take(Range& r, float v) {
  if (r.min != r.min) return;
  widen(r, v);
}

constexpr Range kNothing{std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()};

Range range_of(const float* x, std::int64_t n) {
  Range r = kNothing;
  for (std::int64_t i = 0; i < n; ++i) take(r, x[i]);
  return r;
}

}  // namespace

Range range_of(const Tensor& x) {
  const Tensor floats = x.detach().to(Dtype::f32);
  const float* from = floats.data<float>().data();
  Range all = kNothing;
  std::mutex mutex;
  parallel_for(floats.numel(), 1 << 15, [&](Rows r) {
    const Range part = range_of(from + r.begin, r.size());
    const std::lock_guard lock(mutex);  // minima and maxima do not depend on the order
    take(all, part.min);
    take(all, part.max);
  });
  return all;
}

Ranges ranges_of(std::string_view op, const Tensor& x, std::int64_t axis) {
  if (axis < 0 || axis >= x.dim()) throw IndexError(cat("[", op, "] there is no axis ", axis, " in ", x.shape()));
  const Tensor floats = x.detach().to(Dtype::f32);
  std::int64_t outer = 1, inner = 1;
  for (std::int64_t i = 0; i < axis; ++i) outer *= x.size(i);
  for (std::int64_t i = axis + 1; i < x.dim(); ++i) inner *= x.size(i);
  const std::int64_t channels = x.size(axis);
  Ranges out{Tensor::empty({channels}), Tensor::empty({channels})};
  const auto min = out.min.mutable_data<float>(), max = out.max.mutable_data<float>();
  const float* from = floats.data<float>().data();
  parallel_for(channels, 1 + (1 << 15) / std::max<std::int64_t>(1, outer * inner), [&](Rows rows) {
    for (std::int64_t c = rows.begin; c < rows.end; ++c) {
      Range r = kNothing;
      for (std::int64_t o = 0; o < outer; ++o) {
        const Range part = range_of(from + (o * channels + c) * inner, inner);
        take(r, part.min);
        take(r, part.max);
      }
      min[static_cast<std::size_t>(c)] = r.min;
      max[static_cast<std::size_t>(c)] = r.max;
    }
  });
  return out;
}

}  // namespace coppice::nn::quant
