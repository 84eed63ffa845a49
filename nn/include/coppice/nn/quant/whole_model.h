#pragma once
/// Whole models quantised without a word about their layers: what `coppice quantize` does.

#include <string>
#include <vector>

#include "coppice/engine/quantized_weight.h"
#include "coppice/nn/quant/convert.h"

namespace coppice::nn::quant {

/// Fuses every Conv, BN and ReLU, Linear and BN, Linear and ReLU that follow each other in a Sequential of the tree.
/// The model must be in eval mode.
[[nodiscard]] ModulePtr fuse_all(const ModulePtr& model, Mode mode = Mode::copy);

/// A module, by path and type.
struct NamedModule {
  std::string path, type;
};
/// Modules without children that neither have a quantised form nor run on integers as they are (ReLU, MaxPool2d,
/// Flatten, Identity, Dropout), so that the model around them cannot be quantised as one piece.
[[nodiscard]] std::vector<NamedModule> not_quantizable(const Module& model);

/// What became of one layer.
struct QuantizedLayer {
  std::string path, type;
  double scale = 0;  ///< of its output; 0 for dynamic layers
  std::int64_t zero_point = 0;
  double signal_to_noise =
      0;  ///< 10 log10(sum of squares of the float output / of the error), in dB; infinite without error
  std::int64_t bytes_before = 0, bytes = 0;  ///< of its tensors
};

struct QuantizedModel {
  ModulePtr model;
  std::vector<QuantizedLayer> layers;
};

/// Stubs around the model, fuse_all(), prepare(), all of `x` in batches, convert().
///
/// @param x        [n, ...], at least one sample; the errors are those over the first batch
/// @param qengine  whose default qconfig and arithmetic
/// @throws NotSupported  naming what not_quantizable() finds; ValueError  for no samples, batch below 1, NaN
[[nodiscard]] QuantizedModel quantize_model(const ModulePtr& model, const Tensor& x, std::int64_t batch = 256,
                                            QEngine qengine = default_qengine());

/// quantize_dynamic(), with the same report; a lone Linear comes in a Sequential; `x` may be undefined, and then no
/// errors are told.
/// @throws NotSupported  if there is no Linear
[[nodiscard]] QuantizedModel quantize_model_dynamic(const ModulePtr& model, const Tensor& x, std::int64_t batch = 256,
                                                    QEngine qengine = default_qengine());

}  // namespace coppice::nn::quant
