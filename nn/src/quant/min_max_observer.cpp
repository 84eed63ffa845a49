#include "coppice/nn/quant/min_max_observer.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "quant/ranges.h"

namespace coppice::nn::quant {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

float lesser(float a, float b) { return std::isnan(a) || a < b ? a : b; }
float greater(float a, float b) { return std::isnan(a) || a > b ? a : b; }

void check_scheme(std::string_view type, QScheme scheme, bool per_channel) {
  if (is_per_channel(scheme) != per_channel)
    throw NotSupported(cat("[", type, "] takes schemes per ", per_channel ? "channel" : "tensor", "; got ", scheme));
}

void check_reduced(std::string_view type, const ObserverOptions& o) {
  if (is_symmetric(o.qscheme) && o.reduce_range && o.dtype == Dtype::quint8)
    throw NotSupported(cat("[", type, "] reduce_range is not for symmetric quint8"));
}

/// a moved towards b.
float averaged(float a, float b, double constant) { return a + static_cast<float>(constant) * (b - a); }

void check_constant(std::string_view type, double c) {
  if (!(c >= 0 && c <= 1)) throw ValueError(cat("[", type, "] averaging_constant must be in 0..1; got ", c));
}

}  // namespace

MinMaxObserver::MinMaxObserver(const ObserverOptions& options) : MinMaxObserver(kType, options) {}

MinMaxObserver::MinMaxObserver(std::string_view type, const ObserverOptions& options) : Implements(type, options) {
  check_scheme(type, options.qscheme, false);
  check_reduced(type, options);
  register_buffer("min_val", full(Shape{}, kInf));
  register_buffer("max_val", full(Shape{}, -kInf));
}

Tensor MinMaxObserver::forward(const Tensor& x) const {
  if (x.numel() == 0) return x;
  const NoGrad guard;
  const Range now = range_of(x);
  Tensor min = tensor("min_val"), max = tensor("max_val");
  min.fill_(lesser(min.item<float>(), now.min));
  max.fill_(greater(max.item<float>(), now.max));
  return x;
}

MovingAverageMinMaxObserver::MovingAverageMinMaxObserver(const ObserverOptions& options, double averaging_constant)
    : Implements(kType, options), constant_(averaging_constant) {
  check_constant(kType, constant_);
}

MovingAverageMinMaxObserver::MovingAverageMinMaxObserver(const Arguments& a)
    : MovingAverageMinMaxObserver(ObserverOptions::from(a), a.number("averaging_constant", 0.01)) {}

Arguments MovingAverageMinMaxObserver::arguments() const {
  Arguments a = MinMaxObserver::arguments();
  a.set("averaging_constant", constant_);
  return a;
}

Tensor MovingAverageMinMaxObserver::forward(const Tensor& x) const {
  if (x.numel() == 0) return x;
  const NoGrad guard;
  const Range now = range_of(x);
  Tensor min = tensor("min_val"), max = tensor("max_val");
  const float before_min = min.item<float>(), before_max = max.item<float>();
  const bool first = before_min == static_cast<float>(kInf) && before_max == static_cast<float>(-kInf);
  min.fill_(first ? now.min : averaged(before_min, now.min, constant_));
  max.fill_(first ? now.max : averaged(before_max, now.max, constant_));
  return x;
}

PerChannelMinMaxObserver::PerChannelMinMaxObserver(const ObserverOptions& options, std::int64_t ch_axis)
    : PerChannelMinMaxObserver(kType, options, ch_axis) {}

PerChannelMinMaxObserver::PerChannelMinMaxObserver(std::string_view type, const ObserverOptions& options,
                                                   std::int64_t ch_axis)
    : Implements(type, options), axis_(ch_axis) {
  check_scheme(type, options.qscheme, true);
  check_reduced(type, options);
  if (ch_axis < 0) throw ValueError(cat("[", type, "] ch_axis must be at least 0; got ", ch_axis));
  register_buffer("min_val", Tensor::empty({0}));
  register_buffer("max_val", Tensor::empty({0}));
}

PerChannelMinMaxObserver::PerChannelMinMaxObserver(const Arguments& a)
    : PerChannelMinMaxObserver(ObserverOptions::from(a, kDefaults), a.integer("ch_axis", 0)) {}

Arguments PerChannelMinMaxObserver::arguments() const {
  Arguments a = RangeObserver::arguments();
  a.set("ch_axis", axis_);
  return a;
}

void PerChannelMinMaxObserver::reset_min_max_vals() {
  tensor("min_val").replace_(Tensor::empty({0}));
  tensor("max_val").replace_(Tensor::empty({0}));
}

Tensor PerChannelMinMaxObserver::forward(const Tensor& x) const {
  if (x.numel() == 0) return x;
  merge(tensor("min_val"), tensor("max_val"), ranges_of(type_name(), x, axis_), lesser, greater, type_name());
  return x;
}

MovingAveragePerChannelMinMaxObserver::MovingAveragePerChannelMinMaxObserver(const ObserverOptions& options,
                                                                             std::int64_t ch_axis,
                                                                             double averaging_constant)
    : Implements(kType, options, ch_axis), constant_(averaging_constant) {
  check_constant(kType, constant_);
}

MovingAveragePerChannelMinMaxObserver::MovingAveragePerChannelMinMaxObserver(const Arguments& a)
    : MovingAveragePerChannelMinMaxObserver(ObserverOptions::from(a, kDefaults), a.integer("ch_axis", 0),
                                            a.number("averaging_constant", 0.01)) {}

Arguments MovingAveragePerChannelMinMaxObserver::arguments() const {
  Arguments a = PerChannelMinMaxObserver::arguments();
  a.set("averaging_constant", constant_);
  return a;
}

Tensor MovingAveragePerChannelMinMaxObserver::forward(const Tensor& x) const {
  if (x.numel() == 0) return x;
  const auto towards = [this](float old, float now) { return averaged(old, now, constant_); };
  merge(tensor("min_val"), tensor("max_val"), ranges_of(type_name(), x, ch_axis()), towards, towards, type_name());
  return x;
}

}  // namespace coppice::nn::quant
