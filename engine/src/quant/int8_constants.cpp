// Constants of layers: the rules by which float parameters become factors of integer sums.
#include <cmath>
#include <limits>

#include "quant/int8_linear.h"

namespace coppice::quant {
namespace {

/// One more than n takes: groups of a convolution start anywhere.
std::size_t whole_panels(std::int64_t n) {
  return static_cast<std::size_t>((n + kernels::kPanel - 1) / kernels::kPanel * kernels::kPanel + kernels::kPanel);
}

float of(std::span<const double> scales, std::size_t j) {
  return static_cast<float>(scales[scales.size() == 1 ? 0 : j]);
}

/// rne(x) at the limits of 32 bits; 0 for NaN.
std::int32_t saturated(float x) {
  if (std::isnan(x)) return 0;
  using Limits = std::numeric_limits<std::int32_t>;
  const double r = std::nearbyint(static_cast<double>(x));
  if (r <= Limits::min()) return Limits::min();
  return r >= Limits::max() ? Limits::max() : static_cast<std::int32_t>(r);
}

}  // namespace

DynamicConstants::DynamicConstants(std::int64_t n, std::span<const double> scales, std::span<const float> b)
    : scale(whole_panels(n)), bias(whole_panels(n)) {
  for (std::size_t j = 0; j < static_cast<std::size_t>(n); ++j) {
    scale[j] = of(scales, j);
    if (!b.empty()) bias[j] = b[j];
  }
}

StaticConstants::StaticConstants(Requantize r, Affine input, Affine output, bool with_relu, std::int64_t n,
                                 std::span<const double> scales, std::span<const float> b)
    : rule(r), x(input), y(output), relu(with_relu), scale(whole_panels(n)) {
  if (rule == Requantize::qnnpack)
    bias.resize(scale.size());
  else
    term.resize(scale.size());
  const float inverse = 1.0f / y.scale;
  for (std::size_t j = 0; j < static_cast<std::size_t>(n); ++j) {
    const float aw = x.scale * of(scales, j), value = b.empty() ? 0.0f : b[j];
    if (rule == Requantize::qnnpack) {
      const float per_step = 1.0f / aw;
      scale[j] = aw * inverse;
      bias[j] = saturated(value * per_step);
    } else {
      scale[j] = aw / y.scale;
      term[j] = value / aw;
    }
  }
}

}  // namespace coppice::quant
