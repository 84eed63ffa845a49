#pragma once
// Weights behind masks and parametrizations, and their integers. Private to the library.

#include "coppice/nn/module.h"
#include "coppice/nn/quant/observer.h"

namespace coppice::nn::quant {

/// What is stored of the tensor `name`: the parameter itself, or the original behind a mask of either family.
/// @throws NotSupported  if it is computed from several originals
[[nodiscard]] Tensor original_of(const Module& module, std::string_view name);

/// Gives `to`, which has plain parameters of these names, the tensors of `from`: the same objects, with masks of both
/// families and parametrizations.
void share_tensors(const Module& from, Module& to, const std::vector<std::string>& names);

/// `weight` as the observer's type says, with the parameters it found; integers beyond its limits are clamped.
/// @throws StateError  naming `op`, unless the type is qint8
[[nodiscard]] Tensor quantized_weight(std::string_view op, const Tensor& weight, const ObserverBase& observer);

}  // namespace coppice::nn::quant
