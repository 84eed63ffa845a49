#pragma once
/// Layers that are observed and converted as one: torch.ao.nn.intrinsic.

#include <algorithm>
#include <string_view>

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

/// The name of a type, as a template argument.
template <std::size_t kSize>
struct TypeName {
  char text[kSize]{};
  constexpr TypeName(const char (&name)[kSize]) { std::copy_n(name, kSize, text); }  // NOLINT: implicit
};

/// One of PyTorch's containers.
template <TypeName kName>
class FusedAs final : public Implements<FusedAs<kName>, FusedSequence> {
 public:
  static constexpr std::string_view kType = kName.text;
  explicit FusedAs(const std::vector<ModulePtr>& modules) : Implements<FusedAs, FusedSequence>(modules) {}
  /// For model files, which bring the children.
  explicit FusedAs(const Arguments&) {}
};

using LinearReLU = FusedAs<"intrinsic.LinearReLU">;
using ConvReLU1d = FusedAs<"intrinsic.ConvReLU1d">;
using ConvReLU2d = FusedAs<"intrinsic.ConvReLU2d">;
using BNReLU2d = FusedAs<"intrinsic.BNReLU2d">;
// These stand in training only: their batch norms have not been folded in.
using LinearBn1d = FusedAs<"intrinsic.LinearBn1d">;
using ConvBn1d = FusedAs<"intrinsic.ConvBn1d">;
using ConvBn2d = FusedAs<"intrinsic.ConvBn2d">;
using ConvBnReLU1d = FusedAs<"intrinsic.ConvBnReLU1d">;
using ConvBnReLU2d = FusedAs<"intrinsic.ConvBnReLU2d">;

}  // namespace coppice::nn::quant
