#pragma once
/// The observer that leaves outliers out where the error of rounding shrinks by it.

#include "coppice/nn/quant/observer.h"

namespace coppice::nn::quant {

/// Counts values in `bins` equal bins between the smallest and the largest, and shrinks the range from both ends as
/// long as the estimated squared error of rounding to 256 levels does not grow. Buffers: eps [1], histogram [bins],
/// min_val and max_val [].
///
/// A batch that widens the range moves the old counts: each bin is split in 16 parts that go by their middles. Infinite
/// values are left out with a warning; NaN is a ValueError that changes nothing. The same steps in single precision as
/// PyTorch 2.13. Cost of calculate_qparams(): 10^5 steps, and a pass over the bins for each that shrinks the range.
class HistogramObserver final : public Implements<HistogramObserver, RangeObserver> {
 public:
  static constexpr std::string_view kType = "HistogramObserver";
  /// @throws NotSupported  for a scheme per channel; ValueError  unless 1 <= bins <= 2^20
  explicit HistogramObserver(const ObserverOptions& options = {}, std::int64_t bins = 2048);
  explicit HistogramObserver(const Arguments& a);
  [[nodiscard]] Arguments arguments() const override;
  [[nodiscard]] std::int64_t bins() const { return bins_; }
  [[nodiscard]] CalculatedQParams calculate_qparams() const override;
  void reset_min_max_vals() override;

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override;

 private:
  std::int64_t bins_;
};

}  // namespace coppice::nn::quant
