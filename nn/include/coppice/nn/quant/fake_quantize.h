#pragma once
/// Modules that round their input to the grid of a quantised type in floating point, for training.
///
/// Source: torch/ao/quantization/fake_quantize.py

#include "coppice/nn/quant/observer.h"

namespace coppice::nn::quant {

/// An observer of the input and rounding with what it found: in training the network meets the errors of int8.
///
/// Each call, if observing is enabled, shows the detached input to the observer and takes over its scale and zero
/// point; then, if faking is enabled, rounds to the observer's limits (see fake_quantize_per_tensor_affine(), gradients
/// too). Child: activation_post_process. Buffers: scale [1] or [channels], zero_point, fake_quant_enabled [1],
/// observer_enabled [1].
class FakeQuantize : public Implements<FakeQuantize, ObserverBase> {
 public:
  static constexpr std::string_view kType = "FakeQuantize";
  /// @throws ValueError  if `observer` is null, or its limits lie outside its type
  explicit FakeQuantize(std::shared_ptr<ObserverBase> observer);
  /// "observer" is the type of the observer, MovingAverageMinMaxObserver if left out; all else are its arguments.
  explicit FakeQuantize(const Arguments& a);
  [[nodiscard]] Arguments arguments() const override;
  /// @throws StateError  if another type of module was put in its place
  [[nodiscard]] const ObserverBase& observer() const;
  [[nodiscard]] Dtype dtype() const override { return observer().dtype(); }
  [[nodiscard]] QScheme qscheme() const override { return observer().qscheme(); }
  [[nodiscard]] std::int64_t ch_axis() const override { return observer().ch_axis(); }
  [[nodiscard]] QLimits limits() const override { return observer().limits(); }
  [[nodiscard]] bool is_memoryless() const override { return observer().is_memoryless(); }
  [[nodiscard]] CalculatedQParams calculate_qparams() const override { return observer().calculate_qparams(); }
  [[nodiscard]] bool resizes(std::string_view buffer) const override;

  void enable_observer(bool on = true);
  void disable_observer() { enable_observer(false); }
  void enable_fake_quant(bool on = true);
  void disable_fake_quant() { enable_fake_quant(false); }
  [[nodiscard]] bool observer_enabled() const;
  [[nodiscard]] bool fake_quant_enabled() const;

 protected:
  FakeQuantize(std::shared_ptr<ObserverBase> observer, Dtype flags);
  [[nodiscard]] Tensor forward(const Tensor& x) const override;
  /// x rounded with the buffers scale and zero_point.
  [[nodiscard]] Tensor rounded(const Tensor& x) const;
};

/// FakeQuantize as PyTorch's QAT settings have it: moving averages whose ends are started apart, and scale and zero
/// point of the forward pass by choose_qparams(). calculate_qparams(), which convert() asks, is still the observer's,
/// so that a converted model may differ by a step from the trained one. With faking disabled the buffers scale and
/// zero_point stay.
class FusedMovingAvgObsFakeQuantize final : public Implements<FusedMovingAvgObsFakeQuantize, FakeQuantize> {
 public:
  static constexpr std::string_view kType = "FusedMovingAvgObsFakeQuantize";
  /// @throws ValueError  unless the observer is a moving average, along axis 0 if per channel
  explicit FusedMovingAvgObsFakeQuantize(std::shared_ptr<ObserverBase> observer);
  /// quant_min and quant_max are 0 and 255 if left out.
  explicit FusedMovingAvgObsFakeQuantize(const Arguments& a);

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override;

 private:
  void observe(const Tensor& x) const;
  void choose() const;
};

/// Sets the flag on every fake quantiser of a tree. Source: torch.ao.quantization.enable_observer …
void enable_observer(Module& root);
void disable_observer(Module& root);
void enable_fake_quant(Module& root);
void disable_fake_quant(Module& root);

}  // namespace coppice::nn::quant
