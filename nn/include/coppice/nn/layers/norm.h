#pragma once

#include <optional>

#include "coppice/nn/module.h"

namespace coppice::nn {

/// Settings of batch normalisation, as torch.nn.BatchNorm1d and 2d.
struct BatchNormSettings {
  std::int64_t features = 0;
  double eps = 1e-5;
  std::optional<double> momentum = 0.1;  ///< none: running means of all batches so far
  bool affine = true;
  bool track_running_stats = true;
};

/// y = (x - mean) / sqrt(var + eps) * weight + bias per channel (axis 1).
///
/// In training mean and biased variance come from the batch, and running = (1 - momentum) running + momentum * batch,
/// with the unbiased variance; in eval mode the running values are used (the batch's, if they are not tracked).
/// Tensors: weight (1), bias (0) [c] if affine; running_mean (0), running_var (1) [c], num_batches_tracked (0-d int64).
/// All of them must have the same c at the call. @throws ShapeError  naming the one that has not
class BatchNorm : public UnaryModule {
 public:
  /// c, read off the running variance or else the weight. A layer that has neither keeps the number that it was made
  /// with: where the channels before it change, replace_modules() puts another one in its place.
  [[nodiscard]] std::int64_t num_features() const;
  [[nodiscard]] Arguments arguments() const override;

 protected:
  BatchNorm(std::string_view type, const BatchNormSettings& settings);
  [[nodiscard]] static BatchNormSettings settings_from(const Arguments& a);
  [[nodiscard]] Tensor normalise(const Tensor& x) const;

 private:
  /// The tensors of now, read once a call: a parametrized one is computed on every reading.
  struct Own {
    Tensor weight, bias, mean, variance;
  };
  void check_channels(const Tensor& x, const Own& own) const;
  /// Batch statistics into the running ones. Training only: not for several threads at once.
  void track(const Own& own, const Tensor& mean, const Tensor& variance, std::int64_t count) const;

  BatchNormSettings settings_;  // as it was made
};

/// x: [n, c] or [n, c, l]
class BatchNorm1d final : public Implements<BatchNorm1d, BatchNorm> {
 public:
  static constexpr std::string_view kType = "BatchNorm1d";
  explicit BatchNorm1d(std::int64_t features) : BatchNorm1d(BatchNormSettings{.features = features}) {}
  explicit BatchNorm1d(const BatchNormSettings& settings) : Implements(kType, settings) {}
  explicit BatchNorm1d(const Arguments& a) : BatchNorm1d(settings_from(a)) {}

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override;
};

/// x: [n, c, h, w]
class BatchNorm2d final : public Implements<BatchNorm2d, BatchNorm> {
 public:
  static constexpr std::string_view kType = "BatchNorm2d";
  explicit BatchNorm2d(std::int64_t features) : BatchNorm2d(BatchNormSettings{.features = features}) {}
  explicit BatchNorm2d(const BatchNormSettings& settings) : Implements(kType, settings) {}
  explicit BatchNorm2d(const Arguments& a) : BatchNorm2d(settings_from(a)) {}

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override;
};

/// Normalises over the last axes, whose sizes are `shape`, with the biased variance; weight (1) and bias (0) of
/// `shape`, both the same at the call. @throws ShapeError  if x does not end in it, or the bias differs
class LayerNorm final : public Implements<LayerNorm> {
 public:
  static constexpr std::string_view kType = "LayerNorm";
  explicit LayerNorm(std::vector<std::int64_t> shape, double eps = 1e-5, bool affine = true, bool bias = true);
  explicit LayerNorm(const Arguments& a);
  /// Read off the weight. A layer that has none keeps the shape that it was made with: where its input changes,
  /// replace_modules() puts another one in its place.
  [[nodiscard]] Shape normalized_shape() const;
  [[nodiscard]] Arguments arguments() const override;

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override;

 private:
  Shape shape_;  // at the start
  double eps_;
};

}  // namespace coppice::nn
