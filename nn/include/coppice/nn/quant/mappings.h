#pragma once
/// Which type takes the place of which: the tables behind prepare_qat(), convert() and quantize_dynamic().
///
/// Source: torch/ao/quantization/quantization_mappings.py

#include <functional>
#include <map>
#include <string>

#include "coppice/nn/module.h"

namespace coppice::nn::quant {

/// Makes what takes the place of `from`, which has a qconfig. Masks and parametrizations are seen through: weights are
/// read as they are. @throws StateError  if an observer is missing; NotSupported  for a type that has no counterpart
/// yet
using Swap = std::function<ModulePtr(const ModulePtr& from)>;
/// By registered type name; a parametrized module has that of its layer. A program may change a copy.
using SwapTable = std::map<std::string, Swap, std::less<>>;

/// QuantStub, DeQuantStub, Linear, Conv1d, Conv2d, their fused forms and those of training.
[[nodiscard]] const SwapTable& get_default_static_quant_module_mappings();
/// Linear, Conv2d and the fused forms of training.
[[nodiscard]] const SwapTable& get_default_qat_module_mappings();
/// Linear, intrinsic.LinearReLU; LSTM is NotSupported.
[[nodiscard]] const SwapTable& get_default_dynamic_quant_module_mappings();

/// Whether the static table makes something of the type, and does not refuse it.
[[nodiscard]] bool has_quantized_form(std::string_view type);

/// Whether prepare() observes modules of this type: those of any of the three tables.
[[nodiscard]] bool is_observed_type(std::string_view type);

}  // namespace coppice::nn::quant
