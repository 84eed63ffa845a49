#pragma once
/// Quantised tensors: made from floats, taken apart, and turned back.
///
/// Beside what stands here they are taken by clone, detach, reshape, flatten, relu, max_pool2d, cat, stack, the
/// comparisons (of their values), `==` and printing. Every other operation throws a DtypeError that names it.

#include "coppice/engine/tensor.h"

namespace coppice {

/// Integers q = clamp(round(x / scale + zero_point)) to the limits of `dtype`.
///
/// Computed as fma(x, 1 / scale, zero_point) in float32 with one rounding, halves to even, as PyTorch 2.13's FBGEMM
/// does. Infinities and what is too large go to the limits, NaN to the zero point.
/// @param x      float32, any shape
/// @param dtype  qint8, quint8 or qint32
/// @throws DtypeError  for another type of `x` or `dtype`; ValueError  unless 0 < scale < inf and the zero point is
///         within the limits of `dtype`
/// Source: torch.quantize_per_tensor
[[nodiscard]] Tensor quantize_per_tensor(const Tensor& x, double scale, std::int64_t zero_point, Dtype dtype);

/// The same with scales[i] and zero_points[i] for index i along `axis`, rounded after x * (1 / scale) + zero_point was:
/// two roundings, as PyTorch.
///
/// @param scales       [channels] of a floating type
/// @param zero_points  [channels] integers; floats make `float_qparams` (dtype quint8 or quint4x2, for embeddings)
/// @param axis         0 .. x.dim() - 1
/// @throws IndexError  for an axis outside; ShapeError  unless the lists are as long as the axis
/// Source: torch.quantize_per_channel
[[nodiscard]] Tensor quantize_per_channel(const Tensor& x, const Tensor& scales, const Tensor& zero_points,
                                          std::int64_t axis, Dtype dtype);

/// The values as float32: per tensor float(scale) * (q - zero_point), per channel with the scale in double. A float32
/// tensor comes back as it is, other plain types converted. Source: torch.dequantize
[[nodiscard]] Tensor dequantize(const Tensor& q);

/// A copy of the integers: int8, uint8 or int32; of quint4x2 one uint8 for each element.
/// @throws StateError  if `q` is not quantised. Source: torch.int_repr
[[nodiscard]] Tensor int_repr(const Tensor& q);

}  // namespace coppice
