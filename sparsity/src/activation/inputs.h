#pragma once
// What the hooks of an activation sparsifier do to tensors. Private to sparsity.

#include <cstdint>
#include <optional>
#include <vector>

#include "coppice/engine/tensor.h"

namespace coppice::sparsity {

/// Where masks of their own apply.
struct FeatureAxis {
  std::vector<std::int64_t> features;
  std::int64_t dim = 0;
};

/// x[..., feature, ...] of each feature, the axis kept with size 1. @throws IndexError
[[nodiscard]] TensorList slices_of(const Tensor& x, const FeatureAxis& axis);

/// x with the slice of each feature times its mask, in the type of x; the gradient is the masks times the incoming one.
/// @param masks  one per feature, each broadcasts to its slice
/// @throws IndexError; ShapeError
[[nodiscard]] Tensor with_masked_slices(const Tensor& x, const TensorList& masks, const FeatureAxis& axis);
/// The same, written into x. @throws StateError  if x requires grad and grad mode is on
void mask_slices_(Tensor x, const TensorList& masks, const FeatureAxis& axis);

}  // namespace coppice::sparsity
