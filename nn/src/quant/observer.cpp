#include "coppice/nn/quant/observer.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/warn.h"
#include "quant/words.h"

namespace coppice::nn::quant {
namespace {

std::int64_t floor_half(std::int64_t v) { return v >= 0 ? v / 2 : -((1 - v) / 2); }

/// The integers that may be used.
QLimits limits_from(std::string_view type, const ObserverOptions& o) {
  if (o.quant_min.has_value() != o.quant_max.has_value())
    throw ValueError(cat("[", type, "] quant_min and quant_max are given together, or neither"));
  if (!o.quant_min) {
    const QLimits all = limits_of(o.dtype);
    // 8 bits give up one; the others have no reduced range.
    if (!o.reduce_range || (o.dtype != Dtype::qint8 && o.dtype != Dtype::quint8)) return all;
    return {floor_half(all.min), floor_half(all.max)};
  }
  const std::int64_t min = *o.quant_min, max = *o.quant_max;
  if (min > 0 || max < 0 || min >= max)
    throw ValueError(
        cat("[", type, "] quant_min..quant_max must hold 0 and more than one number; got ", min, "..", max));
  // PyTorch's rule is about the width; which integers they are is the user's affair.
  const std::int64_t width = o.dtype == Dtype::qint32 ? std::int64_t{1} << 32 : 256;
  if ((o.dtype == Dtype::qint8 || o.dtype == Dtype::qint32) && (min < -width || max > width || max - min + 1 > width))
    throw ValueError(cat("[", type, "] ", o.dtype, " has room for ", width, " numbers; got ", min, "..", max));
  return o.reduce_range ? QLimits{floor_half(min), floor_half(max)} : QLimits{min, max};
}

/// Never observed: infinities of the start, or no channels yet.
bool unseen(const Tensor& min, const Tensor& max) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  return min.numel() == 0 || max.numel() == 0 ||
         (min.dim() == 0 && min.item<float>() == kInf && max.item<float>() == -kInf);
}

/// @param min, max  put in order where averages of one number were rounded past each other
void check_range(std::string_view type, float& min, float& max) {
  if (min > max && min - max <= 1e-5f * std::abs(max)) std::swap(min, max);
  if (!(min <= max) || !std::isfinite(min) || !std::isfinite(max))
    throw ValueError(cat("[", type, "] observed values from ", min, " to ", max, " give no scale"));
}

}  // namespace

QParamsPtr CalculatedQParams::for_axis(QScheme scheme, std::int64_t axis) const {
  if (!is_per_channel(scheme)) return QParams::per_tensor(scale.item<float>(), zero_point.item<std::int64_t>());
  if (scheme == QScheme::per_channel_affine_float_qparams)
    return QParams::per_channel_float(scale.to_vector<float>(), zero_point.to_vector<float>(), axis);
  return QParams::per_channel(scale.to_vector<double>(), zero_point.to_vector<std::int64_t>(), axis);
}

ObserverOptions ObserverOptions::from(const Arguments& a) { return from(a, ObserverOptions()); }

ObserverOptions ObserverOptions::from(const Arguments& a, const ObserverOptions& defaults) {
  ObserverOptions o = defaults;
  o.dtype = dtype_of_word(a.text("dtype", name_of(defaults.dtype)));
  o.qscheme = qscheme_of_word(a.text("qscheme", name_of(defaults.qscheme)));
  o.reduce_range = a.boolean("reduce_range", defaults.reduce_range);
  if (a.has("quant_min")) o.quant_min = a.integer("quant_min");
  if (a.has("quant_max")) o.quant_max = a.integer("quant_max");
  o.eps = a.number("eps", defaults.eps);
  return o;
}

RangeObserver::RangeObserver(std::string_view type, const ObserverOptions& options) : options_(options), limits_{0, 0} {
  if (!is_quantized(options.dtype))
    throw ValueError(cat("[", type, "] dtype must be qint8, quint8, qint32 or quint4x2; got ", options.dtype));
  if (!(options.eps > 0)) throw ValueError(cat("[", type, "] eps must be above 0; got ", options.eps));
  limits_ = limits_from(type, options);
  register_buffer("eps", Tensor::of({options.eps}));
}

Arguments RangeObserver::arguments() const {
  Arguments a{{"dtype", std::string(name_of(options_.dtype))},
              {"qscheme", std::string(name_of(options_.qscheme))},
              {"reduce_range", options_.reduce_range},
              {"eps", options_.eps}};
  if (options_.quant_min) a.set("quant_min", *options_.quant_min);
  if (options_.quant_max) a.set("quant_max", *options_.quant_max);
  return a;
}

void RangeObserver::reset_min_max_vals() {
  const NoGrad guard;
  tensor("min_val").fill_(std::numeric_limits<double>::infinity());
  tensor("max_val").fill_(-std::numeric_limits<double>::infinity());
}

CalculatedQParams RangeObserver::calculate_qparams() const { return qparams_of(tensor("min_val"), tensor("max_val")); }

CalculatedQParams RangeObserver::qparams_of(const Tensor& min, const Tensor& max) const {
  if (min.shape() != max.shape())
    throw StateError(
        cat("[", type_name(), "] min_val ", min.shape(), " and max_val ", max.shape(), " do not go together"));
  if (unseen(min, max)) {
    warn(cat("[", type_name(), "] no values were observed before calculate_qparams(); scale 1 and zero point 0"));
    return {ones({1}), zeros({1}, Dtype::i64)};
  }
  auto mins = min.to_vector<float>(), maxs = max.to_vector<float>();
  const bool floats = options_.qscheme == QScheme::per_channel_affine_float_qparams;
  const Shape channels{static_cast<std::int64_t>(mins.size())};
  Tensor scale = Tensor::empty(channels), zero = Tensor::empty(channels, floats ? Dtype::f32 : Dtype::i64);
  const auto s = scale.mutable_data<float>();
  const float eps = tensor("eps").item<float>();
  const auto low = limits_.min, high = limits_.max;
  const auto steps = static_cast<float>(high - low);
  for (std::size_t i = 0; i < mins.size(); ++i) {
    check_range(type_name(), mins[i], maxs[i]);
    const float lo = std::min(mins[i], 0.0f), hi = std::max(maxs[i], 0.0f);
    if (floats) {
      s[i] = (maxs[i] - mins[i]) / steps;
      if (!(s[i] > eps)) s[i] = 1;
      zero.mutable_data<float>()[i] = -1.0f * mins[i] / s[i];
    } else if (is_symmetric(options_.qscheme)) {
      s[i] = std::max(std::max(-lo, hi) / static_cast<float>(static_cast<double>(high - low) / 2), eps);
      std::int64_t z = 0;
      if (options_.dtype == Dtype::quint8) z = options_.quant_min ? floor_half(low + high) : 128;
      zero.mutable_data<std::int64_t>()[i] = z;
    } else {
      s[i] = std::max((hi - lo) / steps, eps);
      const auto z = low - static_cast<std::int64_t>(std::nearbyint(lo / s[i]));
      zero.mutable_data<std::int64_t>()[i] = std::clamp(z, low, high);
    }
  }
  return {scale, zero};
}

}  // namespace coppice::nn::quant
