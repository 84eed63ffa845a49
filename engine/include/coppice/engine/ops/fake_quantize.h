#pragma once
/// Rounding to the grid of a quantised type in floating point, with gradients, for training.

#include "coppice/engine/qparams.h"
#include "coppice/engine/tensor.h"

namespace coppice {

/// y = (clamp(t, quant_min, quant_max) - zero_point) * scale with t = zero_point + round(x / scale), halves to even.
///
/// The gradient passes unchanged where quant_min <= t <= quant_max and is 0 elsewhere; scale and zero point get none.
/// Unlike quantize_per_tensor() it rounds before it adds the zero point, and its limits may be narrower than those of
/// a type. NaN counts as 0; its gradient is 0.
/// @param x  floating, any shape; halves compute in float32
/// @throws DtypeError  for another type of x; ValueError  unless quant_min <= zero_point <= quant_max and the scale is
///         finite and above 0
/// Source: torch.fake_quantize_per_tensor_affine
[[nodiscard]] Tensor fake_quantize_per_tensor_affine(const Tensor& x, double scale, std::int64_t zero_point,
                                                     std::int64_t quant_min, std::int64_t quant_max);

/// The same with scales[i] and zero_points[i] for index i along `axis`. Float zero points (embeddings) are added before
/// rounding.
/// @param scales, zero_points  [channels]
/// @throws IndexError  for an axis outside; ShapeError  unless the lists are as long as the axis
/// Source: torch.fake_quantize_per_channel_affine
[[nodiscard]] Tensor fake_quantize_per_channel_affine(const Tensor& x, const Tensor& scales, const Tensor& zero_points,
                                                      std::int64_t axis, std::int64_t quant_min,
                                                      std::int64_t quant_max);

/// A scale as float32 holds it, and its zero point.
struct ScaleAndZeroPoint {
  float scale = 1;
  std::int64_t zero_point = 0;
};

/// What the fused fake quantiser and dynamic quantisation take for values in min .. max: the range is widened to hold
/// 0, a scale below 6.1e-5 is raised to it (half subnormals), 0 gets 0.1, and the zero point is the one of the two ends
/// with the smaller error. Doubles inside. It differs from what observers compute.
/// @param symmetric  zero point in the middle where min < 0 < max
/// @throws ValueError  unless min <= max, both finite, and quant_min < quant_max
/// Source: ATen/native/quantized/cpu/QuantUtils.h, ChooseQuantizationParams
[[nodiscard]] ScaleAndZeroPoint choose_qparams(float min, float max, std::int64_t quant_min, std::int64_t quant_max,
                                               bool symmetric = false);

}  // namespace coppice
