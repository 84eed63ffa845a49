#pragma once
/// Convolutions of integers: torch.ao.nn.quantized.Conv1d and Conv2d, with and without ReLU.

#include "coppice/engine/quantized_weight.h"
#include "coppice/nn/adopts_tensors.h"
#include "coppice/nn/module.h"

namespace coppice::nn::quant {

/// What they share. Buffers: weight (qint8 [out, in / groups, ...kernel]), bias (float32 [out]) if there is one, scale
/// (float32 []), zero_point (int64 []). Arithmetic: QuantizedConv2dWeight::conv2d().
class QuantizedConvBase : public UnaryModule, public AdoptsTensors {
 public:
  QuantizedConvBase(const QuantizedConvBase& other);
  ~QuantizedConvBase() override;
  [[nodiscard]] Tensor weight() const { return tensor("weight"); }
  [[nodiscard]] Tensor bias() const { return find_tensor("bias"); }
  [[nodiscard]] std::pair<Tensor, Tensor> weight_bias() const { return {weight(), bias()}; }
  [[nodiscard]] double scale() const { return tensor("scale").item(); }
  [[nodiscard]] std::int64_t zero_point() const { return tensor("zero_point").item<std::int64_t>(); }
  [[nodiscard]] QEngine engine() const { return engine_; }
  /// Those of the float layer and "engine".
  [[nodiscard]] Arguments arguments() const override;
  void adopt(const NamedTensors& own) override;
  void check_adoptable(const NamedTensors& own) const override;

 protected:
  QuantizedConvBase(int spatial, const Tensor& weight, const Tensor& bias, const ConvOptions& options,
                    const QuantizedOutput& out, QEngine engine);
  QuantizedConvBase(int spatial, const Arguments& a);
  [[nodiscard]] Tensor forward(const Tensor& x) const override;
  [[nodiscard]] virtual bool with_relu() const { return false; }

 private:
  struct Cache;
  int spatial_;
  ConvOptions options_;
  QPaddingMode mode_ = QPaddingMode::zeros;
  QEngine engine_;
  std::shared_ptr<Cache> cache_;
};

/// x: [n, in, l]
class QuantizedConv1d : public Implements<QuantizedConv1d, QuantizedConvBase> {
 public:
  static constexpr std::string_view kType = "quantized.Conv1d";
  QuantizedConv1d(const Tensor& weight, const Tensor& bias, const ConvOptions& options, const QuantizedOutput& out,
                  QEngine engine = default_qengine());
  explicit QuantizedConv1d(const Arguments& a);
};

class QuantizedConvReLU1d final : public Implements<QuantizedConvReLU1d, QuantizedConv1d> {
 public:
  static constexpr std::string_view kType = "intrinsic.quantized.ConvReLU1d";
  using Implements::Implements;

 protected:
  [[nodiscard]] bool with_relu() const override { return true; }
};

/// x: [n, in, h, w]
class QuantizedConv2d : public Implements<QuantizedConv2d, QuantizedConvBase> {
 public:
  static constexpr std::string_view kType = "quantized.Conv2d";
  QuantizedConv2d(const Tensor& weight, const Tensor& bias, const ConvOptions& options, const QuantizedOutput& out,
                  QEngine engine = default_qengine());
  explicit QuantizedConv2d(const Arguments& a);
};

class QuantizedConvReLU2d final : public Implements<QuantizedConvReLU2d, QuantizedConv2d> {
 public:
  static constexpr std::string_view kType = "intrinsic.quantized.ConvReLU2d";
  using Implements::Implements;

 protected:
  [[nodiscard]] bool with_relu() const override { return true; }
};

}  // namespace coppice::nn::quant
