#pragma once
// Quantised modules from float and training ones. Private to the library.

#include "coppice/engine/quantized_weight.h"
#include "coppice/nn/module.h"
#include "coppice/nn/quant/observer.h"

namespace coppice::nn::quant {

/// A weight that was observed, its bias, and the module whose qconfig said how.
struct ObservedWeight {
  Tensor weight, bias;
};

/// The weight of `from` as integers: seen by its weight_fake_quant once more, or by a fresh observer of the qconfig of
/// `layer`, which holds the weight. @throws StateError  if there is no qconfig, or it does not give qint8
[[nodiscard]] ObservedWeight observed_weight(std::string_view op, const Module& from, const Module& layer);

/// Scale and zero point of the output, as the observer behind `from` saw it.
[[nodiscard]] QuantizedOutput observed_output(std::string_view op, const Module& from);

}  // namespace coppice::nn::quant
