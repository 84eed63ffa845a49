#pragma once
// The smallest and largest values of a tensor. Private to the library.

#include <utility>

#include "coppice/engine/autograd.h"
#include "coppice/engine/tensor.h"

namespace coppice::nn::quant {

/// Of a tensor with at least one element; NaN if there is one.
struct Range {
  float min, max;
};
[[nodiscard]] Range range_of(const Tensor& x);

/// float32 [channels] each, along `axis`. @throws IndexError
struct Ranges {
  Tensor min, max;
};
[[nodiscard]] Ranges ranges_of(std::string_view op, const Tensor& x, std::int64_t axis);

/// Merges the ranges of one more batch into the buffers [channels]: min_of(old, new) and max_of(old, new) each.
/// The first batch is taken as it is. @throws ShapeError  naming `type`, for another number of channels
template <class Min, class Max>
void merge(Tensor min_val, Tensor max_val, const Ranges& now, Min min_of, Max max_of, std::string_view type) {
  const NoGrad guard;
  if (min_val.numel() == 0) {
    min_val.replace_(now.min);
    max_val.replace_(now.max);
    return;
  }
  if (min_val.shape() != now.min.shape() || max_val.shape() != now.min.shape())
    throw ShapeError(cat("[", type, "] observed ", min_val.numel(), " channels before, now ", now.min.numel()));
  const auto min = min_val.mutable_data<float>(), max = max_val.mutable_data<float>();
  const auto a = now.min.data<float>(), b = now.max.data<float>();
  for (std::size_t i = 0; i < min.size(); ++i) min[i] = min_of(min[i], a[i]), max[i] = max_of(max[i], b[i]);
}

}  // namespace coppice::nn::quant
