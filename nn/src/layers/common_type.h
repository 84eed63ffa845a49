#pragma once
// Layers whose tensors are of another floating type than their input: both are computed in the wider type, so that
// float32 inputs make a float16 layer compute in float32. Private to nn.

#include <optional>

#include "coppice/engine/tensor.h"

namespace coppice::nn {

/// The wider of all floating types; nothing where one of the defined tensors is not floating, which the operation
/// refuses by name.
[[nodiscard]] inline std::optional<Dtype> common_type(const TensorList& tensors) {
  std::optional<Dtype> out;
  for (const Tensor& tensor : tensors) {
    if (!tensor.defined()) continue;
    if (!is_floating(tensor.dtype())) return std::nullopt;
    out = out ? promote(*out, tensor.dtype()) : tensor.dtype();
  }
  return out;
}

/// `tensor` in that type, or as it is. Differentiable.
[[nodiscard]] inline Tensor in_type(const Tensor& tensor, std::optional<Dtype> dtype) {
  return dtype && tensor.defined() && tensor.dtype() != *dtype ? tensor.to(*dtype) : tensor;
}

/// The type that numbers of `dtype` are computed in: float32 for the half ones.
[[nodiscard]] inline Dtype computed_in(Dtype dtype) {
  return dtype == Dtype::f16 || dtype == Dtype::bf16 ? Dtype::f32 : dtype;
}

}  // namespace coppice::nn
