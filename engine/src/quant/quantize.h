#pragma once
// The rules by which floats become integers and integers floats. Private to the engine.

#include <cmath>
#include <cstdint>

#include "coppice/engine/qparams.h"

namespace coppice::quant {

/// Rounds to nearest even and clamps; NaN becomes `nan`. The clamp comes first: a float beyond the limits has no
/// integer.
[[nodiscard]] inline std::int64_t rounded(float t, QLimits limits, std::int64_t nan) {
  if (t != t) return nan;
  if (t <= static_cast<float>(limits.min)) return limits.min;
  if (t >= static_cast<float>(limits.max)) return limits.max;
  return static_cast<std::int64_t>(std::nearbyint(t));
}

/// Per tensor: one rounding of x / s + z.
[[nodiscard]] inline std::int64_t quantized(float x, float inverse, std::int64_t z, QLimits limits) {
  return rounded(std::fma(x, inverse, static_cast<float>(z)), limits, z);
}

/// Per channel: x / s is rounded to float32 before z is added.
[[nodiscard]] inline std::int64_t quantized_channel(float x, float inverse, float z, QLimits limits) {
  const float scaled = x * inverse;
  return rounded(scaled + z, limits, static_cast<std::int64_t>(std::nearbyint(z)));
}

/// The value of an integer of channel `i`: with one scale the product is in float32, with several in double.
template <class Q>
[[nodiscard]] float dequantized(Q q, const QParams& p, std::size_t i) {
  if (p.scheme() == QScheme::per_channel_affine_float_qparams)
    return (static_cast<float>(q) - p.float_zero_points()[i]) * static_cast<float>(p.scales()[i]);
  const std::int64_t steps = q - p.zero_points()[i];
  if (!p.per_channel()) return static_cast<float>(p.scales()[i]) * static_cast<float>(steps);
  return static_cast<float>(p.scales()[i] * static_cast<double>(steps));
}

/// 1 / s in float32, of the scale as float32.
[[nodiscard]] inline float inverse_of(double scale) { return 1.0f / static_cast<float>(scale); }

}  // namespace coppice::quant
