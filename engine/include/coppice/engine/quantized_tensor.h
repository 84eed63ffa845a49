#pragma once
/// Quantised tensors from their parts, and what they are quantised with. See ops/quantized.h for floats to integers and
/// back.

#include "coppice/engine/tensor.h"

namespace coppice {

/// The quantised tensor with these integers, copied: the reverse of int_repr().
/// @throws DtypeError  unless the integers are of the type that `dtype` stores; ValueError  for one that quint4x2 does
///         not hold; what QParams::check() throws. Source: torch._make_per_tensor_quantized_tensor
[[nodiscard]] Tensor make_quantized(const Tensor& integers, Dtype dtype, QParamsPtr qparams);

/// `x` (float32) with the type and parameters of `like`. @throws ShapeError  if its channels are others
[[nodiscard]] Tensor quantize_like(const Tensor& x, const Tensor& like);

/// How `q` is quantised. @throws StateError  if it is not, all of these
[[nodiscard]] QScheme qscheme(const Tensor& q);
/// @throws StateError  if there is one for each channel
[[nodiscard]] double q_scale(const Tensor& q);
[[nodiscard]] std::int64_t q_zero_point(const Tensor& q);
/// float64 [channels] (float32 for float_qparams). @throws StateError  if there is one for the whole tensor
[[nodiscard]] Tensor q_per_channel_scales(const Tensor& q);
/// int64 [channels] (float32 for float_qparams).
[[nodiscard]] Tensor q_per_channel_zero_points(const Tensor& q);
[[nodiscard]] std::int64_t q_per_channel_axis(const Tensor& q);

}  // namespace coppice
