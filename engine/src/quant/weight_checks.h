#pragma once
// What quantised weights of all layers have in common. Private to the engine.

#include <span>
#include <string>
#include <vector>

#include "coppice/engine/quantized_weight.h"
#include "quant/int8_linear.h"

namespace coppice::quant {

/// @throws DtypeError, ShapeError, ValueError  unless `weight` is qint8 of that rank with channels along axis 0, and
///         `bias` float32 [out] or undefined
void check_weight(const char* op, const Tensor& weight, const Tensor& bias, std::int64_t rank);

/// @throws DtypeError  unless x is quint8 with one scale
void check_input(const char* op, const Tensor& x);

[[nodiscard]] std::span<const std::int8_t> integers_of(const Tensor& weight);
[[nodiscard]] std::span<const float> floats_of(const Tensor& bias);
/// One zero point, one for each output, or none for 0.
[[nodiscard]] std::vector<std::int32_t> zeros_of(const Tensor& weight);

/// The constants of a static layer.
[[nodiscard]] StaticConstants constants_for(const Tensor& weight, const Tensor& bias, const Tensor& x,
                                            const QuantizedOutput& out, Requantize rule);

}  // namespace coppice::quant
