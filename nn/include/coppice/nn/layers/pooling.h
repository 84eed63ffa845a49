#pragma once

#include "coppice/engine/ops/pool.h"
#include "coppice/nn/module.h"

namespace coppice::nn {

/// Largest element of each window of [n, c, h, w] or [c, h, w].
class MaxPool2d final : public Implements<MaxPool2d> {
 public:
  static constexpr std::string_view kType = "MaxPool2d";
  explicit MaxPool2d(std::int64_t kernel) : MaxPool2d(PoolOptions{.kernel = {kernel, kernel}}) {}
  explicit MaxPool2d(const PoolOptions& options) : options_(options) {}
  explicit MaxPool2d(const Arguments& a);
  [[nodiscard]] Arguments arguments() const override;

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return max_pool2d(x, options_); }

 private:
  PoolOptions options_;
};

/// Mean of each window.
class AvgPool2d final : public Implements<AvgPool2d> {
 public:
  static constexpr std::string_view kType = "AvgPool2d";
  explicit AvgPool2d(std::int64_t kernel) : AvgPool2d(PoolOptions{.kernel = {kernel, kernel}}) {}
  explicit AvgPool2d(const PoolOptions& options) : options_(options) {}
  explicit AvgPool2d(const Arguments& a);
  [[nodiscard]] Arguments arguments() const override;

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return avg_pool2d(x, options_); }

 private:
  PoolOptions options_;
};

/// Means over windows chosen so that the output has a given size.
class AdaptiveAvgPool2d final : public Implements<AdaptiveAvgPool2d> {
 public:
  static constexpr std::string_view kType = "AdaptiveAvgPool2d";
  explicit AdaptiveAvgPool2d(Pair output) : output_(output) {}
  explicit AdaptiveAvgPool2d(const Arguments& a);
  [[nodiscard]] Arguments arguments() const override {
    return {{"output_size", std::vector<std::int64_t>(output_.begin(), output_.end())}};
  }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return adaptive_avg_pool2d(x, output_); }

 private:
  Pair output_;
};

}  // namespace coppice::nn
