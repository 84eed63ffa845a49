#pragma once
/// Observers of the smallest and largest value, of a tensor or of each channel.

#include "coppice/nn/quant/observer.h"

namespace coppice::nn::quant {

/// The smallest and largest value of all batches. Buffers: eps [1], min_val and max_val [], +inf and -inf at first.
/// Empty inputs change nothing; NaN stays.
class MinMaxObserver : public Implements<MinMaxObserver, RangeObserver> {
 public:
  static constexpr std::string_view kType = "MinMaxObserver";
  /// @throws NotSupported  for a scheme per channel
  explicit MinMaxObserver(const ObserverOptions& options = {});
  explicit MinMaxObserver(const Arguments& a) : MinMaxObserver(ObserverOptions::from(a)) {}

 protected:
  MinMaxObserver(std::string_view type, const ObserverOptions& options);
  [[nodiscard]] Tensor forward(const Tensor& x) const override;
};

/// min += c (min of the batch - min), the same for max; the first batch gives the starting values.
class MovingAverageMinMaxObserver final : public Implements<MovingAverageMinMaxObserver, MinMaxObserver> {
 public:
  static constexpr std::string_view kType = "MovingAverageMinMaxObserver";
  explicit MovingAverageMinMaxObserver(const ObserverOptions& options = {}, double averaging_constant = 0.01);
  explicit MovingAverageMinMaxObserver(const Arguments& a);
  [[nodiscard]] Arguments arguments() const override;
  [[nodiscard]] double averaging_constant() const { return constant_; }
  [[nodiscard]] bool is_memoryless() const override { return constant_ == 1; }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override;

 private:
  double constant_;
};

/// The smallest and largest value of each index along `ch_axis`. Buffers as above, min_val and max_val [channels],
/// empty at first.
class PerChannelMinMaxObserver : public Implements<PerChannelMinMaxObserver, RangeObserver> {
 public:
  static constexpr std::string_view kType = "PerChannelMinMaxObserver";
  /// PyTorch's default scheme.
  static constexpr ObserverOptions kDefaults{.qscheme = QScheme::per_channel_affine};
  /// @throws NotSupported  for a scheme per tensor
  explicit PerChannelMinMaxObserver(const ObserverOptions& options = kDefaults, std::int64_t ch_axis = 0);
  explicit PerChannelMinMaxObserver(const Arguments& a);
  [[nodiscard]] Arguments arguments() const override;
  [[nodiscard]] std::int64_t ch_axis() const override { return axis_; }
  void reset_min_max_vals() override;
  [[nodiscard]] bool resizes(std::string_view buffer) const override { return buffer != "eps"; }

 protected:
  PerChannelMinMaxObserver(std::string_view type, const ObserverOptions& options, std::int64_t ch_axis);
  [[nodiscard]] Tensor forward(const Tensor& x) const override;

 private:
  std::int64_t axis_;
};

class MovingAveragePerChannelMinMaxObserver final
    : public Implements<MovingAveragePerChannelMinMaxObserver, PerChannelMinMaxObserver> {
 public:
  static constexpr std::string_view kType = "MovingAveragePerChannelMinMaxObserver";
  explicit MovingAveragePerChannelMinMaxObserver(const ObserverOptions& options = kDefaults, std::int64_t ch_axis = 0,
                                                 double averaging_constant = 0.01);
  explicit MovingAveragePerChannelMinMaxObserver(const Arguments& a);
  [[nodiscard]] Arguments arguments() const override;
  [[nodiscard]] double averaging_constant() const { return constant_; }
  [[nodiscard]] bool is_memoryless() const override { return constant_ == 1; }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override;

 private:
  double constant_;
};

}  // namespace coppice::nn::quant
