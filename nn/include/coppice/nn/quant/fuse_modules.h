#pragma once
/// Neighbouring layers made one.
///
/// Source: torch/ao/quantization/fuse_modules.py, fuser_method_mappings.py

#include "coppice/nn/module.h"

namespace coppice::nn::quant {

/// Whether a function works on a deep copy, which it returns, or on what it is given.
enum class Mode : std::uint8_t { copy, inplace };

/// Fuses each group of modules, named by dotted paths: the first place gets the fused module, the others an Identity.
/// Hooks before the first module and behind the last go to the fused one. The modules themselves are kept, with masks
/// of both families; a folded batch norm is multiplied into the original behind a mask. A qconfig is not moved.
///
///     Conv, BN         -> Conv with folded weights       Conv, ReLU    -> intrinsic.ConvReLU
///     Conv, BN, ReLU   -> intrinsic.ConvReLU of that     Linear, ReLU  -> intrinsic.LinearReLU
///     Linear, BN1d     -> Linear with folded weights     BN2d, ReLU    -> intrinsic.BNReLU2d
///
/// @throws NotSupported  for another combination, or one module; KeyError  for an unknown path; StateError  if a batch
///         norm to be folded or its layer is in training mode (fuse_modules_qat() is for training), or modules are in
///         different modes; with nothing changed
[[nodiscard]] ModulePtr fuse_modules(const ModulePtr& model, const std::vector<std::vector<std::string>>& groups,
                                     Mode mode = Mode::copy);

/// The same for training: with batch norms to intrinsic.ConvBn, ConvBnReLU and LinearBn1d, which keep them.
[[nodiscard]] ModulePtr fuse_modules_qat(const ModulePtr& model, const std::vector<std::vector<std::string>>& groups,
                                         Mode mode = Mode::copy);

/// W * (gamma r) along the first axis and (b - mean) gamma r + beta, with r = 1 / sqrt(var + eps). Missing b, gamma and
/// beta count as 0, 1 and 0.
struct FoldedWeights {
  Tensor weight, bias;
};
[[nodiscard]] FoldedWeights fuse_conv_bn_weights(const Tensor& weight, const Tensor& bias, const Tensor& mean,
                                                 const Tensor& var, double eps, const Tensor& gamma,
                                                 const Tensor& beta);
/// The same; the bias is (b - mean) (gamma r) + beta, which rounds otherwise.
[[nodiscard]] FoldedWeights fuse_linear_bn_weights(const Tensor& weight, const Tensor& bias, const Tensor& mean,
                                                   const Tensor& var, double eps, const Tensor& gamma,
                                                   const Tensor& beta);

}  // namespace coppice::nn::quant
