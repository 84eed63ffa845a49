#pragma once
/// Places where a model begins and ends to be quantised.
///
/// Source: torch/ao/quantization/stubs.py

#include "coppice/nn/module.h"
#include "coppice/nn/quant/qconfig.h"

namespace coppice::nn::quant {

/// Returns its input; convert() makes a Quantize of it.
class QuantStub final : public Implements<QuantStub> {
 public:
  static constexpr std::string_view kType = "QuantStub";
  /// @param qconfig  its own; nothing to take that of the module above
  explicit QuantStub(std::optional<QConfigPtr> qconfig = std::nullopt) { set_qconfig(std::move(qconfig)); }
  explicit QuantStub(const Arguments&) {}

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return x; }
};

/// Returns its input; convert() makes a DeQuantize of it. Never observed.
class DeQuantStub final : public Implements<DeQuantStub> {
 public:
  static constexpr std::string_view kType = "DeQuantStub";
  explicit DeQuantStub(std::optional<QConfigPtr> qconfig = std::nullopt) { set_qconfig(std::move(qconfig)); }
  explicit DeQuantStub(const Arguments&) {}

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return x; }
};

/// QuantStub, a module, DeQuantStub: children "quant", "dequant" and "module".
class QuantWrapper final : public Implements<QuantWrapper, Module> {
 public:
  static constexpr std::string_view kType = "QuantWrapper";
  /// Takes the qconfig of `module`, in both stubs too. @throws ValueError  if it is null
  explicit QuantWrapper(ModulePtr module);
  /// For model files, which bring the children.
  explicit QuantWrapper(const Arguments&) {}

 protected:
  [[nodiscard]] TensorList forward(const TensorList& inputs) const override;
};

/// Wraps every module without children of its own that has a qconfig; parametrizations are no children here. Works in
/// place. @return  the root, or its wrapper
[[nodiscard]] ModulePtr add_quant_dequant(const ModulePtr& root);

}  // namespace coppice::nn::quant
