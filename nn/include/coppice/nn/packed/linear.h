#pragma once

#include "coppice/nn/packed/packed_layer.h"

namespace coppice::nn {

/// nn::Linear with a packed weight, for inference.  x: [..., in] -> y: [..., out]
class PackedLinear final : public Implements<PackedLinear, PackedLayer> {
 public:
  static constexpr std::string_view kType = "PackedLinear";
  /// @param weight  [out, in] float32; @param bias  [out] or undefined
  [[nodiscard]] static std::shared_ptr<PackedLinear> from_dense(const Tensor& weight, const Tensor& bias,
                                                                PackedFormat format);
  explicit PackedLinear(const Arguments& a);
  [[nodiscard]] Arguments arguments() const override;
  [[nodiscard]] std::string_view dense_type() const override { return "Linear"; }
  [[nodiscard]] Tensor unpacked() const override { return weight().unpack(); }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override;
};

}  // namespace coppice::nn
