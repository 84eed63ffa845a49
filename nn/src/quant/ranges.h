#pragma once
// The smallest and largest values of a tensor. Private to the library.

#include <utility>

#include "coppice/engine/tensor.h"

namespace coppice::nn::quant {

/// float32 [] each, of a tensor with at least one element; NaN if there is one.
struct Range {
  float min, max;
};
[[nodiscard]] Range range_of(const Tensor& x);

/// float32 [channels] each, along `axis`. @throws IndexError
struct Ranges {
  Tensor min, max;
};
[[nodiscard]] Ranges ranges_of(std::string_view op, const Tensor& x, std::int64_t axis);

}  // namespace coppice::nn::quant
