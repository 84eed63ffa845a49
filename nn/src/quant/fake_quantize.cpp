#include "coppice/nn/quant/fake_quantize.h"

#include <cmath>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/fake_quantize.h"
#include "coppice/nn/quant/min_max_observer.h"
#include "coppice/nn/registry.h"
#include "quant/ranges.h"
#include "quant/tree.h"

namespace coppice::nn::quant {
namespace {

/// The observer that the arguments of a fake quantiser describe.
std::shared_ptr<ObserverBase> observer_from(std::string_view type, const Arguments& a, const Arguments& defaults) {
  const std::string observer = a.text("observer", MovingAverageMinMaxObserver::kType);
  Arguments own = defaults;
  for (const auto& [name, value] : a)
    if (name != "observer") own.set(name, value);
  auto made = std::dynamic_pointer_cast<ObserverBase>(make_module(observer, own));
  if (made == nullptr) throw ValueError(cat("[", type, "] '", observer, "' is no observer"));
  return made;
}

/// Marks all arguments as read: those that the observer did not know it has refused.
const Arguments& all_read(const Arguments& a) {
  for (const auto& [name, value] : a) (void)a.find(name);
  return a;
}

constexpr const char* kFlags[] = {"fake_quant_enabled", "observer_enabled"};

/// Averages as PyTorch's fused kernel: each end is started apart.
float averaged(float old, float now, double constant) {
  return std::isinf(old) ? now : old + static_cast<float>(constant) * (now - old);
}

template <class Set>
void each_fake_quantize(Module& root, Set set) {
  for (const auto& [path, module] : root.named_modules())
    if (auto* fake = dynamic_cast<FakeQuantize*>(module)) set(*fake);
}

}  // namespace

FakeQuantize::FakeQuantize(std::shared_ptr<ObserverBase> observer) : FakeQuantize(std::move(observer), Dtype::u8) {}

FakeQuantize::FakeQuantize(std::shared_ptr<ObserverBase> observer, Dtype flags) {
  if (observer == nullptr) throw ValueError("[FakeQuantize] needs an observer");
  const QLimits used = observer->limits(), all = limits_of(observer->dtype());
  if (used.min < all.min || used.max > all.max)
    throw ValueError(cat("[FakeQuantize] limits ", used.min, "..", used.max, " lie outside ", all.min, "..", all.max,
                         " of ", observer->dtype()));
  for (const char* flag : kFlags) register_buffer(flag, ones({1}, flags));
  register_buffer("scale", ones({1}));
  const bool floats = observer->qscheme() == QScheme::per_channel_affine_float_qparams;
  register_buffer("zero_point", zeros({1}, floats ? Dtype::f32 : Dtype::i32));
  add_module(kObserverChild, std::move(observer));
}

FakeQuantize::FakeQuantize(const Arguments& a) : FakeQuantize(observer_from(kType, all_read(a), {})) {}

Arguments FakeQuantize::arguments() const {
  const ObserverBase& inner = observer();
  Arguments a{{"observer", std::string(inner.type_name())}};
  for (const auto& [name, value] : inner.arguments()) a.set(name, value);
  return a;
}

const ObserverBase& FakeQuantize::observer() const {
  const auto* found = dynamic_cast<const ObserverBase*>(child(kObserverChild).get());
  if (found == nullptr) throw StateError(cat("[", type_name(), "] activation_post_process is no observer"));
  return *found;
}

bool FakeQuantize::resizes(std::string_view buffer) const { return buffer == "scale" || buffer == "zero_point"; }

void FakeQuantize::enable_observer(bool on) { tensor("observer_enabled").fill_(on ? 1 : 0); }
void FakeQuantize::enable_fake_quant(bool on) { tensor("fake_quant_enabled").fill_(on ? 1 : 0); }
bool FakeQuantize::observer_enabled() const { return tensor("observer_enabled").item<bool>(); }
bool FakeQuantize::fake_quant_enabled() const { return tensor("fake_quant_enabled").item<bool>(); }

Tensor FakeQuantize::rounded(const Tensor& x) const {
  const Tensor scale = tensor("scale"), zero = tensor("zero_point");
  const auto [low, high] = limits();
  if (is_per_channel(qscheme())) return fake_quantize_per_channel_affine(x, scale, zero, ch_axis(), low, high);
  return fake_quantize_per_tensor_affine(x, scale.item(), zero.item<std::int64_t>(), low, high);
}

Tensor FakeQuantize::forward(const Tensor& x) const {
  if (observer_enabled()) {
    const NoGrad guard;
    (void)(*child(kObserverChild))(x.detach());
    const CalculatedQParams found = calculate_qparams();
    Tensor zero = tensor("zero_point");
    tensor("scale").replace_(found.scale);
    zero.replace_(found.zero_point.to(zero.dtype()));
  }
  return fake_quant_enabled() ? rounded(x) : x;
}

FusedMovingAvgObsFakeQuantize::FusedMovingAvgObsFakeQuantize(std::shared_ptr<ObserverBase> observer)
    : Implements(std::move(observer), Dtype::i64) {
  const ObserverBase& inner = this->observer();
  const bool average = dynamic_cast<const MovingAverageMinMaxObserver*>(&inner) != nullptr ||
                       dynamic_cast<const MovingAveragePerChannelMinMaxObserver*>(&inner) != nullptr;
  if (!average) throw ValueError(cat("[", kType, "] needs an observer with a moving average; got ", inner.type_name()));
  if (inner.ch_axis() != 0) throw ValueError(cat("[", kType, "] takes channels along axis 0; got ", inner.ch_axis()));
}

FusedMovingAvgObsFakeQuantize::FusedMovingAvgObsFakeQuantize(const Arguments& a)
    : FusedMovingAvgObsFakeQuantize(
          observer_from(kType, all_read(a), {{"quant_min", std::int64_t{0}}, {"quant_max", std::int64_t{255}}})) {}

void FusedMovingAvgObsFakeQuantize::observe(const Tensor& x) const {
  const Module& inner = *child(kObserverChild);
  Tensor min = inner.tensor("min_val"), max = inner.tensor("max_val");
  if (const auto* whole = dynamic_cast<const MovingAverageMinMaxObserver*>(&inner)) {
    const Range now = range_of(x);
    min.fill_(averaged(min.item<float>(), now.min, whole->averaging_constant()));
    max.fill_(averaged(max.item<float>(), now.max, whole->averaging_constant()));
    return;
  }
  const auto* channels = dynamic_cast<const MovingAveragePerChannelMinMaxObserver*>(&inner);
  if (channels == nullptr) throw StateError(cat("[", kType, "] activation_post_process is no moving average"));
  const Ranges now = ranges_of(kType, x, 0);
  const auto towards = [c = channels->averaging_constant()](float old, float seen) { return averaged(old, seen, c); };
  merge(min, max, now, towards, towards, kType);
}

/// Scale and zero point of the forward pass from the running ranges.
void FusedMovingAvgObsFakeQuantize::choose() const {
  const Module& inner = *child(kObserverChild);
  const auto min = inner.tensor("min_val").to_vector<float>(), max = inner.tensor("max_val").to_vector<float>();
  if (min.size() != max.size())
    throw StateError(cat("[", kType, "] min_val and max_val have ", min.size(), " and ", max.size(), " channels"));
  const auto [low, high] = limits();
  std::vector<float> scales;
  std::vector<std::int32_t> zeros;
  for (std::size_t i = 0; i < min.size(); ++i) {
    const auto [scale, zero] = choose_qparams(min[i], max[i], low, high, is_symmetric(qscheme()));
    scales.push_back(scale);
    zeros.push_back(static_cast<std::int32_t>(zero));
  }
  const Shape channels{static_cast<std::int64_t>(scales.size())};
  tensor("scale").replace_(Tensor::from(scales, channels));
  tensor("zero_point").replace_(Tensor::from(zeros, channels));
}

Tensor FusedMovingAvgObsFakeQuantize::forward(const Tensor& x) const {
  const bool fake = fake_quant_enabled();
  if (observer_enabled() && x.numel() > 0) {
    const NoGrad guard;
    observe(x);
    if (fake) choose();
  }
  return fake ? rounded(x) : x.clone();
}

void enable_observer(Module& root) {
  each_fake_quantize(root, [](FakeQuantize& f) { f.enable_observer(); });
}
void disable_observer(Module& root) {
  each_fake_quantize(root, [](FakeQuantize& f) { f.disable_observer(); });
}
void enable_fake_quant(Module& root) {
  each_fake_quantize(root, [](FakeQuantize& f) { f.enable_fake_quant(); });
}
void disable_fake_quant(Module& root) {
  each_fake_quantize(root, [](FakeQuantize& f) { f.disable_fake_quant(); });
}

}  // namespace coppice::nn::quant
