#pragma once
/// Observers that compute nothing from what they see.

#include "coppice/nn/quant/observer.h"

namespace coppice::nn::quant {

/// Base of those that have no scale: calculate_qparams() is a StateError.
class PassiveObserver : public ObserverBase {
 public:
  [[nodiscard]] CalculatedQParams calculate_qparams() const override;
};

/// Says of which type values are to be, and whether their scale is found while the model runs. Here too dtype may be
/// float16 or float32.
class PlaceholderObserver final : public Implements<PlaceholderObserver, PassiveObserver> {
 public:
  static constexpr std::string_view kType = "PlaceholderObserver";
  explicit PlaceholderObserver(Dtype dtype = Dtype::f32, bool is_dynamic = false);
  explicit PlaceholderObserver(const Arguments& a);
  [[nodiscard]] Arguments arguments() const override;
  [[nodiscard]] Dtype dtype() const override { return dtype_; }
  [[nodiscard]] bool is_dynamic() const override { return is_dynamic_; }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return x; }

 private:
  Dtype dtype_;
  bool is_dynamic_;
};

/// Stands where nothing is to be observed.
class NoopObserver final : public Implements<NoopObserver, PassiveObserver> {
 public:
  static constexpr std::string_view kType = "NoopObserver";
  explicit NoopObserver(Dtype dtype = Dtype::f16) : dtype_(dtype) {}
  explicit NoopObserver(const Arguments& a);
  [[nodiscard]] Arguments arguments() const override;
  [[nodiscard]] Dtype dtype() const override { return dtype_; }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return x; }

 private:
  Dtype dtype_;
};

/// The output has the scale of the input, as after a reshape.
class ReuseInputObserver final : public Implements<ReuseInputObserver, PassiveObserver> {
 public:
  static constexpr std::string_view kType = "ReuseInputObserver";
  ReuseInputObserver() = default;
  explicit ReuseInputObserver(const Arguments&) {}
  [[nodiscard]] Dtype dtype() const override { return Dtype::quint8; }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return x; }
};

/// Keeps a copy of every input, for looking at. Not saved.
class RecordingObserver final : public Implements<RecordingObserver, PassiveObserver> {
 public:
  static constexpr std::string_view kType = "RecordingObserver";
  explicit RecordingObserver(Dtype dtype = Dtype::quint8) : dtype_(dtype) {}
  explicit RecordingObserver(const Arguments& a);
  [[nodiscard]] Arguments arguments() const override;
  [[nodiscard]] Dtype dtype() const override { return dtype_; }
  [[nodiscard]] const TensorList& get_tensor_value() const { return seen_; }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override;

 private:
  Dtype dtype_;
  mutable TensorList seen_;
};

/// Scale and zero point as they were given. Buffers: scale [1], zero_point [1].
class FixedQParamsObserver final : public Implements<FixedQParamsObserver, ObserverBase> {
 public:
  static constexpr std::string_view kType = "FixedQParamsObserver";
  /// @throws ValueError  unless the scale is finite and above 0, and the limits as those of other observers
  FixedQParamsObserver(double scale, std::int64_t zero_point, Dtype dtype = Dtype::quint8, std::int64_t quant_min = 0,
                       std::int64_t quant_max = 255);
  explicit FixedQParamsObserver(const Arguments& a);
  /// For results in 0..1, as of Sigmoid: scale 1/256, zero point 0.
  [[nodiscard]] static Arguments range_0_to_1();
  /// For results in -1..1, as of Tanh: scale 2/256, zero point 128.
  [[nodiscard]] static Arguments range_neg1_to_1();
  [[nodiscard]] Arguments arguments() const override;
  [[nodiscard]] Dtype dtype() const override { return dtype_; }
  [[nodiscard]] QLimits limits() const override { return limits_; }
  [[nodiscard]] CalculatedQParams calculate_qparams() const override;

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return x; }

 private:
  Dtype dtype_;
  QLimits limits_;
};

}  // namespace coppice::nn::quant
