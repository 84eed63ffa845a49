#pragma once

#include "coppice/engine/ops/conv.h"
#include "coppice/nn/module.h"

namespace coppice::nn {

/// Sizes of a convolution layer as torch.nn.Conv1d, Conv2d and Conv3d take them: one number for all spatial axes, or
/// one per axis.
struct ConvSettings {
  std::int64_t in_channels = 0;
  std::int64_t out_channels = 0;
  std::vector<std::int64_t> kernel_size{1};
  ConvOptions options;
  bool bias = true;
};

/// Shared by the three layers. weight: [out, in / groups, ...kernel], bias: [out]; both start uniform in
/// ±1/sqrt(in / groups * kernel elements). Formula and shapes: engine/ops/conv.h.
///
/// All sizes are read off the weight as it is now. The number of groups shows in it where every channel is a group of
/// its own (made depthwise, in = out = groups > 1, and now weight: [at most groups, 1, ...kernel]); elsewhere it stays
/// as the layer was made, and what shrinks must shrink alike in each group. @throws ShapeError  at the call, if groups
/// do not divide the outputs
class ConvNd : public UnaryModule {
 public:
  [[nodiscard]] Arguments arguments() const override;
  /// Strides and the rest, with the groups of now.
  [[nodiscard]] ConvOptions options() const;

 protected:
  /// @throws ValueError  for sizes that are not positive, or lists that are neither 1 nor `spatial` long
  ConvNd(int spatial, std::string_view type, const ConvSettings& settings);
  [[nodiscard]] static ConvSettings settings_from(const Arguments& a);
  [[nodiscard]] Tensor forward(const Tensor& x) const override;

 private:
  [[nodiscard]] std::int64_t groups_in(const Tensor& weight) const;

  int spatial_;
  ConvOptions options_;  // as it was made
  bool depthwise_;
};

/// x: [n, in, l]
class Conv1d final : public Implements<Conv1d, ConvNd> {
 public:
  static constexpr std::string_view kType = "Conv1d";
  explicit Conv1d(const ConvSettings& settings);
  explicit Conv1d(const Arguments& a) : Conv1d(settings_from(a)) {}
};

/// x: [n, in, h, w]
class Conv2d final : public Implements<Conv2d, ConvNd> {
 public:
  static constexpr std::string_view kType = "Conv2d";
  explicit Conv2d(const ConvSettings& settings);
  Conv2d(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride = 1, std::int64_t padding = 0);
  explicit Conv2d(const Arguments& a) : Conv2d(settings_from(a)) {}
};

/// x: [n, in, d, h, w]
class Conv3d final : public Implements<Conv3d, ConvNd> {
 public:
  static constexpr std::string_view kType = "Conv3d";
  explicit Conv3d(const ConvSettings& settings);
  explicit Conv3d(const Arguments& a) : Conv3d(settings_from(a)) {}
};

}  // namespace coppice::nn
