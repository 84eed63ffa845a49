#pragma once
/// Layers that train with their weights rounded: torch.ao.nn.qat and torch.ao.nn.intrinsic.qat.
///
/// Each has the parameters of its float layer (the same tensors after prepare_qat(), masks and all) and a child
/// "weight_fake_quant". In files the child stands among the modules.

#include "coppice/nn/layers/conv.h"
#include "coppice/nn/quant/fused.h"
#include "coppice/nn/quant/qconfig.h"

namespace coppice::nn::quant {

/// Mixed into all of them.
class QatLayer {
 public:
  virtual ~QatLayer() = default;
  /// Registered type of the float layer: what the weights are those of.
  [[nodiscard]] virtual std::string_view float_type() const = 0;
};

/// @throws StateError  if the child is missing or no observer
[[nodiscard]] const ObserverBase& weight_fake_quant_of(const Module& qat);

/// y = x fq(W)ᵀ + b
class QatLinearBase : public UnaryModule, public QatLayer {
 public:
  [[nodiscard]] Arguments arguments() const override;
  [[nodiscard]] std::string_view float_type() const override { return "Linear"; }

 protected:
  QatLinearBase(std::int64_t in, std::int64_t out, bool bias);
  explicit QatLinearBase(const Arguments& a);
  [[nodiscard]] Tensor forward(const Tensor& x) const override;
};

class QatLinear final : public Implements<QatLinear, QatLinearBase> {
 public:
  static constexpr std::string_view kType = "qat.Linear";
  /// @throws ValueError  if `qconfig` is null
  QatLinear(std::int64_t in, std::int64_t out, bool bias, const QConfigPtr& qconfig);
  explicit QatLinear(const Arguments& a) : Implements(a) {}
};

/// One module with the weight of its own; ReLU follows.
class QatLinearReLU final : public Implements<QatLinearReLU, QatLinearBase>, public FusedModule {
 public:
  static constexpr std::string_view kType = "intrinsic.qat.LinearReLU";
  QatLinearReLU(std::int64_t in, std::int64_t out, bool bias, const QConfigPtr& qconfig);
  explicit QatLinearReLU(const Arguments& a) : Implements(a) {}

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override;
};

/// y = conv(x, fq(W)) + b
class QatConvBase : public UnaryModule, public QatLayer {
 public:
  [[nodiscard]] Arguments arguments() const override { return arguments_; }
  [[nodiscard]] std::string_view float_type() const override { return "Conv2d"; }
  [[nodiscard]] const ConvOptions& options() const { return options_; }

 protected:
  /// @param conv  the arguments of the float layer
  explicit QatConvBase(const Arguments& conv);
  [[nodiscard]] Tensor forward(const Tensor& x) const override;

 private:
  Arguments arguments_;
  ConvOptions options_;
};

class QatConv2d final : public Implements<QatConv2d, QatConvBase> {
 public:
  static constexpr std::string_view kType = "qat.Conv2d";
  QatConv2d(const Arguments& conv, const QConfigPtr& qconfig);
  explicit QatConv2d(const Arguments& a) : Implements(a) {}
};

class QatConvReLU2d final : public Implements<QatConvReLU2d, QatConvBase>, public FusedModule {
 public:
  static constexpr std::string_view kType = "intrinsic.qat.ConvReLU2d";
  QatConvReLU2d(const Arguments& conv, const QConfigPtr& qconfig);
  explicit QatConvReLU2d(const Arguments& a) : Implements(a) {}

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override;
};

/// bn(conv(x, fq(W k)) / k + b) with k = gamma / sqrt(running var + eps): the weight is rounded as it will be when the
/// batch norm is folded in. Children "bn" and "weight_fake_quant".
class QatConvBnBase : public QatConvBase, public FusedModule {
 protected:
  explicit QatConvBnBase(const Arguments& conv) : QatConvBase(conv) {}
  [[nodiscard]] Tensor forward(const Tensor& x) const override;
};

class QatConvBn2d final : public Implements<QatConvBn2d, QatConvBnBase> {
 public:
  static constexpr std::string_view kType = "intrinsic.qat.ConvBn2d";
  /// @param bn  becomes the child
  QatConvBn2d(const Arguments& conv, ModulePtr bn, const QConfigPtr& qconfig);
  explicit QatConvBn2d(const Arguments& a) : Implements(a) {}
};

class QatConvBnReLU2d final : public Implements<QatConvBnReLU2d, QatConvBnBase> {
 public:
  static constexpr std::string_view kType = "intrinsic.qat.ConvBnReLU2d";
  QatConvBnReLU2d(const Arguments& conv, ModulePtr bn, const QConfigPtr& qconfig);
  explicit QatConvBnReLU2d(const Arguments& a) : Implements(a) {}

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override;
};

}  // namespace coppice::nn::quant
