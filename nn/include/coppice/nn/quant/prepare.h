#pragma once
/// Observers put where a model is to be quantised.
///
/// Source: torch/ao/quantization/quantize.py

#include <map>

#include "coppice/nn/quant/fuse_modules.h"
#include "coppice/nn/quant/mappings.h"
#include "coppice/nn/quant/qconfig.h"

namespace coppice::nn::quant {

/// Settings by registered type name or by dotted path; null switches quantisation off there.
using QConfigDict = std::map<std::string, QConfigPtr, std::less<>>;

/// Gives every module of the tree a qconfig, null where nothing applies: that of the module above, unless `dict` has
/// one for its type; before that one for its path; before that its own, null too.
void propagate_qconfig_(Module& root, const QConfigDict& dict = {});

/// Puts an observer of qconfig->activation behind every layer that a table knows and that has a qconfig: as the child
/// "activation_post_process" and a hook in front of the others. Fused modules are observed as one; Dropout,
/// DeQuantStub, ReLU and Flatten are not. Sigmoid, Tanh and Softmax in training mode get the fixed range of their
/// results. What has an observer keeps it. Warns if no module has a qconfig.
/// @throws NotSupported  for an LSTM with a qconfig: null leaves it in float. What is observed is for one thread at a
/// time, in eval mode too: observers remember what they see.
[[nodiscard]] ModulePtr prepare(const ModulePtr& model, Mode mode = Mode::copy);

/// Swaps layers for those that train with rounded weights, masks and all, and then prepares: the observers are those of
/// a qconfig for training, which round too. A layer that is such a one already is left as it is.
/// @throws StateError  unless the model is in training mode
[[nodiscard]] ModulePtr prepare_qat(const ModulePtr& model, Mode mode = Mode::copy);
[[nodiscard]] ModulePtr prepare_qat(const ModulePtr& model, const SwapTable& mapping, Mode mode = Mode::copy);

}  // namespace coppice::nn::quant
