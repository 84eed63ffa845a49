#pragma once
/// Layers that are observed and converted as one: torch.ao.nn.intrinsic.

#include "coppice/nn/module.h"

namespace coppice::nn::quant {

/// Mixed into what stands for several layers: prepare() puts one observer behind it and does not look inside.
class FusedModule {
 public:
  virtual ~FusedModule() = default;
};

/// Calls its children "0", "1", … in order: the modules themselves, with their masks and parametrizations.
class FusedSequence : public Module, public FusedModule {
 protected:
  FusedSequence() = default;
  /// @throws ValueError  if one is null
  explicit FusedSequence(const std::vector<ModulePtr>& modules);
  [[nodiscard]] TensorList forward(const TensorList& inputs) const override;
};

/// One of PyTorch's containers.
template <class Self>
class FusedOf : public Implements<Self, FusedSequence> {
 public:
  explicit FusedOf(const std::vector<ModulePtr>& modules) : Implements<Self, FusedSequence>(modules) {}
  /// For model files, which bring the children.
  explicit FusedOf(const Arguments&) {}
};

class LinearReLU final : public FusedOf<LinearReLU> {
 public:
  static constexpr std::string_view kType = "intrinsic.LinearReLU";
  using FusedOf::FusedOf;
};
class ConvReLU1d final : public FusedOf<ConvReLU1d> {
 public:
  static constexpr std::string_view kType = "intrinsic.ConvReLU1d";
  using FusedOf::FusedOf;
};
class ConvReLU2d final : public FusedOf<ConvReLU2d> {
 public:
  static constexpr std::string_view kType = "intrinsic.ConvReLU2d";
  using FusedOf::FusedOf;
};
/// The following stand in training only: their batch norms have not been folded in.
class LinearBn1d final : public FusedOf<LinearBn1d> {
 public:
  static constexpr std::string_view kType = "intrinsic.LinearBn1d";
  using FusedOf::FusedOf;
};
class ConvBn1d final : public FusedOf<ConvBn1d> {
 public:
  static constexpr std::string_view kType = "intrinsic.ConvBn1d";
  using FusedOf::FusedOf;
};
class ConvBn2d final : public FusedOf<ConvBn2d> {
 public:
  static constexpr std::string_view kType = "intrinsic.ConvBn2d";
  using FusedOf::FusedOf;
};
class ConvBnReLU1d final : public FusedOf<ConvBnReLU1d> {
 public:
  static constexpr std::string_view kType = "intrinsic.ConvBnReLU1d";
  using FusedOf::FusedOf;
};
class ConvBnReLU2d final : public FusedOf<ConvBnReLU2d> {
 public:
  static constexpr std::string_view kType = "intrinsic.ConvBnReLU2d";
  using FusedOf::FusedOf;
};
class BNReLU2d final : public FusedOf<BNReLU2d> {
 public:
  static constexpr std::string_view kType = "intrinsic.BNReLU2d";
  using FusedOf::FusedOf;
};

}  // namespace coppice::nn::quant
