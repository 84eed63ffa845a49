#include <algorithm>
#include <cmath>

#include "coppice/engine/error.h"
#include "coppice/engine/ops/fake_quantize.h"

namespace coppice {
namespace {

constexpr float kSmallScale = 6.1e-5f;

/// The range about 0 whose ends are the same number of steps away, as a signed type has them: -128 and 127.
void make_symmetric(float& min, float& max, std::int64_t steps) {
  const auto low = static_cast<double>(-(steps / 2 + 1)), high = static_cast<double>(steps / 2);
  const double k = std::max(std::abs(min / low), std::abs(max / high));
  min = static_cast<float>(k * low);
  max = static_cast<float>(k * high);
}

}  // namespace

ScaleAndZeroPoint choose_qparams(float min, float max, std::int64_t quant_min, std::int64_t quant_max, bool symmetric) {
  if (!(min <= max) || !std::isfinite(min) || !std::isfinite(max))
    throw ValueError(cat("[choose_qparams] needs finite min <= max; got ", min, " and ", max));
  if (quant_min >= quant_max)
    throw ValueError(cat("[choose_qparams] needs quant_min < quant_max; got ", quant_min, " and ", quant_max));
  const bool middle = symmetric && min < 0 && max > 0;
  const std::int64_t count = quant_max - quant_min;
  if (middle) make_symmetric(min, max, count);
  min = std::min(min, 0.0f);
  max = std::max(max, 0.0f);
  const auto steps = static_cast<double>(count), low = static_cast<double>(quant_min),
             high = static_cast<double>(quant_max);
  auto scale = static_cast<float>((static_cast<double>(max) - min) / steps);
  if (scale == 0 || std::isinf(1.0f / scale)) scale = 0.1f;
  if (scale < kSmallScale) {  // the range grows with it
    const float before = scale;
    scale = kSmallScale;
    if (min == 0) {
      max = static_cast<float>(kSmallScale * steps);
    } else if (max == 0) {
      min = static_cast<float>(-kSmallScale * steps);
    } else {
      const float amplifier = kSmallScale / before;
      min *= amplifier;
      max *= amplifier;
    }
  }
  const double below = min / static_cast<double>(scale), above = max / static_cast<double>(scale);
  const double from_min = low - below, from_max = high - above;
  const double error_min = std::abs(low) - std::abs(below), error_max = std::abs(high) - std::abs(above);
  double zero = error_min < error_max ? from_min : from_max;
  if (middle) zero = static_cast<double>(quant_min + quant_max) / 2;
  const std::int64_t nudged = zero < low    ? quant_min
                              : zero > high ? quant_max
                                            : static_cast<std::int64_t>(std::nearbyint(zero));
  return {scale, nudged};
}

}  // namespace coppice
