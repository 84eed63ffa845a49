#pragma once
/// Observers: modules that return their input and remember its range, from which scale and zero point follow. Since
/// they write what they remember in every call, a model that has them is for one thread at a time, in eval mode too.
///
/// Source: torch/ao/quantization/observer.py

#include <optional>

#include "coppice/engine/qparams.h"
#include "coppice/nn/adopts_tensors.h"
#include "coppice/nn/module.h"

namespace coppice::nn::quant {

/// What an observer found: float32 [1], or [channels] for schemes per channel, and int64 zero points (float32 for
/// per_channel_affine_float_qparams) of the same shape.
struct CalculatedQParams {
  Tensor scale, zero_point;

  /// The parameters of a tensor that is quantised with them along `axis`.
  [[nodiscard]] QParamsPtr for_axis(QScheme scheme, std::int64_t axis) const;
};

/// Base of observers and of fake quantisers: what stands at `activation_post_process` and `weight_fake_quant`.
class ObserverBase : public UnaryModule {
 public:
  /// Of the tensor that is to be made.
  [[nodiscard]] virtual Dtype dtype() const = 0;
  [[nodiscard]] virtual QScheme qscheme() const { return QScheme::per_tensor_affine; }
  /// The axis of the channels; 0 where there is one scale.
  [[nodiscard]] virtual std::int64_t ch_axis() const { return 0; }
  [[nodiscard]] virtual QLimits limits() const { return limits_of(dtype()); }
  /// Scale and zero point for what was seen so far. Where nothing was, 1 and 0, with a warning.
  /// @throws ValueError  if NaN or an infinity was seen; StateError  for one that remembers nothing
  [[nodiscard]] virtual CalculatedQParams calculate_qparams() const = 0;
  /// Only says that values are quantised while the model runs, each time anew.
  [[nodiscard]] virtual bool is_dynamic() const { return false; }
  /// Follows each batch alone (a moving average of constant 1): then it observes inputs instead of outputs.
  [[nodiscard]] virtual bool is_memoryless() const { return false; }
};

/// Settings that all observers of ranges share, under PyTorch's argument names.
struct ObserverOptions {
  Dtype dtype = Dtype::quint8;
  QScheme qscheme = QScheme::per_tensor_affine;
  bool reduce_range = false;  ///< one bit less, for kernels that add two products in 16 bits
  std::optional<std::int64_t> quant_min{}, quant_max{};
  double eps = 0x1p-23;  ///< the smallest scale

  /// Reads "dtype", "qscheme", "reduce_range", "quant_min", "quant_max", "eps". @throws ValueError  for unknown words
  [[nodiscard]] static ObserverOptions from(const Arguments& a);
  [[nodiscard]] static ObserverOptions from(const Arguments& a, const ObserverOptions& defaults);
};

/// An observer of ranges: what they all compute from a minimum and a maximum.
class RangeObserver : public ObserverBase {
 public:
  [[nodiscard]] Arguments arguments() const override;
  [[nodiscard]] Dtype dtype() const override { return options_.dtype; }
  [[nodiscard]] QScheme qscheme() const override { return options_.qscheme; }
  [[nodiscard]] QLimits limits() const override { return limits_; }
  [[nodiscard]] const ObserverOptions& options() const { return options_; }
  [[nodiscard]] CalculatedQParams calculate_qparams() const override;
  /// Forgets what was seen.
  virtual void reset_min_max_vals();

 protected:
  /// @throws ValueError  for limits that do not hold 0, are not in order, wider than the type, or one alone; for a type
  ///         that is not quantised; NotSupported  for reduce_range of a symmetric quint8
  RangeObserver(std::string_view type, const ObserverOptions& options);
  /// Scale and zero point of ranges, float32 [] or [channels]. All steps in float32.
  [[nodiscard]] CalculatedQParams qparams_of(const Tensor& min, const Tensor& max) const;

 private:
  ObserverOptions options_;
  QLimits limits_;
};

}  // namespace coppice::nn::quant
