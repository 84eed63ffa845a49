#pragma once
/// Where integers begin and end: torch.ao.nn.quantized.Quantize and DeQuantize.

#include "coppice/nn/adopts_tensors.h"
#include "coppice/nn/module.h"

namespace coppice::nn::quant {

/// float32 -> quantised, per tensor. Buffers: scale float32 [1], zero_point int64 [1].
class Quantize final : public Implements<Quantize>, public AdoptsTensors {
 public:
  static constexpr std::string_view kType = "quantized.Quantize";
  /// @throws ValueError  for a scale or zero point that is none
  Quantize(double scale, std::int64_t zero_point, Dtype dtype = Dtype::quint8);
  explicit Quantize(const Arguments& a);
  [[nodiscard]] Arguments arguments() const override;
  void adopt(const NamedTensors& own) override;
  void check_adoptable(const NamedTensors& own) const override;

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override;

 private:
  Dtype dtype_;
};

/// Quantised -> float32; floats come back as they are.
class DeQuantize final : public Implements<DeQuantize> {
 public:
  static constexpr std::string_view kType = "quantized.DeQuantize";
  DeQuantize() = default;
  explicit DeQuantize(const Arguments&) {}

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override;
};

}  // namespace coppice::nn::quant
