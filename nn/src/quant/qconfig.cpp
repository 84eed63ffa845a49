#include "coppice/nn/quant/qconfig.h"

#include "coppice/engine/error.h"
#include "coppice/nn/quant/fake_quantize.h"
#include "coppice/nn/quant/histogram_observer.h"
#include "coppice/nn/quant/min_max_observer.h"
#include "coppice/nn/quant/passive_observers.h"
#include "coppice/nn/registry.h"

namespace coppice::nn::quant {
namespace {

constexpr std::int64_t kLow = -128, kHigh = 127;
constexpr double kQnnpackEps = 0x1p-12;

ObserverFactory factory(std::string_view type, Arguments arguments = {}) {
  return {std::string(type), std::move(arguments)};
}

Arguments words(std::string_view dtype, QScheme scheme) {
  return {{"dtype", std::string(dtype)}, {"qscheme", std::string(name_of(scheme))}};
}

/// `a` with the limits.
Arguments within(Arguments a, std::int64_t low, std::int64_t high) {
  a.set("quant_min", low);
  a.set("quant_max", high);
  return a;
}
Arguments with_eps(Arguments a, double eps) {
  a.set("eps", eps);
  return a;
}

// Weights: qint8, symmetric; with one scale or one for each channel.
Arguments weight_words(bool per_channel) {
  return words("qint8", per_channel ? QScheme::per_channel_symmetric : QScheme::per_tensor_symmetric);
}
std::string_view range_of_weights(bool per_channel) {
  return per_channel ? PerChannelMinMaxObserver::kType : MinMaxObserver::kType;
}
ObserverFactory weight_observer(bool per_channel) {
  return factory(range_of_weights(per_channel), weight_words(per_channel));
}

/// A fake quantiser `type` over a moving average.
ObserverFactory fake(std::string_view type, bool per_channel, Arguments rest) {
  Arguments a{{"observer", std::string(per_channel ? MovingAveragePerChannelMinMaxObserver::kType
                                                   : MovingAverageMinMaxObserver::kType)}};
  for (const auto& [name, value] : rest) a.set(name, value);
  return factory(type, std::move(a));
}
ObserverFactory fake_weight(std::string_view type, bool per_channel) {
  return fake(type, per_channel, within(weight_words(per_channel), kLow, kHigh));
}
ObserverFactory fake_activation(std::string_view type, bool reduce_range) {
  Arguments a = within({}, 0, 255);
  if (reduce_range) a.set("reduce_range", true);
  return fake(type, false, std::move(a));
}

ObserverFactory placeholder(Dtype dtype, bool dynamic = false) {
  Arguments a{{"dtype", std::string(name_of(dtype))}};
  if (dynamic) a.set("is_dynamic", true);
  return factory(PlaceholderObserver::kType, std::move(a));
}
ObserverFactory identity() { return factory(NoopObserver::kType); }

/// What the backends differ in.
struct Backend {
  std::string_view name;
  bool reduce_range, per_channel;
};
constexpr Backend kBackends[] = {
    {"fbgemm", true, true}, {"x86", true, true}, {"qnnpack", false, false}, {"onednn", false, true}};

const Backend& backend_of(const char* op, std::string_view name) {
  for (const Backend& b : kBackends)
    if (b.name == name) return b;
  throw ValueError(cat("[", op, "] backend must be fbgemm, x86, qnnpack or onednn; got '", name, "'"));
}

/// PyTorch's settings for qnnpack with signed activations; weights without -128.
QConfigPtr symmetric_qnnpack(bool per_channel) {
  return make_qconfig(
      factory(HistogramObserver::kType, with_eps({{"dtype", std::string("qint8")}}, kQnnpackEps)),
      factory(range_of_weights(per_channel), with_eps(within(weight_words(per_channel), -127, 127), kQnnpackEps)));
}
QConfigPtr symmetric_qnnpack_qat(bool per_channel) {
  constexpr auto kType = FusedMovingAvgObsFakeQuantize::kType;
  return make_qconfig(fake(kType, false, with_eps(within({{"dtype", std::string("qint8")}}, kLow, kHigh), kQnnpackEps)),
                      fake(kType, per_channel, with_eps(within(weight_words(per_channel), -127, 127), kQnnpackEps)));
}

ObserverFactory float_qparams(std::string_view dtype) {
  return factory(PerChannelMinMaxObserver::kType, words(dtype, QScheme::per_channel_affine_float_qparams));
}

}  // namespace

std::shared_ptr<ObserverBase> ObserverFactory::operator()() const {
  auto made = std::dynamic_pointer_cast<ObserverBase>(make_module(type, arguments));
  if (made == nullptr) throw ValueError(cat("[ObserverFactory] '", type, "' is no observer"));
  return made;
}

ObserverFactory ObserverFactory::with_args(const Arguments& more) const {
  ObserverFactory out = *this;
  for (const auto& [name, value] : more) out.arguments.set(name, value);
  return out;
}

std::string to_string(const ObserverFactory& factory) {
  return factory.arguments.empty() ? factory.type : cat(factory.type, coppice::to_string(factory.arguments));
}

std::string to_string(const QConfig& qconfig) {
  return cat("QConfig(activation=", to_string(qconfig.activation), ", weight=", to_string(qconfig.weight), ")");
}

QConfigPtr make_qconfig(ObserverFactory activation, ObserverFactory weight) {
  return std::make_shared<const QConfig>(QConfig{std::move(activation), std::move(weight)});
}

QConfigPtr get_default_qconfig(std::string_view backend, int version) {
  const Backend& b = backend_of("get_default_qconfig", backend);
  if (version != 0) throw ValueError(cat("[get_default_qconfig] version must be 0; got ", version));
  return make_qconfig(factory(HistogramObserver::kType, {{"reduce_range", b.reduce_range}}),
                      weight_observer(b.per_channel));
}

QConfigPtr get_default_qat_qconfig(std::string_view backend, int version) {
  const Backend& b = backend_of("get_default_qat_qconfig", backend);
  if (version != 0 && version != 1)
    throw ValueError(cat("[get_default_qat_qconfig] version must be 0 or 1; got ", version));
  const auto type = version == 1 ? FusedMovingAvgObsFakeQuantize::kType : FakeQuantize::kType;
  return make_qconfig(fake_activation(type, b.reduce_range), fake_weight(type, b.per_channel));
}

QConfigPtr default_qconfig() {
  static const QConfigPtr kept =
      make_qconfig(factory(MinMaxObserver::kType, within({}, 0, 127)), weight_observer(false));
  return kept;
}
QConfigPtr default_per_channel_qconfig() {
  static const QConfigPtr kept = make_qconfig(default_qconfig()->activation, weight_observer(true));
  return kept;
}
QConfigPtr default_qat_qconfig() {
  static const QConfigPtr kept =
      make_qconfig(fake_activation(FakeQuantize::kType, true), fake_weight(FakeQuantize::kType, false));
  return kept;
}
QConfigPtr default_qat_qconfig_v2() {
  constexpr auto kType = FusedMovingAvgObsFakeQuantize::kType;
  static const QConfigPtr kept = make_qconfig(fake_activation(kType, false), fake_weight(kType, false));
  return kept;
}
QConfigPtr default_dynamic_qconfig() {
  static const QConfigPtr kept = make_qconfig(placeholder(Dtype::quint8, true), weight_observer(false));
  return kept;
}
QConfigPtr per_channel_dynamic_qconfig() {
  static const QConfigPtr kept = make_qconfig(placeholder(Dtype::quint8, true), weight_observer(true));
  return kept;
}
QConfigPtr float16_dynamic_qconfig() {
  static const QConfigPtr kept = make_qconfig(placeholder(Dtype::f16, true), placeholder(Dtype::f16));
  return kept;
}
QConfigPtr float16_static_qconfig() {
  static const QConfigPtr kept = make_qconfig(placeholder(Dtype::f16), placeholder(Dtype::f16));
  return kept;
}
QConfigPtr float_qparams_weight_only_qconfig() {
  static const QConfigPtr kept = make_qconfig(placeholder(Dtype::f32), float_qparams("quint8"));
  return kept;
}
QConfigPtr float_qparams_weight_only_qconfig_4bit() {
  static const QConfigPtr kept = make_qconfig(placeholder(Dtype::f32), float_qparams("quint4x2"));
  return kept;
}
QConfigPtr default_weight_only_qconfig() {
  static const QConfigPtr kept = make_qconfig(identity(), fake_weight(FakeQuantize::kType, false));
  return kept;
}
QConfigPtr default_activation_only_qconfig() {
  static const QConfigPtr kept = make_qconfig(fake_activation(FakeQuantize::kType, true), identity());
  return kept;
}
QConfigPtr default_symmetric_qnnpack_qconfig() {
  static const QConfigPtr kept = symmetric_qnnpack(false);
  return kept;
}
QConfigPtr default_per_channel_symmetric_qnnpack_qconfig() {
  static const QConfigPtr kept = symmetric_qnnpack(true);
  return kept;
}
QConfigPtr default_symmetric_qnnpack_qat_qconfig() {
  static const QConfigPtr kept = symmetric_qnnpack_qat(false);
  return kept;
}
QConfigPtr default_per_channel_symmetric_qnnpack_qat_qconfig() {
  static const QConfigPtr kept = symmetric_qnnpack_qat(true);
  return kept;
}

}  // namespace coppice::nn::quant
