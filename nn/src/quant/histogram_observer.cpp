#include "coppice/nn/quant/histogram_observer.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/warn.h"
#include "coppice/nn/init.h"
#include "quant/histogram.h"
#include "quant/ranges.h"

namespace coppice::nn::quant {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

std::vector<float> finite(std::span<const float> values) {
  std::vector<float> out;
  std::ranges::copy_if(values, std::back_inserter(out), [](float v) { return !std::isinf(v); });
  return out;
}

/// Levels of the error estimate: of the whole type, also where fewer are used.
double levels_of(Dtype dtype) { return dtype == Dtype::qint32 ? 0x1p32 : 256; }

}  // namespace

HistogramObserver::HistogramObserver(const ObserverOptions& options, std::int64_t bins)
    : Implements(kType, options), bins_(bins) {
  if (is_per_channel(options.qscheme))
    throw NotSupported(cat("[", kType, "] takes schemes per tensor; got ", options.qscheme));
  if (bins < 1 || bins > (1 << 20)) throw ValueError(cat("[", kType, "] bins must be in 1..2^20; got ", bins));
  register_buffer("histogram", SkipInit::active() ? Tensor::empty({bins}) : zeros({bins}));
  register_buffer("min_val", full(Shape{}, kInf));
  register_buffer("max_val", full(Shape{}, -kInf));
}

HistogramObserver::HistogramObserver(const Arguments& a)
    : HistogramObserver(ObserverOptions::from(a), a.integer("bins", 2048)) {}

Arguments HistogramObserver::arguments() const {
  Arguments a = RangeObserver::arguments();
  a.set("bins", bins_);
  return a;
}

void HistogramObserver::reset_min_max_vals() {
  RangeObserver::reset_min_max_vals();
  tensor("histogram").zero_();
}

Tensor HistogramObserver::forward(const Tensor& x) const {
  if (x.numel() == 0) return x;
  const NoGrad guard;
  const Tensor floats = x.detach().to(Dtype::f32);
  Range seen = range_of(floats);
  if (std::isnan(seen.min) || std::isnan(seen.max))
    throw ValueError(cat("[", kType, "] the values have no range: there is a NaN among them"));
  std::vector<float> kept;
  std::span<const float> values = floats.data<float>();
  if (std::isinf(seen.min) || std::isinf(seen.max)) {
    warn(cat("[", kType, "] infinite values are left out"));
    kept = finite(values);
    if (kept.empty()) return x;
    values = kept;
    const auto [min, max] = std::ranges::minmax_element(kept);
    seen = {*min, *max};
  }
  Tensor histogram = tensor("histogram"), min_val = tensor("min_val"), max_val = tensor("max_val");
  const auto bins = static_cast<std::size_t>(bins_);
  const float old_min = min_val.item<float>(), old_max = max_val.item<float>();
  const bool first = std::isinf(old_min) || std::isinf(old_max);
  const float min = first ? seen.min : std::min(old_min, seen.min),
              max = first ? seen.max : std::max(old_max, seen.max);
  std::vector<float> counts = histc(values, bins, min, max);
  if (!first) {
    std::vector<float> old = histogram.to_vector<float>();
    if (min != old_min || max != old_max) old = moved({std::move(old), old_min, old_max}, min, max);
    for (std::size_t i = 0; i < bins; ++i) counts[i] += old[i];
  }
  histogram.copy_(Tensor::from(counts, Shape{bins_}));
  min_val.fill_(min);
  max_val.fill_(max);
  return x;
}

CalculatedQParams HistogramObserver::calculate_qparams() const {
  const Tensor min_val = tensor("min_val"), max_val = tensor("max_val");
  if (std::isinf(min_val.item<float>()) || std::isinf(max_val.item<float>())) return qparams_of(min_val, max_val);
  const Histogram h{tensor("histogram").to_vector<float>(), min_val.item<float>(), max_val.item<float>()};
  const BinRange range = search_range(h, levels_of(dtype()));
  const float width = (h.max - h.min) / static_cast<float>(bins_);
  return qparams_of(Tensor::of(h.min + width * static_cast<float>(range.first)),
                    Tensor::of(h.min + width * static_cast<float>(range.last + 1)));
}

}  // namespace coppice::nn::quant
