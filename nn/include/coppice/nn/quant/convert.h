#pragma once
/// Observed layers exchanged for quantised ones, and whole flows.
///
/// Source: torch/ao/quantization/quantize.py

#include <functional>

#include "coppice/nn/quant/prepare.h"

namespace coppice::nn::quant {

/// Exchanges every module with a qconfig whose type the table has, children first, and takes off observers, their hooks
/// and qconfigs. Other hooks go to the new modules. The root itself stays: a lone layer goes into a Sequential.
///
/// Weights are read through masks of both families and parametrizations, and stored without them: pruned numbers are
/// zeros of the new weight. Layers without a qconfig keep theirs.
/// @throws StateError  if an observer is missing or gives no qint8 weight; ValueError  if one saw NaN; NotSupported
/// If it throws with Mode::inplace, what was exchanged before stays exchanged; with a copy nothing happened.
[[nodiscard]] ModulePtr convert(const ModulePtr& model, Mode mode = Mode::copy);
[[nodiscard]] ModulePtr convert(const ModulePtr& model, const SwapTable& mapping, Mode mode = Mode::copy);

/// eval(), prepare(), run(prepared), convert(); `run` shows the model its calibration data.
[[nodiscard]] ModulePtr quantize(const ModulePtr& model, const std::function<void(Module&)>& run,
                                 Mode mode = Mode::copy);
/// train(), prepare_qat(), run(prepared), convert().
[[nodiscard]] ModulePtr quantize_qat(const ModulePtr& model, const std::function<void(Module&)>& run,
                                     Mode mode = Mode::copy);

/// Weights become integers now, activations at each call: no calibration. The default takes Linear;
/// an LSTM stays in float.
///
/// @param spec   which modules, by type or path
/// @throws ValueError  if `dtype` is neither qint8 nor float16; NotSupported  for an LSTM in the spec
[[nodiscard]] ModulePtr quantize_dynamic(const ModulePtr& model, const QConfigDict& spec, Mode mode = Mode::copy);
[[nodiscard]] ModulePtr quantize_dynamic(const ModulePtr& model, Dtype dtype = Dtype::qint8, Mode mode = Mode::copy);

}  // namespace coppice::nn::quant
