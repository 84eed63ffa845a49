#pragma once
// Materialised broadcasting and its gradient. Private to the engine.

#include "coppice/engine/tensor.h"

namespace coppice {

/// `t` repeated to `shape`; `t` itself when the shapes are equal. Not differentiable.
[[nodiscard]] Tensor expand(const Tensor& t, const Shape& shape);

/// The reverse of expand: `t` summed over the axes along which `shape` has size 1 or none.
[[nodiscard]] Tensor sum_to(const Tensor& t, const Shape& shape);

/// `t` with its axes in the order `axes`. Not differentiable.
[[nodiscard]] Tensor permuted(const Tensor& t, std::span<const std::int64_t> axes);

}  // namespace coppice
