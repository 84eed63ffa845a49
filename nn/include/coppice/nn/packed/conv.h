#pragma once

#include <array>

#include "coppice/nn/layers/conv.h"
#include "coppice/nn/packed/packed_layer.h"

namespace coppice::nn {

/// nn::Conv2d of one group with a packed weight, for inference: the matrix [out, in * kh * kw] times the columns of
/// each image.  x: [n, in, h, w]
class PackedConv2d final : public Implements<PackedConv2d, PackedLayer> {
 public:
  static constexpr std::string_view kType = "PackedConv2d";
  /// Whether a convolution has a packed form: one group, channels and kernels that are not empty, of at most 2^30
  /// input channels and 2^15 taps along an axis. @param weight  [out, in, kh, kw]
  [[nodiscard]] static bool takes(const Shape& weight, const ConvOptions& options);
  /// @param weight  [out, in, kh, kw] float32; @param bias  [out] or undefined
  /// @throws NotSupported  for more than one group; ValueError  for sizes that it does not take
  [[nodiscard]] static std::shared_ptr<PackedConv2d> from_dense(const Tensor& weight, const Tensor& bias,
                                                                const ConvOptions& options, PackedFormat format);
  explicit PackedConv2d(const Arguments& a);
  [[nodiscard]] Arguments arguments() const override;
  [[nodiscard]] std::string_view dense_type() const override { return "Conv2d"; }
  [[nodiscard]] Tensor unpacked() const override;

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override;

 private:
  std::int64_t in_channels_, out_channels_;
  std::array<std::int64_t, 2> kernel_;
  ConvOptions options_;
};

}  // namespace coppice::nn
