#include "quant/histogram.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace coppice::nn::quant {
namespace {

constexpr std::int64_t kPieces = 16;  // of a bin that is moved

/// Point i of `steps` + 1 evenly spaced ones, counted from the nearer end, as torch.linspace.
float point(float low, float high, std::int64_t steps, std::int64_t i) {
  const float step = (high - low) / static_cast<float>(steps);
  if (i < (steps + 1) / 2) return low + step * static_cast<float>(i);
  return high - step * static_cast<float>(steps - i);
}

/// a / b downwards, as torch.div(rounding_mode="floor") for floats.
float floor_divided(float a, float b) {
  const float rest = std::fmod(a, b);
  float quotient = (a - rest) / b;
  if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1;
  if (quotient == 0) return 0;
  const float whole = std::floor(quotient);
  return quotient - whole > 0.5f ? whole + 1 : whole;
}

/// Integral of density * x^2.
float error_between(float begin, float end, float density) {
  return density * ((end * end * end - begin * begin * begin) / 3);
}

}  // namespace

std::vector<float> histc(std::span<const float> values, std::size_t bins, float low, float high) {
  if (low == high) low -= 1, high += 1;
  std::vector<std::int64_t> counts(bins);
  const auto count = static_cast<float>(bins);
  const float width = high - low;
  for (const float v : values)
    if (v >= low && v <= high) ++counts[std::min(static_cast<std::size_t>((v - low) * count / width), bins - 1)];
  return {counts.begin(), counts.end()};
}

std::vector<float> moved(const Histogram& h, float low, float high) {
  const auto bins = static_cast<std::int64_t>(h.counts.size());
  if (h.min == h.max) {  // one value
    std::vector<float> out = histc(std::span(&h.min, 1), h.counts.size(), low, high);
    const float total = std::accumulate(h.counts.begin(), h.counts.end(), 0.0f);
    for (float& c : out) c *= total;
    return out;
  }
  std::vector<float> edges, out(h.counts.size());
  for (std::int64_t i = 0; i <= bins; ++i) edges.push_back(point(low, high, bins, i));
  const float piece = (h.max - h.min) / static_cast<float>(bins * kPieces);
  for (std::int64_t i = 0; i < bins * kPieces; ++i) {
    const float middle = point(h.min, h.max, bins * kPieces, i) + 0.5f * piece;
    const std::int64_t at = std::upper_bound(edges.begin(), edges.end(), middle) - edges.begin() - 1;
    out[static_cast<std::size_t>(std::clamp<std::int64_t>(at, 0, bins - 1))] +=
        h.counts[static_cast<std::size_t>(i / kPieces)] / static_cast<float>(kPieces);
  }
  return out;
}

double rounding_error(const Histogram& h, BinRange range, double levels) {
  const auto bins = static_cast<double>(h.counts.size());
  const double width = (static_cast<double>(h.max) - static_cast<double>(h.min)) / bins;
  const double target = width * static_cast<double>(range.last - range.first + 1) / levels;
  if (target == 0) return 0;
  const auto w = static_cast<float>(width), d = static_cast<float>(target), half = static_cast<float>(target / 2);
  const auto top = static_cast<float>(levels - 1);
  double sum = 0;
  for (std::size_t i = 0; i < h.counts.size(); ++i) {
    const float density = h.counts[i] / w;
    const float begin = static_cast<float>(static_cast<std::int64_t>(i) - range.first) * w;
    const float end = begin + w;
    const float p = std::clamp(floor_divided(begin, d), 0.0f, top);
    const float q = std::clamp(floor_divided(end, d), 0.0f, top);
    const float first_centre = (p + 0.5f) * d, last_centre = q * d + half;
    float error = error_between(begin - first_centre, half, density);
    error += (q - p - 1) * error_between(-half, half, density);
    error += error_between(-half, end - last_centre, density);
    sum += static_cast<double>(error);
  }
  return static_cast<double>(static_cast<float>(sum));
}

BinRange search_range(const Histogram& h, double levels) {
  std::vector<float> sums(h.counts.size());
  double running = 0;
  for (std::size_t i = 0; i < sums.size(); ++i)
    sums[i] = static_cast<float>(running += static_cast<double>(h.counts[i]));
  const auto total = static_cast<double>(static_cast<float>(running));
  const auto sum = [&](std::int64_t i) { return sums[static_cast<std::size_t>(i)]; };

  constexpr double kStep = 1e-5;
  double low = 0, high = 1, best = std::numeric_limits<double>::infinity();
  const auto bins = static_cast<std::int64_t>(sums.size());
  BinRange now{0, bins - 1};
  std::int64_t left = 0, right = bins - 1;  // move inwards only
  while (low < high) {
    const double next_low = low + kStep, next_high = high - kStep;
    // Compared in single precision, which decides real cases.
    const auto low_count = static_cast<float>(next_low * total), high_count = static_cast<float>(next_high * total);
    while (left < bins - 1 && sum(left) < low_count) ++left;
    while (right > 0 && sum(right) > high_count) --right;
    const std::int64_t l = std::min(std::max(left, now.first), now.last);
    const std::int64_t r = std::max(std::min(right, now.last), now.first);
    BinRange next = now;
    if (l - now.first > now.last - r) {
      next.first = l;
      low = next_low;
    } else {
      next.last = r;
      high = next_high;
    }
    if (next == now) continue;
    const double error = rounding_error(h, next, levels);
    if (error > best) break;
    best = error;
    now = next;
  }
  return now;
}

}  // namespace coppice::nn::quant
